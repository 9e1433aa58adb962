//! Inspects pictures before a run.

use wasm_bindgen::prelude::*;

use super::events::object;
use crate::messages::PictureInfo;
use crate::picture;

/// Name of a picture in error messages: the page knows its real name.
const NAME: &str = "This file";

/// Decodes a picture and describes it: `{width, height, note}`. The size is that of the upright picture; the note is a
/// sentence on what its owner might not expect, or null.
///
/// # Errors
/// `picture`: it cannot be decoded; `memory`.
#[wasm_bindgen(js_name = checkPicture)]
pub fn check_picture(bytes: &[u8]) -> Result<JsValue, JsValue> {
    super::heap::forget();
    let picture::Examined { width, height, note } = picture::examine(NAME, bytes)?;
    Ok(object(&PictureInfo { width, height, note })?)
}

/// Returns a PNG of a picture, its long side at most `long_side` pixels, for formats that browsers do not show, such as
/// TIFF.
///
/// # Errors
/// As [`check_picture`].
#[wasm_bindgen(js_name = previewPicture)]
pub fn preview_picture(bytes: &[u8], long_side: u32) -> Result<Vec<u8>, JsValue> {
    super::heap::forget();
    Ok(picture::preview(NAME, bytes, long_side)?)
}

/// Whether only the browser's own decoders may read a picture. Returns its width and height from the header, not yet
/// upright, or 0 where they are unknown; `None` if [`check_picture`] reads it, or no decoder would.
#[wasm_bindgen(js_name = foreignPicture)]
pub fn foreign_picture(bytes: &[u8]) -> Option<Vec<u32>> {
    super::heap::forget();
    picture::foreign(bytes).map(Vec::from)
}
