//! A run that the page starts.

use std::cell::Cell;

use image::RgbImage;
use js_sys::Function;
use wasm_bindgen::prelude::*;

use super::events::{self, notifier, previewer, reporter};
use super::request::PHOTO;
use super::{CANCELLED, Flight, SESSION, WEIGHTS, explained, heap};
use crate::memory::{self, GpuBytes};
use crate::messages::{Request, StyleSource, Stylized};
use crate::picture::Mask;
use crate::platform::Here;
use crate::styleid::{Caption, CaptionStyle};
use crate::{Control, Error, Params, Result, Session, Style};

thread_local! {
    /// Time at which the run was paused, in milliseconds; `None` while it is not paused.
    static PAUSED_AT: Cell<Option<f64>> = const { Cell::new(None) };
    /// Total milliseconds of the run's pauses that have ended.
    static PAUSED_FOR: Cell<f64> = const { Cell::new(0.0) };
}

/// Pauses the run at its next block, until [`resume`] or [`cancel`](super::cancel).
#[wasm_bindgen]
pub fn pause() {
    if PAUSED_AT.get().is_none() {
        PAUSED_AT.set(Some(js_sys::Date::now()));
    }
}

/// Whether runs hold at their next block.
#[cfg(feature = "processor")]
pub(super) fn is_paused() -> bool {
    PAUSED_AT.get().is_some()
}

/// Lets a paused run go on.
#[wasm_bindgen]
pub fn resume() {
    if let Some(began) = PAUSED_AT.take() {
        PAUSED_FOR.set(PAUSED_FOR.get() + js_sys::Date::now() - began);
    }
}

/// Repaints `request.content` in the styles of `request.styles` with `options` ([`Params`] as an object). Inversions
/// are kept, so that a run of the same pictures with other settings computes only what changed. Events are
/// `{phase, step, steps}`, `{notice}` and `{preview}`.
///
/// # Errors
/// `picture`, `settings`, `model`, `device`, `memory` or `cancelled`, with one sentence.
#[wasm_bindgen]
pub async fn stylize(request: JsValue, options: JsValue, on_event: Function) -> Result<Stylized, JsValue> {
    let _flight = Flight::begin()?;
    resume();
    PAUSED_FOR.set(0.0);
    heap::forget();
    let params: Params = events::options(options, "settings")?;
    let request = Request::read(request)?;
    let mut session = SESSION.take().ok_or_else(|| Error::Model("No model has been loaded yet.".into()))?;
    let result = explained(run(&mut session, request, &params, on_event).await).await;
    // Put back before anything can return: a failed run keeps the model and the inversions it finished.
    SESSION.set(Some(session));
    Ok(result?)
}

/// A decoded style.
pub(super) struct Painting {
    picture: RgbImage,
    weight: f32,
    mask: Option<Mask>,
}

impl Painting {
    /// Decodes all styles of a `request` whose photo has `whole` pixels before its crop.
    pub(super) fn all(request: &Request, whole: (u32, u32)) -> Result<Vec<Self>> {
        request.styles.iter().zip(1..).map(|(style, number)| Self::open(style, number, request, whole)).collect()
    }

    /// Decodes the `number`-th style of a `request` whose photo has `whole` pixels before its crop.
    fn open(style: &StyleSource, number: usize, request: &Request, whole: (u32, u32)) -> Result<Self> {
        let name = StyleSource::name(number, request.styles.len());
        let picture = style.open(&name)?;
        let mask = style.mask.as_ref().map(|mask| Mask::decode(&format!("The mask of {name}"), &mask.0)).transpose()?;
        let mask = match (mask, &request.crop) {
            // The run sees the cropped photo only.
            (Some(mask), Some(crop)) => Some(mask.within(crop.within(PHOTO, whole)?, whole)),
            (mask, _) => mask,
        };
        Ok(Self { picture, weight: style.weight, mask })
    }

    pub(super) fn borrowed(&self) -> Style<'_> {
        Style { picture: &self.picture, weight: self.weight, mask: self.mask.as_ref() }
    }
}

async fn run(session: &mut Session, request: Request, params: &Params, on_event: Function) -> Result<Stylized> {
    let started = js_sys::Date::now();
    memory::begin();
    let (report, notice, preview) = (reporter(on_event.clone()), notifier(on_event.clone()), previewer(on_event));
    let control = Control::new(&Here, &report, &|| CANCELLED.get())
        .with_pause(&|| PAUSED_AT.get().is_some())
        .with_notices(&*notice)
        .with_previews(&preview);
    let (content, whole) = request.photo()?;
    let paintings = Painting::all(&request, whole)?;
    let styles: Vec<Style<'_>> = paintings.iter().map(Painting::borrowed).collect();
    let caption = caption(session, &request, params);
    let outcome = session.run(&content, &styles, params, &control).await?;
    let (width, height) = outcome.image.dimensions();
    let png = caption.png(&outcome.image)?;
    let GpuBytes { in_use, reserved } = memory::peak().unwrap_or_default();
    Ok(Stylized {
        png,
        width,
        height,
        seconds: (js_sys::Date::now() - started - PAUSED_FOR.get()) / 1000.0,
        unet_calls: outcome.unet_calls as u32,
        gpu_bytes_in_use: in_use as f64,
        gpu_bytes_reserved: reserved as f64,
    })
}

fn caption(session: &Session, request: &Request, params: &Params) -> Caption {
    let styles = request.styles.iter().map(|style| CaptionStyle {
        weight: style.weight,
        crop: style.crop,
        masked: style.mask.is_some(),
    });
    Caption::of_run(&session.pipeline.model.info, WEIGHTS.get(), params, request.crop, styles.collect())
}
