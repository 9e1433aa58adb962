//! Norms, GEGLU and packed halves with every implementation, compared with plain loops in f64.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use half::f16;
use styleid::device;
use styleid::ops::norm::{Affine, group_apply, group_moments, group_norm, layer_norm, merge_moments};
use styleid::ops::{Kernels, elementwise::geglu, halves};

use crate::support::{self, Chosen};

const EPSILON: f64 = 1e-5;

/// Tolerance relative to the largest value.
fn tolerance(dtype: DType) -> f64 {
    if dtype == DType::F16 { 5e-3 } else { 1e-4 }
}

/// Calls `test` with every implementation and every type of activations that this machine has.
fn everywhere(test: impl Fn(&Device, DType)) {
    test(&device::cpu(), DType::F32);
    let Some((gpu, adapter)) = support::gpu() else { return };
    for kernels in [Kernels::Reference, Kernels::Software, Kernels::Hardware] {
        let _chosen = Chosen::new(kernels);
        eprintln!("{kernels:?}");
        test(gpu, DType::F32);
        if adapter.shader_f16 {
            test(gpu, DType::F16);
        }
    }
}

/// `count` numbers about `mean`, as `dtype` holds them. Their spread changes along the way, so that it matters which
/// statistics are applied where.
fn numbers(count: usize, seed: u64, mean: f32, dtype: DType) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |i: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let uniform = (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        let spread = 0.5 + ((i >> 7) % 11) as f32 / 7.0;
        let value = mean + uniform * spread + spread;
        if dtype == DType::F16 { f16::from_f32(value).to_f32() } else { value }
    };
    (0..count).map(next).collect()
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device, dtype: DType) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, dtype))
}

fn affine(channels: usize, device: &Device, dtype: DType) -> (Vec<f32>, Vec<f32>, Affine) {
    let (scale, shift) = (numbers(channels, 5, 0.2, dtype), numbers(channels, 6, -0.5, dtype));
    let made = |values: &[f32]| tensor(values, [channels], device, dtype);
    let affine = Affine { scale: made(&scale), shift: made(&shift), epsilon: EPSILON, halves: false };
    (scale, shift, affine)
}

fn assert_close<const D: usize>(name: &str, ours: &Tensor<D>, expected: &[f64], tolerance: f64) {
    let ours = ours.to_data();
    assert_eq!(ours.num_elements(), expected.len(), "{name}");
    let largest = expected.iter().fold(0f64, |max, x| max.max(x.abs()));
    let mut worst = 0f64;
    for (ours, expected) in ours.iter::<f64>().zip(expected) {
        let distance = (ours - expected).abs();
        worst = if distance.is_nan() { f64::INFINITY } else { worst.max(distance) };
    }
    assert!(worst <= tolerance * largest, "{name}: {worst:e} off, more than {tolerance:e} of {largest}");
}

fn mean_and_deviation(row: &[f32]) -> (f64, f64) {
    let count = row.len() as f64;
    let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    (mean, (variance + EPSILON).sqrt())
}

fn plain_group_norm(x: &[f32], shape: [usize; 4], groups: usize, scale: &[f32], shift: &[f32], silu: bool) -> Vec<f64> {
    let [_, channels, height, width] = shape;
    let (group, plane) = (channels / groups * height * width, height * width);
    let mut out = Vec::with_capacity(x.len());
    for (row, values) in x.chunks(group).enumerate() {
        let (mean, deviation) = mean_and_deviation(values);
        for (i, &value) in values.iter().enumerate() {
            let channel = (row * group + i) / plane % channels;
            let normal = (f64::from(value) - mean) / deviation * f64::from(scale[channel]) + f64::from(shift[channel]);
            out.push(if silu { normal / (1.0 + (-normal).exp()) } else { normal });
        }
    }
    out
}

fn check_group_norm(shape: [usize; 4], groups: usize, mean: f32, device: &Device, dtype: DType) {
    let x = numbers(shape.iter().product(), 1, mean, dtype);
    let (scale, shift, affine) = affine(shape[1], device, dtype);
    let input = tensor(&x, shape, device, dtype);
    for silu in [true, false] {
        let expected = plain_group_norm(&x, shape, groups, &scale, &shift, silu);
        let name = format!("group norm of {shape:?}, {groups} groups, mean {mean}, {dtype:?}, silu {silu}");
        let ours = group_norm(input.clone(), affine.clone(), groups, silu);
        assert_eq!(ours.dtype(), dtype, "{name}");
        assert_close(&name, &ours, &expected, tolerance(dtype));
        if x.len() > 2_000_000 {
            break; // large shapes are checked only with SiLU, which saves time
        }
    }
}

