//! Our operations at the shapes of Stable Diffusion 1.5 and 2.1 at 512 px, compared with sums in f64 at some of their
//! elements.

use styleid::bench::check::{TOLERANCES, check, is_whole};
use styleid::bench::shapes;
use styleid::device::Place;
use styleid::ops::Kernels;

use crate::support::{self, Chosen};

/// Most operations of a row that is checked here, in 10⁹. Larger rows are left to `./dev bench shapes`: a software
/// adapter takes long for them, and several times as long with kernels that are made for hardware.
fn most_gflop(kernels: Kernels) -> f64 {
    if kernels == Kernels::Hardware { 1.7 } else { 4.0 }
}

fn every_shape(kernels: Kernels) {
    let Some((gpu, _)) = support::gpu() else { return };
    let _chosen = Chosen::new(kernels);
    let mut seen = 0;
    let works = shapes::entries().into_iter().map(|entry| entry.work);
    for work in works.filter(|work| work.flop() < 1e9 * most_gflop(kernels) && is_whole(work)) {
        for (precision, tolerance) in TOLERANCES {
            let Ok(place) = Place::new(gpu.clone(), precision, 0) else { continue }; // shaders without f16
            let checked = pollster::block_on(check(work, &place));
            let checked = checked.unwrap_or_else(|error| panic!("{}: {error}", work.name()));
            let Some(worst) = checked else { continue };
            eprintln!("{} {kernels:?} {precision:?}: {worst:.1e}", work.name());
            assert!(worst <= tolerance, "{} {kernels:?} {precision:?}: {worst:e} off", work.name());
            seen += 1;
        }
    }
    eprintln!("{seen} were checked with {kernels:?}");
    assert!(seen > 60, "{seen} were checked");
}

#[test]
fn software_kernels_at_every_shape() {
    every_shape(Kernels::Software);
}

#[test]
fn hardware_kernels_at_every_shape() {
    every_shape(Kernels::Hardware);
}
