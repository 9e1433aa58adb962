//! `styleid`: arguments, and what each command prints.

mod bars;
mod info;
mod stylize;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// StyleID: repaints a photo in the style of a painting with Stable Diffusion, without training.
#[derive(Debug, Parser)]
#[command(name = "styleid", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Repaint a photo in the style of a painting.
    // A flag given twice means its last value, as in the Python programs, so that a command can be amended at its end.
    #[command(args_override_self = true)]
    Stylize(stylize::Args),
    /// Say what a model is: version, prediction type, parameters, bytes, dtypes.
    Info(info::Args),
}

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DeviceChoice {
    /// All cores of the processor, in f32.
    Cpu,
    /// The best GPU, through wgpu.
    Gpu,
}

/// Runs the command line and says how it ended.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Stylize(args) => pollster::block_on(stylize::run(args)),
        Command::Info(args) => pollster::block_on(info::run(&args)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
