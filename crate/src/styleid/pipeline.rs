//! A model ready to run: one call of the UNet, encoding and decoding. Inversion and reverse pass are in files of their own.

use burn::tensor::Tensor;

use super::features::Feature;
use super::run::Run;
use crate::control::{Control, Phase, Turn};
use crate::device::wait_and_check_finite;
use crate::diffusion::randn;
use crate::model::StableDiffusion;
use crate::model::attention::AttentionProcessor;
use crate::model::unet::{Deep, PromptContext};
use crate::{Result, memory};

/// A model on a device, ready to run.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The model.
    pub model: StableDiffusion,
}

impl Pipeline {
    /// A pipeline of `model`.
    pub fn new(model: StableDiffusion) -> Self {
        Self { model }
    }

    /// Whether features are stored as f16: where memory is short, on GPUs and in a browser's tab, unless exact features were
    /// requested.
    pub fn keeps_halves(&self) -> bool {
        let is_short = cfg!(target_arch = "wasm32") || !self.model.place.is_processor();
        is_short && !self.model.memory.exact_features
    }

    /// Frees the device's unused buffers: the next phase has tensors of other sizes.
    pub(super) fn free_unused_buffers(&self) {
        memory::sample();
        if !self.model.place.is_processor() {
            self.model.place.device.memory_cleanup();
        }
    }

    /// Reports the beginning of a phase of `steps` network calls on latents like `x`, or a warm-up before it.
    pub(super) fn begin(&self, phase: Phase, turn: Turn, x: &Tensor<4>, steps: usize, run: &Run<'_>) {
        if run.counters.meets(x.dims()) && !self.model.place.is_processor() {
            run.control.report(Phase::WarmUp, 0, 1);
        } else {
            run.control.report_turn(phase, turn, 0, steps);
        }
    }

    /// One call of the UNet with the empty prompt as `context`, without classifier-free guidance. With `deep` it may take over
    /// features of an earlier one.
    pub(super) async fn predict(
        &self,
        x: Tensor<4>,
        timestep: f64,
        context: &PromptContext,
        processor: &mut dyn AttentionProcessor,
        deep: Option<&mut Deep>,
        run: &Run<'_>,
    ) -> Result<Tensor<4>> {
        let pictures = x.dims()[0];
        let output = self.model.unet.forward(x, timestep, context, processor, deep, run.control).await?;
        run.counters.count(pictures);
        Ok(output)
    }

    /// Pixels `[1, 3, height, width]` in −1…1 to scaled latents: the posterior's mode, or a sample of it from `seed`. `turn` says
    /// which of the content or style pictures this is, for progress.
    ///
    /// # Errors
    /// A cancel, or a device that stopped.
    pub async fn encode<F: Feature>(
        &self,
        pixels: Tensor<4>,
        seed: Option<u32>,
        turn: Turn,
        control: &Control<'_>,
    ) -> Result<Tensor<4>> {
        control.report_turn(F::ENCODE, turn, 0, 1);
        let posterior = self.model.vae.encode(pixels, control).await?;
        let sample = match seed {
            None => posterior.mean,
            Some(seed) => {
                let shape = posterior.mean.dims();
                let noise = randn::randn(seed.wrapping_add(F::SEED_OFFSET), shape.iter().product());
                let deviation = posterior.log_variance.mul_scalar(0.5).exp();
                posterior.mean + deviation * self.model.place.tensor(noise, shape)
            }
        };
        let latents = sample.mul_scalar(self.model.vae.config.scaling_factor);
        wait_and_check_finite(&latents).await?;
        control.report_turn(F::ENCODE, turn, 1, 1);
        Ok(latents)
    }

    /// Scaled latents to pixels `[1, 3, height, width]`, about −1…1.
    ///
    /// # Errors
    /// A cancel, or a device that stopped.
    pub async fn decode(&self, latents: Tensor<4>, control: &Control<'_>) -> Result<Tensor<4>> {
        control.report(Phase::Decode, 0, 1);
        let scaling = self.model.vae.config.scaling_factor;
        let pixels = self.model.vae.decode(latents.div_scalar(scaling), control).await?;
        control.report(Phase::Decode, 1, 1);
        Ok(pixels)
    }
}
