//! `styleid stylize`.

use std::path::PathBuf;
use std::time::Instant;

use indicatif::BinaryBytes;
use styleid::memory;
use styleid::picture::Crop;
use styleid::platform::Here;
use styleid::styleid::Caption;
use styleid::styleid::session::Outcome;
use styleid::{Control, Result, trace};

use super::bars::Bars;
use super::engine::{EngineArgs, prepare_folder, read_picture, write_file};
use super::method::MethodArgs;
use super::styles::StyleArgs;

/// The underscored aliases are the flags of the authors' Python programs.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    engine: EngineArgs,
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
    #[command(flatten)]
    method: MethodArgs,
    /// Say at the end how much of the GPU's memory the run took.
    #[arg(long)]
    stats: bool,
    /// Also write every intermediate tensor to this file.
    #[arg(long, value_name = "FILE.safetensors")]
    trace: Option<PathBuf>,
}

impl Args {
    fn target(&self) -> PathBuf {
        let content = self.content.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
        self.out.clone().unwrap_or_else(|| self.save_dir.join(format!("{content}_in_{}.png", self.styles.names())))
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
    let params = args.method.params()?;
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
    let control = Control::new(&Here, &on_progress, &|| false).with_notices(&on_notice);
    let session = args.engine.session(&control).await?;
    let mut session = if args.trace.is_some() { session.traced() } else { session };
    // The session lends its inversions to the outcome, so the trace gets a handle of the pipeline of its own.
    let pipeline = session.pipeline.clone();
    memory::begin();
    let outcome = session.run(&content, &styles.borrowed(), &params, &control).await?;

    let caption = Caption::of_run(
        &pipeline.model.info,
        args.engine.options().weights,
        &params,
        args.crop,
        args.styles.captions(),
    );
    let png = caption.png(&outcome.image)?;
    write_file(&target, &png)?;
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
