//! Damps the low frequencies of the content's noise, from which the reverse pass starts.
//!
//! Source: `StyleSSP` (arXiv 2501.11319) for damping them, `FreeInit` (arXiv 2312.07537) for the Gaussian filter.

use burn::tensor::Tensor;

use super::low_pass::LowPass;
use crate::Result;
use crate::device::Place;

/// Standard deviation of the Gaussian filter, relative to the highest frequency.
const DEVIATION: f64 = 0.25;

/// z − (1 − α)·low(z). The low-pass filter scales a frequency d, relative to the highest, by exp(−d²/(2·0.25²)). For α = 1
/// `latents` are returned unchanged.
///
/// # Errors
/// The device failed.
pub async fn damp(latents: Tensor<4>, alpha: f32, place: &Place) -> Result<Tensor<4>> {
    if alpha == 1.0 {
        return Ok(latents);
    }
    let shape = latents.dims();
    let [.., height, width] = shape;
    let values: Vec<f64> = latents.into_data_async().await?.iter::<f64>().collect();
    let filter = LowPass::new([height, width], DEVIATION);
    let share = 1.0 - f64::from(alpha);
    let damped = values.chunks(height * width).flat_map(|plane| {
        let low = filter.of(plane);
        plane.iter().zip(low).map(|(value, low)| (value - share * low) as f32).collect::<Vec<_>>()
    });
    Ok(place.tensor(damped.collect(), shape))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;
    use crate::device::{self, Precision};

    fn place() -> Place {
        Place::new(device::cpu(), Precision::F64, 0).expect("the processor computes in f64")
    }

    fn damped(values: Vec<f32>, shape: [usize; 4], alpha: f32) -> Vec<f64> {
        let x = place().tensor(values, shape);
        pollster::block_on(damp(x, alpha, &place())).expect("the processor").into_data().iter::<f64>().collect()
    }

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + 13) % 101) as f32 / 50.0 - 1.0).collect()
    }

    #[test]
    fn one_changes_no_bit_and_zero_leaves_no_mean() {
        let values = numbers(2 * 6 * 5);
        let same: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
        assert_eq!(damped(values.clone(), [1, 2, 6, 5], 1.0), same);
        for plane in damped(values, [1, 2, 6, 5], 0.0).chunks(30) {
            assert!(plane.iter().sum::<f64>().abs() < 1e-5, "the lowest frequency is all gone");
        }
    }

    #[test]
    fn each_frequency_is_damped_as_the_formula_says() {
        let (height, width) = (16, 12);
        for (down, across) in [(0, 0), (1, 0), (0, 2), (3, 1), (8, 6)] {
            let wave = |y: usize, x: usize| {
                (2.0 * PI * (down * y) as f64 / height as f64).cos()
                    * (2.0 * PI * (across * x) as f64 / width as f64).cos()
            };
            let values: Vec<f64> = (0..height * width).map(|i| wave(i / width, i % width)).collect();
            let d2 = (2.0 * down as f64 / height as f64).powi(2) + (2.0 * across as f64 / width as f64).powi(2);
            let factor = 1.0 - 0.3 * (-d2 / 0.125).exp();
            let ours = damped(values.iter().map(|&x| x as f32).collect(), [1, 1, height, width], 0.7);
            let worst = ours.iter().zip(&values).map(|(a, b)| (a - factor * b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-6, "({down}, {across}): {worst:e}");
        }
    }
}
