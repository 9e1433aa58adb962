//! The whole method: encode, invert both, align the noise, denoise with injection, decode.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;

use super::adain::adain;
use super::features::{Feature, KeyValue, Query};
use super::hooks::Inject;
use super::inversion::Inversion;
use super::params::{Params, Preset};
use crate::control::{Control, Phase};
use crate::device::settle;
use crate::diffusion::{Schedule, ddim, randn};
use crate::model::StableDiffusion;
use crate::model::attention::{NoHook, SelfAttentionHook};
use crate::model::config::Prediction;
use crate::model::context::Context;
use crate::{Error, Result, memory};

/// A model on a device, ready to run.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The model.
    pub model: StableDiffusion,
    /// Shapes of latents that the network has met, whose shaders are compiled.
    met: Arc<Mutex<BTreeSet<[usize; 4]>>>,
}

/// A run's settings made definite for one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Which official implementation to follow.
    pub preset: Preset,
    /// ᾱ and timesteps.
    pub schedule: Schedule,
    /// What the UNet predicts.
    pub prediction: Prediction,
    /// Decoder layers to capture and inject; none without injection.
    pub layers: Vec<usize>,
}

impl Plan {
    /// The timesteps of the reverse pass, descending. The paper's preset skips the noisiest: it starts one step in.
    pub fn reverse(&self) -> impl Iterator<Item = usize> {
        let skipped = match self.preset {
            Preset::Diffusers => 0,
            Preset::Ldm => 1,
        };
        self.schedule.timesteps.iter().rev().skip(skipped).copied()
    }

    /// Whether a run needs anything of the style: its statistics or its features.
    pub fn needs_style(&self, params: &Params) -> bool {
        params.init_adain || !self.layers.is_empty()
    }
}

/// The result of the reverse pass, with what happened on the way.
#[derive(Debug, Clone)]
pub struct Stylized {
    /// The latents that the reverse pass started from, `[1, 4, h, w]`.
    pub initial: Tensor<4>,
    /// Predicted clean latents of every step.
    pub x0: Vec<Tensor<4>>,
    /// Latents after every step.
    pub previous: Vec<Tensor<4>>,
    /// The latents to decode, `[1, 4, h, w]`.
    pub latents: Tensor<4>,
}

impl Pipeline {
    /// A pipeline that has run nothing yet.
    pub fn new(model: StableDiffusion) -> Self {
        Self { model, met: Arc::default() }
    }

    /// Makes `params` definite for this model.
    ///
    /// # Errors
    /// One sentence naming the setting that is out of range.
    pub fn plan(&self, params: &Params) -> Result<Plan> {
        params.check()?;
        let layers = params.layers(&self.model.info.layers)?;
        Ok(Plan {
            preset: params.preset,
            schedule: Schedule::new(&self.model.scheduler, params.preset, params.steps())?,
            prediction: self.model.scheduler.prediction_type,
            layers: if params.attn_injection { layers } else { Vec::new() },
        })
    }

    /// Whether features are kept as f16: on GPUs, unless they are to be exact.
    pub fn keeps_halves(&self) -> bool {
        !self.model.place.is_processor() && !self.model.memory.exact_features
    }

    /// Gives back what the device keeps for tensors of sizes that the next phase has no use for.
    pub(super) fn tidy(&self) {
        memory::sample();
        if !self.model.place.is_processor() {
            self.model.place.device.memory_cleanup();
        }
    }

    /// Reports the beginning of a phase of `steps` network calls on latents like `x`, or a warm-up before it.
    pub(super) fn begin(&self, phase: Phase, x: &Tensor<4>, steps: usize, control: &Control<'_>) {
        // Whoever panicked while holding it left whole shapes behind.
        let is_new = self.met.lock().unwrap_or_else(PoisonError::into_inner).insert(x.dims());
        if is_new && !self.model.place.is_processor() {
            control.report(Phase::WarmUp, 0, 1);
        } else {
            control.report(phase, 0, steps);
        }
    }

    /// One call of the UNet with the empty prompt as `context`, without guidance.
    pub(super) async fn predict(
        &self,
        x: Tensor<4>,
        timestep: usize,
        context: &Context,
        hook: &mut dyn SelfAttentionHook,
        control: &Control<'_>,
    ) -> Result<Tensor<4>> {
        self.model.unet.forward(x, timestep, context, hook, control).await
    }

    /// Pixels `[1, 3, height, width]` in −1…1 to scaled latents: the posterior's mode, or a sample of it from `seed`.
    ///
    /// # Errors
    /// A cancel, or a device that stopped.
    pub async fn encode<F: Feature>(
        &self,
        pixels: Tensor<4>,
        seed: Option<u32>,
        control: &Control<'_>,
    ) -> Result<Tensor<4>> {
        control.report(F::ENCODE, 0, 1);
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
        settle(&latents).await?;
        control.report(F::ENCODE, 1, 1);
        Ok(latents)
    }

    /// The reverse pass from the content's noise with the style's statistics (paper, figure 3). `style` may be missing where
    /// neither these nor its features are asked for.
    ///
    /// # Errors
    /// A cancel, a device that stopped, or inversions made with other settings.
    pub async fn stylize(
        &self,
        content: &Inversion<Query>,
        style: Option<&Inversion<KeyValue>>,
        plan: &Plan,
        params: &Params,
        control: &Control<'_>,
    ) -> Result<Stylized> {
        let schedule = &plan.schedule;
        let style = || style.ok_or_else(|| Error::Settings("The style has to be inverted for these settings.".into()));
        let initial = if params.init_adain {
            adain(content.noise().clone(), style()?.noise(), plan.preset.adain_epsilon())
        } else {
            content.noise().clone()
        };
        let mut x = initial.clone();
        let (mut x0s, mut previous) = (Vec::new(), Vec::new());
        let steps = plan.reverse().count();
        self.begin(Phase::Stylize, &x, steps, control);
        for (i, t) in plan.reverse().enumerate() {
            let context = &self.model.context;
            let output = if plan.layers.is_empty() {
                self.predict(x.clone(), t, context, &mut NoHook, control).await?
            } else {
                let (queries, keys_values) = (&content.bank, &style()?.bank);
                let mut inject = Inject::new(queries, keys_values, &plan.layers, t, params.gamma, params.temperature)?;
                self.predict(x.clone(), t, context, &mut inject, control).await?
            };
            let split = ddim::split(plan.prediction, &x, output, schedule.alpha(t));
            x = ddim::step_to(&split, schedule.alpha_before(t));
            settle(&x).await?;
            x0s.push(split.x0);
            previous.push(x.clone());
            control.report(Phase::Stylize, i + 1, steps);
        }
        let latents = match (plan.preset, x0s.last()) {
            (Preset::Diffusers, Some(x0)) => x0.clone(),
            _ => x,
        };
        Ok(Stylized { initial, x0: x0s, previous, latents })
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
