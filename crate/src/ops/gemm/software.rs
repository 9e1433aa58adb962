//! Matrix products for software adapters, which run shaders on the processor. There is no workgroup memory: weights and patches
//! are widened to f32 and laid out beforehand, and register tiles are so large that loads hardly count.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::plan::{Bias, Pictures, ProductPlan, Sizes, Window};
use super::stage::{Spot, seen, spot, transposed};
use super::store::{bias_of, store, target};
use super::tile::zeros;
use super::weights::{F4, Format, floats, row_of};
use crate::ops::launch::Lanes;

/// Workgroup size of the kernels that lay out factors.
pub const LANES: usize = 64;

/// Most rows of a register tile. These adapters run each load as a loop over their lanes, so large tiles pay: they do more
/// multiply-adds per load. For 320 × 320 by 320 × 4096, tiles of rows × vectors take on lavapipe: 16 × 4 22 ms, 16 × 2 and
/// 32 × 2 24 ms, 32 × 4 27 ms, 8 × 4 31 ms, 16 × 8 35 ms; on `SwiftShader`: 32 × 4 116 ms, 16 × 4 142 ms, 8 × 4 165 ms,
/// 16 × 2 169 ms. In Chromium 32 × 4 would be 7 to 19 % faster, but `SwiftShader` then takes 1.8 s longer to compile a pipeline.
pub const ROWS: usize = 16;

/// Most rows of a register tile where the lanes of a subgroup share the loads of rows. On lavapipe, with the sizes above: 32 × 2
/// 14 ms, 16 × 2 and 32 × 4 18 ms, 64 × 2 17 ms.
pub const SHARED_ROWS: usize = 32;

/// Vectors in a row of a panel: a panel stores this many vectors of columns for one term, then the same columns for the next
/// term. A few lanes thus read contiguous memory; with whole rows, they would touch another page for every term.
pub const PANEL: usize = 16;

/// Terms that one invocation of [`spread`] lays out.
pub const TERMS: usize = 16;

/// Offset of vector `column` of term `term` in panels.
#[cube]
pub fn place(column: usize, term: usize, depth: usize) -> usize {
    (column / PANEL * depth + term) * PANEL + column % PANEL
}

/// Widens weights to f32, four columns to a vector; the last vector of a row is zero-padded.
#[cube(launch_unchecked)]
pub fn widen<N: Size>(
    words: &[Vector<u32, N>], // (rows, columns)
    scales: &[u32],           // (rows, columns / 32), two f16 a word
    out: &mut [F4],           // (rows, columns)
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

/// Vectors of columns that a workgroup of [`turn`] reads from each row: one cache line.
pub const LINE: usize = LANES / PANEL;

/// Widens weights to f32 and transposes them into panels, four rows to a vector.
#[cube(launch_unchecked)]
pub fn turn<N: Size>(
    words: &[Vector<u32, N>], // (rows, columns)
    scales: &[u32],           // (rows, columns / 32), two f16 a word
    out: &mut [F4],           // (columns, rows) in panels
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
        // No check of the rows: the last panel is allocated whole.
        if column + i < columns {
            out[place(row / 4, column + i, columns)] = *values.index(i);
        }
    }
}

