//! Matrix products of activations and stored weights: the core of convolutions and linear layers.

mod hardware;
mod launch;
mod matrix;
mod plan;
mod software;
mod stage;
mod store;
mod tile;
mod weights;
mod winograd;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::{Int, Tensor};
use burn_cubecl::CubeBackend;

use matrix::Matrix;
pub use weights::Format;

use super::Kernels;
use super::geometry::Geometry;
use super::launch::contiguous;
use launch::Operands;

/// Weights as they are stored on the GPU.
#[derive(ExtensionType)]
pub enum Stored<B: Backend> {
    /// Floats in the run's own type.
    Floats(FloatTensor<B>),
    /// Two f16 a word.
    Halves(IntTensor<B>),
    /// Quantised codes, with their scales stored apart.
    Blocks {
        /// Words of codes.
        codes: IntTensor<B>,
        /// One f16 for every 32 codes, two a word.
        scales: IntTensor<B>,
        /// How codes lie in a word.
        format: Format,
    },
}

/// An optional tensor, as an operand of a backend extension.
#[derive(ExtensionType)]
pub enum Optional<B: Backend> {
    /// A tensor.
    Tensor(FloatTensor<B>),
    /// None.
    None,
}

/// Operands of a product.
#[derive(ExtensionType)]
pub struct ProductOperands<B: Backend> {
    /// Activations.
    pub x: FloatTensor<B>,
    /// Weights.
    #[extension_type]
    pub weights: Stored<B>,
    /// Rows and columns of the weights.
    pub shape: [usize; 2],
    /// Added along the output channels; f32, whatever the activations are.
    #[extension_type]
    pub bias: Optional<B>,
    /// Added to the result, in its shape; the result has its type.
    #[extension_type]
    pub residual: Optional<B>,
}

/// Convolutions and linear layers with stored weights.
#[backend_extension(Cube)]
pub trait ProductOps: Backend {
    /// Convolution of `[batch, in, height, width]`; the bias is `[1, out]` or `[batch, out]`.
    fn conv(
        #[extension_type] factors: ProductOperands<Self>,
        geometry: Geometry,
        kernels: Kernels,
    ) -> FloatTensor<Self>;

    /// x·Wᵀ + b for x `[…, in]`; with `geglu`, the left half of the columns times gelu of the right half.
    fn linear(#[extension_type] factors: ProductOperands<Self>, geglu: bool, kernels: Kernels) -> FloatTensor<Self>;
}

impl<B: Backend> Optional<B> {
    fn tensor(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Tensor(tensor) => Some(tensor),
            Self::None => None,
        }
    }
}

impl Matrix {
    fn new(stored: Stored<CubeBackend>, [rows, columns]: [usize; 2]) -> Self {
        let (words, scales, format) = match stored {
            Stored::Floats(floats) => (contiguous(floats), None, Format::F32),
            Stored::Halves(words) => (words, None, Format::F16),
            Stored::Blocks { codes, scales, format } => (codes, Some(scales), format),
        };
        Self { words, scales, format, rows, columns }
    }
}

impl ProductOperands<CubeBackend> {
    fn operands(self) -> Operands {
        Operands {
            x: contiguous(self.x),
            weights: Matrix::new(self.weights, self.shape),
            bias: self.bias.tensor().map(contiguous),
            residual: self.residual.tensor().map(contiguous),
        }
    }
}

impl ProductOps for CubeBackend {
    fn conv(factors: ProductOperands<Self>, geometry: Geometry, kernels: Kernels) -> FloatTensor<Self> {
        launch::conv(factors.operands(), geometry, kernels)
    }

    fn linear(factors: ProductOperands<Self>, geglu: bool, kernels: Kernels) -> FloatTensor<Self> {
        launch::linear(factors.operands(), geglu, kernels)
    }
}

/// A layer's weights as burn tensors.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "lives for one call")]
pub enum Weights {
    /// Floats `[rows, columns]`.
    Floats(Tensor<2>),
    /// Two f16 a word.
    Halves(Tensor<1, Int>),
    /// Codes and scales.
    Blocks(Tensor<1, Int>, Tensor<1, Int>, Format),
}

fn optional<const D: usize>(tensor: Option<Tensor<D>>) -> Optional<Dispatch> {
    tensor.map_or(Optional::None, |tensor| Optional::Tensor(tensor.into_dispatch()))
}

/// The operands of a product on a GPU.
pub(super) fn factors<const D: usize, const B: usize>(
    x: Tensor<D>,
    weights: Weights,
    shape: [usize; 2],
    bias: Option<Tensor<B>>,
    residual: Option<Tensor<D>>,
) -> ProductOperands<Dispatch> {
    let weights = match weights {
        Weights::Floats(floats) => Stored::Floats(floats.into_dispatch()),
        Weights::Halves(words) => Stored::Halves(words.into_dispatch()),
        Weights::Blocks(codes, scales, format) => {
            Stored::Blocks { codes: codes.into_dispatch(), scales: scales.into_dispatch(), format }
        }
    };
    ProductOperands { x: x.into_dispatch(), weights, shape, bias: optional(bias), residual: optional(residual) }
}
