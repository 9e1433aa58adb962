//! What becomes of the latents after a call of the network: DDIM, or DPM-Solver++ of second order.

use burn::tensor::Tensor;

use super::ddim;
use super::levels::Level;
use crate::weights::config::Prediction;

/// Where a step goes, in the solver's own terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Move {
    /// DDIM from one ᾱ to another.
    Ddim {
        /// ᾱ that the prediction is split at.
        from: f32,
        /// ᾱ of the latents after.
        to: f32,
    },
    /// DPM-Solver++ 2M from one noise level to another; none where the call is for its prediction only.
    Multistep {
        /// The level of the latents.
        from: Level,
        /// The level of the latents after.
        to: Option<Level>,
    },
}

impl Move {
    /// Whether there are other latents after it.
    pub fn moves(self) -> bool {
        !matches!(self, Self::Multistep { to: None, .. })
    }
}

/// The latents after a step, and what the network predicts that they are without noise.
#[derive(Debug, Clone)]
pub struct Stepped {
    /// Predicted clean latents.
    pub clean: Tensor<4>,
    /// The latents after; those before where the call moves nothing.
    pub latents: Tensor<4>,
}

/// One pass over the noise levels, in either direction, with what it remembers of the step before.
#[derive(Debug, Clone)]
pub struct Solver {
    prediction: Prediction,
    /// Clean latents that the step before predicted, and its h.
    before: Option<(Tensor<4>, f64)>,
    /// What the first call is to predict, where that is known.
    picture: Option<Tensor<4>>,
}

impl Solver {
    /// For a network that gives `prediction`; at the start of a pass.
    pub fn new(prediction: Prediction) -> Self {
        Self { prediction, before: None, picture: None }
    }

    /// For the inversion of a picture with latents `z0`. Since DPM-Solver++ ends in the clean latents that its last call
    /// predicts, those of the first call of an inversion are `z0`, and its latents are `z0` with the noise that it predicts: the
    /// way there and back loses nothing by what is still noise at the least noisy level. DDIM needs none of it.
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

    /// DPM-Solver++ 2M in data prediction (Lu et al. 2022, algorithm 2) on latents α·x₀ + ασ·ε: with λ = −ln σ and h = λ′ − λ,
    /// D = (1 + h/2h₋)·c − h/2h₋·c₋ from the clean latents c of this call and c₋ of the one before, then
    /// z′ = α′·D + α′σ′/ασ·(z − α·D). h is negative towards more noise, where it is an inversion. The first step of a pass is
    /// of first order.
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