#[test]
fn group_norm_of_every_picture() {
    everywhere(|device, dtype| {
        // The shapes of the UNet at 512 × 512 pixels, also with the channels of the skip connections.
        for (channels, side) in [
            (320, 64),
            (640, 64),
            (960, 64),
            (640, 32),
            (960, 32),
            (1920, 32),
            (1280, 16),
            (1920, 16),
            (2560, 16),
            (1280, 8),
            (2560, 8),
        ] {
            check_group_norm([1, channels, side, side], 32, 0.3, device, dtype);
        }
        // A shape of the VAE, and those of the micro models.
        check_group_norm([1, 512, 64, 64], 32, 0.3, device, dtype);
        for (channels, side) in [(16, 16), (32, 8), (48, 8), (64, 4), (64, 2), (8, 128), (16, 32)] {
            check_group_norm([2, channels, side, side], 4, 0.3, device, dtype);
        }
        // Sizes that no block of a kernel divides.
        for (shape, groups) in [
            ([1, 6, 5, 7], 3),
            ([3, 9, 1, 1], 3),
            ([1, 10, 3, 2], 5),
            ([2, 33, 17, 13], 11),
            ([1, 64, 63, 47], 32),
            ([1, 4, 31, 2], 2),
            ([1, 1, 3, 3], 1),
            ([5, 7, 101, 103], 1),
        ] {
            check_group_norm(shape, groups, 0.3, device, dtype);
        }
    });
}

#[test]
fn group_norm_of_the_largest_picture() {
    everywhere(|device, dtype| {
        if dtype == DType::F32 {
            check_group_norm([1, 128, 512, 512], 32, 0.3, device, dtype);
        }
    });
}

#[test]
fn norms_keep_their_digits_far_from_zero() {
    everywhere(|device, dtype| {
        if dtype == DType::F32 {
            check_group_norm([1, 64, 64, 64], 32, 1000.0, device, dtype);
            check_group_norm([1, 32, 256, 256], 32, -1000.0, device, dtype);
            check_group_norm([1, 9, 7, 11], 3, 1000.0, device, dtype);
            check_layer_norm([1, 100, 320], 1000.0, device, dtype);
            check_layer_norm([1, 10, 1283], 1000.0, device, dtype);
        }
        // The variance of a constant is 0, so that only ε is left to divide by: the result is β.
        let (_, shift, affine) = affine(8, device, dtype);
        let constant = Tensor::<4>::full([1, 8, 9, 4], 3.3, (device, dtype));
        let expected: Vec<f64> = shift.iter().flat_map(|&shift| vec![f64::from(shift); 36]).collect();
        let ours = group_norm(constant, affine, 2, false);
        assert_close("group norm of a constant", &ours, &expected, 2.0 * tolerance(dtype));
    });
}

#[test]
fn bands_share_their_moments() {
    everywhere(|device, dtype| {
        let (shape, groups) = ([2, 12, 37, 20], 4);
        let x = numbers(shape.iter().product(), 2, 3.0, dtype);
        let (scale, shift, affine) = affine(12, device, dtype);
        let input = tensor(&x, shape, device, dtype);
        let bands = input.split_with_sizes(vec![16, 1, 17, 3], 2);
        let whole = merge_moments(bands.iter().map(|band| group_moments(band.clone(), groups)).collect());
        let rows: Vec<_> = x.chunks(3 * 37 * 20).map(mean_and_deviation).collect();
        let values: Vec<f64> = whole.values().to_data().iter::<f64>().collect();
        for (values, (mean, deviation)) in values.chunks(3).zip(rows) {
            assert_eq!(values[0], 3.0 * 37.0 * 20.0, "count");
            assert!((values[1] - mean).abs() < 1e-5 * mean.abs(), "mean {} for {mean}", values[1]);
            let variance = values[2] / values[0] + EPSILON;
            assert!((variance.sqrt() / deviation - 1.0).abs() < 1e-5, "variance {variance} for {deviation}²");
        }
        let expected = plain_group_norm(&x, shape, groups, &scale, &shift, true);
        let applied = bands.into_iter().map(|band| group_apply(band, &whole, affine.clone(), true)).collect();
        assert_close("bands", &Tensor::cat(applied, 2), &expected, tolerance(dtype));
        let one = merge_moments(vec![whole.clone()]);
        let expected: Vec<f64> = whole.values().to_data().iter::<f64>().collect();
        assert_close("moments of one part", &one.values(), &expected, 1e-6);
    });
}

