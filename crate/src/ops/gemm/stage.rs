//! Staging of both factors of a product in workgroup memory: term by term, in vectors of four rows or of four columns.

use cubecl::prelude::*;

use super::plan::{Pictures, ProductPlan, Sizes, Window};
use super::tile::Tile;
use super::weights::{F4, Format, one, row_of};

/// Transposes 4×4 values.
#[cube]
pub fn transposed(rows: &Sequence<F4>) -> Sequence<F4> {
    let mut out = Sequence::<F4>::new();
    #[unroll]
    for k in 0..4usize {
        let mut column = F4::new(0.0f32);
        #[unroll]
        for r in 0..4usize {
            column.insert(r, rows.index(r).extract(k));
        }
        out.push(column);
    }
    out
}

/// The size of a stored matrix.
#[derive(CubeType, Clone, Copy)]
pub struct Extent {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Distance from a row of hidden values to the row of its gates, for GEGLU.
    pub gate: usize,
}

/// Stages rows of a stored matrix: `count4` vectors of four rows from `row` on, for the terms from `k` to `end`.
#[cube]
pub fn stage_rows<N: Size>(
    words: &[Vector<u32, N>],  // (extent.rows, extent.columns)
    scales: &[u32],            // one f16 for 32 values, two a word
    staged: &mut Shared<[F4]>, // (tile.depth, count4)
    row: usize,
    k: usize,
    end: usize,
    extent: &Extent,
    #[comptime] count4: usize,
    #[comptime] tile: Tile,
    #[comptime] format: Format,
    #[comptime] aligned: bool,
    #[comptime] gated: bool,
) {
    let blocks = comptime!(count4 * tile.depth / 4);
    #[unroll]
    for turn in 0..comptime!(blocks.div_ceil(tile.threads())) {
        let block = UNIT_POS as usize + turn * comptime!(tile.threads());
        if block < blocks {
            let at = block % count4;
            let term = k + block / count4 * 4;
            let mut values = Sequence::<F4>::new();
            #[unroll]
            for r in 0..4usize {
                // With GEGLU the second half of a tile's columns are the gates of the first half.
                let r = if comptime!(gated) {
                    let half = comptime!(count4 / 2);
                    row + 4 * (at % half) + r + at / half * extent.gate
                } else {
                    row + 4 * at + r
                };
                let mut value = F4::new(0.0f32);
                if r < extent.rows {
                    value = row_of::<N>(words, scales, r * extent.columns, term, end, format, aligned);
                }
                values.push(value);
            }
            let values = transposed(&values);
            #[unroll]
            for i in 0..4usize {
                staged[(block / count4 * 4 + i) * count4 + at] = *values.index(i);
            }
        }
    }
}

/// The window of a convolution for one output pixel.
#[derive(CubeType, Clone, Copy)]
pub struct Spot {
    /// The window's first row, in the padded input.
    y: usize,
    /// The window's first column, in the padded input.
    x: usize,
    /// Offset of the picture.
    base: usize,
}

#[cube]
impl Spot {
    /// Offset of channel `term` at the window's first pixel, in an input without padding.
    pub fn pixel(&self, term: usize, pictures: &Pictures) -> usize {
        self.base + (term * pictures.stored_height + self.y) * pictures.stored_width + self.x
    }
}

/// The spot for output pixel `column`, counted through all pictures.
#[cube]
pub fn spot(column: usize, pictures: &Pictures, #[comptime] window: Window) -> Spot {
    let pixel = column % pictures.pixels;
    let picture = column / pictures.pixels;
    Spot {
        y: pixel / pictures.out_width * comptime!(window.stride),
        x: pixel % pictures.out_width * comptime!(window.stride),
        base: picture * pictures.channels * pictures.stored_height * pictures.stored_width,
    }
}

/// One element of the im2col matrix: the pixel of the input, or the zero of its padding, that `term` has at `spot`.
#[cube]
pub fn seen<N: Size>(
    x: &[Vector<u32, N>], // (batch, channels, height, width)
    spot: &Spot,
    term: usize,
    pictures: &Pictures,
    #[comptime] window: Window,
    #[comptime] format: Format,
) -> f32 {
    let Window { side, upsample, .. } = comptime!(window);
    let channel = term / comptime!(side * side);
    let tap = term % comptime!(side * side);
    // In the padding above or to the left this wraps around to a large number, which is out of range too.
    let y = spot.y + tap / side - pictures.top;
    let column = spot.x + tap % side - pictures.left;
    let mut value = 0.0f32;
    if y < pictures.height && column < pictures.width {
        let offset = if comptime!(upsample) {
            y / 2 * pictures.stored_width + column / 2
        } else {
            y * pictures.stored_width + column
        };
        value = one::<N>(x, spot.base + channel * pictures.stored_height * pictures.stored_width + offset, format);
    }
    value
}

/// Stages the im2col matrix of the output pixels from `column` on, for the terms from `k` to `end`.
#[cube]
pub fn stage_pixels<N: Size>(
    x: &[Vector<u32, N>],      // (batch, channels, height, width)
    staged: &mut Shared<[F4]>, // (tile.depth, tile.columns / 4)
    column: usize,
    k: usize,
    end: usize,
    sizes: &Sizes,
    pictures: &Pictures,
    #[comptime] window: Window,
    #[comptime] plan: ProductPlan,
) {
    let ProductPlan { tile, activations, .. } = comptime!(plan);
    let count4 = comptime!(tile.columns() / 4);
    let at = UNIT_POS as usize % count4;
    let lane = UNIT_POS as usize / count4;
    let lanes = comptime!(tile.threads() / count4);
    let mut spots = Sequence::<Spot>::new();
    #[unroll]
    for i in 0..4usize {
        spots.push(spot(column + 4 * at + i, pictures, window));
    }
    #[unroll]
    for turn in 0..comptime!(tile.depth / lanes) {
        let row = lane + turn * lanes;
        let term = k + row;
        let mut value = F4::new(0.0f32);
        #[unroll]
        for i in 0..4usize {
            if column + 4 * at + i < sizes.columns && term < end {
                value.insert(i, seen::<N>(x, spots.index(i), term, pictures, window, activations));
            }
        }
        staged[row * count4 + at] = value;
    }
}
