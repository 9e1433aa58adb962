//! Group norm of a picture that is held in pieces: moments of each piece, merged, then applied to any of its rows.

use burn::nn::GroupNorm;
use burn::tensor::{Tensor, activation};

/// Moments of every group of channels, `[batch, groups]` each.
#[derive(Debug, Clone)]
pub struct Moments {
    mean: Tensor<2>,
    /// Sum of the squared distances from the mean.
    squares: Tensor<2>,
    /// Values in a group.
    count: usize,
}

impl Moments {
    /// Of one piece `[batch, channels, height, width]`.
    pub fn of(x: &Tensor<4>, groups: usize) -> Self {
        let [batch, channels, height, width] = x.dims();
        let count = channels / groups * height * width;
        let grouped: Tensor<3> = x.clone().reshape([batch, groups, count]);
        let mean = grouped.clone().mean_dim(2);
        let squares = (grouped - mean.clone()).square().sum_dim(2);
        Self { mean: mean.reshape([batch, groups]), squares: squares.reshape([batch, groups]), count }
    }

    /// Of all pieces together, without cancellation (Chan, Golub and LeVeque 1979). `None` of no pieces.
    pub fn merge(pieces: impl IntoIterator<Item = Self>) -> Option<Self> {
        pieces.into_iter().reduce(|a, b| {
            let count = a.count + b.count;
            let share = b.count as f64 / count as f64;
            let apart = b.mean - a.mean.clone();
            let between = apart.clone().square().mul_scalar(a.count as f64 * share);
            Self { mean: a.mean + apart.mul_scalar(share), squares: a.squares + b.squares + between, count }
        })
    }

    /// `norm` of `x`, which is any rows of what the moments are of, followed by `SiLU` if `silu`.
    pub fn apply(&self, norm: &GroupNorm, x: Tensor<4>, silu: bool) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let groups = norm.num_groups;
        let size = channels / groups;
        let variance = self.squares.clone().div_scalar(self.count as f64);
        let inverse = variance.add_scalar(norm.epsilon).sqrt().recip();
        let spread = |values: Tensor<2>| -> Tensor<4> {
            let each: Tensor<3> = values.reshape([batch, groups, 1]).expand([batch, groups, size]);
            each.reshape([batch, channels, 1, 1])
        };
        let mut out = (x - spread(self.mean.clone())) * spread(inverse);
        if let Some(scale) = &norm.gamma {
            out = out * scale.val().reshape([1, channels, 1, 1]);
        }
        if let Some(shift) = &norm.beta {
            out = out + shift.val().reshape([1, channels, 1, 1]);
        }
        debug_assert_eq!(out.dims(), [batch, channels, height, width]);
        if silu { activation::silu(out) } else { out }
    }
}
