//! The pictures of a run, fitted to its size.

use image::RgbImage;

use super::blend::{Style, StylePart};
use super::mask::Map;
use crate::Result;
use crate::picture::{self, Frame, Size};

/// From this multiple of the model's native pixels on, a run takes so much longer that a notice says so beforehand.
const MANY_TIMES: f64 = 4.0;

/// The pictures of a run at its size.
pub(super) struct RunPictures {
    pub content: RgbImage,
    /// Height and width of the content's latents.
    pub grid: [usize; 2],
    /// One for each style, fitted to the run's size.
    pub styles: Vec<RgbImage>,
    /// Each style's weight and mask, one for each entry of `styles`.
    pub parts: Vec<StylePart>,
}

impl RunPictures {
    pub fn new(
        content: &RgbImage,
        styles: &[Style<'_>],
        (size, keep_aspect): (Size, bool),
        factor: usize,
    ) -> Result<Self> {
        Style::check(styles)?;
        let frame = Frame::new(content.dimensions(), size, keep_aspect, factor)?;
        let fitted = frame.fit(content);
        let latents = |picture: &RgbImage| [picture.height() as usize / factor, picture.width() as usize / factor];
        let grid = latents(&fitted);
        let mut pictures = Vec::with_capacity(styles.len());
        let mut parts = Vec::with_capacity(styles.len());
        for style in styles {
            let picture = picture::fit(style.picture, size, keep_aspect, factor)?;
            let map =
                style.mask.map(|mask| Map::of_pixels(&frame.fit_mask(mask), fitted.width() as usize, factor, grid));
            parts.push(StylePart { weight: style.weight, map, latents: latents(&picture) });
            pictures.push(picture);
        }
        Ok(Self { content: fitted, grid, styles: pictures, parts })
    }

    /// Height and width of all pictures' latents, the content's first.
    pub fn latents(&self) -> impl Iterator<Item = [usize; 2]> {
        std::iter::once(self.grid).chain(self.parts.iter().map(|part| part.latents))
    }

    /// A notice for pictures at their own size, if they have many times the pixels of a model trained at `native` pixels a
    /// side.
    pub fn long_run(&self, native: usize) -> Option<String> {
        let all = std::iter::once(&self.content).chain(&self.styles).map(RgbImage::dimensions);
        let (width, height) = all.max_by_key(|&(width, height)| u64::from(width) * u64::from(height))?;
        let times = f64::from(width) * f64::from(height) / (native * native) as f64;
        (times >= MANY_TIMES).then(|| {
            format!(
                "At {width} × {height} pixels, as the picture is, each step is at least {times:.0} times the work of one at \
                 {native} × {native}; cancel and choose a size if that is too long."
            )
        })
    }

    /// The styles that contribute to the result.
    pub fn used(&self) -> impl Iterator<Item = (&RgbImage, &StylePart)> {
        self.styles.iter().zip(&self.parts).filter(|(_, part)| part.counts())
    }
}
