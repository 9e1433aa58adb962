//! Loads a model from a checkpoint or the cache onto a device: finds which tensors the networks need, reads only those, and
//! caches them.

use std::collections::{BTreeMap, BTreeSet};

use super::clip::TextEncoder;
use super::info::{ModelInfo, census, parameters};
use super::needs::{network, requests};
use super::record::ModelRecord;
use super::stable_diffusion::StableDiffusion;
use super::tensors::{Ready, Tensors};
use super::unet::Unet;
use super::vae::Vae;
use crate::control::Control;
use crate::device::{Place, Precision, wait_and_check_finite};
use crate::memory::Memory;
use crate::weights::checkpoint::NULL_EMBEDDING;
use crate::weights::checkpoint::origin::Origin;
use crate::weights::checkpoint::stream::{ByteProgress, Receiver, Wanted, hex, spans, stream};
use crate::weights::config::{Configs, Prediction};
use crate::weights::format::Dtype;
use crate::weights::source::Pending;
use crate::weights::store::cache::Writer;
use crate::weights::store::{Cache, KeptCopy, ModelKey};
use crate::weights::{self, Compact, TensorRequest, WeightType};
use crate::{Error, Result};
use burn::tensor::Device;
use sha2::{Digest, Sha256};

/// How often loading restarts because the model's files changed meanwhile.
const RESTARTS: usize = 2;

/// Bytes of weights that may be queued for upload before loading waits for the device.
const UPLOADS: usize = 24 << 20;

/// How a model is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// The type to compute in.
    pub precision: Precision,
    /// Storage type of the weights.
    pub weights: WeightType,
    /// Overrides the prediction type that the files give.
    pub prediction: Option<Prediction>,
    /// What the model may take on the GPU.
    pub memory: Memory,
    /// Most bytes to fetch, without asking, in place of damaged parts of a cached model. `None`: any number.
    pub repair: Option<u64>,
    /// Whether the weights are hashed while they are read: about a second per gigabyte.
    pub fingerprint: bool,
}

/// A model found in the cache.
enum Found {
    Whole(Box<StableDiffusion>),
    /// Some of it is damaged, or this version needs more than was cached.
    InPart(Box<KeptCopy>),
}

/// Collects tensors for the networks, and writes them to the cache.
pub(super) struct Assembly<'a> {
    place: &'a Place,
    ready: BTreeMap<String, BTreeMap<String, Ready>>,
    null_embedding: Option<Compact>,
    /// Bytes queued for upload since the last wait.
    uploaded: usize,
    writer: Option<&'a mut Writer>,
    /// Hashes of the networks' tensors by name, if they are wanted.
    sums: Option<BTreeMap<String, String>>,
    control: &'a Control<'a>,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(place: &'a Place, control: &'a Control<'a>) -> Self {
        Self { place, ready: BTreeMap::new(), null_embedding: None, uploaded: 0, writer: None, sums: None, control }
    }

    fn summing(self, sums: bool) -> Self {
        Self { sums: sums.then(BTreeMap::new), ..self }
    }

    /// Hashes a tensor in its stored form. The text encoder is left out, since a cached copy lacks it.
    fn sum(&mut self, tensor: &Compact) {
        let Some(sums) = self.sums.as_mut().filter(|_| !tensor.name.starts_with("text_encoder.")) else { return };
        let mut hash = Sha256::new();
        hash.update(format!("{:?} {:?} ", tensor.dtype, tensor.shape));
        hash.update(&tensor.bytes);
        sums.insert(tensor.name.clone(), hex(&hash.finalize()));
    }

    async fn add(&mut self, tensor: Compact, request: &TensorRequest) -> Result<()> {
        let Some((part, name)) = tensor.name.split_once('.') else {
            self.null_embedding = Some(tensor);
            return Ok(());
        };
        let (part, name) = (part.to_string(), name.to_string());
        self.sum(&tensor);
        self.uploaded += tensor.bytes.len();
        let ready = Ready::new(tensor, request, self.place)?;
        if let Ready::Weight(weight) = &ready
            && self.uploaded >= UPLOADS
        {
            weight.wait().await?;
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
    fn receive<'a>(&'a mut self, tensor: Compact, request: &'a TensorRequest) -> Pending<'a, weights::Result<()>> {
        Box::pin(async move {
            if !tensor.name.starts_with("text_encoder.") {
                self.keep(&tensor).await;
            }
            Ok(self.add(tensor, request).await?)
        })
    }

    fn progress(&mut self, done: u64, total: u64) -> Pending<'_, weights::Result<()>> {
        Box::pin(async move {
            self.control.report_bytes(done, total);
            Ok(self.control.yield_and_check().await?)
        })
    }
}

