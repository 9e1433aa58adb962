//! A model's files with their tensors by diffusers name, whatever the layout: a folder in the diffusers layout, a single
//! LDM file (safetensors or GGUF), or a pack.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use serde_json::{Value, json};

use super::family::{self, PredictionSource, TensorShapes};
use super::names::{self, FullName, Renamed};
use super::pack::PackMetadata;
use crate::config::{Prediction, SpecialTokens};
use crate::format::{self, Dtype, Header, Parsed, TensorEntry};
use crate::source::file::{File, Source};
use crate::source::hub::{Choice, choose};
use crate::source::json::{json as required_json, optional_json};

use crate::error::{Error, Result};

/// The empty prompt's embedding by itself, for models that come without a text encoder.
pub const NULL_EMBEDDING: &str = "null_embedding";

/// Where a tensor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Which of the checkpoint's files.
    pub file: usize,
    /// Its type there.
    pub dtype: Dtype,
    /// Its shape there.
    pub shape: Vec<usize>,
    /// Its bytes there.
    pub span: Range<u64>,
}

/// A model's files, opened.
pub struct Checkpoint {
    /// What to call it.
    pub name: String,
    /// Which layout it is in, for people.
    pub layout: &'static str,
    /// The files that tensors are in.
    pub files: Vec<Rc<dyn File>>,
    /// Every tensor that may be needed, by full diffusers name.
    pub tensors: BTreeMap<FullName, Located>,
    /// Diffusers' configs: `unet`, `vae`, `scheduler`, and `text_encoder` with `tokens` where there is one.
    pub configs: Value,
    /// Who says what the UNet predicts, as the end of a sentence.
    pub prediction_by: String,
    /// SHA-256 of tensors' bytes as hexadecimal, where the file says it.
    pub hashes: BTreeMap<FullName, String>,
    /// Where the weights come from, as far as a pack says.
    pub provenance: Option<Value>,
}

/// Reads a file's header, as much of it as there is.
///
/// # Errors
/// Says what is wrong with the file.
pub async fn read_header(file: &dyn File) -> Result<Header> {
    let mut prefix = Vec::new();
    let mut wanted = file.bytes().min(64 << 10);
    loop {
        let more = file.read(prefix.len() as u64..wanted).await?;
        prefix.extend_from_slice(&more);
        match format::parse(file.name(), &prefix, file.bytes())? {
            Parsed::Header(header) => return Ok(header),
            Parsed::Needs(bytes) if bytes > prefix.len() as u64 && bytes <= file.bytes() => wanted = bytes,
            Parsed::Needs(_) => {
                return Err(Error::Model(format!("{} ends within its header; download it again.", file.name())));
            }
        }
    }
}

impl Checkpoint {
    /// Opens the model in a folder: a pack, a single file, or the diffusers layout. `prediction` overrules what the files
    /// say about the UNet's output.
    ///
    /// # Errors
    /// One sentence naming what is missing or damaged.
    pub async fn open(source: &dyn Source, prediction: Option<Prediction>) -> Result<Self> {
        let listed = source.list().await?;
        let choice = match &listed {
            None => Choice::Diffusers,
            Some(files) => match choose(files) {
                Ok(choice @ (Choice::Pack(_) | Choice::Diffusers)) => choice,
                Ok(Choice::Single(path)) if path.to_lowercase().ends_with(".gguf") => Choice::Single(path),
                // A folder in the diffusers layout that lacks something: opening it says what.
                _ if files.iter().any(|file| is_in_layout(&file.path)) => Choice::Diffusers,
                other => other?,
            },
        };
        match choice {
            Choice::Diffusers => {
                let names = listed.map(|files| files.into_iter().map(|file| file.path).collect::<Vec<_>>());
                Self::open_diffusers(source, names.as_deref(), prediction).await
            }
            Choice::Single(path) => Self::open_files(source, &[path], prediction).await,
            Choice::Pack(paths) => Self::open_files(source, &paths, prediction).await,
        }
    }

