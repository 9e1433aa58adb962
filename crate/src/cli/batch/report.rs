//! What a run of many results says: a bar for the whole, or a line now and then, or JSON for programs.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde::Serialize;
use styleid::{Phase, Progress};

/// How often a line is written where there is no terminal.
const EVERY: Duration = Duration::from_secs(60);

/// One line for programs.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event<'a> {
    /// A result is begun, the `number`-th `of` so many.
    Started {
        content: &'a Path,
        style: &'a [std::path::PathBuf],
        out: &'a Path,
        number: usize,
        of: usize,
        seconds: f64,
    },
    /// So many steps of a phase are done.
    Step {
        #[serde(flatten)]
        progress: Progress,
        seconds: f64,
    },
    /// A result is there; it was there already where it was not made.
    Done { out: &'a Path, made: bool, seconds: f64 },
    /// A result is not there.
    Failed { content: &'a Path, out: &'a Path, error: &'a str, seconds: f64 },
}

/// How far the whole is. Its unit is a step of the UNet.
pub struct Report {
    began: Instant,
    json: bool,
    bar: ProgressBar,
    results: usize,
    finished: Cell<usize>,
    /// Steps done, and the steps that are still to come after the results that are finished.
    done: Cell<u64>,
    to_come: Cell<u64>,
    /// Steps that were done when the last result was finished.
    before: Cell<u64>,
    first: Cell<Option<Instant>>,
    said: RefCell<Instant>,
}

impl Report {
    /// Of a run that shall make so many results.
    pub fn new(json: bool, results: usize) -> Self {
        let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(0) };
        // The template is a constant. If it were invalid, the default bar would do.
        if let Ok(style) = ProgressStyle::with_template("{prefix:<22} {bar:28} {percent:>3} % {elapsed:>4} {msg}") {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self {
            began: now,
            json,
            bar,
            results,
            finished: Cell::new(0),
            done: Cell::new(0),
            to_come: Cell::new(0),
            before: Cell::new(0),
            first: Cell::new(None),
            said: RefCell::new(now),
        }
    }

    /// Seconds since the run began.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Hears of a step.
    pub fn step(&self, progress: Progress) {
        let is_walk =
            matches!(progress.phase, Phase::InvertContent | Phase::InvertStyle | Phase::InvertBoth | Phase::Stylize);
        if is_walk && progress.step > 0 {
            let pictures = if progress.phase == Phase::InvertBoth { 2 } else { 1 };
            self.done.set(self.done.get() + pictures);
        }
        if is_walk && self.first.get().is_none() {
            self.first.set(Some(Instant::now()));
        }
        if self.json && progress.phase != Phase::Load {
            self.event(&Event::Step { progress, seconds: self.seconds() });
        }
        self.show();
        if self.said.borrow().elapsed() >= EVERY && !std::io::stderr().is_terminal() {
            *self.said.borrow_mut() = Instant::now();
            eprintln!("{}", self.line());
        }
    }

    /// Hears that a result is finished, whether or not it is there, and of the steps that are still to come.
    pub fn finished(&self, to_come: u64) {
        self.finished.set(self.finished.get() + 1);
        self.expect(to_come);
    }

    /// Hears of the steps that are still to come.
    pub fn expect(&self, to_come: u64) {
        self.to_come.set(to_come);
        self.before.set(self.done.get());
        self.show();
    }

    fn left(&self) -> u64 {
        self.to_come.get().saturating_sub(self.done.get() - self.before.get())
    }

    fn show(&self) {
        self.bar.set_prefix(format!("{} of {} results", self.finished.get(), self.results));
        self.bar.set_length(self.done.get() + self.left());
        self.bar.set_position(self.done.get());
        self.bar.set_message(self.time_left());
    }

    /// About how long the rest takes at the pace so far.
    fn time_left(&self) -> String {
        match self.first.get().filter(|_| self.done.get() > 0) {
            Some(first) => {
                let left = first.elapsed().as_secs_f64() * self.left() as f64 / self.done.get() as f64;
                format!("about {} left", HumanDuration(Duration::from_secs_f64(left)))
            }
            None => String::new(),
        }
    }

    /// How far the run is, in a line.
    fn line(&self) -> String {
        let so_far = HumanDuration(self.began.elapsed());
        let left = Some(self.time_left()).filter(|left| !left.is_empty()).map(|left| format!(", {left}"));
        format!("{} of {} results, {so_far} so far{}", self.finished.get(), self.results, left.unwrap_or_default())
    }

    /// Says something to the person beside the bar.
    pub fn say(&self, sentence: &str) {
        self.bar.suspend(|| eprintln!("{sentence}"));
    }

    /// A line about a result on standard output, which for programs is JSON.
    pub fn tell(&self, event: &Event<'_>, sentence: &str) {
        if self.json {
            self.event(event);
        } else if !sentence.is_empty() {
            self.bar.suspend(|| println!("{sentence}"));
        }
    }

    fn event(&self, event: &Event<'_>) {
        // A program that does not listen any more is no reason to stop, and events have nothing that is no JSON but odd paths.
        if let Ok(line) = serde_json::to_string(event) {
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_told_in_results_and_time_left() {
        let report = Report::new(false, 3);
        assert!(report.line().starts_with("0 of 3 results, ") && !report.line().contains("left"), "{}", report.line());
        report.expect(10);
        for step in 0..=4 {
            report.step(Progress { phase: Phase::InvertContent, step, steps: 4 });
        }
        assert_eq!((report.done.get(), report.left()), (4, 6));
        // A hundred seconds for four steps are a hundred and fifty for six.
        report.first.set(Instant::now().checked_sub(Duration::from_secs(100)));
        assert!(report.line().ends_with("about 3 minutes left"), "{}", report.line());
        report.finished(2);
        assert_eq!(report.left(), 2);
        assert!(report.line().starts_with("1 of 3 results, "), "{}", report.line());
    }
}
