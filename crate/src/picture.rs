//! Pictures in and out: decode, orient, lay over white, crop and resize; to and from the network's pixels.

use std::io::Cursor;

use burn::tensor::Tensor;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::device::Place;
use crate::styleid::params::Rounding;
use crate::{Error, Result};

/// The size to run at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// The picture as it is.
    Keep,
    /// Centre-cropped to its short side, then resized to this many pixels along each side.
    Square(u32),
}

/// The smallest and largest square that can be asked for, in pixels.
const SQUARES: std::ops::RangeInclusive<u32> = 64..=4096;

impl std::str::FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "keep" {
            return Ok(Self::Keep);
        }
        match text.parse::<u32>() {
            Ok(side) if SQUARES.contains(&side) => Ok(Self::Square(side)),
            _ => Err(Error::Settings(format!(
                "Size must be \"keep\" or a number of pixels from {} to {}, not {text}.",
                SQUARES.start(),
                SQUARES.end()
            ))),
        }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::Square(side) => side.fmt(f),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep => serializer.serialize_str("keep"),
            Self::Square(side) => serializer.serialize_u32(*side),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Side(u32),
            Text(String),
        }
        let text = match Form::deserialize(deserializer)? {
            Form::Side(side) => side.to_string(),
            Form::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Decodes a picture of any kind to upright 8-bit RGB: EXIF orientation applied, transparency laid over white, 16-bit and
/// grey pictures converted.
///
/// # Errors
/// One sentence if `bytes` are no picture, a damaged one, or of a kind that is not read here. `name` is the picture's.
pub fn decode(name: &str, bytes: &[u8]) -> Result<RgbImage> {
    let unknown = || {
        Error::Picture(format!(
            "{name} is not a picture that can be read; use a JPEG, PNG, WebP, GIF, BMP or TIFF file."
        ))
    };
    let damaged = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => {
            Error::Picture(format!("{name} is too large to decode; make it smaller first."))
        }
        image::ImageError::Unsupported(_) => unknown(),
        error => Error::Picture(format!("{name} is damaged and cannot be decoded ({error}); try another copy.")),
    };
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| unknown())?;
    if reader.format().is_none() {
        return Err(unknown());
    }
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    // A broken EXIF block should not cost the picture: it then stays as it is.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok(over_white(&picture))
}

fn over_white(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let rgba = picture.to_rgba8();
    let mut out = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in out.pixels_mut().zip(rgba.pixels()) {
        let alpha = u32::from(from[3]);
        for channel in 0..3 {
            // (c·α + 255·(255 − α)) / 255, rounded; at most 255.
            let sum = u32::from(from[channel]) * alpha + 255 * (255 - alpha);
            to[channel] = ((sum + 127) / 255) as u8;
        }
    }
    out
}

/// The picture at the size to run at (Lanczos, as in the reference), at least 2 × 2 latents of `factor` pixels: fewer
/// have no standard deviation.
///
/// # Errors
/// One sentence with the size and the least one.
pub fn fit(picture: &RgbImage, size: Size, factor: usize) -> Result<RgbImage> {
    let (width, height) = picture.dimensions();
    let short = width.min(height);
    let fitted = match size {
        Size::Square(side) if (width, height) != (side, side) => {
            let cropped = imageops::crop_imm(picture, (width - short) / 2, (height - short) / 2, short, short);
            imageops::resize(&*cropped, side, side, FilterType::Lanczos3)
        }
        _ => picture.clone(),
    };
    let (width, height) = fitted.dimensions();
    let least = 2 * factor as u32;
    if width < least || height < least {
        return Err(Error::Picture(format!(
            "The picture is {width} × {height} pixels; at least {least} × {least} are needed."
        )));
    }
    Ok(fitted)
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

/// Decoded pixels, 3 × `height` × `width`, about −1…1, as a picture.
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

/// The picture as the bytes of a PNG file.
///
/// # Errors
/// Says why it cannot be encoded.
pub fn to_png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|error| Error::Picture(format!("The result cannot be written as PNG: {error}.")))?;
    Ok(bytes.into_inner())
}
