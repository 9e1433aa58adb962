//! Reads tensors of a checkpoint in file order and converts them as their bytes arrive. Only a few MiB of a file are in
//! memory at a time, in addition to the tensor being built.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::located::Located;
use super::names::FullName;
use super::opened::Checkpoint;
use super::request::TensorRequest;
use crate::error::{Error, Result};
use crate::format::compact::{Compact, Converter, WeightType, kept_as};
use crate::format::{Dtype, blocks};
use crate::source::file::{File, Pending, Sink};

/// Most bytes of a tensor that are read at once.
const PIECE: u64 = 4 << 20;

/// A tensor to read.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Its full diffusers name.
    pub name: FullName,
    /// What the network needs from it.
    pub request: &'a TensorRequest,
}

/// Receives tensors as they are completed.
pub trait Receiver {
    /// Receives one tensor.
    ///
    /// # Errors
    /// Any error, which ends the reading.
    fn receive<'a>(&'a mut self, tensor: Compact, request: &'a TensorRequest) -> Pending<'a, Result<()>>;

    /// Called after every piece of at most a few MiB, when `done` of `total` bytes have been read. Here the caller can
    /// report progress, yield to an event loop, or cancel.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or any other error that ends the reading.
    fn progress(&mut self, done: u64, total: u64) -> Pending<'_, Result<()>>;
}

/// How many bytes have been read.
#[derive(Debug, Default)]
pub struct ByteProgress {
    /// Bytes read so far.
    pub done: u64,
    /// Total bytes to read.
    pub total: u64,
}

/// A tensor with its location and target type.
struct StreamedTensor<'a> {
    name: &'a FullName,
    request: &'a TensorRequest,
    located: &'a Located,
    to: Dtype,
    values: u64,
    /// Factors for its values, if any.
    scales: Vec<f32>,
}

/// Reads the scales of those tensors that have some.
async fn read_scales(file: &dyn File, items: &mut [StreamedTensor<'_>]) -> Result<()> {
    let mut spans: Vec<(Range<u64>, usize)> =
        items.iter().enumerate().filter_map(|(i, item)| Some((item.located.scale.as_ref()?.span.clone(), i))).collect();
    spans.sort_by_key(|(span, _)| span.start);
    let (spans, owners): (Vec<_>, Vec<_>) = spans.into_iter().unzip();
    let mut scales = Scales(Vec::new());
    file.stream(&spans, &mut scales).await?;
    for (bytes, owner) in scales.0.into_iter().zip(owners) {
        let StreamedTensor { name, request, located, scales, .. } = &mut items[owner];
        let dtype = located.scale.as_ref().map_or(Dtype::F32, |scale| scale.dtype);
        let no = || Error::Model(format!("The scales of {name} are no numbers; use an F16 version of the model."));
        blocks::dequantise(dtype, &bytes, scales).ok_or_else(no)?;
        if let (Some(rows), true) = (&request.rows, scales.len() > 1) {
            let of_rows: Option<Vec<f32>> = rows.iter().map(|row| scales.get(*row).copied()).collect();
            *scales = of_rows.ok_or_else(no)?;
        }
    }
    Ok(())
}

/// Collects the bytes.
struct Scales(Vec<Vec<u8>>);

impl Sink for Scales {
    fn take(&mut self, _: usize, bytes: Vec<u8>) -> Pending<'_, Result<()>> {
        self.0.push(bytes);
        Box::pin(async { Ok(()) })
    }
}

/// The byte ranges of a tensor to read for `request`.
///
/// # Errors
/// Rows were requested of a type whose blocks can cross rows.
pub fn spans(name: &str, request: &TensorRequest, located: &Located) -> Result<Vec<Range<u64>>> {
    let Located { dtype, span, .. } = located;
    let Some(rows) = &request.rows else {
        // Groups of 32 and blocks of 256 are not split.
        let unit = if dtype.block() == 256 { 256 } else { 32 };
        let step = dtype.bytes(unit).map_or(PIECE, |bytes| PIECE / bytes * bytes);
        let starts = (span.start..span.end).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        return Ok(starts.map(|start| start..(start + step).min(span.end)).collect());
    };
    let width: u64 = request.shape.iter().skip(1).map(|&side| side as u64).product();
    let bytes = dtype.bytes(width).ok_or_else(|| {
        Error::Model(format!("Tensor {name} is {}, whose blocks run over its rows; use another file.", dtype.name()))
    })?;
    let row = |row: &usize| span.start + *row as u64 * bytes..span.start + (*row as u64 + 1) * bytes;
    let rows: Vec<_> = rows.iter().map(row).collect();
    if rows.iter().any(|row| row.end > span.end) {
        return Err(Error::Model(format!("Tensor {name} is shorter than its model needs.")));
    }
    Ok(rows)
}

