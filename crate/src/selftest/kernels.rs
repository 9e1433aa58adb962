//! The tested kernels, each at a shape that occurs in Stable Diffusion, with weights and inputs by formula.

use burn::tensor::Tensor;
use half::f16;

use super::formula::{uniform, values};
use super::sums::{self, EPSILON, GROUPS, Sample};
use crate::Result;
use crate::device::{Place, Precision};
use crate::ops::attention::{Attend, attention};
use crate::ops::conv::{Convolve, Geometry, conv2d};
use crate::ops::halves::{pack, unpack};
use crate::ops::linear::{Multiply, linear};
use crate::ops::norm::{Affine, group_norm, layer_norm};
use crate::ops::weight::Weight;
use crate::weights::WeightType;
use crate::weights::format::blocks::dequantise;
use crate::weights::format::compact::convert;

/// Share of the other queries, and temperature, of blended attention: the method's defaults.
const GAMMA: f32 = 0.75;
const TEMPERATURE: f32 = 1.5;

/// Factor on the uniform random queries, so that some keys count far more than others, as in a run.
const SHARPNESS: f32 = 3.0;

/// A 3×3 or 1×1 convolution.
#[derive(Debug, Clone, Copy)]
pub struct Convolution {
    /// Channels in and out.
    channels: [usize; 2],
    /// Side of the kernel.
    kernel: usize,
    stride: usize,
    /// Height and width of the picture.
    side: usize,
    /// Whether the picture is first upsampled to twice its size.
    doubled: bool,
    weights: WeightType,
}

impl Convolution {
    /// Height and width of the picture that the kernel moves over.
    fn seen(&self) -> usize {
        if self.doubled { 2 * self.side } else { self.side }
    }

    /// Height and width of the result.
    fn out(&self) -> usize {
        self.seen() / self.stride
    }
}

/// One call of an operation.
#[derive(Debug, Clone, Copy)]
pub enum Kernel {
    /// Attention, plain or with blended queries and a temperature.
    Attention { heads: usize, width: usize, queries: usize, keys: usize, blended: bool },
    /// A convolution; a 1×1 also adds a residual.
    Conv(Convolution),
    /// A linear layer, with GEGLU or with a residual added.
    Linear { widths: [usize; 2], tokens: usize, weights: WeightType, geglu: bool },
    /// Group norm with `SiLU`.
    GroupNorm { channels: usize, side: usize },
    /// Layer norm.
    LayerNorm { width: usize, tokens: usize },
    /// Packing to f16 in 32-bit words, and unpacking.
    Halves { count: usize },
}

/// Self-attention or cross-attention of `[queries, keys]` tokens.
pub const fn attend(heads: usize, width: usize, tokens: [usize; 2], blended: bool) -> Kernel {
    Kernel::Attention { heads, width, queries: tokens[0], keys: tokens[1], blended }
}

/// A convolution with weights in f32.
pub const fn conv(channels: [usize; 2], kernel: usize, stride: usize, side: usize) -> Kernel {
    Kernel::Conv(Convolution { channels, kernel, stride, side, doubled: false, weights: WeightType::F32 })
}

/// A linear layer with weights in f32.
#[cfg(feature = "gpu")]
pub const fn plain(widths: [usize; 2], tokens: usize) -> Kernel {
    Kernel::Linear { widths, tokens, weights: WeightType::F32, geglu: false }
}

const fn product(weights: WeightType, tokens: usize) -> Kernel {
    Kernel::Linear { widths: [1280, 320], tokens, weights, geglu: false }
}

