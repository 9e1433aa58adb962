//! The settings of a run, and the two presets as data.

use serde::{Deserialize, Serialize};

use crate::picture::Size;
use crate::{Error, Result};

/// The two official implementations, which are different algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The authors' diffusers version: 20 steps, inversion with the stale latent, output is the last predicted x₀.
    #[default]
    Diffusers,
    /// The paper's version on the LDM code: 50 steps, aligned inversion, first reverse step skipped.
    Ldm,
}

/// How a real number becomes a byte in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, ties to even.
    Nearest,
    /// Towards zero.
    Truncate,
}

impl Preset {
    /// DDIM steps where none are asked for.
    pub fn steps(self) -> usize {
        match self {
            Self::Diffusers => 20,
            Self::Ldm => 50,
        }
    }

    /// Decoder layers that are injected where none are asked for.
    pub fn layers(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Diffusers => 7..=11,
            Self::Ldm => 6..=11,
        }
    }

    /// Added to the content's standard deviation in AdaIN.
    pub fn adain_epsilon(self) -> f32 {
        match self {
            Self::Diffusers => 1e-4,
            Self::Ldm => 0.0,
        }
    }

    /// How the result becomes bytes.
    pub fn rounding(self) -> Rounding {
        match self {
            Self::Diffusers => Rounding::Nearest,
            Self::Ldm => Rounding::Truncate,
        }
    }
}

/// What to run. `None` leaves the choice to the preset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Params {
    /// Which official implementation to follow.
    pub preset: Preset,
    /// DDIM steps.
    pub steps: Option<usize>,
    /// γ: how much of the query is the content's own, 0 (all style) to 1 (paper, equation 5).
    pub gamma: f32,
    /// T: multiplies the attention scores, sharpening them (paper, section 4.3).
    pub temperature: f32,
    /// Decoder layers that are injected.
    pub layers: Option<Vec<usize>>,
    /// Whether the content's noise takes the style's mean and deviation first (paper, section 4.4).
    pub init_adain: bool,
    /// Whether attention is injected.
    pub attn_injection: bool,
    /// Seed for sampling the VAE's posterior; its mode otherwise. The content uses seed + 1.
    pub vae_sample: Option<u32>,
    /// Size of both pictures; the size the model was trained at where none is asked for.
    pub size: Option<Size>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            steps: None,
            gamma: 0.75,
            temperature: 1.5,
            layers: None,
            init_adain: true,
            attn_injection: true,
            vae_sample: None,
            size: None,
        }
    }
}

impl Params {
    /// DDIM steps.
    pub fn steps(&self) -> usize {
        self.steps.unwrap_or(self.preset.steps())
    }

    /// The injected layers, ascending, given those that the model has.
    ///
    /// # Errors
    /// Names a layer that the model does not have, and those that it has.
    pub fn layers(&self, available: &[usize]) -> Result<Vec<usize>> {
        let Some(asked) = &self.layers else {
            return Ok(available.iter().copied().filter(|layer| self.preset.layers().contains(layer)).collect());
        };
        if let Some(missing) = asked.iter().find(|layer| !available.contains(layer)) {
            return Err(Error::Settings(format!(
                "This model has no self-attention in decoder layer {missing}; its layers are {available:?}."
            )));
        }
        let mut layers = asked.clone();
        layers.sort_unstable();
        layers.dedup();
        Ok(layers)
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// One sentence naming the setting and its range.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.gamma) {
            return Err(Error::Settings(format!("Gamma must be between 0 and 1, not {}.", self.gamma)));
        }
        if !(self.temperature > 0.0 && self.temperature <= 100.0) {
            return Err(Error::Settings(format!(
                "Temperature must be above 0 and at most 100, not {}.",
                self.temperature
            )));
        }
        Ok(())
    }
}
