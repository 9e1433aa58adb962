//! The manifest of a cached model and its file. The parser is total: any bytes yield either a consistent manifest or the
//! reason why there is none.
//!
//! The file is JSON, preceded by the checksum of its content: `{"crc32":"89abcdef",⏎"manifest":{…}}⏎`. Two such files are
//! written alternately, so that an interrupted write leaves the previous one intact.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::key::ModelKey;
use crate::format::Dtype;

/// File names for even and odd rounds.
pub const FILES: [&str; 2] = ["manifest.json", "manifest-2.json"];

/// Version of the format. Folders of other versions are not read.
const VERSION: u32 = 1;

const HEAD: &str = "{\"crc32\":\"";
const MIDDLE: &str = "\",\n\"manifest\":";
const TAIL: &str = "}\n";

/// What the cache has of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    /// Number of the manifest in this folder. The higher one is the newer.
    pub round: u64,
    /// Which model it is.
    pub key: ModelKey,
    /// Whether all of the model's tensors are listed.
    pub complete: bool,
    /// Total size of all chunks.
    pub bytes: u64,
    /// Data for the loader, opaque to the cache.
    pub model: Value,
    /// The files with the tensors' bytes.
    pub chunks: Vec<Chunk>,
    /// The tensors in the order of insertion. They fill their chunks without gaps.
    pub tensors: Vec<Record>,
}

/// A file with the bytes of some tensors, one after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its name in the model's folder.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// CRC-32 (that of zip and PNG) of all its bytes.
    pub crc32: u32,
}

/// A cached tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name, as in [`crate::format::compact::Compact`].
    pub name: String,
    /// How its values are stored.
    #[serde(serialize_with = "dtype_name", deserialize_with = "dtype_of_name")]
    pub dtype: Dtype,
    /// Its shape in `PyTorch`'s order.
    pub shape: Vec<usize>,
    /// Index of its chunk.
    pub chunk: usize,
    /// Where its bytes begin in the chunk.
    pub offset: u64,
    /// Its size.
    pub bytes: u64,
}

impl Record {
    /// Bytes of a tensor of this type and shape. `None` if its values do not fill whole blocks, or on overflow.
    pub fn size(dtype: Dtype, shape: &[usize]) -> Option<u64> {
        dtype.bytes(shape.iter().try_fold(1u64, |values, &n| values.checked_mul(n as u64))?)
    }
}

/// The types of compact tensors.
const DTYPES: [Dtype; 4] = [Dtype::F32, Dtype::F16, Dtype::Q8_0, Dtype::Q4_0];

/// Whether tensors of this type can be cached.
pub fn can_keep(dtype: Dtype) -> bool {
    DTYPES.contains(&dtype)
}

fn dtype_name<S: Serializer>(dtype: &Dtype, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dtype.name())
}

fn dtype_of_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Dtype, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = DTYPES.into_iter().find(|dtype| dtype.name() == name);
    known.ok_or_else(|| serde::de::Error::custom(format_args!("unknown dtype {name}")))
}

/// File name of chunk `number`.
fn chunk_name(number: usize) -> String {
    format!("chunk-{number:04}.bin")
}

impl Manifest {
    /// The manifest of a model of which nothing is cached yet.
    pub fn new(key: ModelKey, model: Value) -> Self {
        Self {
            version: VERSION,
            round: 0,
            key,
            complete: false,
            bytes: 0,
            model,
            chunks: Vec::new(),
            tensors: Vec::new(),
        }
    }

    /// The file name for this round.
    pub fn file(&self) -> &'static str {
        FILES[usize::from(self.round % 2 == 1)]
    }

    /// The first unused chunk name, so that files no longer in the manifest are overwritten.
    pub fn free_chunk(&self) -> String {
        let taken: BTreeSet<&str> = self.chunks.iter().map(|chunk| &chunk.file[..]).collect();
        let mut number = 0;
        loop {
            let name = chunk_name(number);
            if !taken.contains(&name[..]) {
                return name;
            }
            number += 1;
        }
    }

    /// Drops the chunks with these indices, and their tensors.
    pub fn without(mut self, lost: &BTreeSet<usize>) -> Self {
        let mut moved = vec![None; self.chunks.len()];
        let mut kept = Vec::with_capacity(self.chunks.len());
        for (index, chunk) in self.chunks.into_iter().enumerate() {
            if !lost.contains(&index) {
                moved[index] = Some(kept.len());
                kept.push(chunk);
            }
        }
        self.chunks = kept;
        self.bytes = self.chunks.iter().map(|chunk| chunk.bytes).sum();
        self.tensors.retain_mut(|tensor| match moved.get(tensor.chunk).copied().flatten() {
            Some(index) => {
                tensor.chunk = index;
                true
            }
            None => false,
        });
        self
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// The value has no JSON form, which is not known to happen with these types.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let body = serde_json::to_string(self).map_err(|error| error.to_string())?;
        Ok(format!("{HEAD}{:08x}{MIDDLE}{body}{TAIL}", crc32fast::hash(body.as_bytes())).into_bytes())
    }

    /// Parses the bytes of a manifest file.
    ///
    /// # Errors
    /// Why they are not a manifest, as part of a sentence.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let content = bytes
            .strip_prefix(HEAD.as_bytes())
            .and_then(|rest| rest.split_at_checked(8))
            .and_then(|(sum, rest)| Some((sum, rest.strip_prefix(MIDDLE.as_bytes())?.strip_suffix(TAIL.as_bytes())?)));
        let Some((sum, body)) = content else { return Err("it is cut off or not a manifest".into()) };
        // The checksum is compared as text, so that every bit of the file matters.
        if sum != format!("{:08x}", crc32fast::hash(body)).as_bytes() {
            return Err("its checksum is wrong".into());
        }
        let manifest: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks every invariant that the other code relies on.
    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("it is of format {}, and {VERSION} is read", self.version));
        }
        let mut files = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut total = Some(0u64);
        let mut tensors = self.tensors.iter().peekable();
        for (index, chunk) in self.chunks.iter().enumerate() {
            let number = chunk.file.strip_prefix("chunk-").and_then(|rest| rest.strip_suffix(".bin")?.parse().ok());
            if number.is_none_or(|number| chunk_name(number) != chunk.file) || !files.insert(&chunk.file) {
                return Err(format!("{:?} is no chunk's name, or that of two", chunk.file));
            }
            let mut end = Some(0u64);
            while let Some(tensor) = tensors.next_if(|tensor| tensor.chunk == index) {
                if end != Some(tensor.offset) || Record::size(tensor.dtype, &tensor.shape) != Some(tensor.bytes) {
                    return Err(format!("tensor {:?} is not where and as long as it should be", tensor.name));
                }
                if !names.insert(&tensor.name) {
                    return Err(format!("tensor {:?} is there twice", tensor.name));
                }
                end = tensor.offset.checked_add(tensor.bytes);
            }
            if end != Some(chunk.bytes) {
                return Err(format!("the tensors of {} do not fill it", chunk.file));
            }
            total = total.and_then(|total| total.checked_add(chunk.bytes));
        }
        if let Some(tensor) = tensors.next() {
            return Err(format!("tensor {:?} is out of order or in no chunk", tensor.name));
        }
        if total != Some(self.bytes) {
            return Err("the sizes of its chunks do not add up".into());
        }
        Ok(())
    }
}
