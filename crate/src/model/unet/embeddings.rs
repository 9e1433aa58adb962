//! The timestep as a vector.

use burn::module::Module;
use burn::tensor::{Tensor, activation};

use crate::Result;
use crate::device::Place;
use crate::model::layers::{Builder, Linear};
use crate::weights::config::UnetConfig;

/// Sinusoids of `timestep` at `width / 2` frequencies from 1 down to 1/10000, `[1, width]` (diffusers
/// `get_timestep_embedding`). In f32 throughout, as the reference computes it: at t = 999 the last bits matter for the
/// phase.
pub fn sinusoids(timestep: f64, config: &UnetConfig, place: &Place) -> Tensor<2> {
    let width = config.block_out_channels[0];
    let half = width / 2;
    let log_period = -(10_000f64.ln()) as f32;
    let phases: Vec<f32> = (0..half)
        .map(|i| timestep as f32 * (log_period * i as f32 / (half as f32 - config.freq_shift)).exp())
        .collect();
    let sin = phases.iter().map(|phase| phase.sin());
    let cos = phases.iter().map(|phase| phase.cos());
    let mut values: Vec<f32> = if config.flip_sin_to_cos { cos.chain(sin).collect() } else { sin.chain(cos).collect() };
    values.resize(width, 0.0);
    place.tensor(values, [1, width])
}

/// Two linear layers with `SiLU` in between over the sinusoids (diffusers `TimestepEmbedding`).
#[derive(Module, Debug)]
pub struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
}

impl TimestepEmbedding {
    /// # Errors
    /// Names a missing or wrongly shaped tensor.
    pub fn build(mut at: Builder, input: usize, output: usize) -> Result<Self> {
        Ok(Self {
            linear_1: at.linear("linear_1", [input, output], true)?,
            linear_2: at.linear("linear_2", [output, output], true)?,
        })
    }

    /// `[batch, input]` to `[batch, output]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.linear_2.forward(activation::silu(self.linear_1.forward(x)))
    }
}
