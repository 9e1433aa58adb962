// The peers that our blocks are compared with: ONNX graphs of the same blocks, with the same weights and inputs.
//
// Each peer has the name of our row, and `build(weight, input)`, which gives the model's bytes and the inputs to feed.
// `weight(name, shape)` and `input(name, shape)` are the formulas that our rows use, too.

import { Graph } from "./onnx.js";

const CHANNELS = 320;
const SIDE = 64;
const PICTURE = [1, CHANNELS, SIDE, SIDE];
const TIME = 1280;
const GROUPS = 32;
const TOKENS = SIDE * SIDE;
const HEADS = 8;

/** Layers in a graph, with weights by name. */
class Layers extends Graph {
  /** @param {(name: string, shape: number[]) => Float32Array} weight */
  constructor(weight) {
    super();
    this.weight = weight;
  }

  conv(x, name) {
    const kernel = this.constant(this.weight(`${name}.weight`, [CHANNELS, CHANNELS, 3, 3]), [CHANNELS, CHANNELS, 3, 3]);
    const bias = this.constant(this.weight(`${name}.bias`, [CHANNELS]), [CHANNELS]);
    return this.node("Conv", [x, kernel, bias], { pads: [1, 1, 1, 1], strides: [1, 1], kernel_shape: [3, 3] });
  }

  /** GroupNorm and SiLU as PyTorch exports them. `name` is the prefix of the weights' names, with its dot. */
  groupNormSilu(x, name) {
    const plain = ["scale", "shift"].map((_, i) => this.constant(new Float32Array(GROUPS).fill(1 - i), [GROUPS]));
    const grouped = this.reshape(x, [1, GROUPS, -1]);
    const normal = this.node("InstanceNormalization", [grouped, ...plain], { epsilon: 1e-5 });
    const perChannel = (kind) => this.constant(this.weight(`${name}${kind}`, [CHANNELS]), [1, CHANNELS, 1, 1]);
    const scaled = this.node("Mul", [this.reshape(normal, PICTURE), perChannel("weight")]);
    return this.silu(this.node("Add", [scaled, perChannel("bias")]));
  }

  silu(x) {
    return this.node("Mul", [x, this.node("Sigmoid", [x])]);
  }

  /** x·Wᵀ. W is kept as [output, input], and ONNX's MatMul does not transpose it, so it is transposed here. */
  project(x, name, input, output) {
    const kept = this.weight(`${name}.weight`, [output, input]);
    const turned = new Float32Array(kept.length);
    for (let row = 0; row < output; row++) {
      for (let column = 0; column < input; column++) turned[column * output + row] = kept[row * input + column];
    }
    return this.node("MatMul", [x, this.constant(turned, [input, output])]);
  }

  bias(x, name, width) {
    return this.node("Add", [x, this.constant(this.weight(`${name}.bias`, [width]), [width])]);
  }
}

/** @typedef {(name: string, shape: number[]) => Float32Array} Formula */

/** @param {Formula} weight @param {Formula} input */
function conv(weight, input) {
  const graph = new Layers(weight);
  const y = graph.conv(graph.input("x", PICTURE), "conv");
  return { model: graph.finish(y, PICTURE), feeds: { x: [input("x", PICTURE), PICTURE] } };
}

/** @param {Formula} weight @param {Formula} input */
function groupNorm(weight, input) {
  const graph = new Layers(weight);
  const y = graph.groupNormSilu(graph.input("x", PICTURE), "");
  return { model: graph.finish(y, PICTURE), feeds: { x: [input("x", PICTURE), PICTURE] } };
}

/** @param {Formula} weight @param {Formula} input */
function resnet(weight, input) {
  const graph = new Layers(weight);
  const x = graph.input("x", PICTURE);
  const time = graph.input("time", [1, TIME]);
  const shift = graph.bias(graph.project(graph.silu(time), "time_emb_proj", TIME, CHANNELS), "time_emb_proj", CHANNELS);
  let hidden = graph.conv(graph.groupNormSilu(x, "norm1."), "conv1");
  hidden = graph.node("Add", [hidden, graph.reshape(shift, [1, CHANNELS, 1, 1])]);
  hidden = graph.conv(graph.groupNormSilu(hidden, "norm2."), "conv2");
  const y = graph.node("Add", [x, hidden]);
  const feeds = { x: [input("x", PICTURE), PICTURE], time: [input("time", [1, TIME]), [1, TIME]] };
  return { model: graph.finish(y, PICTURE), feeds };
}

/** @param {boolean} fused as one MultiHeadAttention node, or as products and a softmax */
const attention = (fused) => (/** @type {Formula} */ weight, /** @type {Formula} */ input) => {
  const shape = [1, TOKENS, CHANNELS];
  const headDim = CHANNELS / HEADS;
  const graph = new Layers(weight);
  const x = graph.input("x", shape);
  const affine = ["weight", "bias"].map((kind) => graph.constant(weight(`norm1.${kind}`, [CHANNELS]), [CHANNELS]));
  const normal = graph.node("LayerNormalization", [x, ...affine], { axis: -1 + shape.length, epsilon: 1e-5 });
  const [q, k, v] = ["q", "k", "v"].map((name) => graph.project(normal, `attn1.to_${name}`, CHANNELS, CHANNELS));
  let joined;
  if (fused) {
    joined = graph.node("com.microsoft:MultiHeadAttention", [q, k, v], { num_heads: HEADS });
  } else {
    const split = (value, perm) =>
      graph.node("Transpose", [graph.reshape(value, [1, TOKENS, HEADS, headDim])], { perm });
    const scale = graph.constant(Float32Array.of(headDim ** -0.5), [1]);
    const scaled = graph.node("Mul", [split(q, [0, 2, 1, 3]), scale]);
    const scores = graph.node("Softmax", [graph.node("MatMul", [scaled, split(k, [0, 2, 3, 1])])], { axis: 3 });
    const mixed = graph.node("MatMul", [scores, split(v, [0, 2, 1, 3])]);
    joined = graph.reshape(graph.node("Transpose", [mixed], { perm: [0, 2, 1, 3] }), shape);
  }
  const out = graph.bias(graph.project(joined, "attn1.to_out.0", CHANNELS, CHANNELS), "attn1.to_out.0", CHANNELS);
  const y = graph.node("Add", [x, out]);
  return { model: graph.finish(y, shape), feeds: { x: [input("x", shape), shape] } };
};

/** Largest difference between our output and a peer's, relative to the peer's largest value, if both compute the same. */
export const TOLERANCE = 1e-3;

/** Measured unless told otherwise. Not `fused`: on SwiftShader its result is wrong from 256 tokens on (right at 16). */
export const DEFAULT_PEERS = ["conv", "norm", "resnet", "attention"];

/** The peers, by the names that `--peers` takes. */
export const PEERS = {
  conv: { row: "conv3x3 320-320 @64", build: conv },
  norm: { row: "group_norm+silu 320 @64", build: groupNorm },
  resnet: { row: "block resnet 320 @64", build: resnet },
  attention: { row: "block self-attention 4096 8x40", build: attention(false) },
  fused: { row: "block self-attention 4096 8x40", build: attention(true) },
};
