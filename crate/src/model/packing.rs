//! Writes a model as a pack (`docs/packs.md`): UNet and VAE in their stored types, the empty prompt's embedding, the
//! configs, and the provenance.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::loading::{Assembly, embed};
use super::needs::{Requests, requests};
use super::record::ModelRecord;
use crate::control::Control;
use crate::device::{self, Place, Precision};
use crate::weights::checkpoint::pack::PackMetadata;
use crate::weights::checkpoint::stream::{ByteProgress, Receiver, Wanted, hex, spans, stream};
use crate::weights::checkpoint::{Checkpoint, NULL_EMBEDDING};
use crate::weights::config::Prediction;
use crate::weights::format::compact::{is_small_end, kept_as, quantise_q8};
use crate::weights::format::gguf_writer::{GgufLayout, GgufTensor};
use crate::weights::format::{Dtype, blocks};
use crate::weights::source::file::Pending;
use crate::weights::{self, Compact, Origin, TensorRequest, WeightType};
use crate::{Error, Result};

/// How a pack is made.
#[derive(Debug, Clone)]
pub struct Packing {
    /// The model's source as the person gave it; written into the pack.
    pub source: String,
    /// Storage type of the weights.
    pub weights: WeightType,
    /// Maximum size of a part; `None` for one file.
    pub part_bytes: Option<u64>,
    /// Limit on the whole pack's size, if there is one.
    pub room: Option<Room>,
    /// Whether rows that are no multiple of 32 are stored in 8 bits too, instead of 16. A loader keeps them as f16 all the
    /// same, so that only the file becomes smaller, and these weights less exact.
    pub odd_rows: bool,
    /// Terms of the weights; written into the pack.
    pub licence: Option<String>,
    /// Overrules what the files say about the UNet's output.
    pub prediction: Option<Prediction>,
}

/// The space available for a pack.
#[derive(Debug, Clone)]
pub struct Room {
    /// Bytes that are left.
    pub bytes: u64,
    /// What the space belongs to, as the end of a sentence: "… are left of what this host serves".
    pub of: String,
}

/// A tensor of the pack.
struct PackTensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: u64,
}

/// A part that is being written.
struct PackFile {
    target: PathBuf,
    /// Its name until it is complete.
    temporary: PathBuf,
    file: File,
    layout: GgufLayout,
    tensors: Vec<PackTensor>,
    hashes: BTreeMap<String, String>,
}

fn cannot(path: &Path, error: &std::io::Error) -> Error {
    Error::File(format!("{} cannot be written: {error}.", path.display()))
}

/// Writes the model as `out.styleid.gguf`, or in parts, and returns the files with their sizes.
///
/// # Errors
/// What is wrong with the model, or why a file cannot be written.
pub async fn write(
    origin: &Origin,
    packing: &Packing,
    out: &Path,
    control: &Control<'_>,
) -> Result<Vec<(PathBuf, u64)>> {
    let checkpoint = (origin.open)().await?;
    let record = ModelRecord::of(&checkpoint);
    let configs = record.configs(packing.prediction)?;
    let mut parameters = 0;
    for (_, located) in checkpoint.tensors.iter().filter(|(name, _)| name.starts_with("unet.")) {
        parameters += located.shape.iter().map(|&side| side as u64).product::<u64>();
    }
    // The embedding is the same as in a run on the processor.
    let place = Place::new(device::cpu(), Precision::Auto, parameters)?;
    let with_text = !checkpoint.tensors.contains_key(NULL_EMBEDDING);
    let shapes = checkpoint.tensors.iter().map(|(name, located)| (name, &located.shape));
    let needs = requests(&configs, shapes, with_text, &place)?;
    let (text, rest): (Vec<_>, Vec<_>) = needs
        .iter()
        .map(|(name, request)| Wanted { name: name.clone(), request })
        .partition(|wanted| wanted.name.starts_with("text_encoder."));
    let mut progress = ByteProgress::default();
    for Wanted { name, request } in text.iter().chain(&rest) {
        if let Some(located) = checkpoint.tensors.get(name) {
            progress.total += spans(name, request, located)?.iter().map(|span| span.end - span.start).sum::<u64>();
        }
    }
    let embedding = if with_text {
        let mut assembly = Assembly::new(&place, control);
        stream(&checkpoint, &text, WeightType::Exact, &mut assembly, &mut progress).await?;
        Some(embed(&configs, assembly.take("text_encoder"), &place).await?)
    } else {
        None
    };

    let tensors = tensors(&checkpoint, &needs, packing, embedding.as_ref())?;
    check_room(&tensors, packing)?;
    let mut parts = Parts::begin(tensors, &record, &checkpoint, packing, out, control)?;
    if let Some(embedding) = embedding {
        parts.put(&embedding)?;
    }
    stream(&checkpoint, &rest, packing.weights, &mut parts, &mut progress).await?;
    parts.finish()
}

