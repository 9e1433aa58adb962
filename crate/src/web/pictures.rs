//! Looking at pictures before a run.

use wasm_bindgen::prelude::*;

use super::events::object;
use crate::messages::PictureInfo;
use crate::picture;

/// What sentences call a picture whose name the page knows.
const NAME: &str = "This file";

/// Decodes a picture and says what it is: `{width, height, note}`, upright; the note is a sentence on what its owner might not
/// expect, or null.
///
/// # Errors
/// `picture`: it cannot be decoded; `memory`.
#[wasm_bindgen(js_name = checkPicture)]
pub fn check_picture(bytes: &[u8]) -> Result<JsValue, JsValue> {
    super::heap::forget();
    let picture::Examined { width, height, note } = picture::examine(NAME, bytes)?;
    Ok(object(&PictureInfo { width, height, note })?)
}

/// A PNG of a picture, its long side at most `long_side` pixels: for what browsers do not show, such as TIFF.
///
/// # Errors
/// As [`check_picture`].
#[wasm_bindgen(js_name = previewPicture)]
pub fn preview_picture(bytes: &[u8], long_side: u32) -> Result<Vec<u8>, JsValue> {
    super::heap::forget();
    Ok(picture::preview(NAME, bytes, long_side)?)
}

/// Whether a picture is only for the browser's own decoders: its sides in pixels by its header, 0 where they are unknown. Nothing where
/// [`check_picture`] takes it, or nothing would.
#[wasm_bindgen(js_name = foreignPicture)]
pub fn foreign_picture(bytes: &[u8]) -> Option<Vec<u32>> {
    super::heap::forget();
    picture::foreign(bytes).map(Vec::from)
}
