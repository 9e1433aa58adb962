//! Single files, possibly split: with LDM names, with diffusers names, or packs.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::contents::Contents;
use super::family::{self, TensorShapes};
use super::located::Located;
use super::names::{FullName, Layout, Part, Renamed};
use super::opened::{Checkpoint, NULL_EMBEDDING, read_header};
use super::pack::PackMetadata;
use super::parts::{Parts, Predicted};
use super::prediction;
use crate::config::{Configs, Prediction, SpecialTokens};
use crate::error::{Error, Result};
use crate::format::{Container, Header, shown};
use crate::source::file::{File, Source};

impl Checkpoint {
    /// Opens a single file, or the parts of one.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub async fn open_files(source: &dyn Source, paths: &[String], prediction: Option<Prediction>) -> Result<Self> {
        Self::of_files(files(source, paths).await?, prediction).await
    }

    /// The checkpoint in opened files that belong together.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub async fn of_files(files: Vec<Rc<dyn File>>, prediction: Option<Prediction>) -> Result<Self> {
        Parts::of_files(files).await?.whole(prediction)
    }
}

/// Opens files of a folder.
pub(super) async fn files(source: &dyn Source, paths: &[String]) -> Result<Vec<Rc<dyn File>>> {
    let mut files = Vec::new();
    for path in paths {
        let missing = || Error::Model(format!("{} has no {path}.", source.name()));
        files.push(source.open(path).await?.ok_or_else(missing)?);
    }
    Ok(files)
}

impl Parts {
    /// The parts in opened files that belong together: a whole model, a UNet alone, a VAE alone, a pack.
    ///
    /// # Errors
    /// What the files are, if they belong to another family, or the missing tensor.
    pub async fn of_files(files: Vec<Rc<dyn File>>) -> Result<Self> {
        let mut headers = Vec::new();
        for file in &files {
            headers.push(read_header(&**file).await?);
        }
        let name = files.first().map(|file| file.name().to_string()).unwrap_or_default();
        let metadata: Vec<_> = headers.iter().filter_map(|header| PackMetadata::read(&header.metadata)).collect();
        if !metadata.is_empty() {
            return Self::of_pack(name, files, headers, metadata);
        }
        let contents = Contents::of(&headers);
        contents.check(&name)?;
        let tensors = by_names(&name, &headers)?;
        let shapes: TensorShapes = tensors.iter().map(|(name, at)| (name.clone(), at.shape.clone())).collect();
        let mut configs = Map::new();
        if contents.unet {
            configs.insert("unet".into(), family::unet(&shapes)?);
        }
        if contents.vae {
            configs.insert("vae".into(), family::vae(&shapes)?);
        }
        if contents.text && !tensors.contains_key(NULL_EMBEDDING) {
            let text = family::text_encoder(&shapes)?;
            configs.insert("tokens".into(), json!(SpecialTokens::of_config(&Configs::text(&name, &text)?)?));
            configs.insert("text_encoder".into(), text);
        }
        let container = headers.first().map(|header| header.container).unwrap_or_default();
        let mut parts = Self {
            name,
            layout: layout(container, files.len()),
            files,
            tensors,
            configs,
            hashes: BTreeMap::new(),
            provenance: None,
            notes: Vec::new(),
            taken: BTreeMap::new(),
            predicted: Predicted::Guessed(prediction::by_default(&shapes)),
        };
        if contents.unet {
            parts.predict(&headers, &shapes).await?;
        }
        parts.drop_unused_layers();
        Ok(parts)
    }

    /// Determines what the UNet predicts.
    async fn predict(&mut self, headers: &[Header], shapes: &TensorShapes) -> Result<()> {
        let told = match prediction::by_metadata(&self.name, headers) {
            Ok(told) => told.or_else(|| prediction::by_name(&self.name, family::is_2x(shapes))),
            Err(error) => {
                self.predicted = Predicted::Odd(error.to_string());
                return Ok(());
            }
        };
        if told.is_none() {
            return self.predict_by_weights(shapes).await;
        }
        if let Some(told) = told {
            // ComfyUI's marker for a schedule with zero terminal SNR.
            if told.prediction == Prediction::VPrediction && prediction::has_mark(headers, "ztsnr") {
                self.configs.insert("scheduler".into(), json!({ "rescale_betas_zero_snr": true }));
            }
            self.predicted = Predicted::Told(told);
        }
        Ok(())
    }

