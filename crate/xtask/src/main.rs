//! What `./dev` does. `./dev help` lists the commands.
//!
//! `prepare` installs what is missing, `page` builds the site, `tests` runs the tests, `bench` the measurements; `tool` starts
//! other programs, and `steps` names and times what they do.

mod bench;
mod page;
mod prepare;
mod steps;
mod tests;
mod tool;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::prepare::Machine;
use crate::steps::Steps;
use crate::tool::{Of as _, Result, command, run, say};

/// Builds, serves and tests this project, and installs what that takes.
///
/// Environment: `CARGO_TARGET_DIR` (~/.cache/styleid-target), `STYLEID_TOOLS` (~/.cache/styleid-tools), CHROME and FIREFOX
/// (browsers to test with).
#[derive(Debug, Parser)]
#[command(name = "./dev", bin_name = "./dev", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Prepare this machine, build the page, serve it on port 8080 and rebuild it on changes
    Serve(Rest),
    /// Prepare this machine and run every test, native, in Chromium and in Firefox
    Test,
    /// Make dist/, a static site that works from any folder, with the models in packed/
    Build,
    /// Make dist/ as the tests take it: without the models in packed/, on a prepared machine
    #[command(hide = true)]
    BuildPage,
    /// Build the program for the processor into the page that trunk is making
    #[command(hide = true)]
    BuildProcessor,
    /// Pack a model for this page into packed/, in parts that GitHub Pages takes: MODEL --weights q4|q8, --vae, --hub, --name,
    /// --licence FILE, --start (visits begin with it), --limit SIZE (other hosts)
    PackSite(Rest),
    /// Run a measurement
    Bench(bench::Bench),
    /// Feed random bytes to crate/fuzz/targets/NAME.rs
    Fuzz {
        /// The target.
        name: Option<String>,
        /// For so long.
        #[arg(default_value_t = 600)]
        seconds: u32,
    },
    /// Test the demonstration model's training scripts: takes PyTorch, so it is no part of ./dev test
    Training(Rest),
    /// Format the Rust, JavaScript and CSS
    Fmt,
    /// Only install what is missing
    Prepare,
}

/// Arguments for another program.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    let mut steps = Steps::default();
    let outcome = Machine::here().and_then(|mut machine| perform(task, &mut machine, &mut steps));
    steps.end();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dev: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task, machine: &mut Machine, steps: &mut Steps) -> Result {
    match task {
        Task::Prepare => {
            machine.prepare()?;
            say("everything is there.");
            Ok(())
        }
        Task::Serve(Rest { arguments }) => {
            machine.page_tools()?;
            say("building the page; it will be at http://127.0.0.1:8080/");
            run(page::trunk(machine)?.arg("serve").args(arguments))
        }
        Task::Build => {
            machine.page_tools()?;
            machine.npm()?;
            page::build(machine, true)?;
            say("the page is in dist/: put that folder on any web server, in any place.");
            Ok(())
        }
        Task::BuildPage => {
            machine.page_tools()?;
            page::build(machine, false)
        }
        Task::BuildProcessor => page::processor(machine),
        Task::Test => {
            steps.run("preparing the machine", || machine.prepare())?;
            tests::all(machine, steps)
        }
        Task::Bench(bench) => bench.run(machine),
        Task::PackSite(Rest { arguments }) => {
            if arguments.first().is_none_or(|first| first.starts_with('-')) {
                return Err("name the model to pack, such as ./dev pack-site sd15-q8 --weights q4: an id of \
                            www/models.json, owner/repo, an address or a path."
                    .into());
            }
            let mut pack = command("cargo run --locked --release --quiet --package styleid --bin styleid --");
            run(pack.args(["pack-site", "--site", "packed", "--model"]).args(arguments))?;
            say("./dev build puts it into the page, as the first of its list.");
            Ok(())
        }
        Task::Fuzz { name, seconds } => fuzz(machine, name.as_deref().unwrap_or_default(), seconds),
        Task::Training(Rest { arguments }) => {
            let python = machine.python("training", Path::new("crate/demo/train/requirements.txt"))?;
            let mut tests = command("-W ignore -m unittest").of(&python);
            run(tests.args(arguments).current_dir("crate/demo/train"))
        }
        Task::Fmt => {
            machine.npm()?;
            run(&mut command("cargo fmt --all"))?;
            run(&mut tests::prettier("--write"))
        }
    }
}

fn fuzz(machine: &Machine, name: &str, seconds: u32) -> Result {
    if !Path::new(&format!("crate/fuzz/targets/{name}.rs")).is_file() {
        return Err(format!("name what to fuzz: {}.", stems("crate/fuzz/targets/*.rs").join(" ")));
    }
    machine.cargo_tool("cargo-fuzz", "0.13.2", "cargo-fuzz", 1)?;
    // The sanitizers are nightly flags, which this lets the stable compiler take.
    let mut fuzz = command("cargo-fuzz fuzz run");
    fuzz.current_dir("crate").env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", machine.target.join("fuzz"));
    fuzz.arg(name).args([format!("fuzz/corpus/{name}"), format!("fuzz/seeds/{name}"), "--".into()]);
    fuzz.arg(format!("-max_total_time={seconds}")).args(["-max_len=65536", "-rss_limit_mb=2048"]);
    run(&mut fuzz)
}

/// The paths that match a pattern, sorted.
fn found(pattern: &str) -> Vec<PathBuf> {
    // A pattern of this program's own that is none would find nothing; unreadable folders have nothing to find.
    glob::glob(pattern).into_iter().flatten().flatten().collect()
}

/// The names of the files that match a pattern, without their endings.
fn stems(pattern: &str) -> Vec<String> {
    found(pattern).iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect()
}
