//! Redraw: replaces the high frequencies of the photo's noise with the painting's, for strokes instead of a colour grade.
//!
//! The inverted noise of a photo holds its fine detail, which no γ or T removes. Its low frequencies hold the drawing and
//! stay. Flat areas of a painting have little high-frequency energy and would blur the photo, so the painting's high
//! frequencies are divided by their local energy first.

use burn::tensor::Tensor;

use super::low_pass::LowPass;
use super::planes::{Painted, Planes, deviation, share_at};
use crate::Result;
use crate::device::Place;

/// Standard deviation of the low-pass filter that computes the local energy, relative to the highest frequency.
const LEVELLING: f64 = 0.12;
/// Share of the mean energy that is added to the local energy, to avoid division by 0.
const FLOOR: f64 = 0.1;

/// How much of the high frequencies is redrawn, and which frequencies are high.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Redraw {
    /// From 0 (none) to 1 (all).
    pub share: f32,
    /// Standard deviation of the low-pass filter whose output stays the photo's, relative to the highest frequency.
    pub band: f32,
}

/// `fine` divided by its local energy (a mean over channels), each channel then scaled to the deviation of the same channel
/// of `like`.
fn levelled(fine: &[Vec<f64>], like: &[Vec<f64>], size: [usize; 2]) -> Vec<Vec<f64>> {
    let cells = size[0] * size[1];
    let square = |cell: usize| fine.iter().map(|plane| plane[cell].powi(2)).sum::<f64>() / fine.len() as f64;
    let squares: Vec<f64> = (0..cells).map(square).collect();
    let energy: Vec<f64> =
        LowPass::new(size, LEVELLING).of(&squares).into_iter().map(|value| value.max(0.0).sqrt()).collect();
    let floor = FLOOR * energy.iter().sum::<f64>() / cells as f64;
    let channel = |(plane, like): (&Vec<f64>, &Vec<f64>)| {
        let even: Vec<f64> = plane.iter().zip(&energy).map(|(value, energy)| value / (energy + floor)).collect();
        let of = deviation(&even);
        // Noise without any high frequencies redraws nothing.
        let factor = if of > 0.0 { deviation(like) / of } else { 0.0 };
        even.into_iter().map(|value| value * factor).collect()
    };
    fine.iter().zip(like).map(channel).collect()
}

