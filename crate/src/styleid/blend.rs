//! Mixing several styles in one result: weights, masks, and how they combine in attention.

use burn::tensor::Tensor;
use image::RgbImage;

use super::adain::Statistics;
use super::mask::Map;
use super::params::Blend;
use crate::device::Place;
use crate::model::attention::KeyValue;
use crate::ops::attention::Groups;
use crate::picture::Mask;
use crate::{Error, Result};

#[cfg(test)]
mod tests;

/// Maximum number of styles in a run.
pub const MOST: usize = 4;

/// Stands in for ln 0: below any attention score, but finite.
const NOTHING: f32 = -1e30;

/// One of the styles of a run.
#[derive(Debug, Clone, Copy)]
pub struct Style<'a> {
    /// The painting.
    pub picture: &'a RgbImage,
    /// Weight relative to the other styles. Only the proportions matter; 0 leaves the style out.
    pub weight: f32,
    /// Where on the photo the style applies, stretched over the whole content picture as given to the run. `None`:
    /// everywhere.
    pub mask: Option<&'a Mask>,
}

impl<'a> Style<'a> {
    /// The only style, everywhere.
    pub fn alone(picture: &'a RgbImage) -> Self {
        Self { picture, weight: 1.0, mask: None }
    }

    /// Checks the number of styles and their weights.
    ///
    /// # Errors
    /// One sentence.
    pub fn check(styles: &[Self]) -> Result<()> {
        let refuse = |sentence: String| Err(Error::Settings(sentence));
        if styles.is_empty() || styles.len() > MOST {
            return refuse(format!("A run takes 1 to {MOST} styles, not {}.", styles.len()));
        }
        if let Some(style) = styles.iter().find(|style| !(style.weight >= 0.0 && style.weight.is_finite())) {
            return refuse(format!("A style's weight must be a number above 0, not {}.", style.weight));
        }
        if styles.iter().all(|style| style.weight == 0.0) {
            return refuse("Every style has the weight 0; at least one needs more.".into());
        }
        Ok(())
    }
}

/// A style's part in a [`Mix`]. The size of its latents matters if styles are attended together.
#[derive(Debug, Clone)]
pub struct StylePart {
    /// Weight relative to the other parts.
    pub weight: f32,
    /// Mask on the grid of the content's latents. `None`: everywhere.
    pub map: Option<Map>,
    /// Height and width of the style's latents.
    pub latents: [usize; 2],
}

impl StylePart {
    /// Whether the style contributes to the result.
    pub fn counts(&self) -> bool {
        self.weight > 0.0 && !self.map.as_ref().is_some_and(Map::is_zero)
    }
}

/// How the contributing styles of a run are mixed. Their weights add up to 1.
#[derive(Debug, Clone)]
pub struct Mix {
    blend: Blend,
    parts: Vec<StylePart>,
    content: [usize; 2],
    content_share: f32,
    /// Height and width of the latents of a film's frame before, and its weight relative to the styles' total of 1.
    before: Option<([usize; 2], f32)>,
}

impl Mix {
    /// A mix of `parts`, all of which must [count](StylePart::counts). `content` is the height and width of the content's
    /// latents.
    ///
    /// # Errors
    /// One sentence if the styles cannot be averaged.
    pub fn new(blend: Blend, parts: Vec<StylePart>, content: [usize; 2]) -> Result<Self> {
        let total: f64 = parts.iter().map(|part| f64::from(part.weight)).sum();
        let normalised = |part: StylePart| {
            // A mask of all ones is no mask.
            let map = part.map.filter(|map| !map.is_one());
            StylePart { weight: (f64::from(part.weight) / total) as f32, map, ..part }
        };
        let parts: Vec<StylePart> = parts.into_iter().map(normalised).collect();
        if blend == Blend::Average && parts.len() > 1 {
            if parts.iter().any(|part| part.latents != parts[0].latents) {
                return Err(Error::Settings(
                    "Only styles of one size can be averaged; blend them together instead, or choose a square size."
                        .into(),
                ));
            }
            if parts.iter().any(|part| part.map.is_some()) {
                return Err(Error::Settings(
                    "Averaged styles are the same everywhere; blend them together instead, or take the masks away."
                        .into(),
                ));
            }
        }
        Ok(Self { blend, parts, content, content_share: 0.0, before: None })
    }

    /// Also attends over the content's own keys and values, with weight `content_share` relative to the styles' total of 1.
    /// 0 disables this.
    #[must_use]
    pub fn sharing(self, content_share: f32) -> Self {
        Self { content_share, ..self }
    }

