//! One weight matrix on its device: kept in compact form, and widened to floats when a layer needs it.

use std::sync::Arc;

use burn::module::{Module, Param, ParamId};
use burn::tensor::Tensor;
#[cfg(feature = "gpu")]
use burn::tensor::{DType, Int, TensorData};

#[cfg(feature = "gpu")]
use super::gemm::{Format, Weights};
#[cfg(feature = "gpu")]
use super::halves;
#[cfg(feature = "gpu")]
use crate::device::allocate_exact;
use crate::device::{Place, wait_and_check_finite};
use crate::weights::format::compact::Compact;
use crate::weights::format::{Dtype, blocks};
use crate::{Error, Result};

/// A weight `[rows, columns]`: `[out, in]` as in PyTorch, for a convolution `[out, in·kh·kw]`.
#[derive(Module, Debug)]
pub struct Weight {
    rows: usize,
    columns: usize,
    values: Values,
}

/// How a weight's values are held.
#[derive(Module, Debug)]
enum Values {
    /// Floats in the run's own type.
    Dense(Param<Tensor<2>>),
    /// On the processor: bytes as in the file, widened by plain code.
    Host(Host),
    /// On a GPU: words that kernels read.
    #[cfg(feature = "gpu")]
    Packed(PackedWords),
}

/// Compact bytes in main memory.
#[derive(Module, Debug)]
struct Host {
    #[module(skip)]
    compact: Arc<Compact>,
    #[module(skip)]
    place: Place,
}

/// Compact values on a GPU: little-endian codes in 32-bit words, with the scales stored apart, two f16 a word.
#[cfg(feature = "gpu")]
#[derive(Module, Debug)]
pub(crate) struct PackedWords {
    #[module(skip)]
    pub(crate) dtype: Dtype,
    /// Four 8-bit codes, eight 4-bit codes or two f16 a word.
    pub(crate) codes: Param<Tensor<1, Int>>,
    /// One f16 for every 32 codes, two a word; none for f16 values.
    pub(crate) scales: Option<Param<Tensor<1, Int>>>,
}

#[cfg(feature = "gpu")]
fn words(words: Vec<i32>, place: &Place) -> Param<Tensor<1, Int>> {
    let length = words.len();
    let tensor = allocate_exact(&place.device, words, |words| {
        Tensor::from_data(TensorData::new(words, [length]), (&place.device, DType::I32))
    });
    Param::initialized(ParamId::new(), tensor)
}

/// Little-endian words; the last is zero-padded.
#[cfg(feature = "gpu")]
fn little_endian(bytes: &[u8]) -> impl Iterator<Item = i32> {
    bytes.chunks(4).map(|chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        i32::from_le_bytes(word)
    })
}

impl Weight {
    /// A weight of plain floats.
    pub fn dense(values: Tensor<2>) -> Self {
        let [rows, columns] = values.dims();
        Self { rows, columns, values: Values::Dense(Param::initialized(ParamId::new(), values)) }
    }

    /// Uploads a tensor in compact form to `place`, as a matrix of its first dimension by the product of the others.
    ///
    /// # Errors
    /// Names an f32 tensor whose bytes do not fit its shape, or a tensor of a type that GPUs have no packed form for.
    pub fn new(compact: Compact, place: &Place) -> Result<Self> {
        let rows = compact.shape.first().copied().unwrap_or(1);
        let columns = compact.shape.iter().skip(1).product();
        let values = match compact.dtype {
            Dtype::F32 => {
                let values = place.allocate_exact(floats(&compact)?, [rows, columns]);
                Values::Dense(Param::initialized(ParamId::new(), values))
            }
            _ if place.is_processor() => Values::Host(Host { compact: Arc::new(compact), place: place.clone() }),
            #[cfg(feature = "gpu")]
            _ => Values::Packed(PackedWords::new(compact, place)?),
            #[cfg(not(feature = "gpu"))]
            _ => Values::Host(Host { compact: Arc::new(compact), place: place.clone() }),
        };
        Ok(Self { rows, columns, values })
    }

    /// Waits for the upload to finish; until then the data is in main memory too.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn wait(&self) -> Result<()> {
        match &self.values {
            Values::Dense(values) => wait_and_check_finite(&values.val()).await,
            Values::Host(_) => Ok(()),
            #[cfg(feature = "gpu")]
            Values::Packed(packed) => {
                packed.codes.val().narrow(0, 0, 1).into_data_async().await?;
                Ok(())
            }
        }
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// On the processor, the compact values if they are held like that.
    #[cfg(feature = "processor")]
    pub(super) fn compact(&self) -> Option<Arc<Compact>> {
        match &self.values {
            Values::Host(Host { compact, .. }) => Some(compact.clone()),
            _ => None,
        }
    }

