//! The same folders as Hub repositories, served by an in-memory transport.

use std::time::Duration;

use super::*;
use crate::checkpoint::origin::Origin;
use crate::format::compact::WeightType;
use crate::source::file::{Pending, Source};
use crate::source::http::{Body, Broken, HttpRequest, HttpResponse, Transport, Web};
use crate::source::hub::{ENDPOINT, Reference};

/// The repository `o/r` with the files of a shelf.
struct Hub(Shelf);

struct Bytes(Option<Vec<u8>>);

impl Body for Bytes {
    fn next(&mut self) -> Pending<'_, Result<Option<Vec<u8>>, Broken>> {
        Box::pin(async { Ok(self.0.take()) })
    }
}

impl Hub {
    async fn answer(&self, HttpRequest { url, range, .. }: HttpRequest) -> HttpResponse {
        let path = url.strip_prefix(ENDPOINT).expect("an address of the Hub");
        let answer = |status, headers, bytes| HttpResponse { status, headers, body: Box::new(Bytes(Some(bytes))) };
        if path == "/api/models/o/r/tree/main?recursive=1" {
            let listed = self.0.list().await.expect("files").unwrap_or_default();
            let nodes = listed.iter().map(|file| json!({ "type": "file", "path": file.path, "size": file.bytes }));
            return answer(200, Vec::new(), nodes.collect::<Value>().to_string().into_bytes());
        }
        let path = path.strip_prefix("/o/r/resolve/main/").expect("a file of the repository");
        let Some(file) = self.0.open(path).await.expect("a file") else { return answer(404, Vec::new(), Vec::new()) };
        let range = range.unwrap_or(0..file.bytes());
        let span = range.start..range.end.min(file.bytes());
        let part = format!("bytes {}-{}/{}", span.start, span.end - 1, file.bytes());
        answer(206, vec![("content-range".into(), part)], file.read(span).await.expect("bytes"))
    }
}

impl Transport for Hub {
    fn send(&self, request: HttpRequest) -> Pending<'_, Result<HttpResponse, Broken>> {
        Box::pin(async move { Ok(self.answer(request).await) })
    }

    fn sleep(&self, _: Duration) -> Pending<'_, ()> {
        Box::pin(async {})
    }

    fn now(&self) -> f64 {
        0.0
    }
}

fn origin(shelf: Shelf, name: &str) -> Origin {
    let web = Web::new(Rc::new(Hub(shelf)), Rc::new(|notice: &str| panic!("{notice}")));
    Origin::remote(Reference::parse(name).expect("a name"), &web, ENDPOINT, WeightType::Exact, None)
}

/// A UNet alone, next to a VAE and a text encoder as variants of `PyTorch` files.
fn beside(configs: &Value) -> Shelf {
    let part = |part: &str| renamed(tensors(configs, part), part, "");
    let mut shelf = folder(configs, &Vec::new());
    shelf.0.retain(|(path, _)| !path.ends_with(".safetensors") && !path.starts_with("unet/"));
    shelf
        .with("sd-Q8_0.gguf", Holes::file("sd-Q8_0.gguf", &part("unet."), json!({})))
        .with("vae/diffusion_pytorch_model.non_ema.bin", archive("vae", &part("vae.")))
        .with("text_encoder/pytorch_model.fp16.bin", archive("text", &part("text_encoder.")))
}

#[test]
fn a_unet_alone_runs_with_the_parts_of_its_repository() {
    let configs = configs(true);
    let opened = block_on((origin(beside(&configs), "o/r").open)()).expect("a whole model");
    opened.check().expect("all is there");
    assert_eq!(
        opened.notes,
        ["sd-Q8_0.gguf with the VAE of vae/ and the text encoder of text_encoder/ is used."],
        "{}",
        opened.name
    );
    let named = block_on((origin(beside(&configs), "o/r/sd-Q8_0.gguf").open)());
    assert!(refusal(named).contains("the UNet only"), "only that file is named");
}

#[test]
fn three_origins_make_one_model() {
    let configs = configs(false);
    let only = |part: &str, path: &str| {
        let file = Holes::file(path, &renamed(tensors(&configs, part), part, ""), json!({}));
        origin(Shelf::default().with(path, file), "o/r")
    };
    let both = only("unet.", "a.gguf").with_rest(only("text_encoder.", "clip_l.safetensors"), None);
    assert!(refusal(block_on((both.open)())).contains("has no VAE"));
    let vae = only("vae.", "vae.safetensors");
    let model = block_on((both.with_vae(vae, Some(Prediction::VPrediction)).open)()).expect("a whole model");
    model.check().expect("all is there");
    assert_eq!((model.files.len(), model.prediction_by.as_str()), (3, "you say so"));
}
