//! A weight matrix as it is stored on the GPU.

use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::weights::Format;

/// A weight matrix on the GPU.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// Its 32-bit words, whatever the tensor's element type.
    pub words: CubeTensor,
    /// Scales of quantised weights: one f16 for every 32 columns, two a word.
    pub scales: Option<CubeTensor>,
    /// How values are stored in the words.
    pub format: Format,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
}

impl Matrix {
    /// Whether a row is a multiple of four columns.
    pub fn aligned(&self) -> bool {
        self.columns.is_multiple_of(4)
    }

    /// Words in a vector that kernels read.
    pub fn vector(&self) -> usize {
        if self.aligned() { self.format.words() } else { 1 }
    }

    /// Its words as a kernel's argument.
    pub fn words_arg(&self) -> BufferArg {
        let values = self.rows * self.columns;
        let words = match self.format {
            Format::F32 => values,
            Format::F16 => values.div_ceil(2),
            Format::Q8 => values / 4,
            Format::Q4 => values / 8,
        };
        // SAFETY: the tensor holds all words of the matrix contiguously; their number is a multiple of the vector's.
        unsafe { BufferArg::from_raw_parts(self.words.handle.clone(), words / self.vector()) }
    }

    /// Its scales as a kernel's argument; if it has none, the words as a placeholder.
    pub fn scales_arg(&self) -> BufferArg {
        let scales = self.scales.as_ref().unwrap_or(&self.words);
        // SAFETY: kernels read it only if the format has scales: one for every 32 values, two a word.
        unsafe { BufferArg::from_raw_parts(scales.handle.clone(), (self.rows * self.columns).div_ceil(64)) }
    }
}