/// The photo's `noise` with a share r = `how.share` of its high frequencies redrawn: low + √(1 − r·Σs)·high +
/// √r·Σ√s·theirs, where s is each painting's share of a cell.
///
/// # Errors
/// The device failed.
pub async fn redraw(noise: &Tensor<4>, paintings: Vec<Painted<'_>>, how: Redraw, place: &Place) -> Result<Tensor<4>> {
    let photo = Planes::of(noise).await?;
    let size = photo.size;
    let low = LowPass::new(size, f64::from(how.band));
    let own = photo.fine(&low);
    let mut drawn = vec![vec![0.0; size[0] * size[1]]; own.len()];
    let mut taken = vec![0.0; size[0] * size[1]];
    for Painted { latents, share } in &paintings {
        let share = |cell| share_at(share, cell);
        let theirs = levelled(&Planes::of(latents).await?.sized(size).fine(&low), &own, size);
        for (sum, plane) in drawn.iter_mut().zip(theirs) {
            sum.iter_mut().zip(plane).enumerate().for_each(|(cell, (sum, value))| *sum += share(cell).sqrt() * value);
        }
        taken.iter_mut().enumerate().for_each(|(cell, taken)| *taken += share(cell));
    }
    let r = f64::from(how.share);
    let mut values = Vec::with_capacity(own.len() * size[0] * size[1]);
    for ((plane, own), drawn) in photo.channels.iter().zip(&own).zip(&drawn) {
        for (cell, ((value, own), drawn)) in plane.iter().zip(own).zip(drawn).enumerate() {
            let kept = (1.0 - r * taken[cell]).max(0.0).sqrt();
            values.push((value - own + kept * own + r.sqrt() * drawn) as f32);
        }
    }
    Ok(place.tensor(values, noise.dims()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{self, Precision};
    use crate::styleid::planes::mirrored;

    fn place() -> Place {
        Place::new(device::cpu(), Precision::F64, 0).expect("the processor computes in f64")
    }

    fn noise(seed: usize, [height, width]: [usize; 2]) -> Tensor<4> {
        let values = crate::diffusion::randn::randn(seed as u32, 4 * height * width);
        place().tensor(values, [1, 4, height, width])
    }

    fn redrawn(photo: &Tensor<4>, paintings: Vec<Painted<'_>>, share: f32, band: f32) -> Vec<f64> {
        let made = pollster::block_on(redraw(photo, paintings, Redraw { share, band }, &place()));
        made.expect("the processor").into_data().iter::<f64>().collect()
    }

    fn distance(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn nothing_is_redrawn_where_nothing_is_asked_for() {
        let (photo, painting) = (noise(1, [6, 8]), noise(2, [6, 8]));
        let same: Vec<f64> = photo.clone().into_data().iter::<f64>().collect();
        let painted = |share: &[f32]| vec![Painted { latents: &painting, share: share.to_vec() }];
        assert!(distance(&redrawn(&photo, painted(&[1.0]), 0.0, 0.6), &same) < 1e-6);
        assert!(distance(&redrawn(&photo, painted(&[0.0]), 1.0, 0.6), &same) < 1e-6);
        let mut left = vec![0.0; 48];
        (0..48).filter(|cell| cell % 8 < 4).for_each(|cell| left[cell] = 1.0);
        let half = redrawn(&photo, painted(&left), 1.0, 0.6);
        for (cell, (ours, photo)) in half.iter().zip(&same).enumerate() {
            assert_eq!((ours - photo).abs() > 1e-6, cell % 8 < 4, "at {cell}");
        }
    }

    #[test]
    fn two_halves_of_one_painting_are_stronger_than_it_alone_only_by_chance() {
        // Weights √s keep the deviation of a sum of independent noises; the same noise twice would have √2 times it.
        let (photo, a, b) = (noise(1, [16, 16]), noise(2, [16, 16]), noise(3, [16, 16]));
        let painted = |latents, share| Painted { latents, share: vec![share] };
        let alone = redrawn(&photo, vec![painted(&a, 1.0)], 1.0, 0.3);
        let both = redrawn(&photo, vec![painted(&a, 0.5), painted(&b, 0.5)], 1.0, 0.3);
        let ratio = deviation(&both) / deviation(&alone);
        assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
    }

    #[test]
    fn noise_of_another_size_is_cut_or_mirrored() {
        assert_eq!(mirrored(5, 3), [1, 2, 3]);
        assert_eq!(mirrored(4, 4), [0, 1, 2, 3]);
        assert_eq!(mirrored(3, 7), [1, 0, 0, 1, 2, 2, 1]);
        assert_eq!(mirrored(1, 4), [0, 0, 0, 0]);
        // As numpy.pad with mode "symmetric".
        assert_eq!(mirrored(2, 9), [1, 1, 0, 0, 1, 1, 0, 0, 1]);
        let (photo, painting) = (noise(1, [6, 8]), noise(2, [9, 5]));
        let made = redrawn(&photo, vec![Painted { latents: &painting, share: vec![1.0] }], 0.5, 0.6);
        assert!(made.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn flat_places_of_a_painting_get_as_much_as_others() {
        let size = [32, 32];
        let dim: Vec<f32> = (0..4 * 1024).map(|i| if i % 32 < 16 { 0.05 } else { 1.0 }).collect();
        let painting = noise(2, size) * place().tensor(dim, [1, 4, 32, 32]);
        let made = redrawn(&noise(1, size), vec![Painted { latents: &painting, share: vec![1.0] }], 1.0, 0.3);
        // Away from the edges between both halves: in the middle, and at the borders.
        let part = |columns: std::ops::Range<usize>| -> f64 {
            let of = made.iter().enumerate().filter(|(i, _)| columns.contains(&(i % 32)));
            of.map(|(_, value)| value * value).sum()
        };
        let ratio = (part(5..11) / part(21..27)).sqrt();
        assert!((0.3..1.5).contains(&ratio), "{ratio}: without levelling it would be a twentieth");
    }
}
