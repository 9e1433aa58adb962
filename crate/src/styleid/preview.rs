//! Previews of latents without the decoder: a linear map from latent channels to red, green and blue. It is fitted by least
//! squares to the pictures of the run, whose latents are known, and so works for every autoencoder of four channels.

use burn::tensor::Tensor;
use image::RgbImage;

use crate::Result;

/// Latent channels plus a constant 1.
const INPUTS: usize = 5;
const CHANNELS: usize = INPUTS - 1;

/// Sums for the normal equations: Σ a·aᵀ and Σ a·rgbᵀ over latents a (with 1 appended) and their colours.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColourFit {
    squares: [[f64; INPUTS]; INPUTS],
    products: [[f64; 3]; INPUTS],
}

impl ColourFit {
    /// Adds a picture: its latents, [`values`] of `[1, 4, height, width]`, and its pixels averaged to their grid.
    pub fn add(&mut self, latents: &[f32], (width, height): (usize, usize), picture: &RgbImage) {
        let colours = averaged(picture, (width, height));
        let plane = width * height;
        for (i, colour) in colours.iter().enumerate() {
            let input = input(latents, plane, i);
            for (row, a) in input.into_iter().enumerate() {
                for (sum, b) in self.squares[row].iter_mut().zip(input) {
                    *sum += a * b;
                }
                for (sum, c) in self.products[row].iter_mut().zip(colour) {
                    *sum += a * c;
                }
            }
        }
    }

    /// The least-squares map. If the pictures do not determine it (all of one colour, say), one of the best.
    pub fn solve(&self) -> LatentColours {
        let mut rows: [[f64; INPUTS + 3]; INPUTS] = std::array::from_fn(|row| {
            std::array::from_fn(|i| if i < INPUTS { self.squares[row][i] } else { self.products[row][i - INPUTS] })
        });
        // A ridge so small that it only decides what the pictures leave open.
        let ridge = 1e-12 * (0..INPUTS).map(|i| self.squares[i][i]).fold(1e-12, f64::max);
        for (i, row) in rows.iter_mut().enumerate() {
            row[i] += ridge;
        }
        // Gauss–Jordan elimination. The matrix is positive definite; pivoting limits error growth if it is nearly singular.
        for column in 0..INPUTS {
            let largest = (column..INPUTS).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()));
            rows.swap(column, largest.unwrap_or(column));
            let pivot = rows[column].map(|value| value / rows[column][column]);
            rows[column] = pivot;
            for (i, row) in rows.iter_mut().enumerate() {
                if i != column {
                    let factor = row[column];
                    row.iter_mut().zip(pivot).for_each(|(value, above)| *value -= factor * above);
                }
            }
        }
        LatentColours(std::array::from_fn(|colour| std::array::from_fn(|i| rows[i][INPUTS + colour])))
    }
}

/// A linear map from latents to red, green and blue in 0…255: one row per colour, whose last entry is the offset.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentColours([[f64; INPUTS]; 3]);

impl LatentColours {
    /// The picture of latents, one pixel per latent.
    pub fn picture(&self, latents: &[f32], (width, height): (usize, usize)) -> RgbImage {
        let plane = width * height;
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let colour = self.of(input(latents, plane, y as usize * width + x as usize));
            image::Rgb(colour.map(|value| value.round().clamp(0.0, 255.0) as u8))
        })
    }

    /// Red, green and blue of one latent, neither rounded nor clamped to 0…255.
    pub fn colour(&self, [a, b, c, d]: [f64; CHANNELS]) -> [f64; 3] {
        self.of([a, b, c, d, 1.0])
    }

    fn of(&self, input: [f64; INPUTS]) -> [f64; 3] {
        self.0.map(|row| row.into_iter().zip(input).map(|(a, b)| a * b).sum())
    }
}

fn input(latents: &[f32], plane: usize, i: usize) -> [f64; INPUTS] {
    std::array::from_fn(|channel| if channel < CHANNELS { f64::from(latents[channel * plane + i]) } else { 1.0 })
}

/// Mean colours of `width` × `height` equal cells of a picture. Pixels at the right and bottom that fill no cell are left
/// out, as in the autoencoder.
fn averaged(picture: &RgbImage, (width, height): (usize, usize)) -> Vec<[f64; 3]> {
    let across = (picture.width() as usize / width).max(1);
    let down = (picture.height() as usize / height).max(1);
    let stride = 3 * picture.width() as usize;
    let mut sums = vec![[0.0; 3]; width * height];
    for (y, row) in picture.as_raw().chunks_exact(stride).take(height * down).enumerate() {
        for (x, pixel) in row.chunks_exact(3).take(width * across).enumerate() {
            let sum = &mut sums[(y / down) * width + x / across];
            sum.iter_mut().zip(pixel).for_each(|(sum, byte)| *sum += f64::from(*byte));
        }
    }
    let count = (across * down) as f64;
    sums.into_iter().map(|sum| sum.map(|sum| sum / count)).collect()
}

