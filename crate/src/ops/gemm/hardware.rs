//! The product for GPUs: a workgroup stages tiles of both factors in its memory, each invocation sums a register tile.

use cubecl::prelude::*;

use super::tile::{Tile, multiply, zeros};
use super::weights::{F4, Format, four, one};

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plan {
    /// How the work is divided.
    pub tile: Tile,
    /// How the weights are stored.
    pub format: Format,
    /// Whether rows of the weights are a multiple of four columns long.
    pub aligned: bool,
    /// Side of a convolution's kernel.
    pub kernel: usize,
    /// Step of a convolution's kernel.
    pub stride: usize,
    /// Whether a convolution sees every pixel doubled along both sides.
    pub upsample: bool,
    /// Whether there is a bias.
    pub bias: bool,
    /// Whether something is added to the result.
    pub residual: bool,
    /// Whether the left half of the columns is multiplied by gelu of the right half.
    pub geglu: bool,
    /// Whether the sum is cut into parts, which another kernel adds up.
    pub split: bool,
}

/// The sizes of a product: `left` [rows, depth] by `right` [depth, columns].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Sizes {
    /// Rows of the product.
    pub rows: usize,
    /// Columns of the product, of all pictures of a batch.
    pub columns: usize,
    /// Terms of each sum.
    pub depth: usize,
    /// Terms that one workgroup adds; a multiple of the tile's depth.
    pub part: usize,
    /// Workgroups that came in launches before, along the columns.
    pub first: usize,
}

/// The pictures of a convolution.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Pictures {
    /// Height of the input, after doubling if that is done.
    pub height: usize,
    /// Width of the input, after doubling if that is done.
    pub width: usize,
    /// Height of the input as it is stored.
    pub stored_height: usize,
    /// Width of the input as it is stored.
    pub stored_width: usize,
    /// Channels of the input.
    pub channels: usize,
    /// Width of the output.
    pub out_width: usize,
    /// Pixels of one output.
    pub pixels: usize,
    /// Rows of zeros above the input.
    pub top: usize,
    /// Columns of zeros to its left.
    pub left: usize,
    /// Distance between the biases of two pictures: 0 if they share one.
    pub bias_stride: usize,
}

