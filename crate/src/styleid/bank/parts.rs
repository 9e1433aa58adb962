//! Converts a bank to tensors that can be written to a file, and back.

use burn::tensor::{DType, Device, TensorData};

use super::{Bank, InMemory, Keeping, Location, OnDevice};
use crate::Result;
use crate::styleid::features::Feature;

/// One tensor of a bank.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its noise level, its layer, and its index among the tensors of the feature.
    pub at: (usize, usize, usize),
    /// Its values as the bank keeps them.
    pub data: TensorData,
    /// Its shape once unpacked to floats.
    pub shape: [usize; 4],
    /// Its float type once unpacked.
    pub dtype: DType,
}

impl<F: Feature> Bank<F> {
    /// Copies of all tensors.
    ///
    /// # Errors
    /// The device failed.
    pub async fn to_parts(&self) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        for (&(level, layer), locations) in &self.entries {
            for (i, location) in locations.iter().enumerate() {
                let spilled = match location {
                    Location::Device(held) => OnDevice::clone(held).spill().await?,
                    Location::Main(spilled) => InMemory::clone(spilled),
                };
                let InMemory { data, shape, dtype, .. } = spilled;
                parts.push(Part { at: (level, layer, i), data, shape, dtype });
            }
        }
        Ok(parts)
    }

    /// Rebuilds a bank from its tensors, which must be in order. Tensors beyond the device bytes of `keeping` stay in main
    /// memory and are not uploaded to `device` yet.
    pub fn from_parts(parts: Vec<Part>, keeping: Keeping, device: &Device) -> Self {
        let mut bank = Self::new(keeping);
        for Part { at: (level, layer, _), data, shape, dtype } in parts {
            let bytes = data.as_bytes().len() as u64;
            let spilled = InMemory { data, shape, dtype, device: device.clone() };
            let location = if bank.held.saturating_add(bytes) <= keeping.device_bytes {
                bank.held += bytes;
                Location::Device(Box::new(spilled.upload()))
            } else {
                bank.spilled += bytes;
                Location::Main(Box::new(spilled))
            };
            bank.entries.entry((level, layer)).or_default().push(location);
        }
        bank
    }
}
