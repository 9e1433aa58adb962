//! Adaptive instance normalisation of the initial latents (paper, section 4.4, equation 8; Huang and Belongie 2017).

use burn::tensor::Tensor;

/// Mean and standard deviation of each channel, `[batch, channels, 1, 1]`, or `[batch, channels, h, w]` if they vary by
/// position.
#[derive(Debug, Clone)]
pub struct Statistics {
    mean: Tensor<4>,
    std: Tensor<4>,
}

impl Statistics {
    /// Mean and unbiased standard deviation over height and width.
    pub fn of(x: &Tensor<4>) -> Self {
        let [batch, channels, height, width] = x.dims();
        let count = height * width;
        let flat = x.clone().reshape([batch, channels, count]);
        let mean = flat.clone().mean_dim(2);
        let squares = (flat - mean.clone()).square().sum_dim(2);
        let std = squares.div_scalar((count - 1) as f32).sqrt();
        Self { mean: mean.reshape([batch, channels, 1, 1]), std: std.reshape([batch, channels, 1, 1]) }
    }

    /// `share` of these and the rest of `other`.
    #[must_use]
    pub fn mixed(self, other: Self, share: f32) -> Self {
        let mix = |a: Tensor<4>, b: Tensor<4>| a.mul_scalar(share) + b.mul_scalar(1.0 - share);
        Self { mean: mix(self.mean, other.mean), std: mix(self.std, other.std) }
    }

    /// Weighted means of several statistics, with weights `[1, 1, 1, 1]`, or by position `[1, 1, h, w]`. `None` if `parts` is
    /// empty.
    pub fn blended(parts: impl IntoIterator<Item = (Self, Tensor<4>)>) -> Option<Self> {
        let weighed = parts
            .into_iter()
            .map(|(Self { mean, std }, weight)| Self { mean: mean * weight.clone(), std: std * weight });
        weighed.reduce(|a, b| Self { mean: a.mean + b.mean, std: a.std + b.std })
    }
}

/// `content` with the per-channel mean and deviation of `style`.
pub fn adain(content: Tensor<4>, style: Statistics, epsilon: f32) -> Tensor<4> {
    let own = Statistics::of(&content);
    adain_from(content, own, style, epsilon)
}

/// [`adain`] of a `content` whose mean and deviation are taken to be `own`.
pub fn adain_from(content: Tensor<4>, own: Statistics, style: Statistics, epsilon: f32) -> Tensor<4> {
    (content - own.mean) / own.std.add_scalar(epsilon) * style.std + style.mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{self, Place, Precision};

    fn place() -> Place {
        Place::new(device::cpu(), Precision::F64, 0).expect("the processor computes in f64")
    }

    fn latents(seed: f32, scale: f32, shift: f32) -> Tensor<4> {
        place().tensor((0..24).map(|i| (i as f32 * seed).sin() * scale + shift).collect(), [1, 2, 3, 4])
    }

    fn numbers(x: Tensor<4>) -> Vec<f64> {
        x.into_data().iter::<f64>().collect()
    }

    fn weight<const N: usize>(values: [f32; N], shape: [usize; 4]) -> Tensor<4> {
        place().tensor(values.into(), shape)
    }

    #[test]
    fn the_result_has_the_weighted_means_of_mean_and_deviation() {
        let (content, a, b) = (latents(0.7, 1.0, 0.1), latents(1.3, 2.0, 5.0), latents(2.9, 0.5, -3.0));
        let of = [Statistics::of(&a), Statistics::of(&b)];
        let weights = [0.25, 0.75].map(|value| weight([value], [1; 4]));
        let blended = Statistics::blended(of.clone().into_iter().zip(weights)).expect("two");
        let ours = Statistics::of(&adain(content, blended, 0.0));
        let mean = |of: fn(Statistics) -> Tensor<4>, all: &[Statistics; 2]| -> Vec<f64> {
            let [a, b] = all.clone().map(|statistics| numbers(of(statistics)));
            a.iter().zip(b).map(|(a, b)| 0.25 * a + 0.75 * b).collect()
        };
        for of_one in [(|statistics| statistics.mean) as fn(Statistics) -> Tensor<4>, |statistics| statistics.std] {
            let expected = mean(of_one, &of);
            for (ours, expected) in numbers(of_one(ours.clone())).iter().zip(expected) {
                assert!((ours - expected).abs() < 1e-9, "{ours} is not {expected}");
            }
        }
    }

    #[test]
    fn weights_by_place_give_each_place_its_style() {
        let (content, a, b) = (latents(0.7, 1.0, 0.1), latents(1.3, 2.0, 5.0), latents(2.9, 0.5, -3.0));
        let (of_a, of_b) = (Statistics::of(&a), Statistics::of(&b));
        let left = [1.0, 1.0, 0.0, 0.0];
        let rows = |row: [f32; 4]| weight([row; 3].concat().try_into().unwrap_or([0.0; 12]), [1, 1, 3, 4]);
        let parts = [(of_a.clone(), rows(left)), (of_b.clone(), rows(left.map(|share| 1.0 - share)))];
        let both = numbers(adain(content.clone(), Statistics::blended(parts).expect("two"), 1e-4));
        let (a, b) = (numbers(adain(content.clone(), of_a, 1e-4)), numbers(adain(content, of_b, 1e-4)));
        for (i, ours) in both.iter().enumerate() {
            assert_eq!(*ours, if i % 4 < 2 { a[i] } else { b[i] }, "at {i}");
        }
    }
}
