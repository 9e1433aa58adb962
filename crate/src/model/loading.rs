//! From a checkpoint or the cache to a model on a device: learns what the networks need, reads just that, keeps it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::clip::TextEncoder;
use super::config::Prediction;
use super::facts::{Facts, count, parameters};
use super::stable_diffusion::{Configs, ModelInfo, StableDiffusion};
use super::unet::Unet;
use super::vae::Vae;
use crate::control::Control;
use crate::device::{Place, Precision, settle};
use crate::memory::Memory;
use crate::weights::cache::{Kept, Writer};
use crate::weights::checkpoint::NULL_EMBEDDING;
use crate::weights::file::Pending;
use crate::weights::origin::Origin;
use crate::weights::stream::{Meter, Receiver, Wanted, spans, stream};
use crate::weights::tensors::{Need, Ready, Tensors};
use crate::weights::{Compact, WeightType};
use crate::{Error, Result};
use burn::tensor::Device;

/// How often a model is read again from the start because its files changed meanwhile.
const RESTARTS: usize = 2;

/// Bytes of weights that may be on their way to the device before it is waited for.
const UPLOADS: usize = 24 << 20;

/// How a model is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// The type to compute in.
    pub precision: Precision,
    /// What weights are kept as.
    pub weights: WeightType,
    /// Overrules what the files say about the UNet's output.
    pub prediction: Option<Prediction>,
    /// What it may take on the GPU.
    pub memory: Memory,
}

/// A network's name and what it needs.
pub(super) type Needs = BTreeMap<String, Need>;

/// What the networks of `configs` need, by full name, after a rehearsal with the shapes alone.
pub(super) fn plan<'a>(
    configs: &Configs,
    shapes: impl Iterator<Item = (&'a String, &'a Vec<usize>)>,
    with_text: bool,
    place: &Place,
) -> Result<Needs> {
    let mut parts: BTreeMap<&str, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    for (name, shape) in shapes {
        let (part, name) = name.split_once('.').unwrap_or(("", name));
        parts.entry(part).or_default().insert(name.to_string(), shape.clone());
    }
    let mut needs = Needs::new();
    let mut rehearse = |part: &str, build: &dyn Fn(Tensors) -> Result<()>| {
        let gathered = Rc::new(RefCell::new(Vec::new()));
        let shapes = parts.remove(part).unwrap_or_default();
        build(Tensors::planned(network(part), shapes, gathered.clone()))?;
        needs.extend(gathered.take().into_iter().map(|need| (format!("{part}.{}", need.name), need)));
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
        let need = Need { name: NULL_EMBEDDING.into(), shape, rows: None, is_weight: false };
        needs.insert(NULL_EMBEDDING.into(), need);
    }
    Ok(needs)
}

fn network(part: &str) -> &'static str {
    match part {
        "unet" => "The UNet",
        "vae" => "The VAE",
        _ => "The text encoder",
    }
}

/// Tensors on their way into the networks, and into the cache.
pub(super) struct Assembly<'a> {
    place: &'a Place,
    ready: BTreeMap<String, BTreeMap<String, Ready>>,
    null_embedding: Option<Compact>,
    /// Bytes on their way to the device.
    uploaded: usize,
    writer: Option<&'a mut Writer>,
    control: &'a Control<'a>,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(place: &'a Place, control: &'a Control<'a>) -> Self {
        Self { place, ready: BTreeMap::new(), null_embedding: None, uploaded: 0, writer: None, control }
    }

    async fn add(&mut self, tensor: Compact, need: &Need) -> Result<()> {
        let Some((part, name)) = tensor.name.split_once('.') else {
            self.null_embedding = Some(tensor);
            return Ok(());
        };
        let (part, name) = (part.to_string(), name.to_string());
        self.uploaded += tensor.bytes.len();
        let ready = Ready::new(tensor, need, self.place)?;
        if let Ready::Weight(weight) = &ready
            && self.uploaded >= UPLOADS
        {
            weight.settle().await?;
            self.uploaded = 0;
        }
        self.ready.entry(part).or_default().insert(name, ready);
        Ok(())
    }

    pub(super) fn take(&mut self, part: &str) -> Tensors {
        Tensors::loaded(network(part), self.ready.remove(part).unwrap_or_default())
    }

    async fn keep(&mut self, tensor: &Compact) {
        let Some(writer) = &mut self.writer else { return };
        let stopped = writer.stopped().is_some();
        writer.put(tensor).await;
        if !stopped && let Some(why) = writer.stopped() {
            self.control.notice(&format!(
                "The model could not be kept on disk ({why}); it runs from memory and will be fetched again next time."
            ));
        }
    }
}

