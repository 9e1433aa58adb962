//! The compact storage form of weights: in the disk cache, in packs, in memory and on the GPU.
//!
//! Quantised weights are symmetric, in groups of 32 along the input dimension (convolutions are flattened to
//! `[out, in·kh·kw]`), with one f16 scale per group. They are byte for byte GGUF's `Q8_0` and `Q4_0`. Other tools can
//! therefore read packs, and files in these types are used unchanged.

use half::f16;
use serde::{Deserialize, Serialize};

use super::{Dtype, blocks};

/// What a person asks weights to be kept as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum WeightType {
    /// The file's own values, without any loss.
    #[default]
    Exact,
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 8-bit integers with a scale for every 32.
    Q8,
    /// 4-bit integers with a scale for every 32.
    Q4,
}

impl WeightType {
    /// All storage types.
    pub const ALL: [Self; 5] = [Self::Exact, Self::F32, Self::F16, Self::Q8, Self::Q4];

    /// Its name in settings and file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }
}

/// One weight tensor in its compact form.
#[derive(Debug, Clone, PartialEq)]
pub struct Compact {
    /// Its name, usually a full diffusers name such as `unet.conv_in.weight`.
    pub name: String,
    /// `F32`, `F16`, `Q8_0` or `Q4_0`.
    pub dtype: Dtype,
    /// Its shape in `PyTorch`'s order.
    pub shape: Vec<usize>,
    /// Little-endian values or blocks, row-major.
    pub bytes: Vec<u8>,
}

/// Quantises f32 values to `Q8_0` blocks: scale = largest magnitude / 127, rounded to f16. Values are rounded half away
/// from zero.
pub fn quantise_q8(values: &[f32], out: &mut Vec<u8>) {
    out.reserve(values.len() / 32 * 34);
    for group in values.chunks_exact(32) {
        let peak = group.iter().fold(0f32, |peak, x| peak.max(x.abs()));
        let scale = peak / 127.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        out.extend(f16::from_f32(scale).to_le_bytes());
        out.extend(group.iter().map(|x| (x * inverse).round() as i8 as u8));
    }
}

/// Quantises f32 values to `Q4_0` blocks. The value of largest magnitude becomes −8, so that all 16 codes are used. Codes
/// are stored plus 8: the first 16 of a group in the low nibbles of its bytes, the others in the high nibbles.
pub fn quantise_q4(values: &[f32], out: &mut Vec<u8>) {
    out.reserve(values.len() / 32 * 18);
    for group in values.chunks_exact(32) {
        let peak = group.iter().fold(0f32, |peak, &x| if x.abs() > peak.abs() { x } else { peak });
        let scale = peak / -8.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        out.extend(f16::from_f32(scale).to_le_bytes());
        let code = |x: f32| (x * inverse + 8.5).clamp(0.0, 15.0) as u8;
        out.extend((0..16).map(|i| code(group[i]) | code(group[i + 16]) << 4));
    }
}

/// Whether a matrix is so close to a network's input or output that quantising it would cost more quality than the few
/// bytes it saves: first and last convolutions, the timestep embedding, the 1×1 convolutions around the latents.
pub fn is_small_end(name: &str) -> bool {
    ["conv_in.", "conv_out.", "time_embedding.", "quant_conv."].iter().any(|part| name.contains(part))
}

/// The storage type of a tensor, from its diffusers name, its type in the file and its shape.
pub fn kept_as(weights: WeightType, name: &str, from: Dtype, shape: &[usize]) -> Dtype {
    let columns: usize = shape.iter().skip(1).product();
    // A group must not cross rows, or rows could not be read separately.
    let grouped = shape.len() > 1 && columns.is_multiple_of(32);
    if shape.len() < 2 {
        return Dtype::F32;
    }
    match weights {
        WeightType::Exact => match from {
            // Every 8-bit float is exactly representable as f16.
            Dtype::F16 | Dtype::F8_E4M3 | Dtype::F8_E5M2 => Dtype::F16,
            Dtype::Q8_0 | Dtype::Q4_0 if grouped => from,
            _ => Dtype::F32,
        },
        WeightType::F32 => Dtype::F32,
        WeightType::F16 => Dtype::F16,
        WeightType::Q8 | WeightType::Q4 if !grouped || is_small_end(name) => Dtype::F16,
        WeightType::Q8 => Dtype::Q8_0,
        WeightType::Q4 => Dtype::Q4_0,
    }
}

