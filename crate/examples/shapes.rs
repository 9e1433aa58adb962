//! Our operations at every shape of Stable Diffusion 1.5 and 2.1 at 512 px against sums in f64, without the limit that
//! `./dev test` has.
//!
//! `./dev bench shapes [FILTER]…`: rows whose names contain one of these; all where there is none.

use std::process::ExitCode;

use styleid::bench::check::{TOLERANCES, check, is_whole};
use styleid::bench::shapes::entries;
use styleid::bench::work::Work;
use styleid::device::Place;
use styleid::gpu;
use styleid::ops::{self, Kernels};
use styleid::{Error, Result};

async fn run(filter: &[String]) -> Result<bool> {
    let (gpu, adapter) = gpu::open().await?;
    println!("{} ({})", adapter.name, adapter.backend);
    let is_wanted = |work: &Work| {
        let name = work.name();
        is_whole(work) && (filter.is_empty() || filter.iter().any(|part| name.contains(part)))
    };
    let mut is_good = true;
    for work in entries().into_iter().map(|entry| entry.work).filter(is_wanted) {
        for (precision, tolerance) in TOLERANCES {
            let Ok(place) = Place::new(gpu.clone(), precision, 0) else { continue }; // shaders without f16
            for kernels in [Kernels::Software, Kernels::Hardware] {
                ops::choose(kernels);
                let Some(worst) = check(work, &place).await? else { continue };
                let is_within = worst <= tolerance;
                is_good &= is_within;
                let verdict = if is_within { "" } else { "  TOO FAR" };
                println!("{worst:.1e}  {} {kernels:?} {precision:?}{verdict}", work.name());
            }
        }
    }
    Ok(is_good)
}

fn main() -> ExitCode {
    let filter: Vec<String> = std::env::args().skip(1).collect();
    let done = pollster::block_on(run(&filter)).and_then(|is_good| {
        if is_good { Ok(()) } else { Err(Error::Device("some results are too far from the sums in f64.".into())) }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
