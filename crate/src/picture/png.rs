//! Pictures as PNG files.

use image::RgbImage;
use image::imageops::{self, FilterType};
use serde::Serialize;

use super::{Crop, decode};
use crate::model::ModelInfo;
use crate::weights::WeightType;
use crate::{Error, Params, Result};

/// What a result says about how it was made, in text chunks of its file: everything that it takes to make it again from the same
/// pictures, but nothing about the visitor, and no names of pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Caption {
    version: &'static str,
    model: String,
    weights: WeightType,
    options: Params,
    crop: Option<Crop>,
    styles: Vec<CaptionStyle>,
}

/// How a style was used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptionStyle {
    /// How much it counted beside the others.
    pub weight: f32,
    /// The part of its picture that was used.
    pub crop: Option<Crop>,
    /// Whether it was kept to a part of the photo.
    pub masked: bool,
}

impl Caption {
    /// Of a run of `model`, kept as `weights`, on the part `crop` of the photo.
    pub fn of_run(
        model: &ModelInfo,
        weights: WeightType,
        options: &Params,
        crop: Option<Crop>,
        styles: Vec<CaptionStyle>,
    ) -> Self {
        let (model, options) = (model.name.clone(), options.clone());
        Self { version: env!("CARGO_PKG_VERSION"), model, weights, options, crop, styles }
    }
}

/// What a result is.
const TITLE: &str = "A photo in the style of a painting";
/// Who writes these files.
const SOFTWARE: &str = concat!("StyleID ", env!("CARGO_PKG_VERSION"));
/// The keyword under which the settings stand.
const KEYWORD: &str = "StyleID";

fn unwritten(error: &dyn std::fmt::Display) -> Error {
    Error::Picture(format!("The result cannot be written as PNG: {error}."))
}

/// The picture as the bytes of a PNG file; with a `caption` in the chunks Title, Software and StyleID (settings as JSON).
///
/// # Errors
/// Says why it cannot be encoded.
pub fn to_png(picture: &RgbImage, caption: Option<&Caption>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut info = png::Info::with_size(picture.width(), picture.height());
    info.color_type = png::ColorType::Rgb;
    info.bit_depth = png::BitDepth::Eight;
    let mut encoder = png::Encoder::with_info(&mut bytes, info).map_err(|error| unwritten(&error))?;
    // Half the size of the fastest, in a tenth of a second.
    encoder.set_compression(png::Compression::Balanced);
    if let Some(caption) = caption {
        // Written as they are; by way of a `Value` an f32 of 0.6 would become 0.6000000238418579.
        let settings = serde_json::to_string(caption).map_err(|error| unwritten(&error))?;
        for (keyword, text) in [("Title", TITLE), ("Software", SOFTWARE), (KEYWORD, &settings)] {
            // UTF-8, as models may have any name.
            encoder.add_itxt_chunk(keyword.into(), text.into()).map_err(|error| unwritten(&error))?;
        }
    }
    let mut writer = encoder.write_header().map_err(|error| unwritten(&error))?;
    writer.write_image_data(picture.as_raw()).map_err(|error| unwritten(&error))?;
    writer.finish().map_err(|error| unwritten(&error))?;
    Ok(bytes)
}

/// A PNG of any picture that can be decoded, its long side at most `long_side` pixels: for browsers, which do not show all kinds.
///
/// # Errors
/// As [`decode`].
pub fn preview(name: &str, bytes: &[u8], long_side: u32) -> Result<Vec<u8>> {
    let picture = decode(name, bytes)?;
    let (width, height) = picture.dimensions();
    let long = width.max(height);
    let long_side = long_side.max(1);
    if long <= long_side {
        return to_png(&picture, None);
    }
    let scaled =
        |side: u32| ((u64::from(side) * u64::from(long_side) + u64::from(long) / 2) / u64::from(long)).max(1) as u32;
    to_png(&imageops::resize(&picture, scaled(width), scaled(height), FilterType::Triangle), None)
}
