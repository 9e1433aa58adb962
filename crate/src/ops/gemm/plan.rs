//! What a product's kernels are told: at compile time the [`ProductPlan`], at run time the [`Sizes`] and [`Pictures`].

use cubecl::prelude::*;

use super::tile::Tile;
use super::weights::Format;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProductPlan {
    /// How the work is divided.
    pub tile: Tile,
    /// How the weights are stored.
    pub weights: Format,
    /// How the activations are stored.
    pub activations: Format,
    /// Whether the terms of a sum are a multiple of four.
    pub aligned: bool,
    /// What a convolution moves over its input; none in a linear layer.
    pub window: Option<Window>,
    /// What is added to every row or column.
    pub bias: Bias,
    /// Whether something is added to the result.
    pub residual: bool,
    /// Whether the left half of the columns is multiplied by gelu of the right half.
    pub geglu: bool,
    /// Whether the sum is cut into parts, which another kernel adds up.
    pub split: bool,
}

/// A convolution's kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Its side.
    pub side: usize,
    /// Its step.
    pub stride: usize,
    /// Whether it sees every pixel doubled along both sides.
    pub upsample: bool,
}

/// What the bias is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bias {
    /// There is none.
    None,
    /// A number for each row, a convolution's channels.
    Rows,
    /// A number for each column, a linear layer's outputs.
    Columns,
}

/// The sizes of a product [rows, depth] by [depth, columns].
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
    /// The first column of this launch.
    pub first: usize,
}

/// The pictures of a convolution. A linear layer's result is a picture of one row of pixels for each of its rows.
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

/// What [`PicturesLaunch`] is made of, anew for each launch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scene {
    /// Height and width of the input, after doubling if that is done.
    pub input: [usize; 2],
    /// Height and width of the input as it is stored.
    pub stored: [usize; 2],
    /// Channels of the input.
    pub channels: usize,
    /// Width of the output.
    pub out_width: usize,
    /// Pixels of one output.
    pub pixels: usize,
    /// Rows of zeros above the input, and columns of zeros to its left.
    pub corner: [usize; 2],
    /// Distance between the biases of two pictures.
    pub bias_stride: usize,
}

impl Scene {
    /// For one launch.
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
