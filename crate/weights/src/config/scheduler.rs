//! The scheduler's config: the noise schedule, what the UNet predicts, and at which timesteps.

use serde::{Deserialize, Deserializer, Serialize};

use super::reading::short;
use crate::error::{Error, Result};

/// Most training timesteps that a config may have; Stable Diffusion has 1000.
const MOST_TIMESTEPS: usize = 100_000;

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

/// The timesteps that a run of n steps visits out of N training timesteps, ascending, as in diffusers' `DDIMScheduler`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// i·⌊N/n⌋ + [`SchedulerConfig::steps_offset`] for i from 0 to n − 1: the last timestep is left out.
    #[default]
    Leading,
    /// n points from 0 to N − 1 inclusive, rounded to the nearest integer (ties to even).
    Linspace,
    /// round(N − i·N/n) − 1 for i from 0 to n − 1, in descending order: ends at N − 1, which leaves nothing but noise.
    Trailing,
}

/// `scheduler/scheduler_config.json` of any scheduler, as `DDIMScheduler` reads it. Missing keys have the values of Stable
/// Diffusion's own configs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    /// Class of the scheduler that the config was saved from.
    #[serde(rename = "_class_name")]
    pub class_name: Option<String>,
    /// First β.
    pub beta_start: f64,
    /// Last β.
    pub beta_end: f64,
    /// Only `scaled_linear` (linear in √β) is supported.
    pub beta_schedule: String,
    /// All β explicitly, instead of the three keys above.
    pub trained_betas: Option<Vec<f64>>,
    /// Whether the β are rescaled so that ᾱ ends at 0: √ᾱ is shifted by its last value, then scaled back to its first.
    pub rescale_betas_zero_snr: bool,
    /// Number of training timesteps.
    pub num_train_timesteps: usize,
    /// Which timesteps a run visits.
    pub timestep_spacing: TimestepSpacing,
    /// Added to the timesteps of [`TimestepSpacing::Leading`]: 0 or 1.
    pub steps_offset: usize,
    /// Whether ᾱ before the first timestep is 1. Otherwise it is that of timestep 0, as in Stable Diffusion.
    pub set_alpha_to_one: bool,
    /// Whether to clamp images to ±1. Latents exceed that range: diffusers' pipelines switch this off, and nothing is
    /// clamped here. See [`SchedulerConfig::notices`].
    pub clip_sample: bool,
    /// Whether to clamp images to a quantile (dynamic thresholding). Not suited to latents; rejected.
    pub thresholding: bool,
    /// What the UNet predicts. Null in a few old files, where it means ε.
    #[serde(deserialize_with = "prediction")]
    pub prediction_type: Prediction,
    /// Whether it is a flow-matching scheduler, whose steps follow straight lines from noise to image. Rejected.
    pub use_flow_sigmas: bool,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            class_name: None,
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: "scaled_linear".into(),
            trained_betas: None,
            rescale_betas_zero_snr: false,
            num_train_timesteps: 1000,
            timestep_spacing: TimestepSpacing::Leading,
            steps_offset: 1,
            set_alpha_to_one: false,
            clip_sample: false,
            thresholding: false,
            prediction_type: Prediction::Epsilon,
            use_flow_sigmas: false,
        }
    }
}

impl SchedulerConfig {
    /// Checks that the sampler implements this schedule.
    ///
    /// # Errors
    /// One sentence naming the key.
    pub fn check(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Model(format!("This model's scheduler cannot be run here: {what}.")));
        if let Some(class) = self.class_name.as_deref().filter(|class| class.starts_with("FlowMatch")) {
            return fail(format!("{} is of Stable Diffusion 3 and newer models", short(class)));
        }
        if self.use_flow_sigmas {
            return fail("use_flow_sigmas is true, which is of Stable Diffusion 3 and newer models".into());
        }
        if !(2..=MOST_TIMESTEPS).contains(&self.num_train_timesteps) {
            return fail(format!(
                "num_train_timesteps is {}, and 2 to {MOST_TIMESTEPS} are possible",
                self.num_train_timesteps
            ));
        }
        let is_share = |beta: &f64| *beta > 0.0 && *beta < 1.0;
        if let Some(betas) = &self.trained_betas {
            if betas.len() != self.num_train_timesteps {
                let (found, wanted) = (betas.len(), self.num_train_timesteps);
                return fail(format!("trained_betas has {found} values for {wanted} training timesteps"));
            }
            if !betas.iter().all(is_share) {
                return fail("trained_betas has values that are not between 0 and 1".into());
            }
        } else {
            if self.beta_schedule != "scaled_linear" {
                let found = short(&self.beta_schedule);
                return fail(format!("beta_schedule is \"{found}\", only \"scaled_linear\" is known"));
            }
            for (key, beta) in [("beta_start", self.beta_start), ("beta_end", self.beta_end)] {
                if !is_share(&beta) {
                    return fail(format!("{key} is {beta}, and must be between 0 and 1"));
                }
            }
        }
        if self.steps_offset > 1 {
            return fail(format!("steps_offset is {}, and only 0 and 1 are known", self.steps_offset));
        }
        if self.thresholding {
            return fail("thresholding is true, which is for models without latents".into());
        }
        if self.rescale_betas_zero_snr && self.prediction_type == Prediction::Epsilon {
            return fail(
                "rescale_betas_zero_snr is true, which leaves nothing but noise at the last timestep, and a model that \
                 predicts the noise (prediction_type: epsilon) says nothing there"
                    .into(),
            );
        }
        Ok(())
    }

    /// Notices for the user: one sentence per key that is recognised but has no effect.
    pub fn notices(&self) -> Vec<String> {
        let clip = self.clip_sample.then(|| {
            "The scheduler's config has clip_sample: true, which is for pictures; latents are not clamped, as in \
             diffusers' own pipelines."
                .to_string()
        });
        clip.into_iter().collect()
    }
}

