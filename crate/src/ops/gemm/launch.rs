//! Which kernels run for a product, in which tiles, and how they are launched.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

use super::hardware::{self, PicturesLaunch, Plan, SizesLaunch};
use super::software::{self, LANES, PANEL, Registers};
use super::tile::Tile;
use super::weights::Format;
use crate::ops::Kernels;
use crate::ops::launch::{contiguous, float, output, whole};

/// A block of 128 × 128: for large products. Fills WebGPU's default 16 KiB of workgroup memory.
const LARGE: Tile = Tile { threads_y: 16, threads_x: 16, rows4: 2, columns4: 2, depth: 16 };
/// A block of 64 × 64, for products that would not fill a GPU otherwise.
const SMALL: Tile = Tile { threads_y: 8, threads_x: 8, rows4: 2, columns4: 2, depth: 16 };
/// Workgroups that should be under way at once: two on each of the 132 multiprocessors of the largest GPUs.
const ENOUGH: usize = 264;
/// Multiply-adds in one launch: 200 ms at 200 GFLOPS, so that a weak GPU can still draw the screen.
const LAUNCH: u64 = 20_000_000_000;
/// The same for software adapters, at 5 GFLOPS.
const SOFTWARE_LAUNCH: usize = 500_000_000;
/// Bytes of laid-out pixels at once on software adapters.
const SPREAD_BYTES: usize = 32 << 20;

/// A weight matrix on the GPU.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// Its words, whatever their element type.
    pub words: CubeTensor,
    /// One f16 for every 32 columns, two a word, for quantised weights.
    pub scales: Option<CubeTensor>,
    /// What the words are.
    pub format: Format,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
}

impl Matrix {
    fn aligned(&self) -> bool {
        self.columns.is_multiple_of(4)
    }

    /// Words in a vector.
    fn vector(&self) -> usize {
        if self.aligned() { self.format.words() } else { 1 }
    }

    fn words_arg(&self) -> BufferArg {
        let values = self.rows * self.columns;
        let words = match self.format {
            Format::F32 => values,
            Format::F16 => values.div_ceil(2),
            Format::Q8 => values / 4,
            Format::Q4 => values / 8,
        };
        // SAFETY: the tensor holds all words of the matrix in a row; its length is a multiple of the vector's.
        unsafe { BufferArg::from_raw_parts(self.words.handle.clone(), words / self.vector()) }
    }

    fn scales_arg(&self) -> BufferArg {
        let scales = self.scales.as_ref().unwrap_or(&self.words);
        // SAFETY: read only where the format has scales, of which there is one for every 32 values.
        unsafe { BufferArg::from_raw_parts(scales.handle.clone(), (self.rows * self.columns).div_ceil(64)) }
    }
}

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Side of the kernel.
    pub kernel: usize,
    /// Step of the kernel.
    pub stride: usize,
    /// Rows and columns of zeros: above, below, left and right.
    pub padding: [usize; 4],
    /// The size to which the input is doubled before, by repeating pixels; one short of twice drops the last.
    pub upsampled: Option<[usize; 2]>,
}

impl Geometry {
    /// What the kernel moves over, without the zeros.
    pub fn input(&self, stored: [usize; 2]) -> [usize; 2] {
        self.upsampled.unwrap_or(stored)
    }

    /// Height and width of the result.
    pub fn output(&self, stored: [usize; 2]) -> [usize; 2] {
        let [height, width] = self.input(stored);
        let [top, bottom, left, right] = self.padding;
        let along = |side: usize| (side - self.kernel) / self.stride + 1;
        [along(height + top + bottom), along(width + left + right)]
    }
}

fn plan(matrix: &Matrix, tile: Tile, geometry: Option<Geometry>) -> Plan {
    Plan {
        tile,
        format: matrix.format,
        aligned: matrix.aligned(),
        kernel: geometry.map_or(1, |geometry| geometry.kernel),
        stride: geometry.map_or(1, |geometry| geometry.stride),
        upsample: geometry.is_some_and(|geometry| geometry.upsampled.is_some()),
        bias: false,
        residual: false,
        geglu: false,
        split: false,
    }
}

