//! The decoder's layers by level.

use super::UnetConfig;

/// A level of the decoder, with its layers that have self-attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoderLevel {
    /// Its number, 0 being the finest. Latents are halved this many times along each side, rounding up.
    pub level: usize,
    /// Numbers of its layers with self-attention, ascending. Empty if it has no attention.
    pub layers: Vec<usize>,
}

impl DecoderLevel {
    /// The side of this level's feature maps for latents of side `side`.
    pub fn side(&self, side: usize) -> usize {
        (0..self.level).fold(side, |side, _| side.div_ceil(2))
    }
}

impl UnetConfig {
    /// The decoder's levels from the coarsest to the finest. Layers are numbered across levels, one per resnet: layer i of
    /// Stable Diffusion is `up_blocks[i/3].attentions[i%3]` (`StyleID`, section 4.1: layers 6–11 of 0–11).
    pub fn decoder_layers_by_level(&self) -> Vec<DecoderLevel> {
        let levels = self.block_out_channels.len();
        let mut first = 0usize;
        (0..levels)
            .map(|block| {
                let all = first..self.up_layers(block).saturating_add(first);
                first = all.end;
                let layers = if self.attends_up(block) { all.collect() } else { Vec::new() };
                DecoderLevel { level: levels - 1 - block, layers }
            })
            .collect()
    }

    /// The decoder layers that have self-attention, ascending.
    pub fn decoder_layers(&self) -> Vec<usize> {
        self.decoder_layers_by_level().into_iter().flat_map(|level| level.layers).collect()
    }

    /// The layers with self-attention at the `levels` finest levels that have any, except for the first `skip_first` of
    /// them.
    ///
    /// `StyleID` chose its layers for Stable Diffusion's decoder, which has three layers per level. There, 6–11 are the two
    /// finest levels, and 7–11 the same without the first layer. In other decoders, the same levels have other numbers.
    pub fn layers_at_finest_levels(&self, levels: usize, skip_first: usize) -> Vec<usize> {
        let by_level = self.decoder_layers_by_level();
        let attending: Vec<_> = by_level.into_iter().filter(|level| !level.layers.is_empty()).collect();
        let coarser = attending.len().saturating_sub(levels);
        attending.into_iter().skip(coarser).flat_map(|level| level.layers).skip(skip_first).collect()
    }

    /// The level of a decoder layer. Its tokens are latents halved this many times along each side, rounding up. `None` if
    /// there is no such layer.
    pub fn level(&self, layer: usize) -> Option<usize> {
        let levels = self.block_out_channels.len();
        let mut first = 0usize;
        (0..levels)
            .find(|&block| {
                first = self.up_layers(block).saturating_add(first);
                layer < first
            })
            .map(|block| levels - 1 - block)
    }
}

#[cfg(test)]
mod tests {
    use super::super::PerLevel;
    use super::*;

    fn config(levels: usize, layers: PerLevel, up: &[bool]) -> UnetConfig {
        let kind = |attends: &bool| if *attends { "CrossAttnUpBlock2D" } else { "UpBlock2D" }.to_string();
        UnetConfig {
            block_out_channels: vec![32; levels],
            down_block_types: vec!["DownBlock2D".into(); levels],
            up_block_types: up.iter().map(kind).collect(),
            layers_per_block: layers,
            ..UnetConfig::default()
        }
    }

    /// The defaults of the presets `diffusers` and `ldm`.
    fn defaults(config: &UnetConfig) -> [Vec<usize>; 2] {
        [config.layers_at_finest_levels(2, 1), config.layers_at_finest_levels(2, 0)]
    }

    #[test]
    fn the_two_finest_levels_of_every_shape() {
        let sd = UnetConfig::default();
        assert_eq!(sd.decoder_layers(), [3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(defaults(&sd), [vec![7, 8, 9, 10, 11], vec![6, 7, 8, 9, 10, 11]]);
        let base = config(4, PerLevel::One(1), &[false, true, true, true]);
        assert_eq!(base.decoder_layers(), [2, 3, 4, 5, 6, 7]);
        assert_eq!(defaults(&base), [vec![5, 6, 7], vec![4, 5, 6, 7]]);
        let tiny = config(3, PerLevel::One(1), &[true; 3]);
        assert_eq!(defaults(&tiny), [vec![3, 4, 5], vec![2, 3, 4, 5]]);
        let uneven = config(3, PerLevel::Each(vec![1, 2, 3]), &[true; 3]);
        assert_eq!(uneven.decoder_layers(), (0..9).collect::<Vec<_>>());
        assert_eq!(defaults(&uneven), [vec![5, 6, 7, 8], vec![4, 5, 6, 7, 8]]);
        let coarse = config(3, PerLevel::One(1), &[true, false, false]);
        assert_eq!(defaults(&coarse), [vec![1], vec![0, 1]]);
        assert_eq!(defaults(&config(2, PerLevel::One(2), &[false; 2])), [vec![0usize; 0], vec![]]);
    }

    #[test]
    fn levels_have_their_layers_and_sides() {
        let levels = UnetConfig::default().decoder_layers_by_level();
        assert_eq!(levels.iter().map(|level| level.level).collect::<Vec<_>>(), [3, 2, 1, 0]);
        assert!(levels[0].layers.is_empty());
        assert_eq!(levels[3].layers, [9, 10, 11]);
        assert_eq!(levels.iter().map(|level| level.side(65)).collect::<Vec<_>>(), [9, 17, 33, 65]);
        assert_eq!(UnetConfig::default().level(11), Some(0));
        assert_eq!(UnetConfig::default().level(12), None);
    }
}
