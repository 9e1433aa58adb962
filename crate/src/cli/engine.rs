//! What computes: the model, the device and what they may take; and files in and out.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use burn::tensor::Device;
use clap::ValueEnum;
use styleid::device::{Precision, cpu};
use styleid::memory::{Memory, parse_bytes};
use styleid::model::{LoadOptions, StableDiffusion};
use styleid::picture::{self, Crop};
use styleid::{Control, Error, Pipeline, Result, Session};
use tempfile::Builder;

use super::devices::{DeviceChoice, instead};
use super::model::{KeepArgs, ModelArgs};

/// Arguments that say what computes.
#[derive(Debug, clap::Args)]
pub struct EngineArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    keep: KeepArgs,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t = DeviceChoice::Auto)]
    device: DeviceChoice,
    /// Floating-point type to compute in; auto is f32, and for a --trace of a model of under 5 million weights on the processor f64.
    /// f16 is for GPUs whose shaders have it: the UNet's activations are f16, all sums f32.
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

impl EngineArgs {
    /// How weights are kept, and what else loading is told. In a picture nobody sees what f32 rounds; in a `traced` run's tensors
    /// it can be seen.
    pub fn options(&self, traced: bool) -> LoadOptions {
        let precision = match self.precision {
            PrecisionChoice::Auto if traced => Precision::Auto,
            PrecisionChoice::Auto | PrecisionChoice::F32 => Precision::F32,
            PrecisionChoice::F64 => Precision::F64,
            PrecisionChoice::F16 => Precision::F16,
        };
        LoadOptions {
            precision,
            weights: self.keep.weights.into(),
            prediction: self.model.prediction(),
            memory: Memory { budget: self.gpu_memory, exact_features: self.exact_features, pairs: None },
            repair: None,
            fingerprint: true,
        }
    }

    /// The requested type to compute in; `None` if none was requested.
    pub fn asked_precision(&self) -> Option<String> {
        let name = self.precision.to_possible_value().map(|value| value.get_name().to_string());
        name.filter(|_| self.precision != PrecisionChoice::Auto)
    }

    /// Loads the model. Where nobody named a device and the GPU fails at it, the processor takes its place.
    ///
    /// # Errors
    /// One sentence says what is wrong with the model or the device.
    pub async fn session(&self, options: LoadOptions, control: &Control<'_>) -> Result<Session> {
        let device = self.device.open().await?;
        let is_processor = device == cpu();
        match self.load(device, options, control).await {
            Err(error) if !is_processor && self.gives_up(&error) => self.load(instead(&error), options, control).await,
            loaded => loaded,
        }
    }

    /// As [`EngineArgs::session`], on the processor in place of the GPU on which `session` failed with `error`.
    ///
    /// # Errors
    /// As there.
    pub async fn after_failure(
        &self,
        session: Session,
        error: &Error,
        options: LoadOptions,
        control: &Control<'_>,
    ) -> Result<Session> {
        drop(session);
        self.load(instead(error), options, control).await
    }

    /// Whether the processor may take the place of the device on which `session` failed like this.
    pub fn may_give_up(&self, session: &Session, error: &Error) -> bool {
        !session.pipeline.model.place.is_processor() && self.gives_up(error)
    }

    fn gives_up(&self, error: &Error) -> bool {
        self.device == DeviceChoice::Auto
            && matches!(error, Error::Device(_) | Error::Unsupported(_) | Error::Memory(_))
    }

    async fn load(&self, device: Device, options: LoadOptions, control: &Control<'_>) -> Result<Session> {
        let origin = self.model.origin(options.weights, !self.keep.no_cache)?;
        Ok(Session::new(Pipeline::new(StableDiffusion::load(&origin, device, options, control).await?)))
    }
}

/// Standard input or output in place of a file.
pub const PIPE: &str = "-";

pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new(PIPE) {
        let mut bytes = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut bytes);
        return read.map(|_| bytes).map_err(|error| Error::File(format!("Standard input cannot be read: {error}.")));
    }
    std::fs::read(path).map_err(|error| Error::File(format!("{} cannot be read: {error}.", path.display())))
}

pub fn read_picture(path: &Path, crop: Option<&Crop>) -> Result<image::RgbImage> {
    picture_of(path, &read_file(path)?, crop)
}

/// The picture in `bytes`, which came from `path`.
pub fn picture_of(path: &Path, bytes: &[u8], crop: Option<&Crop>) -> Result<image::RgbImage> {
    let name = if path == Path::new(PIPE) { "standard input".into() } else { path.display().to_string() };
    let picture = picture::decode(&name, bytes)?;
    match crop {
        Some(crop) => crop.cut(&name, &picture),
        None => Ok(picture),
    }
}

/// Writes a file whole or not at all: it has a temporary name until it is complete.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes).map_err(|error| Error::File(format!("{} cannot be written: {error}.", path.display())))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link is followed, and a pipe or a device is written to in place.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
    if path.exists() && !path.is_file() {
        return std::fs::write(path, bytes);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = Builder::new();
    file.prefix(UNFINISHED).suffix(".part");
    // The file gets the permissions of the user's other files; a temporary file can be read by its user alone.
    #[cfg(unix)]
    file.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = file.tempfile_in(folder)?;
    file.write_all(bytes)?;
    // Some file systems report only here that there is no room.
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The beginning of the names of unfinished files.
const UNFINISHED: &str = ".styleid-";

/// Makes sure, before the long run, that `folder` takes files, and clears what runs left there that were killed while writing.
pub fn prepare_results(folder: &Path) -> Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    prepare_folder(&folder.join("result"))?;
    tempfile::tempfile_in(folder)
        .map_err(|error| Error::File(format!("Nothing can be written in {}: {error}.", folder.display())))?;
    let is_left = |entry: &std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
        // Another process may be writing this file.
        name.starts_with(UNFINISHED) && name.ends_with(".part") && age.is_some_and(|age| age > WRITING)
    };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().filter(is_left) {
        // A file that cannot be removed does no harm.
        let _ = std::fs::remove_file(entry.path());
    }
    Ok(())
}

/// An unfinished file that is older than this belongs to a process that was killed.
const WRITING: Duration = Duration::from_secs(3600);

/// Makes sure, before the long run, that its result can be written.
pub fn prepare_folder(file: &Path) -> Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder)
            .map_err(|error| Error::File(format!("The folder {} cannot be made: {error}.", folder.display()))),
        _ => Ok(()),
    }
}
