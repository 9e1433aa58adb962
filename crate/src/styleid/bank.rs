//! The feature bank: one picture's features by layer and noise level. They stay on the device up to a budget; the rest is
//! in main memory.
//!
//! For Stable Diffusion 1.5 at 512 px, layers 7 to 11 and 20 steps, Q, K and V have 5.2 million numbers each per step, in
//! all 600 MiB as f16.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::features::{Feature, Key};
use crate::device::allocate_exact;
use crate::ops::halves::{self, Packed};
use crate::{Error, Result};

#[cfg(feature = "processor")]
pub mod parts;
#[cfg(test)]
mod tests;

/// How features are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// As f16, two to a 32-bit word; otherwise in the network's own type.
    pub halves: bool,
    /// Budget of bytes on the device; the rest is kept in main memory.
    pub device_bytes: u64,
}

impl Keeping {
    /// Everything unconverted, on the device.
    pub const EXACT: Self = Self { halves: false, device_bytes: u64::MAX };
}

/// One tensor of a feature on the device.
#[derive(Debug, Clone)]
enum OnDevice {
    Plain(Tensor<4>),
    Halves(Packed),
}

/// One tensor of a feature in main memory.
#[derive(Debug, Clone)]
struct InMemory {
    data: TensorData,
    shape: [usize; 4],
    /// Its float type before packing.
    dtype: DType,
    device: Device,
}

/// Where one tensor of a feature is.
#[derive(Debug, Clone)]
enum Location {
    Device(Box<OnDevice>),
    Main(Box<InMemory>),
}

impl OnDevice {
    fn new(x: Tensor<4>, halves: bool) -> Self {
        if !halves {
            return Self::Plain(x);
        }
        let device = x.device();
        allocate_exact(&device, x, |x| match x.dtype() {
            // f16 needs no packing. `x` stays alive, so the multiplication cannot work in place and makes a copy.
            DType::F16 => Self::Plain(x.clone().mul_scalar(1.0)),
            _ => Self::Halves(halves::pack(x)),
        })
    }

    fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Plain(x) => x.shape().num_elements() * x.dtype().size(),
            Self::Halves(packed) => 4 * packed.words.dims()[0],
        };
        bytes as u64
    }

    fn tensor(&self) -> Tensor<4> {
        match self {
            Self::Plain(x) => x.clone(),
            Self::Halves(packed) => halves::unpack(packed),
        }
    }

    async fn spill(self) -> Result<InMemory> {
        let (data, shape, dtype, device) = match self {
            Self::Plain(x) => (x.clone().into_data_async().await?, x.dims(), x.dtype(), x.device()),
            Self::Halves(Packed { words, shape, dtype }) => {
                let device = words.device();
                (words.into_data_async().await?, shape, dtype, device)
            }
        };
        // The data may still be backed by the device's memory; a copy of our own releases it.
        let data = TensorData::from_bytes_vec(data.as_bytes().to_vec(), data.shape().clone(), data.dtype());
        Ok(InMemory { data, shape, dtype, device })
    }
}

impl InMemory {
    /// Starts a copy to the device.
    fn upload(&self) -> OnDevice {
        let (data, held) = (self.data.clone(), self.data.dtype());
        if held == self.dtype {
            return OnDevice::Plain(Tensor::from_data(data, (&self.device, held)));
        }
        let words: Tensor<1, Int> = Tensor::from_data(data, (&self.device, held));
        OnDevice::Halves(Packed { words, shape: self.shape, dtype: self.dtype })
    }
}

/// A feature on the device, or being uploaded to it, in its stored form.
#[derive(Debug)]
pub struct Fetched<F> {
    parts: Vec<OnDevice>,
    feature: PhantomData<F>,
}

impl<F: Feature> Fetched<F> {
    /// The feature as floats.
    pub fn feature(&self) -> Option<F> {
        F::from_tensors(self.parts.iter().map(OnDevice::tensor).collect())
    }
}

/// One picture's features by layer and noise level.
#[derive(Debug, Clone)]
pub struct Bank<F> {
    /// By noise level, then layer.
    entries: BTreeMap<(usize, usize), Vec<Location>>,
    keeping: Keeping,
    /// Bytes on the device.
    held: u64,
    /// Bytes in main memory.
    spilled: u64,
    feature: PhantomData<F>,
}

impl<F> Default for Bank<F> {
    fn default() -> Self {
        Self::new(Keeping::EXACT)
    }
}

impl<F> Bank<F> {
    /// An empty bank.
    pub fn new(keeping: Keeping) -> Self {
        Self { entries: BTreeMap::new(), keeping, held: 0, spilled: 0, feature: PhantomData }
    }

    /// Bytes on the device and in main memory.
    pub fn bytes(&self) -> (u64, u64) {
        (self.held, self.spilled)
    }

    /// Moves features beyond `device_bytes` to main memory, first those of the noise levels that the reverse pass reaches
    /// last.
    ///
    /// # Errors
    /// The device failed.
    pub async fn shrink(&mut self, device_bytes: u64) -> Result<()> {
        for parts in self.entries.values_mut() {
            for part in parts {
                if self.held <= device_bytes {
                    return Ok(());
                }
                if let Location::Device(held) = part {
                    let bytes = held.bytes();
                    let spilled = held.clone().spill().await?;
                    *part = Location::Main(Box::new(spilled));
                    self.held -= bytes;
                    self.spilled += bytes;
                }
            }
        }
        Ok(())
    }

    /// Sets another budget; [`Bank::enforce_budget`] moves features beyond it to main memory.
    pub fn allow(&mut self, device_bytes: u64) {
        self.keeping.device_bytes = device_bytes;
    }

    /// [`Bank::shrink`] to the bank's budget.
    ///
    /// # Errors
    /// The device failed.
    pub async fn enforce_budget(&mut self) -> Result<()> {
        self.shrink(self.keeping.device_bytes).await
    }
}

impl<F: Feature> Bank<F> {
    /// Keeps the feature of one layer at one noise level, on the device until the bank next [enforces its
    /// budget](Self::enforce_budget).
    pub fn insert(&mut self, key: Key, feature: F) {
        let halves = self.keeping.halves;
        let parts: Vec<OnDevice> = feature.into_tensors().into_iter().map(|x| OnDevice::new(x, halves)).collect();
        self.held += parts.iter().map(OnDevice::bytes).sum::<u64>();
        self.entries
            .insert((key.level, key.layer), parts.into_iter().map(|held| Location::Device(Box::new(held))).collect());
    }

    fn parts(&self, key: Key) -> Result<&[Location]> {
        let parts = self.entries.get(&(key.level, key.layer)).ok_or_else(|| {
            Error::Settings(format!(
                "The {} was inverted without layer {} at noise level {}; invert it again with the settings of this run.",
                F::ROLE,
                key.layer,
                key.level
            ))
        })?;
        Ok(parts)
    }

    /// # Errors
    /// Says which feature was never captured: the inversion was run with other layers or steps.
    pub fn check(&self, key: Key) -> Result<()> {
        self.parts(key).map(drop)
    }

    /// The feature of one layer at one noise level. Starts an upload if it is in main memory.
    ///
    /// # Errors
    /// As [`Bank::check`].
    pub fn fetch(&self, key: Key) -> Result<Fetched<F>> {
        let held = |part: &Location| match part {
            Location::Device(held) => OnDevice::clone(held),
            Location::Main(spilled) => spilled.upload(),
        };
        Ok(Fetched { parts: self.parts(key)?.iter().map(held).collect(), feature: PhantomData })
    }
}
