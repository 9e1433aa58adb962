//! What the page asks for: pictures with their crops, weights and masks.

use image::RgbImage;
use wasm_bindgen::JsValue;

use crate::messages::{Request, StyleSource};
use crate::picture::{self, Crop};
use crate::{Error, Result};

/// What sentences call the photo.
pub(super) const PHOTO: &str = "The photo";

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
