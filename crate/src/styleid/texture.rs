//! Texture: gives the result's detail the strength that the painting's has, band by band of frequencies.
//!
//! After Heeger and Bergen, "Pyramid-Based Texture Analysis/Synthesis", 1995, who match histograms of a pyramid's bands; these
//! are deviations, as AdaIN matches them, of bands of the result's latents. The coarsest band stays: it is AdaIN's and tone's.

use burn::tensor::Tensor;

use super::low_pass::LowPass;
use super::planes::{Painted, Planes, deviation, share_at};
use crate::Result;
use crate::device::Place;

/// Standard deviations of the low-pass filters between the bands, relative to the highest frequency, from fine to coarse.
const CUTS: [f64; 3] = [0.6, 0.3, 0.12];
/// Most that a band is strengthened or weakened: what has hardly any detail would only get noise.
const MOST: f64 = 2.5;

/// The bands of a plane from fine to coarse, without the coarsest.
fn bands(plane: &[f64], filters: &[LowPass]) -> Vec<Vec<f64>> {
    let mut above = plane.to_vec();
    let mut bands = Vec::with_capacity(filters.len());
    for filter in filters {
        let below = filter.of(plane);
        bands.push(above.iter().zip(&below).map(|(above, below)| above - below).collect());
        above = below;
    }
    bands
}

fn filters(size: [usize; 2]) -> Vec<LowPass> {
    CUTS.map(|cut| LowPass::new(size, cut)).into()
}

/// The latents `x` `[1, channels, h, w]`, each band b of each channel times 1 + `strength`·Σ s·(σ′/σ − 1), where σ is the
/// band's deviation, σ′ a painting's, and s that painting's share of a cell.
///
/// # Errors
/// The device failed.
pub async fn texture(x: &Tensor<4>, paintings: Vec<Painted<'_>>, strength: f32, place: &Place) -> Result<Tensor<4>> {
    let mut own = Planes::of(x).await?;
    let mut theirs = Vec::with_capacity(paintings.len());
    for Painted { latents, share } in paintings {
        let planes = Planes::of(latents).await?;
        let filters = filters(planes.size);
        let of_channel =
            |plane: &Vec<f64>| -> Vec<f64> { bands(plane, &filters).iter().map(|band| deviation(band)).collect() };
        theirs.push((planes.channels.iter().map(of_channel).collect::<Vec<_>>(), share));
    }
    let filters = filters(own.size);
    for (channel, plane) in own.channels.iter_mut().enumerate() {
        for (number, band) in bands(plane, &filters).into_iter().enumerate() {
            let deviation = deviation(&band);
            // A band without any detail has none to strengthen.
            let gain = |theirs: f64| if deviation > 0.0 { (theirs / deviation).clamp(1.0 / MOST, MOST) } else { 1.0 };
            for (cell, (value, detail)) in plane.iter_mut().zip(band).enumerate() {
                let more = theirs.iter().map(|(all, share)| share_at(share, cell) * (gain(all[channel][number]) - 1.0));
                *value += f64::from(strength) * more.sum::<f64>() * detail;
            }
        }
    }
    let values = own.channels.into_iter().flatten().map(|value| value as f32).collect();
    Ok(place.tensor(values, x.dims()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{self, Precision};

    fn place() -> Place {
        Place::new(device::cpu(), Precision::F64, 0).expect("the processor computes in f64")
    }

    fn noise(seed: u32, size: [usize; 2], deviation: f32) -> Tensor<4> {
        let values = crate::diffusion::randn::randn(seed, 4 * size[0] * size[1]);
        place().tensor(values, [1, 4, size[0], size[1]]).mul_scalar(deviation)
    }

    fn textured(x: &Tensor<4>, paintings: Vec<Painted<'_>>, strength: f32) -> Planes {
        let made = pollster::block_on(texture(x, paintings, strength, &place())).expect("the processor");
        pollster::block_on(Planes::of(&made)).expect("the processor")
    }

    #[test]
    fn the_finest_band_gets_the_paintings_deviation() {
        let (x, painting) = (noise(1, [24, 32], 1.0), noise(2, [40, 16], 1.8));
        let made = textured(&x, vec![Painted { latents: &painting, share: vec![1.0] }], 1.0);
        let painting = pollster::block_on(Planes::of(&painting)).expect("the processor");
        for (ours, theirs) in made.channels.iter().zip(&painting.channels) {
            let [ours, theirs] = [(ours, made.size), (theirs, painting.size)]
                .map(|(plane, size)| deviation(&bands(plane, &filters(size))[0]));
            // The other bands have some of the same frequencies.
            assert!((ours / theirs - 1.0).abs() < 0.05, "{ours} and {theirs}");
        }
    }

    #[test]
    fn it_changes_what_it_is_asked_to() {
        let (x, painting) = (noise(1, [6, 8], 1.0), noise(2, [6, 8], 3.0));
        let before = pollster::block_on(Planes::of(&x)).expect("the processor");
        let painted = |share: &[f32]| vec![Painted { latents: &painting, share: share.to_vec() }];
        let change = |made: &Planes, cell: usize| {
            let pairs = made.channels.iter().zip(&before.channels);
            pairs.map(|(made, before)| (made[cell] - before[cell]).abs()).fold(0.0, f64::max)
        };
        let left: Vec<f32> = (0..48).map(|cell| if cell % 8 < 4 { 1.0 } else { 0.0 }).collect();
        let (none, half, full) =
            (textured(&x, painted(&[1.0]), 0.0), textured(&x, painted(&left), 1.0), textured(&x, painted(&[1.0]), 1.0));
        for cell in 0..48 {
            assert!(change(&none, cell) < 1e-6, "at {cell}");
            assert_eq!(change(&half, cell) > 1e-6, cell % 8 < 4, "at {cell}");
            assert!(change(&full, cell) > 1e-6, "at {cell}");
        }
        // No band is more than two and a half times as strong, however strong the painting's is.
        let strong = noise(2, [6, 8], 100.0);
        let made = textured(&x, vec![Painted { latents: &strong, share: vec![1.0] }], 1.0);
        for (made, before) in made.channels.iter().zip(&before.channels) {
            assert!(deviation(made) < 2.6 * deviation(before));
        }
        let flat = x.zeros_like();
        let made = textured(&flat, painted(&[1.0]), 1.0);
        assert!(made.channels.iter().flatten().all(|value| *value == 0.0), "what has no detail gets none");
    }
}