    /// Also attends over the keys and values of a film's frame before, with its weight relative to the styles' total of 1;
    /// given with the height and width of that frame's latents.
    #[must_use]
    pub fn following(self, before: Option<([usize; 2], f32)>) -> Self {
        Self { before, ..self }
    }

    /// Each style's mask on the token grid of a level; `None` for a style without a mask.
    fn maps(&self, level: usize) -> Vec<Option<Map>> {
        self.parts.iter().map(|part| part.map.as_ref().map(|map| map.coarser(level))).collect()
    }

    /// Share of each cell of a level that the styles cover, min(1, Σ masks), `[1, 1, rows, columns]`. `None` if everything
    /// is covered.
    pub fn coverage(&self, level: usize, place: &Place) -> Option<Tensor<4>> {
        let covered = self.covered(level)?;
        let [rows, columns] = covered.grid;
        Some(place.tensor(covered.values, [1, 1, rows, columns]))
    }

    fn covered(&self, level: usize) -> Option<Map> {
        let maps = self.parts.iter().map(|part| part.map.as_ref()).collect::<Option<Vec<_>>>()?;
        let &Map { grid, values: ref first } = *maps.first()?;
        let sum = |cell: usize| maps.iter().map(|map| map.values[cell]).sum::<f32>().min(1.0);
        // Overlap of masks is only known at the resolution of the latents, so a coarser level takes the mean.
        let covered = Map { grid, values: (0..first.len()).map(sum).collect() }.coarser(level);
        (!covered.is_one()).then_some(covered)
    }

    /// Each style's share of each cell of the latents, style by style: its part of what the styles cover. One number per
    /// style if it is the same everywhere.
    pub fn presence(&self) -> Vec<Vec<f32>> {
        let shares = self.shares(0);
        let Some(covered) = self.covered(0) else { return shares };
        let of = |share: Vec<f32>| {
            let at =
                |(cell, covered): (usize, &f32)| covered * share.get(cell).or(share.first()).copied().unwrap_or(0.0);
            covered.values.iter().enumerate().map(at).collect()
        };
        shares.into_iter().map(of).collect()
    }

    /// Each style's share of each cell of a level, style by style: weight times mask, normalised to add up to 1 per cell. A
    /// cell outside every mask gets the weights alone. Without masks there is one number per style.
    fn shares(&self, level: usize) -> Vec<Vec<f32>> {
        let maps = self.maps(level);
        let cells = maps.iter().flatten().next().map_or(1, |map| map.values.len());
        let raw = |style: usize, cell: usize| {
            self.parts[style].weight * maps[style].as_ref().map_or(1.0, |map| map.values[cell])
        };
        let mut shares = vec![Vec::with_capacity(cells); self.parts.len()];
        for cell in 0..cells {
            let total: f32 = (0..self.parts.len()).map(|style| raw(style, cell)).sum();
            for (style, of_style) in shares.iter_mut().enumerate() {
                of_style.push(if total > 0.0 { raw(style, cell) / total } else { self.parts[style].weight });
            }
        }
        shares
    }

    /// The mean of the styles' `statistics` (one per style, in order), weighted by their shares.
    pub fn statistics(&self, statistics: Vec<Statistics>, place: &Place) -> Option<Statistics> {
        if statistics.len() == 1 {
            return statistics.into_iter().next();
        }
        let weight = |share: Vec<f32>| {
            let shape = if share.len() == 1 { [1; 4] } else { [1, 1, self.content[0], self.content[1]] };
            place.tensor(share, shape)
        };
        Statistics::blended(statistics.into_iter().zip(self.shares(0).into_iter().map(weight)))
    }

    /// How the styles are mixed at the self-attention of a level.
    pub fn layer(&self, level: usize, place: &Place) -> LayerMix {
        let share = self.coverage(level, place).map(|share| {
            let tokens = share.shape().num_elements();
            share.reshape([1, 1, tokens, 1])
        });
        let is_mean = self.blend == Blend::Average && self.parts.len() > 1;
        let averaged = is_mean.then(|| self.parts.iter().map(|part| part.weight).collect());
        let groups = self.groups(is_mean, level);
        let groups = (groups.len() > 1).then(|| Box::new(columns(&groups, place)));
        LayerMix { averaged, groups, share }
    }

