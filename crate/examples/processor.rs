//! Stable Diffusion 1.5 at its true size on the processor, in f32 with weights by formula. Every line of standard input names
//! a call and a picture's side, as `unet 256`, `encode 512` or `decode 256`; the answer is its seconds.
//!
//! The line `kinds` is answered with the seconds of each kind of operation since the last such line, as JSON.
//!
//! `./dev bench processor` runs it beside PyTorch.

use std::io::BufRead;
use std::process::ExitCode;
use std::time::Instant;

use burn::tensor::Tensor;
use clap::Parser;
use styleid::bench::network::{self, Model};
use styleid::device::{self, Place, Precision, wait_and_check_finite};
use styleid::memory::Memory;
use styleid::model::StableDiffusion;
use styleid::model::attention::PlainProcessor;
use styleid::ops::clock;
use styleid::platform::silent;
use styleid::selftest::formula::uniform;
use styleid::weights::WeightType;
use styleid::{Error, Result};

#[path = "support/program.rs"]
mod program;

use program::{end, weights};

/// The command line's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Times calls of networks.
#[derive(Debug, Parser)]
struct Arguments {
    /// What weights are stored as: exact, f16, q8, q4
    #[arg(long, default_value = "exact", value_parser = weights)]
    weights: WeightType,
}

/// Seconds of one call, whose result is waited for.
async fn call(model: &StableDiffusion, what: &str, side: usize) -> Result<f64> {
    let place = &model.place;
    let latents = side / model.info.factor;
    let (channels, side) = if what == "encode" { (3, side) } else { (4, latents) };
    let shape = [1, channels, side, side];
    let x: Tensor<4> = place.tensor(uniform("bench.processor", shape.iter().product()), shape);
    let control = silent();
    let began = Instant::now();
    let out = match what {
        "unet" => model.unet.forward(x, 481.0, &model.context, &mut PlainProcessor, None, &control).await?,
        "encode" => model.vae.encode(x, &control).await?.mean,
        "decode" => model.vae.decode(x, &control).await?,
        _ => return Err(Error::Settings(format!("There is no call {what}; name unet, encode or decode."))),
    };
    wait_and_check_finite(&out).await?;
    Ok(began.elapsed().as_secs_f64())
}

async fn run(arguments: Arguments) -> Result<()> {
    let place = Place::new(device::cpu(), Precision::F32, u64::MAX)?;
    let model = network::build(Model::Sd15, arguments.weights, Memory::default(), &place).await?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Error::File(format!("Standard input cannot be read ({error}).")))?;
        if line == "kinds" {
            let kinds = serde_json::to_string(&clock::take()).map_err(|error| Error::File(error.to_string()))?;
            println!("{kinds}");
            continue;
        }
        let named = line.split_once(' ').and_then(|(what, side)| Some((what, side.parse().ok()?)));
        let Some((what, side)) = named else {
            return Err(Error::Settings(format!("{line:?} is no call; name one and a side, as \"unet 256\".")));
        };
        println!("{}", call(&model, what, side).await?);
    }
    Ok(())
}

fn main() -> ExitCode {
    end(pollster::block_on(run(Arguments::parse())))
}
