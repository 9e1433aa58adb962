//! Adaptive instance normalisation of the initial latents (paper, section 4.4, equation 8; Huang and Belongie 2017).

use burn::tensor::Tensor;

/// Mean and deviation of each channel, `[batch, channels, 1, 1]`, or `[batch, channels, h, w]` where they differ by place.
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

    /// Weighted means of several, with weights of `[1, 1, 1, 1]` or by place, `[1, 1, h, w]`; none of none.
    pub fn blended(parts: impl IntoIterator<Item = (Self, Tensor<4>)>) -> Option<Self> {
        let weighed = parts
            .into_iter()
            .map(|(Self { mean, std }, weight)| Self { mean: mean * weight.clone(), std: std * weight });
        weighed.reduce(|a, b| Self { mean: a.mean + b.mean, std: a.std + b.std })
    }
}

/// `content` with the per-channel mean and deviation of `style`.
pub fn adain(content: Tensor<4>, style: Statistics, epsilon: f32) -> Tensor<4> {
    let Statistics { mean, std } = Statistics::of(&content);
    (content - mean) / std.add_scalar(epsilon) * style.std + style.mean
}
