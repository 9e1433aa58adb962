//! Tiles a picture into bands of rows, for sizes at which the whole does not fit a GPU buffer. A layer's result is the same
//! with and without bands.

use std::collections::VecDeque;
use std::ops::Range;

use burn::tensor::Tensor;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};

use super::layers::{Conv, ConvShape};
use super::norms::GroupNorm;
use crate::Result;
use crate::control::Control;
use crate::ops::norm::{group_apply, group_moments, merge_moments};

#[cfg(test)]
mod tests;

/// A picture `[batch, channels, height, width]` as bands of rows from top to bottom.
#[derive(Debug, Clone)]
pub struct Bands {
    parts: Vec<Tensor<4>>,
    /// Bytes that no tensor should exceed. One row with its neighbours is the least that can be computed.
    limit: usize,
}

/// Heights of the bands, equal except for the last. A band with `halo` more rows stays within `limit` bytes if possible;
/// one row is the minimum.
fn layout(height: usize, row_bytes: usize, halo: usize, limit: usize) -> Vec<usize> {
    if height.saturating_mul(row_bytes) <= limit {
        return vec![height];
    }
    let most = (limit / row_bytes).saturating_sub(halo).clamp(1, height);
    let rows = height.div_ceil(height.div_ceil(most));
    let full = height / rows;
    let rest = height % rows;
    std::iter::repeat_n(rows, full).chain((rest > 0).then_some(rest)).collect()
}

impl Bands {
    /// The whole picture as one band, whatever its size.
    pub fn whole(x: Tensor<4>, limit: usize) -> Self {
        Self { parts: vec![x], limit }
    }

    /// A picture from bands that were made together.
    pub fn of(parts: Vec<Tensor<4>>, limit: usize) -> Self {
        Self { parts, limit }
    }

    /// Bytes that no tensor should exceed.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Height of every band.
    pub fn heights(&self) -> Vec<usize> {
        self.parts.iter().map(|part| part.dims()[2]).collect()
    }

    /// The one tensor, if there is one band.
    pub fn single(self) -> std::result::Result<Tensor<4>, Self> {
        match <[Tensor<4>; 1]>::try_from(self.parts) {
            Ok([x]) => Ok(x),
            Err(parts) => Err(Self { parts, ..self }),
        }
    }

    /// All bands as one tensor.
    pub fn join(self) -> Tensor<4> {
        match self.single() {
            Ok(x) => x,
            Err(bands) => Tensor::cat(bands.parts, 2),
        }
    }

    /// The bands, top to bottom.
    pub fn into_parts(self) -> Vec<Tensor<4>> {
        self.parts
    }

    /// The same picture, split so that bands stay within the limit with up to `channels` channels.
    pub fn fit(self, channels: usize) -> Self {
        let heights = layout(self.height(), channels * self.row_bytes(), HALO, self.limit);
        if heights == self.heights() {
            return self;
        }
        let mut from = 0;
        let ranges = heights.iter().map(|rows| {
            from += rows;
            from - rows..from
        });
        let limit = self.limit;
        let mut reader = BandReader::new(self);
        Self { parts: ranges.map(|rows| reader.rows(rows.clone(), rows.end)).collect(), limit }
    }

