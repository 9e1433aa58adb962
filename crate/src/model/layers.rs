//! The layers with weights, built from named tensors in PyTorch's layouts.

use burn::module::{Module, Param, ParamId};
use burn::nn::{GroupNorm, LayerNorm};
use burn::tensor::{Tensor, module, ops::ConvOptions};

use super::weight::Weight;
use crate::device::Place;
use crate::{Result, weights::Tensors};

/// x·Wᵀ + b.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Weight,
    bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// `[…, in]` to `[…, out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        module::linear(x, self.weight.values().transpose(), self.bias.as_ref().map(Param::val))
    }
}

/// A convolution with a square kernel.
#[derive(Module, Debug)]
pub struct Conv {
    weight: Weight,
    bias: Option<Param<Tensor<1>>>,
    input: usize,
    kernel: usize,
    stride: usize,
    /// Rows and columns of zeros before the picture.
    before: usize,
    /// Rows and columns of zeros after it.
    after: usize,
}

/// The sizes of a [`Conv`].
#[derive(Debug, Clone, Copy)]
pub struct ConvShape {
    /// Channels in and out.
    pub channels: [usize; 2],
    /// Side of the kernel.
    pub kernel: usize,
    /// Step of the kernel.
    pub stride: usize,
    /// Zeros before and after the picture, along both sides.
    pub padding: [usize; 2],
}

impl Conv {
    /// `[batch, in, height, width]` to `[batch, out, …]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_padded(x, [self.before, self.after, self.before, self.after])
    }

    /// As [`Conv::forward`] with other zeros around the picture: top, bottom, left, right.
    pub fn forward_padded(&self, x: Tensor<4>, [top, bottom, left, right]: [usize; 4]) -> Tensor<4> {
        let weight = self.weight.values();
        let output = weight.dims()[0];
        let weight = weight.reshape([output, self.input, self.kernel, self.kernel]);
        let padding = [(top, bottom), (left, right)];
        let options = ConvOptions::new_with_padding([self.stride; 2], padding, [1; 2], 1);
        module::conv2d(x, weight, self.bias.as_ref().map(Param::val), options)
    }

    /// Its sizes.
    pub(super) fn shape(&self) -> ConvShape {
        ConvShape {
            channels: [self.input, self.weight.rows()],
            kernel: self.kernel,
            stride: self.stride,
            padding: [self.before, self.after],
        }
    }
}

/// Hands out the tensors of one file under a growing prefix, as PyTorch's module paths do.
pub struct Builder<'a> {
    tensors: &'a mut Tensors,
    place: &'a Place,
    prefix: String,
}

impl<'a> Builder<'a> {
    /// A builder over all tensors.
    pub fn new(tensors: &'a mut Tensors, place: &'a Place) -> Self {
        Self { tensors, place, prefix: String::new() }
    }

    /// The same tensors below `name`: `builder.at("mid_block").at("resnets.0")`.
    pub fn at(&mut self, name: impl std::fmt::Display) -> Builder<'_> {
        Builder { prefix: format!("{}{name}.", self.prefix), tensors: self.tensors, place: self.place }
    }

    /// A parameter of exactly `shape`, as floats.
    ///
    /// # Errors
    /// Names the tensor if it is missing or wrongly shaped.
    pub fn parameter<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Result<Param<Tensor<D>>> {
        let tensor = self.tensors.take(&format!("{}{name}", self.prefix), shape, self.place)?;
        Ok(Param::initialized(ParamId::new(), tensor))
    }

    /// Rows of a table of exactly `shape`.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn rows(&mut self, name: &str, shape: [usize; 2], rows: &[usize]) -> Result<Param<Tensor<2>>> {
        let tensor = self.tensors.take_rows(&format!("{}{name}", self.prefix), shape, rows, self.place)?;
        Ok(Param::initialized(ParamId::new(), tensor))
    }

    /// A weight in whatever form it is kept in.
    fn weight(&mut self, shape: &[usize]) -> Result<Weight> {
        self.tensors.take_weight(&format!("{}weight", self.prefix), shape, self.place)
    }

    /// `nn.Linear`.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn linear(&mut self, name: &str, [input, output]: [usize; 2], bias: bool) -> Result<Linear> {
        let mut at = self.at(name);
        let weight = at.weight(&[output, input])?;
        let bias = bias.then(|| at.parameter("bias", [output])).transpose()?;
        Ok(Linear { weight, bias })
    }

    /// `nn.Conv2d` with symmetric padding.
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
    ) -> Result<Conv> {
        self.conv_of(name, ConvShape { channels, kernel, stride, padding: [padding; 2] })
    }

    /// `nn.Conv2d` of any shape.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn conv_of(&mut self, name: &str, shape: ConvShape) -> Result<Conv> {
        let ConvShape { channels: [input, output], kernel, stride, padding: [before, after] } = shape;
        let mut at = self.at(name);
        let weight = at.weight(&[output, input, kernel, kernel])?;
        let bias = Some(at.parameter("bias", [output])?);
        Ok(Conv { weight, bias, input, kernel, stride, before, after })
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
