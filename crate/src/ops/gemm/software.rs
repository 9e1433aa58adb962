//! The product for the processor posing as a GPU: no workgroup memory, every factor widened and laid out beforehand, and
//! register tiles so large that loads hardly count.

use cubecl::prelude::*;

use super::hardware::{Pictures, Plan, Sizes, store_pixels, store_row};
use super::tile::zeros;
use super::weights::{F4, Format, four, one};

/// Invocations of a workgroup, all along the columns: what depends on the row alone is then the same for all of them.
pub const LANES: usize = 64;

/// Vectors of columns that lie together for one term before those of the next: what few lanes read then streams through
/// memory, where whole rows would touch another page for every term.
pub const PANEL: usize = 16;

/// Where vector `column` of term `term` lies.
#[cube]
fn place(column: usize, term: usize, depth: usize) -> usize {
    (column / PANEL * depth + term) * PANEL + column % PANEL
}

/// Widens weights [rows, columns] to f32, four columns to a vector, rows filled up with zeros.
#[cube(launch_unchecked)]
pub fn widen<NW: Size>(
    words: &[Vector<u32, NW>],
    scales: &[u32],
    out: &mut [F4],
    rows: usize,
    columns: usize,
    #[comptime] format: Format,
    #[comptime] aligned: bool,
) {
    let pitch = columns.div_ceil(4);
    let at = ABSOLUTE_POS;
    if at < rows * pitch {
        let (row, column) = (at / pitch, at % pitch * 4);
        if comptime!(aligned) {
            out[at] = four::<NW>(words, scales, row * columns + column, format);
        } else {
            let mut value = F4::new(0.0f32);
            #[unroll]
            for i in 0..4usize {
                if column + i < columns {
                    value.insert(i, one::<NW>(words, row * columns + column + i, format));
                }
            }
            out[at] = value;
        }
    }
}

/// Widens and turns weights [rows, columns]: the same as f32 [columns, rows], four rows to a vector, in panels.
#[cube(launch_unchecked)]
pub fn widen_turned<NW: Size>(
    words: &[Vector<u32, NW>],
    scales: &[u32],
    out: &mut [F4],
    rows: usize,
    columns: usize,
    #[comptime] format: Format,
    #[comptime] aligned: bool,
) {
    let (groups, pitch) = (columns.div_ceil(4), rows.div_ceil(4));
    let at = ABSOLUTE_POS;
    if at < groups * pitch {
        let (column, row) = (at / pitch * 4, at % pitch * 4);
        let mut values = Sequence::<F4>::new();
        #[unroll]
        for r in 0..4usize {
            let mut value = F4::new(0.0f32);
            if row + r < rows {
                if comptime!(aligned) {
                    value = four::<NW>(words, scales, (row + r) * columns + column, format);
                } else {
                    #[unroll]
                    for i in 0..4usize {
                        if column + i < columns {
                            value.insert(i, one::<NW>(words, (row + r) * columns + column + i, format));
                        }
                    }
                }
            }
            values.push(value);
        }
        #[unroll]
        for i in 0..4usize {
            if column + i < columns {
                let mut turned = F4::new(0.0f32);
                #[unroll]
                for r in 0..4usize {
                    turned.insert(r, values.index(r).extract(i));
                }
                out[place(at % pitch, column + i, columns)] = turned;
            }
        }
    }
}

