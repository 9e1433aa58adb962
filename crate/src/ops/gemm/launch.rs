//! Launches of matrix products: which kernels run, and on which tiles.

mod division;
mod winograd;

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use self::division::{SMALL, cut, divide};
use super::hardware;
use super::matrix::Matrix;
use super::plan::{Bias, PicturesLaunch, ProductPlan, Scene, SizesLaunch, Window};
use super::software::{self, LANES, LINE, PANEL, Registers, TERMS};
use super::weights::Format;
use crate::ops::Kernels;
use crate::ops::choice::lanes;
use crate::ops::geometry::Geometry;
use crate::ops::launch::{float, output_of, whole};

/// Most multiply-adds of one launch: 200 ms at 200 GFLOPS, so that a weak GPU can still draw the screen.
const LAUNCH: u64 = 20_000_000_000;
/// The same for software adapters, at 5 GFLOPS.
const SOFTWARE_LAUNCH: usize = 500_000_000;
/// Bytes of im2col panels at once on software adapters.
const SPREAD_BYTES: usize = 32 << 20;

/// Multiply-adds of a product; they can exceed 32 bits.
fn work(rows: usize, columns: usize, depth: usize) -> u64 {
    rows as u64 * columns as u64 * depth as u64
}

/// Splits `count` workgroups into launches of at most [`LAUNCH`] multiply-adds: each launch's first workgroup and their number.
fn launches(count: usize, work: u64) -> impl Iterator<Item = (usize, usize)> {
    let parts = usize::try_from(work.div_ceil(LAUNCH)).unwrap_or(count).clamp(1, count);
    let each = count.div_ceil(parts).min(65_535);
    (0..count).step_by(each).map(move |first| (first, each.min(count - first)))
}

/// A new f32 tensor of `length` elements for one launch.
fn scratch(like: &CubeTensor, length: usize) -> CubeTensor {
    output_of(like, &[length], DType::F32)
}

/// Operands of a product; all tensors are contiguous.
pub struct Operands {
    /// Activations.
    pub x: CubeTensor,
    /// Weights.
    pub weights: Matrix,
    /// Added along the output channels; f32.
    pub bias: Option<CubeTensor>,
    /// Added to the result, in its shape. The result has its type; without one, that of the activations.
    pub residual: Option<CubeTensor>,
}

impl Operands {
    /// A new tensor of `shape` for the result.
    fn result(&self, shape: &[usize]) -> CubeTensor {
        output_of(&self.x, shape, self.residual.as_ref().unwrap_or(&self.x).dtype)
    }
}

/// Convolves pictures `[batch, in, height, width]`; the bias is `[1, out]` or `[batch, out]`.
pub fn conv(operands: Operands, geometry: Geometry, kernels: Kernels) -> CubeTensor {
    let Operands { x, weights, bias, .. } = &operands;
    let shape = x.meta.shape();
    let (batch, channels, stored) = (shape[0], shape[1], [shape[2], shape[3]]);
    let [height, width] = geometry.output(stored);
    let out = operands.result(&[batch, weights.rows, height, width]);
    let scene = Scene {
        input: geometry.input(stored),
        stored,
        channels,
        out_width: width,
        pixels: height * width,
        corner: [geometry.padding[0], geometry.padding[2]],
        bias_stride: bias.as_ref().map_or(0, |bias| if bias.meta.shape()[0] > 1 { weights.rows } else { 0 }),
    };
    let [rows, columns, depth] = [weights.rows, batch * scene.pixels, weights.columns];
    Product::new(operands, out, scene, [rows, columns, depth], Some(geometry.into()), false).run(kernels)
}

/// x·Wᵀ + b for rows `[…, depth]`; with `geglu` (GPUs only), the left half of the columns times gelu of the right half.
pub fn linear(operands: Operands, geglu: bool, kernels: Kernels) -> CubeTensor {
    let Operands { x, weights, .. } = &operands;
    let mut shape = x.meta.shape().to_vec();
    let depth = weights.columns;
    let rows = shape.iter().product::<usize>() / depth;
    let columns = if geglu { weights.rows / 2 } else { weights.rows };
    if let Some(last) = shape.last_mut() {
        *last = columns;
    }
    let out = operands.result(&shape);
    let scene = Scene { pixels: columns, ..Scene::default() };
    Product::new(operands, out, scene, [rows, columns, depth], None, geglu).run(kernels)
}

/// A product ready to be launched.
struct Product {
    operands: Operands,
    out: CubeTensor,
    scene: Scene,
    rows: usize,
    columns: usize,
    depth: usize,
    /// The plan, with placeholders for what depends on how the work is divided.
    plan: ProductPlan,
}

