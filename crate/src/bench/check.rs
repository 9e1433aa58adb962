//! Checks some elements of an operation's result against sums in f64.

use super::operation::{build, input, weight};
use super::work::Work;
use crate::Result;
use crate::device::{Place, Precision};
use crate::selftest::{self, sums};
use crate::weights::WeightType;

/// Tolerances relative to the largest value, by the type of activations.
pub const TOLERANCES: [(Precision, f64); 2] = selftest::TOLERANCES;

/// Largest binding that WebGPU guarantees, in bytes.
const BINDING: usize = 128 << 20;

/// Whether each tensor of `work` fits such a binding. The model computes pictures with larger ones in bands only.
pub fn is_whole(work: &Work) -> bool {
    4 * work.largest() <= BINDING
}

/// Largest difference of `work` on `place` from the sums in f64, relative to the largest of these. `None` for a block,
/// whose parts are checked by themselves.
///
/// # Errors
/// Its tensors cannot be made, or the device stopped.
pub async fn check(work: Work, place: &Place) -> Result<Option<f64>> {
    let Some(exact) = exact(work) else { return Ok(None) };
    let data = build(work, place, WeightType::F32)?().into_data_async().await?;
    let ours: Vec<f32> = data.iter::<f32>().collect();
    // The exact-size buffers of these weights cannot be reused for others; this frees them.
    place.device.memory_cleanup();
    Ok(Some(sums::difference(&ours, &exact)))
}

/// Expected elements of the result.
fn exact(work: Work) -> Option<Vec<sums::Sample>> {
    Some(match work {
        Work::Conv { channels, kernel, stride, padding, side } => {
            let out = (side + padding[0] + padding[1] - kernel) / stride + 1;
            conv(channels, &sums::Window { side, out, kernel, stride, before: padding[0], repeated: 1 })
        }
        Work::UpConv { channels, side } => {
            let side = 2 * side;
            conv([channels; 2], &sums::Window { side, out: side, kernel: 3, stride: 1, before: 1, repeated: 2 })
        }
        Work::Linear { widths: [inputs, outputs], bias, tokens } => {
            let x = input("x", &[1, tokens, inputs]);
            let weights = weight("linear.weight", &[outputs, inputs]);
            let bias = bias.then(|| weight("linear.bias", &[outputs]));
            sums::linear(&x, &weights, bias.as_deref(), [inputs, outputs], false)
        }
        Work::Attention { heads, head_dim, queries, keys } => {
            let q = input("q", &[1, heads, queries, head_dim]);
            let [k, v] = ["k", "v"].map(|name| input(name, &[1, heads, keys, head_dim]));
            let scale = 1.0 / (head_dim as f64).sqrt();
            sums::attention(&q, [&k, &v], scale, [heads, queries, keys, head_dim])
        }
        Work::GroupNorm { channels, side, silu } => {
            let (scale, shift) = (weight("weight", &[channels]), weight("bias", &[channels]));
            sums::group_norm(&input("x", &[1, channels, side, side]), [&scale, &shift], silu)
        }
        Work::LayerNorm { width, tokens } => {
            let (scale, shift) = (weight("weight", &[width]), weight("bias", &[width]));
            sums::layer_norm(&input("x", &[1, tokens, width]), [&scale, &shift])
        }
        Work::Resnet { .. } | Work::SelfAttention { .. } | Work::Transformer { .. } => return None,
    })
}

fn conv([channels, outputs]: [usize; 2], window: &sums::Window) -> Vec<sums::Sample> {
    let width = window.side / window.repeated;
    let x = input("x", &[1, channels, width, width]);
    let weights = weight("conv.weight", &[outputs, channels, window.kernel, window.kernel]);
    sums::conv(&x, &weights, &weight("conv.bias", &[outputs]), channels, window)
}
