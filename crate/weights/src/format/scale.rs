//! Scales that are stored next to their weights as separate tensors: `to_q.scale_weight` or `to_q.weight_scale` for
//! `to_q.weight`. Files with 8-bit floats contain them.

use std::collections::HashMap;
use std::ops::Range;

use super::{Dtype, TensorEntry};

/// Factors for a tensor's values: one for all, or one per row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// How the numbers are stored.
    pub dtype: Dtype,
    /// Their shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Their byte range from the start of the file.
    pub span: Range<u64>,
}

/// Last name components of scales, which replace `weight`.
const SCALES: [&str; 3] = ["scale_weight", "weight_scale", "weight_scale_inv"];

/// Last name components of tensors that only say how to compute with such a weight and do not change its values.
const BESIDE: [&str; 4] = ["scale_input", "input_scale", "comfy_quant", "scale_output"];

/// A marker that other programs check for.
const MARKER: &str = "scaled_fp8";

/// The role of a tensor.
enum Role {
    Itself,
    Beside,
    ScaleOf(usize),
}

/// Removes the scales from the tensors and attaches each to its weight.
pub(super) fn paired(mut tensors: Vec<TensorEntry>) -> Vec<TensorEntry> {
    let weight = |(at, entry): (usize, &TensorEntry)| Some((entry.name.strip_suffix(".weight")?.to_owned(), at));
    let weights: HashMap<String, usize> = tensors.iter().enumerate().filter_map(weight).collect();
    let role = |entry: &TensorEntry| {
        let (stem, last) = entry.name.rsplit_once('.').unwrap_or(("", &entry.name));
        match weights.get(stem) {
            _ if last == MARKER => Role::Beside,
            Some(at) if SCALES.contains(&last) => Role::ScaleOf(*at),
            Some(_) if BESIDE.contains(&last) => Role::Beside,
            _ => Role::Itself,
        }
    };
    let roles: Vec<Role> = tensors.iter().map(role).collect();
    for (i, role) in roles.iter().enumerate() {
        if let Role::ScaleOf(at) = role {
            let TensorEntry { dtype, shape, span, .. } = tensors[i].clone();
            tensors[*at].scale = Some(Scale { dtype, shape, span });
        }
    }
    let mut roles = roles.into_iter();
    tensors.retain(|_| matches!(roles.next(), Some(Role::Itself)));
    tensors
}

impl Scale {
    /// Number of factors.
    pub fn count(&self) -> u64 {
        self.shape.iter().fold(1u64, |count, &side| count.saturating_mul(side as u64))
    }

    /// The scales of some of a tensor's `of` rows, if each row has its own.
    #[must_use]
    pub fn rows(&self, rows: Range<u64>, of: u64) -> Self {
        let each = (self.span.end - self.span.start).checked_div(of).unwrap_or_default();
        if self.count() != of || of < 2 {
            return self.clone();
        }
        let span = self.span.start + rows.start * each..self.span.start + rows.end * each;
        let shape = vec![usize::try_from(rows.end - rows.start).unwrap_or(usize::MAX)];
        Self { dtype: self.dtype, shape, span }
    }
}
