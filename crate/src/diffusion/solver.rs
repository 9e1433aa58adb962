//! The solver step after a call of the network: DDIM, or second-order DPM-Solver++.

use burn::tensor::Tensor;

use super::ddim;
use super::levels::Level;
use crate::weights::config::Prediction;

/// A step between noise levels, in the solver's own terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Move {
    /// DDIM from one ᾱ to another.
    Ddim {
        /// ᾱ at which the prediction is split.
        from: f32,
        /// ᾱ of the latents after the step.
        to: f32,
    },
    /// DPM-Solver++ 2M from one noise level to another; no step if only the call's prediction is needed.
    Multistep {
        /// The level of the latents.
        from: Level,
        /// The level of the latents after the step; `None`: no step.
        to: Option<Level>,
    },
}

impl Move {
    /// Whether the step changes the latents.
    pub fn moves(self) -> bool {
        !matches!(self, Self::Multistep { to: None, .. })
    }
}

/// The latents after a step, and the predicted clean latents.
#[derive(Debug, Clone)]
pub struct Stepped {
    /// Predicted clean latents.
    pub clean: Tensor<4>,
    /// The latents after the step; unchanged if there is no step.
    pub latents: Tensor<4>,
}

/// One pass over the noise levels, in either direction, with what the solver remembers of the previous step.
#[derive(Debug, Clone)]
pub struct Solver {
    prediction: Prediction,
    /// Clean latents that the previous step predicted, and its h.
    before: Option<(Tensor<4>, f64)>,
    /// The clean latents of the first call, if they are known.
    picture: Option<Tensor<4>>,
}

impl Solver {
    /// A solver at the start of a pass, for a network that gives `prediction`.
    pub fn new(prediction: Prediction) -> Self {
        Self { prediction, before: None, picture: None }
    }

    /// A solver for the inversion of a picture with latents `z0`. DPM-Solver++ ends in the clean latents that its last call
    /// predicts. The first call of an inversion therefore takes `z0` as its clean latents, and `z0` plus the predicted
    /// noise as its latents, so that the round trip does not lose what is still noise at the least noisy level. DDIM
    /// ignores this.
    pub fn inverting(prediction: Prediction, z0: Tensor<4>) -> Self {
        Self { picture: Some(z0), ..Self::new(prediction) }
    }

    /// Takes the step `way` with the network's `output` for `latents`.
    pub fn step(&mut self, latents: &Tensor<4>, output: Tensor<4>, way: Move) -> Stepped {
        match way {
            Move::Ddim { from, to } => {
                let split = ddim::split(self.prediction, latents, output, from);
                Stepped { latents: ddim::step_to(&split, to), clean: split.x0 }
            }
            Move::Multistep { from, to } => self.multistep(latents, output, from, to),
        }
    }

    /// DPM-Solver++ 2M in data prediction (Lu et al. 2022, algorithm 2) on latents α·x₀ + ασ·ε. With λ = −ln σ, h = λ′ − λ,
    /// and the clean latents c of this call and c₋ of the previous one, the step is D = (1 + h/2h₋)·c − h/2h₋·c₋, then z′ =
    /// α′·D + α′σ′/ασ·(z − α·D). In an inversion, towards more noise, h is negative. The first step of a pass is
    /// first-order, with c as D.
    fn multistep(&mut self, latents: &Tensor<4>, output: Tensor<4>, from: Level, to: Option<Level>) -> Stepped {
        let (signal, noise) = (from.signal(), from.noise());
        let clean = match self.prediction {
            Prediction::Epsilon => (latents.clone() - output.mul_scalar(noise)).div_scalar(signal),
            Prediction::VPrediction => latents.clone().mul_scalar(signal) - output.mul_scalar(noise),
        };
        let Some(to) = to else { return Stepped { clean, latents: latents.clone() } };
        let (latents, clean) = match self.picture.take() {
            None => (latents.clone(), clean),
            Some(z0) => (latents.clone() + (z0.clone() - clean).mul_scalar(signal), z0),
        };
        let h = (from.sigma / to.sigma).ln();
        let direction = match self.before.take() {
            None => clean.clone(),
            Some((earlier, h_before)) => {
                let share = h / (2.0 * h_before);
                clean.clone().mul_scalar(1.0 + share) - earlier.mul_scalar(share)
            }
        };
        let shrink = to.noise() / noise;
        let latents = latents.mul_scalar(shrink) + direction.mul_scalar(to.signal() - shrink * signal);
        self.before = Some((clean.clone(), h));
        Stepped { clean, latents }
    }
}
