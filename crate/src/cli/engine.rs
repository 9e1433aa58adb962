//! What computes: the model, the device and what they may take; and files in and out.

use std::path::Path;

use clap::ValueEnum;
use styleid::device::{self, Precision};
use styleid::gpu;
use styleid::memory::{Memory, parse_bytes};
use styleid::model::{LoadOptions, StableDiffusion};
use styleid::picture::{self, Crop};
use styleid::{Control, Error, Pipeline, Result, Session};

use super::DeviceChoice;
use super::model::{KeepArgs, ModelArgs};

/// Arguments that say what computes.
#[derive(Debug, clap::Args)]
pub struct EngineArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    keep: KeepArgs,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
    /// Floating-point type to compute in; auto is f64 for small models on the processor, else f32. f16 is for GPUs whose shaders
    /// have it: the UNet's activations are f16, all sums f32.
    #[arg(long, value_enum, default_value_t = PrecisionChoice::Auto)]
    precision: PrecisionChoice,
    /// How much a run may take on the GPU, the weights included, as 1.5GiB [default: 1GiB beside the
    /// weights, less where the GPU allows only small buffers].
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    gpu_memory: Option<u64>,
    /// Keep attention features on the GPU exactly, not as f16.
    #[arg(long)]
    exact_features: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrecisionChoice {
    Auto,
    F32,
    F64,
    F16,
}

impl From<PrecisionChoice> for Precision {
    fn from(choice: PrecisionChoice) -> Self {
        match choice {
            PrecisionChoice::Auto => Self::Auto,
            PrecisionChoice::F32 => Self::F32,
            PrecisionChoice::F64 => Self::F64,
            PrecisionChoice::F16 => Self::F16,
        }
    }
}

impl EngineArgs {
    /// How weights are kept, and what else loading is told.
    pub fn options(&self) -> LoadOptions {
        LoadOptions {
            precision: self.precision.into(),
            weights: self.keep.weights.into(),
            prediction: self.model.prediction(),
            memory: Memory { budget: self.gpu_memory, exact_features: self.exact_features, pairs: None },
            repair: None,
        }
    }

    /// Loads the model.
    ///
    /// # Errors
    /// One sentence on the model or the device.
    pub async fn session(&self, control: &Control<'_>) -> Result<Session> {
        let options = self.options();
        let origin = self.model.origin(options.weights, !self.keep.no_cache)?;
        let device = open_device(self.device).await?;
        Ok(Session::new(Pipeline::new(StableDiffusion::load(&origin, device, options, control).await?)))
    }
}

async fn open_device(choice: DeviceChoice) -> Result<burn::tensor::Device> {
    match choice {
        DeviceChoice::Cpu => Ok(device::cpu()),
        DeviceChoice::Gpu => {
            let (device, adapter) = gpu::open().await?;
            eprintln!("GPU: {} ({})", adapter.name, adapter.backend);
            Ok(device)
        }
    }
}

pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::File(format!("{} cannot be read: {error}.", path.display())))
}

pub fn read_picture(path: &Path, crop: Option<&Crop>) -> Result<image::RgbImage> {
    let name = path.display().to_string();
    let picture = picture::decode(&name, &read_file(path)?)?;
    match crop {
        Some(crop) => crop.cut(&name, &picture),
        None => Ok(picture),
    }
}

pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|error| Error::File(format!("{} cannot be written: {error}.", path.display())))
}

/// Makes sure, before the long run, that its result can be written.
pub fn prepare_folder(file: &Path) -> Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder)
            .map_err(|error| Error::File(format!("The folder {} cannot be made: {error}.", folder.display()))),
        _ => Ok(()),
    }
}
