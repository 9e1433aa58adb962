//! The product for the processor posing as a GPU: no workgroup memory, every factor widened and laid out beforehand, and
//! register tiles so large that loads hardly count.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::plan::{Pictures, Plan, Sizes, Window};
use super::stage::{seen, spot, transposed};
use super::store::{bias_of, store};
use super::tile::zeros;
use super::weights::{F4, Format, row_of};

/// Invocations of a workgroup, all along the columns: what depends on the row alone is then the same for all of them.
pub const LANES: usize = 64;

/// Vectors of columns that lie together for one term before those of the next: what few lanes read then streams through
/// memory, where whole rows would touch another page for every term.
pub const PANEL: usize = 16;

/// Where vector `column` of term `term` lies.
#[cube]
pub fn place(column: usize, term: usize, depth: usize) -> usize {
    (column / PANEL * depth + term) * PANEL + column % PANEL
}

/// Widens weights [rows, columns] to f32, four columns to a vector, rows filled up with zeros; or turned, four rows to a
/// vector, in panels.
#[cube(launch_unchecked)]
pub fn widen<N: Size>(
    words: &[Vector<u32, N>],
    scales: &[u32],
    out: &mut [F4],
    rows: usize,
    columns: usize,
    #[comptime] format: Format,
    #[comptime] aligned: bool,
    #[comptime] turned: bool,
) {
    let at = ABSOLUTE_POS;
    let groups = columns.div_ceil(4);
    if comptime!(turned) {
        let pitch = rows.div_ceil(4);
        let (column, row) = (at / pitch * 4, at % pitch * 4);
        if at < groups * pitch {
            let mut values = Sequence::<F4>::new();
            #[unroll]
            for r in 0..4usize {
                let mut value = F4::new(0.0f32);
                if row + r < rows {
                    value = row_of::<N>(words, scales, (row + r) * columns, column, columns, format, aligned);
                }
                values.push(value);
            }
            let values = transposed(&values);
            #[unroll]
            for i in 0..4usize {
                if column + i < columns {
                    out[place(row / 4, column + i, columns)] = *values.index(i);
                }
            }
        }
    } else if at < rows * groups {
        out[at] = row_of::<N>(words, scales, at / groups * columns, at % groups * 4, columns, format, aligned);
    }
}

/// Lays out what a convolution's kernel sees: `count` pixels from the first of `sizes` on, four to a vector, in panels.
#[cube(launch_unchecked)]
pub fn spread<N: Size>(
    x: &[Vector<u32, N>],
    out: &mut [F4],
    count: usize,
    terms: usize,
    sizes: Sizes,
    pictures: Pictures,
    #[comptime] window: Window,
    #[comptime] format: Format,
) {
    let term = CUBE_POS_Y as usize;
    let at = CUBE_POS_X as usize * LANES + UNIT_POS as usize;
    // Rows are filled up to vectors of four terms.
    if at < count.div_ceil(4) {
        let mut value = F4::new(0.0f32);
        #[unroll]
        for i in 0..4usize {
            if 4 * at + i < count && term < terms {
                let spot = spot(sizes.first + 4 * at + i, &pictures, window);
                value.insert(i, seen::<N>(x, &spot, term, &pictures, window, format));
            }
        }
        out[place(at, term, sizes.depth)] = value;
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
}

/// `left` [rows, depth] by `right` [depth, columns], columns filled up to vectors of four. Several such products at once lie
/// one after the other, and so do the columns of their results.
#[cube(launch_unchecked)]
pub fn product<L: Float, E: Float, NL: Size, NO: Size>(
    left: &[Vector<L, NL>],
    right: &[F4],
    bias: &[f32],
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
    let Registers { rows, columns4, terms } = comptime!(registers);
    let pitch = count.div_ceil(4);
    let row = CUBE_POS_Y as usize * rows;
    let lane = (CUBE_POS_X as usize * LANES + UNIT_POS as usize) * columns4;
    if lane >= pitch {
        terminate!();
    }
    let depth = sizes.depth.div_ceil(terms);
    let product = CUBE_POS_Z as usize;
    let sums = zeros(comptime!(rows * columns4));
    let mut starts = Sequence::<usize>::new();
    #[unroll]
    for r in 0..rows {
        starts.push((product * sizes.rows + min(row + r, sizes.rows - 1)) * depth);
    }
    let panel = place(product * pitch.div_ceil(PANEL) * PANEL + lane, 0, sizes.depth);
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
                let (i, j) = (row + r, sizes.first + product * count + j);
                let shift = bias_of(bias, i, j, 0, &sizes, &pictures, plan.bias);
                let sum = sums.index(r * columns4 + c).read() + shift;
                store::<E, NO>(sum, residual, out, i, j, &sizes, &pictures, plan);
            }
        }
    }
}