#[test]
fn norms_of_f32_can_give_halves() {
    everywhere(|device, dtype| {
        if dtype != DType::F16 {
            return;
        }
        let (shape, groups) = ([2, 12, 9, 20], 4);
        let x = numbers(shape.iter().product(), 2, 300.0, DType::F32);
        let (scale, shift, affine) = affine(12, device, DType::F32);
        let affine = Affine { halves: true, ..affine };
        let ours = group_norm(tensor(&x, shape, device, DType::F32), affine.clone(), groups, true);
        assert_eq!(ours.dtype(), DType::F16);
        let expected = plain_group_norm(&x, shape, groups, &scale, &shift, true);
        // Read as f16, numbers about 300 would be 0.1 apart: far more than the tolerance.
        assert_close("group norm", &ours, &expected, 1e-3);
        let tokens = [2, 180, 12];
        let ours = layer_norm(tensor(&x, tokens, device, DType::F32), affine);
        assert_eq!(ours.dtype(), DType::F16);
        assert_close("layer norm", &ours, &plain_layer_norm(&x, &scale, &shift), 1e-3);
    });
}

#[test]
fn pictures_need_not_be_contiguous() {
    everywhere(|device, dtype| {
        let x = numbers(2 * 8 * 12 * 20, 3, 0.0, dtype);
        let (_, _, affine) = affine(8, device, dtype);
        let input = tensor(&x, [2, 12, 20, 8], device, dtype).permute([0, 3, 1, 2]);
        let copied = tensor(&input.to_data().iter::<f32>().collect::<Vec<_>>(), [2, 8, 12, 20], device, dtype);
        let ours = group_norm(input, affine.clone(), 4, true);
        let expected: Vec<f64> = group_norm(copied, affine, 4, true).to_data().iter::<f64>().collect();
        assert_close("transposed", &ours, &expected, 1e-6);
    });
}

fn plain_layer_norm(x: &[f32], scale: &[f32], shift: &[f32]) -> Vec<f64> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks(scale.len()) {
        let (mean, deviation) = mean_and_deviation(row);
        for ((&value, &scale), &shift) in row.iter().zip(scale).zip(shift) {
            out.push((f64::from(value) - mean) / deviation * f64::from(scale) + f64::from(shift));
        }
    }
    out
}

fn check_layer_norm(shape: [usize; 3], mean: f32, device: &Device, dtype: DType) {
    let x = numbers(shape.iter().product(), 4, mean, dtype);
    let (scale, shift, affine) = affine(shape[2], device, dtype);
    let expected = plain_layer_norm(&x, &scale, &shift);
    let name = format!("layer norm of {shape:?}, mean {mean}, {dtype:?}");
    assert_close(&name, &layer_norm(tensor(&x, shape, device, dtype), affine), &expected, tolerance(dtype));
}

#[test]
fn layer_norm_of_every_width() {
    everywhere(|device, dtype| {
        for shape in [
            [2, 4096, 320],
            [1, 1024, 640],
            [1, 256, 1280],
            [2, 64, 1280],
            [1, 77, 768],
            [1, 77, 1024],
            [1, 64, 32],
            [2, 16, 64],
            [3, 5, 7],
            [1, 1, 1],
            [1, 3, 34],
            [2, 131, 33],
            [1, 2, 1283],
        ] {
            check_layer_norm(shape, 0.3, device, dtype);
        }
    });
}