/// Checks the size limit before the large part is fetched.
fn check_room(tensors: &[PackTensor], packing: &Packing) -> Result<()> {
    let bytes: u64 = tensors.iter().map(|tensor| tensor.bytes).sum();
    match &packing.room {
        Some(room) if bytes > room.bytes => Err(Error::Settings(format!(
            "With weights as {} this model takes {} MB, and {} MB are left of {}: take weights of fewer bits or a smaller model.",
            packing.weights.name(),
            bytes.div_ceil(1_000_000),
            room.bytes / 1_000_000,
            room.of
        ))),
        _ => Ok(()),
    }
}

/// The tensors of the pack, in the order of its layout.
fn tensors(
    checkpoint: &Checkpoint,
    needs: &Requests,
    packing: &Packing,
    embedding: Option<&Compact>,
) -> Result<Vec<PackTensor>> {
    let mut tensors = Vec::new();
    for (name, need) in needs.iter().filter(|(name, _)| !name.starts_with("text_encoder.")) {
        let Some(located) = checkpoint.tensors.get(name) else { continue };
        let dtype = if need.is_weight { packed_as(packing, name, located.dtype, &need.shape) } else { Dtype::F32 };
        // A block of a GGUF file must not cross the end of a row. A quantised convolution is therefore flattened to a
        // matrix, or to a single row if its rows are no multiple of a block.
        let columns: usize = need.shape.iter().skip(1).product();
        let shape = match dtype.block() {
            1 => need.shape.clone(),
            block if columns.is_multiple_of(block) => vec![need.shape[0], columns],
            _ => vec![need.shape[0] * columns],
        };
        tensors.push((name.clone(), dtype, shape));
    }
    tensors.extend(embedding.map(|embedding| (embedding.name.clone(), embedding.dtype, embedding.shape.clone())));
    tensors
        .into_iter()
        .map(|(name, dtype, shape)| {
            let values = shape.iter().map(|&side| side as u64).product();
            let too_large = || Error::Model(format!("Tensor {name} does not fit a pack."));
            let bytes = dtype.bytes(values).ok_or_else(too_large)?;
            Ok(PackTensor { name, dtype, shape, bytes })
        })
        .collect()
}

/// Storage type of a matrix in a pack: as [`kept_as`] says, but 8 bits for odd rows too if requested.
fn packed_as(packing: &Packing, name: &str, from: Dtype, shape: &[usize]) -> Dtype {
    let kept = kept_as(packing.weights, name, from, shape);
    let is_quantised = matches!(packing.weights, WeightType::Q8 | WeightType::Q4);
    let values: usize = shape.iter().product();
    let is_odd = is_quantised && kept == Dtype::F16 && !is_small_end(name) && values.is_multiple_of(32);
    if packing.odd_rows && is_odd { Dtype::Q8_0 } else { kept }
}

/// The tensor as `dtype`.
fn converted(tensor: &Compact, dtype: Dtype) -> Option<Cow<'_, [u8]>> {
    match (tensor.dtype, dtype) {
        (from, to) if from == to => Some(Cow::Borrowed(&tensor.bytes)),
        (from, Dtype::Q8_0) => {
            let (mut values, mut bytes) = (Vec::new(), Vec::new());
            blocks::dequantise(from, &tensor.bytes, &mut values)?;
            quantise_q8(&values, &mut bytes);
            Some(Cow::Owned(bytes))
        }
        _ => None,
    }
}

/// The files of a pack that is being written.
struct Parts<'a> {
    parts: Vec<PackFile>,
    metadata: PackMetadata,
    name: String,
    control: &'a Control<'a>,
}