/// Lays out what a convolution's kernel sees: the pixels from `first` on, four to a vector, in panels.
#[cube(launch_unchecked)]
pub fn spread<E: Float>(
    x: &[E],
    out: &mut [F4],
    first: usize,
    count: usize,
    depth: usize,
    pictures: Pictures,
    #[comptime] plan: Plan,
    #[define(E)] _element: ElemType,
) {
    let Plan { kernel, stride, upsample, .. } = comptime!(plan);
    let pitch = count.div_ceil(4);
    let term = CUBE_POS_Y as usize;
    let at = CUBE_POS_X as usize * LANES + UNIT_POS as usize;
    // Rows are filled up to vectors of four terms.
    if at < pitch && term < depth.div_ceil(4) * 4 {
        let channel = term / comptime!(kernel * kernel);
        let tap = term % comptime!(kernel * kernel);
        let plane = channel * pictures.stored_height * pictures.stored_width;
        let mut value = F4::new(0.0f32);
        #[unroll]
        for i in 0..4usize {
            let j = 4 * at + i;
            if j < count && term < depth {
                let pixel = (first + j) % pictures.pixels;
                let picture = (first + j) / pictures.pixels;
                // Wraps around for the rows above the picture, which is then out of range too.
                let y = pixel / pictures.out_width * stride + tap / kernel - pictures.top;
                let column = pixel % pictures.out_width * stride + tap % kernel - pictures.left;
                if y < pictures.height && column < pictures.width {
                    let offset = if comptime!(upsample) {
                        y / 2 * pictures.stored_width + column / 2
                    } else {
                        y * pictures.stored_width + column
                    };
                    let base = picture * pictures.channels * pictures.stored_height * pictures.stored_width;
                    value.insert(i, f32::cast_from(x[base + plane + offset]));
                }
            }
        }
        out[place(at, term, depth.div_ceil(4) * 4)] = value;
    }
}

/// The register tile of one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Registers {
    /// Rows.
    pub rows: usize,
    /// Vectors of four columns.
    pub columns4: usize,
    /// Terms that a vector of `left` holds: 4, or 1 where rows are no multiple of four long.
    pub terms: usize,
    /// Whether the result is that of a convolution.
    pub conv: bool,
}

/// `left` [rows, depth] by `right` [depth, columns], columns filled up to vectors of four.
#[cube(launch_unchecked)]
pub fn product<L: Float, E: Float, NL: Size, NO: Size>(
    left: &[Vector<L, NL>],
    right: &[F4],
    bias: &[E],
    residual: &[Vector<E, NO>],
    out: &mut [Vector<E, NO>],
    count: usize,
    sizes: Sizes,
    pictures: Pictures,
    #[comptime] plan: Plan,
    #[comptime] registers: Registers,
    #[define(L)] _factor: ElemType,
    #[define(E)] _element: ElemType,
) {
    let Registers { rows, columns4, terms, conv } = comptime!(registers);
    let pitch = count.div_ceil(4);
    let row = CUBE_POS_Y as usize * rows;
    let lane = (CUBE_POS_X as usize * LANES + UNIT_POS as usize) * columns4;
    if lane >= pitch {
        terminate!();
    }
    let depth = sizes.depth.div_ceil(terms);
    let sums = zeros(comptime!(rows * columns4));
    let mut starts = Sequence::<usize>::new();
    #[unroll]
    for r in 0..rows {
        starts.push(min(row + r, sizes.rows - 1) * depth);
    }
    let panel = place(lane, 0, sizes.depth);
    for k in 0..depth {
        let mut factors = Sequence::<Vector<L, NL>>::new();
        #[unroll]
        for r in 0..rows {
            factors.push(left[*starts.index(r) + k]);
        }
        #[unroll]
        for t in 0..terms {
            let mut values = Sequence::<F4>::new();
            #[unroll]
            for c in 0..columns4 {
                values.push(right[panel + (k * terms + t) * PANEL + c]);
            }
            #[unroll]
            for r in 0..rows {
                let factor = F4::new(f32::cast_from(factors.index(r).extract(t)));
                #[unroll]
                for c in 0..columns4 {
                    let sum = sums.index(r * columns4 + c);
                    sum.store(fma(factor, *values.index(c), sum.read()));
                }
            }
        }
    }
    #[unroll]
    for r in 0..rows {
        #[unroll]
        for c in 0..columns4 {
            let j = 4 * (lane + c);
            if row + r < sizes.rows && j < count {
                let sum = sums.index(r * columns4 + c).read();
                if comptime!(conv) {
                    store_pixels::<E, NO>(sum, bias, residual, out, row + r, sizes.first + j, &sizes, &pictures, plan);
                } else {
                    store_row::<E, NO>(sum, bias, residual, out, row + r, j, &sizes, plan);
                }
            }
        }
    }
}
