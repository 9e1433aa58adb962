//! TIFF files that `image` rejects although its TIFF decoder could read them: palettes, YCbCr as scanners write it, and
//! greys of a few bits.

use std::borrow::Cow;
use std::io::Cursor;

use image::error::{DecodingError, LimitError, LimitErrorKind, UnsupportedError, UnsupportedErrorKind};
use image::metadata::Orientation;
use image::{ImageDecoder, ImageError, ImageFormat, ImageResult};
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::MOST_BYTES;
use super::tiff_header::Header;

/// Values of the tag PhotometricInterpretation.
const BLACK_IS_ZERO: u16 = 1;
const PALETTE: u32 = 3;
const LAB: std::ops::RangeInclusive<u32> = 8..=10;

/// How samples become colours.
enum Colours {
    /// Indices of this many bits into a palette of 2^bits reds, greens and blues.
    Palette(u8, Vec<u8>),
    /// Levels of this many bits.
    Grey(u8),
    /// Luminance and two differences of colour, as in JPEG.
    YCbCr,
}

/// A TIFF whose header was read.
pub(super) struct RareTiff<'a> {
    /// The file, changed if that is needed for its decoder to accept it.
    bytes: Cow<'a, [u8]>,
    sides: (u32, u32),
    colours: Colours,
}

/// The decoder that `image` uses, and of the same type, so that the program contains it only once.
fn decoder(bytes: &[u8]) -> Result<Decoder<Cursor<&[u8]>>, TiffError> {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MOST_BYTES as usize;
    Ok(Decoder::new(Cursor::new(bytes))?.with_limits(limits))
}

impl<'a> RareTiff<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// Words for a sentence that say what the file is, if it is of none of these kinds.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let rare = |_: TiffError| "TIFF file of a rare kind".to_string();
        let mut tiff = decoder(bytes).map_err(rare)?;
        let kind: u32 = tiff.get_tag_unsigned(Tag::PhotometricInterpretation).map_err(rare)?;
        let sides = tiff.dimensions().map_err(rare)?;
        let mut taken = Cow::Borrowed(bytes);
        let colours = if kind == PALETTE {
            let bits: Vec<u8> = tiff.find_tag_unsigned_vec(Tag::BitsPerSample).map_err(rare)?.unwrap_or(vec![1]);
            let map = tiff.get_tag_u16_vec(Tag::ColorMap).map_err(rare)?;
            let header = Header::of(bytes).ok_or("TIFF file with a palette and more than 4 GB")?;
            let tag = Tag::PhotometricInterpretation.to_u16();
            let at = header.entries().find(|(known, ..)| *known == tag).map(|(_, at, _)| at);
            // The decoder rejects palettes, so a copy of the file says that the indices are greys. The tag's value has
            // two bytes, the first two of its four-byte field in either byte order.
            taken = Cow::Owned(header.with_number(at.ok_or("TIFF file of a rare kind")?, BLACK_IS_ZERO));
            match (&bits[..], map.len()) {
                (&[bits @ (1 | 2 | 4 | 8)], length) if length == 3 << bits => Colours::Palette(bits, eight_bits(&map)),
                _ => return Err("TIFF file with an odd palette".into()),
            }
        } else {
            match tiff.colortype() {
                Ok(ColorType::YCbCr(8)) => Colours::YCbCr,
                Ok(ColorType::Gray(bits @ (2 | 4))) => Colours::Grey(bits),
                Ok(other) => return Err(format!("TIFF file with {} bits a channel", other.bit_depth())),
                Err(_) if LAB.contains(&kind) => return Err("TIFF file with Lab colours".into()),
                Err(error) => return Err(rare(error)),
            }
        };
        Ok(Self { bytes: taken, sides, colours })
    }
}

