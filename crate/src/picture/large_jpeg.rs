//! JPEG photos with more pixels than the other decoders may take, such as a phone's 108 or 200 million. Their decoder
//! reduces the picture as it reads, so that the whole of it is never in memory.

use std::io::Cursor;

use image::error::DecodingError;
use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};
use jpeg_decoder::{CodingProcess, Decoder, PixelFormat};

/// Maximum pixels of the reduced picture, about those of a run's largest square. A picture that has more even at an
/// eighth of its sides is reduced to that eighth.
const WANTED_PIXELS: u64 = 16_000_000;

/// A JPEG whose header was read, to be decoded at a half, a quarter or an eighth of its sides.
pub(super) struct LargeJpeg<'a> {
    decoder: Decoder<Cursor<&'a [u8]>>,
    colour: ColorType,
    sides: (u32, u32),
}

impl<'a> LargeJpeg<'a> {
    /// Reads the header. `None` if the file is damaged, of another colour type, or progressive: progressive decoding
    /// needs all coefficients of the picture at once.
    pub(super) fn open(bytes: &'a [u8]) -> Option<Self> {
        let mut decoder = Decoder::new(Cursor::new(bytes));
        decoder.read_info().ok()?;
        let info = decoder.info().filter(|info| info.coding_process == CodingProcess::DctSequential)?;
        let colour = match info.pixel_format {
            PixelFormat::L8 => ColorType::L8,
            PixelFormat::RGB24 => ColorType::Rgb8,
            _ => return None,
        };
        let parts = [2, 4, 8].map(|part| [info.width.div_ceil(part), info.height.div_ceil(part)]);
        let is_wanted = |[width, height]: &[u16; 2]| u64::from(*width) * u64::from(*height) <= WANTED_PIXELS;
        let [width, height] = parts.into_iter().find(is_wanted).unwrap_or(parts[2]);
        let (width, height) = decoder.scale(width, height).ok()?;
        Some(Self { decoder, colour, sides: (width.into(), height.into()) })
    }
}

impl ImageDecoder for LargeJpeg<'_> {
    fn dimensions(&self) -> (u32, u32) {
        self.sides
    }

    fn color_type(&self) -> ColorType {
        self.colour
    }

    fn icc_profile(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(self.decoder.icc_profile())
    }

    fn exif_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(self.decoder.exif_data().map(<[u8]>::to_vec))
    }

    fn read_image(mut self, pixels: &mut [u8]) -> ImageResult<()> {
        let damaged = |error| ImageError::Decoding(DecodingError::new(ImageFormat::Jpeg.into(), error));
        let decoded = self.decoder.decode().map_err(damaged)?;
        // The decoder returns as many bytes as its header announced.
        pixels.copy_from_slice(&decoded);
        Ok(())
    }

    fn read_image_boxed(self: Box<Self>, pixels: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(pixels)
    }
}
