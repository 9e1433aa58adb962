//! Launches of a Winograd convolution, one slab of output channels and of tiles after the other.

use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::{Product, SOFTWARE_LAUNCH, scratch};
use crate::ops::choice::lanes;
use crate::ops::gemm::matrix::Matrix;
use crate::ops::gemm::plan::{Bias, ProductPlan, Scene, SizesLaunch, Window};
use crate::ops::gemm::software::{self, LANES, PANEL, Registers, SHARED_ROWS};
use crate::ops::gemm::weights::Format;
use crate::ops::gemm::winograd::{TargetLaunch, transform_pixels, transform_sums, transform_weights, window};
use crate::ops::launch::{float, whole};

/// Bytes of a slab's matrices of one kind: transformed weights, transformed pixels, or sums.
const SLAB_BYTES: usize = 12 << 20;
/// Numbers that a tile is transformed to; each has a matrix product of its own.
const NUMBERS: usize = 16;

/// Rows and tiles of a slab, for a launch of at most [`SOFTWARE_LAUNCH`] multiply-adds.
fn slab(rows: usize, depth: usize, tiles: usize) -> (usize, usize) {
    // Slabs of rows as even as whole register tiles allow.
    let most = (SLAB_BYTES / (4 * NUMBERS * depth) / SHARED_ROWS).max(1) * SHARED_ROWS;
    let rows = rows.div_ceil(rows.div_ceil(most)).next_multiple_of(SHARED_ROWS).min(rows);
    let most = (SLAB_BYTES / (4 * NUMBERS * depth.max(rows))).min(SOFTWARE_LAUNCH / (NUMBERS * rows * depth));
    let panel = 4 * PANEL;
    (rows, (most / panel * panel).max(panel).min(tiles))
}

impl Scene {
    /// The same scene, counting the output in tiles of 2×2 pixels.
    fn in_tiles(self) -> Self {
        let out_width = self.out_width.div_ceil(2);
        Self { out_width, pixels: (self.pixels / self.out_width).div_ceil(2) * out_width, ..self }
    }
}

impl Product {
    /// Tiles of all pictures.
    fn tiles(&self) -> usize {
        self.columns / self.scene.pixels * self.scene.in_tiles().pixels
    }

    /// Whether Winograd is faster than the direct product. For the accepted sizes the direct product took 1.7 to 3.9 times as
    /// long, at 32 tiles 1.3 to 1.8 times (processor time, 32 to 2560 channels, lavapipe and `SwiftShader`). With four channels
    /// the transforms take longer than the product, and Winograd takes 1.6 to 1.8 times as long as the direct product. With 16
    /// tiles the product's invocations fill at most half of the processor's SIMD lanes: 0.95 to 1.2 times as long.
    ///
    /// For software adapters only; nothing was measured on a GPU. A GPU would have to stage the 16 products in workgroup memory,
    /// and would move several times its input and output to save arithmetic, which it has in plenty.
    pub(super) fn suits_winograd(&self, window: Window) -> bool {
        window.side == 3 && window.stride == 1 && self.scene.channels >= 32 && self.tiles() >= 32
    }

    /// A 3×3 convolution on a software adapter.
    pub(super) fn convolve_in_tiles(&self, upsample: bool) {
        let like = &self.operands.x;
        let (depth, tiles) = (self.scene.channels.next_multiple_of(4), self.tiles());
        let (rows, most) = slab(self.rows, depth, tiles);
        let weights = scratch(like, NUMBERS * rows * depth);
        let pixels = scratch(like, NUMBERS * depth * most.next_multiple_of(4 * PANEL));
        let sums = scratch(like, NUMBERS * rows * most.next_multiple_of(4));
        for first_row in (0..self.rows).step_by(rows) {
            let rows = rows.min(self.rows - first_row);
            self.transform_weights(&weights, first_row, rows);
            for first in (0..tiles).step_by(most) {
                let count = most.min(tiles - first);
                let sizes = || SizesLaunch::new(rows, tiles, depth, depth, first);
                // If one slab has all tiles, its transformed pixels serve all rows.
                if first_row == 0 || most < tiles {
                    self.transform_pixels(&pixels, count, depth, sizes(), upsample);
                }
                multiply(&weights, &pixels, &sums, [rows, count.next_multiple_of(4), depth], self.plan);
                self.transform_sums(&sums, count, first_row, rows, sizes());
            }
        }
    }

