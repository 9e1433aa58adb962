//! Residual blocks and the changes of resolution between levels.

use burn::module::Module;
use burn::tensor::{Tensor, activation};

use super::bands::{BandWindow, Bands};
use super::layers::{Builder, Conv, ConvShape, Linear};
use super::norms::GroupNorm;
use crate::Result;
use crate::control::Control;

/// The sizes of a [`ResnetBlock`].
#[derive(Debug, Clone, Copy)]
pub struct ResnetShape {
    /// Channels in.
    pub input: usize,
    /// Channels out.
    pub output: usize,
    /// Width of the timestep's embedding; none in the VAE.
    pub time_width: Option<usize>,
    /// Groups of both group norms.
    pub groups: usize,
    /// Epsilon of both group norms.
    pub epsilon: f64,
    /// Divides the sum of both branches.
    pub scale: f64,
}

/// Norm, `SiLU`, conv, twice, with the timestep added in between (diffusers `ResnetBlock2D`).
#[derive(Module, Debug)]
pub struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv,
    conv_shortcut: Option<Conv>,
    scale: f64,
}

impl ResnetBlock {
    /// # Errors
    /// Names a missing or wrongly shaped tensor.
    pub fn build(mut at: Builder, shape: ResnetShape) -> Result<Self> {
        let ResnetShape { input, output, time_width, groups, epsilon, scale } = shape;
        Ok(Self {
            norm1: at.group_norm("norm1", groups, input, epsilon)?,
            conv1: at.conv("conv1", [input, output], 3, 1, 1)?,
            time_emb_proj: time_width.map(|width| at.linear("time_emb_proj", [width, output], true)).transpose()?,
            norm2: at.group_norm("norm2", groups, output, epsilon)?,
            conv2: at.conv("conv2", [output, output], 3, 1, 1)?,
            conv_shortcut: (input != output).then(|| at.conv("conv_shortcut", [input, output], 1, 1, 0)).transpose()?,
            scale,
        })
    }

    /// `[batch, input, height, width]` with `time` `[batch, time_width]` to `[batch, output, height, width]`.
    pub fn forward(&self, x: Tensor<4>, time: Option<&Tensor<2>>) -> Tensor<4> {
        let hidden = self.norm1.forward_silu(x.clone());
        let hidden = match (&self.time_emb_proj, time) {
            (Some(proj), Some(time)) => {
                self.conv1.forward_shifted(hidden, proj.forward(activation::silu(time.clone())))
            }
            _ => self.conv1.forward(hidden),
        };
        let sum = self.conv2.forward_added(self.norm2.forward_silu(hidden), self.shortcut(x));
        self.scaled(sum)
    }

    /// As [`ResnetBlock::forward`] without a timestep, band by band.
    ///
    /// # Errors
    /// Only what `control` returns: a cancel.
    pub(super) async fn forward_bands(&self, x: Bands, control: &Control<'_>) -> Result<Bands> {
        let [input, output] = self.conv1.shape().channels;
        let limit = x.limit();
        let x = match x.fit(input.max(output)).single() {
            Ok(x) => return Ok(Bands::of(vec![self.forward(x, None)], limit)),
            Err(bands) => bands,
        };
        let heights = x.heights();
        let normed = x.normed(&self.norm1);
        // An input band is freed as soon as both branches have used it, which halves the peak where the block halves its
        // channels.
        let (mut hidden, mut shortcuts) = (Vec::with_capacity(heights.len()), Vec::with_capacity(heights.len()));
        for (BandWindow { rows, padding }, x) in x.clone().windows(&self.conv1, heights.clone()).zip(x.into_parts()) {
            hidden.push(self.conv1.forward_padded(normed(rows), padding));
            shortcuts.push(self.shortcut(x));
            control.yield_and_check().await?;
        }
        let hidden = Bands::of(hidden, limit);
        let normed = hidden.normed(&self.norm2);
        let mut parts = Vec::with_capacity(heights.len());
        for (BandWindow { rows, padding }, shortcut) in hidden.windows(&self.conv2, heights).zip(shortcuts) {
            let sum = self.conv2.forward_padded_added(normed(rows), padding, shortcut);
            parts.push(self.scaled(sum));
            control.yield_and_check().await?;
        }
        Ok(Bands::of(parts, limit))
    }

    fn shortcut(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.conv_shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        }
    }

    fn scaled(&self, sum: Tensor<4>) -> Tensor<4> {
        if self.scale == 1.0 { sum } else { sum.div_scalar(self.scale) }
    }
}

/// Halves the resolution with a stride-2 convolution.
#[derive(Module, Debug)]
pub struct Downsample {
    conv: Conv,
}

impl Downsample {
    /// Symmetric padding, as in the UNet.
    ///
    /// # Errors
    /// Names a missing or wrongly shaped tensor.
    pub fn build(mut at: Builder, channels: usize, padding: usize) -> Result<Self> {
        Ok(Self { conv: at.conv("conv", [channels; 2], 3, 2, padding)? })
    }

    /// One row and column of zeros at the bottom and the right only, as in the VAE's encoder.
    ///
    /// # Errors
    /// Names a missing or wrongly shaped tensor.
    pub fn build_asymmetric(mut at: Builder, channels: usize) -> Result<Self> {
        Ok(Self {
            conv: at.conv_of("conv", ConvShape { channels: [channels; 2], kernel: 3, stride: 2, padding: [0, 1] })?,
        })
    }

    /// `[batch, channels, height, width]` to about half of both.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv.forward(x)
    }

    /// As [`Downsample::forward`], band by band.
    ///
    /// # Errors
    /// Only what `control` returns: a cancel.
    pub(super) async fn forward_bands(&self, x: Bands, control: &Control<'_>) -> Result<Bands> {
        x.convolve(None, &self.conv, control).await
    }
}

/// Doubles the resolution by repeating pixels, then convolves.
#[derive(Module, Debug)]
pub struct Upsample {
    conv: Conv,
}

impl Upsample {
    /// # Errors
    /// Names a missing or wrongly shaped tensor.
    pub fn build(mut at: Builder, channels: usize) -> Result<Self> {
        Ok(Self { conv: at.conv("conv", [channels; 2], 3, 1, 1)? })
    }

    /// `[batch, channels, height, width]` to `size`, or to twice its own. If downsampling rounded an odd side up, the
    /// target is one short of twice: nearest neighbour to 2n − 1 picks the same pixels as to 2n, without the last.
    pub fn forward(&self, x: Tensor<4>, size: Option<[usize; 2]>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        self.conv.forward_upsampled(x, size.unwrap_or([2 * height, 2 * width]))
    }

    /// As [`Upsample::forward`] to twice the size, band by band.
    ///
    /// # Errors
    /// Only what `control` returns: a cancel.
    pub(super) async fn forward_bands(&self, x: Bands, control: &Control<'_>) -> Result<Bands> {
        x.convolve_doubled(&self.conv, control).await
    }
}