/// Latents `[1, 4, height, width]` read from the device, with their width and height. `None` for another number of
/// channels: such latents have no preview.
///
/// # Errors
/// A device that stopped.
pub async fn values(latents: &Tensor<4>) -> Result<Option<(Vec<f32>, (usize, usize))>> {
    let [_, channels, height, width] = latents.dims();
    if channels != CHANNELS {
        return Ok(None);
    }
    let values = latents.clone().into_data_async().await?.iter::<f32>().collect();
    Ok(Some((values, (width, height))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (usize, usize) = (16, 12);

    fn noise(count: usize, seed: u32) -> Vec<f32> {
        crate::diffusion::randn::randn(seed, count)
    }

    /// A picture whose 2 × 2 parts have the colours that `map` makes of latents.
    fn picture_of(latents: &[f32], map: &LatentColours) -> RgbImage {
        let small = map.picture(latents, SIZE);
        image::imageops::resize(&small, 2 * SIZE.0 as u32, 2 * SIZE.1 as u32, image::imageops::FilterType::Nearest)
    }

    #[test]
    fn a_linear_picture_is_found_again() {
        let map = LatentColours([
            [20.0, -9.0, 4.0, 7.0, 120.0],
            [3.0, 14.0, -6.0, 2.0, 110.0],
            [-8.0, 1.0, 12.0, 5.0, 130.0],
        ]);
        let latents = noise(4 * 16 * 12, 1);
        let mut moments = ColourFit::default();
        moments.add(&latents, SIZE, &picture_of(&latents, &map));
        for (ours, row) in moments.solve().0.iter().zip(map.0) {
            for (ours, theirs) in ours.iter().zip(row) {
                // Rounding to bytes: an error of 0.29 per pixel, averaged over 192 pixels.
                assert!((ours - theirs).abs() < 0.1, "{ours} for {theirs}");
            }
        }
    }

    /// Least squares by gradient descent: slow, but independent of the code under test.
    fn descended(samples: &[([f64; INPUTS], [f64; 3])]) -> [[f64; INPUTS]; 3] {
        let mut map = [[0.0; INPUTS]; 3];
        let trace: f64 = samples.iter().map(|(a, _)| a.iter().map(|x| x * x).sum::<f64>()).sum();
        for _ in 0..20_000 {
            for (colour, row) in map.iter_mut().enumerate() {
                let mut gradient = [0.0; INPUTS];
                for (a, rgb) in samples {
                    let error: f64 = row.iter().zip(a).map(|(m, x)| m * x).sum::<f64>() - rgb[colour];
                    gradient.iter_mut().zip(a).for_each(|(g, x)| *g += error * x);
                }
                row.iter_mut().zip(gradient).for_each(|(m, g)| *m -= g / trace);
            }
        }
        map
    }

    #[test]
    fn two_pictures_give_the_least_squares_of_both() {
        let mut moments = ColourFit::default();
        let mut samples = Vec::new();
        for seed in [3, 4] {
            let latents = noise(4 * 16 * 12, seed);
            let picture = RgbImage::from_fn(35, 25, |x, y| {
                image::Rgb([(x * 7) as u8, (y * 9 + seed) as u8, ((x * y) % 251) as u8])
            });
            moments.add(&latents, SIZE, &picture);
            for y in 0..SIZE.1 {
                for x in 0..SIZE.0 {
                    let pixels = [(0, 0), (1, 0), (0, 1), (1, 1)]
                        .map(|(dx, dy)| picture.get_pixel((2 * x + dx) as u32, (2 * y + dy) as u32).0.map(f64::from));
                    let mean = std::array::from_fn(|c| pixels.iter().map(|pixel| pixel[c]).sum::<f64>() / 4.0);
                    let at = |channel: usize| f64::from(latents[(channel * SIZE.1 + y) * SIZE.0 + x]);
                    samples.push(([at(0), at(1), at(2), at(3), 1.0], mean));
                }
            }
        }
        for (ours, row) in moments.solve().0.iter().zip(descended(&samples)) {
            for (ours, theirs) in ours.iter().zip(row) {
                assert!((ours - theirs).abs() < 1e-4, "{ours} for {theirs}");
            }
        }
    }

    #[test]
    fn latents_of_another_number_of_channels_have_no_preview() {
        let found = |channels: usize| {
            let latents = Tensor::<4>::zeros([1, channels, 2, 3], &crate::device::cpu());
            pollster::block_on(values(&latents)).expect("the processor does not stop")
        };
        assert_eq!(found(4), Some((vec![0.0; 24], (3, 2))));
        assert_eq!([found(3), found(16)], [None, None]);
    }

    #[test]
    fn one_colour_is_shown_as_it_is() {
        let mut moments = ColourFit::default();
        let latents = vec![0.5; 4 * 16 * 12];
        moments.add(&latents, SIZE, &RgbImage::from_pixel(32, 24, image::Rgb([10, 200, 77])));
        assert!(moments.solve().picture(&latents, SIZE).pixels().all(|pixel| pixel.0 == [10, 200, 77]));
        assert_eq!(
            ColourFit::default().solve().picture(&latents, SIZE).dimensions(),
            (16, 12),
            "nothing is no failure"
        );
    }
}
