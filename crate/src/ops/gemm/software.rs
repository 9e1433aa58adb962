//! The product for the processor posing as a GPU: no workgroup memory, every factor widened and laid out beforehand, and
//! register tiles so large that loads hardly count.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::plan::{Pictures, ProductPlan, Sizes, Window};
use super::stage::{Spot, seen, spot, transposed};
use super::store::{bias_of, store};
use super::tile::zeros;
use super::weights::{F4, Format, floats, row_of};

/// Invocations of a workgroup of the kernels that lay out factors.
pub const LANES: usize = 64;

/// Invocations of a workgroup of [`product`], all along the columns: what depends on the row alone is then the same for all
/// of them. As many as lavapipe takes at once; `SwiftShader` takes four.
pub const WIDTH: usize = 8;

/// Most rows of a register tile. Every load costs these adapters a loop over their lanes, so a tile pays for as many products
/// a load as it can hold. Of 320 × 320 by 4096 columns, 16 rows of 4 vectors take 22 ms on lavapipe, 32 of 4 27, 16 of 2
/// and 32 of 2 24, 8 of 4 31 and 16 of 8 35 ms; on `SwiftShader` 142 ms, 32 of 4 116, 16 of 2 169 and 8 of 4 165 ms. In
/// Chromium 32 of 4 would be 7 to 19 % faster; but then `SwiftShader` takes 1.8 s longer to compile a pipeline.
pub const ROWS: usize = 16;

/// Vectors of columns that lie together for one term before those of the next: what few lanes read then streams through
/// memory, where whole rows would touch another page for every term.
pub const PANEL: usize = 16;

/// Terms that one invocation lays out.
pub const TERMS: usize = 16;

/// Where vector `column` of term `term` lies.
#[cube]
pub fn place(column: usize, term: usize, depth: usize) -> usize {
    (column / PANEL * depth + term) * PANEL + column % PANEL
}

/// Widens weights [rows, columns] to f32, four columns to a vector, rows filled up with zeros.
#[cube(launch_unchecked)]
pub fn widen<N: Size>(
    words: &[Vector<u32, N>],
    scales: &[u32],
    out: &mut [F4],
    rows: usize,
    columns: usize,
    #[comptime] format: Format,
    #[comptime] aligned: bool,
) {
    let at = ABSOLUTE_POS;
    let groups = columns.div_ceil(4);
    if at < rows * groups {
        out[at] = row_of::<N>(words, scales, at / groups * columns, at % groups * 4, columns, format, aligned);
    }
}

/// Vectors of columns that a workgroup of [`turn`] takes of each row: a line of the processor's cache.
pub const LINE: usize = LANES / PANEL;

/// Widens weights [rows, columns] to f32 and turns them, four rows to a vector, in panels.
#[cube(launch_unchecked)]
pub fn turn<N: Size>(
    words: &[Vector<u32, N>],
    scales: &[u32],
    out: &mut [F4],
    rows: usize,
    columns: usize,
    #[comptime] format: Format,
    #[comptime] aligned: bool,
) {
    let lane = UNIT_POS as usize;
    let row = 4 * (CUBE_POS_X as usize * PANEL + lane % PANEL);
    let column = 4 * (CUBE_POS_Y as usize * LINE + lane / PANEL);
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
        // Panels are whole, whatever the rows.
        if column + i < columns {
            out[place(row / 4, column + i, columns)] = *values.index(i);
        }
    }
}

/// Lays out what a convolution's kernel sees: `count` pixels from the first of `sizes` on, four to a vector, in panels. Where
/// there are several words to a vector, the kernel is a single pixel and vectors are four pixels of one picture.
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
    let vector = N::value();
    let at = CUBE_POS_X as usize * LANES + UNIT_POS as usize;
    if at < count.div_ceil(4) {
        // Finding a pixel takes divisions, which are dear: once for several terms.
        let mut spots = Sequence::<Spot>::new();
        #[unroll]
        for i in 0..comptime!(if vector > 1 { 1usize } else { 4 }) {
            spots.push(spot(sizes.first + 4 * at + i, &pictures, window));
        }
        let first = CUBE_POS_Y as usize * TERMS;
        for term in first..min(first + TERMS, sizes.depth) {
            // Rows are filled up to vectors of four terms.
            let mut value = F4::new(0.0f32);
            if term < terms {
                if comptime!(vector > 1) {
                    value = floats::<N>(x, spots.index(0).pixel(term, &pictures), format);
                } else {
                    #[unroll]
                    for i in 0..4usize {
                        if 4 * at + i < count {
                            value.insert(i, seen::<N>(x, spots.index(i), term, &pictures, window, format));
                        }
                    }
                }
            }
            out[place(at, term, sizes.depth)] = value;
        }
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

impl Registers {
    /// For a product of `rows` by `columns`. With few columns the tile is narrow, so that there are invocations enough for
    /// all lanes of the processor's vectors.
    pub fn of(rows: usize, columns: usize, terms: usize) -> Self {
        let columns4 = [4, 2].into_iter().find(|columns4| columns >= 4 * columns4 * WIDTH).unwrap_or(1);
        Self { rows: rows.min(ROWS), columns4, terms }
    }

    /// Workgroups of [`product`] along the rows and columns of the result.
    pub fn groups(self, rows: usize, columns: usize) -> [u32; 2] {
        [rows.div_ceil(self.rows) as u32, columns.div_ceil(4 * self.columns4 * WIDTH) as u32]
    }
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
    #[comptime] plan: ProductPlan,
    #[comptime] registers: Registers,
    #[define(L)] _factor: ElemType,
    #[define(E)] _element: ElemType,
) {
    let Registers { rows, columns4, terms } = comptime!(registers);
    let pitch = count.div_ceil(4);
    // Neighbouring workgroups are of different rows and the same columns, which so stay in the processor's cache.
    let row = CUBE_POS_X as usize * rows;
    let lane = (CUBE_POS_Y as usize * WIDTH + UNIT_POS as usize) * columns4;
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
        let mut values = Sequence::<F4>::new();
        #[unroll]
        for t in 0..terms {
            #[unroll]
            for c in 0..columns4 {
                values.push(right[panel + (k * terms + t) * PANEL + c]);
            }
        }
        #[unroll]
        for r in 0..rows {
            let factors = left[*starts.index(r) + k];
            #[unroll]
            for c in 0..columns4 {
                // All terms of one sum before the next sum: it is then read and written once, of more than there are registers.
                let sum = sums.index(r * columns4 + c);
                let mut total = sum.read();
                #[unroll]
                for t in 0..terms {
                    let factor = F4::new(f32::cast_from(factors.extract(t)));
                    total = fma(factor, *values.index(t * columns4 + c), total);
                }
                sum.store(total);
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
