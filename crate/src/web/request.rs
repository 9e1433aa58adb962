//! The page's request: pictures with their crops, weights and masks.

use image::RgbImage;
use wasm_bindgen::JsValue;

use crate::messages::{Request, StyleSource};
use crate::picture::{self, Crop};
use crate::{Error, Result};

/// Name of the photo in error messages.
pub(super) const PHOTO: &str = "The photo";

impl StyleSource {
    /// Name of the `number`-th of `count` paintings in error messages.
    pub(super) fn name(number: usize, count: usize) -> String {
        if count == 1 { "The painting".into() } else { format!("Painting {number}") }
    }

    /// Decodes the picture and crops it.
    pub(super) fn open(&self, name: &str) -> Result<RgbImage> {
        cut(name, picture::decode(name, &self.picture.0)?, self.crop)
    }
}

impl Request {
    /// Reads the page's object.
    pub(super) fn read(object: JsValue) -> Result<Self> {
        serde_wasm_bindgen::from_value(object)
            .map_err(|error| Error::Settings(format!("The pictures to work on cannot be understood: {error}.")))
    }

    /// Returns the decoded and cropped photo, and the size of the whole photo.
    pub(super) fn photo(&self) -> Result<(RgbImage, (u32, u32))> {
        let whole = picture::decode(PHOTO, &self.content.0)?;
        let size = whole.dimensions();
        Ok((cut(PHOTO, whole, self.crop)?, size))
    }
}

/// Returns the part of a picture inside `crop`, or all of it without one.
fn cut(name: &str, picture: RgbImage, crop: Option<Crop>) -> Result<RgbImage> {
    match crop {
        Some(crop) => crop.cut(name, &picture),
        None => Ok(picture),
    }
}
