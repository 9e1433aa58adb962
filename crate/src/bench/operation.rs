//! The operation of a row: a layer of the model, or one of our operations, with weights and inputs by formula.

use burn::tensor::Tensor;

use super::work::{PROMPT, TIME, Work};
use crate::Result;
use crate::device::Place;
use crate::model::attention::{Attention, TransformerBlock};
use crate::model::layers::{Builder, ConvShape};
use crate::model::resnet::{ResnetBlock, ResnetShape, Upsample};
use crate::model::tensors::Tensors;
use crate::ops::attention::{Attend, attention};
use crate::ops::norm::{Affine, group_norm, layer_norm};
use crate::selftest::formula::{uniform, values};
use crate::selftest::sums::{EPSILON, GROUPS};
use crate::weights::WeightType;

/// Runs the operation once and returns the result, `[1, …]`.
pub type Operation = Box<dyn Fn() -> Tensor<4>>;

/// The values of weight `name`. They are the same for every row, so that another engine can use them too.
pub fn weight(name: &str, shape: &[usize]) -> Vec<f32> {
    values("bench", name, shape)
}

/// The values of input `name`.
pub fn input(name: &str, shape: &[usize]) -> Vec<f32> {
    uniform(&format!("bench.{name}"), shape.iter().product())
}

/// An input, in the type of the place's activations.
fn tensor<const D: usize>(place: &Place, name: &str, shape: [usize; D]) -> Tensor<D> {
    place.tensor(input(name, &shape), shape).cast(place.activations())
}

fn affine(place: &Place, channels: usize) -> Affine {
    let vector = |name: &str| place.tensor(weight(name, &[channels]), [channels]);
    Affine { scale: vector("weight"), shift: vector("bias"), epsilon: EPSILON, halves: false }
}

/// Puts `work` on the device.
///
/// # Errors
/// Its tensors cannot be made.
pub fn build(work: Work, place: &Place, weights: WeightType) -> Result<Operation> {
    let mut tensors = Tensors::from_formula("bench", weights, Box::new(weight));
    let mut at = Builder::new(&mut tensors, place);
    Ok(match work {
        Work::Conv { channels, kernel, stride, padding, side } => {
            let conv = at.conv_of("conv", ConvShape { channels, kernel, stride, padding })?;
            let x = tensor(place, "x", [1, channels[0], side, side]);
            Box::new(move || conv.forward(x.clone()))
        }
        Work::UpConv { channels, side } => {
            let upsample = Upsample::build(at, channels)?;
            let x = tensor(place, "x", [1, channels, side, side]);
            Box::new(move || upsample.forward(x.clone(), None))
        }
        Work::Linear { widths, bias, tokens } => {
            let linear = at.linear("linear", widths, bias)?;
            let x = tensor(place, "x", [1, tokens, widths[0]]);
            Box::new(move || linear.forward(x.clone()).unsqueeze())
        }
        Work::Attention { heads, head_dim, queries, keys } => {
            let q = tensor(place, "q", [1, heads, queries, head_dim]);
            let [k, v] = ["k", "v"].map(|name| tensor(place, name, [1, heads, keys, head_dim]));
            let operands = Attend { q, blend: None, k, v, scale: 1.0 / (head_dim as f32).sqrt(), groups: None };
            Box::new(move || attention(operands.clone()))
        }
        Work::GroupNorm { channels, side, silu } => {
            let affine = affine(place, channels);
            let x = tensor(place, "x", [1, channels, side, side]);
            Box::new(move || group_norm(x.clone(), affine.clone(), GROUPS, silu))
        }
        Work::LayerNorm { width, tokens } => {
            let affine = affine(place, width);
            let x = tensor(place, "x", [1, tokens, width]);
            Box::new(move || layer_norm(x.clone(), affine.clone()).unsqueeze())
        }
        Work::Resnet { channels, side } => {
            let shape = ResnetShape {
                input: channels,
                output: channels,
                time_width: Some(TIME),
                groups: GROUPS,
                epsilon: EPSILON,
                scale: 1.0,
            };
            let block = ResnetBlock::build(at, shape)?;
            let x = tensor(place, "x", [1, channels, side, side]);
            let time = place.tensor(input("time", &[1, TIME]), [1, TIME]);
            Box::new(move || block.forward(x.clone(), Some(&time)))
        }
        Work::SelfAttention { width, heads, tokens } => {
            let norm = at.layer_norm("norm1", width, EPSILON)?;
            let attention = Attention::build(at.at("attn1"), width, width, heads, false)?;
            let x = tensor(place, "x", [1, tokens, width]);
            Box::new(move || attention.forward(norm.forward(x.clone()), Some(x.clone()), None).unsqueeze())
        }
        Work::Transformer { width, heads, tokens, context } => {
            let block = TransformerBlock::build(at, width, context, heads)?;
            let x = tensor(place, "x", [1, tokens, width]);
            // A run projects the context once, not in every call.
            let context = block.attn2.project(&tensor(place, "context", [1, PROMPT, context]));
            Box::new(move || block.forward(x.clone(), context.clone(), None).unsqueeze())
        }
    })
}
