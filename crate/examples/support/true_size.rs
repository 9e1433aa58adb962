//! Stable Diffusion 1.5 at its true size on disk, with formula weights: a folder in the diffusers layout with f16
//! safetensors, and one GGUF file with LDM names as stable-diffusion.cpp writes them (matrices and norm weights `Q8_0`,
//! convolutions and biases f16).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use half::f16;
use serde_json::{Value, json};
use styleid::device::{Place, Precision, cpu};
use styleid::model::clip::TextEncoder;
use styleid::model::unet::Unet;
use styleid::model::vae::Vae;
use styleid::weights::checkpoint::names::{Layout, Renamed};
use styleid::weights::format::Dtype;
use styleid::weights::format::compact::quantise_q8;
use styleid::weights::format::gguf_writer::{GgufLayout, GgufTensor};
use styleid::{Error, Result};

use super::{formula, shapes as network};

/// Full diffusers name and shape.
type Shapes = Vec<(String, Vec<usize>)>;

fn failed(error: impl std::fmt::Display) -> Error {
    Error::File(format!("the measurement's files cannot be made: {error}"))
}

fn configs() -> [(&'static str, &'static str, Value); 4] {
    [
        ("unet", "diffusion_pytorch_model", json!({ "cross_attention_dim": 768, "sample_size": 64 })),
        ("vae", "diffusion_pytorch_model", json!({})),
        (
            "text_encoder",
            "model",
            json!({ "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12,
                "vocab_size": 49408, "hidden_act": "quick_gelu" }),
        ),
        ("scheduler", "", json!({})),
    ]
}

fn shapes(part: &str, config: &Value) -> Result<Shapes> {
    let place = Place::new(cpu(), Precision::F32, 0)?;
    let config = config.clone();
    let found = network::shapes(|tensors| match part {
        "unet" => Unet::build(serde_json::from_value(config).map_err(failed)?, tensors, &place).map(drop),
        "vae" => Vae::build(serde_json::from_value(config).map_err(failed)?, tensors, &place).map(drop),
        _ => {
            let config = serde_json::from_value(config).map_err(failed)?;
            TextEncoder::build(config, &[49406, 49407], tensors, &place).map(drop)
        }
    })?;
    Ok(found.into_iter().map(|(name, shape)| (format!("{part}.{name}"), shape)).collect())
}

fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let (part, name) = name.split_once('.').unwrap_or(("", name));
    formula::values(part, name, shape)
}

fn halves(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect()
}

/// Writes the folder, unless it is there.
pub fn folder(path: &Path) -> Result<()> {
    if path.join("whole").exists() {
        return Ok(());
    }
    for (part, stem, config) in configs() {
        std::fs::create_dir_all(path.join(part)).map_err(failed)?;
        let file = if part == "scheduler" { "scheduler_config.json" } else { "config.json" };
        std::fs::write(path.join(part).join(file), config.to_string()).map_err(failed)?;
        if stem.is_empty() {
            continue;
        }
        let shapes = shapes(part, &config)?;
        let mut header = serde_json::Map::new();
        let mut offset = 0;
        for (name, shape) in &shapes {
            let end = offset + 2 * shape.iter().product::<usize>();
            let name = name.trim_start_matches(part).trim_start_matches('.');
            header.insert(name.into(), json!({ "dtype": "F16", "shape": shape, "data_offsets": [offset, end] }));
            offset = end;
        }
        let header = Value::Object(header).to_string();
        let file = File::create(path.join(part).join(format!("{stem}.fp16.safetensors"))).map_err(failed)?;
        let mut file = BufWriter::new(file);
        file.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
        file.write_all(header.as_bytes()).map_err(failed)?;
        for (name, shape) in &shapes {
            file.write_all(&halves(&values(name, shape))).map_err(failed)?;
        }
        file.flush().map_err(failed)?;
    }
    std::fs::write(path.join("whole"), "").map_err(failed)
}