    fn transform_weights(&self, out: &CubeTensor, first: usize, rows: usize) {
        let Matrix { format, columns, .. } = self.operands.weights;
        let dim = CubeDim::new_1d(LANES as u32);
        // SAFETY, here and below: the kernels check rows, channels and tiles against the sizes, which match the tensors.
        unsafe {
            transform_weights::launch_unchecked(
                &out.client,
                calculate_cube_count_elemwise(&out.client, rows * columns.div_ceil(36), dim),
                dim,
                self.operands.weights.vector(),
                self.operands.weights.words_arg(),
                self.operands.weights.scales_arg(),
                whole(out, 4),
                first,
                rows,
                columns,
                format,
                self.operands.weights.aligned(),
            );
        }
    }

    fn transform_pixels(&self, out: &CubeTensor, count: usize, depth: usize, sizes: SizesLaunch, upsample: bool) {
        let (words, vector) = self.words();
        unsafe {
            transform_pixels::launch_unchecked(
                &out.client,
                CubeCount::Static(count.div_ceil(4 * LANES) as u32, depth as u32, 1),
                CubeDim::new_1d(LANES as u32),
                vector,
                words,
                whole(out, 4),
                count,
                sizes,
                self.scene.in_tiles().launch(),
                window(upsample),
                self.plan.activations,
            );
        }
    }

    fn transform_sums(&self, sums: &CubeTensor, count: usize, first_row: usize, rows: usize, sizes: SizesLaunch) {
        let Scene { pixels, out_width, .. } = self.scene;
        unsafe {
            transform_sums::launch_unchecked(
                &sums.client,
                CubeCount::Static(count.div_ceil(4 * LANES) as u32, rows as u32, 1),
                CubeDim::new_1d(LANES as u32),
                whole(sums, 4),
                self.bias(),
                self.optional(self.operands.residual.as_ref(), 1),
                self.optional(Some(&self.out), 1),
                count,
                sizes,
                self.scene.in_tiles().launch(),
                TargetLaunch::new(self.rows, first_row, pixels / out_width, out_width),
                self.plan.bias != Bias::None,
                self.plan.residual,
                float(&self.out),
            );
        }
    }
}

/// 16 products of [rows, depth] and [depth, count], the latter in panels.
fn multiply(
    left: &CubeTensor,
    right: &CubeTensor,
    out: &CubeTensor,
    [rows, count, depth]: [usize; 3],
    like: ProductPlan,
) {
    let registers = Registers::of(rows, count, 4, lanes());
    let [row_groups, column_groups] = registers.groups(rows, count);
    // The 16 results are laid out like the pictures of a batch.
    let scene = Scene { pixels: count, ..Scene::default() };
    let plan = ProductPlan {
        weights: Format::F32,
        activations: Format::F32,
        aligned: true,
        window: None,
        bias: Bias::None,
        residual: false,
        ..like
    };
    unsafe {
        software::product::launch_unchecked(
            &left.client,
            CubeCount::Static(row_groups, column_groups, NUMBERS as u32),
            CubeDim::new_1d(registers.lanes.count as u32),
            registers.terms,
            4,
            whole(left, 4),
            whole(right, 4),
            // Placeholders for bias and residual: bound, never read.
            whole(left, 1),
            whole(left, 4),
            whole(out, 4),
            count,
            SizesLaunch::new(rows, NUMBERS * count, depth, depth, 0),
            scene.launch(),
            plan,
            registers,
            float(left),
            float(left),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_keep_to_their_bytes_and_launches_to_their_work() {
        for channels in [32, 64, 128, 320, 512, 640, 960, 1280, 1920, 2560] {
            for rows in [4, 128, 320, 512, 640, 1280] {
                for tiles in [32, 64, 256, 1024, 4096, 65_536, 262_144] {
                    let (rows, tiles) = slab(rows, channels, tiles);
                    for length in [rows * channels, channels * tiles, rows * tiles] {
                        assert!(4 * NUMBERS * length <= SLAB_BYTES * 9 / 8, "{channels} {rows} {tiles}");
                    }
                    assert!(NUMBERS * rows * channels * tiles <= SOFTWARE_LAUNCH, "{channels} {rows} {tiles}");
                }
            }
        }
    }
}