impl ImageDecoder for RareTiff<'_> {
    fn dimensions(&self) -> (u32, u32) {
        self.sides
    }

    fn color_type(&self) -> image::ColorType {
        if matches!(self.colours, Colours::Grey(_)) { image::ColorType::L8 } else { image::ColorType::Rgb8 }
    }

    fn icc_profile(&mut self) -> ImageResult<Option<Vec<u8>>> {
        decoder(&self.bytes).and_then(|mut tiff| tiff.find_tag_unsigned_vec(Tag::IccProfile)).map_err(image_error)
    }

    fn orientation(&mut self) -> ImageResult<Orientation> {
        let turned = decoder(&self.bytes).and_then(|mut tiff| tiff.find_tag_unsigned(Tag::Orientation));
        Ok(turned.map_err(image_error)?.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms))
    }

    fn read_image(self, pixels: &mut [u8]) -> ImageResult<()> {
        let mut tiff = decoder(&self.bytes).map_err(image_error)?;
        let DecodingResult::U8(samples) = tiff.read_image().map_err(image_error)? else {
            return Err(damaged("samples are not of 8 bits"));
        };
        let mut fill = |values: &mut dyn Iterator<Item = u8>| {
            let filled = pixels.iter_mut().zip(values).map(|(pixel, value)| *pixel = value).count();
            if filled == pixels.len() { Ok(()) } else { Err(damaged("samples are missing")) }
        };
        let unpacked = |bits| unpacked(&samples, self.sides.0, bits);
        match self.colours {
            Colours::YCbCr => {
                fill(&mut samples.chunks_exact(3).flat_map(|pixel| to_rgb([pixel[0], pixel[1], pixel[2]])))
            }
            Colours::Grey(bits) => {
                let most = u16::from(u8::MAX >> (8 - bits));
                fill(&mut unpacked(bits).map(|level| (u16::from(level) * 255 / most) as u8))
            }
            Colours::Palette(bits, map) => {
                let of = map.len() / 3;
                let colour = |index: u8| [0, of, 2 * of].map(|channel| map[channel + usize::from(index)]);
                fill(&mut unpacked(bits).flat_map(colour))
            }
        }
    }

    fn read_image_boxed(self: Box<Self>, pixels: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(pixels)
    }
}

/// Unpacks samples of 1, 2, 4 or 8 bits. Each row begins at a byte, and the first sample of a byte lies in its highest
/// bits.
fn unpacked(bytes: &[u8], width: u32, bits: u8) -> impl Iterator<Item = u8> {
    let (width, bits) = (width as usize, usize::from(bits));
    bytes.chunks_exact((width * bits).div_ceil(8).max(1)).flat_map(move |row| {
        (0..width).map(move |i| row[i * bits / 8] >> (8 - bits - i * bits % 8) & (u8::MAX >> (8 - bits)))
    })
}

/// Converts 16-bit levels to 8 bits. Levels that are all below 256 stay: some programs write 8 bits where 16 are meant.
fn eight_bits(map: &[u16]) -> Vec<u8> {
    let shift = if map.iter().all(|level| *level <= 255) { 0 } else { 8 };
    map.iter().map(|level| (level >> shift) as u8).collect()
}

/// Converts YCbCr to RGB by JFIF 1.02: ITU-R BT.601 over the whole range.
fn to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let [y, cb, cr] = [f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0];
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb]
        .map(|level| level.round().clamp(0.0, 255.0) as u8)
}

fn damaged(why: &str) -> ImageError {
    ImageError::Decoding(DecodingError::new(ImageFormat::Tiff.into(), why.to_string()))
}

fn image_error(error: TiffError) -> ImageError {
    match error {
        TiffError::LimitsExceeded => ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory)),
        TiffError::UnsupportedError(error) => ImageError::Unsupported(UnsupportedError::from_format_and_kind(
            ImageFormat::Tiff.into(),
            UnsupportedErrorKind::GenericFeature(error.to_string()),
        )),
        error => ImageError::Decoding(DecodingError::new(ImageFormat::Tiff.into(), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_few_bits_are_unpacked_row_by_row() {
        // Three samples of 4 bits a row: the last half byte of each row is padding.
        let of = |bytes: &[u8], width, bits| unpacked(bytes, width, bits).collect::<Vec<_>>();
        assert_eq!(of(&[0x12, 0x3f, 0x45, 0x6f], 3, 4), [1, 2, 3, 4, 5, 6]);
        assert_eq!(of(&[0b1010_0000, 0b0110_0000], 3, 1), [1, 0, 1, 0, 1, 1]);
        assert_eq!(of(&[0b1101_1000, 0b0010_0111], 4, 2), [3, 1, 2, 0, 0, 2, 1, 3]);
        assert_eq!(of(&[7, 8, 9, 10], 2, 8), [7, 8, 9, 10]);
    }

    #[test]
    fn jpeg_s_colours_become_red_green_and_blue() {
        // The results are Pillow's, for red, grey and blue.
        assert_eq!(to_rgb([76, 85, 255]), [254, 0, 0]);
        assert_eq!(to_rgb([128, 128, 128]), [128, 128, 128]);
        assert_eq!(to_rgb([29, 255, 107]), [0, 0, 254]);
    }
}
