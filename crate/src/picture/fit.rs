//! Fits a picture of any size and shape to the size of a run.

use image::imageops::{self, FilterType};
use image::{GenericImageView, RgbImage};

use super::{Mask, Size};
use crate::{Error, Result};

/// Maximum pixels of a picture that is repainted at its own size: those of the largest square that can be requested.
const MOST_KEPT: u64 = 4096 * 4096;

/// The part of a picture that a run uses, and the size that it is resized to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Size of the picture.
    whole: (u32, u32),
    /// The rectangle of the picture that is used: x, y, width, height, in pixels.
    part: [u32; 4],
    /// Width and height that the rectangle is resized to.
    pub size: (u32, u32),
}

impl Frame {
    /// The frame of a picture of `whole` pixels. [`Size::Square`] gives the side of a square cut from the middle or,
    /// with `keep_aspect`, the long side of the whole picture, whose other side becomes a multiple of `factor`, the
    /// pixels per latent.
    ///
    /// # Errors
    /// One sentence if the result would have fewer than 2 × 2 latents, which have no standard deviation, or too many
    /// pixels.
    pub fn new(whole: (u32, u32), size: Size, keep_aspect: bool, factor: usize) -> Result<Self> {
        let (width, height) = whole;
        let factor = factor as u32;
        let least = 2 * factor;
        if width < least || height < least {
            return Err(Error::Picture(format!(
                "The picture is {width} × {height} pixels; at least {least} × {least} are needed."
            )));
        }
        let size = match size {
            Size::Keep if u64::from(width) * u64::from(height) > MOST_KEPT => {
                return Err(Error::Settings(format!(
                    "The picture is {width} × {height} pixels, too many to be repainted as it is; choose a size of up to \
                     4096 pixels, or crop it."
                )));
            }
            Size::Keep => whole,
            Size::Square(side) if keep_aspect => {
                let (long, short) = (width.max(height), width.min(height));
                let other = f64::from(side) * f64::from(short) / f64::from(long) / f64::from(factor);
                let other = (other.round() as u32 * factor).clamp(least, side.max(least));
                if width >= height { (side, other) } else { (other, side) }
            }
            Size::Square(side) => (side, side),
        };
        if size.0 < least || size.1 < least {
            return Err(Error::Settings(format!(
                "At a size of {} × {} pixels there is nothing to work on; at least {least} × {least} are needed.",
                size.0, size.1
            )));
        }
        Ok(Self::middle(whole, size))
    }

    /// The largest centred part of a picture of `whole` pixels that has the shape of `size`.
    pub fn middle(whole: (u32, u32), size: (u32, u32)) -> Self {
        Self { whole, part: middle(whole, size), size }
    }

    /// That part of `picture`, resized (Lanczos, as in the reference).
    pub fn fit(&self, picture: &RgbImage) -> RgbImage {
        let [x, y, width, height] = self.part;
        if self.size == self.whole {
            return picture.clone();
        }
        let part = picture.view(x, y, width, height);
        imageops::resize(&*part, self.size.0, self.size.1, FilterType::Lanczos3)
    }

    /// The same part of a mask that lies over the whole picture: luminance 0…1, row by row.
    pub fn fit_mask(&self, mask: &Mask) -> Vec<f32> {
        mask.within(self.part, self.whole).sampled(self.size)
    }
}

/// The largest centred rectangle of `whole` that has the shape of `size`: x, y, width, height.
fn middle(whole: (u32, u32), size: (u32, u32)) -> [u32; 4] {
    let (width, height) = (u64::from(whole.0), u64::from(whole.1));
    let (across, down) = (u64::from(size.0), u64::from(size.1));
    let nearest = |of: u64, by: u64| ((of + by / 2) / by).max(1);
    let (cut_width, cut_height) = if width * down > height * across {
        (nearest(height * across, down).min(width), height)
    } else {
        (width, nearest(width * down, across).min(height))
    };
    // Each is at most what it is cut from, a u32.
    [(width - cut_width) / 2, (height - cut_height) / 2, cut_width, cut_height].map(|pixels| pixels as u32)
}

/// `picture` at the size of a run; see [`Frame::new`].
///
/// # Errors
/// As [`Frame::new`].
pub fn fit(picture: &RgbImage, size: Size, keep_aspect: bool, factor: usize) -> Result<RgbImage> {
    Ok(Frame::new(picture.dimensions(), size, keep_aspect, factor)?.fit(picture))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(whole: (u32, u32), size: u32, keep_aspect: bool) -> Frame {
        Frame::new(whole, Size::Square(size), keep_aspect, 8).expect("large enough")
    }

    #[test]
    fn the_long_side_is_the_size_and_the_other_follows_in_whole_latents() {
        for (whole, size, expected) in [
            ((3000, 2000), 512, (512, 344)), // 341.3
            ((2000, 3000), 512, (344, 512)),
            ((1000, 1000), 512, (512, 512)),
            ((100, 75), 512, (512, 384)),
            ((5000, 100), 512, (512, 16)), // 10.2 pixels would be less than two latents
            ((600, 400), 500, (500, 336)), // 333.3
        ] {
            assert_eq!(frame(whole, size, true).size, expected, "{whole:?} at {size}");
        }
        let keep = Frame::new((301, 203), Size::Keep, true, 8).expect("large enough");
        assert_eq!((keep.size, keep.part), ((301, 203), [0, 0, 301, 203]));
    }

    #[test]
    fn nothing_is_distorted() {
        assert_eq!(frame((3000, 2000), 512, false).part, [500, 0, 2000, 2000]);
        assert_eq!(frame((2001, 3000), 512, false).part, [0, 499, 2001, 2001]);
        // 512 × 344 is a little higher than 3:2, so the picture loses a little of its width.
        assert_eq!(frame((3000, 2000), 512, true).part, [11, 0, 2977, 2000]);
        for whole in [(3000, 2000), (1234, 4321), (65, 64), (16, 5000)] {
            for keep_aspect in [false, true] {
                let Frame { part: [x, y, width, height], size, .. } = frame(whole, 512, keep_aspect);
                assert!(x + width <= whole.0 && y + height <= whole.1, "{whole:?}");
                let (across, down) = (f64::from(size.0) / f64::from(width), f64::from(size.1) / f64::from(height));
                let pixel = across.max(down) / f64::from(size.0.min(size.1));
                assert!((across / down - 1.0).abs() <= pixel.max(1e-9), "{whole:?}: {across} against {down}");
            }
        }
    }

    #[test]
    fn too_large_a_picture_is_not_kept_as_it_is() {
        let keep = |whole| Frame::new(whole, Size::Keep, true, 8);
        assert!(keep((4096, 4096)).is_ok() && keep((8192, 2048)).is_ok());
        let error = keep((8000, 6000)).expect_err("48 megapixels").to_string();
        assert!(
            error.starts_with("The picture is 8000 × 6000 pixels, too many") && error.contains("choose a size"),
            "{error}"
        );
        assert_eq!(frame((8000, 6000), 512, true).size, (512, 384));
    }

    #[test]
    fn too_small_a_picture_gives_its_size() {
        for whole in [(1, 1), (1, 5000), (15, 400)] {
            let error = Frame::new(whole, Size::Square(512), false, 8).expect_err("too small");
            assert!(
                error.to_string().contains(&format!("is {} × {} pixels; at least 16", whole.0, whole.1)),
                "{error}"
            );
        }
    }
}
