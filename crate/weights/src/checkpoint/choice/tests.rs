//! In-memory folders with other files next to a model.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use pollster::block_on;

use super::*;
use crate::source::file::{File, Pending};

/// A file that consists of a header only.
struct Memory(String, Vec<u8>);

impl File for Memory {
    fn name(&self) -> &str {
        &self.0
    }

    fn bytes(&self) -> u64 {
        self.1.len() as u64
    }

    fn read(&self, span: Range<u64>) -> Pending<'_, Result<Vec<u8>>> {
        Box::pin(async move { Ok(self.1[span.start as usize..span.end as usize].to_vec()) })
    }
}

#[derive(Default)]
struct Folder {
    files: BTreeMap<String, (Vec<u8>, u64)>,
    opened: Cell<usize>,
}

impl Source for Folder {
    fn name(&self) -> &str {
        "a folder"
    }

    fn list(&self) -> Pending<'_, Result<Option<Vec<Listed>>>> {
        let listed = |(path, (_, bytes)): (&String, &(Vec<u8>, u64))| Listed { path: path.clone(), bytes: *bytes };
        Box::pin(async move { Ok(Some(self.files.iter().map(listed).collect())) })
    }

    fn open<'a>(&'a self, path: &'a str) -> Pending<'a, Result<Option<Rc<dyn File>>>> {
        self.opened.set(self.opened.get() + 1);
        let file = self.files.get(path).map(|(bytes, _)| Rc::new(Memory(path.into(), bytes.clone())) as Rc<dyn File>);
        Box::pin(async move { Ok(file) })
    }
}

