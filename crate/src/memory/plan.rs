//! How a budget is divided among weights, activations and features.

use crate::weights::config::{UnetConfig, VaeConfig};

/// What a run needs beside the weights, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryNeed {
    /// A UNet call on one picture.
    pub unet: u64,
    /// Encoding or decoding one picture.
    pub vae: u64,
    /// The features of all pictures.
    pub features: u64,
}

/// How a run uses what the budget leaves beside the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Bytes of features that may stay on the device.
    pub features: u64,
    /// Whether the content and a style can be inverted in one batch.
    pub pairs: bool,
}

/// Activations of a UNet call that are alive at once, in f32 numbers a latent and channel of the first level: the
/// skips (about 11), GEGLU's halves and product (up to 16), queries, keys, values and output of attention, a convolution's
/// input and output, and what waits to be used again. Measured at 512 px: 387 MiB of buffers, 77 numbers.
const UNET_VALUES: u64 = 80;

/// The same for every picture but the first that is attended over: its keys and values beside the others', and as the kernels
/// take them.
const STYLE_VALUES: u64 = 4;

/// The same of the VAE, a pixel and channel of its first level: input, hidden and output of a residual block, where the input
/// can have twice the channels. With the bands it is 704 MiB at 512 px, where 447 MiB of buffers were measured.
const VAE_VALUES: u64 = 4;

/// Bands that are alive beside: read, normalised, convolved, added.
const BANDS: u64 = 6;

/// A run, as far as its memory goes.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// The UNet's sizes.
    pub unet: &'a UnetConfig,
    /// The VAE's sizes.
    pub vae: &'a VaeConfig,
    /// Bytes of the VAE's bands.
    pub band_bytes: usize,
    /// Height and width of the latents.
    pub latents: [usize; 2],
    /// Styles of which features are kept, at least one.
    pub styles: usize,
    /// Whether the content's keys and values are kept, too.
    pub content_keys: bool,
    /// Decoder layers whose features are kept.
    pub layers: &'a [usize],
    /// Timesteps at which they are.
    pub steps: usize,
    /// Bytes of one number of a feature.
    pub value_bytes: usize,
}

impl Task<'_> {
    /// An estimate, made once for Stable Diffusion and scaled by sizes.
    pub fn need(&self) -> MemoryNeed {
        let area = self.latents.iter().product::<usize>() as u64;
        let level = |channels: &[usize], area: u64, values: u64| 4 * values * area * channels[0] as u64;
        let pixels = area * (self.vae.factor() as u64).pow(2);
        let map = level(&self.vae.block_out_channels, pixels, 1);
        let values: u64 = self.layers.iter().map(|&layer| feature_values(self.unet, layer, self.latents)).sum();
        let keys_values = self.styles as u64 + u64::from(self.content_keys);
        MemoryNeed {
            unet: level(
                &self.unet.block_out_channels,
                area,
                UNET_VALUES + STYLE_VALUES * keys_values.saturating_sub(1),
            ),
            vae: map * VAE_VALUES + BANDS * map.min(self.band_bytes as u64),
            // Queries of the content, keys and values of each style and perhaps of the content.
            features: (1 + 2 * keys_values) * values * (self.steps * self.value_bytes) as u64,
        }
    }
}

/// Numbers of one decoder layer's queries: tokens times channels.
fn feature_values(unet: &UnetConfig, layer: usize, latents: [usize; 2]) -> u64 {
    unet.level(layer).map_or(0, |level| {
        let tokens: usize = latents.iter().map(|side| side.div_ceil(1 << level)).product();
        (tokens * unet.block_out_channels[level]) as u64
    })
}

impl Shares {
    /// Of a `budget` of which `weights` bytes are taken. The UNet and the VAE take turns, the features stay.
    pub fn new(budget: u64, weights: u64, need: MemoryNeed) -> Self {
        let left = budget.saturating_sub(weights);
        Self {
            features: left.saturating_sub(need.unet.max(need.vae)),
            pairs: left >= need.features + (2 * need.unet).max(need.vae),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn need(side: usize, layers: &[usize], steps: usize) -> MemoryNeed {
        let (unet, vae) = (&UnetConfig::default(), &VaeConfig::default());
        let latents = [side; 2];
        Task { unet, vae, band_bytes: 32 << 20, latents, styles: 1, content_keys: false, layers, steps, value_bytes: 2 }
            .need()
    }

    #[test]
    fn features_of_stable_diffusion_are_as_large_as_documented() {
        let diffusers = need(64, &[7, 8, 9, 10, 11], 20).features;
        assert_eq!(diffusers, 20 * 3 * 2 * (2 * 1024 * 640 + 3 * 4096 * 320));
        assert_eq!(diffusers / MIB, 600);
        assert_eq!(need(64, &[6, 7, 8, 9, 10, 11], 49).features / MIB, 1653);
        let (unet, vae) = (&UnetConfig::default(), &VaeConfig::default());
        let three = Task {
            unet,
            vae,
            band_bytes: 1,
            latents: [64; 2],
            styles: 3,
            content_keys: false,
            layers: &[11],
            steps: 1,
            value_bytes: 2,
        };
        assert_eq!(three.need().features, 7 * 2 * 4096 * 320, "one of queries and three of keys and values");
        let shared = Task { content_keys: true, ..three }.need();
        assert_eq!(shared.features, 9 * 2 * 4096 * 320, "the content's keys and values, too");
        assert_eq!(shared, Task { styles: 4, ..three }.need(), "it is attended over as one more style");
        assert_eq!(need(33, &[6], 1).features, 3 * 2 * 17 * 17 * 640, "odd sides round up on the way down");
    }

    #[test]
    fn a_budget_goes_to_weights_then_activations_then_features() {
        let need = need(64, &[7, 8, 9, 10, 11], 20);
        let (q8, q4) = (1010 * 1_000_000, 540 * 1_000_000);
        let ample = Shares::new(4 << 30, q8, need);
        assert!(ample.pairs && ample.features > need.features);
        let tight = Shares::new(3 << 29, q8, need);
        assert!(!tight.pairs && tight.features < need.features);
        let smaller = Shares::new(3 << 29, q4, need);
        assert!(smaller.features > tight.features);
        assert!(q4 + need.vae.max(need.unet) + smaller.features <= 3 << 29);
        assert_eq!(Shares::new(0, q8, need), Shares { features: 0, pairs: false });
    }
}
