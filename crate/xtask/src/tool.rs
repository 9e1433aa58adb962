//! Other programs: how they are started, and what is said when they fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a task ends with: nothing, or a sentence.
pub type Result<T = ()> = std::result::Result<T, String>;

/// One line from this program.
pub fn say(sentence: &str) {
    println!("dev: {sentence}");
}

/// A command line of words without quotes.
pub fn command(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// Runs a command to its end; its output goes where this program's does.
pub fn run(command: &mut Command) -> Result {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("{name} cannot be started ({error})."))?;
    if status.success() { Ok(()) } else { Err(format!("{name} failed ({status}).")) }
}

/// Whether a command succeeds; its output is not shown.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// What a command prints, without the last line's end; `None` if it fails.
pub fn printed(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim_end().to_string())
}

/// The path of a program, as the shell would find it.
pub fn which(name: &str) -> Option<PathBuf> {
    let is_program = |path: &Path| path.is_file();
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| is_program(path));
    }
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| is_program(path))
}

/// The same arguments for another program.
pub trait Of {
    /// This command line as the arguments of `program`.
    fn of(&self, program: &Path) -> Command;
}

impl Of for Command {
    fn of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg(self.get_program()).args(self.get_args());
        command
    }
}
