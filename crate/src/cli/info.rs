//! `styleid info` and `styleid models`.

use indicatif::{HumanBytes, HumanCount};
use serde_json::Value;
use styleid::Result;
use styleid::model::ModelInfo;
use styleid::weights::WeightType;
use styleid::weights::config::Prediction;

use super::model::{DEFAULT_MODEL, ModelArgs, catalogue};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
}

fn name_of(prediction: Prediction) -> &'static str {
    match prediction {
        Prediction::Epsilon => "epsilon",
        Prediction::VPrediction => "v_prediction",
    }
}

/// Describes a model from its headers and configs alone.
///
/// # Errors
/// What is wrong with the model.
pub async fn run(args: &Args) -> Result<()> {
    let origin = args.model.origin(WeightType::Exact, false)?;
    let checkpoint = (origin.open)().await?;
    let info = ModelInfo::of(&checkpoint, args.model.prediction())?;
    let list = |layers: &[usize]| layers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    println!("model       {}", info.name);
    for (part, from) in &info.taken {
        println!("{:<11} from {from}", part.replace('_', " "));
    }
    println!("layout      {}", info.layout);
    match info.version {
        "unconditional" => println!("version     unconditional, without a text encoder"),
        version => println!("version     Stable Diffusion {version}"),
    }
    println!("prediction  {} ({})", name_of(info.prediction), info.prediction_by);
    println!("size        {0} × {0} pixels", info.native_size);
    println!("layers      {}", list(&info.layers));
    for level in &info.decoder {
        let side = info.native_size.div_ceil(level.stride);
        println!("  {:<14} {}", format!("{side} × {side} tokens"), list(&level.layers));
    }
    if let Some(chosen) = &info.injection_layers {
        println!("injected    {} unless others are asked for", list(chosen));
    }
    println!("parameters  {}", HumanCount(info.parameters));
    println!("bytes       {} ({})", HumanCount(info.bytes), HumanBytes(info.bytes));
    for part in &info.parts {
        let dtypes: Vec<String> =
            part.census.dtypes.iter().map(|(dtype, count)| format!("{dtype} {}", HumanCount(*count))).collect();
        println!(
            "  {:<14} {} parameters, {} bytes, {}",
            part.name,
            HumanCount(part.census.parameters),
            HumanCount(part.census.bytes),
            dtypes.join(", ")
        );
    }
    for note in &checkpoint.notes {
        println!("note        {note}");
    }
    if let Some(Value::Object(provenance)) = &checkpoint.provenance {
        for (key, value) in provenance {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
            println!("{key:<11} {text}");
        }
    }
    Ok(())
}

/// Lists the catalogue.
///
/// # Errors
/// As [`catalogue`].
pub fn list() -> Result<()> {
    for known in catalogue()? {
        let default = if known.id == DEFAULT_MODEL { ", the default" } else { "" };
        let bytes = HumanBytes(known.bytes);
        let (size, source) = match known.source {
            Some(source) => (format!("{bytes} to fetch"), source),
            None => (bytes.to_string(), "part of this program".into()),
        };
        println!("{:<12} {} ({size}{default})", known.id, known.name);
        println!("{:<12} {source}, {}, {}", "", name_of(known.prediction), known.licence);
    }
    Ok(())
}
