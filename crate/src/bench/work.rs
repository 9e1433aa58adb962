//! One operation or block at one shape: its name, and the work and memory that it takes.

/// An operation or block to measure, at batch size 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A convolution of a picture of `side` by `side`.
    Conv { channels: [usize; 2], kernel: usize, stride: usize, padding: [usize; 2], side: usize },
    /// Nearest-neighbour upsampling of a picture of `side` by `side` to twice that, then a 3×3 convolution.
    UpConv { channels: usize, side: usize },
    /// A linear layer over `tokens` tokens.
    Linear { widths: [usize; 2], bias: bool, tokens: usize },
    /// Attention of `queries` queries over `keys` keys.
    Attention { heads: usize, head_dim: usize, queries: usize, keys: usize },
    /// Group norm over 32 groups.
    GroupNorm { channels: usize, side: usize, silu: bool },
    /// Layer norm.
    LayerNorm { width: usize, tokens: usize },
    /// A `ResnetBlock` with as many channels out as in.
    Resnet { channels: usize, side: usize },
    /// Layer norm, projections to queries, keys and values, attention and output projection, added to the input.
    SelfAttention { width: usize, heads: usize, tokens: usize },
    /// A `TransformerBlock` with a context of 77 tokens, whose keys and values are computed beforehand.
    Transformer { width: usize, heads: usize, tokens: usize, context: usize },
}

/// Tokens of a prompt.
pub const PROMPT: usize = 77;
/// Width of the timestep's embedding in both models.
pub const TIME: usize = 1280;

impl Work {
    /// The family that a report groups by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conv { .. } | Self::UpConv { .. } => "conv",
            Self::Linear { .. } => "linear",
            Self::Attention { .. } => "attention",
            Self::GroupNorm { .. } | Self::LayerNorm { .. } => "norm",
            Self::Resnet { .. } | Self::SelfAttention { .. } | Self::Transformer { .. } => "block",
        }
    }

    /// A name in ASCII, which filters search.
    pub fn name(&self) -> String {
        match *self {
            Self::Conv { channels: [input, output], kernel, stride, padding, side } => {
                let stride = if stride == 1 { String::new() } else { format!("/{stride}") };
                let corner = if padding[0] == padding[1] { "" } else { " corner" };
                format!("conv{kernel}x{kernel}{stride}{corner} {input}-{output} @{side}")
            }
            Self::UpConv { channels, side } => format!("upsample+conv3x3 {channels}-{channels} @{side}"),
            Self::Linear { widths: [input, output], tokens, .. } => format!("linear {input}-{output} x{tokens}"),
            Self::Attention { heads, head_dim, queries, keys } => {
                format!("attention {queries}x{keys} {heads}x{head_dim}")
            }
            Self::GroupNorm { channels, side, silu } => {
                format!("group_norm{} {channels} @{side}", if silu { "+silu" } else { "" })
            }
            Self::LayerNorm { width, tokens } => format!("layer_norm {width} x{tokens}"),
            Self::Resnet { channels, side } => format!("block resnet {channels} @{side}"),
            Self::SelfAttention { width, heads, tokens } => {
                format!("block self-attention {tokens} {heads}x{}", width / heads)
            }
            Self::Transformer { width, heads, tokens, .. } => {
                format!("block transformer {tokens} {heads}x{}", width / heads)
            }
        }
    }

    /// Floating-point operations, a multiplication and an addition counted as two; those of norms are not counted.
    pub fn flop(&self) -> f64 {
        let product = |factors: &[usize]| 2.0 * factors.iter().map(|&factor| factor as f64).product::<f64>();
        match *self {
            Self::Conv { channels: [input, output], kernel, stride, padding, side } => {
                let out = (side + padding[0] + padding[1] - kernel) / stride + 1;
                product(&[input, output, kernel, kernel, out, out])
            }
            Self::UpConv { channels, side } => product(&[channels, channels, 9, 2 * side, 2 * side]),
            Self::Linear { widths: [input, output], tokens, .. } => product(&[input, output, tokens]),
            Self::Attention { heads, head_dim, queries, keys } => product(&[2, heads, head_dim, queries, keys]),
            Self::GroupNorm { .. } | Self::LayerNorm { .. } => 0.0,
            Self::Resnet { channels, side } => {
                2.0 * product(&[channels, channels, 9, side, side]) + product(&[TIME, channels])
            }
            Self::SelfAttention { width, tokens, .. } => {
                product(&[4, width, width, tokens]) + product(&[2, width, tokens, tokens])
            }
            Self::Transformer { width, tokens, heads, .. } => {
                let own = Self::SelfAttention { width, heads, tokens }.flop();
                let projections = product(&[2, width, width, tokens]);
                let cross = product(&[2, width, tokens, PROMPT]);
                own + projections + cross + product(&[12, width, width, tokens])
            }
        }
    }

    /// Elements of the largest tensor: inputs, output and, in a transformer block, the GEGLU's intermediate values.
    pub fn largest(&self) -> usize {
        match *self {
            Self::Conv { channels: [input, output], stride, side, .. } => {
                (input * side * side).max(output * (side / stride).pow(2))
            }
            Self::UpConv { channels, side } => channels * (2 * side).pow(2),
            Self::Linear { widths: [input, output], tokens, .. } => input.max(output) * tokens,
            Self::Attention { heads, head_dim, queries, keys } => heads * head_dim * queries.max(keys),
            Self::GroupNorm { channels, side, .. } | Self::Resnet { channels, side } => channels * side * side,
            Self::LayerNorm { width, tokens } | Self::SelfAttention { width, tokens, .. } => width * tokens,
            Self::Transformer { width, tokens, .. } => 8 * width * tokens,
        }
    }

    /// Bytes of f32 activations that a norm must at least move: its input once and its output once. 0 for all others.
    pub fn bytes(&self) -> f64 {
        match *self {
            Self::GroupNorm { channels, side, .. } => 8.0 * (channels * side * side) as f64,
            Self::LayerNorm { width, tokens } => 8.0 * (width * tokens) as f64,
            _ => 0.0,
        }
    }

    /// Weights, biases and norms' scales and shifts; 0 for blocks, whose parts are counted by themselves.
    pub fn parameters(&self) -> usize {
        match *self {
            Self::Conv { channels: [input, output], kernel, .. } => input * output * kernel * kernel + output,
            Self::UpConv { channels, .. } => channels * channels * 9 + channels,
            Self::Linear { widths: [input, output], bias, .. } => input * output + if bias { output } else { 0 },
            Self::GroupNorm { channels: width, .. } | Self::LayerNorm { width, .. } => 2 * width,
            _ => 0,
        }
    }
}
