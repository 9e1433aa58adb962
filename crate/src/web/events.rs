//! Conversion between the page's plain objects and a run's types: options in, events out.

use std::rc::Rc;

use js_sys::{Function, Object, Reflect, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;

use crate::control::Preview;
use crate::{Error, Progress, Result};

pub(super) fn object(value: &impl Serialize) -> Result<JsValue> {
    // As in JSON, plain objects and numbers. Otherwise u64s would become BigInts.
    value
        .serialize(&serde_wasm_bindgen::Serializer::json_compatible())
        .map_err(|error| Error::Settings(format!("A value cannot be handed to the page ({error}).")))
}

/// Reads options from an object of plain values; `what` names them in the sentence of an error.
pub(super) fn options<T: DeserializeOwned>(object: JsValue, what: &str) -> Result<T> {
    // By way of a JSON value: read directly, an object's unknown fields would be ignored.
    let refused = |why: String| Error::Settings(format!("The {what} cannot be understood: {why}."));
    let value: serde_json::Value =
        serde_wasm_bindgen::from_value(object).map_err(|error| refused(error.to_string()))?;
    serde_json::from_value(value).map_err(|error| refused(error.to_string()))
}

pub(super) fn reporter(on_event: Function) -> impl Fn(Progress) {
    move |progress| {
        if let Ok(event) = object(&progress) {
            // A listener that throws is the page's mistake; the run goes on.
            let _ = on_event.call1(&JsValue::NULL, &event);
        }
    }
}

/// Returns a callback that sends sentences to the page as `{notice}`.
pub(super) fn notifier(on_event: Function) -> Rc<dyn Fn(&str)> {
    Rc::new(move |sentence| {
        let event = Object::new();
        // Setting a field of a new object cannot fail.
        let _ = Reflect::set(&event, &"notice".into(), &sentence.into());
        let _ = on_event.call1(&JsValue::NULL, &event);
    })
}

/// Returns a callback that sends previews to the page as `{preview: {width, height, rgba, step, steps}}`.
pub(super) fn previewer(on_event: Function) -> impl Fn(Preview) {
    move |Preview { picture, step, steps }| {
        let rgba: Vec<u8> = picture.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
        let preview = Object::new();
        let numbers =
            [("width", picture.width()), ("height", picture.height()), ("step", step as u32), ("steps", steps as u32)];
        for (field, number) in numbers {
            // Setting a field of a new object cannot fail.
            let _ = Reflect::set(&preview, &field.into(), &number.into());
        }
        let _ = Reflect::set(&preview, &"rgba".into(), &Uint8Array::from(&rgba[..]));
        let event = Object::new();
        let _ = Reflect::set(&event, &"preview".into(), &preview);
        let _ = on_event.call1(&JsValue::NULL, &event);
    }
}
