//! The layers with weights, built from named tensors in PyTorch's layouts.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{FloatDType, Tensor};

use super::norms::{GroupNorm, LayerNorm};
use crate::Result;
use crate::device::Place;
use crate::model::tensors::Tensors;
use crate::ops::conv::{Convolve, Geometry, conv2d};
use crate::ops::linear::{Multiply, linear};
use crate::ops::weight::Weight;

/// x·Wᵀ + b.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Weight,
    bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// `[…, in]` to `[…, out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(self.operands(x))
    }

    /// The same, added to `residual` `[…, out]` if there is one.
    pub fn forward_added<const D: usize>(&self, x: Tensor<D>, residual: Option<Tensor<D>>) -> Tensor<D> {
        linear(Multiply { residual, ..self.operands(x) })
    }

    /// GEGLU: the left half of the result times gelu of its right half, `[…, out/2]`.
    pub fn forward_geglu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(Multiply { geglu: true, ..self.operands(x) })
    }

    fn operands<const D: usize>(&self, x: Tensor<D>) -> Multiply<'_, D> {
        Multiply { x, weight: &self.weight, bias: self.bias.as_ref().map(Param::val), residual: None, geglu: false }
    }
}

/// A convolution with a square kernel.
#[derive(Module, Debug)]
pub struct Conv {
    weight: Weight,
    bias: Param<Tensor<1>>,
    kernel: usize,
    stride: usize,
    /// Zero padding at the top and the left.
    before: usize,
    /// Zero padding at the bottom and the right.
    after: usize,
}

/// The sizes of a [`Conv`].
#[derive(Debug, Clone, Copy)]
pub struct ConvShape {
    /// Channels in and out.
    pub channels: [usize; 2],
    /// Side of the kernel.
    pub kernel: usize,
    /// Stride of the kernel.
    pub stride: usize,
    /// Zero padding before (top, left) and after (bottom, right) the picture.
    pub padding: [usize; 2],
}

impl Conv {
    /// `[batch, in, height, width]` to `[batch, out, …]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        conv2d(self.operands(x))
    }

    /// As [`Conv::forward`] with another zero padding: top, bottom, left, right.
    pub fn forward_padded(&self, x: Tensor<4>, padding: [usize; 4]) -> Tensor<4> {
        let operands = self.operands(x);
        let geometry = Geometry { padding, ..operands.geometry };
        conv2d(Convolve { geometry, ..operands })
    }

    /// [`Conv::forward_padded`] added to `residual` of the result's shape.
    pub fn forward_padded_added(&self, x: Tensor<4>, padding: [usize; 4], residual: Tensor<4>) -> Tensor<4> {
        let operands = self.operands(x);
        let geometry = Geometry { padding, ..operands.geometry };
        conv2d(Convolve { geometry, residual: Some(residual), ..operands })
    }

    /// [`Conv::forward`] added to `residual` of the result's shape.
    pub fn forward_added(&self, x: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        conv2d(Convolve { residual: Some(residual), ..self.operands(x) })
    }

    /// [`Conv::forward`] with `shift` `[batch, out]` added to every pixel.
    pub fn forward_shifted(&self, x: Tensor<4>, shift: Tensor<2>) -> Tensor<4> {
        let operands = self.operands(x);
        conv2d(Convolve { bias: operands.bias.clone() + shift, ..operands })
    }

    /// [`Conv::forward`] after nearest-neighbour upsampling to `size` (twice the picture's own, or one short of it).
    pub fn forward_upsampled(&self, x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        let operands = self.operands(x);
        let geometry = Geometry { upsampled: Some(size), ..operands.geometry };
        conv2d(Convolve { geometry, ..operands })
    }

    fn operands(&self, x: Tensor<4>) -> Convolve<'_> {
        let [before, after] = [self.before, self.after];
        Convolve {
            x,
            weight: &self.weight,
            bias: self.bias.val().unsqueeze(),
            residual: None,
            geometry: Geometry {
                kernel: self.kernel,
                stride: self.stride,
                padding: [before, after, before, after],
                upsampled: None,
            },
        }
    }

    /// Its sizes.
    pub(super) fn shape(&self) -> ConvShape {
        let [output, columns] = self.weight.shape();
        ConvShape {
            channels: [columns / self.kernel.pow(2), output],
            kernel: self.kernel,
            stride: self.stride,
            padding: [self.before, self.after],
        }
    }
}

/// Takes tensors by name under a growing prefix, as in PyTorch's module paths.
pub struct Builder<'a> {
    tensors: &'a mut Tensors,
    place: &'a Place,
    prefix: String,
    halves: bool,
}

impl<'a> Builder<'a> {
    /// A builder over all tensors.
    pub fn new(tensors: &'a mut Tensors, place: &'a Place) -> Self {
        Self { tensors, place, prefix: String::new(), halves: false }
    }

    /// The same, whose norms give what the place's [activations](Place::activations) are.
    pub fn with_activations(tensors: &'a mut Tensors, place: &'a Place) -> Self {
        Self { halves: place.activations() == FloatDType::F16, ..Self::new(tensors, place) }
    }

    /// The same tensors below `name`: `builder.at("mid_block").at("resnets.0")`.
    pub fn at(&mut self, name: impl std::fmt::Display) -> Builder<'_> {
        let prefix = format!("{}{name}.", self.prefix);
        Builder { tensors: self.tensors, place: self.place, prefix, halves: self.halves }
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

    /// A weight in its stored form, quantised or not.
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
        let bias = at.parameter("bias", [output])?;
        Ok(Conv { weight, bias, kernel, stride, before, after })
    }

    /// `nn.GroupNorm`.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn group_norm(&mut self, name: &str, groups: usize, channels: usize, epsilon: f64) -> Result<GroupNorm> {
        let mut at = self.at(name);
        Ok(GroupNorm {
            weight: at.parameter("weight", [channels])?,
            bias: at.parameter("bias", [channels])?,
            groups,
            epsilon,
            halves: at.halves,
        })
    }

    /// `nn.LayerNorm` over the last dimension.
    ///
    /// # Errors
    /// As [`Builder::parameter`].
    pub fn layer_norm(&mut self, name: &str, width: usize, epsilon: f64) -> Result<LayerNorm> {
        let mut at = self.at(name);
        Ok(LayerNorm {
            weight: at.parameter("weight", [width])?,
            bias: at.parameter("bias", [width])?,
            epsilon,
            halves: at.halves,
        })
    }
}
