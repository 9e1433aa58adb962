//! Expected results of operations, as plainly written sums in f64, at some of their elements: the corners, the middle,
//! and pseudo-random ones. Since these are few, true shapes can be checked in seconds, in a browser too.

use super::formula::uniform;

/// An element of a result: its flat index, and its expected value.
pub type Sample = (usize, f64);

/// Groups of all group norms.
pub const GROUPS: usize = 32;
/// Added to all norms' variances.
pub const EPSILON: f64 = 1e-5;

/// Number of pseudo-random elements that are checked in addition to the corners and the middle.
const CHANCES: usize = 200;

/// Largest absolute difference of `ours` from `known`, relative to the largest known value. NaN if any of `ours` is not
/// finite or is missing.
pub fn difference(ours: &[f32], known: &[Sample]) -> f64 {
    if !ours.iter().all(|value| value.is_finite()) {
        return f64::NAN;
    }
    let peak = known.iter().fold(0.0f64, |peak, (_, value)| peak.max(value.abs()));
    // `f64::max` would ignore NaN, which counts as the worst.
    let worse = |worst: f64, far: f64| if worst.is_nan() || far <= worst { worst } else { far };
    let far = |&(at, value): &Sample| ours.get(at).map_or(f64::NAN, |ours| (f64::from(*ours) - value).abs());
    known.iter().map(far).fold(0.0, worse) / peak
}

/// Indices of elements in a tensor of `shape`: its corners, its middle, and pseudo-random others.
fn places<const D: usize>(shape: [usize; D]) -> Vec<[usize; D]> {
    let corners =
        (0..1 << D).map(|corner| std::array::from_fn(|i| if corner >> i & 1 == 0 { 0 } else { shape[i] - 1 }));
    let chances = uniform("bench.places", CHANCES * D);
    let at = |size: usize, chance: f32| ((f64::from(chance) + 1.0) / 2.0 * size as f64) as usize;
    let others =
        chances.chunks_exact(D).map(|chance| std::array::from_fn(|i| at(shape[i], chance[i]).min(shape[i] - 1)));
    corners.chain([shape.map(|size| size / 2)]).chain(others).collect()
}

/// Σ a·b.
fn product(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Geometry of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Height and width of the picture that the kernel moves over, upsampled if it is.
    pub side: usize,
    /// Height and width of the result.
    pub out: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Stride of the kernel.
    pub stride: usize,
    /// Zero padding before the first row and column.
    pub before: usize,
    /// Factor of nearest-neighbour upsampling before the convolution; 1 for none.
    pub repeated: usize,
}

