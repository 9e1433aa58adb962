//! Where a tensor of a checkpoint is.

use std::ops::Range;

use crate::format::{Dtype, Scale, TensorEntry};

/// Where a tensor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Which of the checkpoint's files.
    pub file: usize,
    /// Its type there.
    pub dtype: Dtype,
    /// Its shape there.
    pub shape: Vec<usize>,
    /// Its bytes there.
    pub span: Range<u64>,
    /// What its values are to be multiplied with.
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

    /// Its rows in three parts, or `None` where it does not come apart.
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
