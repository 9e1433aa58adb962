//! Which noise levels a run visits, and at which layers features are captured and injected there.

use burn::tensor::Tensor;

use super::params::{Params, Preset};
use crate::Result;
use crate::diffusion::{Level, Levels, Move, Schedule};
use crate::model::StableDiffusion;
use crate::weights::config::{Prediction, SchedulerConfig, UnetConfig};

/// The noise levels of a run, and the solver that steps between them.
#[derive(Debug, Clone, PartialEq)]
pub enum Course {
    /// DDIM over whole timesteps.
    Ddim(Schedule),
    /// DPM-Solver++ 2M over fractional timesteps, the same levels in both directions.
    Multistep(Levels),
}

impl Course {
    /// The course of `steps` steps of `preset`, for a model with this scheduler.
    ///
    /// # Errors
    /// Says how many steps are possible, or that the preset does not support the model's schedule.
    pub fn new(scheduler: &SchedulerConfig, preset: Preset, steps: usize) -> Result<Self> {
        Ok(match preset.grid() {
            Some(grid) => Self::Ddim(Schedule::new(scheduler, grid, steps)?),
            None => Self::Multistep(Levels::karras(scheduler, steps)?),
        })
    }

    /// Calls of the network in an inversion.
    pub fn steps(&self) -> usize {
        match self {
            Self::Ddim(schedule) => schedule.timesteps.len(),
            Self::Multistep(levels) => levels.all().len(),
        }
    }
}

/// A run's settings, resolved for one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Which version of the method to follow.
    pub preset: Preset,
    /// Noise levels, and the solver between them.
    pub course: Course,
    /// What the UNet predicts.
    pub prediction: Prediction,
    /// Decoder layers to capture and inject; none without injection.
    pub layers: Vec<usize>,
    /// Whether these layers also attend over the content's own keys and values, which are then kept too.
    pub shares_content: bool,
}

/// One call of the UNet, and the solver step after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call<'a> {
    /// Index of the noise level, from the least noisy; the bank's features are stored under it.
    pub level: usize,
    /// Timestep that the UNet gets.
    pub timestep: f64,
    /// Progress of the pass, from 0 at its first call to 1 at its last.
    pub way: f64,
    /// The solver step after the call.
    pub go: Move,
    /// Layers whose features are kept, in an inversion.
    pub layers: &'a [usize],
}

impl Plan {
    /// Resolves `params` for `model`.
    ///
    /// # Errors
    /// One sentence naming the setting that is out of range.
    pub fn new(model: &StableDiffusion, params: &Params) -> Result<Self> {
        params.check()?;
        let layers = params.layers(&model.unet.config)?;
        Ok(Self {
            preset: params.preset,
            course: Course::new(&model.scheduler, params.preset, params.steps())?,
            prediction: model.scheduler.prediction_type,
            shares_content: params.content_share > 0.0 && !layers.is_empty(),
            layers,
        })
    }

    /// Levels of the decoder of `unet` down to the coarsest that is injected, counted from the finest; at least one.
    pub fn injected_levels(&self, unet: &UnetConfig) -> usize {
        1 + self.layers.iter().filter_map(|&layer| unet.level(layer)).max().unwrap_or(0)
    }

    /// Whether a run needs anything of the style: its statistics or its features.
    pub fn needs_style(&self, params: &Params) -> bool {
        let from_latents = params.redraw.max(params.tone).max(params.texture) > 0.0;
        params.init_adain || from_latents || !self.layers.is_empty()
    }

    /// Start of an inversion: a picture's latents `z0`, scaled by the signal factor of the least noisy level.
    pub fn start(&self, z0: &Tensor<4>) -> Tensor<4> {
        match &self.course {
            Course::Ddim(_) => z0.clone(),
            Course::Multistep(levels) => z0.clone().mul_scalar(levels.all()[0].signal()),
        }
    }

    /// The calls of an inversion, from the least noise to the most.
    pub fn inversion(&self) -> Vec<Call<'_>> {
        let layers = &self.layers[..];
        match &self.course {
            Course::Ddim(schedule) => self.ddim_inversion(schedule),
            // The call at the noisiest level takes no step: it captures the features for the first reverse step.
            Course::Multistep(levels) => multistep(&mut levels.all().iter().enumerate(), layers),
        }
    }

    /// The calls of the reverse pass, from the most noise to the least.
    pub fn reverse(&self) -> Vec<Call<'_>> {
        match &self.course {
            Course::Ddim(schedule) => {
                let used = self.ddim_used(schedule);
                let calls = schedule.timesteps[..used].iter().enumerate().rev().enumerate();
                calls
                    .map(|(i, (level, &t))| Call {
                        level,
                        timestep: t as f64,
                        way: share(i, used),
                        go: Move::Ddim { from: schedule.alpha(t), to: schedule.alpha_before(t) },
                        layers: &[],
                    })
                    .collect()
            }
            // The last call, at the lowest noise level, takes no step: the clean latents that it predicts are the result.
            Course::Multistep(levels) => multistep(&mut levels.all().iter().enumerate().rev(), &[]),
        }
    }

    /// Number of timesteps that the reverse pass visits, counted from the least noisy. The paper's preset skips the
    /// noisiest one.
    fn ddim_used(&self, schedule: &Schedule) -> usize {
        schedule.timesteps.len() - usize::from(self.preset == Preset::Ldm)
    }

    /// The presets differ in what the UNet sees on the step to timestep t: `diffusers` gives it the latents of the step
    /// before together with t (one step stale), `ldm` gives it the latents of t itself and steps to the next (aligned).
    fn ddim_inversion(&self, schedule: &Schedule) -> Vec<Call<'_>> {
        let steps = schedule.timesteps.len();
        let used = self.ddim_used(schedule);
        let call = |(level, &t): (usize, &usize)| {
            let next = || schedule.timesteps.get(level + 1).copied().unwrap_or(schedule.last());
            let (from, to) = match self.preset {
                Preset::Ldm => (schedule.alpha(t), schedule.alpha(next())),
                _ => (schedule.alpha_before(t), schedule.alpha(t)),
            };
            // A feature that the reverse pass never asks for is not kept.
            let layers = if level < used { &self.layers[..] } else { &[] };
            Call { level, timestep: t as f64, way: share(level, steps), go: Move::Ddim { from, to }, layers }
        };
        schedule.timesteps.iter().enumerate().map(call).collect()
    }
}

/// i/(n − 1), or 0 if n is 1.
fn share(i: usize, n: usize) -> f64 {
    if n > 1 { i as f64 / (n - 1) as f64 } else { 0.0 }
}

/// The calls of a pass over `levels`. Progress is measured in timesteps, which are evenly spaced in DDIM, so that a curve
/// means the same for both solvers.
fn multistep<'a>(levels: &mut dyn Iterator<Item = (usize, &Level)>, layers: &'a [usize]) -> Vec<Call<'a>> {
    let levels: Vec<(usize, Level)> = levels.map(|(i, &level)| (i, level)).collect();
    let [first, last] = [levels.first(), levels.last()].map(|at| at.map_or(0.0, |(_, level)| level.timestep));
    let call = |(i, &(level, from)): (usize, &(usize, Level))| Call {
        level,
        timestep: from.timestep,
        way: if i + 1 == levels.len() { 1.0 } else { (from.timestep - first) / (last - first) },
        go: Move::Multistep { from, to: levels.get(i + 1).map(|&(_, to)| to) },
        layers,
    };
    levels.iter().enumerate().map(call).collect()
}
