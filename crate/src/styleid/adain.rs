//! Adaptive instance normalisation of the initial latents (paper, section 4.4, equation 8; Huang and Belongie 2017).

use burn::tensor::Tensor;

/// Mean and unbiased standard deviation over height and width, `[batch, channels, 1, 1]` each.
fn statistics(x: &Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let [batch, channels, height, width] = x.dims();
    let count = height * width;
    let flat = x.clone().reshape([batch, channels, count]);
    let mean = flat.clone().mean_dim(2);
    let squares = (flat - mean.clone()).square().sum_dim(2);
    let std = squares.div_scalar((count - 1) as f32).sqrt();
    (mean.reshape([batch, channels, 1, 1]), std.reshape([batch, channels, 1, 1]))
}

/// `content` with the per-channel mean and deviation of `style`; the two may differ in size.
pub fn adain(content: Tensor<4>, style: &Tensor<4>, epsilon: f32) -> Tensor<4> {
    let (content_mean, content_std) = statistics(&content);
    let (style_mean, style_std) = statistics(style);
    (content - content_mean) / content_std.add_scalar(epsilon) * style_std + style_mean
}
