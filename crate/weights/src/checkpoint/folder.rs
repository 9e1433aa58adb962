//! Folders: a pack or a single file in them, the diffusers layout, or one part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::choice::{Chosen, choose, notice};
use super::located::Located;
use super::names::Part;
use super::opened::{Checkpoint, NULL_EMBEDDING, read_header};
use super::parts::{Parts, Predicted};
use super::prediction::{self, BY_SCHEDULER};
use super::single::{by_part, files};
use crate::config::{Configs, Prediction, SpecialTokens};
use crate::error::{Error, Result};
use crate::source::file::{File, Source};
use crate::source::hub::Choice;
use crate::source::json::{json as required_json, optional_json};

const LAYOUT: &str = "folder in the diffusers layout";
const UNET: &str = "unet/diffusion_pytorch_model";
const VAE: &str = "vae/diffusion_pytorch_model";
const TEXT: &str = "text_encoder/model";
const SCHEDULER: &str = "scheduler/scheduler_config.json";

impl Checkpoint {
    /// Opens the model in a folder: a pack, a single file, or the diffusers layout. `prediction` overrules what the files
    /// say about the UNet's output.
    ///
    /// # Errors
    /// One sentence naming what is missing or damaged.
    pub async fn open(source: &dyn Source, prediction: Option<Prediction>) -> Result<Self> {
        let listed = source.list().await?;
        let Chosen { choice, passed_over } = match &listed {
            None => Chosen { choice: Choice::Diffusers, passed_over: Vec::new() },
            Some(files) => choose(source, files).await?,
        };
        let names = || listed.as_ref().map(|files| files.iter().map(|file| file.path.clone()).collect::<Vec<_>>());
        let mut checkpoint = match choice {
            Choice::Diffusers => Parts::open_diffusers(source, names().as_deref()).await?.whole(prediction)?,
            Choice::Single(path) => Self::open_files(source, &[path], prediction).await?,
            Choice::Pack(paths) => Self::open_files(source, &paths, prediction).await?,
        };
        checkpoint.notes.extend(notice(&checkpoint.name, &passed_over));
        Ok(checkpoint)
    }
}

