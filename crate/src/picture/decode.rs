//! Decodes a file's bytes to an upright 8-bit RGB picture in sRGB.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::large_jpeg::LargeJpeg;
use super::profile::Profile;
use super::rare_tiff::RareTiff;
use super::tiff_header::Header;
use super::{LEAST_SIDE, MOST_BYTES, kind};
use crate::{Error, Result};

/// Maximum pixels of a decoded picture: a browser's memory has room for several copies of these.
const MOST_PIXELS: u64 = 100_000_000;
/// Ratio of the sides above which a picture's note says that it is very long.
const LONG: u32 = 8;

/// Description of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Upright width in pixels.
    pub width: u32,
    /// Upright height in pixels.
    pub height: u32,
    /// What its owner might not expect, in a sentence or two.
    pub note: Option<String>,
}

/// A decoded upright picture, still in the file's type of pixels.
pub(super) struct Decoded {
    pub(super) picture: DynamicImage,
    format: ImageFormat,
    profile: Option<Vec<u8>>,
    /// Width and height in the file, if fewer pixels were decoded.
    full: Option<[u32; 2]>,
}

/// Decodes a picture of any kind to upright 8-bit RGB. The EXIF orientation is applied, colours are converted to sRGB
/// if the file says which they are, transparency is laid over white, and 16-bit and grey pictures are converted. If the
/// file has several pictures, the first is decoded.
///
/// # Errors
/// One sentence if `bytes` are no picture, or one that is damaged, of an unsupported kind, or too large. `name` is the
/// picture's.
pub fn decode(name: &str, bytes: &[u8]) -> Result<RgbImage> {
    let decoded = decode_any(name, bytes)?;
    Ok(to_rgb(decoded).0)
}

/// As [`decode`], but returns a description of the picture.
///
/// # Errors
/// As [`decode`]; also if a side is shorter than [`LEAST_SIDE`].
pub fn examine(name: &str, bytes: &[u8]) -> Result<Examined> {
    let decoded = decode_any(name, bytes)?;
    let (format, full) = (decoded.format, decoded.full);
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
    let smaller = full.map(|[width, height]| {
        let millions = (u64::from(width) * u64::from(height)).div_ceil(1_000_000);
        format!("It has {millions} million pixels, of which fewer are read.")
    });
    let notes: Vec<&str> = [several, smaller.as_deref(), cut, colours, long].into_iter().flatten().collect();
    Ok(Examined { width, height, note: (!notes.is_empty()).then(|| notes.join(" ")) })
}

/// Refuses a truncated file that [`decode`] accepts: where nobody looks at the result, nobody would notice the missing
/// part.
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

/// Why a picture is not decoded here.
enum Refusal {
    /// As far as can be seen it is intact, but of a kind or size for other decoders: width and height in pixels, 0 if
    /// unknown, and the sentence.
    Foreign([u32; 2], String),
    /// No decoder could read it.
    Unusable(String),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Foreign(_, sentence) | Refusal::Unusable(sentence) => Self::Picture(sentence),
        }
    }
}

/// Whether only other decoders, such as a browser's, may read a picture. Returns its width and height from the header,
/// not yet upright, or 0 where they are unknown; `None` if [`decode`] reads it, or no decoder would.
pub fn foreign(bytes: &[u8]) -> Option<[u32; 2]> {
    match open("", bytes) {
        // Some browsers show what there is of a truncated file, without an error.
        Err(Refusal::Foreign(sides, _)) if !is_cut(bytes) => Some(sides),
        _ => None,
    }
}

/// A decoder that has read the header of its picture.
struct Opened<'a> {
    format: ImageFormat,
    decoder: Box<dyn ImageDecoder + 'a>,
    /// Width and height in the file, if fewer pixels are decoded.
    full: Option<[u32; 2]>,
}

/// Reads the header, before anything is allocated.
fn open<'a>(name: &str, bytes: &'a [u8]) -> Result<Opened<'a>, Refusal> {
    let unknown = || {
        let sentence = kind::sentence(name, bytes);
        if kind::is_foreign(bytes) { Refusal::Foreign([0, 0], sentence) } else { Refusal::Unusable(sentence) }
    };
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| unknown())?;
    let format = reader.format().filter(ImageFormat::reading_enabled).ok_or_else(unknown)?;
    if format == ImageFormat::Tiff && kind::is_raw(bytes) {
        return Err(Refusal::Unusable(kind::raw_sentence(name)));
    }
    let mut decoder: Box<dyn ImageDecoder> = match reader.into_decoder() {
        Ok(decoder) => Box::new(decoder),
        Err(ImageError::Unsupported(_)) if format == ImageFormat::Tiff => {
            Box::new(RareTiff::open(bytes).map_err(|what| Refusal::Foreign([0, 0], rare(name, &what)))?)
        }
        Err(error) => return Err(undecoded(name, format, error)),
    };
    let (width, height) = decoder.dimensions();
    let mut full = None;
    // This decoder can reduce a large picture while it reads it.
    if format == ImageFormat::Jpeg
        && u64::from(width) * u64::from(height) > MOST_PIXELS
        && let Some(large) = LargeJpeg::open(bytes)
    {
        decoder = Box::new(large);
        full = Some([width, height]);
    }
    check_size(name, &*decoder)?;
    Ok(Opened { format, decoder, full })
}

