//! `PyTorch` checkpoints (`.ckpt`, `.pt`, `.pth`, `.bin`) that are ZIP archives: a pickle describes the tensors, and their
//! storages are uncompressed entries. They are read by range like all other files, and nothing in the pickle is executed.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::pickle::{self, MAX_PICKLE, Pickle, PickledTensor};
use super::zip::{self, LOCAL, TAIL, ZipEntry};
use super::{Container, Dtype, Header, TensorEntry, damaged, entry, scale, shown, unread_entry};
use crate::error::{Error, Result};
use crate::source::file::{File, Pending, Sink};

/// The entry that describes the tensors.
const INDEX: &str = "data.pkl";

/// Reads the description of the tensors: the archive's index, the pickle, the byte order and some local headers. No tensor
/// data is read.
///
/// # Errors
/// [`Error::Model`] if it is not from `PyTorch`, is damaged, or asks for more than weights need.
pub async fn read(file: &dyn File) -> Result<Header> {
    let (name, bytes) = (file.name(), file.bytes());
    let tail_start = bytes.saturating_sub(TAIL);
    let mut tail = file.read(tail_start..bytes).await?;
    let (index, count) = zip::index(name, &tail, bytes)?;
    let end = index.end.saturating_sub(tail_start);
    if index.start < tail_start {
        let before = file.read(index.start..tail_start.min(index.end)).await?;
        tail.truncate(usize::try_from(end).unwrap_or_default());
        tail.splice(0..0, before);
    } else {
        tail.truncate(usize::try_from(end).unwrap_or_default());
        tail.drain(..usize::try_from(index.start - tail_start).unwrap_or_default());
    }
    let entries = zip::entries(name, &tail, count, bytes)?;
    drop(tail);
    let archive = Archive::new(file, entries, index.start)?;
    let pickle = archive.contents(INDEX, MAX_PICKLE).await?;
    if archive.by_name.contains_key("byteorder") && archive.contents("byteorder", 64).await? != b"little" {
        return Err(Error::Model(format!("{name} was written on a big-endian computer; use a safetensors version.")));
    }
    let pickle = Pickle::read(&pickle)
        .map_err(|why| Error::Model(format!("{name} cannot be read: {why}; use a safetensors or GGUF version.")))?;
    let tensors = pickle::tensors(&pickle);
    if tensors.is_empty() {
        return Err(Error::Model(format!("{name} holds no model's weights; use another file.")));
    }
    archive.header(&tensors).await
}

/// An archive with its entries.
struct Archive<'a> {
    file: &'a dyn File,
    entries: Vec<ZipEntry>,
    /// Entries by their path inside the top-level folder.
    by_name: HashMap<String, usize>,
    /// Where the entries end and the archive's index begins.
    end: u64,
}

impl<'a> Archive<'a> {
    fn new(file: &'a dyn File, entries: Vec<ZipEntry>, end: u64) -> Result<Self> {
        let is_index = |entry: &&ZipEntry| entry.name.rsplit('/').next() == Some(INDEX);
        let index = entries.iter().filter(is_index).min_by_key(|entry| entry.name.len());
        let root = index.and_then(|entry| entry.name.strip_suffix(INDEX)).map(str::to_owned).ok_or_else(|| {
            Error::Model(format!(
                "{} is a ZIP archive without a checkpoint of PyTorch in it; unpack it and open what it holds.",
                file.name()
            ))
        })?;
        let named = |(at, entry): (usize, &ZipEntry)| Some((entry.name.strip_prefix(&root)?.to_owned(), at));
        let by_name = entries.iter().enumerate().filter_map(named).collect();
        Ok(Self { file, entries, by_name, end })
    }

    /// Where the next entry begins.
    fn next(&self, at: usize) -> u64 {
        self.entries.get(at + 1).map_or(self.end, |next| next.header)
    }

    fn find(&self, name: &str) -> Result<(usize, &ZipEntry)> {
        let (at, entry) = self
            .by_name
            .get(name)
            .and_then(|at| Some((*at, self.entries.get(*at)?)))
            .ok_or_else(|| damaged(self.file.name(), format_args!("it lacks {}", shown(name))))?;
        match entry.unreadable {
            None => Ok((at, entry)),
            Some(why) => Err(Error::Model(format!(
                "{} is {why}, so that it can't be read in parts; save it again with PyTorch, or use a safetensors version.",
                self.file.name()
            ))),
        }
    }

    /// The bytes of a small entry. One request covers its local header too.
    async fn contents(&self, name: &str, most: u64) -> Result<Vec<u8>> {
        let (at, entry) = self.find(name)?;
        let file = self.file.name();
        if entry.bytes > most {
            return Err(damaged(file, format_args!("{} in it is far too large", shown(name))));
        }
        // The name and the extra field before the data have at most 64 KiB each.
        let end = self.next(at).min(entry.header + entry.bytes + LOCAL + (2 << 16)).min(self.file.bytes());
        let mut bytes = self.file.read(entry.header..end.max(entry.header)).await?;
        let start = entry.data_by_header(file, &bytes, self.file.bytes())? - entry.header;
        let range = |start: u64| Some(usize::try_from(start).ok()?..usize::try_from(start + entry.bytes).ok()?);
        let range = range(start).filter(|range| range.end <= bytes.len());
        let Range { start, end } = range.ok_or_else(|| damaged(file, "its index does not fit its parts"))?;
        bytes.truncate(end);
        bytes.drain(..start);
        Ok(bytes)
    }

