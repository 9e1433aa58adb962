//! The named tensors of one file, taken one by one while a network is built.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;

use super::names;
use crate::device::Place;
use crate::{Error, Result};

/// Count, bytes and dtypes of a file's tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Census {
    /// Number of weights.
    pub parameters: u64,
    /// Bytes that they take in the file.
    pub bytes: u64,
    /// Weights of each dtype.
    pub dtypes: BTreeMap<String, u64>,
}

struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    start: usize,
    end: usize,
}

/// The tensors of one safetensors file. Each can be taken once; what is left at the end does not belong to the model.
pub struct Tensors {
    file: String,
    origin: Origin,
    census: Census,
}

enum Origin {
    File { bytes: Vec<u8>, entries: BTreeMap<String, Entry> },
    Formula(Formula),
}

/// Values of the tensor of a name and a shape.
pub type Formula = Box<dyn FnMut(&str, &[usize]) -> Vec<f32>>;

impl Tensors {
    /// Reads the header of a safetensors file; the tensors stay as bytes until they are taken.
    ///
    /// # Errors
    /// Names the file if it is damaged or not a safetensors file.
    pub fn from_safetensors(file: &str, bytes: Vec<u8>) -> Result<Self> {
        let damaged =
            |error| Error::Model(format!("{file} is not a whole safetensors file ({error}); download it again."));
        let mut entries = BTreeMap::new();
        let mut census = Census::default();
        {
            let view = SafeTensors::deserialize(&bytes).map_err(damaged)?;
            let base = bytes.as_ptr() as usize;
            for (name, tensor) in view.iter() {
                if names::is_buffer(name) {
                    continue;
                }
                let start = tensor.data().as_ptr() as usize - base;
                let end = start + tensor.data().len();
                let shape = tensor.shape().to_vec();
                let parameters = shape.iter().product::<usize>() as u64;
                census.parameters += parameters;
                census.bytes += (end - start) as u64;
                *census.dtypes.entry(format!("{:?}", tensor.dtype())).or_default() += parameters;
                entries.insert(names::current(name), Entry { dtype: tensor.dtype(), shape, start, end });
            }
        }
        Ok(Self { file: file.to_string(), origin: Origin::File { bytes, entries }, census })
    }

    /// Tensors that a formula gives, of whatever name and shape is asked for: a model of true size without its file.
    pub fn from_formula(name: &str, formula: Formula) -> Self {
        Self { file: name.to_string(), origin: Origin::Formula(formula), census: Census::default() }
    }

    /// Count, bytes and dtypes of everything in the file.
    pub fn census(&self) -> &Census {
        &self.census
    }

    /// The shape of a tensor that is still there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        match &self.origin {
            Origin::File { entries, .. } => entries.get(name).map(|entry| &entry.shape[..]),
            Origin::Formula(_) => None,
        }
    }

    /// Takes the tensor `name` of exactly `shape`, widened from f16, bf16 or f32 without loss.
    ///
    /// # Errors
    /// Names the tensor if it is missing, has another shape, or a dtype that is no weight's.
    pub fn take<const D: usize>(&mut self, name: &str, shape: [usize; D], place: &Place) -> Result<Tensor<D>> {
        let file = &self.file;
        let (bytes, entries) = match &mut self.origin {
            Origin::File { bytes, entries } => (bytes, entries),
            Origin::Formula(formula) => return Ok(place.tensor(formula(name, &shape), shape)),
        };
        let entry = entries
            .remove(name)
            .ok_or_else(|| Error::Model(format!("{file} has no tensor {name} of shape {shape:?}.")))?;
        if entry.shape != shape {
            return Err(Error::Model(format!(
                "Tensor {name} of {file} has shape {:?}, but the model's config asks for {shape:?}.",
                entry.shape
            )));
        }
        let values = widen(entry.dtype, &bytes[entry.start..entry.end]).ok_or_else(|| {
            Error::Model(format!("Tensor {name} of {file} is {:?}; f32, f16 or bf16 is needed.", entry.dtype))
        })?;
        Ok(place.tensor(values, shape))
    }

    /// Ends the reading of the file.
    ///
    /// # Errors
    /// Names the tensors that nothing took: the file belongs to another model than its config says.
    pub fn finish(self) -> Result<()> {
        let Origin::File { entries, .. } = self.origin else { return Ok(()) };
        let total = entries.len();
        if total == 0 {
            return Ok(());
        }
        let first = entries.into_keys().take(3).collect::<Vec<_>>().join(", ");
        let more = if total > 3 { format!(" and {} more", total - 3) } else { String::new() };
        Err(Error::Model(format!("{} has tensors that its config does not account for: {first}{more}.", self.file)))
    }
}

/// Little-endian bytes as f32, or `None` for a dtype that weights do not come in.
fn widen(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let pairs = || bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
    Some(match dtype {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => pairs().map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => pairs().map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
        _ => return None,
    })
}
