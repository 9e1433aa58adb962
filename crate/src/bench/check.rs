//! An operation's result against sums in f64 that are written down plainly, at some of its elements: at its corners and edges, and
//! wherever chance falls. So every shape of the true networks can be checked in seconds, in a browser too.

use super::formula::uniform;
use super::operation::{EPSILON, GROUPS, build, input, weight};
use super::work::Work;
use crate::Result;
use crate::device::{Place, Precision};
use crate::weights::WeightType;

/// Differences that are allowed, of the largest value, by what activations are kept as.
pub const TOLERANCES: [(Precision, f64); 2] = [(Precision::F32, 1e-4), (Precision::F16, 5e-3)];

/// Bytes that WebGPU promises to bind; larger pictures are computed in bands.
const BINDING: usize = 128 << 20;

/// Whether the model runs `work` in one piece.
pub fn is_whole(work: &Work) -> bool {
    4 * work.largest() <= BINDING
}

/// Elements that are looked at beside the corners.
const CHANCES: usize = 200;

/// Largest difference of `work` on `place` from the sums in f64, of the largest of these. None of a block, whose parts are
/// checked by themselves.
///
/// # Errors
/// Its tensors cannot be made, or the device stopped.
pub async fn check(work: Work, place: &Place) -> Result<Option<f64>> {
    let Some(exact) = exact(work) else { return Ok(None) };
    let data = build(work, place, WeightType::F32)?().into_data_async().await?;
    let ours: Vec<f32> = data.iter::<f32>().collect();
    // Buffers made to measure for these weights fit no others.
    place.device.memory_cleanup();
    let peak = exact.iter().fold(0.0f64, |peak, (_, value)| peak.max(value.abs()));
    // `max` would pass over what is not a number.
    let worse = |worst: f64, far: f64| if far <= worst { worst } else { far };
    let far = |&(at, value): &(usize, f64)| ours.get(at).map_or(f64::NAN, |ours| (f64::from(*ours) - value).abs());
    Ok(Some(exact.iter().map(far).fold(0.0, worse) / peak))
}

/// Places in a tensor of `shape`: its corners, its middle, and others.
fn places<const D: usize>(shape: [usize; D]) -> Vec<[usize; D]> {
    let corners =
        (0..1 << D).map(|corner| std::array::from_fn(|i| if corner >> i & 1 == 0 { 0 } else { shape[i] - 1 }));
    let chances = uniform("bench.places", CHANCES * D);
    let at = |size: usize, chance: f32| ((f64::from(chance) + 1.0) / 2.0 * size as f64) as usize;
    let others =
        chances.chunks_exact(D).map(|chance| std::array::from_fn(|i| at(shape[i], chance[i]).min(shape[i] - 1)));
    corners.chain([shape.map(|size| size / 2)]).chain(others).collect()
}

/// Elements of the result: where each is, and what it should be.
fn exact(work: Work) -> Option<Vec<(usize, f64)>> {
    Some(match work {
        Work::Conv { channels, kernel, stride, padding, side } => {
            let out = (side + padding[0] + padding[1] - kernel) / stride + 1;
            conv(channels, &Window { side, out, kernel, stride, before: padding[0], repeated: 1 })
        }
        Work::UpConv { channels, side } => {
            let side = 2 * side;
            conv([channels; 2], &Window { side, out: side, kernel: 3, stride: 1, before: 1, repeated: 2 })
        }
        Work::Linear { widths, bias, tokens } => linear(widths, bias, tokens),
        Work::Attention { heads, head_dim, queries, keys } => attention(heads, head_dim, queries, keys),
        Work::GroupNorm { channels, side, silu } => group_norm(channels, side * side, silu),
        Work::LayerNorm { width, tokens } => layer_norm(width, tokens),
        Work::Resnet { .. } | Work::SelfAttention { .. } | Work::Transformer { .. } => return None,
    })
}