/// A safetensors file with these tensors. They keep their shapes, but have no data.
fn tensors(names: &[(&str, [usize; 2])]) -> Vec<u8> {
    let index: BTreeMap<_, _> = names
        .iter()
        .map(|(name, shape)| {
            let shape = [0, shape[1]];
            (*name, serde_json::json!({"dtype": "F16", "shape": shape, "data_offsets": [0, 0]}))
        })
        .collect();
    let json = serde_json::json!(index).to_string();
    [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat()
}

const LDM_UNET: [(&str, [usize; 2]); 2] =
    [("model.diffusion_model.input_blocks.0.0.weight", [1, 4]), ("model.diffusion_model.time_embed.0.weight", [1, 1])];
const VAE: (&str, [usize; 2]) = ("first_stage_model.decoder.conv_in.weight", [1, 1]);
const TEXT: (&str, [usize; 2]) = ("cond_stage_model.transformer.text_model.final_layer_norm.bias", [1, 1]);

fn whole() -> Vec<u8> {
    tensors(&[LDM_UNET[0], LDM_UNET[1], VAE, TEXT])
}

fn unet() -> Vec<u8> {
    tensors(&[("input_blocks.0.0.weight", [1, 4]), ("time_embed.0.weight", [1, 1])])
}

fn embedding() -> Vec<u8> {
    tensors(&[("emb_params", [8, 768])])
}

fn folder(files: &[(&str, Vec<u8>, u64)]) -> Folder {
    let files = files.iter().map(|(path, bytes, size)| ((*path).into(), (bytes.clone(), *size))).collect();
    Folder { files, opened: Cell::default() }
}

fn chosen(folder: &Folder) -> Result<Chosen> {
    let files = block_on(folder.list())?.unwrap_or_default();
    block_on(choose(folder, &files))
}

#[track_caller]
fn takes(folder: &Folder, path: &str, passed_over: &[(&str, &str)]) {
    let chosen = chosen(folder).expect("something to use");
    assert_eq!(chosen.choice, Choice::Single(path.into()));
    let found: Vec<_> = chosen.passed_over.iter().map(|passed| (&passed.path[..], &passed.reason[..])).collect();
    assert_eq!(found, passed_over);
}

const GB: u64 = 1 << 30;

#[test]
fn what_lies_beside_a_checkpoint_is_passed_over() {
    takes(
        &folder(&[("Counterfeit.safetensors", whole(), 2 * GB), ("EasyNegative.safetensors", embedding(), 25_000)]),
        "Counterfeit.safetensors",
        &[("EasyNegative.safetensors", "not looked at")],
    );
    // Names say nothing and sizes little.
    let lora = tensors(&[("lora_unet_down_blocks_0.lora_down.weight", [1, 4])]);
    let files =
        [("a.safetensors", lora, GB), ("b.safetensors", tensors(&[VAE]), GB), ("c.safetensors", whole(), 2 * GB)];
    takes(&folder(&files), "c.safetensors", &[("a.safetensors", "a LoRA"), ("b.safetensors", "a VAE alone")]);
    let inpainting = tensors(&[(LDM_UNET[0].0, [1, 9]), LDM_UNET[1], VAE, TEXT]);
    let files = [("a.safetensors", inpainting, GB), ("b.safetensors", whole(), 2 * GB)];
    takes(&folder(&files), "b.safetensors", &[("a.safetensors", "an inpainting model")]);
    // A whole model with its VAE mentioned in the name.
    let files = [("kl-f8.safetensors", tensors(&[VAE]), GB), ("anything-vae-swapped.safetensors", whole(), 2 * GB)];
    takes(&folder(&files), "anything-vae-swapped.safetensors", &[("kl-f8.safetensors", "a VAE alone")]);
    let files =
        [("a.safetensors", b"version https://git-lfs.github.com/spec/v1".to_vec(), GB), ("b.ckpt", whole(), GB)];
    let chosen = chosen(&folder(&files)).expect("the other one");
    assert_eq!(chosen.choice, Choice::Single("b.ckpt".into()));
    assert!(chosen.passed_over[0].reason.starts_with("a file that can't be read (a.safetensors is a Git LFS pointer"));
}

#[test]
fn one_file_alone_is_not_looked_at() {
    let one = folder(&[("a.safetensors", embedding(), 25_000), ("README.md", Vec::new(), 10)]);
    takes(&one, "a.safetensors", &[]);
    assert_eq!(one.opened.get(), 0);
}

#[test]
fn a_unet_alone_gives_way_to_the_folder() {
    let part = |path: &'static str| (path, Vec::new(), GB);
    let layout = [
        part("unet/diffusion_pytorch_model.safetensors"),
        part("vae/diffusion_pytorch_model.safetensors"),
        part("model_index.json"),
    ];
    let mut files = layout.to_vec();
    files.push(("model-Q8_0.gguf", unet(), GB));
    let found = chosen(&folder(&files)).expect("the folder");
    assert_eq!(found.choice, Choice::Diffusers);
    let notice = notice("someone/model", &found.passed_over).expect("a notice");
    assert_eq!(notice, "someone/model is used; passed over: model-Q8_0.gguf (a UNet alone).");
    files.last_mut().expect("added").1 = whole();
    takes(&folder(&files), "model-Q8_0.gguf", &[]);
    // Without a diffusers folder, opening the file reports what is missing.
    takes(
        &folder(&[("a-Q8_0.gguf", unet(), GB), ("b-Q4_0.gguf", unet(), GB)]),
        "a-Q8_0.gguf",
        &[("b-Q4_0.gguf", "a UNet alone")],
    );
    // An incomplete layout with a whole file in it.
    takes(
        &folder(&[part("vae/diffusion_pytorch_model.safetensors"), ("x.safetensors", whole(), GB)]),
        "x.safetensors",
        &[],
    );
    let broken = folder(&[part("vae/diffusion_pytorch_model.safetensors"), ("x.safetensors", embedding(), GB)]);
    assert_eq!(chosen(&broken).expect("says what is missing").choice, Choice::Diffusers);
}

#[test]
fn where_nothing_is_whole_it_is_said_what_there_is() {
    let names: Vec<String> = (0..20).map(|i| format!("{i:02}.safetensors")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), embedding(), 25_000)).collect();
    let many = folder(&files);
    let error = chosen(&many).expect_err("nothing").to_string();
    assert!(
        error.starts_with(
            "a folder has no file with a whole model of Stable Diffusion 1 or 2: 00.safetensors is an embedding, "
        ),
        "{error}"
    );
    assert!(error.ends_with(" and 2 others. Use another model."), "{error}");
    assert_eq!(many.opened.get(), MOST_LOOKS);
    assert_eq!(notice("x", &[]), None);
}
