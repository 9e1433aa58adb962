//! JPEG photos of more pixels than are decoded elsewhere, such as a phone's 108 and 200 million: their decoder leaves out fine
//! detail as it reads, so that the whole picture is never in memory.

use std::io::Cursor;

use image::error::{DecodingError, UnsupportedError, UnsupportedErrorKind};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageError, ImageFormat, RgbImage};
use jpeg_decoder::{CodingProcess, Decoder, Error, PixelFormat};

/// Pixels that are made of one at most: far more than a run works on, also after cropping.
const WANTED_PIXELS: u64 = 16_000_000;

/// A JPEG whose header was read, and by what its sides are divided.
pub(super) struct LargeJpeg<'a> {
    decoder: Decoder<Cursor<&'a [u8]>>,
    sides: [u32; 2],
    format: PixelFormat,
    decoded: [u32; 2],
}

impl<'a> LargeJpeg<'a> {
    /// Reads the header. Nothing where the file is damaged, of another kind, or progressive: that needs all of the picture's
    /// coefficients at once.
    pub(super) fn open(bytes: &'a [u8]) -> Option<Self> {
        let mut decoder = Decoder::new(Cursor::new(bytes));
        decoder.read_info().ok()?;
        let info = decoder.info()?;
        let is_read = info.coding_process == CodingProcess::DctSequential
            && matches!(info.pixel_format, PixelFormat::L8 | PixelFormat::RGB24);
        // Eighths, quarters and halves of the sides: the largest that is wanted.
        let sides = [u32::from(info.width), u32::from(info.height)];
        let part = [2, 4, 8]
            .into_iter()
            .find(|part| sides.map(|side| u64::from(side.div_ceil(*part))).iter().product::<u64>() <= WANTED_PIXELS);
        let [width, height] = sides.map(|side| side.div_ceil(part.unwrap_or(8)) as u16);
        let (width, height) = decoder.scale(width, height).ok().filter(|_| is_read)?;
        Some(Self { decoder, sides, format: info.pixel_format, decoded: [width.into(), height.into()] })
    }

    /// Width and height of the file's picture in pixels, not yet upright.
    pub(super) fn sides(&self) -> [u32; 2] {
        self.sides
    }

    /// What decoding takes at most: planes, and pixels of them.
    pub(super) fn bytes(&self) -> u64 {
        let [width, height] = self.decoded.map(u64::from);
        2 * 3 * width * height
    }

    /// The picture, smaller, how it is to be turned, and its colour profile.
    pub(super) fn decode(mut self) -> Result<(DynamicImage, Orientation, Option<Vec<u8>>), ImageError> {
        let pixels = self.decoder.decode().map_err(image_error)?;
        let orientation = self.decoder.exif_data().and_then(Orientation::from_exif_chunk);
        let [width, height] = self.decoded;
        let picture = match self.format {
            PixelFormat::L8 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
            _ => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
        };
        let picture = picture.ok_or_else(|| image_error(Error::Format("pixels are missing".into())))?;
        Ok((picture, orientation.unwrap_or(Orientation::NoTransforms), self.decoder.icc_profile()))
    }
}

fn image_error(error: Error) -> ImageError {
    match error {
        Error::Unsupported(_) => ImageError::Unsupported(UnsupportedError::from_format_and_kind(
            ImageFormat::Jpeg.into(),
            UnsupportedErrorKind::GenericFeature(error.to_string()),
        )),
        error => ImageError::Decoding(DecodingError::new(ImageFormat::Jpeg.into(), error)),
    }
}
