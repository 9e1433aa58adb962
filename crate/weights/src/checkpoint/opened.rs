//! A model's files with their tensors by diffusers name, whatever the layout.

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

/// The empty prompt's embedding by itself, for models that come without a text encoder.
pub const NULL_EMBEDDING: &str = "null_embedding";

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
    /// What a person may want to know of how it was opened, in sentences.
    pub notes: Vec<String>,
    /// The parts that are from elsewhere, with the name of where they are from.
    pub taken: BTreeMap<Part, String>,
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
            Parsed::Archive => return format::archive::read(file).await,
            Parsed::Needs(bytes) if bytes > prefix.len() as u64 && bytes <= file.bytes() => wanted = bytes,
            Parsed::Needs(_) => {
                return Err(Error::Model(format!("{} ends within its header; download it again.", file.name())));
            }
        }
    }
}

/// What tells one state of a file from another.
fn identity(file: &Rc<dyn File>) -> Value {
    json!([file.name(), file.bytes(), file.version()])
}

impl Checkpoint {
    /// What tells this state of the files from another: names, sizes and versions. Of a combined model, also which part is
    /// in which file.
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

    /// Lets a person's word on the UNet's output stand.
    pub(super) fn overrule(&mut self, prediction: Option<Prediction>) {
        if prediction.is_some() {
            self.configs = with_prediction(std::mem::take(&mut self.configs), prediction);
            self.prediction_by = BY_PERSON.into();
        }
    }

    /// The configs, checked.
    ///
    /// # Errors
    /// As [`Configs::parse`].
    pub fn parsed(&self) -> Result<Configs> {
        Configs::parse(&self.name, self.configs.clone(), None)
    }

    /// Checks that every tensor that the networks have is there, of its shape and of a type that can be read, and no other,
    /// without reading any weight.
    ///
    /// # Errors
    /// Names the first that is not, or what in the configs cannot be run.
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

    /// Checks that a tensor is of a type that weights come in.
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

/// Same number of values, and same rows or none: dimensions of 1 come and go between formats, packs flatten convolutions,
/// and whole matrices whose rows are no multiple of a block.
fn fits(stored: &[usize], wanted: &[usize]) -> bool {
    let values = |shape: &[usize]| shape.iter().try_fold(1u64, |product, &side| product.checked_mul(side as u64));
    let is_flat = stored.len() == 1;
    (is_flat || stored.first() == wanted.first()) && values(stored).is_some() && values(stored) == values(wanted)
}

/// Whether a full name is of this part.
pub(super) fn is_of(part: Part, name: &str) -> bool {
    let inside = name.strip_prefix(part.key()).is_some_and(|rest| rest.starts_with('.'));
    inside || (part == Part::Text && name == NULL_EMBEDDING)
}
