//! Which timesteps a run visits, and at which layers features are captured and injected there.

use super::params::{Params, Preset};
use crate::Result;
use crate::diffusion::Schedule;
use crate::model::StableDiffusion;
use crate::weights::config::Prediction;

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
    /// Makes `params` definite for `model`.
    ///
    /// # Errors
    /// One sentence naming the setting that is out of range.
    pub fn new(model: &StableDiffusion, params: &Params) -> Result<Self> {
        params.check()?;
        Ok(Self {
            preset: params.preset,
            schedule: Schedule::new(&model.scheduler, params.preset.grid(), params.steps())?,
            prediction: model.scheduler.prediction_type,
            layers: params.layers(&model.unet.config)?,
        })
    }

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

    /// The presets differ in what the UNet sees on the step to timestep t: `diffusers` gives it the latents of the step
    /// before together with t (one step stale), `ldm` gives it the latents of t itself and steps to the next (aligned).
    pub fn inversion(&self) -> impl ExactSizeIterator<Item = InversionStep<'_>> {
        let schedule = &self.schedule;
        schedule.timesteps.iter().enumerate().map(move |(i, &t)| {
            let next = || schedule.timesteps.get(i + 1).copied().unwrap_or(schedule.last());
            let (from, to) = match self.preset {
                Preset::Diffusers => (schedule.alpha_before(t), schedule.alpha(t)),
                Preset::Ldm => (schedule.alpha(t), schedule.alpha(next())),
            };
            // A feature that the reverse pass never asks for is not kept.
            let layers = if self.reverse().any(|used| used == t) { &self.layers[..] } else { &[] };
            InversionStep { timestep: t, from, to, layers }
        })
    }
}

/// One step of an inversion: from one timestep's latents to the next noisier one's.
pub struct InversionStep<'a> {
    /// What the UNet is told.
    pub timestep: usize,
    /// ᾱ of the latents before.
    pub from: f32,
    /// ᾱ of the latents after.
    pub to: f32,
    /// Layers whose features are kept.
    pub layers: &'a [usize],
}
