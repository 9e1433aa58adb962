//! Several styles in one picture: how much of each goes where.

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

/// Most styles of one run.
pub const MOST: usize = 4;

/// The logarithm of nothing, below any score and still a number.
const NOTHING: f32 = -1e30;

/// One of the styles of a run.
#[derive(Debug, Clone, Copy)]
pub struct Style<'a> {
    /// The painting.
    pub picture: &'a RgbImage,
    /// How much of it goes into the result beside the others; only their proportions count. Of 0, nothing.
    pub weight: f32,
    /// Where on the photo it goes, stretched over the whole content picture as it comes to the run; everywhere without.
    pub mask: Option<&'a Mask>,
}

impl<'a> Style<'a> {
    /// The only style, everywhere.
    pub fn alone(picture: &'a RgbImage) -> Self {
        Self { picture, weight: 1.0, mask: None }
    }

    /// Checks how many there are, and their weights.
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

/// A style's part in a [`Mix`]. Its size counts where styles are attended together.
#[derive(Debug, Clone)]
pub struct StylePart {
    /// Beside the others' weights.
    pub weight: f32,
    /// Where it goes, at the content's latents; everywhere without.
    pub map: Option<Map>,
    /// Height and width of the style's latents.
    pub latents: [usize; 2],
}

impl StylePart {
    /// Whether anything of the style is in the result.
    pub fn counts(&self) -> bool {
        self.weight > 0.0 && !self.map.as_ref().is_some_and(Map::is_zero)
    }
}

/// How the styles of a run become one: those of which anything is in the result, their weights adding up to 1.
#[derive(Debug, Clone)]
pub struct Mix {
    blend: Blend,
    parts: Vec<StylePart>,
    content: [usize; 2],
    content_share: f32,
}

impl Mix {
    /// Of `parts` that all [count](StylePart::counts), on content latents of height and width `content`.
    ///
    /// # Errors
    /// One sentence where styles cannot be averaged.
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
        Ok(Self { blend, parts, content, content_share: 0.0 })
    }

    /// The same with the content's keys and values attended over beside the styles', whose weights add up to 1, at this weight;
    /// not at 0.
    #[must_use]
    pub fn sharing(self, content_share: f32) -> Self {
        Self { content_share, ..self }
    }

    /// The masks at a level, as many cells each; none where there is no mask.
    fn maps(&self, level: usize) -> Vec<Option<Map>> {
        self.parts.iter().map(|part| part.map.as_ref().map(|map| map.coarser(level))).collect()
    }

    /// How much of each cell of a level is any style's, min(1, Σ masks) `[1, 1, rows, columns]`; none where all is.
    pub fn coverage(&self, level: usize, place: &Place) -> Option<Tensor<4>> {
        let covered = self.covered(level)?;
        let [rows, columns] = covered.grid;
        Some(place.tensor(covered.values, [1, 1, rows, columns]))
    }

    fn covered(&self, level: usize) -> Option<Map> {
        let maps = self.parts.iter().map(|part| part.map.as_ref()).collect::<Option<Vec<_>>>()?;
        let &Map { grid, values: ref first } = *maps.first()?;
        let sum = |cell: usize| maps.iter().map(|map| map.values[cell]).sum::<f32>().min(1.0);
        // Where masks lie over each other is known at the latents only, so the level's is the mean of theirs.
        let covered = Map { grid, values: (0..first.len()).map(sum).collect() }.coarser(level);
        (!covered.is_one()).then_some(covered)
    }

    /// How much of each cell of the latents is which style's, style by style: its share of what any style has. One number a
    /// style where it is the same everywhere.
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

    /// Each style's share of the cells of a level, style by style: weight times mask, adding up to 1 in every cell; where no
    /// style is, the weights alone. One number a style where there is no mask.
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

    /// The styles' `statistics`, one each in order, in their shares.
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

    /// What is attended over as one after the other at a level: each style, or all where their mean is taken, then the content if it has
    /// a share.
    fn groups(&self, is_mean: bool, level: usize) -> Vec<Group> {
        let tokens = |latents: [usize; 2]| latents.iter().map(|side| side.div_ceil(1 << level)).product();
        let of = |(shares, part): (Vec<f32>, &StylePart)| Group { shares, keys: tokens(part.latents) };
        let mut groups: Vec<Group> = if is_mean {
            // They have no masks, and one size.
            self.parts.first().map(|part| of((vec![1.0], part))).into_iter().collect()
        } else {
            self.shares(level).into_iter().zip(&self.parts).map(of).collect()
        };
        if self.content_share > 0.0 {
            let rows = groups.first().map_or(1, |group| group.shares.len());
            groups.push(Group { shares: vec![self.content_share; rows], keys: tokens(self.content) });
        }
        groups
    }
}

/// Keys of one picture.
struct Group {
    /// Its weight for every token of the content, or one for all of them.
    shares: Vec<f32>,
    /// How many there are.
    keys: usize,
}

/// The logarithm of its share for every group and token, less what a larger picture has more of tokens, so that a share is a
/// share whatever the size.
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
    /// These.
    pub keys_values: KeyValue,
    /// The share of each token's attention that is over these, `[1, 1, tokens, 1]`, the rest as in the plain network; all of
    /// it without.
    pub share: Option<Tensor<4>>,
}

/// How the styles are mixed at one self-attention. By default there is one, everywhere.
#[derive(Debug, Clone, Default)]
pub struct LayerMix {
    /// The styles' weights where means are taken of their keys and values.
    averaged: Option<Vec<f32>>,
    /// What is added to the scores where more than one thing is attended over.
    groups: Option<Box<Groups>>,
    share: Option<Tensor<4>>,
}

impl LayerMix {
    /// What the layer attends over, of each style's keys and values in order and of the content's where they have a share; none
    /// of none.
    pub fn replacement(&self, styles: Vec<KeyValue>, content: Option<KeyValue>) -> Option<Replacement> {
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
        all.extend(content);
        let keys_values = if all.len() > 1 {
            let (keys, values) = all.into_iter().map(|each| (each.k, each.v)).unzip();
            KeyValue { k: Tensor::cat(keys, 2), v: Tensor::cat(values, 2) }
        } else {
            all.pop()?
        };
        Some(Replacement { keys_values, share: self.share.clone() })
    }

    /// What is added to the scores.
    pub fn groups(&self) -> Option<Groups> {
        self.groups.as_deref().cloned()
    }
}