impl Parts {
    /// What a folder holds of a model: all that is there of the diffusers layout, one part of it by itself (a VAE's folder
    /// with `config.json`), or a single file.
    ///
    /// # Errors
    /// One sentence where there is nothing, or where it is damaged.
    pub async fn open(source: &dyn Source) -> Result<Self> {
        let listed = source.list().await?;
        let names = listed.as_ref().map(|files| files.iter().map(|file| file.path.clone()).collect::<Vec<_>>());
        let names = names.as_deref();
        let has = |path: &str| names.is_none_or(|names| names.iter().any(|name| name == path));
        let mut found = Self::empty(source.name(), LAYOUT);
        for (part, stem) in [(Part::Unet, UNET), (Part::Vae, VAE)] {
            let config = format!("{}/config.json", part.key());
            if has(&config)
                && let Some(config) = optional_json::<Value>(source, &config).await?
            {
                found.add(source, names, part, stem).await?;
                found.configs.insert(part.key().into(), config);
            }
        }
        if has("text_encoder/config.json") {
            found.add_text(source, names).await?;
        }
        if has(SCHEDULER)
            && let Some(scheduler) = optional_json::<Value>(source, SCHEDULER).await?
        {
            found.configs.insert("scheduler".into(), scheduler);
        }
        if !found.files.is_empty() {
            return Ok(found);
        }
        if has("config.json")
            && let Some(config) = optional_json::<Value>(source, "config.json").await?
        {
            let class = config.get("_class_name").and_then(Value::as_str).unwrap_or_default();
            let part = if class == "UNet2DConditionModel" { Part::Unet } else { Part::Vae };
            found.add(source, names, part, "diffusion_pytorch_model").await?;
            found.configs.insert(part.key().into(), config);
            found.layout = "folder of one part in the diffusers layout";
            if part == Part::Unet && matches!(found.predicted, Predicted::Config(_)) {
                let shapes = found.tensors.iter().map(|(name, at)| (name.clone(), at.shape.clone())).collect();
                found.predict_by_weights(&shapes).await?;
            }
            return Ok(found);
        }
        let weights = |path: &&String| path.ends_with(".safetensors") || path.to_lowercase().ends_with(".gguf");
        match names.unwrap_or_default().iter().filter(weights).collect::<Vec<_>>()[..] {
            [path] => Self::of_files(files(source, std::slice::from_ref(path)).await?).await,
            [] => {
                Err(Error::Model(format!("{} has no weights (.safetensors or .gguf); use another one.", source.name())))
            }
            _ => Err(Error::Model(format!("{} has several files with weights; name one of them.", source.name()))),
        }
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

    pub(super) async fn open_diffusers(source: &dyn Source, listed: Option<&[String]>) -> Result<Self> {
        let mut found = Self::empty(source.name(), LAYOUT);
        for (key, path) in [("unet", "unet/config.json"), ("vae", "vae/config.json"), ("scheduler", SCHEDULER)] {
            found.configs.insert(key.into(), required_json::<Value>(source, path).await?);
        }
        let says = found.configs.get("scheduler").and_then(|scheduler| scheduler.get("prediction_type"));
        if says.is_none_or(Value::is_null) {
            found.predicted = Predicted::Config("its scheduler's config says nothing else".into());
        }
        found.add(source, listed, Part::Unet, UNET).await?;
        found.add(source, listed, Part::Vae, VAE).await?;
        if !found.add_text(source, listed).await? {
            let embedding = format!("{NULL_EMBEDDING}.safetensors");
            let Some(file) = source.open(&embedding).await? else {
                return Err(Error::Model(format!(
                    "{} has neither text_encoder/config.json nor {embedding}; one of them is needed for the empty prompt.",
                    source.name()
                )));
            };
            let header = read_header(&*file).await?;
            let index = found.files.len();
            found.tensors.extend(header.tensors.iter().map(|entry| (entry.name.clone(), Located::of(index, entry))));
            found.files.push(file);
        }
        Ok(found)
    }

    /// Adds the text encoder, if there is one.
    async fn add_text(&mut self, source: &dyn Source, listed: Option<&[String]>) -> Result<bool> {
        let Some(text) = optional_json::<Value>(source, "text_encoder/config.json").await? else { return Ok(false) };
        let config = Configs::text(source.name(), &text)?;
        self.configs.insert("tokens".into(), json!(SpecialTokens::load(source, &config).await?));
        self.configs.insert("text_encoder".into(), text);
        self.add(source, listed, Part::Text, TEXT).await?;
        Ok(true)
    }

    /// Adds the tensors of a part of the diffusers layout: one file, in f16 if there is one, or several with an index.
    async fn add(&mut self, source: &dyn Source, listed: Option<&[String]>, part: Part, stem: &str) -> Result<()> {
        let there = |path: &String| listed.is_none_or(|listed| listed.contains(path));
        let mut candidates = ["fp16.safetensors", "safetensors"].map(|ending| format!("{stem}.{ending}")).to_vec();
        if listed.is_none() {
            candidates.reverse(); // every miss is a request for nothing, and the plain name is the usual one
        }
        for path in candidates.iter().filter(|path| there(path)) {
            if let Some(file) = source.open(path).await? {
                return self.add_file(part, file).await;
            }
        }
        for ending in ["safetensors.index.fp16.json", "safetensors.index.json"] {
            let path = format!("{stem}.{ending}");
            if !there(&path) {
                continue;
            }
            if let Some(index) = optional_json::<ShardIndex>(source, &path).await? {
                let folder = stem.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
                let shards: BTreeSet<String> = index.weight_map.into_values().collect();
                for shard in shards {
                    let shard = format!("{folder}{shard}");
                    let missing = || Error::Model(format!("{} has no {shard}, which {path} names.", source.name()));
                    let file = source.open(&shard).await?.ok_or_else(missing)?;
                    self.add_file(part, file).await?;
                }
                return Ok(());
            }
        }
        Err(Error::Model(format!(
            "{} has no {stem}.safetensors; weights as safetensors in the diffusers layout are needed.",
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

#[derive(serde::Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}