/// All tested kernels, with latents of `side` squared. A slow GPU has no time for all of them, so one of each kind
/// comes first, in the order of their compile times.
pub fn kernels(side: usize) -> [Kernel; 20] {
    let tokens = side * side;
    [
        Kernel::GroupNorm { channels: 320, side },
        Kernel::LayerNorm { width: 320, tokens },
        conv([320, 320], 3, 1, side),
        attend(8, 40, [tokens, tokens], true),
        product(WeightType::Q8, tokens),
        Kernel::Linear { widths: [320, 2560], tokens, weights: WeightType::F16, geglu: true },
        product(WeightType::F32, tokens),
        product(WeightType::F16, tokens),
        product(WeightType::Q4, tokens),
        // A prompt's 77 tokens are not a multiple of any tile.
        attend(8, 40, [tokens, 77], false),
        attend(8, 80, [tokens / 4, tokens / 4], true),
        attend(8, 160, [tokens / 4, tokens / 4], true),
        // As in Stable Diffusion 2.
        attend(5, 64, [tokens, tokens], true),
        conv([320, 320], 1, 1, side),
        conv([320, 320], 3, 2, side),
        Kernel::Conv(Convolution {
            channels: [320, 320],
            kernel: 3,
            stride: 1,
            side: side / 2,
            doubled: true,
            weights: WeightType::Q8,
        }),
        // Sums of only 36 terms, and a result of only four channels.
        conv([4, 320], 3, 1, side),
        conv([320, 4], 3, 1, side),
        // As in the VAE.
        attend(1, 512, [tokens / 4, tokens / 4], false),
        Kernel::Halves { count: 8 * 40 * tokens },
    ]
}

/// A kernel with its operands on the device.
pub struct Prepared {
    /// Runs the kernel.
    pub run: Box<dyn Fn() -> Tensor<4>>,
    /// The expected values of some elements.
    pub known: Vec<Sample>,
}

/// Makes the operands of a test: tensors on the device, and the values that they hold.
struct Operands<'a> {
    place: &'a Place,
    halves: bool,
}

impl Operands<'_> {
    /// Uniform input values, times `factor`, rounded to f16 if the activations are f16.
    fn numbers(&self, name: &str, count: usize, factor: f32) -> Vec<f32> {
        let round = |value: f32| if self.halves { f16::from_f32(value).to_f32() } else { value };
        uniform(&format!("selftest.{name}"), count).into_iter().map(|value| round(factor * value)).collect()
    }

    fn tensor<const D: usize>(&self, values: &[f32], shape: [usize; D]) -> Tensor<D> {
        self.place.tensor(values.to_vec(), shape).cast(self.place.activations())
    }

    /// A weight of `shape`, `[rows, …]`, on the device in its stored form, and its dequantised values.
    fn weight(&self, shape: &[usize], weights: WeightType) -> Result<(Weight, Vec<f32>)> {
        let compact = convert("selftest.weight", shape, &values("selftest", "weight", shape), weights);
        let mut kept = Vec::new();
        // Dequantising what was just converted cannot fail.
        let _ = dequantise(compact.dtype, &compact.bytes, &mut kept);
        Ok((Weight::new(compact, self.place)?, kept))
    }

    /// A bias, or a norm's scale or shift: `name` says which. It is f32 whatever the activations are.
    fn vector(&self, name: &str, length: usize) -> (Tensor<1>, Vec<f32>) {
        let values = values("selftest", name, &[length]);
        (self.place.tensor(values.clone(), [length]), values)
    }

    /// The scale and shift of a norm.
    fn affine(&self, length: usize) -> (Affine, [Vec<f32>; 2]) {
        let ((scale, scales), (shift, shifts)) = (self.vector("weight", length), self.vector("bias", length));
        (Affine { scale, shift, epsilon: EPSILON, halves: false }, [scales, shifts])
    }

    /// Queries, keys or values, `[heads, tokens, width]`. The tensor has a batch axis before these, and is a view of
    /// `[1, tokens, heads, width]`, as in the model.
    fn heads(&self, name: &str, factor: f32, [heads, tokens, width]: [usize; 3]) -> (Tensor<4>, Vec<f32>) {
        let values = self.numbers(name, heads * tokens * width, factor);
        let rows = (0..tokens).flat_map(|token| (0..heads).map(move |head| (head * tokens + token) * width));
        let beside: Vec<f32> = rows.flat_map(|at| values[at..][..width].iter().copied()).collect();
        (self.tensor(&beside, [1, tokens, heads, width]).swap_dims(1, 2), values)
    }
}

