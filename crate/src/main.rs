//! The command line over the same pipeline that runs in the browser.

#[cfg(not(target_arch = "wasm32"))]
mod cli;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    cli::main()
}

// The package also builds for the browser, where the library is the entry and this binary has nothing to do.
#[cfg(target_arch = "wasm32")]
fn main() {}
