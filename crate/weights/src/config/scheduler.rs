//! The scheduler's config: the noise schedule, and what the UNet predicts.

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};

/// What the UNet's output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum Prediction {
    /// The noise: Stable Diffusion 1.x, 2.0-base, 2.1-base.
    #[default]
    Epsilon,
    /// The velocity √ᾱ·ε − √(1−ᾱ)·x₀: Stable Diffusion 2.x at 768 px.
    VPrediction,
}

/// `scheduler/scheduler_config.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    /// First β.
    pub beta_start: f64,
    /// Last β.
    pub beta_end: f64,
    /// Only `scaled_linear` (linear in √β) is in the family.
    pub beta_schedule: String,
    /// Timesteps the model was trained on.
    pub num_train_timesteps: usize,
    /// What the UNet predicts. Null in a few old files, where it means ε.
    #[serde(deserialize_with = "null_as_default")]
    pub prediction_type: Prediction,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: "scaled_linear".into(),
            num_train_timesteps: 1000,
            prediction_type: Prediction::Epsilon,
        }
    }
}

impl SchedulerConfig {
    /// Checks that the schedule is one the sampler implements.
    ///
    /// # Errors
    /// One sentence naming the key.
    pub fn check(&self) -> Result<()> {
        if self.beta_schedule != "scaled_linear" {
            return Err(Error::Model(format!(
                "This model's scheduler cannot be run here: beta_schedule is \"{}\", only \"scaled_linear\" is known.",
                self.beta_schedule
            )));
        }
        if self.num_train_timesteps < 2 {
            return Err(Error::Model("This model's scheduler has fewer than 2 training timesteps.".into()));
        }
        Ok(())
    }
}

fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}
