//! Headers and configs of models, opened as a loader does: as one file, as a folder in the diffusers layout or what is left
//! of one, as parts that are put together. Then what their networks need is compared with what there is. Whatever is given,
//! the outcome is a model or a sentence, and memory is taken only for what was given.
//!
//! An input is a text. Its first line is one letter for the layout. Then comes a JSON object: `tensors` (a name to a shape
//! of f16), `metadata`, `configs` (as `Configs::parse` takes them), `name`. Every other input is the bytes of a whole file.
#![no_main]

use std::ops::Range;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use styleid_weights::checkpoint::Parts;
use styleid_weights::config::{Configs, Prediction, shapes};
use styleid_weights::source::file::Listed;
use styleid_weights::{Checkpoint, Error, File, Pending, Result, Source};

/// A file that is zeros after its beginning.
#[derive(Clone)]
struct Begun {
    name: String,
    begin: Vec<u8>,
    bytes: u64,
}

impl File for Begun {
    fn name(&self) -> &str {
        &self.name
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, span: Range<u64>) -> Pending<'_, Result<Vec<u8>>> {
        assert!(span.end <= self.bytes && span.end - span.start <= 1 << 22, "{span:?} of {}", self.bytes);
        let byte = |at| usize::try_from(at).ok().and_then(|at: usize| self.begin.get(at)).copied().unwrap_or(at as u8);
        Box::pin(async move { Ok(span.map(byte).collect()) })
    }
}

struct Shelf(Vec<(String, Begun)>);

impl Source for Shelf {
    fn name(&self) -> &str {
        "a folder"
    }

    fn list(&self) -> Pending<'_, Result<Option<Vec<Listed>>>> {
        let listed = |(path, file): &(String, Begun)| Listed { path: path.clone(), bytes: file.bytes };
        Box::pin(async move { Ok(Some(self.0.iter().map(listed).collect())) })
    }

    fn open<'a>(&'a self, path: &'a str) -> Pending<'a, Result<Option<Rc<dyn File>>>> {
        let found = self.0.iter().find(|(name, _)| name == path).map(|(_, file)| Rc::new(file.clone()) as Rc<dyn File>);
        Box::pin(async move { Ok(found) })
    }
}

/// A safetensors file with a header of these tensors.
fn file(name: &str, tensors: &Map<String, Value>, metadata: &Value, keep: impl Fn(&str) -> Option<String>) -> Begun {
    let mut header = Map::new();
    if metadata.is_object() {
        header.insert("__metadata__".into(), metadata.clone());
    }
    let mut at = 0u64;
    for (given, shape) in tensors {
        let Some(name) = keep(given) else { continue };
        let sides =
            shape.as_array().map(|sides| sides.iter().map(|side| side.as_u64().unwrap_or(1)).collect::<Vec<_>>());
        let sides = sides.unwrap_or_default();
        let bytes = sides.iter().try_fold(2u64, |product, side| product.checked_mul(*side)).unwrap_or(2);
        let end = at.saturating_add(bytes);
        header.insert(name, json!({ "dtype": "F16", "shape": sides, "data_offsets": [at, end] }));
        at = end;
    }
    let text = Value::Object(header).to_string();
    let mut begin = (text.len() as u64).to_le_bytes().to_vec();
    begin.extend(text.bytes());
    Begun { name: name.into(), bytes: (begin.len() as u64).saturating_add(at), begin }
}

/// A folder in the diffusers layout.
fn folder(tensors: &Map<String, Value>, metadata: &Value, configs: &Value) -> Shelf {
    let json = |path: &str, value: &Value| {
        let begin = value.to_string().into_bytes();
        (path.to_string(), Begun { name: path.into(), bytes: begin.len() as u64, begin })
    };
    let part = |path: &str, prefix: &str| {
        let keep = |name: &str| name.strip_prefix(prefix).map(Into::into);
        (path.to_string(), file(path, tensors, metadata, keep))
    };
    Shelf(vec![
        json("unet/config.json", &configs["unet"]),
        json("vae/config.json", &configs["vae"]),
        json("scheduler/scheduler_config.json", &configs["scheduler"]),
        json("text_encoder/config.json", &configs["text_encoder"]),
        part("unet/diffusion_pytorch_model.safetensors", "unet."),
        part("vae/diffusion_pytorch_model.safetensors", "vae."),
        part("text_encoder/model.safetensors", "text_encoder."),
    ])
}

