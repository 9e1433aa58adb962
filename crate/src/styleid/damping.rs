//! Less of the content's low frequencies in the noise that the reverse pass starts from.
//!
//! Source: `StyleSSP` (arXiv 2501.11319) for damping them, `FreeInit` (arXiv 2312.07537) for the Gaussian filter.

use std::f64::consts::PI;

use burn::tensor::Tensor;

use crate::Result;
use crate::device::Place;

/// Deviation of the filter, relative to the highest frequency.
const DEVIATION: f64 = 0.25;

/// z − (1 − α)·low(z), where low keeps frequencies d, relative to the highest, by exp(−d²/(2·0.25²)); for α = 1 `latents`
/// themselves. On the processor: the latents are small, and a GPU would need another shader.
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
    let (down, across) = (low_pass(height), low_pass(width));
    let share = 1.0 - f64::from(alpha);
    let damped = values.chunks(height * width).flat_map(|plane| {
        let low = filtered(plane, &down, &across);
        plane.iter().zip(low).map(|(value, low)| (value - share * low) as f32).collect::<Vec<_>>()
    });
    Ok(place.tensor(damped.collect(), shape))
}

/// The filter's answer to a single one in a row of `size` that is closed to a ring.
fn low_pass(size: usize) -> Vec<f64> {
    let kept = |frequency: usize| {
        // From 0 up to the highest, 1, and down again.
        let distance = 2.0 * frequency.min(size - frequency) as f64 / size as f64;
        (-distance * distance / (2.0 * DEVIATION * DEVIATION)).exp()
    };
    let wave = |frequency: usize, at: usize| (2.0 * PI * ((frequency * at) % size) as f64 / size as f64).cos();
    (0..size).map(|at| (0..size).map(|f| kept(f) * wave(f, at)).sum::<f64>() / size as f64).collect()
}

/// `plane` filtered along its columns with `down`, then along its rows with `across`: the filter is their product.
fn filtered(plane: &[f64], down: &[f64], across: &[f64]) -> Vec<f64> {
    let (height, width) = (down.len(), across.len());
    let mut columns = vec![0.0; plane.len()];
    for (to, row) in columns.chunks_mut(width).enumerate() {
        for (from, values) in plane.chunks(width).enumerate() {
            let weight = down[to.abs_diff(from)];
            for (sum, value) in row.iter_mut().zip(values) {
                *sum += weight * value;
            }
        }
    }
    let along = |row: &[f64]| -> Vec<f64> {
        (0..width)
            .map(|to| row.iter().enumerate().map(|(from, value)| across[to.abs_diff(from)] * value).sum())
            .collect()
    };
    debug_assert_eq!(plane.len(), height * width);
    columns.chunks(width).flat_map(along).collect()
}

#[cfg(test)]
mod tests {
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
