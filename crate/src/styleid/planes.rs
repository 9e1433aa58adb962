//! Channels of latents on the processor, for filters: latents are small, and a GPU would need other shaders.

use burn::tensor::Tensor;

use super::low_pass::LowPass;
use crate::Result;

/// A painting's latents, and their share of each cell of the photo's: one number for all cells, or one per cell.
pub struct Painted<'a> {
    /// `[1, channels, h, w]` of any size.
    pub latents: &'a Tensor<4>,
    /// Shares from 0 to 1.
    pub share: Vec<f32>,
}

/// A painting's share of a cell.
pub fn share_at(share: &[f32], cell: usize) -> f64 {
    f64::from(share.get(cell).or(share.first()).copied().unwrap_or(0.0))
}

/// Channels of a picture's latents.
pub struct Planes {
    /// Height and width.
    pub size: [usize; 2],
    /// Row by row.
    pub channels: Vec<Vec<f64>>,
}

impl Planes {
    /// The channels of `latents` `[1, channels, h, w]`.
    ///
    /// # Errors
    /// The device failed.
    pub async fn of(latents: &Tensor<4>) -> Result<Self> {
        let [_, _, height, width] = latents.dims();
        let values: Vec<f64> = latents.clone().into_data_async().await?.iter::<f64>().collect();
        Ok(Self { size: [height, width], channels: values.chunks(height * width).map(<[f64]>::to_vec).collect() })
    }

    /// Cropped or mirror-padded to another size around the centre. Never interpolated, which would remove the high
    /// frequencies.
    #[must_use]
    pub fn sized(self, size: [usize; 2]) -> Self {
        if self.size == size {
            return self;
        }
        let [rows, columns] = [0, 1].map(|axis| mirrored(self.size[axis], size[axis]));
        let at = |plane: &Vec<f64>| {
            rows.iter().flat_map(|row| columns.iter().map(move |column| plane[row * self.size[1] + column])).collect()
        };
        Self { size, channels: self.channels.iter().map(at).collect() }
    }

    /// The high frequencies: the channels minus their low-pass part.
    pub fn fine(&self, low: &LowPass) -> Vec<Vec<f64>> {
        let fine = |plane: &Vec<f64>| plane.iter().zip(low.of(plane)).map(|(value, low)| value - low).collect();
        self.channels.iter().map(fine).collect()
    }
}

/// Source index of each of `to` positions along a side of length `from`, cropped or mirrored around the centre.
pub(super) fn mirrored(from: usize, to: usize) -> Vec<usize> {
    let skipped = from.abs_diff(to) / 2;
    let period = 2 * from;
    let place = |i: usize| {
        // Before the first value comes the first again, then the second.
        let at = if from >= to { i + skipped } else { (i + period * skipped.div_ceil(period) - skipped) % period };
        at.min(period - 1 - at)
    };
    (0..to).map(place).collect()
}

/// The unbiased standard deviation.
pub fn deviation(plane: &[f64]) -> f64 {
    let mean = plane.iter().sum::<f64>() / plane.len() as f64;
    (plane.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (plane.len() - 1) as f64).sqrt()
}
