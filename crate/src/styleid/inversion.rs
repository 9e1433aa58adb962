//! DDIM inversion: a picture's latents to noise that leads back to it, with the attention features seen on the way.

use burn::tensor::Tensor;

use super::bank::{Bank, Keeping};
use super::features::{Feature, KeyValue, Query};
use super::pipeline::Pipeline;
use super::plan::{InversionStep, Plan};
use super::processors::{Capture, CaptureBoth};
use super::run::Run;
use crate::Result;
use crate::control::{Phase, Turn};
use crate::device::settle;
use crate::diffusion::ddim;
use crate::model::attention::AttentionProcessor;
use crate::model::unet::PromptContext;

/// A picture inverted: a value that can be kept and used in any number of runs with the same preset and steps.
#[derive(Debug, Clone)]
pub struct Inversion<F> {
    /// The latents from the picture's own to the noise's, each `[1, 4, h, w]`: all steps + 1 of them in a traced run, else these
    /// two.
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
        run: &Run<'_>,
    ) -> Result<Inversion<F>> {
        let mut bank = Bank::new(keeping);
        let mut x = z0;
        let mut trajectory = vec![x.clone()];
        let steps = plan.inversion().len();
        self.begin(F::INVERT, turn, &x, steps, run);
        for (i, step) in plan.inversion().enumerate() {
            let mut capture = Capture { layers: step.layers, timestep: step.timestep, bank: &mut bank };
            x = self.step(&x, &step, plan, &self.model.context, &mut capture, run).await?;
            bank.settle().await?;
            if run.traced || i + 1 == steps {
                trajectory.push(x.clone());
            }
            run.control.report_turn(F::INVERT, turn, i + 1, steps);
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
        run: &Run<'_>,
    ) -> Result<(Inversion<Query>, Inversion<KeyValue>)> {
        let (mut queries, mut keys_values) = (Bank::new(of_content), Bank::new(of_style));
        let context = self.model.context.repeat(2);
        let mut x = Tensor::cat(vec![content, style], 0);
        let mut trajectory = vec![x.clone()];
        let steps = plan.inversion().len();
        self.begin(Phase::InvertBoth, Turn::ONLY, &x, steps, run);
        for (i, step) in plan.inversion().enumerate() {
            let (layers, timestep) = (step.layers, step.timestep);
            let mut capture = CaptureBoth {
                content: Capture { layers, timestep, bank: &mut queries },
                style: Capture { layers, timestep, bank: &mut keys_values },
            };
            x = self.step(&x, &step, plan, &context, &mut capture, run).await?;
            queries.settle().await?;
            keys_values.settle().await?;
            if run.traced || i + 1 == steps {
                trajectory.push(x.clone());
            }
            run.control.report(Phase::InvertBoth, i + 1, steps);
        }
        let of = |picture| trajectory.iter().map(|x| x.clone().narrow(0, picture, 1)).collect();
        let layers = plan.layers.clone();
        let content = Inversion { trajectory: of(0), bank: queries, layers: layers.clone() };
        Ok((content, Inversion { trajectory: of(1), bank: keys_values, layers }))
    }

    async fn step(
        &self,
        x: &Tensor<4>,
        step: &InversionStep<'_>,
        plan: &Plan,
        context: &PromptContext,
        processor: &mut dyn AttentionProcessor,
        run: &Run<'_>,
    ) -> Result<Tensor<4>> {
        let output = self.predict(x.clone(), step.timestep, context, processor, run).await?;
        let next = ddim::step_to(&ddim::split(plan.prediction, x, output, step.from), step.to);
        settle(&next).await?;
        Ok(next)
    }
}
