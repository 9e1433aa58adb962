//! `styleid info`.

use std::path::PathBuf;

use indicatif::{HumanBytes, HumanCount};
use styleid::Result;
use styleid::model::ModelInfo;
use styleid::model::config::Prediction;
use styleid::weights::source::Folder;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Model folder in the diffusers layout.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
}

pub async fn run(args: &Args) -> Result<()> {
    let info = ModelInfo::load(&Folder(args.model.clone())).await?;
    let prediction = match info.prediction {
        Prediction::Epsilon => "epsilon",
        Prediction::VPrediction => "v_prediction",
    };
    let layers: Vec<String> = info.layers.iter().map(ToString::to_string).collect();
    println!("model       {}", info.name);
    match info.version {
        "unconditional" => println!("version     unconditional, without a text encoder"),
        version => println!("version     Stable Diffusion {version}"),
    }
    println!("prediction  {prediction}");
    println!("size        {0} × {0} pixels", info.native_size);
    println!("layers      {}", layers.join(", "));
    println!("parameters  {}", HumanCount(info.parameters));
    println!("bytes       {} ({})", HumanCount(info.bytes), HumanBytes(info.bytes));
    for part in &info.parts {
        let dtypes: Vec<String> =
            part.census.dtypes.iter().map(|(dtype, count)| format!("{dtype} {}", HumanCount(*count))).collect();
        println!(
            "  {:<13} {} parameters, {} bytes, {}",
            part.name,
            HumanCount(part.census.parameters),
            HumanCount(part.census.bytes),
            dtypes.join(", ")
        );
    }
    Ok(())
}
