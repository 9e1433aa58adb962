//! Parameters of a product's kernels: the [`ProductPlan`] at compile time, the [`Sizes`] and [`Pictures`] at run time.

use cubecl::prelude::*;

use super::tile::Tile;
use super::weights::Format;
use crate::ops::geometry::Geometry;

/// Compile-time parameters of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProductPlan {
    /// How the work is divided.
    pub tile: Tile,
    /// How the weights are stored.
    pub weights: Format,
    /// How the activations are stored.
    pub activations: Format,
    /// Whether the number of terms of a sum is a multiple of four.
    pub aligned: bool,
    /// The window of a convolution; none in a linear layer.
    pub window: Option<Window>,
    /// Whether a bias is added, and along which axis.
    pub bias: Bias,
    /// Whether a residual is added to the result.
    pub residual: bool,
    /// Whether the left half of the columns is multiplied by gelu of the right half.
    pub geglu: bool,
    /// Split-K: whether workgroups share the terms of a sum, and another kernel adds up their partial sums.
    pub split: bool,
}

/// The window that a convolution moves over its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Side of the window.
    pub side: usize,
    /// Stride of the window.
    pub stride: usize,
    /// Whether the input is upsampled by two before, nearest neighbour.
    pub upsample: bool,
}

impl From<Geometry> for Window {
    fn from(geometry: Geometry) -> Self {
        Self { side: geometry.kernel, stride: geometry.stride, upsample: geometry.upsampled.is_some() }
    }
}

/// The axis of the bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bias {
    /// No bias.
    None,
    /// One value per row: a convolution's output channels.
    Rows,
    /// One value per column: a linear layer's outputs.
    Columns,
}

/// The sizes of a product [rows, depth] by [depth, columns].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Sizes {
    /// Rows of the product.
    pub rows: usize,
    /// Columns of the product: for a convolution, the output pixels of the whole batch.
    pub columns: usize,
    /// Terms of each sum.
    pub depth: usize,
    /// Terms that one workgroup adds up; a multiple of the tile's depth.
    pub part: usize,
    /// The first column of this launch.
    pub first: usize,
}

/// The pictures of a convolution. A linear layer's result counts as one picture: rows are its channels, columns its pixels.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Pictures {
    /// Height of the input, after any upsampling.
    pub height: usize,
    /// Width of the input, after any upsampling.
    pub width: usize,
    /// Height of the input as it is stored.
    pub stored_height: usize,
    /// Width of the input as it is stored.
    pub stored_width: usize,
    /// Channels of the input.
    pub channels: usize,
    /// Width of the output.
    pub out_width: usize,
    /// Pixels of one output picture.
    pub pixels: usize,
    /// Rows of zero padding above the input.
    pub top: usize,
    /// Columns of zero padding to its left.
    pub left: usize,
    /// Distance between the biases of neighbouring pictures: 0 if all share one.
    pub bias_stride: usize,
}

/// The fields of [`Pictures`]: each launch consumes a [`PicturesLaunch`] made of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scene {
    /// Height and width of the input, after any upsampling.
    pub input: [usize; 2],
    /// Height and width of the input as it is stored.
    pub stored: [usize; 2],
    /// Channels of the input.
    pub channels: usize,
    /// Width of the output.
    pub out_width: usize,
    /// Pixels of one output picture.
    pub pixels: usize,
    /// Rows of zero padding above the input, and columns to its left.
    pub corner: [usize; 2],
    /// Distance between the biases of neighbouring pictures.
    pub bias_stride: usize,
}

impl Scene {
    /// The argument of one launch.
    pub fn launch(self) -> PicturesLaunch {
        let Scene { input, stored, channels, out_width, pixels, corner, bias_stride } = self;
        let ([height, width], [stored_height, stored_width], [top, left]) = (input, stored, corner);
        PicturesLaunch::new(
            height,
            width,
            stored_height,
            stored_width,
            channels,
            out_width,
            pixels,
            top,
            left,
            bias_stride,
        )
    }
}