/// Columns of 4×4 values turned into rows.
#[cube]
fn transposed(rows: &Sequence<F4>) -> Sequence<F4> {
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

/// Stages weights: vectors of four of their rows, `count4` vectors from `row` on, of the terms from `k` on.
#[cube]
fn stage_weights<NW: Size>(
    words: &[Vector<u32, NW>],
    scales: &[u32],
    staged: &mut Shared<[F4]>,
    row: usize,
    rows: usize,
    k: usize,
    end: usize,
    depth: usize,
    gate: usize,
    #[comptime] count4: usize,
    #[comptime] plan: Plan,
) {
    let Plan { tile, format, aligned, geglu, .. } = comptime!(plan);
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
                // With GEGLU the second half of a block's columns are the gates of the first.
                let r = if comptime!(geglu) {
                    let half = comptime!(count4 / 2);
                    let side = at / half;
                    row + 4 * (at % half) + r + side * gate
                } else {
                    row + 4 * at + r
                };
                let mut value = F4::new(0.0f32);
                if comptime!(aligned) {
                    if r < rows && term < end {
                        value = four::<NW>(words, scales, r * depth + term, format);
                    }
                } else {
                    #[unroll]
                    for i in 0..4usize {
                        if r < rows && term + i < end {
                            value.insert(i, one::<NW>(words, r * depth + term + i, format));
                        }
                    }
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

/// Stages rows of activations as [`stage_weights`] does.
#[cube]
fn stage_rows<E: Float, NX: Size>(
    x: &[Vector<E, NX>],
    staged: &mut Shared<[F4]>,
    row: usize,
    rows: usize,
    k: usize,
    end: usize,
    depth: usize,
    #[comptime] count4: usize,
    #[comptime] plan: Plan,
) {
    let Plan { tile, aligned, .. } = comptime!(plan);
    let blocks = comptime!(count4 * tile.depth / 4);
    #[unroll]
    for turn in 0..comptime!(blocks.div_ceil(tile.threads())) {
        let block = UNIT_POS as usize + turn * comptime!(tile.threads());
        if block < blocks {
            // Neighbours take neighbouring terms, which are neighbours in memory too.
            let lanes = comptime!(tile.depth / 4);
            let at = block / lanes;
            let offset = block % lanes * 4;
            let term = k + offset;
            let mut values = Sequence::<F4>::new();
            #[unroll]
            for r in 0..4usize {
                let r = row + 4 * at + r;
                let mut value = F4::new(0.0f32);
                if comptime!(aligned) {
                    if r < rows && term < end {
                        let read = x[(r * depth + term) / 4];
                        #[unroll]
                        for i in 0..4usize {
                            value.insert(i, f32::cast_from(read.extract(i)));
                        }
                    }
                } else {
                    #[unroll]
                    for i in 0..4usize {
                        if r < rows && term + i < end {
                            value.insert(i, f32::cast_from(x[r * depth + term + i].extract(0usize)));
                        }
                    }
                }
                values.push(value);
            }
            let values = transposed(&values);
            #[unroll]
            for i in 0..4usize {
                staged[(offset + i) * count4 + at] = *values.index(i);
            }
        }
    }
}

/// Stages what a convolution's kernel sees at four neighbouring output pixels, for the terms from `k` on.
#[cube]
fn stage_pixels<E: Float>(
    x: &[E],
    staged: &mut Shared<[F4]>,
    column: usize,
    columns: usize,
    k: usize,
    end: usize,
    pictures: &Pictures,
    #[comptime] plan: Plan,
) {
    let Plan { tile, kernel, stride, upsample, .. } = comptime!(plan);
    let count4 = comptime!(tile.columns() / 4);
    let at = UNIT_POS as usize % count4;
    let lane = UNIT_POS as usize / count4;
    let lanes = comptime!(tile.threads() / count4);
    // Where the kernel's first pixel lies for each of the four, in the padded input.
    let mut ys = Sequence::<usize>::new();
    let mut xs = Sequence::<usize>::new();
    let mut bases = Sequence::<usize>::new();
    let mut inside = Sequence::<bool>::new();
    #[unroll]
    for i in 0..4usize {
        let j = column + 4 * at + i;
        let pixel = j % pictures.pixels;
        let picture = j / pictures.pixels;
        ys.push(pixel / pictures.out_width * stride);
        xs.push(pixel % pictures.out_width * stride);
        bases.push(picture * pictures.channels * pictures.stored_height * pictures.stored_width);
        inside.push(j < columns);
    }
    #[unroll]
    for turn in 0..comptime!(tile.depth / lanes) {
        let row = lane + turn * lanes;
        let term = k + row;
        let channel = term / comptime!(kernel * kernel);
        let tap = term % comptime!(kernel * kernel);
        let plane = channel * pictures.stored_height * pictures.stored_width;
        let mut value = F4::new(0.0f32);
        #[unroll]
        for i in 0..4usize {
            // Wraps around for the rows above the picture, which is then out of range too.
            let y = *ys.index(i) + tap / kernel - pictures.top;
            let column = *xs.index(i) + tap % kernel - pictures.left;
            if *inside.index(i) && term < end && y < pictures.height && column < pictures.width {
                let offset = if comptime!(upsample) {
                    y / 2 * pictures.stored_width + column / 2
                } else {
                    y * pictures.stored_width + column
                };
                value.insert(i, f32::cast_from(x[*bases.index(i) + plane + offset]));
            }
        }
        staged[row * count4 + at] = value;
    }
}

/// A convolution as a product: weights [channels out, channels in · kernel²] by what the kernel sees at every pixel.
#[cube(launch_unchecked)]
pub fn conv<E: Float, NW: Size, NO: Size>(
    x: &[E],
    words: &[Vector<u32, NW>],
    scales: &[u32],
    bias: &[E],
    residual: &[Vector<E, NO>],
    out: &mut [Vector<E, NO>],
    parts: &mut [F4],
    sizes: Sizes,
    pictures: Pictures,
    #[comptime] plan: Plan,
    #[define(E)] _element: ElemType,
) {
    let tile = comptime!(plan.tile);
    let rows4 = comptime!(tile.rows() / 4);
    let columns4 = comptime!(tile.columns() / 4);
    let mut left = Shared::<[F4]>::new_slice(comptime!(tile.depth * rows4));
    let mut right = Shared::<[F4]>::new_slice(comptime!(tile.depth * columns4));
    let row = CUBE_POS_Y as usize * comptime!(tile.rows());
    let column = (CUBE_POS_X as usize + sizes.first) * comptime!(tile.columns());
    let begin = CUBE_POS_Z as usize * sizes.part;
    let end = min(begin + sizes.part, sizes.depth);
    let y = UNIT_POS as usize / tile.threads_x;
    let lane = UNIT_POS as usize % tile.threads_x;
    let sums = zeros(comptime!(4 * tile.rows4 * tile.columns4));
    let mut k = begin;
    while k < end {
        stage_weights::<NW>(words, scales, &mut left, row, sizes.rows, k, end, sizes.depth, 0, rows4, plan);
        stage_pixels::<E>(x, &mut right, column, sizes.columns, k, end, &pictures, plan);
        sync_cube();
        multiply(&left, &right, &sums, y, lane, tile);
        sync_cube();
        k += tile.depth;
    }
    #[unroll]
    for r4 in 0..tile.rows4 {
        #[unroll]
        for r in 0..4usize {
            let i = row + 4 * (r4 * tile.threads_y + y) + r;
            #[unroll]
            for c in 0..tile.columns4 {
                let j = column + 4 * (c * tile.threads_x + lane);
                let sum = sums.index((4 * r4 + r) * tile.columns4 + c).read();
                if i < sizes.rows && j < sizes.columns {
                    if comptime!(plan.split) {
                        let pitch = sizes.columns.div_ceil(4);
                        parts[(CUBE_POS_Z as usize * sizes.rows + i) * pitch + j / 4] = sum;
                    } else {
                        store_pixels::<E, NO>(sum, bias, residual, out, i, j, &sizes, &pictures, plan);
                    }
                }
            }
        }
    }
}

/// Writes four neighbouring columns of row `i`, with bias and residual.
#[cube]
pub fn store_pixels<E: Float, NO: Size>(
    sum: F4,
    bias: &[E],
    residual: &[Vector<E, NO>],
    out: &mut [Vector<E, NO>],
    i: usize,
    j: usize,
    sizes: &Sizes,
    pictures: &Pictures,
    #[comptime] plan: Plan,
) {
    let vector = NO::value();
    if comptime!(vector == 4) {
        // Pictures are a multiple of four pixels, so the four are in one of them.
        let picture = j / pictures.pixels;
        let at = ((picture * sizes.rows + i) * pictures.pixels + j % pictures.pixels) / 4;
        let mut value = sum;
        if comptime!(plan.bias) {
            value += F4::new(f32::cast_from(bias[picture * pictures.bias_stride + i]));
        }
        if comptime!(plan.residual) {
            value += F4::cast_from(residual[at]);
        }
        out[at] = Vector::cast_from(value);
    } else {
        #[unroll]
        for t in 0..4usize {
            let j = j + t;
            if j < sizes.columns {
                let picture = j / pictures.pixels;
                let at = (picture * sizes.rows + i) * pictures.pixels + j % pictures.pixels;
                let mut value = sum.extract(t);
                if comptime!(plan.bias) {
                    value += f32::cast_from(bias[picture * pictures.bias_stride + i]);
                }
                if comptime!(plan.residual) {
                    value += f32::cast_from(residual[at].extract(0usize));
                }
                out[at] = Vector::new(E::cast_from(value));
            }
        }
    }
}

/// Adds up the parts of a convolution whose sums were cut.
#[cube(launch_unchecked)]
pub fn join_conv<E: Float, NO: Size>(
    parts: &[F4],
    bias: &[E],
    residual: &[Vector<E, NO>],
    out: &mut [Vector<E, NO>],
    count: usize,
    sizes: Sizes,
    pictures: Pictures,
    #[comptime] plan: Plan,
    #[define(E)] _element: ElemType,
) {
    let pitch = sizes.columns.div_ceil(4);
    let at = ABSOLUTE_POS;
    if at < sizes.rows * pitch {
        let mut sum = F4::new(0.0f32);
        for part in 0..count {
            sum += parts[part * sizes.rows * pitch + at];
        }
        store_pixels::<E, NO>(sum, bias, residual, out, at / pitch, at % pitch * 4, &sizes, &pictures, plan);
    }
}

/// Gaussian error linear unit in its exact form, by the error function.
#[cube]
pub fn gelu<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let scaled = x * Vector::new(core::f32::consts::FRAC_1_SQRT_2);
    x * (Vector::<f32, N>::erf(scaled) + Vector::new(1.0f32)) * Vector::new(0.5f32)
}

/// x·Wᵀ: rows of activations by rows of weights.
#[cube(launch_unchecked)]
pub fn linear<E: Float, NX: Size, NW: Size, NO: Size>(
    x: &[Vector<E, NX>],
    words: &[Vector<u32, NW>],
    scales: &[u32],
    bias: &[E],
    residual: &[Vector<E, NO>],
    out: &mut [Vector<E, NO>],
    parts: &mut [F4],
    sizes: Sizes,
    #[comptime] plan: Plan,
    #[define(E)] _element: ElemType,
) {
    let tile = comptime!(plan.tile);
    let rows4 = comptime!(tile.rows() / 4);
    let columns4 = comptime!(tile.columns() / 4);
    let mut left = Shared::<[F4]>::new_slice(comptime!(tile.depth * rows4));
    let mut right = Shared::<[F4]>::new_slice(comptime!(tile.depth * columns4));
    let row = (CUBE_POS_Y as usize + sizes.first) * comptime!(tile.rows());
    // With GEGLU a block of columns yields half as many.
    let column = CUBE_POS_X as usize * comptime!(if plan.geglu { tile.columns() / 2 } else { tile.columns() });
    let weight_rows = if comptime!(plan.geglu) { 2 * sizes.columns } else { sizes.columns };
    let begin = CUBE_POS_Z as usize * sizes.part;
    let end = min(begin + sizes.part, sizes.depth);
    let y = UNIT_POS as usize / tile.threads_x;
    let lane = UNIT_POS as usize % tile.threads_x;
    let sums = zeros(comptime!(4 * tile.rows4 * tile.columns4));
    let mut k = begin;
    while k < end {
        stage_rows::<E, NX>(x, &mut left, row, sizes.rows, k, end, sizes.depth, rows4, plan);
        stage_weights::<NW>(
            words,
            scales,
            &mut right,
            column,
            weight_rows,
            k,
            end,
            sizes.depth,
            sizes.columns,
            columns4,
            plan,
        );
        sync_cube();
        multiply(&left, &right, &sums, y, lane, tile);
        sync_cube();
        k += tile.depth;
    }
    #[unroll]
    for r4 in 0..tile.rows4 {
        #[unroll]
        for r in 0..4usize {
            let i = row + 4 * (r4 * tile.threads_y + y) + r;
            let first = comptime!((4 * r4 + r) * tile.columns4);
            if comptime!(plan.geglu) {
                let half = comptime!(tile.columns4 / 2);
                #[unroll]
                for c in 0..half {
                    let j = column + 4 * (c * tile.threads_x + lane);
                    if i < sizes.rows && j < sizes.columns {
                        let mut hidden = sums.index(first + c).read();
                        let mut gate = sums.index(first + half + c).read();
                        if comptime!(plan.bias) {
                            hidden += four_of::<E>(bias, j, sizes.columns, 0);
                            gate += four_of::<E>(bias, j, sizes.columns, sizes.columns);
                        }
                        store_row::<E, NO>(
                            hidden * gelu::<Const<4>>(gate),
                            bias,
                            residual,
                            out,
                            i,
                            j,
                            &sizes,
                            comptime!(Plan { bias: false, ..plan }),
                        );
                    }
                }
            } else {
                #[unroll]
                for c in 0..tile.columns4 {
                    let j = column + 4 * (c * tile.threads_x + lane);
                    let sum = sums.index(first + c).read();
                    if i < sizes.rows && j < sizes.columns {
                        if comptime!(plan.split) {
                            let pitch = sizes.columns.div_ceil(4);
                            parts[(CUBE_POS_Z as usize * sizes.rows + i) * pitch + j / 4] = sum;
                        } else {
                            store_row::<E, NO>(sum, bias, residual, out, i, j, &sizes, plan);
                        }
                    }
                }
            }
        }
    }
}

/// Values `from + at` to `from + at + 3`, those of `at` below `length` only.
#[cube]
fn four_of<E: Float>(values: &[E], at: usize, length: usize, from: usize) -> F4 {
    let mut out = F4::new(0.0f32);
    #[unroll]
    for t in 0..4usize {
        if at + t < length {
            out.insert(t, f32::cast_from(values[from + at + t]));
        }
    }
    out
}

/// Writes four neighbouring columns of row `i`, with bias and residual.
#[cube]
pub fn store_row<E: Float, NO: Size>(
    sum: F4,
    bias: &[E],
    residual: &[Vector<E, NO>],
    out: &mut [Vector<E, NO>],
    i: usize,
    j: usize,
    sizes: &Sizes,
    #[comptime] plan: Plan,
) {
    let mut value = sum;
    if comptime!(plan.bias) {
        value += four_of::<E>(bias, j, sizes.columns, 0);
    }
    let vector = NO::value();
    if comptime!(vector == 4) {
        let at = (i * sizes.columns + j) / 4;
        if comptime!(plan.residual) {
            value += F4::cast_from(residual[at]);
        }
        out[at] = Vector::cast_from(value);
    } else {
        #[unroll]
        for t in 0..4usize {
            if j + t < sizes.columns {
                let at = i * sizes.columns + j + t;
                let mut one = value.extract(t);
                if comptime!(plan.residual) {
                    one += f32::cast_from(residual[at].extract(0usize));
                }
                out[at] = Vector::new(E::cast_from(one));
            }
        }
    }
}

/// Adds up the parts of a linear layer whose sums were cut.
#[cube(launch_unchecked)]
pub fn join_linear<E: Float, NO: Size>(
    parts: &[F4],
    bias: &[E],
    residual: &[Vector<E, NO>],
    out: &mut [Vector<E, NO>],
    count: usize,
    sizes: Sizes,
    #[comptime] plan: Plan,
    #[define(E)] _element: ElemType,
) {
    let pitch = sizes.columns.div_ceil(4);
    let at = ABSOLUTE_POS;
    if at < sizes.rows * pitch {
        let mut sum = F4::new(0.0f32);
        for part in 0..count {
            sum += parts[part * sizes.rows * pitch + at];
        }
        store_row::<E, NO>(sum, bias, residual, out, at / pitch, at % pitch * 4, &sizes, plan);
    }
}
