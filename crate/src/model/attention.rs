//! Attention, transformer blocks, and the attention processor: the only hook through which `StyleID` reads and replaces
//! features.

use burn::module::Module;
use burn::tensor::Tensor;

use super::layers::{Builder, Conv, Linear};
use super::norms::{GroupNorm, LayerNorm};
use crate::Result;
use crate::ops::attention::{Attend, Groups, attention};

/// Queries, keys and values of one self-attention, each `[batch, heads, tokens, head_dim]`: after projection and head
/// split, before scaling.
#[derive(Debug, Clone)]
pub struct Qkv {
    /// Queries.
    pub q: Tensor<4>,
    /// Other queries of the same shape and their share γ: attention uses γ·other + (1 − γ)·q. `None` in the plain network.
    pub blend: Option<(Tensor<4>, f32)>,
    /// Keys; their number of tokens may differ from the queries'.
    pub k: Tensor<4>,
    /// Values, as many tokens as the keys.
    pub v: Tensor<4>,
    /// Multiplies the scores in addition to 1/√`head_dim`; 1 in the plain network.
    pub temperature: f32,
    /// Log-weights added to the scores, by group of keys; `None` in the plain network.
    pub groups: Option<Groups>,
}

impl Qkv {
    /// Plain attention, without injection.
    pub fn plain(q: Tensor<4>, KeyValue { k, v }: KeyValue) -> Self {
        Self { q, blend: None, k, v, temperature: 1.0, groups: None }
    }
}

/// Keys and values to attend over, `[batch, heads, tokens, head_dim]` each.
#[derive(Debug, Clone)]
pub struct KeyValue {
    /// Keys.
    pub k: Tensor<4>,
    /// Values.
    pub v: Tensor<4>,
}

impl KeyValue {
    /// Repeats them for every picture of a batch.
    #[must_use]
    pub fn repeat(&self, batch: usize) -> Self {
        Self { k: self.k.clone().repeat_dim(0, batch), v: self.v.clone().repeat_dim(0, batch) }
    }
}

/// The self-attention of one decoder layer, as an [`AttentionProcessor`] sees it.
pub struct SelfAttention<'a> {
    /// The layer's queries, `[batch, heads, tokens, head_dim]`.
    pub q: Tensor<4>,
    /// Projects the layer's own keys and values. Lazy, since they are not needed if they are replaced.
    keys_values: &'a dyn Fn() -> KeyValue,
}

impl<'a> SelfAttention<'a> {
    /// From a layer's queries, and the projection of its keys and values.
    pub fn new(q: Tensor<4>, keys_values: &'a dyn Fn() -> KeyValue) -> Self {
        Self { q, keys_values }
    }

    /// The layer's own keys and values.
    pub fn keys_values(&self) -> KeyValue {
        (self.keys_values)()
    }

    /// Plain attention, `[batch, heads, tokens, head_dim]`.
    pub fn plain(&self) -> Tensor<4> {
        attend(Qkv::plain(self.q.clone(), self.keys_values()))
    }

    /// Attention with `qkv`, mixed with plain attention by each token's `share` `[1, 1, tokens, 1]`. Without a share, `qkv`
    /// alone.
    pub fn attend(&self, qkv: Qkv, share: Option<Tensor<4>>) -> Tensor<4> {
        match share {
            None => attend(qkv),
            Some(share) => {
                let plain = self.plain();
                mix(attend(qkv), plain, share)
            }
        }
    }
}

/// Computes the self-attentions of the decoder (diffusers' attention processor). The network calls it once per layer and
/// knows nothing else of the method.
pub trait AttentionProcessor {
    /// The attention output of decoder layer `layer`, `[batch, heads, tokens, head_dim]`, before the output projection.
    fn attend(&mut self, layer: usize, own: SelfAttention<'_>) -> Tensor<4>;
}

/// Leaves every layer as it is.
pub struct PlainProcessor;

impl AttentionProcessor for PlainProcessor {
    fn attend(&mut self, _layer: usize, own: SelfAttention<'_>) -> Tensor<4> {
        own.plain()
    }
}

/// A decoder layer's number and the processor to call there.
pub type Processing<'a> = Option<(usize, &'a mut dyn AttentionProcessor)>;

/// softmax(temperature · q̂kᵀ/√d)·v with q̂ the blended queries, all `[batch, heads, tokens, head_dim]`.
pub fn attend(Qkv { q, blend, k, v, temperature, groups }: Qkv) -> Tensor<4> {
    let scale = temperature / (q.dims()[3] as f32).sqrt();
    attention(Attend { q, blend, k, v, scale, groups })
}

/// share·a + (1 − share)·b: `a` where the share is 1 and `b` where it is 0, bit for bit.
fn mix(a: Tensor<4>, b: Tensor<4>, share: Tensor<4>) -> Tensor<4> {
    let share = share.cast(a.dtype());
    let rest = share.clone().neg().add_scalar(1.0);
    a * share + b * rest
}

/// Splits `[batch, tokens, heads·d]` to `[batch, heads, tokens, d]`.
fn split_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, tokens, width] = x.dims();
    x.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2)
}