impl Kernel {
    /// A name in ASCII.
    pub fn name(&self) -> String {
        match *self {
            Self::Attention { heads, width, queries, keys, blended } => {
                let blended = if blended { " blended" } else { "" };
                format!("attention {queries}x{keys} {heads}x{width}{blended}")
            }
            Self::Conv(Convolution { channels: [input, output], kernel, stride, side, doubled, weights }) => {
                let before = if doubled { "upsample+" } else { "" };
                let step = if stride == 1 { String::new() } else { format!("/{stride}") };
                let added = if kernel == 1 { "+add" } else { "" };
                format!("{before}conv{kernel}x{kernel}{step}{added} {input}-{output} @{side} {}", weights.name())
            }
            Self::Linear { widths: [input, output], tokens, weights, geglu } => {
                let after = if geglu { "geglu" } else { "add" };
                format!("linear+{after} {input}-{output} x{tokens} {}", weights.name())
            }
            Self::GroupNorm { channels, side } => format!("group_norm+silu {channels} @{side}"),
            Self::LayerNorm { width, tokens } => format!("layer_norm {width} x{tokens}"),
            Self::Halves { count } => format!("pack+unpack {count}"),
        }
    }

    /// Whether a run in this precision uses this kernel. f16 is only for the UNet: its heads are narrow, and its
    /// features need no packing.
    pub fn is_in(&self, precision: Precision) -> bool {
        let is_wide = matches!(self, Self::Attention { width, .. } if *width > 160);
        precision != Precision::F16 || !is_wide && !matches!(self, Self::Halves { .. })
    }

    /// Floating-point operations, a multiplication and an addition counted as two; 0 for kernels that only move
    /// numbers.
    pub fn flop(&self) -> f64 {
        let product = |factors: &[usize]| 2.0 * factors.iter().map(|&factor| factor as f64).product::<f64>();
        match *self {
            Self::Attention { heads, width, queries, keys, .. } => product(&[2, heads, width, queries, keys]),
            Self::Conv(shape) => {
                let [input, output] = shape.channels;
                product(&[input, output, shape.kernel, shape.kernel, shape.out(), shape.out()])
            }
            Self::Linear { widths: [input, output], tokens, .. } => product(&[input, output, tokens]),
            Self::GroupNorm { .. } | Self::LayerNorm { .. } | Self::Halves { .. } => 0.0,
        }
    }

    /// Elements that the kernel must at least read and write; 0 for kernels that mostly compute.
    pub fn moved(&self) -> usize {
        match *self {
            Self::GroupNorm { channels, side } => 2 * channels * side * side,
            Self::LayerNorm { width, tokens } => 2 * width * tokens,
            Self::Halves { count } => 2 * count,
            _ => 0,
        }
    }

