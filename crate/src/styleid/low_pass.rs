//! A Gaussian low pass over latents, on the processor: latents are small, and a GPU would need another shader.

use std::f64::consts::PI;

/// Keeps frequencies d, relative to the highest, by exp(−d²/2b²) for a deviation b, with the edges closed to a ring.
pub struct LowPass {
    down: Vec<f64>,
    across: Vec<f64>,
}

impl LowPass {
    /// For planes of `[height, width]`.
    pub fn new([height, width]: [usize; 2], deviation: f64) -> Self {
        Self { down: answer(height, deviation), across: answer(width, deviation) }
    }

    /// `plane` filtered along its columns, then along its rows: the filter is the product of both.
    pub fn of(&self, plane: &[f64]) -> Vec<f64> {
        let (height, width) = (self.down.len(), self.across.len());
        let mut columns = vec![0.0; plane.len()];
        for (to, row) in columns.chunks_mut(width).enumerate() {
            for (from, values) in plane.chunks(width).enumerate() {
                let weight = self.down[to.abs_diff(from)];
                for (sum, value) in row.iter_mut().zip(values) {
                    *sum += weight * value;
                }
            }
        }
        let along = |row: &[f64]| -> Vec<f64> {
            (0..width)
                .map(|to| row.iter().enumerate().map(|(from, value)| self.across[to.abs_diff(from)] * value).sum())
                .collect()
        };
        debug_assert_eq!(plane.len(), height * width);
        columns.chunks(width).flat_map(along).collect()
    }
}

/// The filter's answer to a single one in a row of `size`.
fn answer(size: usize, deviation: f64) -> Vec<f64> {
    let kept = |frequency: usize| {
        // From 0 up to the highest, 1, and down again.
        let distance = 2.0 * frequency.min(size - frequency) as f64 / size as f64;
        (-distance * distance / (2.0 * deviation * deviation)).exp()
    };
    let wave = |frequency: usize, at: usize| (2.0 * PI * ((frequency * at) % size) as f64 / size as f64).cos();
    (0..size).map(|at| (0..size).map(|f| kept(f) * wave(f, at)).sum::<f64>() / size as f64).collect()
}
