//! Weights on the processor, a panel at a time: compact values are widened where they are used, never a whole layer.

use std::ops::Range;
use std::sync::Arc;

use pulp::NullaryFnOnce;

use super::host::{Host, vectors};
use super::product::Matrix;
use super::weight::Weight;
use crate::weights::format::blocks::widen_range;
use crate::weights::format::compact::Compact;

/// Most values of a panel that is widened: they fit into a core's second-level cache.
const WIDENED: usize = 1 << 18;
/// Quantised values come in groups of so many; a panel that begins and ends with a group is widened fastest.
const GROUP: usize = 32;

/// A weight matrix `[rows, columns]` as the processor multiplies with it.
pub struct Panels {
    stored: Stored,
    columns: usize,
}

enum Stored {
    Floats(Host),
    Compact(Arc<Compact>),
}

impl Panels {
    /// The panels of `weight`.
    pub fn of(weight: &Weight) -> Self {
        let [_, columns] = weight.shape();
        let stored = match weight.compact() {
            Some(compact) => Stored::Compact(compact),
            None => Stored::Floats(Host::row(weight.values())),
        };
        Self { stored, columns }
    }

    /// Most columns of a panel with so many `rows`.
    pub fn most_columns(&self, rows: usize) -> usize {
        match self.stored {
            Stored::Floats(_) => self.columns,
            Stored::Compact(_) => (WIDENED / rows.max(1) / GROUP * GROUP).clamp(GROUP, self.columns.max(GROUP)),
        }
    }

    /// These rows and columns. Compact values are widened into `buffer`.
    pub fn panel<'a>(&'a self, rows: Range<usize>, columns: Range<usize>, buffer: &'a mut Vec<f32>) -> Matrix<'a> {
        match &self.stored {
            Stored::Floats(host) => {
                let first = rows.start * self.columns + columns.start;
                Matrix { values: &host.values()[first..], row: self.columns, column: 1 }
            }
            Stored::Compact(compact) => {
                let width = columns.len();
                buffer.resize(rows.len() * width, 0.0);
                let first = rows.start * self.columns + columns.start;
                vectors(Widen { compact, first, stride: self.columns, width, out: buffer });
                Matrix { values: buffer, row: width, column: 1 }
            }
        }
    }
}

/// Widens rows of `width` values that are `stride` apart, from the value `first` on.
struct Widen<'a> {
    compact: &'a Compact,
    first: usize,
    stride: usize,
    width: usize,
    out: &'a mut [f32],
}

// Not a closure, for the reason given beside the attention's `Exponentials`.
impl NullaryFnOnce for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { compact, first, stride, width, out } = self;
        for (row, out) in out.chunks_mut(width).enumerate() {
            // Whoever read or made the bytes has checked them against the shape.
            let _ = widen_range(compact.dtype, &compact.bytes, first + row * stride, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{self, Place, Precision};
    use crate::weights::format::Dtype;
    use crate::weights::format::compact::{quantise_q4, quantise_q8};

    #[test]
    fn panels_are_parts_of_the_whole() {
        let place = Place::new(device::cpu(), Precision::F32, 0).expect("the processor");
        let shape = [7, 72];
        let values: Vec<f32> = (0..504).map(|i| (i as f32 * 0.37).sin()).collect();
        let halves = values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect();
        // 504 is no multiple of 32, so the last group has padding.
        let padded: Vec<f32> = values.iter().copied().chain([0.0; 8]).collect();
        let quantised = |quantise: fn(&[f32], &mut Vec<u8>)| {
            let mut bytes = Vec::new();
            quantise(&padded, &mut bytes);
            bytes
        };
        let kinds = [
            (Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            (Dtype::F16, halves),
            (Dtype::Q8_0, quantised(quantise_q8)),
            (Dtype::Q4_0, quantised(quantise_q4)),
        ];
        for (dtype, bytes) in kinds {
            let compact = Compact { name: "w".into(), dtype, shape: shape.into(), bytes };
            let weight = Weight::new(compact, &place).expect("a weight");
            let whole: Vec<f32> = weight.values().into_data().iter::<f32>().collect();
            let panels = Panels::of(&weight);
            let mut buffer = Vec::new();
            for (rows, columns) in [(0..7, 0..72), (2..5, 0..64), (1..7, 8..72), (6..7, 40..41), (3..4, 24..56)] {
                let panel = panels.panel(rows.clone(), columns.clone(), &mut buffer);
                for (i, row) in rows.enumerate() {
                    for (j, column) in columns.clone().enumerate() {
                        let ours = panel.values[i * panel.row + j * panel.column];
                        assert_eq!(ours, whole[row * 72 + column], "{dtype:?} at {row}, {column}");
                    }
                }
            }
            assert!(panels.most_columns(1) <= 72 && panels.most_columns(1 << 20) >= 32);
        }
    }
}