impl<'a> Parts<'a> {
    fn begin(
        tensors: Vec<PackTensor>,
        record: &ModelRecord,
        checkpoint: &Checkpoint,
        packing: &Packing,
        out: &Path,
        control: &'a Control<'a>,
    ) -> Result<Self> {
        // The header's share: configs once, and about 200 bytes for each tensor.
        let overhead = 32 << 10;
        let limit = packing.part_bytes.unwrap_or(u64::MAX).saturating_sub(overhead);
        let mut groups: Vec<Vec<PackTensor>> = vec![Vec::new()];
        let mut size = 0;
        for tensor in tensors {
            let bytes = tensor.bytes + 256;
            if bytes > limit {
                return Err(Error::Settings(format!(
                    "A part must have room for the largest tensor, {} ({} MB); use larger parts or smaller weights.",
                    tensor.name,
                    tensor.bytes.div_ceil(1_000_000)
                )));
            }
            if size + bytes > limit {
                groups.push(Vec::new());
                size = 0;
            }
            size += bytes;
            if let Some(group) = groups.last_mut() {
                group.push(tensor);
            }
        }
        let stem = out.to_string_lossy();
        let stem = stem.trim_end_matches(".gguf").trim_end_matches(".styleid").to_string();
        let name = Path::new(&stem).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // File names only: packs are published, and paths may reveal a person's folders.
        let file_name = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or_default().to_string();
        let files: Vec<Value> = checkpoint.files.iter().map(|file| json!(file_name(file.name()))).collect();
        let mut parts = Self {
            parts: Vec::new(),
            metadata: PackMetadata {
                configs: record.kept_configs(packing.prediction),
                provenance: json!({
                    "source": packing.source, "files": files, "weights": packing.weights.name(),
                    "licence": packing.licence.as_deref().unwrap_or("as the source's"),
                    "made by": concat!("styleid ", env!("CARGO_PKG_VERSION")),
                }),
                hashes: BTreeMap::new(),
                parts: groups.len(),
            },
            name,
            control,
        };
        for (i, tensors) in groups.into_iter().enumerate() {
            let count = parts.metadata.parts;
            let target = match count {
                1 => PathBuf::from(format!("{stem}.styleid.gguf")),
                _ => PathBuf::from(format!("{stem}.styleid-{:05}-of-{count:05}.gguf", i + 1)),
            };
            let temporary = target.with_extension("gguf.unfinished");
            if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
            }
            // Placeholders: all hashes have one length, so that the header keeps its size when the real ones are filled in.
            let hashes = tensors.iter().map(|tensor| (tensor.name.clone(), "0".repeat(64))).collect();
            let layout = parts.layout(&tensors, &hashes, i)?;
            let file = File::create(&temporary).map_err(|error| cannot(&temporary, &error))?;
            // From now on `Drop` removes the temporary file.
            parts.parts.push(PackFile { target, temporary, file, layout, tensors, hashes });
            if let Some(part) = parts.parts.last() {
                part.file.set_len(part.layout.bytes).map_err(|error| cannot(&part.temporary, &error))?;
            }
        }
        Ok(parts)
    }

    fn layout(&self, tensors: &[PackTensor], hashes: &BTreeMap<String, String>, part: usize) -> Result<GgufLayout> {
        let metadata = PackMetadata { hashes: hashes.clone(), ..self.metadata.clone() };
        let entries: Vec<_> = tensors
            .iter()
            .map(|PackTensor { name, dtype, shape, .. }| GgufTensor { name, dtype: *dtype, shape })
            .collect();
        Ok(GgufLayout::new(&metadata.write(&self.name, part), &entries)?)
    }

    fn put(&mut self, tensor: &Compact) -> Result<()> {
        let unplanned = || Error::Model(format!("Tensor {} is not planned for this pack.", tensor.name));
        let found = self.parts.iter_mut().find_map(|part| {
            let index = part.tensors.iter().position(|packed| packed.name == tensor.name)?;
            Some((part, index))
        });
        let (part, index) = found.ok_or_else(unplanned)?;
        let planned = &part.tensors[index];
        let bytes = converted(tensor, planned.dtype).filter(|bytes| bytes.len() as u64 == planned.bytes);
        let bytes = bytes.ok_or_else(unplanned)?;
        let start = part.layout.spans[index].start;
        let written = part.file.seek(SeekFrom::Start(start)).and_then(|_| part.file.write_all(&bytes));
        written.map_err(|error| cannot(&part.temporary, &error))?;
        part.hashes.insert(tensor.name.clone(), hex(&Sha256::digest(&bytes)));
        Ok(())
    }

    /// Writes the headers with the final hashes, and renames the files.
    fn finish(mut self) -> Result<Vec<(PathBuf, u64)>> {
        let mut files = Vec::new();
        let layouts = self.parts.iter().enumerate().map(|(i, part)| self.layout(&part.tensors, &part.hashes, i));
        let layouts = layouts.collect::<Result<Vec<_>>>()?;
        // The parts stay in `self` until all are renamed: after a failure `Drop` removes the temporary files that are left.
        for (part, layout) in self.parts.iter_mut().zip(layouts) {
            if layout.spans != part.layout.spans {
                return Err(Error::File(format!("The header of {} changed its size.", part.target.display())));
            }
            let start = part.file.seek(SeekFrom::Start(0));
            let written = start.and_then(|_| part.file.write_all(&layout.header)).and_then(|()| part.file.sync_all());
            written.map_err(|error| cannot(&part.temporary, &error))?;
            std::fs::rename(&part.temporary, &part.target).map_err(|error| cannot(&part.target, &error))?;
            files.push((part.target.clone(), layout.bytes));
        }
        Ok(files)
    }
}

impl Drop for Parts<'_> {
    fn drop(&mut self) {
        for part in &self.parts {
            // The error was reported already. A file that cannot be removed either is recognisable by its name,
            // .unfinished.
            let _ = std::fs::remove_file(&part.temporary);
        }
    }
}

impl Receiver for Parts<'_> {
    fn receive<'a>(&'a mut self, tensor: Compact, _: &'a TensorRequest) -> Pending<'a, weights::Result<()>> {
        Box::pin(async move { Ok(self.put(&tensor)?) })
    }

    fn progress(&mut self, done: u64, total: u64) -> Pending<'_, weights::Result<()>> {
        Box::pin(async move {
            self.control.report_bytes(done, total);
            Ok(self.control.yield_and_check().await?)
        })
    }
}
