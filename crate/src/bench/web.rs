//! Functions that the benchmark's page calls.

use std::cell::RefCell;
use std::rc::Rc;

use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::network::{self, Figures, Job, Model};
use super::{Bench, Options, operation, shapes};
use crate::device::{Place, Precision};
use crate::gpu::{self, Adapter};
use crate::memory::Memory;
use crate::selftest::trial::{Tiles, choose_tiles};
use crate::weights::WeightType;
use crate::{Error, Progress, Result, ops};

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

/// What was measured of a network, and where.
#[derive(Serialize)]
struct Network {
    adapter: Adapter,
    kernels: &'static str,
    model: Model,
    weights: &'static str,
    activations: &'static str,
    #[serde(flatten)]
    figures: Figures,
}

/// Opens the device, builds a network with weights by formula and measures what the [`Job`] says. `on_progress` gets sentences.
///
/// # Errors
/// There is no device, the job cannot be understood, or the device failed.
#[wasm_bindgen(js_name = benchNetwork)]
pub async fn bench_network(job: JsValue, on_progress: &js_sys::Function) -> Result<JsValue, JsValue> {
    let job: Job = serde_wasm_bindgen::from_value(job)?;
    let (device, mut adapter) = gpu::open().await?;
    adapter.tiles = choose_tiles(&device, &Tiles::new(), f64::INFINITY).await?;
    let kernels = ops::kernels(&device).name();
    let place = Place::new(device, Precision::F32, u64::MAX)?;
    let model = network::build(job.model, job.weights, Memory::default(), &place).await?;
    let tell = |Progress { phase, step, steps }| {
        // A listener that fails is the caller's concern.
        let _ = on_progress.call1(&JsValue::NULL, &format!("{phase:?} {step}/{steps}").into());
    };
    let figures = job.measure(model, &tell).await?;
    let weights = WeightType::name(job.weights);
    object(&Network { adapter, kernels, model: job.model, weights, activations: "f32", figures })
}