/// What is wrong with a tensor and what to do, as the end of a sentence about it.
const NO_NUMBERS: &str = "has values that are no numbers (NaN or infinity): the file is damaged, or was merged or trained \
                          wrongly; download it again, or use another version of the model";
const TOO_LARGE: &str =
    "has values too large for the type that weights are to be kept as; keep them as 32-bit floats (f32)";
const NO_WEIGHTS: &str = "is of a type that weights do not come in; use another version of the model";
const FEW_SCALES: &str = "has fewer scales than rows; use another version of the model";

/// Bound on the magnitude of values. At or above it, they or the scale of their group would become infinite.
const fn limit(to: Dtype) -> f32 {
    // The smallest magnitude that rounds to infinity in f16.
    const F16: f32 = 65520.0;
    match to {
        Dtype::F16 => F16,
        Dtype::Q8_0 => F16 * 127.0,
        Dtype::Q4_0 => F16 * 8.0,
        _ => f32::INFINITY,
    }
}

/// Converts a tensor's bytes, as they arrive, from the file's type to its storage type.
#[derive(Debug)]
pub struct Converter {
    from: Dtype,
    to: Dtype,
    /// Factors for the values; each applies to `each` consecutive values.
    scales: Vec<f32>,
    each: usize,
    /// Number of values so far.
    count: usize,
    values: Vec<f32>,
    out: Vec<u8>,
}

impl Converter {
    /// A converter for a tensor with `values` values.
    pub fn new(from: Dtype, to: Dtype, values: usize) -> Self {
        let bytes = to.bytes(values as u64).and_then(|bytes| usize::try_from(bytes).ok());
        let out = Vec::with_capacity(bytes.unwrap_or_default());
        Self { from, to, scales: Vec::new(), each: 1, count: 0, values: Vec::new(), out }
    }

    /// The same for a scaled tensor: each of `scales` applies to the next `each` values.
    #[must_use]
    pub fn scaled(mut self, scales: Vec<f32>, each: usize) -> Self {
        (self.scales, self.each) = (scales, each.max(1));
        self
    }

    /// Converts whole blocks of the file's type. If the target is quantised, their values must be a multiple of 32.
    ///
    /// # Errors
    /// Says why the bytes are not valid weights.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        if self.from == self.to && self.scales.is_empty() {
            if !blocks::are_finite(self.from, bytes).ok_or(NO_WEIGHTS)? {
                return Err(NO_NUMBERS);
            }
            self.out.extend_from_slice(bytes);
            return Ok(());
        }
        self.values.clear();
        blocks::dequantise(self.from, bytes, &mut self.values).ok_or(NO_WEIGHTS)?;
        if !self.scales.is_empty() {
            for (i, value) in self.values.iter_mut().enumerate() {
                *value *= self.scales.get((self.count + i) / self.each).ok_or(FEW_SCALES)?;
            }
            self.count += self.values.len();
        }
        self.encode()
    }

    /// Converts f32 values instead of bytes.
    ///
    /// # Errors
    /// As [`Converter::push`].
    pub fn push_values(&mut self, values: &[f32]) -> Result<(), &'static str> {
        self.values.clear();
        self.values.extend_from_slice(values);
        self.encode()
    }

    fn encode(&mut self) -> Result<(), &'static str> {
        // It has no early exit, so that the loop vectorises. NaN fails the comparison.
        let limit = limit(self.to);
        if !self.values.iter().fold(true, |sound, x| sound & (x.abs() < limit)) {
            return Err(if self.values.iter().all(|x| x.is_finite()) { TOO_LARGE } else { NO_NUMBERS });
        }
        match self.to {
            Dtype::F16 => {
                self.out.extend(self.values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()));
            }
            Dtype::Q8_0 => quantise_q8(&self.values, &mut self.out),
            Dtype::Q4_0 => quantise_q4(&self.values, &mut self.out),
            _ => self.out.extend(self.values.iter().flat_map(|x| x.to_le_bytes())),
        }
        Ok(())
    }

    /// The bytes of the whole tensor.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// Converts f32 values to the storage type for `weights`.
pub fn convert(name: &str, shape: &[usize], values: &[f32], weights: WeightType) -> Compact {
    let dtype = kept_as(weights, name, Dtype::F32, shape);
    let mut converter = Converter::new(Dtype::F32, dtype, values.len());
    // Computed values are finite. If they ever were not, the tensor would be too short and be rejected for its length.
    let _ = converter.push_values(values);
    Compact { name: name.into(), dtype, shape: shape.into(), bytes: converter.finish() }
}