impl Product {
    fn new(
        operands: Operands,
        out: CubeTensor,
        scene: Scene,
        [rows, columns, depth]: [usize; 3],
        window: Option<Window>,
        geglu: bool,
    ) -> Self {
        let Operands { x, weights, bias, residual } = &operands;
        let plan = ProductPlan {
            tile: SMALL,
            weights: weights.format,
            activations: if x.dtype == DType::F16 { Format::F16 } else { Format::F32 },
            aligned: weights.aligned(),
            window,
            bias: match (bias, window) {
                (None, _) => Bias::None,
                (_, Some(_)) => Bias::Rows,
                _ => Bias::Columns,
            },
            residual: residual.is_some(),
            geglu,
            split: false,
        };
        Self { operands, out, scene, rows, columns, depth, plan }
    }

    fn run(self, kernels: Kernels) -> CubeTensor {
        match (kernels, self.plan.window) {
            (Kernels::Software, Some(window)) if self.suits_winograd(window) => self.convolve_in_tiles(window.upsample),
            (Kernels::Software, Some(window)) => self.spread_and_multiply(window),
            (Kernels::Software, None) => self.multiply_rows(),
            _ => self.multiply_in_tiles(),
        }
        self.out
    }

    fn pictures(&self) -> PicturesLaunch {
        self.scene.launch()
    }

    fn sizes(&self, depth: usize, part: usize, first: usize) -> SizesLaunch {
        SizesLaunch::new(self.rows, self.columns, depth, part, first)
    }

    /// Elements in a vector of the result.
    fn vector(&self) -> usize {
        if self.scene.pixels.is_multiple_of(4) { 4 } else { 1 }
    }

    /// The activations as words, in vectors of four terms where rows allow it; a convolution reads single words.
    fn words(&self) -> (BufferArg, usize) {
        self.words_in(self.plan.aligned && self.plan.window.is_none())
    }

    /// A convolution's input as words, in vectors of four pixels if it is 1×1 and the number of pixels allows it.
    fn pixels(&self, window: Window) -> (BufferArg, usize) {
        let single = window == Window { side: 1, stride: 1, upsample: false };
        let pixels = self.scene.pixels;
        self.words_in(single && pixels.is_multiple_of(4) && pixels == self.scene.stored.iter().product::<usize>())
    }

    fn words_in(&self, fours: bool) -> (BufferArg, usize) {
        let values = self.operands.x.meta.shape().num_elements();
        let format = self.plan.activations;
        let vector = if fours { format.words() } else { 1 };
        let words = if format == Format::F16 { values.div_ceil(2) } else { values };
        // SAFETY: the tensor holds all words contiguously; vectors of several words divide its rows.
        (unsafe { BufferArg::from_raw_parts(self.operands.x.handle.clone(), words / vector) }, vector)
    }

    /// `tensor`, or the activations as a placeholder, which is bound but never read. The result cannot be the placeholder:
    /// WebGPU refuses a buffer that is bound both for reading and for writing.
    fn optional(&self, tensor: Option<&CubeTensor>, vector: usize) -> BufferArg {
        // SAFETY: every tensor is contiguous, and the vector divides its length.
        unsafe { whole(tensor.unwrap_or(&self.operands.x), vector) }
    }

    fn bias(&self) -> BufferArg {
        self.optional(self.operands.bias.as_ref(), 1)
    }

    fn residual(&self) -> BufferArg {
        self.optional(self.operands.residual.as_ref(), self.vector())
    }

    fn out(&self) -> BufferArg {
        self.optional(Some(&self.out), self.vector())
    }

    /// On a GPU.
    fn multiply_in_tiles(&self) {
        let client = &self.operands.x.client;
        let stored = if self.plan.geglu { 2 * self.columns } else { self.columns };
        let (tile, parts) = divide(self.rows, stored, self.depth, self.plan.window.is_some());
        // GEGLU multiplies finished sums, so it cannot use split-K.
        let (part, parts) = cut(self.depth, if self.plan.geglu { 1 } else { parts }, tile);
        let split = parts > 1;
        let plan = ProductPlan { tile, split, ..self.plan };
        let partial =
            scratch(&self.operands.x, if split { parts * self.rows * self.columns.next_multiple_of(4) } else { 4 });
        let yields = if plan.geglu { tile.columns() / 2 } else { tile.columns() };
        for (first, count) in launches(stored.div_ceil(tile.columns()), work(self.rows, stored, self.depth)) {
            let (words, inner) = self.words();
            // SAFETY, here and below: the kernels check rows, columns and terms against the sizes, which match the tensors.
            unsafe {
                hardware::product::launch_unchecked(
                    client,
                    CubeCount::Static(count as u32, self.rows.div_ceil(tile.rows()) as u32, parts as u32),
                    CubeDim::new_1d(tile.threads() as u32),
                    inner,
                    self.operands.weights.vector(),
                    self.vector(),
                    words,
                    self.operands.weights.words_arg(),
                    self.operands.weights.scales_arg(),
                    self.bias(),
                    self.residual(),
                    self.out(),
                    whole(&partial, 4),
                    self.sizes(self.depth, part, first * yields),
                    self.pictures(),
                    plan,
                    float(&self.out),
                );
            }
        }
        if split {
            let dim = CubeDim::new_1d(256);
            unsafe {
                hardware::join::launch_unchecked(
                    client,
                    calculate_cube_count_elemwise(client, self.rows * self.columns.div_ceil(4), dim),
                    dim,
                    self.vector(),
                    whole(&partial, 4),
                    self.bias(),
                    self.residual(),
                    self.out(),
                    parts,
                    self.sizes(self.depth, part, 0),
                    self.pictures(),
                    plan,
                    float(&self.out),
                );
            }
        }
    }

