//! Measures how near a result is to its paintings, and how much of the photo is left in it.

use burn::tensor::Device;
use image::RgbImage;
use wasm_bindgen::prelude::*;

use super::events::object;
use super::{CANCELLED, Flight, explained, heap, opened};
use crate::device::{Place, Precision};
use crate::eval::histogram::Histogram;
use crate::eval::lpips::Lpips;
use crate::messages::{Measures, Request, StyleSource, ToStyle};
use crate::picture::{self, Frame};
use crate::platform::Here;
use crate::{Control, Error, Result};

/// Name of the result in error messages.
const RESULT: &str = "The result";

/// Maximum pixels of a result: AlexNet's first features take 16 bytes a pixel in one buffer, and WebGPU guarantees
/// bindings of 128 MiB.
const MOST: u64 = (128 << 20) / 16;

/// Measures `result`, a picture's file, against the pictures of the `request` that it was made with. They are fitted to
/// its size as `styleid eval` does; weights and masks are ignored. `weights` is the file of LPIPS's weights. Returns
/// `{lpips, styles: [{histogram, styleDistance}]}`, with one of `styles` for each painting. Needs a device, but no
/// model.
///
/// # Errors
/// `picture`, `settings`, `model` (the weights are damaged), `device`, `memory` or `cancelled`, with one sentence.
#[wasm_bindgen]
pub async fn measure(request: JsValue, result: Vec<u8>, weights: Vec<u8>) -> Result<JsValue, JsValue> {
    let _flight = Flight::begin()?;
    heap::forget();
    let device = opened()?;
    let measured = explained(measured(Request::read(request)?, &result, &weights, &device).await).await;
    // Frees the buffers that are kept for tensors of these sizes, since a run cannot use them.
    device.memory_cleanup();
    Ok(object(&measured?)?)
}

async fn measured(request: Request, result: &[u8], weights: &[u8], device: &Device) -> Result<Measures> {
    let control = Control::new(&Here, &|_| (), &|| CANCELLED.get());
    let result = picture::decode(RESULT, result)?;
    let (width, height) = result.dimensions();
    if u64::from(width) * u64::from(height) > MOST {
        return Err(Error::Picture(format!(
            "A result of {width} × {height} pixels is too large to be measured here; up to {} million pixels are possible.",
            MOST / 1_000_000
        )));
    }
    let fitted = |picture: &RgbImage| Frame::middle(picture.dimensions(), result.dimensions()).fit(picture);
    let lpips = Lpips::new(weights, &Place::new(device.clone(), Precision::F32, 0)?)?;
    let seen = lpips.see(&result)?;
    let content = lpips.see(&fitted(&request.photo()?.0))?;
    let distance = finite(lpips.distance(&content, &seen).await?)?;
    drop(content); // frees its features' memory for the next picture
    control.yield_and_check().await?;
    let histogram = Histogram::new(&result);
    let mut styles = Vec::with_capacity(request.styles.len());
    for (style, number) in request.styles.iter().zip(1..) {
        control.yield_and_check().await?;
        let painting = fitted(&style.open(&StyleSource::name(number, request.styles.len()))?);
        let style_distance = finite(lpips.see(&painting)?.style_distance(&seen).await?)?;
        control.yield_and_check().await?;
        styles.push(ToStyle { histogram: histogram.distance(&Histogram::new(&painting)), style_distance });
    }
    control.yield_and_check().await?;
    Ok(Measures { lpips: distance, styles })
}

/// Returns the distance, or an error if it is not finite.
fn finite(distance: f64) -> Result<f64> {
    if distance.is_finite() {
        return Ok(distance);
    }
    Err(Error::Device(
        "The device computed something that is no number, so there are no measures; restart the browser.".into(),
    ))
}