/// The same as people thin it out: the UNet as a file by itself, the VAE under a variant's name as PyTorch's.
fn thinned(mut shelf: Shelf) -> Shelf {
    shelf.0.retain(|(path, _)| path != "unet/config.json");
    for (path, _) in &mut shelf.0 {
        *path = match path.as_str() {
            "unet/diffusion_pytorch_model.safetensors" => "own-Q8_0.gguf".into(),
            "vae/diffusion_pytorch_model.safetensors" => "vae/diffusion_pytorch_model.non_ema.bin".into(),
            _ => continue,
        };
    }
    shelf
}

/// The folder of a text encoder alone.
fn text_alone(shelf: Shelf) -> Shelf {
    let inside = |(path, file): (String, Begun)| Some((path.strip_prefix("text_encoder/")?.to_string(), file));
    Shelf(shelf.0.into_iter().filter_map(inside).collect())
}

/// An outcome is a sentence, or a model that can be asked what it needs.
fn settle(outcome: Result<Checkpoint>) -> Option<Checkpoint> {
    match outcome {
        Ok(checkpoint) => {
            sentence(checkpoint.check());
            let _ = checkpoint.identity();
            plan(&checkpoint.name, &checkpoint.configs);
            Some(checkpoint)
        }
        Err(error) => {
            sentence(Err(error));
            None
        }
    }
}

fn sentence(outcome: Result<()>) {
    if let Err(error) = outcome {
        let message = error.to_string();
        assert!(matches!(error, Error::Model(_)) && message.ends_with('.'), "{message}");
    }
}

/// What networks of these configs need; the counts are bounded.
fn plan(name: &str, configs: &Value) {
    for prediction in [None, Some(Prediction::Epsilon), Some(Prediction::VPrediction)] {
        match Configs::parse(name, configs.clone(), prediction) {
            Ok(configs) => {
                let unet = &configs.unet;
                assert!(shapes::of(&configs).len() < 200_000);
                assert!(prediction.is_none_or(|prediction| prediction == configs.scheduler.prediction_type));
                let layers = unet.decoder_layers();
                let finest = unet.layers_at_finest_levels(2, 1);
                assert!(finest.iter().all(|layer| layers.contains(layer)));
                assert!(layers.iter().all(|&layer| unet.level(layer).is_some()));
                assert!(configs.scheduler.num_train_timesteps <= 100_000);
                let _ = (configs.prompt(), configs.vae.factor(), configs.scheduler.notices());
            }
            Err(error) => sentence(Err(error)),
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((layout, rest)) = input.split_first() else { return };
    let Ok(Value::Object(given)) = serde_json::from_slice::<Value>(rest) else {
        let begun = Begun { name: "a/file".into(), begin: rest.to_vec(), bytes: rest.len() as u64 };
        settle(pollster::block_on(Checkpoint::of_files(vec![Rc::new(begun)], None)));
        return;
    };
    let (none, empty) = (Value::Null, Map::new());
    let part = |key: &str| given.get(key).unwrap_or(&none);
    let tensors = part("tensors").as_object().unwrap_or(&empty);
    let name = part("name").as_str().unwrap_or("a.safetensors");
    plan(name, part("configs"));
    let whole = || file(name, tensors, part("metadata"), |name| Some(name.into()));
    let prediction = (layout % 2 == 0).then_some(Prediction::VPrediction);
    match layout % 8 {
        0 | 1 => {
            settle(pollster::block_on(Checkpoint::of_files(vec![Rc::new(whole())], prediction)));
        }
        2 | 3 => {
            let shelf = folder(tensors, part("metadata"), part("configs"));
            let shelf = if layout & 8 == 0 { shelf } else { thinned(shelf) };
            settle(pollster::block_on(Checkpoint::open(&shelf, prediction)));
            sentence(pollster::block_on(Parts::open(&shelf)).map(drop));
        }
        _ => {
            // Its UNet alone, its VAE alone, and all of it, put together anew.
            let only = |prefix: &'static str| {
                let keep = move |name: &str| name.contains(prefix).then(|| name.to_string());
                pollster::block_on(Parts::of_files(vec![Rc::new(file(name, tensors, part("metadata"), keep))]))
            };
            let shelf = folder(tensors, part("metadata"), part("configs"));
            let shelf = if layout & 8 == 0 { shelf } else { text_alone(shelf) };
            let rest = pollster::block_on(Parts::open(&shelf));
            let (unet, vae) = (only("unet"), only("vae"));
            if let (Ok(unet), Ok(rest)) = (unet, &rest)
                && let Some(both) = settle(Checkpoint::with_rest(unet, rest, prediction))
                && let Ok(vae) = vae
            {
                settle(both.with_vae(&vae));
            }
        }
    }
});