    /// Determines the prediction type from the weights, or takes the most likely one.
    pub(super) async fn predict_by_weights(&mut self, shapes: &TensorShapes) -> Result<()> {
        let telling = prediction::telling(shapes).and_then(|name| self.tensors.get(name));
        let told = match telling.and_then(|located| Some((self.files.get(located.file)?, located))) {
            Some((file, located)) => prediction::by_weights(&**file, located).await?,
            None => None,
        };
        self.predicted = told.map_or_else(|| Predicted::Guessed(prediction::by_default(shapes)), Predicted::Told);
        Ok(())
    }

    fn of_pack(
        name: String,
        files: Vec<Rc<dyn File>>,
        headers: Vec<Header>,
        metadata: Vec<Result<PackMetadata>>,
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
        for (file, header) in headers.iter().enumerate() {
            tensors.extend(header.tensors.iter().map(|entry| (entry.name.clone(), Located::of(file, entry))));
        }
        let Value::Object(configs) = first.configs else {
            return Err(Error::Model(format!("{name} is damaged: its configs are no JSON object; download it again.")));
        };
        Ok(Self {
            name,
            layout: "pack",
            files,
            tensors,
            configs,
            hashes,
            provenance: Some(first.provenance),
            notes: Vec::new(),
            taken: BTreeMap::new(),
            predicted: Predicted::Config("the pack says so".into()),
        })
    }

    /// Drops `OpenCLIP`'s last layer, which comes with 2.x files but was never part of the model.
    pub(super) fn drop_unused_layers(&mut self) {
        let text = self.configs.get("text_encoder").and_then(|text| text.get("num_hidden_layers"));
        let Some(layers) = text.and_then(Value::as_u64) else { return };
        let prefix = "text_encoder.text_model.encoder.layers.";
        self.tensors.retain(|name, _| {
            let layer = name.strip_prefix(prefix).and_then(|rest| rest.split('.').next()?.parse::<u64>().ok());
            layer.is_none_or(|layer| layer < layers)
        });
    }
}

/// Display name of the layout of one file, or of several that belong together.
const fn layout(container: Container, files: usize) -> &'static str {
    match (container, files) {
        (Container::Safetensors, 0 | 1) => "single safetensors file",
        (Container::Safetensors, _) => "safetensors files",
        (Container::Gguf, 0 | 1) => "single GGUF file",
        (Container::Gguf, _) => "GGUF file in parts",
        (Container::PyTorch, 0 | 1) => "single PyTorch checkpoint",
        (Container::PyTorch, _) => "PyTorch checkpoints",
    }
}

/// The tensors of files by diffusers name. Fused matrices of queries, keys and values are split.
fn by_names(file_name: &str, headers: &[Header]) -> Result<BTreeMap<FullName, Located>> {
    let entries =
        || headers.iter().enumerate().flat_map(|(file, header)| header.tensors.iter().map(move |e| (file, e)));
    let layout = Layout::of(entries().map(|(_, entry)| entry.name.as_str()));
    let mut ranked = BTreeMap::<FullName, (u8, Located)>::new();
    for (file, entry) in entries() {
        let located = Located::of(file, entry);
        if entry.name == NULL_EMBEDDING {
            ranked.insert(entry.name.clone(), (0, located));
            continue;
        }
        let Some((renamed, rank)) = layout.rename(&entry.name) else { continue };
        let mut put = |name: FullName, located: Located| {
            if ranked.get(&name).is_none_or(|(before, _)| *before <= rank) {
                ranked.insert(name, (rank, located));
            }
        };
        match renamed {
            Renamed::One(name) => put(name, located),
            Renamed::Fused(names) => {
                let thirds = located.thirds().ok_or_else(|| apart(file_name, &entry.name))?;
                names.into_iter().zip(thirds).for_each(|(name, third)| put(name, third));
            }
        }
    }
    Ok(ranked.into_iter().map(|(name, (_, located))| (name, located)).collect())
}

fn apart(file: &str, name: &str) -> Error {
    let name = shown(name);
    Error::Model(format!("Tensor {name} of {file} does not come apart in three; use another file of this model."))
}

/// The tensors of a file with a single part, under names of that part only. `index` is the number of files before it.
pub(super) fn by_part(file: &str, index: usize, part: Part, header: &Header) -> Result<BTreeMap<FullName, Located>> {
    let layout = Layout::of(header.tensors.iter().map(|entry| entry.name.as_str()));
    let mut tensors = BTreeMap::new();
    for entry in &header.tensors {
        let located = Located::of(index, entry);
        match layout.within(part, &entry.name) {
            None => {}
            Some(Renamed::One(name)) => drop(tensors.insert(name, located)),
            Some(Renamed::Fused(names)) => {
                tensors.extend(names.into_iter().zip(located.thirds().ok_or_else(|| apart(file, &entry.name))?));
            }
        }
    }
    Ok(tensors)
}