impl Receiver for Assembly<'_> {
    fn receive<'a>(&'a mut self, tensor: Compact, need: &'a Need) -> Pending<'a, Result<()>> {
        Box::pin(async move {
            if !tensor.name.starts_with("text_encoder.") {
                self.keep(&tensor).await;
            }
            self.add(tensor, need).await
        })
    }
}

impl StableDiffusion {
    /// Loads a model onto `device`: from the cache, or else from its files.
    ///
    /// # Errors
    /// One sentence naming the missing file, config key or tensor, or why it cannot be had.
    pub async fn load(origin: &Origin, device: Device, options: LoadOptions, control: &Control<'_>) -> Result<Self> {
        control.report_bytes(0, 0);
        let mut partial = None;
        if let Some((cache, key)) = &origin.keep {
            let found = cache.find(key).await;
            for note in cache.notes() {
                control.notice(&note);
            }
            match found {
                Some(kept) if kept.complete() => match Self::load_kept(kept, &device, options, control).await {
                    Err(error @ (Error::Model(_) | Error::File(_))) => {
                        control.notice(&format!("{error} The model is fetched again."));
                    }
                    done => return done,
                },
                found => partial = found,
            }
        }
        for _ in 0..RESTARTS {
            match Self::fetch(origin, partial.take(), &device, options, control).await {
                Err(Error::Changed(what)) => control.notice(&format!("{what} It is read again from the start.")),
                done => return done,
            }
        }
        Self::fetch(origin, None, &device, options, control).await
    }

    async fn load_kept(mut kept: Kept, device: &Device, options: LoadOptions, control: &Control<'_>) -> Result<Self> {
        let facts = Facts::from_value(kept.model().clone())?;
        let configs = facts.configs(options.prediction)?;
        let shapes: BTreeMap<_, _> = kept.tensors().map(|record| (record.name.clone(), record.shape.clone())).collect();
        let mut parts = BTreeMap::new();
        for record in kept.tensors() {
            count(&mut parts, &record.name, record.dtype, &record.shape);
        }
        let place = Place::new(device.clone(), options.precision, parameters(&parts, "unet"))?;
        let needs = plan(&configs, shapes.iter(), false, &place)?;
        let mut assembly = Assembly::new(&place, control);
        let (mut done, total) = (0, kept.bytes());
        for chunk in 0..kept.chunks().len() {
            let bytes = kept.chunks()[chunk].bytes;
            for tensor in kept.read_chunk(chunk).await? {
                if let Some(need) = needs.get(&tensor.name) {
                    assembly.add(tensor, need).await?;
                }
            }
            done += bytes;
            control.report_bytes(done, total);
            control.breathe().await?;
        }
        let info = configs.info(&facts.told(options.prediction), parts);
        finish(assembly, configs, info, place.clone(), options.memory)
    }

