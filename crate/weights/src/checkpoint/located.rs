//! The location of a tensor in a checkpoint.

use std::ops::Range;

use crate::format::{Dtype, Scale, TensorEntry};

/// The location of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Index of the file.
    pub file: usize,
    /// Its type in the file.
    pub dtype: Dtype,
    /// Its shape in the file.
    pub shape: Vec<usize>,
    /// Its byte range in the file.
    pub span: Range<u64>,
    /// Factors for its values.
    pub scale: Option<Scale>,
}

impl Located {
    /// A tensor of the checkpoint's `file`.
    pub(super) fn of(file: usize, entry: &TensorEntry) -> Self {
        Self {
            file,
            dtype: entry.dtype,
            shape: entry.shape.clone(),
            span: entry.span.clone(),
            scale: entry.scale.clone(),
        }
    }

    /// The tensor split into three equal groups of rows, or `None` if it cannot be split.
    pub(super) fn thirds(&self) -> Option<[Self; 3]> {
        let (&rows, rest) = self.shape.split_first()?;
        let shape: Vec<usize> = std::iter::once(rows / 3).chain(rest.iter().copied()).collect();
        let values = shape.iter().try_fold(1u64, |product, &side| product.checked_mul(side as u64))?;
        let bytes = self.dtype.bytes(values)?;
        (rows.is_multiple_of(3) && bytes.checked_mul(3)? == self.span.end.checked_sub(self.span.start)?).then(|| {
            [0, 1, 2].map(|i| {
                let start = self.span.start + i * bytes;
                let third = rows as u64 / 3;
                let scale = self.scale.as_ref().map(|scale| scale.rows(i * third..(i + 1) * third, rows as u64));
                Self { shape: shape.clone(), span: start..start + bytes, scale, ..self.clone() }
            })
        })
    }
}
