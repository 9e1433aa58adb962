//! The command line over the same pipeline that runs in the browser.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
