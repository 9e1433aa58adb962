//! A model's opened files, with their tensors by diffusers name, whatever the layout.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};

use super::located::Located;
use super::names::{FullName, Part};
use super::prediction::BY_PERSON;
use crate::config::{Configs, Prediction, shapes, with_prediction};
use crate::error::{Error, Result};
use crate::format::{self, Header, Parsed, blocks};
use crate::source::file::File;

/// Name of the empty prompt's embedding, for models without a text encoder.
pub const NULL_EMBEDDING: &str = "null_embedding";

/// A model's files, opened.
pub struct Checkpoint {
    /// The model's name in messages.
    pub name: String,
    /// Display name of the file layout.
    pub layout: &'static str,
    /// The files that contain tensors.
    pub files: Vec<Rc<dyn File>>,
    /// Every tensor that may be needed, by its full diffusers name.
    pub tensors: BTreeMap<FullName, Located>,
    /// Diffusers' configs: `unet`, `vae`, `scheduler`, and `text_encoder` with `tokens` if there is one.
    pub configs: Value,
    /// Where the prediction type comes from, as the end of a sentence.
    pub prediction_by: String,
    /// SHA-256 of tensors' bytes in hexadecimal, if the file contains it.
    pub hashes: BTreeMap<FullName, String>,
    /// Origin of the weights, if a pack states it.
    pub provenance: Option<Value>,
    /// Notes for the user on how the model was opened, in sentences.
    pub notes: Vec<String>,
    /// Parts that were taken from another source, with its name.
    pub taken: BTreeMap<Part, String>,
}

/// Reads a file's header, however long it is.
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
            Parsed::Archive => return format::archive::read(file).await,
            Parsed::Needs(bytes) if bytes > prefix.len() as u64 && bytes <= file.bytes() => wanted = bytes,
            Parsed::Needs(_) => {
                return Err(Error::Model(format!("{} ends within its header; download it again.", file.name())));
            }
        }
    }
}

/// Identifies a state of a file.
fn identity(file: &Rc<dyn File>) -> Value {
    json!([file.name(), file.bytes(), file.version()])
}

impl Checkpoint {
    /// Identifies the current state of the files: names, sizes and versions. For a combined model, also which part is in
    /// which file.
    pub fn identity(&self) -> Value {
        let mut identities: Vec<Value> = self.files.iter().map(identity).collect();
        if !self.taken.is_empty() {
            let parts = [Part::Unet, Part::Vae, Part::Text].map(|part| {
                let of_part = self.tensors.iter().filter(|(name, _)| is_of(part, name));
                let mut files: Vec<usize> = of_part.map(|(_, located)| located.file).collect();
                files.sort_unstable();
                files.dedup();
                json!(files)
            });
            identities.push(json!({ "unet": parts[0], "vae": parts[1], "text": parts[2] }));
        }
        json!(identities)
    }

    /// Applies the user's prediction type, if there is one.
    pub(super) fn overrule(&mut self, prediction: Option<Prediction>) {
        if prediction.is_some() {
            self.configs = with_prediction(std::mem::take(&mut self.configs), prediction);
            self.prediction_by = BY_PERSON.into();
        }
    }

    /// The checked configs.
    ///
    /// # Errors
    /// As [`Configs::parse`].
    pub fn parsed(&self) -> Result<Configs> {
        Configs::parse(&self.name, self.configs.clone(), None)
    }

    /// Checks, without reading any weight, that there are exactly the networks' tensors, with the right shapes and readable
    /// types.
    ///
    /// # Errors
    /// Names the first tensor that fails, or what in the configs is not supported.
    pub fn check(&self) -> Result<()> {
        let configs = self.parsed()?;
        let mut expected = shapes::of(&configs);
        if let Some(embedding) = self.tensors.get(NULL_EMBEDDING) {
            expected.retain(|name, _| !is_of(Part::Text, name));
            expected.insert(NULL_EMBEDDING.into(), embedding.shape.clone());
            let width = configs.unet.cross_attention_dim.at(0);
            if !matches!(embedding.shape[..], [1, tokens, found] if tokens > 0 && found == width) {
                return Err(Error::Model(format!(
                    "The empty prompt's embedding has shape {:?}, but the UNet takes a context of width {width}.",
                    embedding.shape
                )));
            }
        } else {
            configs.prompt()?;
        }
        for (name, shape) in &expected {
            let located = self.tensors.get(name).filter(|located| fits(&located.shape, shape));
            let missing = || Error::Model(format!("{} has no tensor {name} of shape {shape:?}.", self.name));
            located.ok_or_else(missing).and_then(|located| self.check_type(name, located))?;
        }
        match self.tensors.keys().find(|name| !expected.contains_key(*name)) {
            Some(name) => Err(Error::Model(format!(
                "{} has a tensor that its networks do not: {}; use a plain model of version 1 or 2.",
                self.name,
                format::shown(name)
            ))),
            None => Ok(()),
        }
    }

    /// Checks that a tensor has a type used for weights.
    fn check_type(&self, name: &str, located: &Located) -> Result<()> {
        let is_read = blocks::dequantise(located.dtype, &[], &mut Vec::new()).is_some();
        let file = self.files.get(located.file).map_or(self.name.as_str(), |file| file.name());
        let kind = located.dtype.name();
        is_read.then_some(()).ok_or_else(|| {
            Error::Model(format!(
                "{file} holds {name} as {kind}, a type that can't be read; use an F16 or F32 version of the model."
            ))
        })
    }
}

/// Whether the number of values is the same, and the number of rows too unless the tensor is stored flat. Formats add and
/// drop dimensions of 1. Packs flatten convolutions, and whole matrices whose rows are not a multiple of a block.
fn fits(stored: &[usize], wanted: &[usize]) -> bool {
    let values = |shape: &[usize]| shape.iter().try_fold(1u64, |product, &side| product.checked_mul(side as u64));
    let is_flat = stored.len() == 1;
    (is_flat || stored.first() == wanted.first()) && values(stored).is_some() && values(stored) == values(wanted)
}

/// Whether a full name belongs to this part.
pub(super) fn is_of(part: Part, name: &str) -> bool {
    let inside = name.strip_prefix(part.key()).is_some_and(|rest| rest.starts_with('.'));
    inside || (part == Part::Text && name == NULL_EMBEDDING)
}
