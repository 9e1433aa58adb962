//! What the implementations for the processor share. They read tensors in place, and divide work into blocks that fit into a
//! core's cache.

use burn::backend::{Flex, flex::FlexTensor};
use burn::tensor::{Tensor, TensorData};
use pulp::{Arch, WithSimd};

/// Numbers that fit into a core's second-level cache, with room for the operands and results of computing with them.
pub const CACHED: usize = 1 << 16;

/// The f32 numbers of a tensor on the processor.
pub struct Host(FlexTensor);

impl Host {
    /// The numbers of `x` with its strides; copied only if a stride is negative.
    pub fn view<const D: usize>(x: Tensor<D>) -> Self {
        let tensor = x.clone().try_into_primitive::<Flex>();
        let tensor = tensor.unwrap_or_else(|_| FlexTensor::from_data(x.into_data()));
        let is_flipped = tensor.layout().strides().iter().any(|&stride| stride < 0);
        Self(if is_flipped { tensor.to_contiguous() } else { tensor })
    }

    /// The numbers of `x` contiguously, copied if they are not.
    pub fn row<const D: usize>(x: Tensor<D>) -> Self {
        Self(Self::view(x).0.to_contiguous())
    }

    /// The storage from the tensor's first number on.
    pub fn values(&self) -> &[f32] {
        let values: &[f32] = self.0.storage();
        &values[self.0.layout().start_offset()..]
    }

    /// The stride of each dimension.
    pub fn strides<const D: usize>(&self) -> [usize; D] {
        std::array::from_fn(|i| self.0.layout().strides()[i].unsigned_abs())
    }

    /// Runs `change` over the numbers in place, or over a copy if another tensor shares them.
    pub fn changed<const D: usize>(self, change: impl FnOnce(&mut [f32])) -> Tensor<D> {
        let mut tensor = self.0.to_contiguous();
        let length = tensor.layout().num_elements();
        let start = tensor.layout().start_offset();
        change(&mut tensor.storage_mut()[start..start + length]);
        Tensor::from_primitive::<Flex>(tensor)
    }
}

/// A tensor of these numbers.
pub fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(FlexTensor::from_data(TensorData::new(values, shape)))
}

/// A result to which many cores write, each its own part.
#[derive(Clone, Copy)]
pub struct Shared(*mut f32);

// SAFETY: every writer guarantees that its part is its own, as `product::multiply_into` requires.
unsafe impl Send for Shared {}
// SAFETY: the same.
unsafe impl Sync for Shared {}

impl Shared {
    /// The numbers of `out`.
    pub fn new(out: &mut [f32]) -> Self {
        Self(out.as_mut_ptr())
    }

    /// A pointer to the number `at`.
    ///
    /// # Safety
    /// `at` is within the result.
    pub unsafe fn from(self, at: usize) -> *mut f32 {
        // SAFETY: the caller guarantees it.
        unsafe { self.0.add(at) }
    }
}

/// Runs `work`, compiled for the widest SIMD vectors of the processor.
pub fn vectors<Work: WithSimd>(work: Work) -> Work::Output {
    Arch::new().dispatch(work)
}

/// eˣ within two units in the last place: 2ⁿ times a polynomial of the remainder r = x − n·ln 2, |r| at most ln 2 / 2. NaN
/// stays NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5·2²³ rounds to an integer, which the sum's low bits hold in between.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let sum = x * std::f32::consts::LOG2_E + ROUND;
    let n = sum - ROUND;
    // ln 2 in two parts (Cody and Waite): the first has few bits, so that its product with n is exact.
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let tail = 1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0));
    let polynomial = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * tail))));
    let power = f32::from_bits(sum.to_bits().wrapping_add(127) << 23);
    polynomial * power
}

/// x·σ(x).
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// Exact gelu, x·Φ(x): erf by Abramowitz and Stegun's 7.1.26, whose error is at most 1.5e-7.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let polynomial = t * (0.254_829_6 + t * (-0.284_496_73 + t * (1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4))));
    // Φ(−|x|) is erfc(|x|/√2)/2, and Φ(|x|) is 1 − Φ(−|x|).
    let half = 0.5 * polynomial * exp(-z * z);
    x * if x < 0.0 { half } else { 1.0 - half }
}