/// Reads a prediction type. An unsupported one is named in the error.
fn prediction<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Prediction, D::Error> {
    let text = String::deserialize(from)?;
    match text.as_str() {
        "epsilon" => Ok(Prediction::Epsilon),
        "v_prediction" => Ok(Prediction::VPrediction),
        "sample" => Err(serde::de::Error::custom(
            "its UNet predicts the picture itself (\"sample\"), and only \"epsilon\" and \"v_prediction\" can be run",
        )),
        other => {
            let other = short(other);
            Err(serde::de::Error::custom(format!(
                "\"{other}\" is not known, and only \"epsilon\" and \"v_prediction\" can be run"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::reading::read;
    use super::*;

    fn config(value: Value) -> Result<SchedulerConfig> {
        let config: SchedulerConfig = read("a/model", "scheduler/scheduler_config.json", &value, &[])?;
        config.check().map(|()| config)
    }

    #[test]
    fn what_changes_the_schedule_is_carried() {
        let zero = json!({ "rescale_betas_zero_snr": true, "timestep_spacing": "trailing", "set_alpha_to_one": true,
            "steps_offset": 0, "prediction_type": "v_prediction" });
        let read = config(zero).expect("a scheduler of the family");
        assert!(read.rescale_betas_zero_snr && read.set_alpha_to_one);
        assert_eq!((read.timestep_spacing, read.steps_offset), (TimestepSpacing::Trailing, 0));
        let trained = json!({ "trained_betas": [0.1, 0.2, 0.3], "num_train_timesteps": 3, "beta_schedule": "linear" });
        assert_eq!(config(trained).expect("betas").trained_betas, Some(vec![0.1, 0.2, 0.3]));
        let linspace = config(json!({ "timestep_spacing": "linspace", "clip_sample": true })).expect("a scheduler");
        assert_eq!(linspace.timestep_spacing, TimestepSpacing::Linspace);
        assert!(linspace.notices()[0].contains("clip_sample"));
        assert!(config(json!({})).expect("defaults").notices().is_empty());
    }

    #[test]
    fn null_is_the_default_at_every_key() {
        let keys = [
            "_class_name",
            "beta_start",
            "beta_end",
            "beta_schedule",
            "trained_betas",
            "rescale_betas_zero_snr",
            "num_train_timesteps",
            "timestep_spacing",
            "steps_offset",
            "set_alpha_to_one",
            "clip_sample",
            "thresholding",
            "prediction_type",
            "use_flow_sigmas",
        ];
        let nulls: Value =
            keys.iter().map(|key| (key.to_string(), Value::Null)).collect::<serde_json::Map<_, _>>().into();
        assert_eq!(config(nulls).expect("defaults"), SchedulerConfig::default());
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_its_key() {
        for (value, key) in [
            (json!({ "beta_schedule": "squaredcos_cap_v2" }), "beta_schedule"),
            (json!({ "beta_start": -1 }), "beta_start"),
            (json!({ "beta_end": 2.0 }), "beta_end"),
            (json!({ "num_train_timesteps": 1 }), "num_train_timesteps"),
            (json!({ "num_train_timesteps": 4_000_000_000u64 }), "num_train_timesteps"),
            (json!({ "num_train_timesteps": 1000.5 }), "num_train_timesteps"),
            (json!({ "trained_betas": [0.1, 0.2] }), "trained_betas"),
            (json!({ "trained_betas": [0.1, 1.0], "num_train_timesteps": 2 }), "trained_betas"),
            (json!({ "trained_betas": "linear" }), "trained_betas"),
            (json!({ "prediction_type": "sample" }), "prediction_type: its UNet predicts the picture"),
            (json!({ "prediction_type": "flow_prediction" }), "prediction_type"),
            (json!({ "prediction_type": 7 }), "prediction_type"),
            (json!({ "timestep_spacing": "karras" }), "timestep_spacing"),
            (json!({ "thresholding": true }), "thresholding"),
            (json!({ "steps_offset": 5 }), "steps_offset"),
            (json!({ "rescale_betas_zero_snr": true }), "rescale_betas_zero_snr"),
            (json!({ "set_alpha_to_one": "no" }), "set_alpha_to_one"),
            (json!({ "_class_name": "FlowMatchEulerDiscreteScheduler" }), "FlowMatchEulerDiscreteScheduler"),
            (json!({ "use_flow_sigmas": true }), "use_flow_sigmas"),
        ] {
            let message = config(value).expect_err(key).to_string();
            assert!(message.contains(key) && message.ends_with('.'), "{key}: {message}");
        }
    }
}
