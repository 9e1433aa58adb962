//! Measures our operations against burn's own, natively and in the browser: `./dev bench kernels`,
//! `./dev bench browser`.
//!
//! [`shapes`] lists the operations of the models, [`operation`] builds one of them, [`Stopwatch`] times it, and
//! [`peak`] finds how fast the adapter multiplies and adds when nothing else limits it.

pub mod check;
pub mod network;
mod operation;
pub mod peak;
pub mod shapes;
#[cfg(target_arch = "wasm32")]
mod web;
pub mod work;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use self::peak::Peak;
use self::shapes::Entry;
use crate::device::{Place, Precision};
use crate::gpu::{self, Adapter};
use crate::ops::{self, Kernels};
use crate::selftest::timing::{Stopwatch, Timing};
use crate::selftest::trial::{Tiles, choose_tiles};
use crate::weights::WeightType;
use crate::{Error, Result};

/// What to measure, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Options {
    /// Only rows whose names contain one of these; all rows if there is none.
    pub filter: Vec<String>,
    /// `software`, `hardware`, `reference`; if empty, those that suit the adapter, and the reference.
    pub kernels: Vec<String>,
    /// Storage type of the weights.
    pub weights: WeightType,
    /// Seconds to spend on the repetitions of a row.
    pub seconds_per_row: f64,
    /// Rows of more than this many 10⁹ operations are left out. `None`: 40 on a software adapter, no limit on others.
    pub most_gflop: Option<f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: Vec::new(),
            kernels: Vec::new(),
            weights: WeightType::Exact,
            seconds_per_row: 1.0,
            most_gflop: None,
        }
    }
}

/// The circumstances of a benchmark.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// The GPU.
    pub adapter: Adapter,
    /// How fast it multiplies and adds.
    pub peak: Peak,
    /// Seconds that reading one number back takes, which are taken off every timing.
    pub wait: f64,
    /// Storage type of the weights.
    pub weights: &'static str,
    /// Names of the measured kernels.
    pub kernels: Vec<&'static str>,
    /// Number of rows without a filter.
    pub rows: usize,
    /// The networks that a row's `uses` refer to.
    pub networks: [&'static str; 4],
}

/// What was measured of one operation or block.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its name.
    pub name: String,
    /// `conv`, `linear`, `attention`, `norm` or `block`.
    pub kind: &'static str,
    /// 10⁹ floating-point operations.
    pub gflop: f64,
    /// 10⁹ bytes that a norm must move at least; 0 for other kinds.
    pub gbyte: f64,
    /// How often it occurs in each of the setting's networks.
    pub uses: [u32; 4],
    /// Times by the name of the kernels.
    pub times: BTreeMap<&'static str, Timing>,
    /// Largest difference between the first kernels and the reference, relative to the reference's largest value.
    pub difference: Option<f32>,
    /// Why something is missing.
    pub failed: Option<String>,
}

/// Returns the kernels of this name.
///
/// # Errors
/// There are none.
pub fn parse(text: &str) -> Result<Kernels> {
    [Kernels::Reference, Kernels::Software, Kernels::Hardware]
        .into_iter()
        .find(|kernels| kernels.name() == text)
        .ok_or_else(|| Error::Settings(format!("Kernels are software, hardware or reference, not {text}.")))
}

/// An opened device with its peak measured.
#[derive(Debug)]
pub struct Bench {
    /// The circumstances.
    pub setting: Setting,
    place: Place,
    device: Device,
    watch: Stopwatch,
    kernels: Vec<Kernels>,
    options: Options,
}

impl Bench {
    /// Opens the GPU and measures its peak.
    ///
    /// # Errors
    /// There is no GPU, or the options name unknown kernels.
    pub async fn open(mut options: Options) -> Result<Self> {
        let (device, mut adapter) = gpu::open().await?;
        adapter.tiles = choose_tiles(&device, &Tiles::new(), f64::INFINITY).await?;
        let own = if adapter.software { Kernels::Software } else { Kernels::Hardware };
        let kernels = match options.kernels.as_slice() {
            [] => vec![own, Kernels::Reference],
            names => names.iter().map(|name| parse(name)).collect::<Result<_>>()?,
        };
        if adapter.software {
            options.most_gflop.get_or_insert(40.0);
        }
        let place = Place::new(device.clone(), Precision::F32, 0)?;
        let watch = Stopwatch::new(&place.tensor(vec![1.0; 64], [1, 1, 8, 8]), options.seconds_per_row).await?;
        let setting = Setting {
            adapter,
            peak: peak::measure(&place, &watch).await?,
            wait: watch.wait,
            weights: options.weights.name(),
            kernels: kernels.iter().map(|kernels| kernels.name()).collect(),
            rows: shapes::entries().len(),
            networks: shapes::NETWORKS,
        };
        Ok(Self { setting, place, device, watch, kernels, options })
    }

    /// The rows to measure.
    pub fn entries(&self) -> Vec<Entry> {
        let wanted = |name: &str| {
            self.options.filter.is_empty() || self.options.filter.iter().any(|part| name.contains(part.as_str()))
        };
        shapes::entries().into_iter().filter(|entry| wanted(&entry.work.name())).collect()
    }

    /// Measures one row. A failure is reported in the row.
    pub async fn row(&self, entry: &Entry) -> Row {
        let work = entry.work;
        let mut row = Row {
            name: work.name(),
            kind: work.kind(),
            gflop: work.flop() / 1e9,
            gbyte: work.bytes() / 1e9,
            uses: entry.uses,
            times: BTreeMap::new(),
            difference: None,
            failed: None,
        };
        if self.options.most_gflop.is_some_and(|most| row.gflop > most) {
            row.failed = Some("left out: too much work for this adapter".into());
            return row;
        }
        if let Err(error) = self.fill(&mut row, entry).await {
            row.failed = Some(error.to_string());
        }
        self.device.memory_cleanup();
        row
    }

    async fn fill(&self, row: &mut Row, entry: &Entry) -> Result<()> {
        let operation = operation::build(entry.work, &self.place, self.options.weights)?;
        let mut first = None;
        for &kernels in &self.kernels {
            ops::choose(kernels);
            let (timing, out) = self.watch.measure(&operation).await?;
            row.times.insert(kernels.name(), timing);
            match first.take() {
                Some(ours) if kernels == Kernels::Reference => row.difference = Some(difference(ours, out).await?),
                other => first = other.or(Some(out)),
            }
        }
        Ok(())
    }

    /// The result of the row `name` with the first of the kernels, read back.
    ///
    /// # Errors
    /// There is no such row, or the device failed.
    pub async fn output(&self, name: &str) -> Result<Vec<f32>> {
        let entry = shapes::entry(name)?;
        let operation = operation::build(entry.work, &self.place, self.options.weights)?;
        ops::choose(self.kernels[0]);
        Ok(operation().into_data_async().await?.iter::<f32>().collect())
    }
}

async fn difference(ours: Tensor<4>, reference: Tensor<4>) -> Result<f32> {
    let largest = async |x: Tensor<4>| -> Result<f32> {
        let max = x.abs().max().into_data_async().await?;
        Ok(max.iter::<f32>().next().unwrap_or(f32::NAN))
    };
    Ok(largest(ours - reference.clone()).await? / largest(reference).await?)
}
