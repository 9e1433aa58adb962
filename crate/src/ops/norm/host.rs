//! Norms on the processor: two passes over a block that stays in a core's cache.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::{Affine, Moments};
use crate::ops::host::{Host, silu, sum, tensor, vectors};

/// Numbers that are summed in f32; the sums of such parts are added in f64.
const PART: usize = 4096;

/// [`super::group_moments`] for f32.
pub fn group_moments(x: Tensor<4>, groups: usize) -> Moments {
    let [batch, channels, height, width] = x.dims();
    let x = Host::row(x);
    let count = channels / groups * height * width;
    let moments: Vec<f32> = x.values()[..batch * groups * count]
        .par_chunks(count)
        .flat_map_iter(|group| {
            let (first, offset, squares) = vectors(|| moments(group));
            [count as f32, first + offset, squares]
        })
        .collect();
    Moments(tensor(moments, [batch, groups, 3]))
}

/// The first number, the mean's offset from it, and the sum of squared deviations. If the numbers are far from zero, summing
/// them directly would lose the digits in which they differ.
#[inline(always)]
fn moments(values: &[f32]) -> (f32, f32, f32) {
    let first = values[0];
    let total: f64 = values.chunks(PART).map(|part| f64::from(sum(part, |value| value - first))).sum();
    let offset = (total / values.len() as f64) as f32;
    let square = |value: f32| (value - first - offset) * (value - first - offset);
    let squares: f64 = values.chunks(PART).map(|part| f64::from(sum(part, square))).sum();
    (first, offset, squares as f32)
}

/// [`super::group_apply`] for f32.
pub fn group_apply(x: Tensor<4>, Moments(moments): &Moments, affine: Affine, with_silu: bool) -> Tensor<4> {
    let [_, channels, height, width] = x.dims();
    let groups = moments.dims()[1];
    let moments = Host::row(moments.clone());
    let (scale, shift) = (Host::row(affine.scale), Host::row(affine.shift));
    let change = |(plane, values): (usize, &mut [f32])| {
        let (picture, channel) = (plane / channels, plane % channels);
        let group = picture * groups + channel / (channels / groups);
        let &[count, mean, squares] = &moments.values()[3 * group..][..3] else { return };
        let deviation = (f64::from(squares / count) + affine.epsilon).sqrt() as f32;
        let (factor, shift) = (scale.values()[channel] / deviation, shift.values()[channel]);
        vectors(|| {
            if with_silu {
                values.iter_mut().for_each(|value| *value = silu((*value - mean) * factor + shift));
            } else {
                values.iter_mut().for_each(|value| *value = (*value - mean) * factor + shift);
            }
        });
    };
    Host::view(x).changed(|values| values.par_chunks_mut(height * width).enumerate().for_each(change))
}

/// [`super::layer_norm`] for f32.
pub fn layer_norm(x: Tensor<3>, affine: Affine) -> Tensor<3> {
    let [_, _, channels] = x.dims();
    let (scale, shift) = (Host::row(affine.scale), Host::row(affine.shift));
    let (scale, shift) = (&scale.values()[..channels], &shift.values()[..channels]);
    let change = |token: &mut [f32]| {
        vectors(|| {
            let (first, offset, squares) = moments(token);
            let factor = 1.0 / (f64::from(squares) / channels as f64 + affine.epsilon).sqrt() as f32;
            for ((value, scale), shift) in token.iter_mut().zip(scale).zip(shift) {
                *value = (*value - first - offset) * factor * scale + shift;
            }
        });
    };
    Host::view(x).changed(|values| values.par_chunks_mut(channels).with_min_len(16).for_each(change))
}

#[cfg(test)]
mod tests {
    use super::{Affine, group_apply, group_moments, layer_norm};
    use crate::ops::host::{assert_near, random};
    use crate::ops::norm::reference;

    fn affine(channels: usize) -> Affine {
        Affine {
            scale: random([channels], 1.0, 1.0),
            shift: random([channels], 0.5, 1.0),
            epsilon: 1e-5,
            halves: false,
        }
    }

    #[test]
    fn group_norms_are_the_references() {
        for ([batch, channels, height, width], groups, mean) in
            [([1, 4, 1, 1], 2, 0.0), ([2, 32, 7, 5], 8, 0.0), ([1, 6, 61, 67], 3, 300.0)]
        {
            let x = random([batch, channels, height, width], mean, 1.0);
            let ours = group_moments(x.clone(), groups);
            assert_near(ours.values(), reference::group_moments(x.clone(), groups).values(), 1e-5);
            for silu in [false, true] {
                let affine = affine(channels);
                let expected = reference::group_apply(x.clone(), &ours, affine.clone(), silu);
                assert_near(group_apply(x.clone(), &ours, affine, silu), expected, 1e-6);
            }
            // A view shares its data with `x`, which must stay unchanged.
            let view = x.clone().swap_dims(2, 3);
            let expected = reference::group_apply(view.clone(), &ours, affine(channels), false).dims();
            assert_eq!(group_apply(view, &ours, affine(channels), false).dims(), expected);
            assert_near(group_moments(x, groups).values(), ours.values(), 0.0);
        }
    }

    #[test]
    fn layer_norms_are_the_references() {
        for (shape, mean) in [([1, 1, 3], 0.0), ([2, 77, 40], 0.0), ([1, 5, 321], 100.0)] {
            let x = random(shape, mean, 2.0);
            let affine = affine(shape[2]);
            assert_near(layer_norm(x.clone(), affine.clone()), reference::layer_norm(x, affine), 1e-5);
        }
    }
}
