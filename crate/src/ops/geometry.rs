//! The sizes of a convolution.

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Side of the kernel.
    pub kernel: usize,
    /// Stride of the kernel.
    pub stride: usize,
    /// Zero padding: above, below, left and right.
    pub padding: [usize; 4],
    /// The size of the input after nearest upsampling by two; a side of 2n − 1 drops the last pixel.
    pub upsampled: Option<[usize; 2]>,
}

impl Geometry {
    /// Height and width of the input after any upsampling, without padding.
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
}
