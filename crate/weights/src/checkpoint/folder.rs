//! Folders: a pack or a single file in them, the diffusers layout, or one part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::choice::{Chosen, choose, notice};
use super::family;
use super::layout::{self, Weights};
use super::located::Located;
use super::names::Part;
use super::opened::{Checkpoint, NULL_EMBEDDING, read_header};
use super::parts::{Parts, Predicted};
use super::prediction::{self, BY_SCHEDULER};
use super::single::{by_part, files};
use crate::config::{Configs, Prediction, SpecialTokens};
use crate::error::{Error, Result};
use crate::source::file::{File, Source};
use crate::source::hub::{Choice, is_weights};
use crate::source::json::{json as required_json, optional_json};

const LAYOUT: &str = "folder in the diffusers layout";
const SCHEDULER: &str = "scheduler/scheduler_config.json";

impl Checkpoint {
    /// Opens the model in a folder: a pack, a single file, or the diffusers layout. `prediction` overrides the prediction
    /// type in the files.
    ///
    /// # Errors
    /// One sentence naming what is missing or damaged.
    pub async fn open(source: &dyn Source, prediction: Option<Prediction>) -> Result<Self> {
        let Some(files) = source.list().await? else {
            return Parts::open_diffusers(source, None).await?.whole(prediction);
        };
        let names: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
        let chosen = choose(source, &files).await?;
        if chosen.choice != Choice::Diffusers {
            return Parts::open_chosen(source, &names, chosen).await?.whole(prediction);
        }
        let mut checkpoint = Parts::open_diffusers(source, Some(&names)).await?.whole(prediction)?;
        checkpoint.notes.extend(notice(&checkpoint.name, &chosen.passed_over));
        Ok(checkpoint)
    }
}

impl Parts {
    /// Opens the parts of a model in a folder: a pack or a file, whatever exists of the diffusers layout, or a single part
    /// (the folder of a VAE or a text encoder, with its `config.json`).
    ///
    /// # Errors
    /// One sentence if there is nothing, or if it is damaged.
    pub async fn open(source: &dyn Source) -> Result<Self> {
        let Some(listed) = source.list().await? else {
            let found = Self::open_loose(source, None, &Part::ALL).await?;
            return match Self::open_part(source, None, &found).await? {
                Some(part) => Ok(part),
                None => found.or_nothing(),
            };
        };
        let names: Vec<String> = listed.iter().map(|file| file.path.clone()).collect();
        if let Some(part) = Self::open_part(source, Some(&names), &Self::empty(source.name(), LAYOUT)).await? {
            return Ok(part);
        }
        match choose(source, &listed).await {
            Ok(chosen) if chosen.choice != Choice::Diffusers => return Self::open_chosen(source, &names, chosen).await,
            Ok(_) | Err(Error::Model(_)) => {}
            Err(error) => return Err(error),
        }
        let found = Self::open_loose(source, Some(&names), &Part::ALL).await?;
        let weights: Vec<String> = names.into_iter().filter(|name| is_weights(name)).collect();
        match (found.files.is_empty(), weights.len()) {
            // A single part, which is not a candidate when a model is chosen.
            (true, 1) => Self::of_files(files(source, &weights).await?).await,
            (true, 2..) => {
                Err(Error::Model(format!("{} has several files with weights; name one of them.", source.name())))
            }
            _ => found.or_nothing(),
        }
    }

    /// These parts, or an error if there are none.
    fn or_nothing(self) -> Result<Self> {
        if !self.files.is_empty() {
            return Ok(self);
        }
        Err(Error::Model(format!(
            "{} has no weights (.safetensors, .gguf, .ckpt or .bin); use another one.",
            self.name
        )))
    }

    /// Opens the chosen files, unless the choice is the diffusers layout.
    async fn open_chosen(source: &dyn Source, names: &[String], chosen: Chosen) -> Result<Self> {
        let Chosen { choice, passed_over } = chosen;
        let paths = match choice {
            Choice::Single(path) => vec![path],
            Choice::Pack(paths) => paths,
            Choice::Together(paths) => {
                let (mut parts, used) = Self::open_together(source, names, &paths).await?;
                parts.notes.push(notice(&used, &passed_over).unwrap_or_else(|| format!("{used} is used.")));
                return Ok(parts);
            }
            Choice::Diffusers => Vec::new(),
        };
        let mut parts = Self::of_files(files(source, &paths).await?).await?;
        parts.notes.extend(notice(&parts.name, &passed_over));
        Ok(parts)
    }

