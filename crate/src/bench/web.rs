//! Functions that the benchmark's page calls.

use std::cell::RefCell;
use std::rc::Rc;

use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::{Bench, Options, operation, shapes};
use crate::{Error, Result};

thread_local! {
    static BENCH: RefCell<Option<Rc<Bench>>> = const { RefCell::new(None) };
}

fn object(value: &impl Serialize) -> Result<JsValue, JsValue> {
    Ok(value.serialize(&serde_wasm_bindgen::Serializer::json_compatible())?)
}

fn opened() -> Result<Rc<Bench>> {
    BENCH.with_borrow(Clone::clone).ok_or_else(|| Error::Device("No device has been opened yet.".into()))
}

/// Opens the device and measures its peak; `options` are [`Options`]. Returns the [`Setting`](super::Setting).
///
/// # Errors
/// There is no device, or the options cannot be understood.
#[wasm_bindgen(js_name = benchOpen)]
pub async fn bench_open(options: JsValue) -> Result<JsValue, JsValue> {
    let options: Options = serde_wasm_bindgen::from_value(options)?;
    let bench = Bench::open(options).await?;
    let setting = object(&bench.setting);
    BENCH.set(Some(Rc::new(bench)));
    setting
}

/// Names of the rows that the options ask for.
///
/// # Errors
/// No device was opened.
#[wasm_bindgen(js_name = benchRows)]
pub fn bench_rows() -> Result<Vec<String>, JsValue> {
    Ok(opened()?.entries().iter().map(|entry| entry.work.name()).collect())
}

/// Measures the row `name`.
///
/// # Errors
/// No device was opened, or there is no such row.
#[wasm_bindgen(js_name = benchRow)]
pub async fn bench_row(name: String) -> Result<JsValue, JsValue> {
    let bench = opened()?;
    object(&bench.row(&shapes::entry(&name)?).await)
}

/// Returns the result of the row `name`.
///
/// # Errors
/// No device was opened, there is no such row, or the device failed.
#[wasm_bindgen(js_name = benchOutput)]
pub async fn bench_output(name: String) -> Result<Vec<f32>, JsValue> {
    Ok(opened()?.output(&name).await?)
}

/// Returns the weight `name` of the rows' layers.
#[wasm_bindgen(js_name = benchWeight)]
pub fn bench_weight(name: &str, shape: Vec<usize>) -> Vec<f32> {
    operation::weight(name, &shape)
}

/// Returns the input `name` of the rows' layers.
#[wasm_bindgen(js_name = benchInput)]
pub fn bench_input(name: &str, shape: Vec<usize>) -> Vec<f32> {
    operation::input(name, &shape)
}
