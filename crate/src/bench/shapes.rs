//! Every operation of Stable Diffusion 1.5 and 2.1 at 512 px, found by walking their configs, and how often each occurs.

use super::work::{PROMPT, Work};
use crate::weights::config::{PerLevel, UnetConfig, VaeConfig};
use crate::{Error, Result};

/// Networks that an operation may be part of. For the UNets, uses are counted in one call.
pub const NETWORKS: [&str; 4] = ["SD 1.5 UNet", "SD 2.1 UNet", "VAE encoder", "VAE decoder"];

/// An operation at a shape.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is.
    pub work: Work,
    /// How often it occurs in each of [`NETWORKS`].
    pub uses: [u32; 4],
}

const PIXELS: usize = 512;

pub(super) fn sd15() -> UnetConfig {
    UnetConfig { cross_attention_dim: PerLevel::One(768), ..UnetConfig::default() }
}

pub(super) fn sd21() -> UnetConfig {
    UnetConfig {
        cross_attention_dim: PerLevel::One(1024),
        attention_head_dim: PerLevel::Each(vec![5, 10, 20, 20]),
        use_linear_projection: true,
        ..UnetConfig::default()
    }
}

/// BK-SDM base or, if `small`, BK-SDM small, of Stable Diffusion 1.4 (Nota-NetsPresso/BK-SDM, `src/unet_config`). They
/// have one resnet per level on the way down, and small has no mid block.
pub(super) fn bk_sdm(small: bool) -> UnetConfig {
    let mid_block_type = if small { None } else { sd15().mid_block_type };
    UnetConfig { layers_per_block: PerLevel::One(1), mid_block_type, ..sd15() }
}

/// BK-SDM tiny: small without its innermost level.
pub(super) fn bk_tiny() -> UnetConfig {
    let small = bk_sdm(true);
    UnetConfig {
        block_out_channels: small.block_out_channels[..3].to_vec(),
        down_block_types: small.down_block_types[..3].to_vec(),
        up_block_types: small.up_block_types[1..].to_vec(),
        ..small
    }
}

/// All operations, each once: by kind, within a kind in the order of the networks. Blocks come last.
pub fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let vae = VaeConfig::default();
    let networks = [unet(&sd15()), unet(&sd21()), encoder(&vae), decoder(&vae)];
    for (network, works) in networks.into_iter().enumerate() {
        for work in works {
            let at = entries.iter().position(|entry| entry.work.name() == work.name()).unwrap_or(entries.len());
            if at == entries.len() {
                entries.push(Entry { work, uses: [0; 4] });
            }
            entries[at].uses[network] += 1;
        }
    }
    let rank =
        |entry: &Entry| ["conv", "linear", "attention", "norm"].iter().position(|kind| *kind == entry.work.kind());
    entries.sort_by_key(rank);
    let blocks = [
        Work::Resnet { channels: 320, side: 64 },
        Work::SelfAttention { width: 320, heads: 8, tokens: 4096 },
        Work::Transformer { width: 320, heads: 8, tokens: 4096, context: 768 },
    ];
    entries.extend(blocks.map(|work| Entry { work, uses: [0; 4] }));
    entries
}

/// Returns the entry of this name.
///
/// # Errors
/// There is none.
pub fn entry(name: &str) -> Result<Entry> {
    let found = entries().into_iter().find(|entry| entry.work.name() == name);
    found.ok_or_else(|| Error::Settings(format!("There is no row {name}.")))
}

fn conv(input: usize, output: usize, kernel: usize, side: usize) -> Work {
    Work::Conv { channels: [input, output], kernel, stride: 1, padding: [kernel / 2; 2], side }
}

fn linear(input: usize, output: usize, bias: bool, tokens: usize) -> Work {
    Work::Linear { widths: [input, output], bias, tokens }
}

fn resnet(works: &mut Vec<Work>, input: usize, output: usize, side: usize, time: Option<usize>) {
    works.push(Work::GroupNorm { channels: input, side, silu: true });
    works.push(conv(input, output, 3, side));
    works.extend(time.map(|time| linear(time, output, true, 1)));
    works.push(Work::GroupNorm { channels: output, side, silu: true });
    works.push(conv(output, output, 3, side));
    if input != output {
        works.push(conv(input, output, 1, side));
    }
}

fn attention(works: &mut Vec<Work>, width: usize, heads: usize, tokens: usize, context: Option<usize>, bias: bool) {
    let (source, keys) = context.map_or((width, tokens), |context| (context, PROMPT));
    works.push(linear(width, width, bias, tokens));
    works.extend([linear(source, width, bias, keys); 2]);
    works.push(Work::Attention { heads, head_dim: width / heads, queries: tokens, keys });
    works.push(linear(width, width, true, tokens));
}

fn transformer(works: &mut Vec<Work>, config: &UnetConfig, level: usize, side: usize) {
    let (width, heads, tokens) = (config.block_out_channels[level], config.heads(level), side * side);
    let projection =
        if config.use_linear_projection { linear(width, width, true, tokens) } else { conv(width, width, 1, side) };
    works.push(Work::GroupNorm { channels: width, side, silu: false });
    works.push(projection);
    for _ in 0..config.transformer_layers_per_block.at(level) {
        works.extend([Work::LayerNorm { width, tokens }; 3]);
        attention(works, width, heads, tokens, None, false);
        attention(works, width, heads, tokens, Some(config.cross_attention_dim.at(level)), false);
        works.push(linear(width, 8 * width, true, tokens));
        works.push(linear(4 * width, width, true, tokens));
    }
    works.push(projection);
}