impl StableDiffusion {
    /// Loads a model onto `device`: from the cache, or else from its files.
    ///
    /// # Errors
    /// One sentence naming the missing file, config key or tensor, or why the model cannot be loaded.
    pub async fn load(origin: &Origin, device: Device, options: LoadOptions, control: &Control<'_>) -> Result<Self> {
        control.report_bytes(0, 0);
        let mut start = Start::default();
        if let Some((cache, key)) = &origin.keep {
            let found = cache.find(key).await?;
            tell_notes(cache, control);
            match found {
                Some(kept) if kept.complete() => match Self::load_kept(kept, &device, options, control).await? {
                    Found::Whole(model) => return Ok(*model),
                    Found::InPart(kept) => {
                        tell_notes(cache, control);
                        start = Start { partial: Some(*kept), limit: options.repair };
                    }
                },
                found => start.partial = found,
            }
        }
        for _ in 0..RESTARTS {
            let partial = start.partial.take();
            match Self::fetch(origin, Start { partial, ..start }, &device, options, control).await {
                Err(Error::Changed(what)) => control.notice(&format!("{what} It is read again from the start.")),
                done => return done,
            }
        }
        Self::fetch(origin, start, &device, options, control).await
    }

    async fn load_kept(
        mut kept: KeptCopy,
        device: &Device,
        options: LoadOptions,
        control: &Control<'_>,
    ) -> Result<Found> {
        // A copy cached by an earlier version of this program may lack what this one needs.
        let Ok(record) = ModelRecord::from_value(kept.model().clone()) else {
            return Ok(Found::InPart(Box::new(kept)));
        };
        let Ok(configs) = record.configs(options.prediction) else { return Ok(Found::InPart(Box::new(kept))) };
        let shapes: BTreeMap<_, _> = kept.tensors().map(|record| (record.name.clone(), record.shape.clone())).collect();
        let parts = census(kept.tensors().map(|record| (&record.name, record.dtype, &record.shape[..])));
        let place = Place::new(device.clone(), options.precision, parameters(&parts, "unet"))?;
        let Ok(needs) = requests(&configs, shapes.iter(), false, &place) else {
            return Ok(Found::InPart(Box::new(kept)));
        };
        let mut assembly = Assembly::new(&place, control).summing(options.fingerprint);
        let (mut done, total) = (0, kept.bytes());
        for chunk in 0..kept.chunks().len() {
            let bytes = kept.chunks()[chunk].bytes;
            for tensor in kept.read_chunk(chunk).await? {
                if let Some(need) = needs.get(&tensor.name) {
                    assembly.add(tensor, need).await?;
                }
            }
            if !kept.whole() {
                return Ok(Found::InPart(Box::new(kept)));
            }
            done += bytes;
            control.report_bytes(done, total);
            control.yield_and_check().await?;
        }
        let info = ModelInfo::new(&configs, &record.with_prediction(options.prediction), parts);
        finish(assembly, configs, info, place.clone(), options.memory).map(|model| Found::Whole(Box::new(model)))
    }

