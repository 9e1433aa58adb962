//! A call of the UNet, or a whole run, of Stable Diffusion at its true size with weights by formula: seconds, and the most
//! bytes on the GPU and on the heap.
//!
//! `./dev bench step` and `./dev bench run` run it.

use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::wgpu::MemoryConfiguration;
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use styleid::bench::network::{self, Figures, Job, Model};
use styleid::bench::parse;
use styleid::device::{Place, Precision};
use styleid::gpu;
use styleid::memory::{GpuBytes, Memory, gpu_bytes, parse_bytes};
use styleid::selftest::trial::{Tiles, choose_tiles};
use styleid::weights::WeightType;
use styleid::{Error, Preset, Progress, Result, ops};

#[path = "support/heap.rs"]
mod heap;
#[path = "support/program.rs"]
mod program;
#[path = "support/record.rs"]
mod record;

use program::{end, weights};
use record::{load, processor, time, write};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A call of the UNet.
    Step,
    /// From two pictures to the result.
    Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModelChoice {
    Sd15,
    /// 2.1-base.
    Sd21,
    /// BK-SDM base.
    BkBase,
    /// BK-SDM small.
    BkSmall,
    /// BK-SDM tiny.
    BkTiny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Version {
    Diffusers,
    Ldm,
    Fast,
}

/// Measures whole networks.
#[derive(Debug, Parser)]
struct Arguments {
    #[arg(value_enum)]
    what: What,
    #[arg(long, value_enum, default_value = "sd15")]
    model: ModelChoice,
    /// What weights are kept as: exact, f16, q8, q4
    #[arg(long, default_value = "q8", value_parser = weights)]
    weights: WeightType,
    /// Height and width in pixels
    #[arg(long, default_value_t = 512)]
    size: usize,
    /// The version of the method in a run
    #[arg(long, value_enum, default_value = "fast")]
    version: Version,
    /// Steps of a run each way [default: the version's]
    #[arg(long)]
    steps: Option<usize>,
    /// Calls after the first
    #[arg(long, default_value_t = 1)]
    repetitions: usize,
    /// Activations of the UNet in f16, where shaders have it
    #[arg(long)]
    f16: bool,
    /// Open the GPU with the limits that WebGPU promises everywhere
    #[arg(long)]
    default_limits: bool,
    /// The same, and a buffer for every tensor, as browsers have it
    #[arg(long)]
    like_browsers: bool,
    /// What a run may take on the GPU, as 1.5GiB [default: 1GiB beside the weights]
    #[arg(long, value_parser = parse_bytes)]
    gpu_memory: Option<u64>,
    /// software, hardware, reference [default: what suits the adapter]
    #[arg(long)]
    kernels: Option<String>,
    /// Write the figures here
    #[arg(long)]
    json: Option<PathBuf>,
    /// What the figures say about the source
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// What the figures say about the machine [default: the processor's name]
    #[arg(long)]
    machine: Option<String>,
}

fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

fn memory_line(weights: Option<GpuBytes>, peak: Option<GpuBytes>) -> String {
    match (weights, peak) {
        (Some(weights), Some(peak)) => format!(
            "GPU: weights {}, at most {} in use, {} reserved",
            mib(weights.in_use),
            mib(peak.in_use),
            mib(peak.reserved)
        ),
        _ => "GPU: nothing is known of its memory".into(),
    }
}

fn value(figures: impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(figures).map_err(|error| Error::File(format!("The figures cannot be written ({error}).")))
}

async fn run(arguments: Arguments) -> Result<()> {
    let load = load();
    let (device, mut adapter) = match (arguments.like_browsers, arguments.default_limits) {
        (true, _) => gpu::open_least(MemoryConfiguration::ExclusivePages).await?,
        (false, true) => gpu::open_least(MemoryConfiguration::default()).await?,
        (false, false) => gpu::open().await?,
    };
    if let Some(kernels) = &arguments.kernels {
        ops::choose(parse(kernels)?);
    }
    adapter.tiles = choose_tiles(&device, &Tiles::new(), f64::INFINITY).await?;
    let kernels = ops::kernels(&device).name();
    println!("{} ({}), {kernels} kernels, weights {}", adapter.name, adapter.backend, arguments.weights.name());
    let (precision, activations) = if arguments.f16 { (Precision::F16, "f16") } else { (Precision::F32, "f32") };
    let place = Place::new(device, precision, u64::MAX)?;
    let memory = Memory { budget: arguments.gpu_memory, ..Memory::default() };
    let version = match arguments.version {
        Version::Diffusers => Preset::Diffusers,
        Version::Ldm => Preset::Ldm,
        Version::Fast => Preset::Fast,
    };
    let choice = match arguments.model {
        ModelChoice::Sd15 => Model::Sd15,
        ModelChoice::Sd21 => Model::Sd21Base,
        ModelChoice::BkBase => Model::BkBase,
        ModelChoice::BkSmall => Model::BkSmall,
        ModelChoice::BkTiny => Model::BkTiny,
    };
    let job = Job {
        model: choice,
        weights: arguments.weights,
        pixels: arguments.size,
        repetitions: (arguments.what == What::Step).then_some(arguments.repetitions),
        version,
        steps: arguments.steps,
    };
    let begun = std::time::Instant::now();
    let model = network::build(choice, arguments.weights, memory, &place).await?;
    println!("built in {:.1} s", begun.elapsed().as_secs_f64());
    let taken = gpu_bytes(&place.device).map_or(0, |bytes| bytes.in_use);
    let budget = memory.budget(&place, taken);
    let before = heap::begin();
    let on_progress = |Progress { phase, step, steps }| eprint!("\r{phase:?} {step}/{steps}      ");
    let figures = job.measure(model, &on_progress).await?;
    match &figures {
        Figures::Step(step) => {
            println!("first {:.1} s, then {:.1?} s", step.first, step.seconds);
            println!("{}", memory_line(step.weights, step.peak));
        }
        Figures::Run(whole) => {
            for lap in [&whole.first, &whole.then] {
                println!("\n{:.1} s, {} calls of the UNet", lap.seconds, lap.calls);
                for (phase, seconds, GpuBytes { in_use, reserved }) in &lap.phases {
                    println!(
                        "  {phase:?}: {seconds:.1} s, {} MiB in use, {} MiB reserved",
                        in_use >> 20,
                        reserved >> 20
                    );
                }
                println!("features: {} on the GPU, {} in main memory", mib(lap.features.0), mib(lap.features.1));
            }
            println!("{}", memory_line(whole.weights, whole.peak));
        }
    }
    let peak = heap::peak();
    println!("heap: {} before, at most {}", mib(before as u64), mib(peak as u64));
    if let Some(path) = &arguments.json {
        let mut record = json!({
            "machine": arguments.machine.unwrap_or_else(processor),
            "load": load,
            "commit": arguments.commit,
            "time": time(),
            "network": {
                "adapter": value(adapter)?,
                "kernels": kernels,
                "model": value(choice)?,
                "weights": arguments.weights.name(),
                "activations": activations,
                "budget": budget,
                "defaultLimits": arguments.default_limits || arguments.like_browsers,
                "likeBrowsers": arguments.like_browsers,
                "heap": { "before": before, "peak": peak },
            },
        });
        if let (Some(network), Value::Object(figures)) = (record["network"].as_object_mut(), value(figures)?) {
            network.extend(figures);
        }
        write(path, &record)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    end(pollster::block_on(run(Arguments::parse())))
}