/// Joins `[batch, heads, tokens, d]` to `[batch, tokens, heads·d]`.
pub(super) fn join_heads(x: Tensor<4>) -> Tensor<3> {
    let [batch, heads, tokens, head_dim] = x.dims();
    x.swap_dims(1, 2).reshape([batch, tokens, heads * head_dim])
}

/// Multi-head attention over tokens (diffusers `Attention`).
#[derive(Module, Debug)]
pub struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    heads: usize,
}

impl Attention {
    /// Attention of `width` over a context of `context_width`; only the VAE's projections have biases (`qkv_bias`).
    ///
    /// # Errors
    /// Names a missing or wrongly shaped tensor.
    pub fn build(mut at: Builder, width: usize, context_width: usize, heads: usize, qkv_bias: bool) -> Result<Self> {
        Ok(Self {
            to_q: at.linear("to_q", [width, width], qkv_bias)?,
            to_k: at.linear("to_k", [context_width, width], qkv_bias)?,
            to_v: at.linear("to_v", [context_width, width], qkv_bias)?,
            to_out: at.linear("to_out.0", [width, width], true)?,
            heads,
        })
    }

    /// Self-attention of `[batch, tokens, width]`, added to `residual` of the same shape if there is one.
    pub fn forward(&self, x: Tensor<3>, residual: Option<Tensor<3>>, processing: Processing) -> Tensor<3> {
        let Some((layer, processor)) = processing else {
            let over = self.project(&x);
            return self.over(x, over, residual);
        };
        let q = split_heads(self.to_q.forward(x.clone()), self.heads);
        let attended = processor.attend(layer, SelfAttention::new(q, &|| self.project(&x)));
        self.finish(attended, residual)
    }

    /// Keys and values of a context `[batch, n, context_width]`.
    pub fn project(&self, context: &Tensor<3>) -> KeyValue {
        KeyValue {
            k: split_heads(self.to_k.forward(context.clone()), self.heads),
            v: split_heads(self.to_v.forward(context.clone()), self.heads),
        }
    }

    /// As [`Attention::forward`], over keys and values that were projected before.
    pub fn over(&self, x: Tensor<3>, context: KeyValue, residual: Option<Tensor<3>>) -> Tensor<3> {
        let q = split_heads(self.to_q.forward(x), self.heads);
        self.finish(attend(Qkv::plain(q, context)), residual)
    }

    fn finish(&self, attended: Tensor<4>, residual: Option<Tensor<3>>) -> Tensor<3> {
        self.to_out.forward_added(join_heads(attended), residual)
    }
}

/// Maximum bytes of the widest tensor of a feed-forward: half of the binding size that WebGPU guarantees. Unsplit, it would
/// be larger beyond 768 px.
const WIDE_BYTES: usize = 64 << 20;

/// GEGLU feed-forward: (x·W₁ + b₁)·gelu(x·W₂ + b₂), then back to the width (diffusers `FeedForward`).
#[derive(Module, Debug)]
pub struct FeedForward {
    proj: Linear,
    out: Linear,
}

impl FeedForward {
    fn build(mut at: Builder, width: usize) -> Result<Self> {
        let inner = 4 * width;
        Ok(Self {
            proj: at.linear("net.0.proj", [width, 2 * inner], true)?,
            out: at.linear("net.2", [inner, width], true)?,
        })
    }

    /// `[batch, tokens, width]`, added to `residual` of the same shape if there is one.
    pub fn forward(&self, x: Tensor<3>, residual: Option<Tensor<3>>) -> Tensor<3> {
        let [batch, _, width] = x.dims();
        // Hidden values and gates are eight times as wide as the tokens.
        let most = WIDE_BYTES / (8 * width * x.dtype().size() * batch);
        self.forward_in_parts(x, residual, most.max(1))
    }

    /// As [`FeedForward::forward`], at most `most` tokens at a time: tokens are independent of each other.
    pub(super) fn forward_in_parts(&self, x: Tensor<3>, residual: Option<Tensor<3>>, most: usize) -> Tensor<3> {
        let part = |x, residual| self.out.forward_added(self.proj.forward_geglu(x), residual);
        if x.dims()[1] <= most {
            return part(x, residual);
        }
        let xs = x.split(most, 1);
        let parts = match residual {
            Some(residual) => xs.into_iter().zip(residual.split(most, 1)).map(|(x, r)| part(x, Some(r))).collect(),
            None => xs.into_iter().map(|x| part(x, None)).collect(),
        };
        Tensor::cat(parts, 1)
    }
}

/// Self-attention, cross-attention and feed-forward, each after a layer norm and added to its input.
#[derive(Module, Debug)]
pub struct TransformerBlock {
    pub(crate) norm1: LayerNorm,
    pub(crate) attn1: Attention,
    pub(crate) norm2: LayerNorm,
    pub(crate) attn2: Attention,
    pub(crate) norm3: LayerNorm,
    pub(crate) ff: FeedForward,
}