    /// Reads from the files what the cache does not have.
    async fn fetch(
        origin: &Origin,
        start: Start,
        device: &Device,
        options: LoadOptions,
        control: &Control<'_>,
    ) -> Result<Self> {
        let checkpoint = (origin.open)().await?;
        let record = ModelRecord::of(&checkpoint);
        let configs = record.configs(options.prediction)?;
        for note in checkpoint.notes.iter().cloned().chain(configs.scheduler.notices()) {
            control.notice(&note);
        }
        let parts = census(checkpoint.tensors.iter().map(|(name, located)| (name, located.dtype, &located.shape[..])));
        let place = Place::new(device.clone(), options.precision, parameters(&parts, "unet"))?;
        let with_text = !checkpoint.tensors.contains_key(NULL_EMBEDDING);
        let shapes = checkpoint.tensors.iter().map(|(name, located)| (name, &located.shape));
        let needs = requests(&configs, shapes, with_text, &place)?;
        control.yield_and_check().await?;

        // Cached tensors are valid only if they came from the same files.
        let Start { partial, limit } = start;
        let (mut partial, other) = match partial {
            Some(kept) if kept.model()["identity"] != record.identity => (None, Some(kept)),
            partial => (partial, None),
        };
        let mut had = BTreeSet::new();
        let mut assembly = Assembly::new(&place, control).summing(options.fingerprint);
        if let Some(kept) = &mut partial {
            let (mut done, total) = (0, kept.bytes());
            for chunk in 0..kept.chunks().len() {
                let bytes = kept.chunks()[chunk].bytes;
                for tensor in kept.read_chunk(chunk).await? {
                    if let Some(need) = needs.get(&tensor.name) {
                        had.insert(tensor.name.clone());
                        assembly.add(tensor, need).await?;
                    } else if tensor.name == NULL_EMBEDDING {
                        assembly.null_embedding = Some(tensor);
                    }
                }
                done += bytes;
                control.report_bytes(done, total);
                control.yield_and_check().await?;
            }
        }
        if let Some((cache, _)) = &origin.keep {
            tell_notes(cache, control);
        }

        let text_needed = with_text && assembly.null_embedding.is_none();
        let is_text = |name: &str| name.starts_with("text_encoder.");
        let wanted = |text: bool| {
            let wanted = needs.iter().filter(|(name, _)| is_text(name) == text && !had.contains(*name));
            wanted.map(|(name, request)| Wanted { name: name.clone(), request }).collect::<Vec<_>>()
        };
        let text = if text_needed { wanted(true) } else { Vec::new() };
        let rest = wanted(false);
        let mut progress = ByteProgress::default();
        for Wanted { name, request } in text.iter().chain(&rest) {
            if let Some(located) = checkpoint.tensors.get(name) {
                progress.total += spans(name, request, located)?.iter().map(|span| span.end - span.start).sum::<u64>();
            }
        }
        let mut writer = match &origin.keep {
            Some((cache, key)) => {
                if limit.is_some_and(|limit| progress.total > limit) {
                    return Err(too_much_to_repair(cache, key, partial.or(other), progress.total).await);
                }
                Some(cache.begin(key, record.to_value(), partial).await)
            }
            None => None,
        };
        assembly.writer = writer.as_mut();
        if !had.is_empty() {
            control.notice("What was loaded last time is on disk; the rest is fetched now.");
        }
        if text_needed {
            // Exact, whatever type the other weights are stored as: the embedding is worth it, and these weights are
            // dropped right away.
            stream(&checkpoint, &text, WeightType::Exact, &mut assembly, &mut progress).await?;
            let embedding = embed(&configs, assembly.take("text_encoder"), &place).await?;
            // The text encoder's exact-size buffers cannot be reused; this frees them.
            place.device.memory_cleanup();
            assembly.keep(&embedding).await;
            assembly.null_embedding = Some(embedding);
        }
        stream(&checkpoint, &rest, options.weights, &mut assembly, &mut progress).await?;
        let info = ModelInfo::new(&configs, &record.with_prediction(options.prediction), parts);
        let model = finish(assembly, configs, info, place.clone(), options.memory)?;
        if let Some(writer) = writer {
            let full = writer.stopped().is_some();
            if let Err(why) = writer.finish(record.to_value()).await
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

/// Where loading begins: with nothing, or with a cached copy.
#[derive(Default)]
struct Start {
    partial: Option<KeptCopy>,
    /// Most bytes to fetch; `None`: any number.
    limit: Option<u64>,
}

/// Forwards the cache's notes as notices.
fn tell_notes(cache: &Cache, control: &Control<'_>) {
    for note in cache.notes() {
        control.notice(&note);
    }
}

/// The error for a cached model of which `bytes` would have to be fetched. The copy is marked incomplete, so that the
/// caller can ask before the next load.
async fn too_much_to_repair(cache: &Cache, key: &ModelKey, kept: Option<KeptCopy>, bytes: u64) -> Error {
    let origin = &key.origin;
    let marked = match kept {
        Some(kept) => cache.give_up_lost(key, kept).await,
        None => Ok(()),
    };
    let megabytes = bytes.div_ceil(1_000_000);
    Error::File(match marked {
        Ok(()) => format!(
            "The kept copy of {origin} is damaged or out of date, and {megabytes} MB of it are to be fetched; load the \
             model again to fetch them."
        ),
        Err(error) => format!(
            "The kept copy of {origin} is damaged or out of date, and cannot be mended ({error}); remove it from this \
             computer and load the model again."
        ),
    })
}

/// The empty prompt's embedding through the text encoder, which is dropped when this returns.
pub(super) async fn embed(configs: &Configs, tensors: Tensors, place: &Place) -> Result<Compact> {
    let (text, ids) = configs.prompt()?;
    let encoder = TextEncoder::build(text, &ids, tensors, place)?;
    let embedding = encoder.forward(&ids)?;
    // The encoder's memory can be reused only once the device has finished.
    wait_and_check_finite(&embedding).await?;
    let shape = embedding.dims().to_vec();
    let values = embedding.into_data_async().await?;
    Ok(Compact {
        name: NULL_EMBEDDING.into(),
        dtype: Dtype::F32,
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
    let need =
        TensorRequest { name: NULL_EMBEDDING.into(), shape: embedding.shape.clone(), rows: None, is_weight: false };
    let ready = BTreeMap::from([(NULL_EMBEDDING.to_string(), Ready::new(embedding, &need, &place)?)]);
    let null_embedding = Tensors::loaded("The model", ready).take(NULL_EMBEDDING, shape, &place)?;
    let mut vae = Vae::build(configs.vae.clone(), assembly.take("vae"), &place)?;
    vae.band_bytes = memory.band_bytes(&place);
    let unet = Unet::build(configs.unet.clone(), assembly.take("unet"), &place)?;
    let context = unet.context(&null_embedding);
    let fingerprint = assembly.sums.take().map(|sums| fingerprint(&configs, &sums));
    let scheduler = configs.scheduler;
    Ok(StableDiffusion { unet, vae, scheduler, null_embedding, context, info, memory, place, fingerprint })
}

/// One hash of the networks' weights and configs.
fn fingerprint(configs: &Configs, sums: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{:?} {:?} {:?}", configs.unet, configs.vae, configs.scheduler));
    for (name, sum) in sums {
        hash.update(format!("{name} {sum} "));
    }
    hex(&hash.finalize())
}
