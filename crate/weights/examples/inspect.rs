//! Says what the model at a path is, or the one sentence why it cannot be used, without reading its weights:
//!
//!     cargo run --example inspect -- PATH…
//!
//! `PATH+vae=OTHER` takes the VAE of another file or folder, `PATH+rest=OTHER` all parts that the first one lacks.

use std::path::Path;

use styleid_weights::checkpoint::Parts;
use styleid_weights::source::local::Folder;
use styleid_weights::{Checkpoint, Origin, Result};

async fn parts(path: &str) -> Result<Parts> {
    let path = Path::new(path);
    if path.is_dir() {
        return Parts::open(&Folder::new(path)).await;
    }
    let folder = Folder::new(path.parent().unwrap_or(Path::new("")));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let missing = || styleid_weights::Error::Model(format!("There is nothing at {}.", path.display()));
    let file = styleid_weights::Source::open(&folder, &name).await?.ok_or_else(missing)?;
    Parts::of_files(vec![file]).await
}

async fn open(path: &str) -> Result<Checkpoint> {
    if let Some((path, vae)) = path.split_once("+vae=") {
        return (Origin::local(path.as_ref(), None)?.open)().await?.with_vae(&parts(vae).await?);
    }
    if let Some((path, rest)) = path.split_once("+rest=") {
        return Checkpoint::with_rest(parts(path).await?, &parts(rest).await?, None);
    }
    (Origin::local(path.as_ref(), None)?.open)().await
}

async fn facts(path: &str) -> Result<String> {
    let checkpoint = open(path).await?;
    checkpoint.check()?;
    let configs = checkpoint.parsed()?;
    let (unet, scheduler) = (&configs.unet, &configs.scheduler);
    let version = if unet.use_linear_projection { "2.x" } else { "1.x" };
    let mid = if unet.has_mid_block() { "mid block" } else { "no mid block" };
    let mut lines = vec![
        format!(
            "{}, {version}, {} tensors in {} files",
            checkpoint.layout,
            checkpoint.tensors.len(),
            checkpoint.files.len()
        ),
        format!(
            "channels {:?}, {mid}, heads {:?}, context {:?}",
            unet.block_out_channels,
            (0..unet.block_out_channels.len()).map(|level| unet.heads(level)).collect::<Vec<_>>(),
            unet.cross_attention_dim
        ),
        format!(
            "predicts {:?} ({}), latents of side {:?}",
            scheduler.prediction_type, checkpoint.prediction_by, unet.sample_size
        ),
        format!(
            "layers {:?}, by default {:?} and {:?}",
            unet.decoder_layers(),
            unet.layers_at_finest_levels(2, 1),
            unet.layers_at_finest_levels(2, 0)
        ),
    ];
    if scheduler.rescale_betas_zero_snr || scheduler.timestep_spacing != Default::default() {
        let zero = if scheduler.rescale_betas_zero_snr { "scaled to zero" } else { "as they are" };
        lines.push(format!("betas {zero}, timesteps {:?}", scheduler.timestep_spacing));
    }
    lines.extend(checkpoint.notes);
    lines.extend(scheduler.notices());
    Ok(lines.join("\n    "))
}

fn main() {
    for path in std::env::args().skip(1) {
        match pollster::block_on(facts(&path)) {
            Ok(facts) => println!("{path}\n    {facts}"),
            Err(error) => println!("{path}\n    ERROR {error}"),
        }
    }
}
