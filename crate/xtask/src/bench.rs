//! Measurements.

use std::path::Path;
use std::process::Command;

use crate::prepare::{Machine, WASM_TARGET};
use crate::stems;
use crate::tool::{Of as _, Result, command, printed, run};

/// What is measured, and the options of that.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, after_help = MEASUREMENTS)]
pub struct Bench {
    /// The measurement's name and its options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME")]
    arguments: Vec<String>,
}

/// The measurements that are more than an example.
pub const MEASUREMENTS: &str = "\
kernels    our kernels against burn's on this machine's GPU (--help lists the options)
shapes     our kernels at every shape of the true networks against sums in f64
browser    our kernels against burn's in Chromium, and against onnxruntime-web: --filter, --kernels, --weights, --peers,
           --peers-only, --json FILE; with --device cpu the page on the processor against the command line: --rounds, --json
step       one call of the UNet at its true size (formula weights), with peak GPU bytes and heap: --model, --weights, --f16,
           --default-limits, --like-browsers, --json FILE; with --chromium there: --model, --weights, --size, --json
run        the same of two whole runs, at 512 px: where their time goes: --version, --steps, --size, --gpu-memory
processor  networks on the processor beside PyTorch (some gigabytes, once): --threads, --calls, --json FILE
heap       the page's memory while it loads and runs true-size models
long       what so many results (200) in one visit leave in the browser's memory
lighthouse Lighthouse's scores of dist/ with a phone's setting: medians of RUNS (5)
quality    what every version, control and look does to held-out pictures: makes the tables, plot and pictures of
           docs/quality.md (an hour on two cores)
report     make docs/bench/README.md and its plots of docs/bench/*.json
Others are crate/examples/NAME.rs.";

impl Bench {
    /// Measures.
    pub fn run(&self, machine: &mut Machine) -> Result {
        let Some((name, options)) = self.arguments.split_first().filter(|(name, _)| !name.starts_with('-')) else {
            return Err(format!("name what to measure:\n{MEASUREMENTS}"));
        };
        match name.as_str() {
            "kernels" => run(example("kernels").args(told_commit()).args(options)),
            "shapes" => run(example("shapes").args(options)),
            "step" | "run" if options.iter().any(|option| option == "--chromium") => {
                let options: Vec<_> = options.iter().filter(|option| *option != "--chromium").cloned().collect();
                in_bench_page(machine, "network.js", |node| {
                    node.arg(name).args(options);
                })
            }
            "step" | "run" => run(example("network").arg(name).args(told_commit()).args(options)),
            "report" => run(command("node tests/bench/report.js").args(options)),
            "processor" => processor(machine, options),
            "browser" if options.windows(2).any(|pair| pair == ["--device", "cpu"]) => processor_page(machine, options),
            "browser" => in_bench_page(machine, "browser.js", |node| {
                node.args(options);
            }),
            "quality" => quality(machine, options),
            "long" => {
                let results = options.first().map_or("200", String::as_str);
                in_chromium(machine, "node --test --test-reporter=spec tests/browser/long.test.js", |node| {
                    node.env("STYLEID_LONG", results);
                })
            }
            "lighthouse" => {
                machine.peers()?;
                in_chromium(machine, "node tests/bench/lighthouse.js", |node| {
                    node.args(options);
                })
            }
            "heap" => {
                if !Path::new("dist/styleid_bg.wasm").is_file() {
                    return Err("the page is not built: run ./dev build first.".into());
                }
                in_chromium(machine, "node tests/browser/heap.js", |node| {
                    node.args(options);
                })
            }
            _ if Path::new(&format!("crate/examples/{name}.rs")).is_file() => {
                let mut example = command("cargo run --locked --release --package styleid --example");
                run(example.arg(name).arg("--").args(options))
            }
            _ => {
                Err(format!("there is no measurement {name}; examples are {}.", stems("crate/examples/*.rs").join(" ")))
            }
        }
    }
}

fn example(name: &str) -> Command {
    command(&format!("cargo run --locked --release --package styleid --features bench --example {name} --"))
}

fn told_commit() -> [String; 2] {
    let commit = printed(&mut command("git describe --always --dirty --exclude *"));
    ["--commit".into(), commit.unwrap_or_else(|| "unknown".into())]
}

fn in_chromium(machine: &mut Machine, line: &str, add: impl FnOnce(&mut Command)) -> Result {
    machine.npm()?;
    let mut node = command(line);
    node.env("CHROME", machine.chrome()?);
    add(&mut node);
    run(&mut node)
}

/// Builds the wasm with the measurements in it, and runs a script of `tests/bench` with it.
fn in_bench_page(machine: &mut Machine, script: &str, add: impl FnOnce(&mut Command)) -> Result {
    let out = machine.target.join("bench-page");
    machine.page_tools()?;
    machine.peers()?;
    let mut cargo = machine.for_wasm("cargo");
    cargo.args(["build", "--locked", "--package", "styleid", "--lib", "--target", WASM_TARGET, "--profile", "web"]);
    run(cargo.args(["--no-default-features", "--features", "bench"]))?;
    let wasm = machine.target.join(WASM_TARGET).join("web/styleid.wasm");
    let mut bind = command("wasm-bindgen --target web --no-typescript --out-name styleid --out-dir");
    run(bind.args([&out, &wasm]))?;
    in_chromium(machine, &format!("node tests/bench/{script}"), |node| {
        add(node.arg(out).args(told_commit()));
    })
}

/// The built page's program for the processor beside the command line.
fn processor_page(machine: &mut Machine, options: &[String]) -> Result {
    if !Path::new("dist/processor_bg.wasm").is_file() {
        return Err("the page is not built: run ./dev build first.".into());
    }
    run(&mut command("cargo build --locked --release --package styleid --bin styleid"))?;
    let program = machine.target.join("release/styleid");
    in_chromium(machine, "node tests/bench/processor-page.js", |node| {
        node.arg("--styleid").arg(program).args(told_commit()).args(options);
    })
}

fn processor(machine: &mut Machine, options: &[String]) -> Result {
    let python = machine.python("processor", Path::new("tests/bench/requirements.txt"))?;
    let build = "cargo build --locked --release --package styleid --features bench --bin styleid --example processor";
    run(&mut command(build))?;
    let mut measure = command("tests/bench/processor.py --ours").of(&python);
    measure.arg(machine.target.join("release/examples/processor"));
    measure.arg("--styleid").arg(machine.target.join("release/styleid"));
    run(measure.args(told_commit()).args(options))
}

/// Pictures come out of packages, and peers' weights with theirs. What a stopped run made is not made again.
fn quality(machine: &mut Machine, options: &[String]) -> Result {
    let python = machine.python("quality", Path::new("crate/demo/quality/requirements.txt"))?;
    run(&mut command("cargo build --locked --release --package styleid --bin styleid"))?;
    let work = options.first().map_or_else(|| machine.tools.with_file_name("styleid-quality"), Into::into);
    let mut measure = command("crate/demo/quality/measure.py --styleid").of(&python);
    run(measure.arg(machine.target.join("release/styleid")).arg("--work").arg(work))
}
