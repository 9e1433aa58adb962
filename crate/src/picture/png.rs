//! Pictures as PNG files.

use image::RgbImage;
use image::imageops::{self, FilterType};

use super::decode;
use crate::{Error, Result};

fn unwritten(error: &dyn std::fmt::Display) -> Error {
    Error::Picture(format!("The result cannot be written as PNG: {error}."))
}

/// The picture as the bytes of a PNG file, with `texts` (keyword and text) in chunks of their own.
///
/// # Errors
/// Says why it cannot be encoded.
pub fn to_png(picture: &RgbImage, texts: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut info = png::Info::with_size(picture.width(), picture.height());
    info.color_type = png::ColorType::Rgb;
    info.bit_depth = png::BitDepth::Eight;
    let mut encoder = png::Encoder::with_info(&mut bytes, info).map_err(|error| unwritten(&error))?;
    // Half the size that the fastest compression gives, in a tenth of a second.
    encoder.set_compression(png::Compression::Balanced);
    for &(keyword, text) in texts {
        // An iTXt chunk is UTF-8: a model may have any name.
        encoder.add_itxt_chunk(keyword.into(), text.into()).map_err(|error| unwritten(&error))?;
    }
    let mut writer = encoder.write_header().map_err(|error| unwritten(&error))?;
    writer.write_image_data(picture.as_raw()).map_err(|error| unwritten(&error))?;
    writer.finish().map_err(|error| unwritten(&error))?;
    Ok(bytes)
}

/// The text under `keyword` in a PNG file, or `None` if `file` is not a whole PNG with such a text.
pub fn png_text(file: &[u8], keyword: &str) -> Option<String> {
    // The last chunk of every PNG: length 0, type IEND, and its checksum.
    if !file.ends_with(b"\0\0\0\0IEND\xaeB`\x82") {
        return None;
    }
    let reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().ok()?;
    let chunk = reader.info().utf8_text.iter().find(|chunk| chunk.keyword == keyword)?;
    chunk.get_text().ok()
}

/// Returns a PNG of any picture that can be decoded, its long side at most `long_side` pixels: browsers do not show all
/// formats.
///
/// # Errors
/// As [`decode`].
pub fn preview(name: &str, bytes: &[u8], long_side: u32) -> Result<Vec<u8>> {
    let picture = decode(name, bytes)?;
    let (width, height) = picture.dimensions();
    let long = width.max(height);
    let long_side = long_side.max(1);
    if long <= long_side {
        return to_png(&picture, &[]);
    }
    let scaled =
        |side: u32| ((u64::from(side) * u64::from(long_side) + u64::from(long) / 2) / u64::from(long)).max(1) as u32;
    to_png(&imageops::resize(&picture, scaled(width), scaled(height), FilterType::Triangle), &[])
}