/// erf(x), by its Maclaurin series where that converges fast, and ±1 beyond.
fn erf(x: f64) -> f64 {
    if x.abs() > 4.2 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

#[test]
fn geglu_of_every_width() {
    everywhere(|device, dtype| {
        for shape in [[1, 1024, 2560], [2, 64, 10240], [1, 16, 256], [2, 3, 10], [1, 7, 6], [3, 1, 2]] {
            let x: Vec<f32> = numbers(shape.iter().product(), 7, -0.7, dtype).iter().map(|x| x * 4.0).collect();
            let inner = shape[2] / 2;
            let gelu = |x: f64| x / 2.0 * (1.0 + erf(x / 2f64.sqrt()));
            let expected: Vec<f64> = x
                .chunks(shape[2])
                .flat_map(|row| {
                    let (hidden, gate) = row.split_at(inner);
                    hidden.iter().zip(gate).map(|(&hidden, &gate)| f64::from(hidden) * gelu(f64::from(gate)))
                })
                .collect();
            let ours = geglu(tensor(&x, shape, device, dtype));
            assert_close(&format!("geglu of {shape:?}, {dtype:?}"), &ours, &expected, tolerance(dtype));
        }
    });
}

/// Packs `values` on `device`, checks that unpacking gives the packed numbers, and returns the bits of each half.
fn packed(values: &[f32], device: &Device) -> Vec<u16> {
    let shape = [1, 1, 1, values.len()];
    let packed = halves::pack(tensor(values, shape, device, DType::F32));
    assert_eq!((packed.shape, packed.words.dims()), (shape, [values.len().div_ceil(2)]));
    let words: Vec<i32> = packed.words.to_data().iter::<i32>().collect();
    let mut bits: Vec<u16> = words.iter().flat_map(|word| [*word as u16, (*word >> 16) as u16]).collect();
    if !values.len().is_multiple_of(2) {
        assert_eq!(bits.pop(), Some(0), "the half that is left over");
    }
    let unpacked: Vec<f32> = halves::unpack(&packed).to_data().iter::<f32>().collect();
    assert_eq!(unpacked.len(), values.len());
    for (bits, unpacked) in bits.iter().zip(unpacked) {
        let expected = f16::from_bits(*bits).to_f32();
        assert!(expected == unpacked || expected.is_nan() && unpacked.is_nan(), "{expected} came back as {unpacked}");
    }
    bits
}

/// Asserts that `bits` are `value` rounded to f16. NaN has several bit patterns, and the implementation with burn's
/// operations has no negative zero.
fn assert_rounded(value: f32, bits: u16) {
    let expected = f16::from_f32(value.clamp(-65504.0, 65504.0));
    let ours = f16::from_bits(bits);
    let same = if value.is_nan() { ours.is_nan() } else { bits == expected.to_bits() || ours == expected };
    assert!(same, "{value:e} as {bits:#06x} instead of {:#06x}", expected.to_bits());
}

#[test]
fn halves_hold_every_f16() {
    everywhere(|device, _| {
        let all: Vec<f32> = (0..=u16::MAX).map(f16::from_bits).filter(|x| x.is_finite()).map(f16::to_f32).collect();
        for values in [&all[..], &all[1..]] {
            for (bits, &value) in packed(values, device).into_iter().zip(values) {
                assert_rounded(value, bits);
            }
        }
    });
}

#[test]
fn halves_round_as_they_should() {
    let mut values = vec![
        0.0,
        -0.0,
        65503.0,
        65519.9,
        65520.0,
        -65520.0,
        1e30,
        -1e30,
        f32::MAX,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MIN_POSITIVE,
        1e-40,
        -1e-45,
    ];
    for bits in 0..0x7c00u16 {
        // The f32 numbers halfway between two neighbouring f16 numbers, and just beside that.
        let (low, high) = (f16::from_bits(bits).to_f32(), f16::from_bits(bits + 1).to_f32());
        let middle = if high.is_finite() { low + (high - low) / 2.0 } else { 65520.0 };
        let beside = [middle, f32::from_bits(middle.to_bits() - 1), f32::from_bits(middle.to_bits() + 1)];
        values.extend(beside);
        values.extend(beside.map(|x| -x));
    }
    let mut state = 77u64;
    for _ in 0..100_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = f32::from_bits((state >> 32) as u32);
        values.push(random);
        values.push(random.to_bits() as f32 / 3e9 * 1e-4);
    }
    values.push(1.0); // an odd number of them
    everywhere(|device, _| {
        for values in [&values[..], &values[1..], &values[..8], &values[2..3]] {
            for (bits, &value) in packed(values, device).into_iter().zip(values) {
                assert_rounded(value, bits);
            }
        }
    });
}

#[test]
fn halves_keep_shape_and_type() {
    everywhere(|device, dtype| {
        let x = numbers(2 * 3 * 5 * 7, 8, 0.0, dtype);
        let packed = halves::pack(tensor(&x, [2, 3, 5, 7], device, dtype));
        let _: &Tensor<1, Int> = &packed.words;
        let back = halves::unpack(&packed);
        assert_eq!((back.dims(), back.dtype()), ([2, 3, 5, 7], dtype));
        let expected: Vec<f64> = x.iter().map(|&x| f16::from_f32(x).to_f64()).collect();
        assert_close("halves", &back, &expected, 0.0);
    });
}