    /// Opens a file with a UNet and adds what it lacks: first from parts of the diffusers layout next to it, then from
    /// other files. Also returns which part comes from where.
    async fn open_together(source: &dyn Source, names: &[String], paths: &[String]) -> Result<(Self, String)> {
        let Some((own, others)) = paths.split_first() else { return Err(nothing(source)) };
        let mut found = Self::of_files(files(source, std::slice::from_ref(own)).await?).await?;
        let lacking: Vec<Part> = [Part::Vae, Part::Text].into_iter().filter(|part| !found.has(*part)).collect();
        let loose = Self::open_loose(source, Some(names), &lacking).await?;
        let mut from = Vec::new();
        for part in [Part::Vae, Part::Text].into_iter().filter(|part| loose.has(*part)) {
            from.push(format!("the {} of {}/", part.name(), part.key()));
        }
        found = found.filled(&loose)?;
        // Files of one folder belong together, so its scheduler applies to this UNet, even if the prediction type comes
        // from elsewhere.
        if let Some(scheduler) = loose.configs.get("scheduler") {
            found.configs.entry("scheduler").or_insert_with(|| scheduler.clone());
        }
        for other in others {
            let parts = Self::of_files(files(source, std::slice::from_ref(other)).await?).await?;
            let taken = [Part::Vae, Part::Text].into_iter().filter(|part| !found.has(*part) && parts.has(*part));
            from.extend(taken.map(|part| format!("the {} of {other}", part.name())));
            found = found.filled(&parts)?;
        }
        found.layout = "file with a UNet, and other parts beside it";
        let used = if from.is_empty() { own.clone() } else { format!("{own} with {}", from.join(" and ")) };
        Ok((found, used))
    }

    /// Opens those of `parts` that exist in the diffusers layout, and the scheduler's config.
    async fn open_loose(source: &dyn Source, names: Option<&[String]>, parts: &[Part]) -> Result<Self> {
        let has = |path: &str| names.is_none_or(|names| names.iter().any(|name| name == path));
        let mut found = Self::empty(source.name(), LAYOUT);
        for part in parts {
            let config = format!("{}/config.json", part.key());
            if has(&config)
                && let Some(config) = optional_json::<Value>(source, &config).await?
            {
                found.add(source, names, *part, &format!("{}/", part.key()), config).await?;
            }
        }
        if names.is_some() && parts.contains(&Part::Text) && !found.has(Part::Text) {
            let embedding = format!("{NULL_EMBEDDING}.safetensors");
            if has(&embedding) {
                found.add_embedding(source, &embedding).await?;
            }
        }
        if has(SCHEDULER)
            && let Some(scheduler) = optional_json::<Value>(source, SCHEDULER).await?
        {
            found.configs.insert("scheduler".into(), scheduler);
        }
        Ok(found)
    }

    /// Opens the folder as that of a single part, unless `found` already has files of the layout.
    async fn open_part(source: &dyn Source, names: Option<&[String]>, found: &Self) -> Result<Option<Self>> {
        let has_config = names.is_none_or(|names| names.iter().any(|name| name == "config.json"));
        if !has_config || !found.files.is_empty() {
            return Ok(None);
        }
        let has_weights = |part| names.is_none() || !layout::candidates(part, "", names).is_empty();
        if !Part::ALL.into_iter().any(has_weights) {
            return Ok(None);
        }
        let Some(mut config) = optional_json::<Value>(source, "config.json").await? else { return Ok(None) };
        let part = part_of(&config);
        if !has_weights(part) {
            return Ok(None);
        }
        let mut found = Self::empty(source.name(), "folder of one part in the diffusers layout");
        if part == Part::Text {
            config = family::text_encoder_alone(config);
        }
        found.add(source, names, part, "", config).await?;
        if part == Part::Unet && matches!(found.predicted, Predicted::Config(_)) {
            let shapes = found.tensors.iter().map(|(name, at)| (name.clone(), at.shape.clone())).collect();
            found.predict_by_weights(&shapes).await?;
        }
        found.drop_unused_layers();
        Ok(Some(found))
    }

    fn empty(name: &str, layout: &'static str) -> Self {
        Self {
            name: name.to_string(),
            layout,
            files: Vec::new(),
            tensors: BTreeMap::new(),
            configs: Map::new(),
            hashes: BTreeMap::new(),
            provenance: None,
            notes: Vec::new(),
            taken: BTreeMap::new(),
            predicted: Predicted::Config(BY_SCHEDULER.into()),
        }
    }

