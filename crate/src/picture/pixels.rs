//! Conversion of pictures to and from the network's pixels.

use burn::tensor::Tensor;
use image::RgbImage;

use crate::device::Place;
use crate::{Error, Result};

/// How a real number becomes a byte in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, ties to even.
    Nearest,
    /// Towards zero.
    Truncate,
}

/// The picture as pixels `[1, 3, height, width]` in −1…1.
pub fn to_pixels(picture: &RgbImage, place: &Place) -> Tensor<4> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let bytes = picture.as_raw();
    // Divided in f64 and rounded once, as the reference does.
    let values: Vec<f32> = (0..3)
        .flat_map(|channel| bytes.iter().skip(channel).step_by(3).map(|&byte| (f64::from(byte) / 127.5 - 1.0) as f32))
        .collect();
    place.tensor(values, [1, 3, height, width])
}

/// Checks that all decoded pixels are finite: as a byte, NaN would silently become black.
///
/// # Errors
/// Some pixels are not finite.
pub fn check_pixels(pixels: &[f32]) -> Result<()> {
    if pixels.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Error::Device(
        "The decoded picture is not made of numbers; the device computed wrongly, or the model's VAE overflows: try again, or \
         take another VAE."
            .into(),
    ))
}

/// Converts decoded pixels, 3 × `height` × `width`, about −1…1, to a picture.
pub fn from_pixels(pixels: &[f32], width: usize, height: usize, rounding: Rounding) -> RgbImage {
    let plane = width * height;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        image::Rgb([0, 1, 2].map(|channel| {
            let value = (f64::from(pixels[channel * plane + at]) / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0;
            match rounding {
                Rounding::Nearest => value.round_ties_even() as u8,
                Rounding::Truncate => value as u8,
            }
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_no_picture() {
        check_pixels(&[-1.5, 0.0, 2.0]).expect("numbers, if some are too bright");
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = check_pixels(&[0.0, wrong, 0.0]).expect_err("no number");
            assert_eq!(error.kind(), "device");
        }
    }
}
