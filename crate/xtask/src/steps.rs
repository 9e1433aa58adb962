//! The steps of a long task: each has a name, which is said when it fails, and a time, which is told at the end.

#[cfg(unix)]
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::tool::Result;

/// What has been done, and what runs beside it.
#[derive(Default)]
pub struct Steps {
    done: Vec<String>,
    beside: Option<Child>,
    stopped: Arc<AtomicBool>,
}

impl Steps {
    /// Runs a step.
    pub fn run(&mut self, name: &str, step: impl FnOnce() -> Result) -> Result {
        println!("\n== {name}");
        let began = Instant::now();
        let outcome = step();
        if self.stopped.load(Ordering::Relaxed) {
            return Err(format!("{name} was stopped."));
        }
        outcome.map_err(|error| format!("{error}\n\ndev: {name} failed."))?;
        self.done.push(format!("{:5} s  {name}", began.elapsed().as_secs()));
        Ok(())
    }

    /// Adds a line to what is told at the end.
    pub fn tell(&mut self, line: String) {
        self.done.push(line);
    }

    /// Starts a command beside the steps, in a process group of its own, so that what it starts can be ended with it.
    pub fn begin_beside(&mut self, command: &mut Command) -> Result {
        // Whoever stops this program by the keyboard stops that group, too: `end` is reached, since the step's own program has
        // ended by the same signal.
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, self.stopped.clone()).map_err(|error| error.to_string())?;
        }
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn();
        self.beside = Some(child.map_err(|error| format!("what runs beside the tests cannot be started ({error})."))?);
        Ok(())
    }

    /// Waits for what [`Steps::begin_beside`] started; whether it succeeded.
    pub fn await_beside(&mut self) -> bool {
        let ended = self.beside.as_mut().map(Child::wait);
        self.beside = None;
        ended.is_some_and(|status| status.is_ok_and(|status| status.success()))
    }

    /// Ends what still runs beside, and tells how long each step took.
    pub fn end(&mut self) {
        if let Some(child) = &mut self.beside {
            // A group may have ended by itself.
            let _ = Command::new("kill").args(["--", &format!("-{}", child.id())]).status();
            let _ = child.wait();
        }
        if !self.done.is_empty() {
            println!("\n== how long each part took\n{}", self.done.join("\n"));
        }
    }
}