    async fn open_diffusers(source: &dyn Source, listed: Option<&[String]>) -> Result<Self> {
        let mut found = Self::empty(source.name(), LAYOUT);
        let unet = required_json::<Value>(source, "unet/config.json").await?;
        let vae = required_json::<Value>(source, "vae/config.json").await?;
        found.configs.insert("scheduler".into(), required_json::<Value>(source, SCHEDULER).await?);
        let says = found.configs.get("scheduler").and_then(|scheduler| scheduler.get("prediction_type"));
        if says.is_none_or(Value::is_null) {
            found.predicted = Predicted::Config("its scheduler's config says nothing else".into());
        }
        found.add(source, listed, Part::Unet, "unet/", unet).await?;
        found.add(source, listed, Part::Vae, "vae/", vae).await?;
        match optional_json::<Value>(source, "text_encoder/config.json").await? {
            Some(text) => found.add(source, listed, Part::Text, "text_encoder/", text).await?,
            None => {
                let embedding = format!("{NULL_EMBEDDING}.safetensors");
                if !found.add_embedding(source, &embedding).await? {
                    return Err(Error::Model(format!(
                        "{} has neither text_encoder/config.json nor {embedding}; one of them is needed for the empty \
                         prompt.",
                        source.name()
                    )));
                }
            }
        }
        Ok(found)
    }

    /// Adds the empty prompt's embedding, if there is one.
    async fn add_embedding(&mut self, source: &dyn Source, path: &str) -> Result<bool> {
        let Some(file) = source.open(path).await? else { return Ok(false) };
        let header = read_header(&*file).await?;
        let index = self.files.len();
        self.tensors.extend(header.tensors.iter().map(|entry| (entry.name.clone(), Located::of(index, entry))));
        self.files.push(file);
        Ok(true)
    }

    /// Adds a part of the diffusers layout. Its weights are in `folder`, as one file or as several with an index.
    async fn add(
        &mut self,
        source: &dyn Source,
        listed: Option<&[String]>,
        part: Part,
        folder: &str,
        config: Value,
    ) -> Result<()> {
        if part == Part::Text {
            let config = Configs::text(source.name(), &config)?;
            self.configs.insert("tokens".into(), json!(SpecialTokens::load(source, &config).await?));
        }
        self.configs.insert(part.key().into(), config);
        for weights in layout::candidates(part, folder, listed) {
            match weights {
                Weights::File(path) => {
                    if let Some(file) = source.open(&path).await? {
                        return self.add_file(part, file).await;
                    }
                }
                Weights::Index(path) => {
                    if let Some(index) = optional_json::<ShardIndex>(source, &path).await? {
                        let shards: BTreeSet<String> = index.weight_map.into_values().collect();
                        for shard in shards {
                            let shard = format!("{folder}{shard}");
                            let missing =
                                || Error::Model(format!("{} has no {shard}, which {path} names.", source.name()));
                            let file = source.open(&shard).await?.ok_or_else(missing)?;
                            self.add_file(part, file).await?;
                        }
                        return Ok(());
                    }
                }
            }
        }
        let [safetensors, pickle] = layout::names(part).map(|(begin, end)| format!("{folder}{begin}{end}"));
        Err(Error::Model(format!(
            "{} has neither {safetensors} nor {pickle}; weights in the diffusers layout are needed.",
            source.name()
        )))
    }

    async fn add_file(&mut self, part: Part, file: Rc<dyn File>) -> Result<()> {
        let header = read_header(&*file).await?;
        if part == Part::Unet {
            match prediction::by_metadata(file.name(), std::slice::from_ref(&header)) {
                Ok(Some(told)) => self.predicted = Predicted::Told(told),
                Ok(None) => {}
                Err(error) => self.predicted = Predicted::Odd(error.to_string()),
            }
        }
        self.tensors.extend(by_part(file.name(), self.files.len(), part, &header)?);
        self.files.push(file);
        Ok(())
    }
}

/// The part that a config belongs to. Anything unrecognised is taken for an autoencoder, because standalone folders mostly
/// are.
fn part_of(config: &Value) -> Part {
    let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
    let is_clip = text("model_type").starts_with("clip") || config.get("text_config").is_some_and(Value::is_object);
    match text("_class_name") {
        "UNet2DConditionModel" => Part::Unet,
        "" if is_clip => Part::Text,
        _ => Part::Vae,
    }
}

fn nothing(source: &dyn Source) -> Error {
    Error::Model(format!("{} has no weights; use another one.", source.name()))
}

#[derive(serde::Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}
