// Writes ONNX models: the few messages of onnx.proto3 that a graph of tensors takes, encoded by hand.

const FLOAT = 1;
const INT64 = 7;

/** @param {number} value @returns {number[]} */
function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return [...bytes, value];
}

/** @param {Uint8Array[]} parts */
function join(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const integer = (field, value) => Uint8Array.from([...varint(field * 8), ...varint(value)]);
const float = (field, value) => join([Uint8Array.of(field * 8 + 5), bytesOf(Float32Array.of(value))]);
const message = (field, ...parts) => {
  const body = join(parts);
  return join([Uint8Array.from([...varint(field * 8 + 2), ...varint(body.length)]), body]);
};
const text = (field, value) => message(field, new TextEncoder().encode(value));
const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

function attribute(name, value) {
  if (Array.isArray(value)) return message(5, text(1, name), ...value.map((x) => integer(8, x)), integer(20, 7));
  if (Number.isInteger(value)) return message(5, text(1, name), integer(3, value), integer(20, 2));
  return message(5, text(1, name), float(2, value), integer(20, 1));
}

function valueInfo(field, name, shape) {
  const dimensions = shape.map((size) => message(1, integer(1, size)));
  return message(field, text(1, name), message(2, message(1, integer(1, FLOAT), message(2, ...dimensions))));
}

/** A graph that grows node by node. Values are known by their names. */
export class Graph {
  #nodes = [];
  #constants = [];
  #inputs = [];
  #count = 0;

  /** @param {string} name @param {number[]} shape */
  input(name, shape) {
    this.#inputs.push(valueInfo(11, name, shape));
    return name;
  }

  /** A constant of f32 or, as shapes are, of i64. @param {Float32Array | number[]} values @param {number[]} shape */
  constant(values, shape) {
    const name = `c${this.#count++}`;
    const [type, data] = Array.isArray(values) ? [INT64, BigInt64Array.from(values, BigInt)] : [FLOAT, values];
    const dimensions = shape.map((size) => integer(1, size));
    this.#constants.push(message(5, ...dimensions, integer(2, type), text(8, name), message(9, bytesOf(data))));
    return name;
  }

  /** Adds a node with one output. @param {string} type "Conv", or "domain:Type" @param {string[]} inputs */
  node(type, inputs, attributes = {}, output = `v${this.#count++}`) {
    const [kind, domain] = type.split(":").reverse();
    const parts = inputs.map((name) => text(1, name));
    parts.push(text(2, output), text(4, kind), ...Object.entries(attributes).map(([name, x]) => attribute(name, x)));
    if (domain) parts.push(text(7, domain));
    this.#nodes.push(message(1, ...parts));
    return output;
  }

  /** @param {string} value @param {number[]} shape */
  reshape(value, shape) {
    return this.node("Reshape", [value, this.constant(shape, [shape.length])]);
  }

  /**
   * The model, with `value` as output "y", and its first number as output "probe".
   * @param {string} value @param {number[]} shape
   */
  finish(value, shape) {
    this.node("Identity", [value], {}, "y");
    const ones = shape.map(() => 1);
    const bounds = [shape.map(() => 0), ones].map((bound) => this.constant(bound, [shape.length]));
    this.node("Slice", ["y", ...bounds], {}, "probe");
    const outputs = [valueInfo(12, "y", shape), valueInfo(12, "probe", ones)];
    const graph = message(7, ...this.#nodes, text(2, "peer"), ...this.#constants, ...this.#inputs, ...outputs);
    const opsets = [
      ["", 17],
      ["com.microsoft", 1],
    ].map(([domain, version]) => message(8, text(1, domain), integer(2, version)));
    return join([integer(1, 8), ...opsets, graph]);
  }
}
