//! Finds which tensors the networks of a model need, by a dry run that builds them from shapes alone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::clip::TextEncoder;
use super::tensors::Tensors;
use super::unet::Unet;
use super::vae::Vae;
use crate::device::Place;
use crate::weights::TensorRequest;
use crate::weights::checkpoint::NULL_EMBEDDING;
use crate::weights::config::Configs;
use crate::{Error, Result};

/// Tensors to read, by full name.
pub(super) type Requests = BTreeMap<String, TensorRequest>;

/// The tensors that the networks of `configs` need, by full name, from a dry run with the shapes alone.
pub(super) fn requests<'a>(
    configs: &Configs,
    shapes: impl Iterator<Item = (&'a String, &'a Vec<usize>)>,
    with_text: bool,
    place: &Place,
) -> Result<Requests> {
    let mut parts: BTreeMap<&str, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    for (name, shape) in shapes {
        let (part, name) = name.split_once('.').unwrap_or(("", name));
        parts.entry(part).or_default().insert(name.to_string(), shape.clone());
    }
    let mut requests = Requests::new();
    let mut rehearse = |part: &str, build: &dyn Fn(Tensors) -> Result<()>| {
        let gathered = Rc::new(RefCell::new(Vec::new()));
        let shapes = parts.remove(part).unwrap_or_default();
        build(Tensors::planned(network(part), shapes, gathered.clone()))?;
        requests.extend(gathered.take().into_iter().map(|request| (format!("{part}.{}", request.name), request)));
        Ok::<_, Error>(())
    };
    rehearse("unet", &|tensors| Unet::build(configs.unet.clone(), tensors, place).map(drop))?;
    rehearse("vae", &|tensors| Vae::build(configs.vae.clone(), tensors, place).map(drop))?;
    if with_text {
        let (text, ids) = configs.prompt()?;
        rehearse("text_encoder", &|tensors| TextEncoder::build(text.clone(), &ids, tensors, place).map(drop))?;
    } else {
        let shape = parts.remove("").and_then(|mut alone| alone.remove(NULL_EMBEDDING)).unwrap_or_default();
        let width = configs.unet.cross_attention_dim.at(0);
        if !matches!(shape[..], [1, tokens, found] if tokens > 0 && found == width) {
            return Err(Error::Model(format!(
                "The empty prompt's embedding has shape {shape:?}, but the UNet takes a context of width {width}."
            )));
        }
        let request = TensorRequest { name: NULL_EMBEDDING.into(), shape, rows: None, is_weight: false };
        requests.insert(NULL_EMBEDDING.into(), request);
    }
    Ok(requests)
}

/// Name of the network `part` in messages.
pub(super) fn network(part: &str) -> &'static str {
    match part {
        "unet" => "The UNet",
        "vae" => "The VAE",
        _ => "The text encoder",
    }
}
