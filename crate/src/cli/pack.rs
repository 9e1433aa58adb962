//! `styleid pack`.

use std::path::PathBuf;

use indicatif::HumanBytes;
use styleid::memory::parse_bytes;
use styleid::model::packing::{Packing, write};
use styleid::platform::Here;
use styleid::{Control, Result};

use super::bars::Bars;
use super::model::{ModelArgs, WeightChoice};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// What the UNet's and the VAE's weights become.
    #[arg(long, value_enum, default_value_t = WeightChoice::Q8)]
    weights: WeightChoice,
    /// The pack's name: `.styleid.gguf` is added to it.
    #[arg(long, value_name = "NAME")]
    out: PathBuf,
    /// Write parts of at most this size, such as 90MB, for hosts that take no large files.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    shard: Option<u64>,
    /// Hold rows that are no multiple of 32 at 8 bits too: a smaller file for models with odd widths.
    #[arg(long)]
    odd_rows: bool,
    /// Under which terms the weights are; is written into the pack.
    #[arg(long, value_name = "NAME")]
    licence: Option<String>,
}

/// The size of a part.
pub fn size(text: &str) -> Result<u64, String> {
    parse_bytes(text).and_then(
        |bytes| {
            if bytes >= 1_000_000 { Ok(bytes) } else { Err("a part must have 1 MB or more".into()) }
        },
    )
}

/// # Errors
/// Says what is wrong with the model, or why the pack cannot be written.
pub async fn run(args: Args) -> Result<()> {
    let bars = Bars::new();
    let on_progress = |progress| bars.show(progress);
    let on_notice = |notice: &str| bars.say(notice);
    let control = Control::new(&Here, &on_progress, &|| false).with_notices(&on_notice);
    let origin = args.model.origin(args.weights.into(), false)?;
    let packing = Packing {
        source: args.model.published_name(),
        weights: args.weights.into(),
        part_bytes: args.shard,
        room: None,
        odd_rows: args.odd_rows,
        licence: args.licence,
        prediction: args.model.prediction(),
    };
    for (path, bytes) in write(&origin, &packing, &args.out, &control).await? {
        println!("{} ({})", path.display(), HumanBytes(bytes));
    }
    Ok(())
}