impl TransformerBlock {
    /// # Errors
    /// Names a missing or wrongly shaped tensor.
    pub fn build(mut at: Builder, width: usize, context_width: usize, heads: usize) -> Result<Self> {
        Ok(Self {
            norm1: at.layer_norm("norm1", width, 1e-5)?,
            attn1: Attention::build(at.at("attn1"), width, width, heads, false)?,
            norm2: at.layer_norm("norm2", width, 1e-5)?,
            attn2: Attention::build(at.at("attn2"), width, context_width, heads, false)?,
            norm3: at.layer_norm("norm3", width, 1e-5)?,
            ff: FeedForward::build(at.at("ff"), width)?,
        })
    }

    /// `[batch, tokens, width]` to the same shape, with `context` as this block's cross-attention
    /// [projected](SpatialTransformer::project) it.
    pub fn forward(&self, x: Tensor<3>, context: KeyValue, processing: Processing) -> Tensor<3> {
        let x = self.attn1.forward(self.norm1.forward(x.clone()), Some(x), processing);
        let x = self.attn2.over(self.norm2.forward(x.clone()), context, Some(x));
        self.ff.forward(self.norm3.forward(x.clone()), Some(x))
    }
}

/// The projection around the transformer blocks: 1×1 convolution in 1.x, linear in 2.x.
#[derive(Module, Debug)]
enum Projection {
    Conv(Conv),
    Linear(Linear),
}

impl Projection {
    fn build(at: &mut Builder, name: &str, channels: usize, linear: bool) -> Result<Self> {
        Ok(if linear {
            Self::Linear(at.linear(name, [channels, channels], true)?)
        } else {
            Self::Conv(at.conv(name, [channels, channels], 1, 1, 0)?)
        })
    }
}

/// Transformer blocks over a picture's pixels as tokens, added to the picture (diffusers `Transformer2DModel`).
#[derive(Module, Debug)]
pub struct SpatialTransformer {
    norm: GroupNorm,
    proj_in: Projection,
    pub(crate) blocks: Vec<TransformerBlock>,
    proj_out: Projection,
}

/// The sizes of a [`SpatialTransformer`].
#[derive(Debug, Clone, Copy)]
pub struct TransformerShape {
    /// Channels in and out.
    pub channels: usize,
    /// Width of the text context.
    pub context_width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Transformer blocks.
    pub depth: usize,
    /// Groups of the group norm.
    pub groups: usize,
    /// Linear projections (2.x) rather than 1×1 convolutions.
    pub linear: bool,
}

impl SpatialTransformer {
    /// # Errors
    /// Names a missing or wrongly shaped tensor.
    pub fn build(mut at: Builder, shape: TransformerShape) -> Result<Self> {
        let TransformerShape { channels, context_width, heads, depth, groups, linear } = shape;
        Ok(Self {
            norm: at.group_norm("norm", groups, channels, 1e-6)?,
            proj_in: Projection::build(&mut at, "proj_in", channels, linear)?,
            blocks: (0..depth)
                .map(|i| {
                    TransformerBlock::build(
                        at.at(format_args!("transformer_blocks.{i}")),
                        channels,
                        context_width,
                        heads,
                    )
                })
                .collect::<Result<_>>()?,
            proj_out: Projection::build(&mut at, "proj_out", channels, linear)?,
        })
    }

    /// The tokens that enter the first transformer block, `[batch, height·width, channels]`.
    pub(crate) fn tokens(&self, x: Tensor<4>) -> Tensor<3> {
        let dtype = x.dtype();
        let x = self.norm.forward(x);
        let tokens = match &self.proj_in {
            Projection::Conv(conv) => to_tokens(conv.forward(x)),
            Projection::Linear(linear) => linear.forward(to_tokens(x)),
        };
        // The blocks add to the tokens, as the network does to the picture.
        if tokens.dtype() == dtype { tokens } else { tokens.cast(dtype) }
    }

    /// Each block's cross-attention keys and values for `context` `[batch, n, context_width]`.
    pub fn project(&self, context: &Tensor<3>) -> Vec<KeyValue> {
        self.blocks.iter().map(|block| block.attn2.project(context)).collect()
    }

    /// `[batch, channels, height, width]` with the [projected](Self::project) context to the same shape. A processor
    /// computes the first block's self-attention.
    pub fn forward(&self, x: Tensor<4>, context: &[KeyValue], mut processing: Processing) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let mut tokens = self.tokens(x.clone());
        for (block, context) in self.blocks.iter().zip(context) {
            tokens = block.forward(tokens, context.clone(), processing.take());
        }
        match &self.proj_out {
            Projection::Conv(conv) => conv.forward_added(to_picture(tokens, height, width), x),
            Projection::Linear(linear) => x + to_picture(linear.forward(tokens), height, width),
        }
    }
}

/// `[batch, channels, height, width]` to `[batch, height·width, channels]`.
pub(super) fn to_tokens(x: Tensor<4>) -> Tensor<3> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height * width]).swap_dims(1, 2)
}

/// `[batch, height·width, channels]` to `[batch, channels, height, width]`.
pub(super) fn to_picture(x: Tensor<3>, height: usize, width: usize) -> Tensor<4> {
    let [batch, _, channels] = x.dims();
    x.swap_dims(1, 2).reshape([batch, channels, height, width])
}