    /// The locations of the tensors.
    async fn header(&self, tensors: &[PickledTensor<'_>]) -> Result<Header> {
        let mut starts = BTreeMap::new();
        for tensor in tensors {
            let (at, entry) = self.find(&format!("data/{}", tensor.storage))?;
            starts.insert(at, entry.data(self.next(at)));
        }
        self.check(&mut starts).await?;
        let mut found = BTreeMap::new();
        for tensor in tensors {
            let (at, entry) = self.find(&format!("data/{}", tensor.storage))?;
            let start = starts.get(&at).copied().flatten().unwrap_or(entry.header);
            // As in Python, the last tensor of a given name wins.
            found.insert(tensor.name, self.tensor(tensor, start..start + entry.bytes)?);
        }
        let mut tensors: Vec<TensorEntry> = found.into_values().collect();
        tensors.sort_by_key(|tensor| (tensor.span.start, tensor.span.end));
        Ok(Header { container: Container::PyTorch, tensors: scale::paired(tensors), metadata: BTreeMap::new() })
    }

    /// Reads the local headers of entries that the index does not locate, and of the first and last entry as a check. If a
    /// check fails, reads all of them.
    async fn check(&self, starts: &mut BTreeMap<usize, Option<u64>>) -> Result<()> {
        let ends = [starts.keys().next().copied(), starts.keys().next_back().copied()];
        let doubtful =
            |(at, start): (&usize, &Option<u64>)| (start.is_none() || ends.contains(&Some(*at))).then_some(*at);
        let doubtful: Vec<usize> = starts.iter().filter_map(doubtful).collect();
        let mut differ = false;
        for (at, start) in self.read_starts(&doubtful).await? {
            differ |= starts.insert(at, Some(start)).flatten().is_some_and(|told| told != start);
        }
        if differ {
            let all: Vec<usize> = starts.keys().copied().collect();
            starts.extend(self.read_starts(&all).await?.into_iter().map(|(at, start)| (at, Some(start))));
        }
        Ok(())
    }

    /// Where the data of entries begins, according to their local headers.
    async fn read_starts(&self, entries: &[usize]) -> Result<Vec<(usize, u64)>> {
        // Entries are in file order, and each is longer than its header.
        let place = |at: &usize| self.entries.get(*at).map_or(0..0, |entry| entry.header..entry.header + LOCAL);
        let spans: Vec<Range<u64>> = entries.iter().map(place).collect();
        let mut headers = Headers(Vec::new());
        self.file.stream(&spans, &mut headers).await?;
        let mut starts = Vec::new();
        for (at, header) in entries.iter().zip(headers.0) {
            if let Some(entry) = self.entries.get(*at) {
                starts.push((*at, entry.data_by_header(self.file.name(), &header, self.file.bytes())?));
            }
        }
        Ok(starts)
    }

    /// A tensor in the storage with the byte range `storage`.
    fn tensor(&self, tensor: &PickledTensor<'_>, storage: Range<u64>) -> Result<TensorEntry> {
        let PickledTensor { name, element, offset, shape, is_contiguous, .. } = tensor;
        let file = self.file.name();
        let dtype = match dtype(element) {
            Ok(dtype) if *is_contiguous => dtype,
            Ok(_) => return unread_entry(file, name, "values in another order", shape, storage),
            Err(element) => return unread_entry(file, name, element, shape, storage),
        };
        let no = || damaged(file, format_args!("{} is nowhere in it", shown(name)));
        let start = dtype.bytes(*offset).and_then(|bytes| storage.start.checked_add(bytes)).ok_or_else(no)?;
        let found = entry(file, name, dtype, shape, start)?;
        if found.span.end > storage.end { Err(no()) } else { Ok(found) }
    }
}

/// The type for a `PyTorch` type name, or that name if it is unknown.
fn dtype(element: &str) -> Result<Dtype, &str> {
    Ok(match element {
        "Double" | "float64" => Dtype::F64,
        "Float" | "float32" => Dtype::F32,
        "Half" | "float16" => Dtype::F16,
        "BFloat16" | "bfloat16" => Dtype::BF16,
        "Float8_e4m3fn" | "float8_e4m3fn" => Dtype::F8_E4M3,
        "Float8_e5m2" | "float8_e5m2" => Dtype::F8_E5M2,
        "Long" | "int64" => Dtype::I64,
        "Int" | "int32" => Dtype::I32,
        "Short" | "int16" => Dtype::I16,
        "Char" | "int8" => Dtype::I8,
        "Byte" | "uint8" => Dtype::U8,
        "Bool" | "bool" => Dtype::Bool,
        other => return Err(other),
    })
}

/// Collects the bytes.
struct Headers(Vec<Vec<u8>>);

impl Sink for Headers {
    fn take(&mut self, _: usize, bytes: Vec<u8>) -> Pending<'_, Result<()>> {
        self.0.push(bytes);
        Box::pin(async { Ok(()) })
    }
}
