//! What the page asks for: pictures with their crops, weights and masks.

use image::RgbImage;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use wasm_bindgen::JsValue;

use crate::picture::{self, Crop};
use crate::{Error, Result};

/// What sentences call the photo.
pub(super) const PHOTO: &str = "The photo";

/// The bytes of a file, from a `Uint8Array`.
#[derive(Debug)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;

        impl Visitor<'_> for Array {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a Uint8Array")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }

        deserializer.deserialize_byte_buf(Array)
    }
}

/// A painting and how it counts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StyleSource {
    /// The file.
    pub(super) picture: Bytes,
    /// The part of it that is used.
    #[serde(default)]
    pub(super) crop: Option<Crop>,
    /// How much it counts beside the others.
    #[serde(default = "one")]
    pub(super) weight: f32,
    /// Where on the photo it applies.
    #[serde(default)]
    pub(super) mask: Option<Bytes>,
}

impl StyleSource {
    /// What sentences call the `number`-th of `count`.
    pub(super) fn name(number: usize, count: usize) -> String {
        if count == 1 { "The painting".into() } else { format!("Painting {number}") }
    }

    /// The part that is used, decoded.
    pub(super) fn open(&self, name: &str) -> Result<RgbImage> {
        cut(name, picture::decode(name, &self.picture.0)?, self.crop)
    }
}

/// The pictures of a run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The photo's file.
    pub(super) content: Bytes,
    /// The part of the photo that is used.
    #[serde(default)]
    pub(super) crop: Option<Crop>,
    /// The paintings.
    pub(super) styles: Vec<StyleSource>,
}

impl Request {
    /// Of the page's object.
    pub(super) fn read(object: JsValue) -> Result<Self> {
        serde_wasm_bindgen::from_value(object)
            .map_err(|error| Error::Settings(format!("The pictures to work on cannot be understood: {error}.")))
    }

    /// The part of the photo that is used, decoded, and the size of all of it.
    pub(super) fn photo(&self) -> Result<(RgbImage, (u32, u32))> {
        let whole = picture::decode(PHOTO, &self.content.0)?;
        let size = whole.dimensions();
        Ok((cut(PHOTO, whole, self.crop)?, size))
    }
}

/// The part of a picture that `crop` leaves.
fn cut(name: &str, picture: RgbImage, crop: Option<Crop>) -> Result<RgbImage> {
    match crop {
        Some(crop) => crop.cut(name, &picture),
        None => Ok(picture),
    }
}

fn one() -> f32 {
    1.0
}
