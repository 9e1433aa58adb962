//! Bytes of a file to an upright 8-bit RGB picture in sRGB.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::profile::Profile;
use super::{LEAST_SIDE, kind};
use crate::{Error, Result};

/// Pixels of the largest picture that is decoded: 100 million, of which a browser's memory holds several copies.
const MOST_PIXELS: u64 = 100_000_000;
/// Bytes that decoding may take; 16-bit pictures of 100 million pixels with transparency would be 800 MB.
const MOST_BYTES: u64 = 512 << 20;
/// Pictures longer than this many times their width are mentioned.
const LONG: u32 = 8;

/// What a picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Upright width in pixels.
    pub width: u32,
    /// Upright height in pixels.
    pub height: u32,
    /// What its owner might not expect, in a sentence or two.
    pub note: Option<String>,
}

/// A decoded picture of any kind of pixels, upright.
pub(super) struct Decoded {
    pub(super) picture: DynamicImage,
    format: ImageFormat,
    profile: Option<Vec<u8>>,
}

/// Decodes a picture of any kind to upright 8-bit RGB: EXIF orientation applied, colours converted to sRGB where the file says
/// which they are, transparency laid over white, 16-bit and grey pictures converted; of several pictures the first.
///
/// # Errors
/// One sentence if `bytes` are no picture, a damaged one, of a kind that is not read here, or too large. `name` is the picture's.
pub fn decode(name: &str, bytes: &[u8]) -> Result<RgbImage> {
    let decoded = decode_any(name, bytes)?;
    Ok(to_rgb(decoded).0)
}

/// As [`decode`], but says what the picture is.
///
/// # Errors
/// As [`decode`]; also where it is too small for anything.
pub fn examine(name: &str, bytes: &[u8]) -> Result<Examined> {
    let decoded = decode_any(name, bytes)?;
    let format = decoded.format;
    let (picture, is_exact) = to_rgb(decoded);
    let (width, height) = picture.dimensions();
    if width < LEAST_SIDE || height < LEAST_SIDE {
        return Err(Error::Picture(format!(
            "{name} is {width} × {height} pixels, too small to work on; at least {LEAST_SIDE} × {LEAST_SIDE} are needed."
        )));
    }
    let several = match format {
        ImageFormat::Tiff if has_more_pages(bytes) => Some("It has several pages; the first is used."),
        _ if is_animated(format, bytes) => Some("It is animated; its first frame is used."),
        _ => None,
    };
    let cut = (format == ImageFormat::Jpeg && is_cut_off(bytes))
        .then_some("The file is cut off, so that a part of the picture may be missing.");
    let colours =
        (!is_exact).then_some("Its colours may look a little different: their profile cannot be applied here.");
    let long = (width.max(height) > LONG * width.min(height))
        .then_some("It is very long; unless you crop it, only its middle is used.");
    let notes: Vec<&str> = [several, cut, colours, long].into_iter().flatten().collect();
    Ok(Examined { width, height, note: (!notes.is_empty()).then(|| notes.join(" ")) })
}

/// Refuses what [`decode`] takes though a part of it is missing: where nobody looks at the result, nobody would notice.
///
/// # Errors
/// One sentence if `bytes` are a JPEG file that is cut off.
pub fn check_whole(name: &str, bytes: &[u8]) -> Result<()> {
    if bytes.starts_with(&[0xff, 0xd8]) && is_cut_off(bytes) {
        return Err(Error::Picture(format!(
            "{name} is cut off, and a part of the picture is missing; try another copy."
        )));
    }
    Ok(())
}

