//! Kernels for convolutions and linear layers, compared with the processor in f64: all stored types of weights, sizes
//! that no tile divides, and the networks' own numbers of channels.

use burn::tensor::Tensor;
use styleid::device::{self, Place, Precision};
use styleid::ops::Kernels;
use styleid::ops::conv::{Convolve, Geometry, conv2d};
use styleid::ops::linear::{Multiply, linear};
use styleid::ops::weight::Weight;
use styleid::weights::format::Dtype;
use styleid::weights::format::compact::{Compact, quantise_q4, quantise_q8};

use crate::support::{self, Chosen};

/// Tolerance with activations in f32, relative to the largest value.
const TOLERANCE: f64 = 1e-4;

/// Tolerance with activations in f16, which has 11 bits of precision, relative to the largest value.
const HALVES: f64 = 5e-3;

/// Numbers between −1 and 1, the same for the same seed.
fn noise(length: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..length).map(next).collect()
}

/// Noise in the type of the place's activations.
fn activations<const D: usize>(place: &Place, seed: u32, shape: [usize; D]) -> Tensor<D> {
    place.tensor(noise(shape.iter().product(), seed), shape).cast(place.activations())
}

fn compact(shape: &[usize], dtype: Dtype) -> Compact {
    let values = noise(shape.iter().product(), 1);
    let mut bytes = Vec::new();
    match dtype {
        Dtype::F16 => bytes.extend(values.iter().flat_map(|x| half::f16::from_f32(*x * 1e-3).to_le_bytes())),
        Dtype::Q8_0 => quantise_q8(&values, &mut bytes),
        Dtype::Q4_0 => quantise_q4(&values, &mut bytes),
        _ => bytes.extend(values.iter().flat_map(|x| x.to_le_bytes())),
    }
    Compact { name: "weight".into(), dtype, shape: shape.to_vec(), bytes }
}

fn values<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    x.to_data().iter::<f64>().collect()
}

/// The largest difference, relative to the largest value of `exact`.
fn distance(ours: &[f64], exact: &[f64]) -> f64 {
    let peak = exact.iter().fold(0.0, |peak: f64, x| peak.max(x.abs()));
    assert_eq!(ours.len(), exact.len());
    let far = ours.iter().zip(exact).map(|(a, b)| (a - b).abs());
    // `f64::max` would ignore NaN.
    far.fold(0.0, |worst: f64, x| if x <= worst { worst } else { x }) / peak
}

fn check(name: &str, columns: usize, run: impl Fn(&Place, Dtype) -> Vec<f64>) {
    let Some((gpu, _)) = support::gpu() else { return };
    let gpus = [(Precision::F32, TOLERANCE), (Precision::F16, HALVES)]
        .map(|(precision, tolerance)| (Place::new(gpu.clone(), precision, 0), tolerance));
    let exact = Place::new(device::cpu(), Precision::F64, 0).expect("f64 on the processor");
    let is_quantised = columns.is_multiple_of(32);
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Q8_0, Dtype::Q4_0] {
        if matches!(dtype, Dtype::Q8_0 | Dtype::Q4_0) && !is_quantised {
            continue;
        }
        // Weights and activations are read by separate code, so f16 activations are tested with one type of weights
        // only: every pair of types is another kernel to compile.
        let in_halves = dtype == if is_quantised { Dtype::Q8_0 } else { Dtype::F32 };
        let exact = run(&exact, dtype);
        for kernels in [Kernels::Software, Kernels::Hardware] {
            let _chosen = Chosen::new(kernels);
            for (gpu, tolerance) in gpus.iter().take(if in_halves { 2 } else { 1 }) {
                let Ok(gpu) = gpu else { continue }; // shaders without f16
                let far = distance(&run(gpu, dtype), &exact);
                assert!(far <= *tolerance, "{name} {dtype:?} {kernels:?}: {far:e} off, more than {tolerance:e}");
            }
        }
    }
}