/// A convolution of `x` `[channels, side / repeated, side / repeated]` by `weights`
/// `[outputs, channels, kernel, kernel]`.
pub fn conv(x: &[f32], weights: &[f32], bias: &[f32], channels: usize, window: &Window) -> Vec<Sample> {
    let Window { side, out, kernel, stride, before, repeated } = *window;
    let width = side / repeated;
    // The kernel's taps at a row or column of the output, each with the row or column of `x` that it reads. Taps in the
    // padding are left out.
    let met = |at: usize| -> Vec<(usize, usize)> {
        let inside = |tap: usize| (at * stride + tap).checked_sub(before).filter(|row| *row < side);
        (0..kernel).filter_map(|tap| Some((tap, inside(tap)? / repeated))).collect()
    };
    let sum = |[o, row, column]: [usize; 3]| {
        let (rows, columns) = (met(row), met(column));
        let mut sum = f64::from(bias[o]);
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
    places([bias.len(), out, out]).into_iter().map(sum).collect()
}

/// x·Wᵀ + b of `x` `[tokens, inputs]` by `weights` `[outputs, inputs]`; with `geglu`, its left half times the GELU of
/// its right half.
pub fn linear(
    x: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    [inputs, outputs]: [usize; 2],
    geglu: bool,
) -> Vec<Sample> {
    let at = |token: usize, o: usize| {
        let terms = product(&x[token * inputs..][..inputs], &weights[o * inputs..][..inputs]);
        bias.map_or(0.0, |bias| f64::from(bias[o])) + terms
    };
    let width = if geglu { outputs / 2 } else { outputs };
    let value = |[token, o]: [usize; 2]| {
        let value = at(token, o);
        (token * width + o, if geglu { value * gelu(at(token, o + width)) } else { value })
    };
    places([x.len() / inputs, width]).into_iter().map(value).collect()
}

/// The exact GELU, x·Φ(x).
fn gelu(x: f64) -> f64 {
    x / 2.0 * (1.0 + erf(x / std::f64::consts::SQRT_2))
}

/// The error function, by its series with the factor e^(−x²): all terms have one sign, so none cancels another.
fn erf(x: f64) -> f64 {
    // Beyond ±6 the function is ±1 in f64; within, the terms grow no larger than e^(x²).
    let x = x.clamp(-6.0, 6.0);
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// Attention of `q` `[heads, queries, head_dim]` over `k` and `v` `[heads, keys, head_dim]`, with scores multiplied by
/// `scale`.
pub fn attention(
    q: &[f32],
    [k, v]: [&[f32]; 2],
    scale: f64,
    [heads, queries, keys, head_dim]: [usize; 4],
) -> Vec<Sample> {
    let attended = |[head, query, at]: [usize; 3]| {
        let q = &q[(head * queries + query) * head_dim..][..head_dim];
        let keys = || (0..keys).map(|key| (head * keys + key) * head_dim);
        let scores: Vec<f64> = keys().map(|key| scale * product(q, &k[key..][..head_dim])).collect();
        let most = scores.iter().fold(f64::MIN, |most, score| most.max(*score));
        let shares: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let sum: f64 = keys().zip(&shares).map(|(key, share)| share * f64::from(v[key + at])).sum();
        ((head * queries + query) * head_dim + at, sum / shares.iter().sum::<f64>())
    };
    places([heads, queries, head_dim]).into_iter().map(attended).collect()
}

/// The norm of `value` among its `neighbours`, which include it: (x − mean)/σ·γ + β.
fn normal(value: f32, neighbours: &[f32], scale: f32, shift: f32) -> f64 {
    let count = neighbours.len() as f64;
    let mean = neighbours.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let variance = neighbours.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
    (f64::from(value) - mean) / (variance + EPSILON).sqrt() * f64::from(scale) + f64::from(shift)
}

/// Group norm of `x` `[channels, pixels]` by a scale and a shift for each channel; with `silu`, `SiLU` follows.
pub fn group_norm(x: &[f32], [scale, shift]: [&[f32]; 2], silu: bool) -> Vec<Sample> {
    let channels = scale.len();
    let pixels = x.len() / channels;
    let group = channels / GROUPS * pixels;
    // Summing a group takes long, so only three are checked: the first, a middle one and the last.
    let wanted = [0, GROUPS / 2, GROUPS - 1];
    let at =
        places([channels, pixels]).into_iter().filter(|[channel, _]| wanted.contains(&(channel * GROUPS / channels)));
    at.take(40)
        .map(|[channel, pixel]| {
            let at = channel * pixels + pixel;
            let value = normal(x[at], &x[at / group * group..][..group], scale[channel], shift[channel]);
            (at, if silu { value / (1.0 + (-value).exp()) } else { value })
        })
        .collect()
}

/// Layer norm of `x` `[tokens, width]` by a scale and a shift for each channel.
pub fn layer_norm(x: &[f32], [scale, shift]: [&[f32]; 2]) -> Vec<Sample> {
    let width = scale.len();
    let value = |[token, channel]: [usize; 2]| {
        let row = &x[token * width..][..width];
        (token * width + channel, normal(row[channel], row, scale[channel], shift[channel]))
    };
    places([x.len() / width, width]).into_iter().map(value).collect()
}

/// The samples, each plus the element of `residual` at its index.
pub fn added(samples: Vec<Sample>, residual: Option<&[f32]>) -> Vec<Sample> {
    let at_place = |at: usize| residual.map_or(0.0, |residual| f64::from(residual[at]));
    samples.into_iter().map(|(at, value)| (at, value + at_place(at))).collect()
}

/// Samples of `values` themselves, for operations that should change nothing.
pub fn unchanged(values: &[f32]) -> Vec<Sample> {
    places([values.len()]).into_iter().map(|[at]| (at, f64::from(values[at]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole result of a linear layer without a bias.
    fn whole(x: &[f32], weights: &[f32], [inputs, outputs]: [usize; 2]) -> Vec<f32> {
        let row = |token: usize, o: usize| product(&x[token * inputs..][..inputs], &weights[o * inputs..][..inputs]);
        (0..x.len() / inputs).flat_map(|token| (0..outputs).map(move |o| row(token, o) as f32)).collect()
    }

    #[test]
    fn a_right_result_is_near_and_a_wrong_one_far() {
        let (x, weights, widths) = (uniform("x", 6 * 8), uniform("w", 8 * 5), [8, 5]);
        let known = linear(&x, &weights, None, widths, false);
        let mut ours = whole(&x, &weights, widths);
        assert!(difference(&ours, &known) < 1e-6);
        // The last element is always checked.
        let last = ours.len() - 1;
        ours[last] += 0.5;
        assert!(difference(&ours, &known) > 0.1);
        ours.pop();
        assert!(difference(&ours, &known).is_nan(), "one is missing");
    }

    #[test]
    fn what_is_no_number_is_noticed_wherever_it_is() {
        let x: Vec<f32> = uniform("x", 1 << 16);
        let known = unchanged(&x);
        assert_eq!(difference(&x, &known), 0.0);
        let unseen = (0..x.len()).find(|at| known.iter().all(|(seen, _)| seen != at)).expect("most are not looked at");
        for bad in [f32::NAN, f32::INFINITY] {
            let mut ours = x.clone();
            ours[unseen] = bad;
            assert!(difference(&ours, &known).is_nan());
        }
    }

    #[test]
    fn erf_is_that_of_the_tables() {
        for (x, value) in [(0.0, 0.0), (0.5, 0.520_499_877_813_046_5), (1.0, 0.842_700_792_949_714_9)] {
            assert!((erf(x) - value).abs() < 1e-15 && (erf(-x) + value).abs() < 1e-15, "{x}");
        }
        assert!((erf(3.0) - 0.999_977_909_503_001_4).abs() < 1e-14);
        assert!((erf(40.0) - 1.0).abs() < 1e-13);
    }
}