    /// Opens a single file, or the parts of one.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub async fn open_files(source: &dyn Source, paths: &[String], prediction: Option<Prediction>) -> Result<Self> {
        let mut files = Vec::new();
        for path in paths {
            let missing = || Error::Model(format!("{} has no {path}.", source.name()));
            files.push(source.open(path).await?.ok_or_else(missing)?);
        }
        Self::of_files(files, prediction).await
    }

    /// A checkpoint of opened files, which belong together.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub async fn of_files(files: Vec<Rc<dyn File>>, prediction: Option<Prediction>) -> Result<Self> {
        let mut headers = Vec::new();
        for file in &files {
            headers.push(read_header(&**file).await?);
        }
        let name = files.first().map(|file| file.name().to_string()).unwrap_or_default();
        let metadata: Vec<_> = headers.iter().filter_map(|header| PackMetadata::read(&header.metadata)).collect();
        if !metadata.is_empty() {
            return Self::of_pack(name, files, headers, metadata, prediction);
        }
        let tensors = by_ldm_names(&headers)?;
        let shapes: TensorShapes = tensors.iter().map(|(name, at)| (name.clone(), at.shape.clone())).collect();
        let predicted = match prediction {
            Some(prediction) => PredictionSource { prediction, by: "you say so" },
            None => family::prediction_of(&shapes, &name),
        };
        let mut configs = family::configs(&shapes, predicted.prediction)?;
        if let Some(text) = configs.get("text_encoder") {
            let tokens = SpecialTokens::of_config(&parse(&name, "its text encoder", text.clone())?)?;
            configs["tokens"] = json!(tokens);
        }
        let is_gguf = name.to_lowercase().ends_with(".gguf");
        let layout = if is_gguf { "single GGUF file with LDM names" } else { "single safetensors file with LDM names" };
        let mut checkpoint = Self {
            name,
            layout,
            files,
            tensors,
            configs,
            prediction_by: predicted.by.into(),
            hashes: BTreeMap::new(),
            provenance: None,
        };
        checkpoint.drop_unused_layers();
        Ok(checkpoint)
    }

    fn of_pack(
        name: String,
        files: Vec<Rc<dyn File>>,
        headers: Vec<Header>,
        metadata: Vec<Result<PackMetadata>>,
        prediction: Option<Prediction>,
    ) -> Result<Self> {
        let mut parts = metadata.into_iter().collect::<Result<Vec<_>>>()?;
        let hashes = parts.iter_mut().flat_map(|part| std::mem::take(&mut part.hashes)).collect();
        let (found, first) = (parts.len(), parts.swap_remove(0));
        if found != headers.len() || found != first.parts {
            return Err(Error::Model(format!(
                "{name} is a pack of {} parts, of which {found} are here; all of them are needed.",
                first.parts
            )));
        }
        let mut tensors = BTreeMap::new();
        for (file, header) in headers.into_iter().enumerate() {
            for entry in header.tensors {
                let TensorEntry { name, dtype, shape, span } = entry;
                tensors.insert(name, Located { file, dtype, shape, span });
            }
        }
        let mut checkpoint = Self {
            name,
            layout: "pack",
            files,
            tensors,
            configs: first.configs,
            prediction_by: "the pack says so".into(),
            hashes,
            provenance: Some(first.provenance),
        };
        checkpoint.overrule(prediction);
        Ok(checkpoint)
    }

    async fn open_diffusers(
        source: &dyn Source,
        listed: Option<&[String]>,
        prediction: Option<Prediction>,
    ) -> Result<Self> {
        let mut configs = json!({
            "unet": required_json::<Value>(source, "unet/config.json").await?,
            "vae": required_json::<Value>(source, "vae/config.json").await?,
            "scheduler": required_json::<Value>(source, "scheduler/scheduler_config.json").await?,
        });
        let mut checkpoint = Self {
            name: source.name().to_string(),
            layout: "folder in the diffusers layout",
            files: Vec::new(),
            tensors: BTreeMap::new(),
            configs: Value::Null,
            prediction_by: "its scheduler's config says so".into(),
            hashes: BTreeMap::new(),
            provenance: None,
        };
        let embedding = format!("{NULL_EMBEDDING}.safetensors");
        let text = optional_json::<Value>(source, "text_encoder/config.json").await?;
        checkpoint.add(source, listed, "unet", "unet/diffusion_pytorch_model").await?;
        checkpoint.add(source, listed, "vae", "vae/diffusion_pytorch_model").await?;
        if let Some(text) = text {
            let config = parse(source.name(), "text_encoder/config.json", text.clone())?;
            configs["tokens"] = json!(SpecialTokens::load(source, &config).await?);
            configs["text_encoder"] = text;
            checkpoint.add(source, listed, "text_encoder", "text_encoder/model").await?;
        } else if let Some(file) = source.open(&embedding).await? {
            checkpoint.add_file("", file).await?;
        } else {
            return Err(Error::Model(format!(
                "{} has neither text_encoder/config.json nor {embedding}; one of them is needed for the empty prompt.",
                source.name()
            )));
        }
        checkpoint.configs = configs;
        checkpoint.overrule(prediction);
        Ok(checkpoint)
    }

    /// Adds the tensors of a part of the diffusers layout: one file, in f16 if there is one, or several with an index.
    async fn add(&mut self, source: &dyn Source, listed: Option<&[String]>, part: &str, stem: &str) -> Result<()> {
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
                let folder = stem.rsplit_once('/').map_or("", |(folder, _)| folder);
                let shards: std::collections::BTreeSet<String> = index.weight_map.into_values().collect();
                for shard in shards {
                    let shard = format!("{folder}/{shard}");
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

    async fn add_file(&mut self, part: &str, file: Rc<dyn File>) -> Result<()> {
        let header = read_header(&*file).await?;
        let index = self.files.len();
        for TensorEntry { name, dtype, shape, span } in header.tensors {
            if names::is_buffer(&name) {
                continue;
            }
            let name = names::current(&name);
            let name = if part.is_empty() { name } else { format!("{part}.{name}") };
            self.tensors.insert(name, Located { file: index, dtype, shape, span });
        }
        self.files.push(file);
        Ok(())
    }

    /// `OpenCLIP`'s last layer comes with 2.x files but was never part of the model.
    fn drop_unused_layers(&mut self) {
        let Some(layers) = self.configs["text_encoder"]["num_hidden_layers"].as_u64() else { return };
        let prefix = "text_encoder.text_model.encoder.layers.";
        self.tensors.retain(|name, _| {
            let layer = name.strip_prefix(prefix).and_then(|rest| rest.split('.').next()?.parse::<u64>().ok());
            layer.is_none_or(|layer| layer < layers)
        });
    }

    fn overrule(&mut self, prediction: Option<Prediction>) {
        if let Some(prediction) = prediction {
            self.configs["scheduler"]["prediction_type"] = json!(prediction);
            self.prediction_by = "you say so".into();
        }
    }

    /// What tells this state of the files from another: names, sizes and versions.
    pub fn identity(&self) -> Value {
        let file = |file: &Rc<dyn File>| json!([file.name(), file.bytes(), file.version()]);
        json!(self.files.iter().map(file).collect::<Vec<_>>())
    }
}

#[derive(serde::Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

fn is_in_layout(path: &str) -> bool {
    ["model_index.json", "unet/", "vae/", "scheduler/"].iter().any(|start| path.starts_with(start))
}

fn parse<T: serde::de::DeserializeOwned>(name: &str, what: &str, value: Value) -> Result<T> {
    serde_json::from_value(value)
        .map_err(|error| Error::Model(format!("{what} of {name} cannot be understood: {error}.")))
}

/// The tensors of LDM files by diffusers names; queries, keys and values that are one matrix come apart.
fn by_ldm_names(headers: &[Header]) -> Result<BTreeMap<FullName, Located>> {
    let level = |name: &str| {
        let rest = name.strip_prefix("first_stage_model.decoder.up.")?;
        rest.split('.').next()?.parse::<usize>().ok()
    };
    let entries =
        || headers.iter().enumerate().flat_map(|(file, header)| header.tensors.iter().map(move |e| (file, e)));
    let levels = entries().filter_map(|(_, entry)| level(&entry.name)).max().map_or(0, |last| last.saturating_add(1));
    let mut tensors = BTreeMap::new();
    for (file, entry) in entries() {
        let TensorEntry { name, dtype, shape, span } = entry;
        let located = |shape: Vec<usize>, span| Located { file, dtype: *dtype, shape, span };
        match names::from_ldm(name, levels) {
            None => {}
            Some(Renamed::One(name)) => {
                tensors.insert(name, located(shape.clone(), span.clone()));
            }
            Some(Renamed::Fused(thirds)) => {
                let rows = shape.first().copied().unwrap_or_default() / 3;
                let mut third = shape.clone();
                third[0] = rows;
                let values = third.iter().map(|&side| side as u64).product();
                let bytes =
                    dtype.bytes(values).filter(|bytes| bytes * 3 == span.end - span.start).ok_or_else(|| {
                        Error::Model(format!(
                            "Tensor {name} does not come apart in three; use another file of this model."
                        ))
                    })?;
                for (i, name) in thirds.into_iter().enumerate() {
                    let start = span.start + i as u64 * bytes;
                    tensors.insert(name, located(third.clone(), start..start + bytes));
                }
            }
        }
    }
    Ok(tensors)
}
