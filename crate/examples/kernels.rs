//! Our operations and blocks against burn's own on the GPU that there is, at every shape of Stable Diffusion at 512 px.
//!
//! `./dev bench kernels --json docs/bench/NAME.json` runs it. The binary needs nothing but a Vulkan driver beside it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;
use styleid::Result;
use styleid::bench::peak::Variant;
use styleid::bench::{Bench, Options, Row};
use styleid::weights::WeightType;

#[path = "support/program.rs"]
mod program;
#[path = "support/record.rs"]
mod record;

use program::{end, weights};
use record::{load, processor, time, write};

/// Measures kernels.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only rows whose names contain one of these (comma-separated); see --list
    #[arg(long, value_delimiter = ',')]
    filter: Vec<String>,
    /// What to measure, ours first: software, hardware, reference [default: what suits the adapter, then reference]
    #[arg(long, value_delimiter = ',')]
    kernels: Vec<String>,
    /// What weights are kept as: exact, f16, q8, q4
    #[arg(long, default_value = "exact", value_parser = weights)]
    weights: WeightType,
    /// Seconds to spend on the repetitions of a row
    #[arg(long, default_value_t = 1.0)]
    seconds_per_row: f64,
    /// Leave out rows of more than so many 10^9 operations [default: 40 on a software adapter]
    #[arg(long)]
    most_gflop: Option<f64>,
    /// Write the figures here, after every row
    #[arg(long)]
    json: Option<PathBuf>,
    /// What the figures say about the source
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// What the figures say about the machine [default: the processor's name]
    #[arg(long)]
    machine: Option<String>,
    /// Only list the rows
    #[arg(long)]
    list: bool,
}

fn print(row: &Row, kernels: &[&str]) {
    let mut line = format!("| {} |", row.name);
    for (name, timing) in kernels.iter().filter_map(|name| row.times.get_key_value(name)) {
        let rate = if row.gflop > 0.0 {
            format!("{:.1} GFLOPS", row.gflop / timing.seconds)
        } else {
            format!("{:.2} GB/s", row.gbyte / timing.seconds)
        };
        line += &format!(" {name} {:.3} ms, {rate} |", 1e3 * timing.seconds);
    }
    if let Some(difference) = row.difference {
        line += &format!(" {difference:.1e} |");
    }
    if let Some(failed) = &row.failed {
        line += &format!(" {failed} |");
    }
    println!("{line}");
}

async fn run(arguments: Arguments) -> Result<()> {
    let load = load();
    let Arguments { filter, kernels, weights, seconds_per_row, most_gflop, json, commit, machine, .. } = arguments;
    let bench = Bench::open(Options { filter, kernels, weights, seconds_per_row, most_gflop }).await?;
    let setting = &bench.setting;
    let rate = |variant: Variant| {
        let kind = if variant.fused { "fma" } else { "multiply and add" };
        format!("{:.1} GFLOPS ({} of {kind})", variant.gflops, variant.chains)
    };
    println!(
        "{} ({}), peak of one chain {}, of many {}, wait {:.3} ms, weights {}",
        setting.adapter.name,
        setting.adapter.backend,
        rate(setting.peak.one_chain),
        rate(setting.peak.many_chains),
        1e3 * setting.wait,
        setting.weights,
    );
    let machine = machine.unwrap_or_else(processor);
    let mut run = json!({ "machine": machine, "load": load, "commit": commit, "time": time(), "setting": setting, "rows": [], "peers": [] });
    for entry in bench.entries() {
        let row = bench.row(&entry).await;
        print(&row, &setting.kernels);
        if let (Some(rows), Ok(row)) = (run["rows"].as_array_mut(), serde_json::to_value(&row)) {
            rows.push(row);
        }
        if let Some(path) = &json {
            write(path, &run)?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for entry in styleid::bench::shapes::entries() {
            println!("{:<44} {:>9.3} GFLOP  {:?}", entry.work.name(), entry.work.flop() / 1e9, entry.uses);
        }
        return ExitCode::SUCCESS;
    }
    end(pollster::block_on(run(arguments)))
}