/// Every name that an LDM checkpoint could have in the places that Stable Diffusion has, by the diffusers name that it
/// stands for.
fn ldm_names() -> BTreeMap<String, String> {
    let mut inner: Vec<String> = Vec::new();
    for kind in ["weight", "bias"] {
        for leaf in [
            "in_layers.0",
            "in_layers.2",
            "emb_layers.1",
            "out_layers.0",
            "out_layers.3",
            "skip_connection",
            "op",
            "conv",
            "norm",
            "proj_in",
            "proj_out",
            "block_1.norm1",
            "0",
            "2",
        ] {
            inner.push(format!("{leaf}.{kind}"));
        }
        for leaf in [
            "norm1",
            "norm2",
            "norm3",
            "attn1.to_q",
            "attn1.to_k",
            "attn1.to_v",
            "attn1.to_out.0",
            "attn2.to_q",
            "attn2.to_k",
            "attn2.to_v",
            "attn2.to_out.0",
            "ff.net.0.proj",
            "ff.net.2",
        ] {
            inner.push(format!("transformer_blocks.0.{leaf}.{kind}"));
        }
    }
    let mut names: Vec<String> = Vec::new();
    for suffix in &inner {
        for place in ["time_embed", "out", "middle_block.0", "middle_block.1", "middle_block.2"] {
            names.push(format!("model.diffusion_model.{place}.{suffix}"));
        }
        for block in 0..12 {
            for part in 0..3 {
                for way in ["input_blocks", "output_blocks"] {
                    names.push(format!("model.diffusion_model.{way}.{block}.{part}.{suffix}"));
                }
            }
        }
    }
    for kind in ["weight", "bias"] {
        names.push(format!("model.diffusion_model.input_blocks.0.0.{kind}"));
        for conv in ["quant_conv", "post_quant_conv"] {
            names.push(format!("first_stage_model.{conv}.{kind}"));
        }
        for coder in ["encoder", "decoder"] {
            let coder = format!("first_stage_model.{coder}");
            for leaf in [
                "conv_in",
                "conv_out",
                "norm_out",
                "mid.attn_1.norm",
                "mid.attn_1.q",
                "mid.attn_1.k",
                "mid.attn_1.v",
                "mid.attn_1.proj_out",
            ] {
                names.push(format!("{coder}.{leaf}.{kind}"));
            }
            for leaf in ["norm1", "conv1", "norm2", "conv2", "nin_shortcut"] {
                for block in 1..3 {
                    names.push(format!("{coder}.mid.block_{block}.{leaf}.{kind}"));
                }
                for (level, block) in (0..4).flat_map(|level| (0..3).map(move |block| (level, block))) {
                    for way in ["down", "up"] {
                        names.push(format!("{coder}.{way}.{level}.block.{block}.{leaf}.{kind}"));
                    }
                }
            }
            for level in 0..4 {
                names.push(format!("{coder}.down.{level}.downsample.conv.{kind}"));
                names.push(format!("{coder}.up.{level}.upsample.conv.{kind}"));
            }
        }
    }
    let layout = Layout::of(names.iter().map(String::as_str));
    let renamed = names.into_iter().filter_map(|ldm| match layout.rename(&ldm) {
        Some((Renamed::One(name), _)) => Some((name, ldm)),
        _ => None,
    });
    renamed.collect()
}

/// Writes the GGUF file, unless it is there.
pub fn gguf(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let ldm = ldm_names();
    let mut tensors = Vec::new();
    for (part, stem, config) in configs() {
        for (name, shape) in if stem.is_empty() { Vec::new() } else { shapes(part, &config)? } {
            let stored = match name.strip_prefix("text_encoder.") {
                Some(name) => format!("cond_stage_model.transformer.{name}"),
                None => ldm.get(&name).ok_or_else(|| failed(format!("{name} has no LDM name")))?.clone(),
            };
            let in_blocks =
                name.ends_with(".weight") && !name.contains("embedding") && shape[shape.len() - 1].is_multiple_of(32);
            tensors.push((stored, name, if in_blocks { Dtype::Q8_0 } else { Dtype::F16 }, shape));
        }
    }
    tensors.sort();
    let entries: Vec<_> =
        tensors.iter().map(|(name, _, dtype, shape)| GgufTensor { name, dtype: *dtype, shape }).collect();
    let plan = GgufLayout::new(&BTreeMap::new(), &entries)?;
    let unfinished = path.with_extension("unfinished");
    let mut file = BufWriter::new(File::create(&unfinished).map_err(failed)?);
    file.write_all(&plan.header).map_err(failed)?;
    let mut at = plan.header.len() as u64;
    for ((_, name, dtype, shape), span) in tensors.iter().zip(&plan.spans) {
        file.write_all(&vec![0; (span.start - at) as usize]).map_err(failed)?;
        let values = values(name, shape);
        let mut bytes = Vec::new();
        if *dtype == Dtype::Q8_0 {
            quantise_q8(&values, &mut bytes)
        } else {
            bytes = halves(&values)
        }
        file.write_all(&bytes).map_err(failed)?;
        at = span.end;
    }
    file.write_all(&vec![0; (plan.bytes - at) as usize]).map_err(failed)?;
    file.flush().map_err(failed)?;
    std::fs::rename(unfinished, path).map_err(failed)
}