    /// A convolution on a software adapter: im2col and product, one chunk of output pixels after the other.
    fn spread_and_multiply(&self, window: Window) {
        let left = self.widened();
        let depth = self.depth.next_multiple_of(4);
        let chunk = (SPREAD_BYTES / (4 * depth)).min(SOFTWARE_LAUNCH / (self.rows * depth));
        let chunk = chunk.next_multiple_of(4 * PANEL).min(self.columns);
        for first in (0..self.columns).step_by(chunk) {
            let count = chunk.min(self.columns - first);
            let right = scratch(&self.operands.x, depth * count.next_multiple_of(4 * PANEL));
            let (words, vector) = self.pixels(window);
            unsafe {
                software::spread::launch_unchecked(
                    &self.operands.x.client,
                    CubeCount::Static(count.div_ceil(4 * LANES) as u32, depth.div_ceil(TERMS) as u32, 1),
                    CubeDim::new_1d(LANES as u32),
                    vector,
                    words,
                    whole(&right, 4),
                    count,
                    self.depth,
                    self.sizes(depth, depth, first),
                    self.pictures(),
                    window,
                    self.plan.activations,
                );
            }
            self.multiply(&left, &right, 4, depth, first, count);
        }
    }

    /// A linear layer on a software adapter.
    fn multiply_rows(&self) {
        let right = self.turned();
        self.multiply(&self.operands.x, &right, if self.plan.aligned { 4 } else { 1 }, self.depth, 0, self.columns);
    }

    /// `left`, `terms` of a row to a vector, times `right` in panels: `count` columns of the result from `first` on.
    fn multiply(&self, left: &CubeTensor, right: &CubeTensor, terms: usize, depth: usize, first: usize, count: usize) {
        let registers = Registers::of(self.rows, count, terms, lanes());
        let [row_groups, column_groups] = registers.groups(self.rows, count);
        unsafe {
            software::product::launch_unchecked(
                &self.operands.x.client,
                CubeCount::Static(row_groups, column_groups, 1),
                CubeDim::new_1d(registers.lanes.count as u32),
                terms,
                self.vector(),
                whole(left, terms),
                whole(right, 4),
                self.bias(),
                self.residual(),
                self.out(),
                count,
                self.sizes(depth, depth, first),
                self.pictures(),
                self.plan,
                registers,
                float(left),
                float(&self.out),
            );
        }
    }

    /// The weights as f32 [rows, columns], rows zero-padded to vectors of four.
    fn widened(&self) -> CubeTensor {
        let Matrix { rows, columns, format, .. } = self.operands.weights;
        if format == Format::F32 && self.operands.weights.aligned() {
            return self.operands.weights.words.clone();
        }
        let vectors = rows * columns.div_ceil(4);
        let out = scratch(&self.operands.x, 4 * vectors);
        let client = &self.operands.x.client;
        let dim = CubeDim::new_1d(LANES as u32);
        unsafe {
            software::widen::launch_unchecked(
                client,
                calculate_cube_count_elemwise(client, vectors, dim),
                dim,
                self.operands.weights.vector(),
                self.operands.weights.words_arg(),
                self.operands.weights.scales_arg(),
                whole(&out, 4),
                rows,
                columns,
                format,
                self.operands.weights.aligned(),
            );
        }
        out
    }

    /// The weights as f32, transposed to [columns, rows], in panels.
    fn turned(&self) -> CubeTensor {
        let Matrix { rows, columns, format, .. } = self.operands.weights;
        let panels = rows.div_ceil(4 * PANEL);
        let out = scratch(&self.operands.x, columns * panels * 4 * PANEL);
        unsafe {
            software::turn::launch_unchecked(
                &self.operands.x.client,
                CubeCount::Static(panels as u32, columns.div_ceil(4 * LINE) as u32, 1),
                CubeDim::new_1d(LANES as u32),
                self.operands.weights.vector(),
                self.operands.weights.words_arg(),
                self.operands.weights.scales_arg(),
                whole(&out, 4),
                rows,
                columns,
                format,
                self.operands.weights.aligned(),
            );
        }
        out
    }
}