/// Numbers by formula, as f64.
fn wide(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

/// What a convolution moves over.
struct Window {
    /// Side of the picture that the kernel sees.
    side: usize,
    /// Side of the result.
    out: usize,
    kernel: usize,
    stride: usize,
    /// Zeros before the first pixel.
    before: usize,
    /// How many times each pixel is seen along a side.
    repeated: usize,
}

fn conv([channels, outputs]: [usize; 2], window: &Window) -> Vec<(usize, f64)> {
    let Window { side, out, kernel, stride, before, repeated } = *window;
    let width = side / repeated;
    let x = input("x", &[1, channels, width, width]);
    let weights = weight("conv.weight", &[outputs, channels, kernel, kernel]);
    let bias = wide(weight("conv.bias", &[outputs]));
    // Rows or columns that the kernel meets at one of the output, with their places in it.
    let met = |at: usize| -> Vec<(usize, usize)> {
        let inside = |tap: usize| (at * stride + tap).checked_sub(before).filter(|row| *row < side);
        (0..kernel).filter_map(|tap| Some((tap, inside(tap)? / repeated))).collect()
    };
    let sum = |[o, row, column]: [usize; 3]| {
        let (rows, columns) = (met(row), met(column));
        let mut sum = bias[o];
        for channel in 0..channels {
            for (i, y) in &rows {
                for (j, x_at) in &columns {
                    let value = x[(channel * width + y) * width + x_at];
                    let factor = weights[((o * channels + channel) * kernel + i) * kernel + j];
                    sum += f64::from(value) * f64::from(factor);
                }
            }
        }
        ((o * out + row) * out + column, sum)
    };
    places([outputs, out, out]).into_iter().map(sum).collect()
}

fn linear([inputs, outputs]: [usize; 2], bias: bool, tokens: usize) -> Vec<(usize, f64)> {
    let x = input("x", &[1, tokens, inputs]);
    let weights = weight("linear.weight", &[outputs, inputs]);
    let bias = if bias { wide(weight("linear.bias", &[outputs])) } else { vec![0.0; outputs] };
    let sum = |[token, o]: [usize; 2]| {
        let (x, weights) = (&x[token * inputs..][..inputs], &weights[o * inputs..][..inputs]);
        let terms = x.iter().zip(weights).map(|(x, weight)| f64::from(*x) * f64::from(*weight));
        (token * outputs + o, bias[o] + terms.sum::<f64>())
    };
    places([tokens, outputs]).into_iter().map(sum).collect()
}

fn attention(heads: usize, head_dim: usize, queries: usize, keys: usize) -> Vec<(usize, f64)> {
    let q = wide(input("q", &[1, heads, queries, head_dim]));
    let [k, v] = ["k", "v"].map(|name| wide(input(name, &[1, heads, keys, head_dim])));
    let scale = 1.0 / (head_dim as f64).sqrt();
    let attended = |[head, query, at]: [usize; 3]| {
        let q = &q[(head * queries + query) * head_dim..][..head_dim];
        let keys = || (0..keys).map(|key| (head * keys + key) * head_dim);
        let score = |key: usize| scale * q.iter().zip(&k[key..][..head_dim]).map(|(q, k)| q * k).sum::<f64>();
        let scores: Vec<f64> = keys().map(score).collect();
        let most = scores.iter().fold(f64::MIN, |most, score| most.max(*score));
        let shares: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let sum: f64 = keys().zip(&shares).map(|(key, share)| share * v[key + at]).sum();
        ((head * queries + query) * head_dim + at, sum / shares.iter().sum::<f64>())
    };
    places([heads, queries, head_dim]).into_iter().map(attended).collect()
}

/// (x − mean)/σ·γ + β for a value of these neighbours.
fn normal(value: f64, neighbours: &[f32], scale: f32, shift: f32) -> f64 {
    let count = neighbours.len() as f64;
    let mean = neighbours.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let variance = neighbours.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
    (value - mean) / (variance + EPSILON).sqrt() * f64::from(scale) + f64::from(shift)
}

fn group_norm(channels: usize, pixels: usize, silu: bool) -> Vec<(usize, f64)> {
    let x = input("x", &[1, channels, pixels]);
    let (scale, shift) = (weight("weight", &[channels]), weight("bias", &[channels]));
    let group = channels / GROUPS * pixels;
    // A group takes long to sum up, so some are enough: the first, the last, one between.
    let wanted = [0, GROUPS / 2, GROUPS - 1];
    let at =
        places([channels, pixels]).into_iter().filter(|[channel, _]| wanted.contains(&(channel * GROUPS / channels)));
    at.take(40)
        .map(|[channel, pixel]| {
            let at = channel * pixels + pixel;
            let neighbours = &x[at / group * group..][..group];
            let value = normal(f64::from(x[at]), neighbours, scale[channel], shift[channel]);
            (at, if silu { value / (1.0 + (-value).exp()) } else { value })
        })
        .collect()
}

fn layer_norm(width: usize, tokens: usize) -> Vec<(usize, f64)> {
    let x = input("x", &[1, tokens, width]);
    let (scale, shift) = (weight("weight", &[width]), weight("bias", &[width]));
    let value = |[token, channel]: [usize; 2]| {
        let row = &x[token * width..][..width];
        (token * width + channel, normal(f64::from(row[channel]), row, scale[channel], shift[channel]))
    };
    places([tokens, width]).into_iter().map(value).collect()
}