#[test]
fn convolutions_equal_the_processors() {
    let around = [1; 4];
    // batch, input channels, output channels, height, width, kernel, stride, padding, upsampled size
    for (batch, input, output, height, width, kernel, stride, padding, upsampled) in [
        (1, 4, 8, 8, 8, 3, 1, around, None),
        (2, 32, 40, 9, 7, 3, 1, around, None),
        (1, 32, 64, 16, 16, 3, 2, around, None),
        (2, 32, 36, 16, 12, 3, 2, [0, 1, 0, 1], None),
        (1, 64, 96, 13, 8, 1, 1, [0; 4], None),
        (1, 32, 32, 6, 5, 3, 1, around, Some([12, 10])),
        (2, 32, 33, 6, 5, 3, 1, around, Some([11, 9])),
        (1, 3, 16, 20, 20, 3, 1, around, None),
        (1, 5, 7, 3, 3, 3, 1, around, None),
        (1, 5, 1, 1, 1, 3, 1, around, None),
        (1, 64, 48, 9, 21, 3, 1, [0, 1, 1, 1], None),
        (1, 64, 48, 9, 21, 3, 1, [1, 0, 1, 1], None),
        (1, 4, 320, 16, 16, 3, 1, around, None),
        (1, 320, 320, 16, 16, 3, 1, around, None),
        (1, 320, 4, 16, 16, 3, 1, around, None),
        (1, 960, 640, 8, 8, 3, 1, around, None),
        (2, 1280, 70, 4, 4, 3, 1, around, None),
        (1, 2560, 128, 4, 4, 3, 1, around, None),
        (1, 640, 640, 4, 4, 3, 1, around, Some([8, 8])),
        (1, 1920, 640, 8, 8, 1, 1, [0; 4], None),
        // Enough blocks for the large tile.
        (1, 4, 128, 184, 184, 3, 1, around, None),
        // For Winograd on software adapters, which takes 32 tiles of 2 × 2 output pixels or more: odd sizes, padding at
        // each border, two pictures.
        (1, 33, 17, 13, 19, 3, 1, around, None),
        (2, 32, 36, 11, 9, 3, 1, [0; 4], None),
        (1, 64, 40, 17, 12, 3, 1, [0, 1, 1, 0], None),
        (1, 64, 40, 16, 13, 3, 1, [1, 0, 0, 1], None),
        (2, 64, 32, 7, 6, 3, 1, around, Some([13, 11])),
        (1, 320, 4, 12, 12, 3, 1, around, None),
        // Large enough for Winograd in slabs of tiles, and in slabs of output channels.
        (1, 32, 128, 83, 79, 3, 1, around, None),
        (1, 2560, 80, 17, 17, 3, 1, around, None),
    ] {
        let columns = input * kernel * kernel;
        let geometry = Geometry { kernel, stride, padding, upsampled };
        let [rows, wide] = geometry.output([height, width]);
        let name = format!("{batch} × {input} → {output}, {height} × {width}, {geometry:?}");
        check(&name, columns, |place, dtype| {
            let weight = Weight::new(compact(&[output, input, kernel, kernel], dtype), place).expect("a weight");
            let x = activations(place, 2, [batch, input, height, width]);
            let bias = place.tensor(noise(batch * output, 3), [batch, output]);
            // In f32 beside activations in f16, as the networks add it.
            let added = place.tensor(noise(batch * output * rows * wide, 4), [batch, output, rows, wide]);
            let operands = Convolve { x, weight: &weight, bias, residual: Some(added), geometry };
            let both = conv2d(operands.clone());
            let shared = Convolve { bias: operands.bias.clone().narrow(0, 0, 1), residual: None, ..operands };
            [values(&both), values(&conv2d(shared))].concat()
        });
    }
}

#[test]
fn linear_layers_equal_the_processors() {
    for (rows, input, output, geglu) in [
        (16, 32, 64, false),
        (77, 36, 50, false),
        (1, 320, 1280, false),
        (300, 64, 128, true),
        (5, 7, 9, false),
        (130, 160, 200, true),
        (33, 40, 12, true),
        (64, 1280, 320, false),
        (77, 768, 320, false),
        (100, 320, 2560, true),
        (70, 1280, 10_240, true),
        (64, 5120, 1280, false),
        // Enough blocks for the large tile.
        (256, 32, 17_000, false),
        (256, 32, 17_000, true),
    ] {
        check(&format!("{rows} of {input} → {output}, GEGLU {geglu}"), input, |place, dtype| {
            let weight = Weight::new(compact(&[output, input], dtype), place).expect("a weight");
            let width = if geglu { output / 2 } else { output };
            let x = activations(place, 2, [1, rows, input]);
            let bias = Some(place.tensor(noise(output, 3), [output]));
            let residual = Some(place.tensor(noise(rows * width, 4), [1, rows, width]));
            let operands = Multiply { x, weight: &weight, bias, residual, geglu };
            let both = linear(operands.clone());
            let plain = linear(Multiply { bias: None, residual: None, ..operands });
            [values(&both), values(&plain)].concat()
        });
    }
}