    /// The groups of keys at a level, in order of concatenation: one per style, or a single one for their average; then the
    /// content's own keys if it has a share; then those of the frame before in a film.
    fn groups(&self, is_mean: bool, level: usize) -> Vec<Group> {
        let tokens = |latents: [usize; 2]| latents.iter().map(|side| side.div_ceil(1 << level)).product();
        let of = |(shares, part): (Vec<f32>, &StylePart)| Group { shares, keys: tokens(part.latents) };
        let mut groups: Vec<Group> = if is_mean {
            // Averaged styles have no masks, and all have one size.
            self.parts.first().map(|part| of((vec![1.0], part))).into_iter().collect()
        } else {
            self.shares(level).into_iter().zip(&self.parts).map(of).collect()
        };
        let rows = groups.first().map_or(1, |group| group.shares.len());
        let own = (self.content_share > 0.0).then_some((self.content, self.content_share));
        for (latents, weight) in own.into_iter().chain(self.before) {
            groups.push(Group { shares: vec![weight; rows], keys: tokens(latents) });
        }
        groups
    }
}

/// Keys of one picture.
struct Group {
    /// Weight of the group for each token of the content, or one number for all of them.
    shares: Vec<f32>,
    /// Number of keys.
    keys: usize,
}

/// Log-weights to add to the scores: ln(share) per token and group. A group's part of the softmax grows with its number of
/// keys; subtracting ln(keys / most keys) makes a share independent of the picture's size.
fn columns(groups: &[Group], place: &Place) -> Groups {
    let columns = Groups::columns(groups.len());
    let most = groups.iter().map(|group| group.keys).max().unwrap_or(1) as f64;
    let rows = groups.first().map_or(1, |group| group.shares.len());
    let mut logs = vec![0.0; rows * columns];
    for (column, Group { shares, keys }) in groups.iter().enumerate() {
        let size = (*keys as f64 / most).ln();
        for (row, &share) in shares.iter().enumerate() {
            logs[row * columns + column] = if share > 0.0 { (f64::from(share).ln() - size) as f32 } else { NOTHING };
        }
    }
    let all: usize = groups.iter().map(|group| group.keys).sum();
    let mut members = vec![0.0; all * columns];
    let of_key = groups.iter().enumerate().flat_map(|(column, group)| std::iter::repeat_n(column, group.keys));
    for (key, column) in of_key.enumerate() {
        members[key * columns + column] = 1.0;
    }
    Groups { logs: place.tensor(logs, [1, 1, rows, columns]), members: place.tensor(members, [1, 1, all, columns]) }
}

/// Keys and values that a layer attends over instead of its own.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// Keys and values of the styles, and of what else has a share.
    pub keys_values: KeyValue,
    /// Share of each token's output that comes from these keys and values, `[1, 1, tokens, 1]`; plain attention gives the
    /// rest. `None`: all of it.
    pub share: Option<Tensor<4>>,
}

/// How the styles are mixed at one self-attention. The default is one style, everywhere.
#[derive(Debug, Clone, Default)]
pub struct LayerMix {
    /// The styles' weights, if their keys and values are averaged.
    averaged: Option<Vec<f32>>,
    /// Log-weights added to the scores, if there is more than one group of keys.
    groups: Option<Box<Groups>>,
    share: Option<Tensor<4>>,
}

impl LayerMix {
    /// Keys and values for the layer, from each style's in order and the `others` that have a share: the content's own, the
    /// frame before's. `None` if there are none.
    pub fn replacement(&self, styles: Vec<KeyValue>, others: Vec<KeyValue>) -> Option<Replacement> {
        let mut all = match &self.averaged {
            None => styles,
            Some(weights) => styles
                .into_iter()
                .zip(weights)
                .map(|(KeyValue { k, v }, &weight)| KeyValue { k: k.mul_scalar(weight), v: v.mul_scalar(weight) })
                .reduce(|a, b| KeyValue { k: a.k + b.k, v: a.v + b.v })
                .into_iter()
                .collect(),
        };
        all.extend(others);
        let keys_values = if all.len() > 1 {
            let (keys, values) = all.into_iter().map(|each| (each.k, each.v)).unzip();
            KeyValue { k: Tensor::cat(keys, 2), v: Tensor::cat(values, 2) }
        } else {
            all.pop()?
        };
        Some(Replacement { keys_values, share: self.share.clone() })
    }

    /// Log-weights added to the scores, by group of keys.
    pub fn groups(&self) -> Option<Groups> {
        self.groups.as_deref().cloned()
    }
}
