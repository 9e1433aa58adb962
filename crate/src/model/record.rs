//! Metadata of a model: configs, layout, and who gave which. It is cached with the model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::weights::checkpoint::Checkpoint;
#[cfg(not(target_arch = "wasm32"))]
use crate::weights::config::with_prediction;
use crate::weights::config::{Configs, Prediction};
use crate::{Error, Result};

/// Metadata of a model, cached with its tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelRecord {
    pub(super) name: String,
    pub(super) layout: String,
    pub(super) prediction_by: String,
    /// The parts that come from another source, and that source. Older cached records lack this field.
    #[serde(default)]
    pub(super) taken: BTreeMap<String, String>,
    configs: Value,
    pub(super) identity: Value,
}

impl ModelRecord {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        Self {
            name: checkpoint.name.clone(),
            layout: checkpoint.layout.into(),
            prediction_by: checkpoint.prediction_by.clone(),
            taken: checkpoint.taken.iter().map(|(part, from)| (part.key().to_string(), from.clone())).collect(),
            configs: checkpoint.configs.clone(),
            identity: checkpoint.identity(),
        }
    }

    /// As JSON for the cache.
    pub(super) fn to_value(&self) -> Value {
        // Strings and JSON, which can always be written.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// From cached JSON.
    pub(super) fn from_value(value: Value) -> Result<Self> {
        serde_json::from_value(value)
            .map_err(|error| Error::File(format!("What is kept of the model is damaged ({error}).")))
    }

    /// The same record. If `prediction` is given, the person becomes its source.
    pub(super) fn with_prediction(&self, prediction: Option<Prediction>) -> Self {
        let mut record = self.clone();
        if prediction.is_some() {
            record.prediction_by = "you say so".into();
        }
        record
    }

    /// Diffusers' configs, with the prediction type that a person asks for.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn kept_configs(&self, prediction: Option<Prediction>) -> Value {
        with_prediction(self.configs.clone(), prediction)
    }

    pub(super) fn configs(&self, prediction: Option<Prediction>) -> Result<Configs> {
        Ok(Configs::parse(&self.name, self.configs.clone(), prediction)?)
    }
}