/// Tile and number of parts of the sum for a product on a GPU.
fn divide(rows: usize, columns: usize, depth: usize) -> (Tile, usize) {
    let groups = |tile: Tile| rows.div_ceil(tile.rows()) * columns.div_ceil(tile.columns());
    let tile = if groups(LARGE) >= ENOUGH { LARGE } else { SMALL };
    let wanted = ENOUGH.div_ceil(groups(tile));
    // A part shorter than this costs more to add up than it gains.
    let parts = wanted.min(depth / 256).clamp(1, 16);
    (tile, parts)
}

/// Length of a part of the sum, a multiple of the tile's depth, and the number of parts.
fn cut(depth: usize, parts: usize, tile: Tile) -> (usize, usize) {
    let part = depth.div_ceil(parts).next_multiple_of(tile.depth);
    (part, depth.div_ceil(part))
}

/// Multiply-adds of a product, which can be more than 32 bits count.
fn work(rows: usize, columns: usize, depth: usize) -> u64 {
    rows as u64 * columns as u64 * depth as u64
}

/// Sizes for `count` workgroups along `along`, at most [`LAUNCH`] multiply-adds at once: (first, count) of each launch.
fn launches(count: usize, work: u64) -> impl Iterator<Item = (usize, usize)> {
    let parts = usize::try_from(work.div_ceil(LAUNCH)).unwrap_or(count).clamp(1, count);
    let each = count.div_ceil(parts).min(65_535);
    (0..count).step_by(each).map(move |first| (first, each.min(count - first)))
}

/// A tensor where there is none: bound, never read. Never one that is written: WebGPU refuses a buffer that is both.
fn or<'a>(tensor: Option<&'a CubeTensor>, other: &'a CubeTensor) -> &'a CubeTensor {
    tensor.unwrap_or(other)
}

/// Pictures `[batch, channels, height, width]` convolved; `bias` is `[1, channels out]` or `[batch, channels out]`.
pub fn conv(
    x: CubeTensor,
    matrix: &Matrix,
    bias: Option<CubeTensor>,
    residual: Option<CubeTensor>,
    geometry: Geometry,
    kernels: Kernels,
) -> CubeTensor {
    let (x, bias, residual) = (contiguous(x), bias.map(contiguous), residual.map(contiguous));
    let shape = x.meta.shape();
    let (batch, channels, stored) = (shape[0], shape[1], [shape[2], shape[3]]);
    let [height, width] = geometry.input(stored);
    let [out_height, out_width] = geometry.output(stored);
    let pixels = out_height * out_width;
    let out = output(&x, &[batch, matrix.rows, out_height, out_width]);
    let vector = if pixels.is_multiple_of(4) { 4 } else { 1 };
    let bias_stride = bias.as_ref().map_or(0, |bias| if bias.meta.shape()[0] > 1 { matrix.rows } else { 0 });
    let (rows, columns, depth) = (matrix.rows, batch * pixels, matrix.columns);
    let pictures = || {
        PicturesLaunch::new(
            height,
            width,
            stored[0],
            stored[1],
            channels,
            out_width,
            pixels,
            geometry.padding[0],
            geometry.padding[2],
            bias_stride,
        )
    };
    let plan = |tile| Plan { bias: bias.is_some(), residual: residual.is_some(), ..plan(matrix, tile, Some(geometry)) };
    let element = float(&x);
    let client = x.client.clone();
    // SAFETY, here and below: every tensor is contiguous and holds what the kernels index; they check rows, columns and
    // terms against the sizes.
    let arg = |tensor: &CubeTensor, vector| unsafe { whole(tensor, vector) };
    let bias_arg = || arg(or(bias.as_ref(), &x), 1);
    let residual_arg = || arg(or(residual.as_ref(), &x), vector);
    if kernels == Kernels::Software {
        let left = widen(matrix, &x, false);
        let pitch = depth.next_multiple_of(4);
        let chunk =
            (SPREAD_BYTES / (4 * pitch)).min(SOFTWARE_LAUNCH / (rows * depth)).next_multiple_of(4 * PANEL).min(columns);
        let registers = Registers { rows: rows_of(rows), columns4: 2, terms: 4, conv: true };
        for first in (0..columns).step_by(chunk) {
            let count = chunk.min(columns - first);
            let count4 = count.div_ceil(4);
            let right = scratch(&x, 4 * pitch * count4.next_multiple_of(PANEL));
            unsafe {
                software::spread::launch_unchecked(
                    &client,
                    CubeCount::Static(count4.div_ceil(LANES) as u32, pitch as u32, 1),
                    CubeDim::new_1d(LANES as u32),
                    arg(&x, 1),
                    arg(&right, 4),
                    first,
                    count,
                    depth,
                    pictures(),
                    plan(SMALL),
                    element,
                );
                software::product::launch_unchecked(
                    &client,
                    grid(count4, rows, registers),
                    CubeDim::new_1d(LANES as u32),
                    4,
                    vector,
                    arg(&left, 4),
                    arg(&right, 4),
                    bias_arg(),
                    residual_arg(),
                    arg(&out, vector),
                    count,
                    SizesLaunch::new(rows, columns, pitch, pitch, first),
                    pictures(),
                    plan(SMALL),
                    registers,
                    ElemType::Float(FloatKind::F32),
                    element,
                );
            }
        }
        return out;
    }
    let (tile, parts) = divide(rows, columns, depth);
    let (part, parts) = cut(depth, parts, tile);
    let split = parts > 1;
    let partial = if split { scratch(&x, parts * rows * columns.next_multiple_of(4)) } else { scratch(&x, 4) };
    let groups = columns.div_ceil(tile.columns());
    for (first, count) in launches(groups, work(rows, columns, depth)) {
        unsafe {
            hardware::conv::launch_unchecked(
                &client,
                CubeCount::Static(count as u32, rows.div_ceil(tile.rows()) as u32, parts as u32),
                CubeDim::new_1d(tile.threads() as u32),
                matrix.vector(),
                vector,
                arg(&x, 1),
                matrix.words_arg(),
                matrix.scales_arg(),
                bias_arg(),
                residual_arg(),
                arg(&out, vector),
                arg(&partial, 4),
                SizesLaunch::new(rows, columns, depth, part, first),
                pictures(),
                Plan { split, ..plan(tile) },
                element,
            );
        }
    }
    if split {
        let work = rows * columns.div_ceil(4);
        unsafe {
            hardware::join_conv::launch_unchecked(
                &client,
                cubecl::calculate_cube_count_elemwise(&client, work, CubeDim::new_1d(256)),
                CubeDim::new_1d(256),
                vector,
                arg(&partial, 4),
                bias_arg(),
                residual_arg(),
                arg(&out, vector),
                parts,
                SizesLaunch::new(rows, columns, depth, part, 0),
                pictures(),
                plan(tile),
                element,
            );
        }
    }
    out
}

