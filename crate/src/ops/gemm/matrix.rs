//! A matrix as it is stored on the GPU, and the geometry of a convolution by it.

use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::plan::Window;
use super::weights::Format;

/// A weight matrix on the GPU.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// Its words, whatever their element type.
    pub words: CubeTensor,
    /// One f16 for every 32 columns, two a word, for quantised weights.
    pub scales: Option<CubeTensor>,
    /// What the words are.
    pub format: Format,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
}

impl Matrix {
    /// Whether rows are a multiple of four columns long.
    pub fn aligned(&self) -> bool {
        self.columns.is_multiple_of(4)
    }

    /// Words in a vector.
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
        // SAFETY: the tensor holds all words of the matrix in a row; its length is a multiple of the vector's.
        unsafe { BufferArg::from_raw_parts(self.words.handle.clone(), words / self.vector()) }
    }

    /// Its scales as a kernel's argument; anything that can be read where it has none.
    pub fn scales_arg(&self) -> BufferArg {
        let scales = self.scales.as_ref().unwrap_or(&self.words);
        // SAFETY: read only where the format has scales, of which there is one for every 32 values.
        unsafe { BufferArg::from_raw_parts(scales.handle.clone(), (self.rows * self.columns).div_ceil(64)) }
    }
}

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Side of the kernel.
    pub kernel: usize,
    /// Step of the kernel.
    pub stride: usize,
    /// Rows and columns of zeros: above, below, left and right.
    pub padding: [usize; 4],
    /// The size to which the input is doubled before, by repeating pixels; one short of twice drops the last.
    pub upsampled: Option<[usize; 2]>,
}

impl Geometry {
    /// What the kernel moves over, without the zeros.
    pub fn input(&self, stored: [usize; 2]) -> [usize; 2] {
        self.upsampled.unwrap_or(stored)
    }

    /// Height and width of the result.
    pub fn output(&self, stored: [usize; 2]) -> [usize; 2] {
        let [height, width] = self.input(stored);
        let [top, bottom, left, right] = self.padding;
        let along = |side: usize| (side - self.kernel) / self.stride + 1;
        [along(height + top + bottom), along(width + left + right)]
    }

    /// What kernels are compiled for.
    pub fn window(self) -> Window {
        Window { side: self.kernel, stride: self.stride, upsample: self.upsampled.is_some() }
    }
}
