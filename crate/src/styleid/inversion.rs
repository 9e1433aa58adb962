//! DDIM inversion: a picture's latents to noise that leads back to it, with the attention features seen on the way.

use burn::tensor::Tensor;

use super::features::{Bank, Feature};
use super::hooks::Capture;
use super::params::Preset;
use super::pipeline::{Pipeline, Plan};
use crate::Result;
use crate::control::Control;
use crate::device::settle;
use crate::diffusion::ddim;

/// A picture inverted: a value that can be kept and used in any number of runs with the same preset and steps.
#[derive(Debug, Clone)]
pub struct Inversion<F> {
    /// The latents from the picture's own to the noise's, steps + 1 of `[1, 4, h, w]`.
    pub trajectory: Vec<Tensor<4>>,
    /// What the network attended with.
    pub bank: Bank<F>,
    /// Decoder layers whose features are in the bank.
    pub layers: Vec<usize>,
}

impl<F> Inversion<F> {
    /// The picture's scaled latents z₀.
    pub fn latents(&self) -> &Tensor<4> {
        &self.trajectory[0]
    }

    /// The noise that the inversion ended at.
    pub fn noise(&self) -> &Tensor<4> {
        &self.trajectory[self.trajectory.len() - 1]
    }
}

impl Pipeline {
    /// Inverts scaled latents `z0` `[1, 4, h, w]` along `plan`, keeping the features of its layers.
    ///
    /// The presets differ in what the UNet sees on the hop to timestep t: `diffusers` gives it the latents of the step
    /// before together with t (one step stale), `ldm` gives it the latents of t itself and hops to the next (aligned).
    ///
    /// # Errors
    /// A cancel, or a device that stopped.
    pub async fn invert<F: Feature>(&self, z0: Tensor<4>, plan: &Plan, control: &Control<'_>) -> Result<Inversion<F>> {
        let schedule = &plan.schedule;
        let timesteps = &schedule.timesteps;
        let mut bank = Bank::default();
        let mut x = z0.clone();
        let mut trajectory = vec![z0];
        control.report(F::INVERT, 0, timesteps.len());
        for (i, &t) in timesteps.iter().enumerate() {
            let (from, to) = match plan.preset {
                Preset::Diffusers => (t.saturating_sub(schedule.ratio), t),
                Preset::Ldm => (t, timesteps.get(i + 1).copied().unwrap_or(schedule.last())),
            };
            // A feature that the reverse pass never asks for is not kept.
            let layers = if plan.reverse().any(|used| used == t) { &plan.layers[..] } else { &[] };
            let mut capture = Capture { layers, timestep: t, bank: &mut bank };
            let output = self.predict(x.clone(), t, &mut capture, control).await?;
            x = ddim::step_to(&ddim::split(plan.prediction, &x, output, schedule.alpha(from)), schedule.alpha(to));
            settle(&x).await?;
            trajectory.push(x.clone());
            control.report(F::INVERT, i + 1, timesteps.len());
        }
        Ok(Inversion { trajectory, bank, layers: plan.layers.clone() })
    }
}