/// The sum of `of` over all numbers, in sixteen partial sums: the loop vectorises, and each sum has fewer terms.
#[inline(always)]
pub fn sum(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0f32; 16];
    let chunks = values.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|&value| of(value)).sum();
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += of(value);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Deterministic, approximately normal numbers: sums of four uniform ones.
#[cfg(test)]
pub fn random<const D: usize>(shape: [usize; D], mean: f32, deviation: f32) -> Tensor<D> {
    let mut state = 7u32;
    let mut even = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let mut normal = || (even() + even() + even() + even()) * 3.0f32.sqrt();
    tensor((0..shape.iter().product()).map(|_| mean + deviation * normal()).collect(), shape)
}

/// Asserts that `compute` has the same result, bit for bit, on any number of cores.
#[cfg(test)]
#[track_caller]
pub fn assert_same_on_all_cores<const D: usize>(compute: impl Fn() -> Tensor<D> + Sync) {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| compute().into_data())
    };
    let one = on(1);
    for threads in [2, 3, 8, 16] {
        assert!(on(threads) == one, "{threads} threads");
    }
}

/// Asserts that no number of `ours` differs from the reference by more than `share` of the reference's largest.
#[cfg(test)]
#[track_caller]
pub fn assert_near<const D: usize>(ours: Tensor<D>, reference: Tensor<D>, share: f32) {
    assert_eq!(ours.dims(), reference.dims());
    let [ours, reference] = [ours, reference].map(|x| x.into_data().iter::<f32>().collect::<Vec<_>>());
    let largest = reference.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    for (at, (ours, reference)) in ours.iter().zip(&reference).enumerate() {
        assert!((ours - reference).abs() <= share * largest, "at {at}: {ours} is not {reference}");
    }
}

#[cfg(test)]
mod tests {
    use super::{exp, gelu, silu, sum};

    #[test]
    fn functions_agree_with_those_in_f64() {
        for i in -3000..3000 {
            let x = i as f32 * 0.01;
            let wide = f64::from(x);
            let close = |ours: f32, exact: f64, relative: f64, absolute: f64| {
                let off = (f64::from(ours) - exact).abs();
                assert!(off <= relative * exact.abs() + absolute, "at {x}: {ours} is not {exact}");
            };
            close(exp(x), wide.exp(), 2.5e-7, 0.0);
            close(silu(x), wide / (1.0 + (-wide).exp()), 3e-7, 1e-30);
            close(gelu(x), 0.5 * wide * erfc(-wide / std::f64::consts::SQRT_2), 2e-7, 1.5e-7 * wide.abs());
        }
        assert!(exp(-1e30) < 1e-37 && exp(-1e30) >= 0.0 && exp(f32::NAN).is_nan());
        assert!(silu(f32::NAN).is_nan() && gelu(f32::NAN).is_nan());
    }

    /// erfc by its continued fraction, near 0 by its series.
    fn erfc(x: f64) -> f64 {
        if x < 0.0 {
            return 2.0 - erfc(-x);
        }
        if x < 2.5 {
            let mut term = x;
            let mut series = x;
            for n in 1..80 {
                term *= -x * x / f64::from(n);
                series += term / f64::from(2 * n + 1);
            }
            return 1.0 - 2.0 / std::f64::consts::PI.sqrt() * series;
        }
        let fraction = (1..80).rev().fold(x, |rest, n| x + f64::from(n) / 2.0 / rest);
        (-x * x).exp() / std::f64::consts::PI.sqrt() / fraction
    }

    #[test]
    fn sums_have_all_numbers() {
        let values: Vec<f32> = (0..37).map(|i| i as f32).collect();
        assert_eq!(sum(&values, |value| 2.0 * value), 36.0 * 37.0);
    }
}
