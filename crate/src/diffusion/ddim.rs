//! DDIM (Song et al. 2021, equation 12 with η = 0): one step along the deterministic path, in either direction.

use burn::tensor::Tensor;

use crate::weights::config::Prediction;

/// The UNet's output split into predicted clean latents and predicted noise.
#[derive(Debug, Clone)]
pub struct Split {
    /// Predicted clean latents x₀.
    pub x0: Tensor<4>,
    /// Predicted noise ε.
    pub eps: Tensor<4>,
}

/// Splits a prediction made for `latents` at ᾱ = `alpha`.
pub fn split(prediction: Prediction, latents: &Tensor<4>, output: Tensor<4>, alpha: f32) -> Split {
    let (signal, noise) = (alpha.sqrt(), (1.0 - alpha).sqrt());
    match prediction {
        Prediction::Epsilon => {
            Split { x0: (latents.clone() - output.clone().mul_scalar(noise)).div_scalar(signal), eps: output }
        }
        Prediction::VPrediction => Split {
            x0: latents.clone().mul_scalar(signal) - output.clone().mul_scalar(noise),
            eps: output.mul_scalar(signal) + latents.clone().mul_scalar(noise),
        },
    }
}

/// The latents at ᾱ = `alpha` on the path that `split` describes. Towards smaller ᾱ this is inversion.
pub fn step_to(split: &Split, alpha: f32) -> Tensor<4> {
    split.x0.clone().mul_scalar(alpha.sqrt()) + split.eps.clone().mul_scalar((1.0 - alpha).sqrt())
}
