//! Inversion (DDIM or DPM-Solver++): maps a picture's latents to noise that denoises back to them, and captures attention
//! features on the way.

use burn::tensor::Tensor;

use super::bank::{Bank, Keeping};
use super::features::{Feature, KeyValue, Query};
use super::pipeline::Pipeline;
use super::plan::{Call, Plan};
use super::processors::{Capture, CaptureBoth};
use super::run::Run;
use crate::Result;
use crate::control::{Phase, Turn};
use crate::device::wait_and_check_finite;
use crate::diffusion::Solver;
use crate::model::attention::AttentionProcessor;
use crate::model::unet::PromptContext;

/// An inverted picture. It can be kept and reused by any run with the same preset and steps.
#[derive(Debug, Clone)]
pub struct Inversion<F> {
    z0: Tensor<4>,
    /// Latents from `z0` to the noise, each `[1, 4, h, w]`: every step in a traced run, otherwise the noise alone.
    pub trajectory: Vec<Tensor<4>>,
    /// The captured attention features.
    pub bank: Bank<F>,
    /// A content's own keys and values, for runs that attend over them in addition to the styles'.
    pub own: Option<Bank<KeyValue>>,
    /// Decoder layers whose features are kept.
    pub layers: Vec<usize>,
}

impl<F> Inversion<F> {
    /// Restores a stored inversion from `z0` to `noise`, with the features of `layers`.
    #[cfg(feature = "processor")]
    pub(super) fn kept(
        z0: Tensor<4>,
        noise: Tensor<4>,
        bank: Bank<F>,
        own: Option<Bank<KeyValue>>,
        layers: Vec<usize>,
    ) -> Self {
        Self { z0, trajectory: vec![noise], bank, own, layers }
    }

    /// The picture's scaled latents z₀, `[1, 4, h, w]`.
    pub fn latents(&self) -> &Tensor<4> {
        &self.z0
    }

    /// The noise that the inversion ended at.
    pub fn noise(&self) -> &Tensor<4> {
        &self.trajectory[self.trajectory.len() - 1]
    }

    /// Bytes of features on the device and in main memory.
    pub fn feature_bytes(&self) -> (u64, u64) {
        let (device, main) = self.bank.bytes();
        let own = self.own.as_ref().map_or((0, 0), Bank::bytes);
        (device + own.0, main + own.1)
    }
}

/// How the features of an inversion are kept.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// The feature of its picture's role.
    pub role: Keeping,
    /// A content's own keys and values; `None` if they are not kept.
    pub own: Option<Keeping>,
}

impl Pipeline {
    /// Inverts scaled latents `z0` `[1, 4, h, w]` along `plan`, keeping the features of its layers as `kept` says. `turn` says
    /// which of the content or style pictures this is, for progress.
    ///
    /// # Errors
    /// A cancel, or a device that stopped.
    pub async fn invert<F: Feature>(
        &self,
        z0: Tensor<4>,
        plan: &Plan,
        kept: Kept,
        turn: Turn,
        run: &Run<'_>,
    ) -> Result<Inversion<F>> {
        let mut bank = Bank::new(kept.role);
        let mut own = kept.own.map(Bank::new);
        let mut trajectory = Trajectory::new(plan.start(&z0), run);
        let mut solver = Solver::inverting(plan.prediction, z0.clone());
        let calls = plan.inversion();
        run.counters.inverts(1);
        self.begin(F::INVERT, turn, &z0, calls.len(), run);
        for (i, call) in calls.iter().enumerate() {
            let mut capture = Capture { layers: call.layers, level: call.level, bank: &mut bank, own: own.as_mut() };
            self.walk(&mut trajectory, call, &mut solver, &self.model.context, &mut capture, run).await?;
            bank.enforce_budget().await?;
            enforce_budget_of(&mut own).await?;
            run.control.report_turn(F::INVERT, turn, i + 1, calls.len());
        }
        Ok(Inversion { z0, trajectory: trajectory.finish(), bank, own, layers: plan.layers.clone() })
    }

    /// As [`Pipeline::invert`], for the content's and a style's latents of the same size in one batch.
    ///
    /// # Errors
    /// A cancel, or a device that stopped.
    pub async fn invert_both(
        &self,
        [content, style]: [Tensor<4>; 2],
        plan: &Plan,
        [of_content, of_style]: [Kept; 2],
        run: &Run<'_>,
    ) -> Result<(Inversion<Query>, Inversion<KeyValue>)> {
        let (mut queries, mut keys_values) = (Bank::new(of_content.role), Bank::new(of_style.role));
        let mut own = of_content.own.map(Bank::new);
        let context = self.model.context.repeat(2);
        let z0 = Tensor::cat(vec![content.clone(), style.clone()], 0);
        let mut trajectory = Trajectory::new(plan.start(&z0), run);
        let mut solver = Solver::inverting(plan.prediction, z0.clone());
        let calls = plan.inversion();
        run.counters.inverts(2);
        self.begin(Phase::InvertBoth, Turn::ONLY, &z0, calls.len(), run);
        for (i, call) in calls.iter().enumerate() {
            let (layers, level) = (call.layers, call.level);
            let mut capture = CaptureBoth {
                content: Capture { layers, level, bank: &mut queries, own: own.as_mut() },
                style: Capture { layers, level, bank: &mut keys_values, own: None },
            };
            self.walk(&mut trajectory, call, &mut solver, &context, &mut capture, run).await?;
            queries.enforce_budget().await?;
            enforce_budget_of(&mut own).await?;
            keys_values.enforce_budget().await?;
            run.control.report(Phase::InvertBoth, i + 1, calls.len());
        }
        let trajectory = trajectory.finish();
        let of = |picture| trajectory.iter().map(|x| x.clone().narrow(0, picture, 1)).collect();
        let layers = plan.layers.clone();
        let content = Inversion { z0: content, trajectory: of(0), bank: queries, own, layers: layers.clone() };
        Ok((content, Inversion { z0: style, trajectory: of(1), bank: keys_values, own: None, layers }))
    }

    /// One UNet call of an inversion, and the solver step after it.
    async fn walk(
        &self,
        trajectory: &mut Trajectory,
        call: &Call<'_>,
        solver: &mut Solver,
        context: &PromptContext,
        processor: &mut dyn AttentionProcessor,
        run: &Run<'_>,
    ) -> Result<()> {
        let x = trajectory.now().clone();
        let output = self.predict(x.clone(), call.timestep, context, processor, None, run).await?;
        if !call.go.moves() {
            return wait_and_check_finite(&output).await;
        }
        let next = solver.step(&x, output, call.go).latents;
        wait_and_check_finite(&next).await?;
        trajectory.push(next);
        Ok(())
    }
}

/// [`Bank::enforce_budget`] of a content's own keys and values, if they are kept.
async fn enforce_budget_of(own: &mut Option<Bank<KeyValue>>) -> Result<()> {
    match own {
        Some(bank) => bank.enforce_budget().await,
        None => Ok(()),
    }
}

/// Latents on the way through an inversion.
struct Trajectory {
    /// Never empty.
    latents: Vec<Tensor<4>>,
    keeps_all: bool,
}

impl Trajectory {
    fn new(start: Tensor<4>, run: &Run<'_>) -> Self {
        Self { latents: vec![start], keeps_all: run.traced }
    }

    fn now(&self) -> &Tensor<4> {
        &self.latents[self.latents.len() - 1]
    }

    fn push(&mut self, latents: Tensor<4>) {
        if !self.keeps_all {
            self.latents.clear();
        }
        self.latents.push(latents);
    }

    fn finish(self) -> Vec<Tensor<4>> {
        self.latents
    }
}