    /// Uploads the operands, and computes the expected values.
    ///
    /// # Errors
    /// The operands cannot be made.
    pub fn prepare(&self, place: &Place, precision: Precision) -> Result<Prepared> {
        let with = Operands { place, halves: precision == Precision::F16 };
        match *self {
            Self::Attention { heads, width, queries, keys, blended } => {
                Ok(prepare_attention(&with, [heads, queries, keys, width], blended))
            }
            Self::Conv(shape) => prepare_conv(&with, shape),
            Self::Linear { widths: [inputs, outputs], tokens, weights, geglu } => {
                let (weight, factors) = with.weight(&[outputs, inputs], weights)?;
                let (bias, biases) = with.vector("bias", outputs);
                let x = with.numbers("x", tokens * inputs, 1.0);
                let residual = (!geglu).then(|| with.numbers("residual", tokens * outputs, 1.0));
                let known = sums::linear(&x, &factors, Some(&biases), [inputs, outputs], geglu);
                let known = sums::added(known, residual.as_deref());
                let residual = residual.map(|residual| with.tensor(&residual, [1, tokens, outputs]));
                let x: Tensor<3> = with.tensor(&x, [1, tokens, inputs]);
                let run = move || {
                    let (x, bias, residual) = (x.clone(), Some(bias.clone()), residual.clone());
                    linear(Multiply { x, weight: &weight, bias, residual, geglu }).unsqueeze()
                };
                Ok(Prepared { run: Box::new(run), known })
            }
            Self::GroupNorm { channels, side } => {
                let (affine, [scales, shifts]) = with.affine(channels);
                let x = with.numbers("x", channels * side * side, 1.0);
                let known = sums::group_norm(&x, [&scales, &shifts], true);
                let x = with.tensor(&x, [1, channels, side, side]);
                Ok(Prepared { run: Box::new(move || group_norm(x.clone(), affine.clone(), GROUPS, true)), known })
            }
            Self::LayerNorm { width, tokens } => {
                let (affine, [scales, shifts]) = with.affine(width);
                let x = with.numbers("x", tokens * width, 1.0);
                let known = sums::layer_norm(&x, [&scales, &shifts]);
                let x: Tensor<3> = with.tensor(&x, [1, tokens, width]);
                Ok(Prepared { run: Box::new(move || layer_norm(x.clone(), affine.clone()).unsqueeze()), known })
            }
            Self::Halves { count } => {
                // Values that are already rounded to f16 come back unchanged.
                let x = Operands { place, halves: true }.numbers("x", count, 1.0);
                let known = sums::unchanged(&x);
                let x = with.tensor(&x, [1, 1, 1, count]);
                Ok(Prepared { run: Box::new(move || unpack(&pack(x.clone()))), known })
            }
        }
    }
}

fn prepare_conv(with: &Operands, shape: Convolution) -> Result<Prepared> {
    let Convolution { channels: [input, output], kernel, stride, side, doubled, weights } = shape;
    let (before, seen, out) = (kernel / 2, shape.seen(), shape.out());
    let (weight, factors) = with.weight(&[output, input, kernel, kernel], weights)?;
    let (bias, biases) = with.vector("bias", output);
    let x = with.numbers("x", input * side * side, 1.0);
    let residual = (kernel == 1).then(|| with.numbers("residual", output * out * out, 1.0));
    let window = sums::Window { side: seen, out, kernel, stride, before, repeated: seen / side };
    let known = sums::added(sums::conv(&x, &factors, &biases, input, &window), residual.as_deref());
    let residual = residual.map(|residual| with.tensor(&residual, [1, output, out, out]));
    let x = with.tensor(&x, [1, input, side, side]);
    let geometry = Geometry { kernel, stride, padding: [before; 4], upsampled: doubled.then_some([seen; 2]) };
    let run = move || {
        let (x, bias, residual) = (x.clone(), bias.clone().unsqueeze(), residual.clone());
        conv2d(Convolve { x, weight: &weight, bias, residual, geometry })
    };
    Ok(Prepared { run: Box::new(run), known })
}

fn prepare_attention(with: &Operands, [heads, queries, keys, width]: [usize; 4], blended: bool) -> Prepared {
    let (q, mut attending) = with.heads("q", SHARPNESS, [heads, queries, width]);
    let (k, scored) = with.heads("k", 1.0, [heads, keys, width]);
    let (v, mixed) = with.heads("v", 1.0, [heads, keys, width]);
    let blend = blended.then(|| {
        let (other, others) = with.heads("other", SHARPNESS, [heads, queries, width]);
        attending.iter_mut().zip(&others).for_each(|(own, other)| *own = GAMMA * other + (1.0 - GAMMA) * *own);
        (other, GAMMA)
    });
    let scale = if blended { TEMPERATURE } else { 1.0 } / (width as f32).sqrt();
    let known = sums::attention(&attending, [&scored, &mixed], f64::from(scale), [heads, queries, keys, width]);
    let operands = Attend { q, blend, k, v, scale, groups: None };
    Prepared { run: Box::new(move || attention(operands.clone())), known }
}
