//! `styleid stylize`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use indicatif::BinaryBytes;
use styleid::device::Precision;
use styleid::memory::{self, Memory, parse_bytes};
use styleid::model::{LoadOptions, StableDiffusion};
use styleid::picture::{self, Caption, Crop, Size};
use styleid::styleid::session::Outcome;
use styleid::{Control, Error, Params, Pipeline, Preset, Result, Session, device, trace};

use super::DeviceChoice;
use super::bars::Bars;
use super::model::{KeepArgs, ModelArgs};
use super::styles::{CurveArgs, StyleArgs};

/// The underscored aliases are the flags of the authors' Python programs.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    keep: KeepArgs,
    /// Picture whose content is kept.
    #[arg(long, alias = "cnt_fn", value_name = "FILE")]
    content: PathBuf,
    /// The part of the photo to use, as x,y,width,height in its pixels.
    #[arg(long, value_name = "CROP", allow_hyphen_values = true)]
    crop: Option<Crop>,
    #[command(flatten)]
    styles: StyleArgs,
    /// Where the result goes, as PNG. Without it: CONTENT_in_STYLE.png in --save-dir, or CONTENT_in_STYLE+STYLE.png.
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Folder for the result where --out is not given.
    #[arg(long, alias = "save_dir", value_name = "DIR", default_value = "results")]
    save_dir: PathBuf,
    /// Which official implementation to follow exactly.
    #[arg(long, value_enum, default_value_t = PresetChoice::Diffusers)]
    preset: PresetChoice,
    /// DDIM steps [default: 20 (diffusers), 50 (ldm)].
    #[arg(long, alias = "ddim_steps", value_name = "N")]
    steps: Option<usize>,
    /// γ, how much of the query stays the content's: 0 (style) to 1 (content).
    #[arg(long, default_value_t = 0.75)]
    gamma: f32,
    /// T, how much sharper attention to the style is.
    #[arg(long, alias = "T", value_name = "T", default_value_t = 1.5)]
    temperature: f32,
    #[command(flatten)]
    curves: CurveArgs,
    /// Decoder layers to inject, as 7,8,9 or 7 8 9 [default: 7-11 (diffusers), 6-11 (ldm)].
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', num_args = 1..)]
    layers: Option<Vec<usize>>,
    /// "keep", or the side in pixels of a centre crop [default: the size the model was trained at].
    #[arg(long)]
    size: Option<Size>,
    /// Keep the pictures' shape: --size is the long side then, not the side of a square.
    #[arg(long)]
    keep_aspect: bool,
    /// Keep the photo's colours: the luminance is the result's, the chroma the photo's.
    #[arg(long, alias = "keep-colors")]
    keep_colours: bool,
    /// α, how much of the low frequencies of the content's noise stays, 0 to 1.
    #[arg(long, value_name = "ALPHA", default_value_t = 1.0)]
    damping: f32,
    /// Do not give the content's noise the style's statistics.
    #[arg(long, alias = "without_init_adain")]
    without_init_adain: bool,
    /// Do not inject the style's attention features.
    #[arg(long, alias = "without_attn_injection")]
    without_attn_injection: bool,
    /// Sample the VAE's posterior with this seed instead of taking its mode.
    #[arg(long, value_name = "SEED")]
    vae_sample: Option<u32>,
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
    /// Say at the end how much of the GPU's memory the run took.
    #[arg(long)]
    stats: bool,
    /// Also write every intermediate tensor to this file.
    #[arg(long, value_name = "FILE.safetensors")]
    trace: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PresetChoice {
    /// The authors' diffusers version: 20 steps.
    Diffusers,
    /// The paper's version on the LDM code: 50 steps.
    Ldm,
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

impl Args {
    fn params(&self) -> Result<Params> {
        Ok(Params {
            preset: match self.preset {
                PresetChoice::Diffusers => Preset::Diffusers,
                PresetChoice::Ldm => Preset::Ldm,
            },
            steps: self.steps,
            gamma: self.gamma,
            gamma_curve: self.curves.gamma()?,
            gamma_by_layer: self.curves.gamma_by_layer(),
            temperature: self.temperature,
            temperature_curve: self.curves.temperature()?,
            blend: self.styles.blend(),
            damping: self.damping,
            layers: self.layers.clone(),
            init_adain: !self.without_init_adain,
            attn_injection: !self.without_attn_injection,
            vae_sample: self.vae_sample,
            size: self.size,
            keep_aspect: self.keep_aspect,
            keep_colours: self.keep_colours,
            preview_every: 0,
        })
    }

    fn target(&self) -> PathBuf {
        let content = self.content.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
        self.out.clone().unwrap_or_else(|| self.save_dir.join(format!("{content}_in_{}.png", self.styles.names())))
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

/// Makes sure, before the long run, that its result can be written.
fn prepare_folder(file: &Path) -> Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder)
            .map_err(|error| Error::File(format!("The folder {} cannot be made: {error}.", folder.display()))),
        _ => Ok(()),
    }
}

