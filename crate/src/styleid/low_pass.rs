//! A Gaussian low-pass filter over latents. It runs on the processor: latents are small, and a GPU would need another
//! shader.

use std::f64::consts::PI;

/// Scales a frequency d, relative to the highest, by exp(−d²/2b²) for a standard deviation b. The convolution is circular:
/// edges wrap around.
pub struct LowPass {
    down: Vec<f64>,
    across: Vec<f64>,
}

impl LowPass {
    /// A filter for planes of `[height, width]`.
    pub fn new([height, width]: [usize; 2], deviation: f64) -> Self {
        Self { down: answer(height, deviation), across: answer(width, deviation) }
    }

    /// `plane` filtered along its columns, then along its rows: the filter is separable.
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

/// Impulse response of the filter on a ring of `size` samples.
fn answer(size: usize, deviation: f64) -> Vec<f64> {
    let kept = |frequency: usize| {
        // Rises from 0 to the highest frequency, 1, and falls again, as in a DFT.
        let distance = 2.0 * frequency.min(size - frequency) as f64 / size as f64;
        (-distance * distance / (2.0 * deviation * deviation)).exp()
    };
    let wave = |frequency: usize, at: usize| (2.0 * PI * ((frequency * at) % size) as f64 / size as f64).cos();
    (0..size).map(|at| (0..size).map(|f| kept(f) * wave(f, at)).sum::<f64>() / size as f64).collect()
}