/// Rows of a register tile: eight, or fewer where there are no eight.
fn rows_of(rows: usize) -> usize {
    rows.min(8)
}

fn grid(count4: usize, rows: usize, registers: Registers) -> CubeCount {
    CubeCount::Static(count4.div_ceil(LANES * registers.columns4) as u32, rows.div_ceil(registers.rows) as u32, 1)
}

/// A new f32 tensor of `length` elements for one launch.
fn scratch(like: &CubeTensor, length: usize) -> CubeTensor {
    let handle = like.client.empty(4 * length);
    let (client, device) = (like.client.clone(), like.device.clone());
    CubeTensor::new_contiguous(client, device, [length].into(), handle, burn::tensor::DType::F32)
}

/// The weights as f32: [rows, columns], or turned [columns, rows]; filled up to vectors of four.
fn widen(matrix: &Matrix, like: &CubeTensor, turned: bool) -> CubeTensor {
    let Matrix { rows, columns, format, .. } = *matrix;
    let length = if turned { columns * rows.next_multiple_of(4 * PANEL) } else { rows * columns.next_multiple_of(4) };
    let out = scratch(like, length);
    let client = &like.client;
    let work = if turned { columns.div_ceil(4) * rows.div_ceil(4) } else { length / 4 };
    let count = cubecl::calculate_cube_count_elemwise(client, work, CubeDim::new_1d(LANES as u32));
    let dim = CubeDim::new_1d(LANES as u32);
    // SAFETY: see `conv`.
    unsafe {
        let (words, scales, out) = (matrix.words_arg(), matrix.scales_arg(), whole(&out, 4));
        let vector = matrix.vector();
        if turned {
            software::widen_turned::launch_unchecked(
                client,
                count,
                dim,
                vector,
                words,
                scales,
                out,
                rows,
                columns,
                format,
                matrix.aligned(),
            );
        } else {
            software::widen::launch_unchecked(
                client,
                count,
                dim,
                vector,
                words,
                scales,
                out,
                rows,
                columns,
                format,
                matrix.aligned(),
            );
        }
    }
    out
}

