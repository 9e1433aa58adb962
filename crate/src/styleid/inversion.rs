//! DDIM inversion: a picture's latents to noise that leads back to it, with the attention features seen on the way.

use burn::tensor::Tensor;

use super::bank::{Bank, Keeping};
use super::features::{Feature, KeyValue, Query};
use super::hooks::{Capture, CaptureBoth};
use super::params::Preset;
use super::pipeline::{Pipeline, Plan};
use crate::Result;
use crate::control::{Control, Phase, Turn};
use crate::device::settle;
use crate::diffusion::ddim;
use crate::model::attention::SelfAttentionHook;
use crate::model::context::Context;

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

/// One step of an inversion: from one timestep's latents to the next noisier one's.
struct Hop<'a> {
    /// What the UNet is told.
    timestep: usize,
    /// Timestep of the latents before.
    from: usize,
    /// Timestep of the latents after.
    to: usize,
    /// Layers whose features are kept.
    layers: &'a [usize],
}

impl Plan {
    /// The presets differ in what the UNet sees on the hop to timestep t: `diffusers` gives it the latents of the step
    /// before together with t (one step stale), `ldm` gives it the latents of t itself and hops to the next (aligned).
    fn hops(&self) -> impl ExactSizeIterator<Item = Hop<'_>> {
        let schedule = &self.schedule;
        schedule.timesteps.iter().enumerate().map(move |(i, &t)| {
            let (from, to) = match self.preset {
                Preset::Diffusers => (t.saturating_sub(schedule.ratio), t),
                Preset::Ldm => (t, schedule.timesteps.get(i + 1).copied().unwrap_or(schedule.last())),
            };
            // A feature that the reverse pass never asks for is not kept.
            let layers = if self.reverse().any(|used| used == t) { &self.layers[..] } else { &[] };
            Hop { timestep: t, from, to, layers }
        })
    }
}

impl Pipeline {
    /// Inverts scaled latents `z0` `[1, 4, h, w]` along `plan`, keeping the features of its layers as `keeping` says. It is
    /// the `turn`-th of so many pictures in its role.
    ///
    /// # Errors
    /// A cancel, or a device that stopped.
    pub async fn invert<F: Feature>(
        &self,
        z0: Tensor<4>,
        plan: &Plan,
        keeping: Keeping,
        turn: Turn,
        control: &Control<'_>,
    ) -> Result<Inversion<F>> {
        let mut bank = Bank::new(keeping);
        let mut trajectory = vec![z0];
        let hops = plan.hops();
        let steps = hops.len();
        self.begin(F::INVERT, turn, &trajectory[0], steps, control);
        for (i, hop) in hops.enumerate() {
            let mut capture = Capture { layers: hop.layers, timestep: hop.timestep, bank: &mut bank };
            let x = self.hop(&trajectory[i], &hop, plan, &self.model.context, &mut capture, control).await?;
            bank.settle().await?;
            trajectory.push(x);
            control.report_turn(F::INVERT, turn, i + 1, steps);
        }
        Ok(Inversion { trajectory, bank, layers: plan.layers.clone() })
    }

    /// As [`Pipeline::invert`] of the content's latents and the style's, which have the same size, in one batch.
    ///
    /// # Errors
    /// A cancel, or a device that stopped.
    pub async fn invert_both(
        &self,
        [content, style]: [Tensor<4>; 2],
        plan: &Plan,
        [of_content, of_style]: [Keeping; 2],
        control: &Control<'_>,
    ) -> Result<(Inversion<Query>, Inversion<KeyValue>)> {
        let (mut queries, mut keys_values) = (Bank::new(of_content), Bank::new(of_style));
        let context = self.model.context.repeat(2);
        let mut trajectory = vec![Tensor::cat(vec![content, style], 0)];
        let hops = plan.hops();
        let steps = hops.len();
        self.begin(Phase::InvertBoth, Turn::ONLY, &trajectory[0], steps, control);
        for (i, hop) in hops.enumerate() {
            let (layers, timestep) = (hop.layers, hop.timestep);
            let mut capture = CaptureBoth {
                content: Capture { layers, timestep, bank: &mut queries },
                style: Capture { layers, timestep, bank: &mut keys_values },
            };
            let x = self.hop(&trajectory[i], &hop, plan, &context, &mut capture, control).await?;
            queries.settle().await?;
            keys_values.settle().await?;
            trajectory.push(x);
            control.report(Phase::InvertBoth, i + 1, steps);
        }
        let of = |picture| trajectory.iter().map(|x| x.clone().narrow(0, picture, 1)).collect();
        let layers = plan.layers.clone();
        let content = Inversion { trajectory: of(0), bank: queries, layers: layers.clone() };
        Ok((content, Inversion { trajectory: of(1), bank: keys_values, layers }))
    }

    async fn hop(
        &self,
        x: &Tensor<4>,
        hop: &Hop<'_>,
        plan: &Plan,
        context: &Context,
        hook: &mut dyn SelfAttentionHook,
        control: &Control<'_>,
    ) -> Result<Tensor<4>> {
        let alpha = |timestep| plan.schedule.alpha(timestep);
        let output = self.predict(x.clone(), hop.timestep, context, hook, control).await?;
        let next = ddim::step_to(&ddim::split(plan.prediction, x, output, alpha(hop.from)), alpha(hop.to));
        settle(&next).await?;
        Ok(next)
    }
}
