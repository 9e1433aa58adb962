//! How much memory a run takes on the GPU: what it may take, how that is divided, and what it took.

mod meter;
mod plan;

pub use meter::{GpuBytes, begin, gpu_bytes, lap, peak, sample, watch};
pub use plan::{MemoryNeed, Shares, Task};

use crate::device::{self, Place};

/// What a person may ask for. Applies to GPUs; on the processor everything is exact and nothing is moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes that a run may take on the GPU, the weights included. Where none are given: a gibibyte beside the weights, which
    /// holds most features at 512 px and 20 steps, but no more than the [`default_budget`].
    pub budget: Option<u64>,
    /// Attention features are kept as the network made them, not as f16.
    pub exact_features: bool,
    /// Whether both pictures are inverted together; if the budget allows where it is not said.
    pub pairs: Option<bool>,
}

impl Memory {
    /// Bytes that a run may take at `place`, where `weights` bytes are taken already.
    pub fn budget(&self, place: &Place, weights: u64) -> u64 {
        let default = || default_budget(device::limits().buffer).min(weights.saturating_add(GIB));
        self.budget.unwrap_or_else(|| if place.is_processor() { u64::MAX } else { default() })
    }

    /// Bytes of the largest tensor of a picture that is computed in bands at `place`.
    pub fn band_bytes(&self, place: &Place) -> usize {
        if place.is_processor() {
            usize::MAX
        } else {
            band_bytes(device::limits().binding, self.budget(place, u64::MAX))
        }
    }
}

/// What WebGPU promises of every device: the largest range that a shader can be given.
const LEAST_BINDING: u64 = 128 << 20;

const GIB: u64 = 1 << 30;

/// Bytes to stay within on a GPU whose largest buffer is `max_buffer` bytes.
///
/// No API tells how much memory a GPU has. Browsers offer buffers of 256 MiB at least and up to 4 GiB, in tiers, by what the
/// driver can allocate at once; that is a half or a quarter of what small GPUs have. So this is twice the largest buffer,
/// but 1.5 GiB at least, which every GPU has that can run Stable Diffusion at all, and 4 GiB at most.
pub fn default_budget(max_buffer: u64) -> u64 {
    max_buffer.saturating_mul(2).clamp(3 * GIB / 2, 4 * GIB)
}

/// Bytes of the largest tensor of a picture that is computed in bands, on a GPU that can bind `max_binding` bytes.
///
/// A quarter of what can be bound: several bands are alive at once. That is 32 MiB everywhere, since no more than the least
/// that WebGPU promises is made use of; it also keeps one convolution of 256 channels at 512 px, 309 billion operations,
/// under a fifth of a second a band on a weak GPU. A small budget makes smaller bands.
pub fn band_bytes(max_binding: u64, budget: u64) -> usize {
    let bytes = (max_binding.min(LEAST_BINDING) / 4).min(budget / 32);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Bytes as people write them: `1.5GiB`, `800 MB`, `1500000000`.
///
/// # Errors
/// Says what is no number or no unit.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" => 1000,
        "KIB" => 1 << 10,
        "M" | "MB" => 1_000_000,
        "MIB" => 1 << 20,
        "G" | "GB" => 1_000_000_000,
        "GIB" => 1 << 30,
        other => return Err(format!("{other} is no unit; use MB, MiB, GB or GiB")),
    };
    let number: f64 = digits.trim().parse().map_err(|_| format!("{text} is no size; give one like 90MB or 1.5GiB"))?;
    let bytes = number * unit as f64;
    if bytes.is_finite() && (0.0..9e15).contains(&bytes) {
        Ok(bytes.round() as u64)
    } else {
        Err(format!("{text} is no size; give one like 90MB or 1.5GiB"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("1.5GiB", 3 << 29),
            ("800 MB", 800_000_000),
            ("1500000000", 1_500_000_000),
            (" 2g ", 2_000_000_000),
            ("0.5kib", 512),
            ("90MB", 90_000_000),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "-1GB", "1.5TiB", "1e30GB", "infGB", "nan", "1,5GB", "two"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_default_budget_follows_the_largest_buffer() {
        assert_eq!(default_budget(256 << 20), 3 * GIB / 2);
        assert_eq!(default_budget(3 * GIB / 2), 3 * GIB);
        assert_eq!(default_budget(u64::MAX), 4 * GIB);
    }

    #[test]
    fn bands_fit_what_every_device_can_bind() {
        assert_eq!(band_bytes(LEAST_BINDING, 2 * GIB), 32 << 20);
        assert_eq!(band_bytes(4 * GIB, u64::MAX), 32 << 20);
        assert_eq!(band_bytes(64 << 20, 2 * GIB), 16 << 20);
        assert_eq!(band_bytes(LEAST_BINDING, 256 << 20), 8 << 20);
    }
}
