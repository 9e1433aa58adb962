//! The autoencoder in bands against itself in one piece, and against the reference.

use burn::tensor::{Tensor, TensorData};

use super::{Bands, HALO, layout};
use crate::device::{self, Place, Precision};
use crate::golden::{Golden, fixture};
use crate::model::vae::Vae;
use crate::model::{LoadOptions, StableDiffusion};
use crate::platform::silent;
use crate::weights::Origin;

/// For f64, so that the test measures the method and not rounding.
const TOLERANCE: f64 = 1e-10;

fn place() -> Place {
    Place::new(device::cpu(), Precision::F64, 0).expect("the processor computes in f64")
}

fn vae() -> Vae {
    let origin = Origin::local(&fixture("models/micro15"), None).expect("a folder");
    let control = silent();
    let loading = StableDiffusion::load(&origin, device::cpu(), LoadOptions::default(), &control);
    pollster::block_on(loading).expect("a whole model").vae
}

/// A picture with smooth and rough areas, different everywhere.
fn picture(shape: [usize; 4]) -> Tensor<4> {
    let value = |i: usize| ((i % 97) as f32 / 48.5 - 1.0) * ((i / 13) as f32).sin();
    place().tensor((0..shape.iter().product()).map(value).collect(), shape)
}

/// The largest difference, relative to the largest value.
fn difference(ours: &Tensor<4>, whole: &Tensor<4>) -> f64 {
    assert_eq!(ours.dims(), whole.dims());
    let values = |x: &Tensor<4>| x.to_data().iter::<f64>().collect::<Vec<_>>();
    let (ours, whole) = (values(ours), values(whole));
    let scale = whole.iter().fold(0f64, |max, x| max.max(x.abs()));
    ours.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
}

#[test]
fn bands_encode_and_decode_as_the_whole_does() {
    let mut vae = vae();
    let control = silent();
    // Heights that are a multiple of eight, that are odd, and that have fewer rows than there are bands.
    for (height, width) in [(64, 40), (77, 61), (99, 24), (16, 16)] {
        let pixels = picture([1, 3, height, width]);
        let latents = picture([2, 4, height / 8 + 1, width / 8]);
        vae.band_bytes = usize::MAX;
        let whole = pollster::block_on(vae.encode(pixels.clone(), &control)).expect("nothing cancels");
        let decoded = pollster::block_on(vae.decode(latents.clone(), &control)).expect("nothing cancels");
        // From one row at a time to two bands of the largest tensors.
        for band_bytes in [1, 20_000, 60_000, 100_000, 300_000] {
            vae.band_bytes = band_bytes;
            let ours = pollster::block_on(vae.encode(pixels.clone(), &control)).expect("nothing cancels");
            let mean = difference(&ours.mean, &whole.mean);
            let variance = difference(&ours.log_variance, &whole.log_variance);
            let ours = pollster::block_on(vae.decode(latents.clone(), &control)).expect("nothing cancels");
            let picture = difference(&ours, &decoded);
            eprintln!("{height} × {width} in {band_bytes} bytes: {mean:e} {variance:e} {picture:e}");
            assert!(mean < TOLERANCE && variance < TOLERANCE && picture < TOLERANCE);
        }
    }
}

#[test]
fn bands_meet_the_reference() {
    let golden = Golden::load("micro15.once");
    let mut vae = vae();
    vae.band_bytes = 50_000;
    let input = |name: &str| {
        let (shape, values) = golden.values(name);
        place().tensor(values, shape.try_into().expect("four dimensions"))
    };
    let posterior = pollster::block_on(vae.encode(input("vae.px"), &silent())).expect("nothing cancels");
    golden.assert_close("vae.mean", &posterior.mean, 2e-5);
    golden.assert_close("vae.logvar", &posterior.log_variance, 2e-5);
    let decoded = pollster::block_on(vae.decode(input("vae.mean"), &silent())).expect("nothing cancels");
    golden.assert_close("vae.out", &decoded, 2e-5);
}

#[test]
fn bands_stay_within_their_limit() {
    for (height, row_bytes, limit) in
        [(512, 512 * 256 * 4, 32 << 20), (1024, 1024 * 128 * 4, 128 << 20), (77, 100, 999)]
    {
        let heights = layout(height, row_bytes, HALO, limit);
        assert_eq!(heights.iter().sum::<usize>(), height);
        assert!(heights.len() > 1 && heights.iter().all(|rows| (rows + HALO) * row_bytes <= limit), "{heights:?}");
    }
    assert_eq!(layout(77, 100, HALO, 7700), [77], "what fits is not split");
    assert_eq!(layout(3, 100, HALO, 1), [1, 1, 1], "one row is the least");
}

#[test]
fn a_picture_split_again_is_the_same_picture() {
    let x = Tensor::<4>::from_data(
        TensorData::new((0..2 * 3 * 11 * 2).map(|i| i as f32).collect::<Vec<_>>(), [2, 3, 11, 2]),
        &device::cpu(),
    );
    let row = 2 * 2 * 4;
    let three = Bands::whole(x.clone(), 7 * 3 * row).fit(3);
    assert_eq!(three.heights(), [4, 4, 3]);
    let six = three.fit(6);
    assert_eq!(six.heights(), [1; 11]);
    let again = six.fit(2);
    assert_eq!(again.heights(), [6, 5]);
    assert_eq!(again.join().to_data(), x.to_data());
}