/// x·Wᵀ + b of rows `[…, depth]`; with `geglu` the left half of the columns times gelu of the right half.
pub fn linear(
    x: CubeTensor,
    matrix: &Matrix,
    bias: Option<CubeTensor>,
    residual: Option<CubeTensor>,
    geglu: bool,
    kernels: Kernels,
) -> CubeTensor {
    let (x, bias, residual) = (contiguous(x), bias.map(contiguous), residual.map(contiguous));
    let mut shape = x.meta.shape().to_vec();
    let depth = matrix.columns;
    let rows = shape.iter().product::<usize>() / depth;
    let columns = if geglu { matrix.rows / 2 } else { matrix.rows };
    if let Some(last) = shape.last_mut() {
        *last = columns;
    }
    let out = output(&x, &shape);
    let vector = if columns.is_multiple_of(4) { 4 } else { 1 };
    let inner = if matrix.aligned() { 4 } else { 1 };
    let plan = |tile| Plan { bias: bias.is_some(), residual: residual.is_some(), geglu, ..plan(matrix, tile, None) };
    let element = float(&x);
    let client = x.client.clone();
    // SAFETY: as in `conv`.
    let arg = |tensor: &CubeTensor, vector| unsafe { whole(tensor, vector) };
    let residual_arg = || arg(or(residual.as_ref(), &x), vector);
    let bias_arg = || arg(or(bias.as_ref(), &x), 1);
    if kernels == Kernels::Software {
        let right = widen(matrix, &x, true);
        let registers = Registers { rows: rows_of(rows), columns4: 2, terms: inner, conv: false };
        let count4 = columns.div_ceil(4);
        unsafe {
            software::product::launch_unchecked(
                &client,
                grid(count4, rows, registers),
                CubeDim::new_1d(LANES as u32),
                inner,
                vector,
                arg(&x, inner),
                arg(&right, 4),
                bias_arg(),
                residual_arg(),
                arg(&out, vector),
                columns,
                SizesLaunch::new(rows, columns, depth, depth, 0),
                PicturesLaunch::new(1, 1, 1, 1, 1, 1, 1, 0, 0, 0),
                plan(SMALL),
                registers,
                element,
                element,
            );
        }
        return out;
    }
    let (tile, parts) = divide(rows, matrix.rows, depth);
    let (part, parts) = cut(depth, if geglu { 1 } else { parts }, tile);
    let split = parts > 1;
    let partial = if split { scratch(&x, parts * rows * columns.next_multiple_of(4)) } else { scratch(&x, 4) };
    let groups = rows.div_ceil(tile.rows());
    for (first, count) in launches(groups, work(rows, matrix.rows, depth)) {
        unsafe {
            hardware::linear::launch_unchecked(
                &client,
                CubeCount::Static(matrix.rows.div_ceil(tile.columns()) as u32, count as u32, parts as u32),
                CubeDim::new_1d(tile.threads() as u32),
                inner,
                matrix.vector(),
                vector,
                arg(&x, inner),
                matrix.words_arg(),
                matrix.scales_arg(),
                bias_arg(),
                residual_arg(),
                arg(&out, vector),
                arg(&partial, 4),
                SizesLaunch::new(rows, columns, depth, part, first),
                Plan { split, ..plan(tile) },
                element,
            );
        }
    }
    if split {
        let work = rows * columns.div_ceil(4);
        unsafe {
            hardware::join_linear::launch_unchecked(
                &client,
                cubecl::calculate_cube_count_elemwise(&client, work, CubeDim::new_1d(256)),
                CubeDim::new_1d(256),
                vector,
                arg(&partial, 4),
                bias_arg(),
                residual_arg(),
                arg(&out, vector),
                parts,
                SizesLaunch::new(rows, columns, depth, part, 0),
                plan(tile),
                element,
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_keep_to_the_default_limits_of_webgpu() {
        for tile in [LARGE, SMALL] {
            assert!(tile.threads() <= 256);
            assert!(4 * tile.depth * (tile.rows() + tile.columns()) <= 16 << 10);
            // Each invocation stages a vector of pixels of every so many terms.
            assert_eq!(tile.depth % (tile.threads() / (tile.columns() / 4)), 0);
        }
    }
}