    /// Reads the files, less what `partial` has of them.
    async fn fetch(
        origin: &Origin,
        partial: Option<Kept>,
        device: &Device,
        options: LoadOptions,
        control: &Control<'_>,
    ) -> Result<Self> {
        let checkpoint = (origin.open)().await?;
        let facts = Facts::of(&checkpoint);
        let configs = facts.configs(options.prediction)?;
        let mut parts = BTreeMap::new();
        for (name, located) in &checkpoint.tensors {
            count(&mut parts, name, located.dtype, &located.shape);
        }
        let place = Place::new(device.clone(), options.precision, parameters(&parts, "unet"))?;
        let with_text = !checkpoint.tensors.contains_key(NULL_EMBEDDING);
        let shapes = checkpoint.tensors.iter().map(|(name, located)| (name, &located.shape));
        let needs = plan(&configs, shapes, with_text, &place)?;
        control.breathe().await?;

        // What an earlier visit left half done is good only if it came from the same files.
        let partial = partial.filter(|kept| kept.model()["identity"] == facts.identity);
        let mut had = BTreeMap::new();
        let mut assembly = Assembly::new(&place, control);
        let mut partial = partial;
        if let Some(kept) = &mut partial {
            for chunk in 0..kept.chunks().len() {
                // A chunk that cannot be read is fetched again like one that was never there.
                let Ok(tensors) = kept.read_chunk(chunk).await else { break };
                for tensor in tensors {
                    let need = needs.get(&tensor.name);
                    if let Some(need) = need {
                        had.insert(tensor.name.clone(), ());
                        assembly.add(tensor, need).await?;
                    } else if tensor.name == NULL_EMBEDDING {
                        assembly.null_embedding = Some(tensor);
                    }
                }
            }
            if !had.is_empty() {
                control.notice("What was loaded last time is on disk; the rest is fetched now.");
            }
        }
        let mut writer = match &origin.keep {
            Some((cache, key)) => Some(cache.begin(key, facts.to_value(), partial).await),
            None => None,
        };
        assembly.writer = writer.as_mut();

        let text_needed = with_text && assembly.null_embedding.is_none();
        let is_text = |name: &str| name.starts_with("text_encoder.");
        let wanted = |text: bool| {
            let wanted = needs.iter().filter(|(name, _)| is_text(name) == text && !had.contains_key(*name));
            wanted.map(|(name, need)| Wanted { name: name.clone(), need }).collect::<Vec<_>>()
        };
        let text = if text_needed { wanted(true) } else { Vec::new() };
        let rest = wanted(false);
        let mut meter = Meter::default();
        for Wanted { name, need } in text.iter().chain(&rest) {
            if let Some(located) = checkpoint.tensors.get(name) {
                meter.total += spans(name, need, located)?.iter().map(|span| span.end - span.start).sum::<u64>();
            }
        }
        if text_needed {
            // Exactly, whatever the rest is kept as: the embedding is worth it, and these weights go in a moment.
            stream(&checkpoint, &text, WeightType::Exact, &mut assembly, &mut meter, control).await?;
            let embedding = embed(&configs, assembly.take("text_encoder"), &place).await?;
            // Buffers made to measure for the text encoder fit nothing else.
            place.device.memory_cleanup();
            assembly.keep(&embedding).await;
            assembly.null_embedding = Some(embedding);
        }
        stream(&checkpoint, &rest, options.weights, &mut assembly, &mut meter, control).await?;
        let info = configs.info(&facts.told(options.prediction), parts);
        let model = finish(assembly, configs, info, place.clone(), options.memory)?;
        if let Some(writer) = writer {
            let full = writer.stopped().is_some();
            if let Err(why) = writer.finish(facts.to_value()).await
                && !full
            {
                control.notice(&format!(
                    "The model could not be kept on disk ({why}); it will be fetched again next time."
                ));
            }
        }
        Ok(model)
    }
}

/// The empty prompt's embedding through the text encoder, which is dropped when this returns.
pub(super) async fn embed(configs: &Configs, tensors: Tensors, place: &Place) -> Result<Compact> {
    let (text, ids) = configs.prompt()?;
    let encoder = TextEncoder::build(text, &ids, tensors, place)?;
    let embedding = encoder.forward(&ids)?;
    // The encoder's memory can go to the next network only when it is really done.
    settle(&embedding).await?;
    let shape = embedding.dims().to_vec();
    let values = embedding.into_data_async().await?;
    Ok(Compact {
        name: NULL_EMBEDDING.into(),
        dtype: crate::weights::format::Dtype::F32,
        shape,
        bytes: values.iter::<f32>().flat_map(f32::to_le_bytes).collect(),
    })
}

fn finish(
    mut assembly: Assembly,
    configs: Configs,
    info: ModelInfo,
    place: Place,
    memory: Memory,
) -> Result<StableDiffusion> {
    let embedding = assembly
        .null_embedding
        .take()
        .ok_or_else(|| Error::Model("The empty prompt's embedding is missing; load the model again.".into()))?;
    let shape = [embedding.shape[0], embedding.shape[1], embedding.shape[2]];
    let need = Need { name: NULL_EMBEDDING.into(), shape: embedding.shape.clone(), rows: None, is_weight: false };
    let ready = BTreeMap::from([(NULL_EMBEDDING.to_string(), Ready::new(embedding, &need, &place)?)]);
    let null_embedding = Tensors::loaded("The model", ready).take(NULL_EMBEDDING, shape, &place)?;
    let mut vae = Vae::build(configs.vae.clone(), assembly.take("vae"), &place)?;
    vae.band_bytes = memory.band_bytes(&place);
    let unet = Unet::build(configs.unet.clone(), assembly.take("unet"), &place)?;
    let context = unet.context(&null_embedding);
    Ok(StableDiffusion { unet, vae, scheduler: configs.scheduler, null_embedding, context, info, memory, place })
}