pub(super) fn decode_any(name: &str, bytes: &[u8]) -> Result<Decoded> {
    let unknown = || Error::Picture(kind::sentence(name, bytes));
    let damaged = |error: ImageError| match error {
        ImageError::Limits(_) => {
            Error::Picture(format!("{name} takes too much memory to decode; make it smaller first."))
        }
        ImageError::Unsupported(error) => {
            Error::Picture(format!("{name} is of a rare kind that cannot be read ({error}); save it as PNG or JPEG."))
        }
        error => {
            // Some decoders' messages end with a line of their own.
            let why = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            Error::Picture(format!("{name} is damaged and cannot be decoded ({why}); try another copy."))
        }
    };
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| unknown())?;
    let format = reader.format().filter(ImageFormat::reading_enabled).ok_or_else(unknown)?;
    if format == ImageFormat::Tiff && kind::is_raw(bytes) {
        return Err(Error::Picture(kind::raw_sentence(name)));
    }
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    // From the header, before anything is allocated.
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MOST_PIXELS || decoder.total_bytes() > MOST_BYTES {
        return Err(Error::Picture(format!(
            "{name} is {width} × {height} pixels ({} million); at most {} million can be read here: make it smaller first.",
            pixels.div_ceil(1_000_000),
            MOST_PIXELS / 1_000_000
        )));
    }
    if pixels == 0 {
        return Err(Error::Picture(format!("{name} has no pixels; choose another picture.")));
    }
    room_for(name, 2 * decoder.total_bytes())?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    decoder.set_limits(limits).map_err(damaged)?;
    // Broken metadata should not cost the picture: it then stays as it is.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok(Decoded { picture, format, profile })
}

/// Makes sure that `bytes` can be had: an allocation that fails later would end the program.
fn room_for(name: &str, bytes: u64) -> Result<()> {
    let room = usize::try_from(bytes).ok().and_then(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).ok());
    room.ok_or_else(|| {
        // Weights and size have no bearing on it, which are what memory that runs out in a run is met with.
        Error::Picture(format!(
            "There is not enough memory to decode {name}; make it smaller, or close other programs."
        ))
    })
}

/// The picture in sRGB over white, and whether its profile was understood.
fn to_rgb(Decoded { picture, profile, .. }: Decoded) -> (RgbImage, bool) {
    let profile = profile.map(|profile| Profile::parse(&profile));
    let is_exact = !matches!(profile, Some(None));
    let profile = profile.flatten();
    if !picture.color().has_alpha() {
        let mut rgb = picture.into_rgb8();
        if let Some(profile) = profile {
            profile.to_srgb(&mut rgb, 3);
        }
        return (rgb, is_exact);
    }
    let mut rgba = picture.into_rgba8();
    if let Some(profile) = profile {
        profile.to_srgb(&mut rgba, 4);
    }
    let mut out = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in out.pixels_mut().zip(rgba.pixels()) {
        let alpha = u32::from(from[3]);
        for channel in 0..3 {
            // (c·α + 255·(255 − α)) / 255, rounded; at most 255.
            let sum = u32::from(from[channel]) * alpha + 255 * (255 - alpha);
            to[channel] = ((sum + 127) / 255) as u8;
        }
    }
    (out, is_exact)
}

fn is_animated(format: ImageFormat, bytes: &[u8]) -> bool {
    let bytes = Cursor::new(bytes);
    match format {
        ImageFormat::Gif => GifDecoder::new(bytes).is_ok_and(|gif| gif.into_frames().take(2).count() > 1),
        ImageFormat::WebP => WebPDecoder::new(bytes).is_ok_and(|webp| webp.has_animation()),
        ImageFormat::Png => PngDecoder::new(bytes).and_then(|png| png.is_apng()).unwrap_or(false),
        _ => false,
    }
}

/// Whether another directory follows a TIFF's first.
fn has_more_pages(bytes: &[u8]) -> bool {
    let mut tiff = match tiff_pages(bytes) {
        Some(tiff) => tiff,
        None => return false,
    };
    tiff.next().is_some() && tiff.next().is_some()
}

/// Where a TIFF's directories begin, those that are in the file.
fn tiff_pages(bytes: &[u8]) -> Option<impl Iterator<Item = u32>> {
    let is_little = bytes.starts_with(b"II");
    let four = move |at: usize| {
        let quad = bytes.get(at..)?.first_chunk::<4>()?;
        Some(if is_little { u32::from_le_bytes(*quad) } else { u32::from_be_bytes(*quad) })
    };
    let two = move |at: usize| {
        let pair = bytes.get(at..)?.first_chunk::<2>()?;
        Some(usize::from(if is_little { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) }))
    };
    let after = move |begin: &u32| {
        let at = (*begin as usize).checked_add(2)?.checked_add(12 * two(*begin as usize)?)?;
        four(at).filter(|next| *next != 0)
    };
    Some(std::iter::successors(four(4), after))
}

/// Whether a JPEG has no end marker: what is missing was decoded as grey.
fn is_cut_off(bytes: &[u8]) -> bool {
    // Cameras and programs append things of their own after the marker.
    !bytes.windows(2).rev().any(|pair| pair == [0xff, 0xd9])
}