/// im2col: lays out the patches of `count` output pixels from `sizes.first` on, in panels of vectors of four pixels. If `x` has
/// several words to a vector, the convolution is 1×1 and a vector of `x` is four pixels of one picture.
#[cube(launch_unchecked)]
pub fn spread<N: Size>(
    x: &[Vector<u32, N>], // (batch, channels, height, width)
    out: &mut [F4],       // (depth, count) in panels
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
        // Locating a pixel takes divisions, which are expensive: once for several terms.
        let mut spots = Sequence::<Spot>::new();
        #[unroll]
        for i in 0..comptime!(if vector > 1 { 1usize } else { 4 }) {
            spots.push(spot(sizes.first + 4 * at + i, &pictures, window));
        }
        let first = CUBE_POS_Y as usize * TERMS;
        for term in first..min(first + TERMS, sizes.depth) {
            // Terms are zero-padded to a multiple of four.
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
    /// Terms in a vector of `left`: 4, or 1 if the row length is not a multiple of four.
    pub terms: usize,
    /// The workgroup; its lanes share the loads of `left`.
    pub lanes: Lanes,
}

impl Registers {
    /// For a product of `rows` by `columns`. With few columns the tile is narrow, so that there are enough invocations to
    /// fill the processor's SIMD lanes.
    pub fn of(rows: usize, columns: usize, terms: usize, lanes: Lanes) -> Self {
        let Lanes { count, shared } = lanes;
        let shared = shared && rows >= count;
        let most = if shared { 2 } else { 4 };
        let columns4 = [4, 2].into_iter().find(|&wide| wide <= most && columns >= 4 * wide * count).unwrap_or(1);
        let rows = if shared { SHARED_ROWS.min(rows.next_multiple_of(count)) } else { ROWS.min(rows) };
        Self { rows, columns4, terms, lanes: Lanes { count, shared } }
    }

    /// Workgroups of [`product`] along the rows and columns of the result.
    pub fn groups(self, rows: usize, columns: usize) -> [u32; 2] {
        [rows.div_ceil(self.rows) as u32, columns.div_ceil(4 * self.columns4 * self.lanes.count) as u32]
    }
}

/// `left` times `right` for `count` columns, padded to vectors of four. The grid's z is the product of a batched launch: its
/// operands follow each other, and so do the columns of its results.
#[cube(launch_unchecked)]
pub fn product<L: Float, E: Float, NL: Size, NO: Size>(
    left: &[Vector<L, NL>],     // (products, rows, depth), `terms` of a row to a vector
    right: &[F4],               // (products, depth, count) in panels
    bias: &[f32],               // (1 or batch, rows) in a convolution, (columns) in a linear layer
    residual: &[Vector<E, NO>], // of out's shape
    out: &mut [Vector<E, NO>],  // (batch, rows, pixels); (rows, columns) in a linear layer
    count: usize,
    sizes: Sizes,
    pictures: Pictures,
    #[comptime] plan: ProductPlan,
    #[comptime] registers: Registers,
    #[define(L)] _factor: ElemType,
    #[define(E)] _element: ElemType,
) {
    let Registers { rows, columns4, terms, lanes } = comptime!(registers);
    let Lanes { count: width, shared } = comptime!(lanes);
    let pitch = count.div_ceil(4);
    // Neighbouring workgroups take different rows and the same columns, so the columns stay in the processor's cache.
    let row = CUBE_POS_X as usize * rows;
    let lane = (CUBE_POS_Y as usize * width + UNIT_POS as usize) * columns4;
    // Lanes that share loads stay together: those past the end read the rest of the last panel and write nothing.
    if comptime!(!shared) && lane >= pitch {
        terminate!();
    }
    let depth = sizes.depth.div_ceil(terms);
    let product = CUBE_POS_Z as usize;
    let sums = zeros(comptime!(rows * columns4));
    let mut starts = Sequence::<usize>::new();
    #[unroll]
    for r in 0..comptime!(if shared { rows / width } else { rows }) {
        let own = if comptime!(shared) { row + r * width + UNIT_POS as usize } else { row + r };
        starts.push((product * sizes.rows + min(own, sizes.rows - 1)) * depth);
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
        let mut own = Sequence::<Vector<f32, NL>>::new();
        if comptime!(shared) {
            #[unroll]
            for r in 0..comptime!(rows / width) {
                own.push(Vector::cast_from(left[*starts.index(r) + k]));
            }
        }
        #[unroll]
        for r in 0..rows {
            let factors = if comptime!(shared) {
                plane_broadcast(*own.index(comptime!(r / width)), comptime!((r % width) as u32))
            } else {
                Vector::<f32, NL>::cast_from(left[*starts.index(r) + k])
            };
            #[unroll]
            for c in 0..columns4 {
                // There are more sums than registers: with all terms of a sum in turn, it is loaded and stored only once.
                let sum = sums.index(r * columns4 + c);
                let mut total = sum.read();
                #[unroll]
                for t in 0..terms {
                    total = fma(F4::new(factors.extract(t)), *values.index(t * columns4 + c), total);
                }
                sum.store(total);
            }
        }
    }
    #[unroll]
    for c in 0..columns4 {
        let j = 4 * (lane + c);
        if j < count {
            let vector = NO::value();
            let target = target(sizes.first + product * count + j, &sizes, &pictures, vector);
            let mut shift = bias_of(bias, row, &target, 0, &sizes, &pictures, plan.bias, vector);
            #[unroll]
            for r in 0..rows {
                if row + r < sizes.rows {
                    if comptime!(plan.bias == Bias::Rows && r > 0) {
                        shift = bias_of(bias, row + r, &target, 0, &sizes, &pictures, plan.bias, vector);
                    }
                    let sum = sums.index(r * columns4 + c).read() + shift;
                    store::<E, NO>(sum, residual, out, row + r, &target, &sizes, &pictures, plan);
                }
            }
        }
    }
}
