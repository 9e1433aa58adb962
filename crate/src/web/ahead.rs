//! The inversions of a run divided among workers, each with the same model: one makes the photo's and runs, another hands it
//! the paintings'.

use std::cell::RefCell;

use image::RgbImage;
use js_sys::{Array, Function, Uint8Array};
use wasm_bindgen::prelude::*;

use super::events::{self, object, reporter};
use super::run::{Painting, is_paused, resume};
use super::{CANCELLED, Flight, SESSION, explained, heap};
use crate::messages::Request;
use crate::platform::Here;
use crate::styleid::ahead::Wanted;
use crate::{Control, Error, Params, Result, Session, Style};

/// A request and its settings, decoded.
struct Decoded {
    content: RgbImage,
    paintings: Vec<Painting>,
    params: Params,
}

impl Decoded {
    fn new(request: JsValue, options: JsValue) -> Result<Self> {
        let params = events::options(options, "settings")?;
        let request = Request::read(request)?;
        let (content, whole) = request.photo()?;
        Ok(Self { paintings: Painting::all(&request, whole)?, content, params })
    }

    fn styles(&self) -> Vec<Style<'_>> {
        self.paintings.iter().map(Painting::borrowed).collect()
    }

    fn wanted<'a>(&'a self, styles: &'a [Style<'a>]) -> Wanted<'a> {
        Wanted { content: &self.content, styles, params: &self.params }
    }
}

thread_local! {
    /// The run that is prepared, so that its pictures are decoded once for it.
    static ASKED: RefCell<Option<Decoded>> = const { RefCell::new(None) };
}

/// Takes the pictures of the run that is prepared.
fn asked() -> Result<Decoded> {
    ASKED.take().ok_or_else(|| Error::Settings("This run is not prepared: ask first what it lacks.".into()))
}

/// Takes the session for one task that cannot be another's at the same time.
fn session() -> Result<Session> {
    SESSION.take().ok_or_else(|| Error::Model("No model has been loaded yet.".into()))
}

/// Which inversions a run lacks here: `{content, styles}`, whether the photo's, and the numbers of the paintings from 0.
/// If it lacks both kinds, `invertContent` and then `takeStyles` prepare it.
///
/// # Errors
/// `picture`, `settings` or `model`, with one sentence.
#[wasm_bindgen]
pub fn lacks(request: JsValue, options: JsValue) -> Result<JsValue, JsValue> {
    let _flight = Flight::begin()?;
    ASKED.take();
    let decoded = Decoded::new(request, options)?;
    let session = session()?;
    let lacks = session.lacks(decoded.wanted(&decoded.styles()));
    SESSION.set(Some(session));
    let lacks = lacks?;
    ASKED.set((lacks.content && !lacks.styles.is_empty()).then_some(decoded));
    Ok(object(&lacks)?)
}

/// Inverts the photo of the run, and keeps that. Returns how often the UNet was called.
///
/// # Errors
/// As `stylize`.
#[wasm_bindgen(js_name = invertContent)]
pub async fn invert_content(on_event: Function) -> Result<u32, JsValue> {
    let _flight = Flight::begin()?;
    resume();
    heap::forget();
    let decoded = asked()?;
    let mut session = session()?;
    let report = reporter(on_event);
    let control = Control::new(&Here, &report, &|| CANCELLED.get()).with_pause(&is_paused);
    let calls = explained(session.invert_content(decoded.wanted(&decoded.styles()), &control).await).await;
    SESSION.set(Some(session));
    let calls = calls?;
    ASKED.set(Some(decoded));
    Ok(calls as u32)
}

/// Inverts the paintings of these `numbers` for a run elsewhere. Returns `[UNet calls, file, …]`, a file for each of them.
///
/// # Errors
/// As `stylize`.
#[wasm_bindgen(js_name = invertStyles)]
pub async fn invert_styles(
    request: JsValue,
    options: JsValue,
    numbers: Vec<u32>,
    on_event: Function,
) -> Result<Array, JsValue> {
    let _flight = Flight::begin()?;
    resume();
    heap::forget();
    let decoded = Decoded::new(request, options)?;
    let session = session()?;
    let report = reporter(on_event);
    let control = Control::new(&Here, &report, &|| CANCELLED.get()).with_pause(&is_paused);
    let numbers: Vec<usize> = numbers.into_iter().map(|number| number as usize).collect();
    let made = session.invert_styles(&numbers, decoded.wanted(&decoded.styles()), &control).await;
    SESSION.set(Some(session));
    let (files, calls) = explained(made).await?;
    let answer = Array::of1(&JsValue::from_f64(calls as f64));
    for file in files {
        answer.push(&Uint8Array::from(&file[..]));
    }
    Ok(answer)
}

/// Takes the inversions of the run's paintings of these `numbers` from another worker's `invertStyles`, a file for each, and
/// lets go of the run's pictures.
///
/// # Errors
/// `picture`, `settings` or `model`, with one sentence.
#[wasm_bindgen(js_name = takeStyles)]
pub fn take_styles(numbers: Vec<u32>, files: Vec<Uint8Array>) -> Result<(), JsValue> {
    let _flight = Flight::begin()?;
    let decoded = asked()?;
    let styles = decoded.styles();
    let mut session = session()?;
    let taken = numbers
        .iter()
        .zip(files)
        .try_for_each(|(&number, file)| session.take_style(number as usize, &file.to_vec(), decoded.wanted(&styles)));
    SESSION.set(Some(session));
    Ok(taken?)
}
