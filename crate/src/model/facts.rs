//! What is known of a model beside its tensors: configs, layout, who said what; and the census of its tensors.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::config::Prediction;
#[cfg(not(target_arch = "wasm32"))]
use super::loading::plan;
use super::stable_diffusion::{Configs, ModelInfo};
use crate::Result;
#[cfg(not(target_arch = "wasm32"))]
use crate::device::{Place, Precision, cpu};
use crate::weights::checkpoint::{Checkpoint, NULL_EMBEDDING};
use crate::weights::format::Dtype;
use crate::weights::tensors::Census;

/// Adds a tensor to the census of its network.
pub(super) fn count(parts: &mut BTreeMap<String, Census>, name: &str, dtype: Dtype, shape: &[usize]) {
    let part = name.split_once('.').map_or(NULL_EMBEDDING, |(part, _)| part);
    parts.entry(part.to_string()).or_default().add(dtype, shape.iter().map(|&side| side as u64).product());
}

/// Number of weights of a network.
pub(super) fn parameters(parts: &BTreeMap<String, Census>, part: &str) -> u64 {
    parts.get(part).map_or(0, |census| census.parameters)
}

/// What is known of a model beside its tensors; kept with it.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) layout: String,
    pub(super) prediction_by: String,
    configs: Value,
    pub(super) identity: Value,
}

impl Facts {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        Self {
            name: checkpoint.name.clone(),
            layout: checkpoint.layout.into(),
            prediction_by: checkpoint.prediction_by.clone(),
            configs: checkpoint.configs.clone(),
            identity: checkpoint.identity(),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        json!({ "name": self.name, "layout": self.layout, "predictionBy": self.prediction_by,
            "configs": self.configs, "identity": self.identity })
    }

    pub(super) fn from_value(value: Value) -> Result<Self> {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_string();
        Ok(Self {
            name: text("name"),
            layout: text("layout"),
            prediction_by: text("predictionBy"),
            configs: value["configs"].clone(),
            identity: value["identity"].clone(),
        })
    }

    /// The same, said by a person if one said it.
    pub(super) fn told(&self, prediction: Option<Prediction>) -> Self {
        let mut facts = self.clone();
        if prediction.is_some() {
            facts.prediction_by = "you say so".into();
        }
        facts
    }

    /// Diffusers' configs, with the prediction type that a person asks for.
    pub(super) fn kept_configs(&self, prediction: Option<Prediction>) -> Value {
        let mut value = self.configs.clone();
        if let Some(prediction) = prediction {
            value["scheduler"]["prediction_type"] = json!(prediction);
            // Where sizes were read off the shapes, that of 2.x followed from the prediction type.
            let unet = &mut value["unet"];
            if self.layout.starts_with("single")
                && unet["use_linear_projection"] == true
                && !unet["sample_size"].is_null()
            {
                unet["sample_size"] = json!(if prediction == Prediction::VPrediction { 96 } else { 64 });
            }
        }
        value
    }

    pub(super) fn configs(&self, prediction: Option<Prediction>) -> Result<Configs> {
        Configs::parse(&self.name, self.kept_configs(prediction))
    }
}

impl ModelInfo {
    /// Says what a model is, and checks that its files have all that its networks need, without reading any weight.
    /// `prediction` overrules what the files say about the UNet's output.
    ///
    /// # Errors
    /// As [`super::StableDiffusion::load`].
    pub fn of(checkpoint: &Checkpoint, prediction: Option<Prediction>) -> Result<Self> {
        let facts = Facts::of(checkpoint).told(prediction);
        let configs = facts.configs(prediction)?;
        let mut parts = BTreeMap::new();
        for (name, located) in &checkpoint.tensors {
            count(&mut parts, name, located.dtype, &located.shape);
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            let place = Place::new(cpu(), Precision::F32, 0)?;
            let shapes = checkpoint.tensors.iter().map(|(name, located)| (name, &located.shape));
            plan(&configs, shapes, !checkpoint.tensors.contains_key(NULL_EMBEDDING), &place)?;
        }
        Ok(configs.info(&facts, parts))
    }
}
