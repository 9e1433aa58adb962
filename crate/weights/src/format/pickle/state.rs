//! The tensors in a pickle from `PyTorch`: finds the model's dict and decodes its tensors.

use std::collections::HashSet;

use super::{Node, Pickle, PickleValue};

/// A tensor as described in a pickle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickledTensor<'a> {
    /// Its name in the model's dict.
    pub name: &'a str,
    /// Its type: that of its storage, such as `Half`, or its own, such as `float8_e4m3fn`.
    pub element: &'a str,
    /// The name of its storage.
    pub storage: &'a str,
    /// Number of elements before its first one in the storage.
    pub offset: u64,
    /// Its shape, outermost dimension first.
    pub shape: Vec<u64>,
    /// Whether its values are contiguous in row-major order.
    pub is_contiguous: bool,
}

/// Deepest level of nested dicts that is searched.
const DEPTH: usize = 4;

/// Most dimensions that are accepted.
const MOST_DIMS: usize = 8;

/// Most tensors that are accepted.
const MOST_TENSORS: usize = 1 << 16;

/// Functions that return their first argument, a tensor.
const WRAPPERS: [(&str, &str); 3] = [
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_parameter_with_state"),
    ("torch.nn.parameter", "Parameter"),
];

/// The tensors of the model's dict: `state_dict` if there is one, else the dict with the most tensors.
pub fn tensors<'a>(pickle: &Pickle<'a>) -> Vec<PickledTensor<'a>> {
    let mut best = Vec::new();
    let mut level = vec![pickle.top];
    // A dict that occurs more than once, or in itself, is visited once.
    let mut seen = HashSet::new();
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for value in level {
            let Some(Node::Dict(pairs)) = pickle.node(value) else { continue };
            let is_state = |pair: &&(PickleValue, PickleValue)| pickle.text(pair.0) == Some("state_dict");
            let state = pairs.iter().rev().find(is_state).map(|(_, state)| tensors_of(pickle, *state));
            let found = state.filter(|found| !found.is_empty()).unwrap_or_else(|| tensors_of(pickle, value));
            if found.len() > best.len() {
                best = found;
            }
            let node = |(_, value): &(PickleValue, PickleValue)| match value {
                PickleValue::Node(at) if seen.insert(*at) => Some(*value),
                _ => None,
            };
            next.extend(pairs.iter().filter_map(node));
        }
        // The dict nearest to the root wins.
        if !best.is_empty() {
            break;
        }
        level = next;
    }
    best
}

fn tensors_of<'a>(pickle: &Pickle<'a>, dict: PickleValue) -> Vec<PickledTensor<'a>> {
    let Some(Node::Dict(pairs)) = pickle.node(dict) else { return Vec::new() };
    let tensor = |(key, value): &(PickleValue, PickleValue)| tensor(pickle, pickle.text(*key)?, *value, DEPTH);
    pairs.iter().filter_map(tensor).take(MOST_TENSORS).collect()
}

fn tensor<'a>(pickle: &Pickle<'a>, name: &'a str, value: PickleValue, depth: usize) -> Option<PickledTensor<'a>> {
    let Some(Node::Made { callee, arguments }) = pickle.node(value) else { return None };
    let (module, function) = pickle.global(*callee)?;
    let arguments = pickle.tuple(*arguments)?;
    if WRAPPERS.contains(&(module, function)) {
        return tensor(pickle, name, *arguments.first()?, depth.checked_sub(1)?);
    }
    let arguments = match (module, function) {
        // Calls another function on behalf of a subclass: the function, the class, the function's arguments.
        ("torch._tensor", "_rebuild_from_type_v2") => {
            if pickle.global(*arguments.first()?)?.0 != "torch._utils" {
                return None;
            }
            pickle.tuple(*arguments.get(2)?)?
        }
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3") => arguments,
        _ => return None,
    };
    let [storage, offset, shape, strides, ..] = arguments else { return None };
    let Some(Node::Outside(id)) = pickle.node(*storage) else { return None };
    let id = pickle.tuple(*id)?;
    let [kind, class, key, ..] = id else { return None };
    if pickle.text(*kind) != Some("storage") {
        return None;
    }
    let element = pickle.global(*class)?.1.strip_suffix("Storage")?;
    // For untyped storages, the tensor itself has the type.
    let own = arguments.iter().skip(4).find_map(|value| pickle.global(*value).filter(|(module, _)| *module == "torch"));
    let element = own.filter(|_| element == "Untyped").map_or(element, |(_, dtype)| dtype);
    let (shape, strides) = (sizes(pickle, *shape)?, sizes(pickle, *strides)?);
    let is_contiguous = is_contiguous(&shape, &strides);
    let (storage, offset) = (pickle.text(*key)?, size(*offset)?);
    Some(PickledTensor { name, element, storage, offset, shape, is_contiguous })
}

fn size(value: PickleValue) -> Option<u64> {
    if let PickleValue::Int(size) = value { u64::try_from(size).ok() } else { None }
}

fn sizes(pickle: &Pickle<'_>, value: PickleValue) -> Option<Vec<u64>> {
    let elements = pickle.tuple(value)?;
    (elements.len() <= MOST_DIMS).then(|| elements.iter().map(|value| size(*value)).collect()).flatten()
}

/// Whether the strides are row-major and without gaps. Strides of dimensions of 1 do not matter.
fn is_contiguous(shape: &[u64], strides: &[u64]) -> bool {
    let mut step = Some(1u64);
    shape.len() == strides.len()
        && shape.iter().zip(strides).rev().all(|(&side, &stride)| {
            let fits = side <= 1 || step == Some(stride);
            step = step.and_then(|step| step.checked_mul(side.max(1)));
            fits
        })
        || shape.contains(&0)
}