    /// `norm` and `SiLU` with the moments of the whole picture, as a function of any rows of it.
    pub fn normed<'a>(&self, norm: &'a GroupNorm) -> impl Fn(Tensor<4>) -> Tensor<4> + use<'a> {
        // A single band needs no merged moments.
        let moments = (self.parts.len() > 1)
            .then(|| merge_moments(self.parts.iter().map(|part| group_moments(part.clone(), norm.groups())).collect()));
        move |rows| match &moments {
            Some(moments) => group_apply(rows, moments, norm.affine(), true),
            None => norm.forward_silu(rows),
        }
    }

    /// The input windows of `conv`, one for each band of `heights` rows of its output, from the top.
    pub fn windows(self, conv: &Conv, heights: Vec<usize>) -> Windows {
        let height = self.height();
        Windows { reader: BandReader::new(self), shape: conv.shape(), height, heights: heights.into(), from: 0 }
    }

    /// Convolves the picture, after `norm` and `SiLU` if there is a norm, in bands that stay within the limit.
    ///
    /// # Errors
    /// Only what `control` returns: a cancel.
    pub async fn convolve(self, norm: Option<&GroupNorm>, conv: &Conv, control: &Control<'_>) -> Result<Self> {
        let ConvShape { channels: [input, output], kernel, stride, padding: [before, after] } = conv.shape();
        let limit = self.limit;
        // If the convolution splits the picture, the norm needs several bands too: for a single band it takes the moments
        // of the rows that it gets.
        let this = if norm.is_some() { self.fit(input.max(output)) } else { self };
        let prepare = norm.map(|norm| this.normed(norm));
        let prepared = |rows: Tensor<4>| match &prepare {
            Some(prepare) => prepare(rows),
            None => rows,
        };
        let height = (this.height() + before + after).saturating_sub(kernel) / stride + 1;
        // A row of the output needs `stride` rows of the input, which are also `stride` times as wide.
        let row_bytes = this.row_bytes() * (input * stride).max(output.div_ceil(stride));
        let heights = layout(height, row_bytes, HALO.div_ceil(stride), limit);
        if let ([_], [_]) = (&this.parts[..], &heights[..]) {
            return Ok(Self::whole(conv.forward(prepared(this.join())), limit));
        }
        let mut parts = Vec::with_capacity(heights.len());
        for BandWindow { rows, padding } in this.windows(conv, heights) {
            parts.push(conv.forward_padded(prepared(rows), padding));
            control.yield_and_check().await?;
        }
        Ok(Self { parts, limit })
    }

    /// Convolves the picture after nearest-neighbour upsampling by 2.
    ///
    /// # Errors
    /// Only what `control` returns: a cancel.
    pub async fn convolve_doubled(self, conv: &Conv, control: &Control<'_>) -> Result<Self> {
        let ConvShape { channels: [input, output], .. } = conv.shape();
        let limit = self.limit;
        let height = 2 * self.height();
        let heights = layout(height, 2 * self.row_bytes() * input.max(output), HALO + 2, limit);
        let this = match (self.single(), &heights[..]) {
            (Ok(x), [_]) => {
                let [_, _, height, width] = x.dims();
                return Ok(Self::whole(conv.forward_upsampled(x, [2 * height, 2 * width]), limit));
            }
            (Ok(x), _) => Self::whole(x, limit),
            (Err(bands), _) => bands,
        };
        let mut parts = Vec::with_capacity(heights.len());
        let mut windows = this.windows(conv, heights);
        windows.height = height;
        while let Some((wanted, padding, next)) = windows.advance() {
            // Source rows in the small picture. Where the wanted rows begin or end on an odd one, there is one upsampled
            // row too many.
            let rows = windows.reader.rows(wanted.start / 2..wanted.end.div_ceil(2), next / 2);
            let mut rows = doubled(rows);
            if rows.dims()[2] != wanted.len() {
                rows = rows.narrow(2, wanted.start % 2, wanted.len());
            }
            parts.push(conv.forward_padded(rows, padding));
            control.yield_and_check().await?;
        }
        Ok(Self { parts, limit })
    }

    fn height(&self) -> usize {
        self.heights().iter().sum()
    }

    /// Bytes of one row of one channel.
    fn row_bytes(&self) -> usize {
        self.parts.first().map_or(0, |part| part.dims()[0] * part.dims()[3] * part.dtype().size())
    }
}

/// Nearest-neighbour upsampling by 2.
fn doubled(x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * height, 2 * width]))
}

/// Extra input rows of a 3 × 3 convolution: one above and one below.
const HALO: usize = 2;

/// Reads rows from top to bottom, and frees bands that will not be read again.
#[derive(Debug)]
struct BandReader {
    parts: VecDeque<Tensor<4>>,
    /// Row at which the first part begins.
    from: usize,
}

impl BandReader {
    fn new(bands: Bands) -> Self {
        Self { parts: bands.parts.into(), from: 0 }
    }

    /// The rows of `range`. Rows above `next` will not be read again.
    fn rows(&mut self, range: Range<usize>, next: usize) -> Tensor<4> {
        let mut pieces = Vec::new();
        let mut top = self.from;
        for part in &self.parts {
            let rows = part.dims()[2];
            let (start, end) = (range.start.max(top), range.end.min(top + rows));
            if start < end {
                let whole = end - start == rows;
                pieces.push(if whole { part.clone() } else { part.clone().narrow(2, start - top, end - start) });
            }
            top += rows;
        }
        while let Some(part) = self.parts.front()
            && self.from + part.dims()[2] <= next
        {
            self.from += part.dims()[2];
            self.parts.pop_front();
        }
        if pieces.len() == 1 { pieces.swap_remove(0) } else { Tensor::cat(pieces, 2) }
    }
}

/// The input of a convolution for one band of its output: rows of the picture, and zero padding.
#[derive(Debug)]
pub struct BandWindow {
    /// Rows of the picture.
    pub rows: Tensor<4>,
    /// Zero padding: top, bottom, left, right. Rows of zeros occur at the picture's own edges only.
    pub padding: [usize; 4],
}

/// The [`BandWindow`]s of a convolution, one for each band of its output.
#[derive(Debug)]
pub struct Windows {
    reader: BandReader,
    shape: ConvShape,
    /// Rows of the picture that the convolution sees.
    height: usize,
    /// Heights of the output bands that are left.
    heights: VecDeque<usize>,
    /// First row of the output's next band.
    from: usize,
}

impl Windows {
    /// Rows of the next window, its zero padding, and the row at which the window after it begins.
    fn advance(&mut self) -> Option<(Range<usize>, [usize; 4], usize)> {
        let rows = self.heights.pop_front()?;
        let ConvShape { kernel, stride, padding: [before, after], .. } = self.shape;
        // In padded rows: 0 is the first row of zeros above the picture.
        let (start, end) = (self.from * stride, (self.from + rows - 1) * stride + kernel);
        self.from += rows;
        let inside = |row: usize| row.saturating_sub(before).min(self.height);
        let (top, bottom) = (before.saturating_sub(start), end.saturating_sub(before + self.height));
        Some((inside(start)..inside(end), [top, bottom, before, after], inside(self.from * stride)))
    }
}

impl Iterator for Windows {
    type Item = BandWindow;

    fn next(&mut self) -> Option<BandWindow> {
        let (rows, padding, next) = self.advance()?;
        Some(BandWindow { rows: self.reader.rows(rows, next), padding })
    }
}