fn unet(config: &UnetConfig) -> Vec<Work> {
    let channels = &config.block_out_channels;
    let levels = channels.len();
    let side = |level: usize| (PIXELS / 8) >> level;
    let time = 4 * channels[0];
    let mut works = vec![
        conv(config.in_channels, channels[0], 3, side(0)),
        linear(channels[0], time, true, 1),
        linear(time, time, true, 1),
    ];
    let mut skips = vec![channels[0]];
    let mut width = channels[0];
    for (level, &output) in channels.iter().enumerate() {
        for _ in 0..config.layers_per_block.at(level) {
            resnet(&mut works, width, output, side(level), Some(time));
            width = output;
            skips.push(width);
            if config.attends_down(level) {
                transformer(&mut works, config, level, side(level));
            }
        }
        if level + 1 < levels {
            skips.push(width);
            works.push(Work::Conv {
                channels: [width; 2],
                kernel: 3,
                stride: 2,
                padding: [config.downsample_padding; 2],
                side: side(level),
            });
        }
    }
    if config.mid_block_type.is_some() {
        resnet(&mut works, width, width, side(levels - 1), Some(time));
        transformer(&mut works, config, levels - 1, side(levels - 1));
        resnet(&mut works, width, width, side(levels - 1), Some(time));
    }
    for block in 0..levels {
        let level = levels - 1 - block;
        for _ in 0..config.up_layers(block) {
            let skip = skips.pop().unwrap_or_default();
            resnet(&mut works, width + skip, channels[level], side(level), Some(time));
            width = channels[level];
            if config.attends_up(block) {
                transformer(&mut works, config, level, side(level));
            }
        }
        if level > 0 {
            works.push(Work::UpConv { channels: width, side: side(level) });
        }
    }
    works.push(Work::GroupNorm { channels: width, side: side(0), silu: true });
    works.push(conv(width, config.out_channels, 3, side(0)));
    works
}

fn vae_middle(works: &mut Vec<Work>, width: usize, side: usize) {
    resnet(works, width, width, side, None);
    works.push(Work::GroupNorm { channels: width, side, silu: false });
    attention(works, width, 1, side * side, None, true);
    resnet(works, width, width, side, None);
}

fn encoder(config: &VaeConfig) -> Vec<Work> {
    let channels = &config.block_out_channels;
    let last = channels.len() - 1;
    let moments = 2 * config.latent_channels;
    let mut width = channels[0];
    let mut works = vec![conv(config.in_channels, width, 3, PIXELS)];
    for (level, &output) in channels.iter().enumerate() {
        let side = PIXELS >> level;
        for _ in 0..config.layers_per_block {
            resnet(&mut works, width, output, side, None);
            width = output;
        }
        if level < last {
            works.push(Work::Conv { channels: [width; 2], kernel: 3, stride: 2, padding: [0, 1], side });
        }
    }
    let side = PIXELS >> last;
    vae_middle(&mut works, width, side);
    works.push(Work::GroupNorm { channels: width, side, silu: true });
    works.extend([conv(width, moments, 3, side), conv(moments, moments, 1, side)]);
    works
}

fn decoder(config: &VaeConfig) -> Vec<Work> {
    let channels = &config.block_out_channels;
    let last = channels.len() - 1;
    let (latent, side) = (config.latent_channels, PIXELS >> last);
    let mut width = channels[last];
    let mut works = vec![conv(latent, latent, 1, side), conv(latent, width, 3, side)];
    vae_middle(&mut works, width, side);
    for level in (0..=last).rev() {
        let side = PIXELS >> level;
        for _ in 0..=config.layers_per_block {
            resnet(&mut works, width, channels[level], side, None);
            width = channels[level];
        }
        if level > 0 {
            works.push(Work::UpConv { channels: width, side });
        }
    }
    works.push(Work::GroupNorm { channels: width, side: PIXELS, silu: true });
    works.push(conv(width, config.out_channels, 3, PIXELS));
    works
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(works: &[Work]) -> usize {
        works.iter().map(Work::parameters).sum()
    }

    /// The parameter counts that diffusers reports: a layer forgotten, or one of another shape, would change them.
    #[test]
    fn the_walks_find_every_parameter() {
        let vae = VaeConfig::default();
        assert_eq!(parameters(&unet(&sd15())), 859_520_964);
        assert_eq!(parameters(&unet(&sd21())), 865_910_724);
        assert_eq!(parameters(&encoder(&vae)) + parameters(&decoder(&vae)), 83_653_863);
        assert_eq!(parameters(&unet(&bk_sdm(false))), 579_384_964);
        assert_eq!(parameters(&unet(&bk_sdm(true))), 482_346_884);
        assert_eq!(parameters(&unet(&bk_tiny())), 323_384_964);
    }

    #[test]
    fn names_are_unique_and_uses_add_up() {
        let entries = entries();
        let names: std::collections::BTreeSet<String> = entries.iter().map(|entry| entry.work.name()).collect();
        assert_eq!(names.len(), entries.len());
        let used: u32 = entries.iter().map(|entry| entry.uses[0]).sum();
        assert_eq!(used as usize, unet(&sd15()).len());
    }
}
