//! The distance between two pictures' colours: the Hellinger distance of their RGB-uv histograms (Afifi, Brubaker and
//! Brown, *`HistoGAN`*, CVPR 2021, equations 1 to 4 and 9). The settings are those of `StyleID`'s evaluation: 64 bins a
//! side, pictures of at most 256 pixels a side, inverse-quadratic kernels with σ = 0.02.

use image::RgbImage;

/// Number of bins along u and along v, whose centres go from −3 to 3.
const BINS: usize = 64;
/// Larger pictures are scaled to a square of this side.
const SIDE: usize = 256;
/// Width of a bin's kernel.
const SIGMA: f64 = 0.02;
const EPSILON: f64 = 1e-6;

/// A picture's histogram: 3 × 64 × 64 shares that add up to 1.
#[derive(Debug, Clone)]
pub struct Histogram(Vec<f64>);

impl Histogram {
    /// Computes the histogram of a picture.
    pub fn new(picture: &RgbImage) -> Self {
        let mut bins = vec![0.0; 3 * BINS * BINS];
        let centres: Vec<f64> = (0..BINS).map(|i| -3.0 + 6.0 * i as f64 / (BINS - 1) as f64).collect();
        let near =
            |x: f64| -> [f64; BINS] { std::array::from_fn(|i| 1.0 / (1.0 + ((x - centres[i]) / SIGMA).powi(2))) };
        for pixel in pixels(picture) {
            let light = (pixel.iter().map(|x| x * x).sum::<f64>() + EPSILON).sqrt();
            let logs = pixel.map(|x| (x + EPSILON).ln());
            // u and v of a channel: its logarithm minus those of the other two.
            for (channel, [u, v]) in [[1, 2], [0, 2], [0, 1]].into_iter().enumerate() {
                let (u, v) = (near(logs[channel] - logs[u]), near(logs[channel] - logs[v]));
                for (row, u) in bins[channel * BINS * BINS..][..BINS * BINS].chunks_exact_mut(BINS).zip(u) {
                    let share = light * u;
                    for (bin, v) in row.iter_mut().zip(v) {
                        *bin += share * v;
                    }
                }
            }
        }
        let sum = bins.iter().sum::<f64>() + EPSILON;
        Self(bins.into_iter().map(|bin| bin / sum).collect())
    }

    /// The distance to another picture's colours, from 0, the same, to 1, nothing in common.
    pub fn distance(&self, other: &Self) -> f64 {
        let squares = self.0.iter().zip(&other.0).map(|(a, b)| (a.sqrt() - b.sqrt()).powi(2));
        (squares.sum::<f64>() / 2.0).sqrt()
    }
}

/// Pixels in 0…1. A picture with a side longer than [`SIDE`] is scaled bilinearly, as torch's `interpolate` does with
/// `align_corners=False`.
fn pixels(picture: &RgbImage) -> Vec<[f64; 3]> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let at = |x: usize, y: usize| picture.get_pixel(x as u32, y as u32).0.map(|byte| f64::from(byte) / 255.0);
    if width.max(height) <= SIDE {
        return (0..height).flat_map(|y| (0..width).map(move |x| at(x, y))).collect();
    }
    let places = |length: usize| -> Vec<(usize, usize, f64)> {
        (0..SIDE)
            .map(|i| {
                let x = ((i as f64 + 0.5) * length as f64 / SIDE as f64 - 0.5).max(0.0);
                let first = (x as usize).min(length - 1);
                (first, (first + 1).min(length - 1), x - first as f64)
            })
            .collect()
    };
    let (columns, rows) = (places(width), places(height));
    let mix = |a: [f64; 3], b: [f64; 3], share: f64| -> [f64; 3] {
        std::array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * share)
    };
    let mut pixels = Vec::with_capacity(SIDE * SIDE);
    for &(top, bottom, down) in &rows {
        for &(left, right, along) in &columns {
            let above = mix(at(left, top), at(right, top), along);
            pixels.push(mix(above, mix(at(left, bottom), at(right, bottom), along), down));
        }
    }
    pixels
}
