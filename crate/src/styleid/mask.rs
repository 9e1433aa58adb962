//! Style masks: a painted mask of where on the photo a style applies, averaged to the latents and to each layer's tokens.

/// Means this close to 0 or 1 are rounded to it: a rounding error in a mask of all ones must not cost a second attention
/// branch.
const NEAR: f32 = 1e-5;

/// A mask on a grid of cells, 0 to 1, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Rows and columns.
    pub grid: [usize; 2],
    /// Mean of each cell.
    pub values: Vec<f32>,
}

impl Map {
    /// Means of `pixels`, `width` to a row, over cells of `cell` × `cell` pixels; `grid` is the number of rows and columns
    /// of cells.
    pub fn of_pixels(pixels: &[f32], width: usize, cell: usize, grid: [usize; 2]) -> Self {
        Self::averaged(pixels, [pixels.len() / width, width], cell, grid)
    }

    /// The mask on the tokens of a level. A token covers `2^level` cells along each side; the last ones may cover fewer.
    #[must_use]
    pub fn coarser(&self, level: usize) -> Self {
        let cell = 1 << level;
        Self::averaged(&self.values, self.grid, cell, self.grid.map(|side| side.div_ceil(cell)))
    }

    fn averaged(values: &[f32], [height, width]: [usize; 2], cell: usize, grid: [usize; 2]) -> Self {
        let mean = |row: usize, column: usize| {
            let columns = column * cell..width.min((column + 1) * cell);
            let rows = row * cell..height.min((row + 1) * cell);
            let count = (columns.len() * rows.len()) as f64;
            let sum: f64 =
                rows.flat_map(|y| &values[y * width..][columns.clone()]).map(|&value| f64::from(value)).sum();
            let mean = (sum / count) as f32;
            if mean < NEAR {
                0.0
            } else if mean > 1.0 - NEAR {
                1.0
            } else {
                mean
            }
        };
        let means = (0..grid[0]).flat_map(|row| (0..grid[1]).map(move |column| (row, column)));
        Self { grid, values: means.map(|(row, column)| mean(row, column)).collect() }
    }

    /// Whether it is 1 everywhere.
    pub fn is_one(&self) -> bool {
        self.values.iter().all(|&value| value == 1.0)
    }

    /// Whether it is 0 everywhere.
    pub fn is_zero(&self) -> bool {
        self.values.iter().all(|&value| value == 0.0)
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;
    use crate::picture::{Frame, Mask, Size};

    #[test]
    fn cells_are_means_and_the_last_may_be_smaller() {
        let pixels: Vec<f32> = (0..7 * 5).map(|i| if i % 7 < 3 { 1.0 } else { 0.0 }).collect();
        let latents = Map::of_pixels(&pixels, 7, 2, [2, 3]);
        assert_eq!(latents.values, [1.0, 0.5, 0.0, 1.0, 0.5, 0.0]);
        let tokens = latents.coarser(1);
        assert_eq!((tokens.grid, &tokens.values[..]), ([1, 2], &[0.75, 0.0][..]));
        assert_eq!(latents.coarser(0), latents);
        assert_eq!(latents.coarser(5).values, [0.5]);
    }

    #[test]
    fn all_ones_and_all_zeros_stay_exact_on_every_grid() {
        for (byte, is) in [(255, [true, false]), (0, [false, true]), (254, [false; 2]), (1, [false; 2])] {
            let mask = Mask::new(GrayImage::from_pixel(37, 23, Luma([byte])));
            let frame = Frame::new((301, 203), Size::Square(120), true, 8).expect("large enough");
            assert_eq!(frame.size, (120, 80));
            let latents = Map::of_pixels(&frame.fit_mask(&mask), 120, 8, [10, 15]);
            for level in 0..4 {
                let map = latents.coarser(level);
                assert_eq!([map.is_one(), map.is_zero()], is, "{byte} at level {level}");
            }
        }
    }
}
