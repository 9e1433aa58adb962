//! Every choice of tiles of the kernels for GPUs, and the trial that makes the choice.

use styleid::bench::check::{TOLERANCES, check};
use styleid::bench::shapes;
use styleid::device::Place;
use styleid::ops::Kernels;
use styleid::ops::tiles::Class;
use styleid::selftest::trial::{Tiles, choose_tiles};

use crate::support::{self, Chosen};

/// Gives all classes the tiles of the rule again.
struct Ruled;

impl Drop for Ruled {
    fn drop(&mut self) {
        for class in Class::ALL {
            class.choose(None);
        }
    }
}

/// Shapes of a class, of those with the fewest operations.
fn rows(class: Class) -> &'static [&'static str] {
    match class {
        Class::Heads40 => &["attention 4096x77 8x40"],
        Class::Heads64 => &["attention 256x77 20x64"],
        Class::Heads80 => &["attention 1024x77 8x80"],
        Class::Heads160 => &["attention 256x77 8x160", "attention 256x256 8x160"],
        Class::Convolutions => &["conv3x3 4-320 @64", "conv1x1 320-320 @64"],
        Class::SmallConvolutions => &["conv3x3 320-4 @64", "conv1x1 320-640 @32", "conv1x1 1280-1280 @8"],
        Class::Linears => &["linear 320-320 x4096"],
        Class::SmallLinears => &["linear 768-320 x77", "linear 640-640 x1024", "linear 1280-1280 x64"],
    }
}

#[test]
fn all_tiles_compute_the_same() {
    let Some((gpu, _)) = support::gpu() else { return };
    let _chosen = Chosen::new(Kernels::Hardware);
    let _ruled = Ruled;
    let [(precision, tolerance), _] = TOLERANCES;
    let place = Place::new(gpu.clone(), precision, 0).expect("a place in f32");
    for class in Class::ALL {
        for (index, tiles) in class.tiles().iter().enumerate() {
            class.choose(Some(index));
            assert_eq!(class.chosen(), Some(index));
            for name in rows(class) {
                let work = shapes::entry(name).expect("a row of this name").work;
                let checked = pollster::block_on(check(work, &place)).expect("the GPU computes it");
                let worst = checked.expect("something to compare with");
                assert!(worst <= tolerance, "{name} in tiles of {tiles}: {worst:e} off");
            }
        }
        class.choose(None);
    }
}

#[test]
fn a_trial_tries_what_is_not_kept() {
    let Some((gpu, adapter)) = support::gpu() else { return };
    let _chosen = Chosen::new(Kernels::Hardware);
    let _ruled = Ruled;
    let choose = |kept: &Tiles, seconds| pollster::block_on(choose_tiles(gpu, kept, seconds)).expect("a GPU");

    let mut kept: Tiles = Class::ALL.map(|class| (class.name().to_owned(), "by rule".to_owned())).into();
    kept.insert(Class::Linears.name().to_owned(), "128 × 128".to_owned());
    // Nobody knows these tiles.
    kept.insert(Class::Heads160.name().to_owned(), "8 × 8".to_owned());

    // Without time for a trial the class is left out, to be tried another time.
    let without = choose(&kept, 0.0);
    assert_eq!(without.len(), Class::ALL.len() - 1);
    assert!(!without.contains_key(Class::Heads160.name()));
    assert_eq!((Class::Heads160.chosen(), Class::Heads40.chosen()), (None, None));
    assert_eq!(Class::Linears.chosen(), Some(1));

    let tried = choose(&kept, f64::INFINITY);
    assert_eq!(tried.len(), Class::ALL.len());
    let index = Class::Heads160.chosen().expect("all of its tiles were tried");
    assert_eq!(tried[Class::Heads160.name()], Class::Heads160.tiles()[index]);
    assert_eq!(tried[Class::Linears.name()], "128 × 128");

    // A trial that runs out of time in the middle leaves the class to the rule, for good. On a software adapter the first tiles
    // alone take longer than this.
    if adapter.software {
        let hurried = choose(&kept, 0.05);
        assert_eq!(hurried[Class::Heads160.name()], "by rule");
        assert_eq!(Class::Heads160.chosen(), None);
    }
}

#[test]
fn software_adapters_try_nothing() {
    let Some((gpu, _)) = support::gpu() else { return };
    let _chosen = Chosen::new(Kernels::Software);
    let tiles = pollster::block_on(choose_tiles(gpu, &Tiles::new(), f64::INFINITY));
    assert_eq!(tiles.expect("nothing to fail"), Tiles::new());
}