async fn open_device(choice: DeviceChoice) -> Result<burn::tensor::Device> {
    match choice {
        DeviceChoice::Cpu => Ok(device::cpu()),
        DeviceChoice::Gpu => {
            let (device, adapter) = device::gpu().await?;
            eprintln!("GPU: {} ({})", adapter.name, adapter.backend);
            Ok(device)
        }
    }
}

/// How much memory a run took, for those who measure.
fn print_stats(outcome: &Outcome) {
    println!("UNet evaluations: {}", outcome.unet_calls);
    let (on_device, in_main) = outcome.feature_bytes;
    println!("features: {} on the device, {} in main memory", BinaryBytes(on_device), BinaryBytes(in_main));
    match memory::peak() {
        Some(peak) => {
            println!("GPU memory: at most {} in use, {} reserved", BinaryBytes(peak.in_use), BinaryBytes(peak.reserved))
        }
        None => println!("GPU memory: none, the run was on the processor"),
    }
}

pub async fn run(args: Args) -> Result<()> {
    let started = Instant::now();
    let params = args.params()?;
    params.check()?;
    let content = read_picture(&args.content, None)?;
    let styles = args.styles.read(args.crop.as_ref(), content.dimensions())?;
    let content = match &args.crop {
        Some(crop) => crop.cut(&args.content.display().to_string(), &content)?,
        None => content,
    };
    let target = args.target();
    prepare_folder(&target)?;
    if let Some(trace) = &args.trace {
        prepare_folder(trace)?;
    }

    let bars = Bars::new();
    let on_progress = |progress| bars.show(progress);
    let on_notice = |notice: &str| bars.say(notice);
    let control = Control::new(&on_progress, &|| false).with_notices(&on_notice);
    let options = LoadOptions {
        precision: args.precision.into(),
        weights: args.keep.weights.into(),
        prediction: args.model.prediction(),
        memory: Memory { budget: args.gpu_memory, exact_features: args.exact_features, pairs: None },
    };
    let origin = args.model.origin(options.weights, !args.keep.no_cache)?;
    let device = open_device(args.device).await?;
    let model = StableDiffusion::load(&origin, device, options, &control).await?;
    let mut session = Session::new(Pipeline::new(model));
    // The session lends its inversions to the outcome, so the trace gets a handle of the pipeline of its own.
    let pipeline = session.pipeline.clone();
    memory::begin();
    let outcome = session.run(&content, &styles.borrowed(), &params, &control).await?;

    let caption = Caption::of_run(&pipeline.model.info, options.weights, &params, args.crop, args.styles.captions());
    let png = picture::to_png(&outcome.image, Some(&caption))?;
    std::fs::write(&target, png)
        .map_err(|error| Error::File(format!("{} cannot be written: {error}.", target.display())))?;
    if let Some(trace) = &args.trace {
        trace::write(trace, &pipeline, &outcome).await?;
    }
    let (width, height) = outcome.image.dimensions();
    println!("{} ({width} × {height}) in {:.1} s", target.display(), started.elapsed().as_secs_f32());
    if args.stats {
        print_stats(&outcome);
    }
    Ok(())
}
