//! burn's layers, built from named tensors in PyTorch's layouts.

use burn::module::{Param, ParamId};
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, LayerNorm, Linear, PaddingConfig2d};
use burn::tensor::Tensor;

use crate::device::Place;
use crate::{Result, weights::Tensors};

/// Hands out the tensors of one file under a growing prefix, as PyTorch's module paths do.
pub struct Builder<'a> {
    tensors: &'a mut Tensors,
    place: &'a Place,
    prefix: String,
}

impl<'a> Builder<'a> {
    /// A builder over the whole file.
    pub fn new(tensors: &'a mut Tensors, place: &'a Place) -> Self {
        Self { tensors, place, prefix: String::new() }
    }

    /// The same tensors below `name`: `builder.at("mid_block").at("resnets.0")`.
    pub fn at(&mut self, name: impl std::fmt::Display) -> Builder<'_> {
        Builder { prefix: format!("{}{name}.", self.prefix), tensors: self.tensors, place: self.place }
    }

    /// A parameter of exactly `shape`.
    ///
    /// # Errors
    /// Names the tensor if it is missing or wrongly shaped.
    pub fn parameter<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Result<Param<Tensor<D>>> {
        let tensor = self.tensors.take(&format!("{}{name}", self.prefix), shape, self.place)?;
        Ok(Param::initialized(ParamId::new(), tensor))
    }

    /// `nn.Linear`: PyTorch keeps `[out, in]`, burn `[in, out]`; the transpose is a view.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn linear(&mut self, name: &str, [input, output]: [usize; 2], bias: bool) -> Result<Linear> {
        let mut at = self.at(name);
        let weight = at.parameter("weight", [output, input])?.map(|weight| weight.transpose());
        let bias = bias.then(|| at.parameter("bias", [output])).transpose()?;
        Ok(Linear { weight, bias })
    }

    /// `nn.Conv2d` with a square kernel and symmetric padding.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn conv(
        &mut self,
        name: &str,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Result<Conv2d> {
        self.conv_padded(name, channels, kernel, stride, PaddingConfig2d::Explicit(padding, padding, padding, padding))
    }

    /// `nn.Conv2d` with any padding.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn conv_padded(
        &mut self,
        name: &str,
        [input, output]: [usize; 2],
        kernel: usize,
        stride: usize,
        padding: PaddingConfig2d,
    ) -> Result<Conv2d> {
        let mut at = self.at(name);
        Ok(Conv2d {
            weight: at.parameter("weight", [output, input, kernel, kernel])?,
            bias: Some(at.parameter("bias", [output])?),
            stride: [stride; 2],
            kernel_size: [kernel; 2],
            dilation: [1; 2],
            groups: 1,
            padding,
        })
    }

    /// `nn.GroupNorm`.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn group_norm(&mut self, name: &str, groups: usize, channels: usize, epsilon: f64) -> Result<GroupNorm> {
        let mut at = self.at(name);
        Ok(GroupNorm {
            gamma: Some(at.parameter("weight", [channels])?),
            beta: Some(at.parameter("bias", [channels])?),
            num_groups: groups,
            num_channels: channels,
            epsilon,
            affine: true,
        })
    }

    /// `nn.LayerNorm` over the last dimension.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn layer_norm(&mut self, name: &str, width: usize, epsilon: f64) -> Result<LayerNorm> {
        let mut at = self.at(name);
        // LayerNorm's epsilon is private in burn, so the layer is configured first and then given its weights; the
        // configured ones are lazy and never computed.
        let mut norm = burn::nn::LayerNormConfig::new(width).with_epsilon(epsilon).init(&at.place.device);
        norm.gamma = at.parameter("weight", [width])?;
        norm.beta = Some(at.parameter("bias", [width])?);
        Ok(norm)
    }
}
