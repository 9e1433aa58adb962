//! What is known of a model beside its tensors: configs, layout, who said what. It is kept with the model.

use serde_json::{Value, json};

use crate::Result;
use crate::weights::checkpoint::Checkpoint;
use crate::weights::config::{Configs, Prediction};

/// What is known of a model beside its tensors; kept with it.
#[derive(Debug, Clone)]
pub(super) struct ModelRecord {
    pub(super) name: String,
    pub(super) layout: String,
    pub(super) prediction_by: String,
    configs: Value,
    pub(super) identity: Value,
}

impl ModelRecord {
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

    /// The same, with a person as the source of the prediction type if one gave it.
    pub(super) fn with_prediction(&self, prediction: Option<Prediction>) -> Self {
        let mut record = self.clone();
        if prediction.is_some() {
            record.prediction_by = "you say so".into();
        }
        record
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
        Ok(Configs::parse(&self.name, self.kept_configs(prediction))?)
    }
}
