//! Opened parts of a model, and whole models combined from them.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::contents::Contents;
use super::located::Located;
use super::names::{FullName, Part};
use super::opened::{Checkpoint, NULL_EMBEDDING, is_of};
use super::prediction::{BY_SCHEDULER, PredictionSource};
use crate::config::{Configs, Prediction};
use crate::error::{Error, Result};
use crate::source::file::File;

/// Some or all parts of a model: the contents of a file or folder, or a whole model from which parts are taken.
pub struct Parts {
    pub(super) name: String,
    pub(super) layout: &'static str,
    pub(super) files: Vec<Rc<dyn File>>,
    pub(super) tensors: BTreeMap<FullName, Located>,
    /// Configs of the available parts, and `scheduler` if it is known.
    pub(super) configs: Map<String, Value>,
    pub(super) hashes: BTreeMap<FullName, String>,
    pub(super) provenance: Option<Value>,
    pub(super) notes: Vec<String>,
    /// Parts that were taken from another source, with its name.
    pub(super) taken: BTreeMap<Part, String>,
    /// What the UNet predicts, and how that is known.
    pub(super) predicted: Predicted,
}

/// What is known of the UNet's prediction type.
pub(super) enum Predicted {
    /// It is in the scheduler's config of these parts; with the display text.
    Config(String),
    /// It is known from something else.
    Told(PredictionSource),
    /// Nothing states it; this is the most likely type.
    Guessed(PredictionSource),
    /// It is stated but not supported; with the error message.
    Odd(String),
}

impl Parts {
    /// Their name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this part is among them.
    pub fn has(&self, part: Part) -> bool {
        let embedding = part == Part::Text && self.tensors.contains_key(NULL_EMBEDDING);
        embedding || (self.configs.contains_key(part.key()) && self.tensors.keys().any(|name| is_of(part, name)))
    }

    fn contents(&self) -> Contents {
        let [unet, vae, text] = [Part::Unet, Part::Vae, Part::Text].map(|part| self.has(part));
        Contents { unet, vae, text, other: None }
    }

    /// The whole model, if all of its parts are here. `prediction` overrides the prediction type in the files.
    ///
    /// # Errors
    /// The missing part, and what to do.
    pub fn whole(mut self, prediction: Option<Prediction>) -> Result<Checkpoint> {
        self.contents().check_whole(&self.name)?;
        let by = match (self.predicted, prediction) {
            (Predicted::Config(by), _) => by,
            (Predicted::Odd(sentence), None) => return Err(Error::Model(sentence)),
            (Predicted::Odd(_), Some(_)) => String::new(),
            (Predicted::Told(told) | Predicted::Guessed(told), _) => {
                let scheduler = self.configs.entry("scheduler").or_insert_with(|| json!({}));
                if let Some(scheduler) = scheduler.as_object_mut() {
                    scheduler.insert("prediction_type".into(), json!(told.prediction));
                }
                told.by.into()
            }
        };
        self.configs.entry("scheduler").or_insert_with(|| json!({}));
        let mut checkpoint = Checkpoint {
            name: self.name,
            layout: self.layout,
            files: self.files,
            tensors: self.tensors,
            configs: Value::Object(self.configs),
            prediction_by: by,
            hashes: self.hashes,
            provenance: self.provenance,
            notes: self.notes,
            taken: self.taken,
        };
        checkpoint.overrule(prediction);
        Ok(checkpoint)
    }

    /// Replaces this model's `part` with the one of `other`.
    fn take(&mut self, part: Part, other: &Self) {
        self.tensors.retain(|name, _| !is_of(part, name));
        self.hashes.retain(|name, _| !is_of(part, name));
        let first = self.files.len();
        let taken: Vec<_> = other.tensors.iter().filter(|(name, _)| is_of(part, name)).collect();
        // Only the files that are needed, each once.
        let mut needed: Vec<usize> = taken.iter().map(|(_, located)| located.file).collect();
        needed.sort_unstable();
        needed.dedup();
        for (name, located) in taken {
            let at = needed.partition_point(|file| *file < located.file);
            self.tensors.insert(name.clone(), Located { file: first + at, ..located.clone() });
        }
        self.files.extend(needed.iter().filter_map(|&file| other.files.get(file).cloned()));
        let hashes = other.hashes.iter().filter(|(name, _)| is_of(part, name));
        self.hashes.extend(hashes.map(|(name, hash)| (name.clone(), hash.clone())));
        let keys: &[&str] = if part == Part::Text { &["text_encoder", "tokens"] } else { &[part.key()] };
        for key in keys {
            match other.configs.get(*key) {
                Some(config) => self.configs.insert((*key).into(), config.clone()),
                None => self.configs.remove(*key),
            };
        }
        // If `other` took the part from elsewhere itself, that is its origin.
        let from = other.taken.get(&part).unwrap_or(&other.name).clone();
        self.taken.insert(part, from);
    }
}

