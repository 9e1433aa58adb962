//! The norms with their weights.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::ops::norm::{self, Affine};

/// `nn.GroupNorm`.
#[derive(Module, Debug)]
pub struct GroupNorm {
    pub(super) weight: Param<Tensor<1>>,
    pub(super) bias: Param<Tensor<1>>,
    pub(super) groups: usize,
    pub(super) epsilon: f64,
    /// Whether the result is f16.
    pub(super) halves: bool,
}

impl GroupNorm {
    /// `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        norm::group_norm(x, self.affine(), self.groups, false)
    }

    /// The norm and `SiLU` after it.
    pub fn forward_silu(&self, x: Tensor<4>) -> Tensor<4> {
        norm::group_norm(x, self.affine(), self.groups, true)
    }

    /// Operands of the norm's second pass.
    pub fn affine(&self) -> Affine {
        Affine { scale: self.weight.val(), shift: self.bias.val(), epsilon: self.epsilon, halves: self.halves }
    }

    /// Number of channel groups.
    pub fn groups(&self) -> usize {
        self.groups
    }
}

/// `nn.LayerNorm` over the last dimension.
#[derive(Module, Debug)]
pub struct LayerNorm {
    pub(super) weight: Param<Tensor<1>>,
    pub(super) bias: Param<Tensor<1>>,
    pub(super) epsilon: f64,
    /// Whether the result is f16.
    pub(super) halves: bool,
}

impl LayerNorm {
    /// `[batch, tokens, channels]` to the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let Self { weight, bias, epsilon, halves } = self;
        let affine = Affine { scale: weight.val(), shift: bias.val(), epsilon: *epsilon, halves: *halves };
        norm::layer_norm(x, affine)
    }
}