/// The sentence about a kind of file that is not decoded here.
fn rare(name: &str, what: &str) -> String {
    format!("{name} is a {what}, which cannot be read here; save it as PNG or JPEG.")
}

/// The refusal for a decoder's error, in plain words where possible.
fn undecoded(name: &str, format: ImageFormat, error: ImageError) -> Refusal {
    match error {
        ImageError::Limits(_) => {
            Refusal::Foreign([0, 0], format!("{name} takes too much memory to decode; make it smaller first."))
        }
        ImageError::Unsupported(_) => {
            let kind = format.extensions_str().first().map_or("picture".into(), |ending| ending.to_uppercase());
            Refusal::Foreign([0, 0], rare(name, &format!("{kind} file of a rare kind")))
        }
        error => {
            // Some decoders' messages contain line breaks.
            let why = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            Refusal::Unusable(format!("{name} is damaged and cannot be decoded ({why}); try another copy."))
        }
    }
}

/// Refuses pictures that would take too much memory.
fn check_size(name: &str, decoder: &dyn ImageDecoder) -> Result<(), Refusal> {
    let ((width, height), bytes, colour) = (decoder.dimensions(), decoder.total_bytes(), decoder.color_type());
    let bits = u16::from(colour.bytes_per_pixel() / colour.channel_count()) * 8;
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(Refusal::Unusable(format!("{name} has no pixels; choose another picture.")));
    }
    let millions = pixels.div_ceil(1_000_000);
    let is_deep = pixels <= MOST_PIXELS && bytes > MOST_BYTES;
    if is_deep {
        let most = MOST_BYTES / bytes.div_ceil(pixels) / 1_000_000;
        return Err(Refusal::Foreign(
            [width, height],
            format!(
                "{name} is {width} × {height} pixels ({millions} million) at {bits} bits a channel; at most {most} million of that depth \
                 can be read here: save it with 8 bits a channel, or make it smaller first."
            ),
        ));
    }
    if pixels > MOST_PIXELS {
        let most = MOST_PIXELS / 1_000_000;
        return Err(Refusal::Foreign(
            [width, height],
            format!(
                "{name} is {width} × {height} pixels ({millions} million); at most {most} million can be read here: make it smaller \
                 first."
            ),
        ));
    }
    Ok(())
}

pub(super) fn decode_any(name: &str, bytes: &[u8]) -> Result<Decoded> {
    let Opened { format, mut decoder, full } = open(name, bytes)?;
    let failed = |error| undecoded(name, format, error);
    room_for(name, 2 * decoder.total_bytes())?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    decoder.set_limits(limits).map_err(failed)?;
    // Broken metadata does not fail the decoding: an orientation or a profile that cannot be read is ignored.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    picture.apply_orientation(orientation);
    Ok(Decoded { picture, format, profile, full })
}

/// Checks that `bytes` can be allocated: a later allocation that fails would end the program.
fn room_for(name: &str, bytes: u64) -> Result<()> {
    let room = usize::try_from(bytes).ok().and_then(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).ok());
    room.ok_or_else(|| {
        // Not `Error::Memory`: callers answer that with other weights or a smaller size, which do not help here.
        Error::Picture(format!(
            "There is not enough memory to decode {name}; make it smaller, or close other programs."
        ))
    })
}

/// The picture in sRGB over white, and whether its profile, if it has one, was applied.
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
    Header::of(bytes).is_some_and(|header| header.pages().nth(1).is_some())
}

/// Whether a PNG or a JPEG is truncated.
fn is_cut(bytes: &[u8]) -> bool {
    let is_png = bytes.starts_with(b"\x89PNG");
    is_png && !bytes.windows(4).rev().any(|name| name == b"IEND")
        || bytes.starts_with(&[0xff, 0xd8]) && is_cut_off(bytes)
}

/// Whether a JPEG ends before its end marker: what is missing was decoded as grey. Embedded pictures, such as a
/// thumbnail, have end markers of their own, but lie in segments whose lengths are known.
fn is_cut_off(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    /// Markers without a segment: TEM (0x01), and the restart markers of the entropy coder (0xd0 to 0xd7).
    const ALONE: [std::ops::RangeInclusive<u8>; 2] = [0x01..=0x01, 0xd0..=0xd7];
    let mut at = 2;
    // The marker need not be at the end of the file: cameras and programs append their own data after it.
    loop {
        let Some(next) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0xff)) else {
            return true;
        };
        at += next + 1;
        match bytes.get(at) {
            None => return true,
            Some(&END) => return false,
            // Not a marker: an escaped 0xff of the coded picture, or a fill byte.
            Some(0 | 0xff) => {}
            Some(marker) if ALONE.iter().any(|range| range.contains(marker)) => {}
            Some(&marker) => {
                let Some(length) = bytes.get(at + 1..).and_then(<[u8]>::first_chunk::<2>) else { return true };
                at += 1 + usize::from(u16::from_be_bytes(*length));
                if marker == SCAN && at >= bytes.len() {
                    return true;
                }
            }
        }
    }
}