impl From<Checkpoint> for Parts {
    fn from(checkpoint: Checkpoint) -> Self {
        let configs = match checkpoint.configs {
            Value::Object(configs) => configs,
            _ => Map::new(),
        };
        Self {
            name: checkpoint.name,
            layout: checkpoint.layout,
            files: checkpoint.files,
            tensors: checkpoint.tensors,
            configs,
            hashes: checkpoint.hashes,
            provenance: checkpoint.provenance,
            notes: checkpoint.notes,
            taken: checkpoint.taken,
            predicted: Predicted::Config(checkpoint.prediction_by),
        }
    }
}

impl Parts {
    /// These parts with the VAE of `other`, in place of their own if they have one. Without one, all missing parts come
    /// from `other`.
    ///
    /// # Errors
    /// `other` has no VAE, or its latents differ in kind or scale, as with SDXL.
    pub fn with_vae(mut self, other: &Self) -> Result<Self> {
        need(other, Part::Vae)?;
        if !self.has(Part::Vae) {
            return self.filled(other);
        }
        self.check_vae(other)?;
        self.take(Part::Vae, other);
        Ok(self)
    }

    fn check_vae(&self, other: &Self) -> Result<()> {
        let vae = |name: &str, configs: Option<&Value>| Configs::vae(name, configs.unwrap_or(&Value::Null));
        let own = vae(&self.name, self.configs.get("vae"))?;
        let new = vae(&other.name, other.configs.get("vae"))?;
        let fail =
            |what: String| Err(Error::Model(format!("The VAE of {} does not fit {}: {what}.", other.name, self.name)));
        if new.latent_channels != own.latent_channels || new.factor() != own.factor() {
            return fail(format!(
                "its latents have {} channels and {} pixels a side, not {} and {}",
                new.latent_channels,
                new.factor(),
                own.latent_channels,
                own.factor()
            ));
        }
        if (new.scaling_factor - own.scaling_factor).abs() > 1e-4 * own.scaling_factor {
            return fail(format!(
                "its latents are scaled by {} and those of the model by {} (scaling_factor); it is of another family",
                new.scaling_factor, own.scaling_factor
            ));
        }
        Ok(())
    }

    /// These parts, with missing ones taken from `rest` as far as it has them. If nothing here states the prediction type,
    /// the scheduler's config of `rest` does.
    ///
    /// # Errors
    /// There is no UNet here.
    pub fn filled(mut self, rest: &Self) -> Result<Self> {
        need(&self, Part::Unet)?;
        for part in [Part::Vae, Part::Text] {
            if !self.has(part) && rest.has(part) {
                self.take(part, rest);
            }
        }
        if matches!(self.predicted, Predicted::Guessed(_))
            && let (Predicted::Config(by), Some(scheduler)) = (&rest.predicted, rest.configs.get("scheduler"))
        {
            let by = if by == BY_SCHEDULER {
                format!("the scheduler's config of {} says so", rest.name)
            } else {
                by.clone()
            };
            self.configs.insert("scheduler".into(), scheduler.clone());
            self.predicted = Predicted::Config(by);
        }
        Ok(self)
    }
}

impl Checkpoint {
    /// This model with the VAE of `other`: a VAE alone, or a whole model (`Parts::from`).
    ///
    /// # Errors
    /// As [`Parts::with_vae`].
    pub fn with_vae(self, other: &Parts) -> Result<Self> {
        Parts::from(self).with_vae(other)?.whole(None)
    }

    /// Combines `own`, such as a UNet alone, with its missing parts from `rest`, which has a VAE, a text encoder or both.
    /// `prediction` overrides the prediction type in the files. If nothing in `own` states it, the scheduler's config of
    /// `rest` does.
    ///
    /// # Errors
    /// A part is in neither of them, or they do not fit together.
    pub fn with_rest(own: Parts, rest: &Parts, prediction: Option<Prediction>) -> Result<Self> {
        let checkpoint = own.filled(rest)?.whole(prediction)?;
        checkpoint.parsed()?;
        Ok(checkpoint)
    }
}

fn need(parts: &Parts, part: Part) -> Result<()> {
    let what = part.name();
    let missing = || Error::Model(format!("{} has no {what}; use a file or folder with one.", parts.name));
    parts.has(part).then_some(()).ok_or_else(missing)
}