/// Rejects tensors that cannot be decoded, before any data is read.
fn check(checkpoint: &Checkpoint, name: &str, located: &Located) -> Result<()> {
    let file = checkpoint.files.get(located.file).map(|file| file.name()).unwrap_or_default();
    if !located.dtype.is_read() {
        let dtype = located.dtype.name();
        return Err(Error::Model(format!(
            "{file} holds {name} as {dtype}, which can't be read; use an F16, F32 or Q8_0 version of the model."
        )));
    }
    let Some(scale) = &located.scale else { return Ok(()) };
    let rows = located.shape.first().map_or(1, |rows| *rows as u64);
    let plain = scale.dtype.block() == 1 && scale.dtype.bytes(scale.count()) == Some(scale.span.end - scale.span.start);
    if plain && (scale.count() == 1 || scale.count() == rows) {
        return Ok(());
    }
    Err(Error::Model(format!(
        "{file} holds {name} with scales of shape {:?}, which can't be read; use an F16 version of the model.",
        scale.shape
    )))
}

/// Reads `wanted` from the checkpoint's files, each in file order, and passes every tensor to `receiver` in its storage
/// type for `weights`. `progress` continues from its current value.
///
/// # Errors
/// An error of a file or of the receiver, a cancellation, or a damaged tensor.
pub async fn stream(
    checkpoint: &Checkpoint,
    wanted: &[Wanted<'_>],
    weights: WeightType,
    receiver: &mut dyn Receiver,
    progress: &mut ByteProgress,
) -> Result<()> {
    for Wanted { name, .. } in wanted {
        checkpoint.tensors.get(name).map_or(Ok(()), |located| check(checkpoint, name, located))?;
    }
    for (index, file) in checkpoint.files.iter().enumerate() {
        let mut items = Vec::new();
        for Wanted { name, request } in wanted {
            let Some(located) = checkpoint.tensors.get(name).filter(|located| located.file == index) else { continue };
            let rows = request.rows.as_ref().map(Vec::len).or(request.shape.first().copied()).unwrap_or(1);
            let columns: usize = request.shape.iter().skip(1).product();
            // Scaling yields more digits than the stored type holds.
            let from = if located.scale.is_some() { Dtype::F32 } else { located.dtype };
            let to = match request.is_weight {
                true => kept_as(weights, name, from, &request.shape),
                false => Dtype::F32,
            };
            items.push(StreamedTensor {
                name,
                request,
                located,
                to,
                values: rows as u64 * columns as u64,
                scales: Vec::new(),
            });
        }
        items.sort_by_key(|item| item.located.span.start);
        read_scales(&**file, &mut items).await?;
        let mut pieces = Vec::new();
        let mut owners = Vec::new();
        for (owner, item) in items.iter().enumerate() {
            let spans = spans(item.name, item.request, item.located)?;
            owners.extend(spans.iter().map(|_| owner));
            pieces.extend(spans);
        }
        let mut conversion =
            Conversion { checkpoint, items: &items, owners: &owners, current: None, receiver, progress };
        file.stream(&pieces, &mut conversion).await?;
    }
    Ok(())
}

/// Assembles pieces into tensors.
struct Conversion<'a> {
    checkpoint: &'a Checkpoint,
    items: &'a [StreamedTensor<'a>],
    /// Which item each piece belongs to.
    owners: &'a [usize],
    current: Option<(Converter, Sha256)>,
    receiver: &'a mut dyn Receiver,
    progress: &'a mut ByteProgress,
}

impl Sink for Conversion<'_> {
    fn take(&mut self, index: usize, bytes: Vec<u8>) -> Pending<'_, Result<()>> {
        Box::pin(async move {
            let owner = self.owners[index];
            let item = &self.items[owner];
            let fresh = || {
                let values = usize::try_from(item.values).unwrap_or_default();
                let each = values.checked_div(item.scales.len()).unwrap_or(1);
                let converter = Converter::new(item.located.dtype, item.to, values);
                (converter.scaled(item.scales.clone(), each), Sha256::new())
            };
            let (converter, hash) = self.current.get_or_insert_with(fresh);
            let expected = self.checkpoint.hashes.get(item.name).filter(|_| item.request.rows.is_none());
            if expected.is_some() {
                hash.update(&bytes);
            }
            converter.push(&bytes).map_err(|what| {
                let file = self.checkpoint.files[item.located.file].name();
                Error::Model(format!("Tensor {} of {file} {what}.", item.name))
            })?;
            self.progress.done += bytes.len() as u64;
            drop(bytes);
            if self.owners.get(index + 1) != Some(&owner)
                && let Some((converter, hash)) = self.current.take()
            {
                let compact = Compact {
                    name: item.name.clone(),
                    dtype: item.to,
                    shape: item.request.shape.clone(),
                    bytes: converter.finish(),
                };
                let damaged = expected.is_some_and(|expected| *expected != hex(&hash.finalize()))
                    || item.to.bytes(item.values) != Some(compact.bytes.len() as u64);
                if damaged {
                    let name = item.name;
                    return Err(Error::Model(format!(
                        "Tensor {name} arrived damaged; remove the model and load it again."
                    )));
                }
                self.receiver.receive(compact, item.request).await?;
            }
            self.receiver.progress(self.progress.done, self.progress.total).await
        })
    }
}

/// Lowercase hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
