//! `styleid`: arguments, and what each command prints.

mod bars;
mod batch;
mod controls;
mod devices;
mod engine;
mod eval;
mod info;
mod keep;
mod licence;
mod method;
mod model;
mod pack;
mod site;
mod stop;
mod styles;
mod stylize;
mod tiles;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use styleid::Error;

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
    // A flag given twice means its last value, as in the Python programs, so that a command can be amended at its end. What
    // there can be several of adds up.
    #[command(args_override_self = true)]
    Stylize(Box<stylize::Args>),
    /// Measure results: what is left of the content, how near the style is.
    #[command(args_override_self = true)]
    Eval(Box<eval::Args>),
    /// Say what a model is: version, prediction type, parameters, bytes, dtypes.
    Info(info::Args),
    /// List the models that are known by name.
    Models,
    /// Write a model as a pack: one small file with exactly what StyleID needs.
    Pack(pack::Args),
    /// Pack a model for a page of one's own: parts that GitHub Pages takes, the licence, the page's entry. `./dev build` puts
    /// what is packed into the page.
    PackSite(site::Args),
    /// The models that came over the network and are kept on disk.
    #[command(subcommand)]
    Cache(keep::Command),
}

/// Runs the command line and says how it ended.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Stylize(args) => pollster::block_on(stylize::run(*args)),
        Command::Eval(args) => pollster::block_on(eval::run(*args)),
        Command::Info(args) => pollster::block_on(info::run(&args)),
        Command::Models => info::list(),
        Command::Pack(args) => pollster::block_on(pack::run(args)),
        Command::PackSite(args) => pollster::block_on(site::run(&args)),
        Command::Cache(command) => pollster::block_on(keep::run(command)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ Error::Cancelled) => {
            eprintln!("{error}");
            ExitCode::from(stop::STOPPED)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
