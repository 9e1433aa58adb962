//! Every test, in the order in which faults show soonest.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::page;
use crate::prepare::{Machine, WASM_TARGET, on_lavapipe};
use crate::steps::Steps;
use crate::tool::{Result, command, run, succeeds};
use crate::{found, stems};

/// What differs by browser: WebGPU, the processor, storage, the service worker, downloads, decoders of pictures, layout, policies.
const IN_BOTH: [&str; 10] =
    ["hub", "demo", "recovery", "offline", "golden", "processor", "privacy", "way", "doors", "pictures"];
/// The page in WebKitGTK, which has a driver of its own.
const WEBKIT: &str = "webkit";
/// The files that take longest: they come first, so that none of them is left alone at the end.
const FIRST: [&str; 3] = ["hub", "flow", "demo"];
/// Has a clock, so it runs alone.
const TIMED: &str = "access";
/// Of one file of browser tests: several times what the slowest takes, so that one that waits for ever fails, by its name.
const BROWSER_LIMIT_MS: u32 = 1_800_000;

const PRETTY: [&str; 6] = [
    ".ci/*.mjs",
    "www/*.{js,json}",
    "www/*/*.{js,css}",
    "tests/[pt]*.json",
    "tests/{browser,hub,unit}/*.js",
    "tests/bench/*.js",
];
/// The spelling checker comes as a Python package.
pub const SPELLING: &str = ".ci/requirements.txt";
const DENY_WARNINGS: &str = "-D warnings";

/// Prettier over all that it formats.
pub fn prettier(how: &str) -> Command {
    let mut prettier = command("prettier --config tests/prettier.json --log-level warn");
    prettier.arg(how).args(PRETTY);
    prettier
}

/// Runs all tests on a prepared machine.
pub fn all(machine: &mut Machine, steps: &mut Steps) -> Result {
    let began = Instant::now();
    let spelling = machine.python("spelling", Path::new(SPELLING))?;
    let cargo = |line: &str| command(&format!("cargo {line}"));
    steps.run("cargo fmt", || run(&mut cargo("fmt --all --check")))?;
    steps.run("prettier", || run(&mut prettier("--check")))?;
    steps.run("spelling", || run(&mut Command::new(spelling.with_file_name("typos"))))?;
    steps.run("licences and sources of crates", || {
        run(&mut cargo("deny --all-features --locked check --hide-inclusion-graph bans licenses sources"))
    })?;
    steps.run("clippy", || {
        run(cargo("clippy --locked --release --workspace --all-targets --features styleid/bench --")
            .args(["-D", "warnings"]))
    })?;
    steps.run("clippy for wasm", || clippy_for_wasm(machine))?;
    steps.run("rustdoc", || {
        let mut doc = cargo("doc --locked --release --workspace --no-deps --quiet");
        run(doc.env("RUSTDOCFLAGS", DENY_WARNINGS))
    })?;
    // Clippy has compiled the examples already, as far as that finds faults.
    let tests = |line: &str| cargo(&format!("test --locked --release --workspace --features styleid/bench {line}"));
    steps.run("building the tests", || run(&mut tests("--lib --bins --tests --no-run")))?;
    // The tests of the kernels keep one core busy, and the page's linker and optimiser another.
    let own = std::env::current_exe().map_err(|error| format!("this program's path is not known ({error})."))?;
    let log = machine.target.join("page.log");
    let file = |path: &Path| std::fs::File::create(path).map_err(|error| format!("{} ({error})", path.display()));
    let (out, err) = (file(&log)?, file(&log.with_extension("errors.log"))?);
    steps.begin_beside(Command::new(own).arg("build-page").stdout(out).stderr(err))?;
    steps.run("cargo test", || run(on_lavapipe(&mut tests("--lib --bins --tests"))))?;
    steps.run("examples in the documentation", || run(&mut tests("--doc")))?;
    for (name, of) in [("types of the page", "page"), ("types of the worker", "worker")] {
        steps.run(name, || run(&mut command(&format!("tsc --noEmit --project tests/tsconfig.{of}.json"))))?;
    }
    steps.run("unit tests of the page", || {
        let files = ["tests/unit/*.test.js", "tests/bench/*.test.js"].map(found).concat();
        run(command("node --test --test-reporter=spec").args(files))
    })?;
    let is_built = steps.await_beside();
    steps.run("the page, built beside the tests", || {
        for path in [&log, &log.with_extension("errors.log")] {
            print!("{}", std::fs::read_to_string(path).unwrap_or_default());
        }
        if is_built { page::check_size() } else { Err("the page could not be built.".into()) }
    })?;
    in_browsers(machine, steps)?;
    let took = began.elapsed().as_secs();
    steps.tell(format!("\ndev: all tests passed in {} min {} s.", took / 60, took % 60));
    Ok(())
}

fn clippy_for_wasm(machine: &Machine) -> Result {
    let what = ["--package", "styleid", "--package", "styleid-weights", "--lib", "--no-default-features", "--release"];
    // Debian's toolchain comes without clippy.
    let has_clippy = succeeds(machine.for_wasm("cargo").args(["clippy", "--version"]));
    for device in ["gpu", "processor"] {
        let mut cargo = machine.for_wasm("cargo");
        cargo.arg(if has_clippy { "clippy" } else { "check" }).args(["--locked", "--target", WASM_TARGET]);
        cargo.args(what).args(["--features", &format!("styleid/{device}")]);
        if has_clippy {
            cargo.args(["--", "-D", "warnings"]);
        } else {
            cargo.env("RUSTFLAGS", DENY_WARNINGS);
        }
        run(&mut cargo)?;
    }
    Ok(())
}

/// A software adapter compiles kernels on one core, so two files at once take little longer than one; but not where a page is
/// timed.
fn in_browsers(machine: &mut Machine, steps: &mut Steps) -> Result {
    let (chrome, firefox) = (machine.chrome()?, machine.firefox()?);
    let node = |at_once: u8, files: &[&str]| {
        let mut node = command("node --test --test-reporter=spec");
        node.arg(format!("--test-timeout={BROWSER_LIMIT_MS}")).arg(format!("--test-concurrency={at_once}"));
        node.args(files.iter().map(|name| format!("tests/browser/{name}.test.js")));
        node
    };
    let in_chromium = |at_once, files: &[&str]| run(node(at_once, files).env("CHROME", &chrome));
    let in_firefox = |at_once, files: &[&str]| {
        let mut node = node(at_once, files);
        run(on_lavapipe(node.env("BROWSER", "firefox").env("FIREFOX", &firefox)))
    };
    let all = stems("tests/browser/*.test.js");
    let others = all.iter().filter_map(|name| name.strip_suffix(".test"));
    let others = others.filter(|name| ![TIMED, WEBKIT].contains(name) && !FIRST.contains(name));
    let files: Vec<&str> = FIRST.into_iter().chain(others).collect();
    steps.run("browser tests with a clock", || in_chromium(1, &[TIMED]))?;
    steps.run("browser tests with a clock in Firefox", || in_firefox(1, &[TIMED]))?;
    steps.run("browser tests", || in_chromium(2, &files))?;
    steps.run("browser tests in Firefox", || in_firefox(2, &IN_BOTH))?;
    if machine.webkit()? {
        steps.run("browser tests in WebKitGTK", || run(&mut node(1, &[WEBKIT])))?;
    }
    Ok(())
}