    /// The weights as kernels read them.
    #[cfg(feature = "gpu")]
    pub fn stored(&self) -> Weights {
        match &self.values {
            Values::Dense(values) => Weights::Floats(values.val()),
            Values::Host(_) => Weights::Floats(self.values()),
            Values::Packed(PackedWords { codes, scales: None, .. }) => Weights::Halves(codes.val()),
            Values::Packed(PackedWords { codes, scales: Some(scales), dtype }) => {
                let format = if *dtype == Dtype::Q4_0 { Format::Q4 } else { Format::Q8 };
                Weights::Blocks(codes.val(), scales.val(), format)
            }
        }
    }

    /// The values `[rows, columns]` as floats in the run's own type.
    pub fn values(&self) -> Tensor<2> {
        match &self.values {
            Values::Dense(values) => values.val(),
            Values::Host(host) => host.values([self.rows, self.columns]),
            #[cfg(feature = "gpu")]
            Values::Packed(packed) => packed.values().reshape([self.rows, self.columns]),
        }
    }
}

/// The values as f32.
fn floats(compact: &Compact) -> Result<Vec<f32>> {
    let mut values = Vec::with_capacity(compact.shape.iter().product());
    blocks::dequantise(compact.dtype, &compact.bytes, &mut values)
        .filter(|()| values.len() == compact.shape.iter().product::<usize>())
        .ok_or_else(|| {
            Error::Model(format!("Tensor {} is damaged; remove the model and load it again.", compact.name))
        })?;
    Ok(values)
}

impl Host {
    fn values(&self, shape: [usize; 2]) -> Tensor<2> {
        let mut values = Vec::with_capacity(shape[0] * shape[1]);
        // Whoever read or made the bytes has checked them against the shape.
        let _ = blocks::dequantise(self.compact.dtype, &self.compact.bytes, &mut values);
        values.resize(shape[0] * shape[1], 0.0);
        self.place.tensor(values, shape)
    }
}

#[cfg(feature = "gpu")]
impl PackedWords {
    fn new(compact: Compact, place: &Place) -> Result<Self> {
        let Compact { name, dtype, bytes, .. } = compact;
        match dtype {
            Dtype::F16 => {
                let codes = little_endian(&bytes).collect();
                // Freed before the upload copies the words, so that a large tensor is not in memory three times.
                drop(bytes);
                Ok(Self { dtype, codes: words(codes, place), scales: None })
            }
            Dtype::Q8_0 | Dtype::Q4_0 => {
                let blocks = || bytes.chunks_exact(dtype.block_bytes());
                let mut codes = Vec::with_capacity(bytes.len() / 4);
                codes.extend(blocks().flat_map(|block| little_endian(&block[2..])));
                let scales: Vec<u8> = blocks().flat_map(|block| [block[0], block[1]]).collect();
                let scales = little_endian(&scales).collect();
                drop(bytes);
                Ok(Self { dtype, codes: words(codes, place), scales: Some(words(scales, place)) })
            }
            _ => Err(Error::Model(format!("Tensor {name} is {}, which is never kept like this.", dtype.name()))),
        }
    }

    /// All values in order, in f32. Plain burn operations: the reference for kernels that read the words themselves.
    fn values(&self) -> Tensor<1> {
        let codes = self.codes.val();
        let Some(scales) = &self.scales else { return halves::floats(codes) };
        let values = match self.dtype {
            Dtype::Q4_0 => {
                // A group is four words; the low nibbles of its bytes come before the high nibbles.
                let nibbles = |shift: i32| {
                    let parts = (0..4).map(|byte| {
                        let shifted = codes.clone().bitwise_right_shift_scalar(8 * byte + shift);
                        shifted.bitwise_and_scalar(15)
                    });
                    let stacked: Tensor<2, Int> = Tensor::stack(parts.collect(), 1);
                    let groups = stacked.dims()[0] / 4;
                    stacked.reshape([groups, 16])
                };
                Tensor::cat(vec![nibbles(0), nibbles(4)], 1).sub_scalar(8)
            }
            _ => {
                // Shifting left, then arithmetically right, sign-extends one byte.
                let parts = (0..4).map(|byte| {
                    let shifted = codes.clone().bitwise_left_shift_scalar(24 - 8 * byte);
                    shifted.bitwise_right_shift_scalar(24)
                });
                let stacked: Tensor<2, Int> = Tensor::stack(parts.collect(), 1);
                let groups = stacked.dims()[0] / 8;
                stacked.reshape([groups, 32])
            }
        };
        let [groups, group] = values.dims();
        // An odd number of scales leaves half of the last word unused.
        let scales = halves::floats(scales.val()).narrow(0, 0, groups).reshape([groups, 1]);
        (values.float() * scales).reshape([groups * group])
    }
}
