//! Folders of every kind, and models with parts in different places.

use super::*;
use crate::checkpoint::family::text_encoder_alone;
use crate::checkpoint::testing::tensors as tensors_of;
use crate::config::TimestepSpacing;

/// The display name of a single file's layout.
fn layout(file: Rc<dyn File>) -> &'static str {
    open(file).expect("a whole model").layout
}

#[test]
fn a_single_file_is_called_what_it_is_whatever_its_name() {
    let tensors = all(&configs(false), PREFIXES);
    for name in ["x.safetensors", "x.ckpt", "128713"] {
        assert_eq!(layout(Holes::file(name, &tensors, json!({}))), "single safetensors file", "{name}");
        assert_eq!(layout(archive(name, &tensors)), "single PyTorch checkpoint", "{name}");
    }
}

/// The location of each part's weights in a folder.
const WEIGHTS: [(&str, &str, &str); 3] = [
    ("unet.", "unet/", "diffusion_pytorch_model"),
    ("vae.", "vae/", "diffusion_pytorch_model"),
    ("text_encoder.", "text_encoder/", "model"),
];

/// A folder in the diffusers layout. `add` adds the weights, given the part's name, its folder and its tensors.
fn layout_of(configs: &Value, add: impl Fn(Shelf, &str, &str, &Tensors) -> Shelf) -> Shelf {
    let mut shelf = folder(configs, &Vec::new());
    shelf.0.retain(|(path, _)| !path.ends_with(".safetensors"));
    for (part, folder, stem) in WEIGHTS {
        shelf = add(shelf, folder, stem, &renamed(tensors_of(configs, part), part, ""));
    }
    shelf
}

#[test]
fn folders_of_pytorch_files_open() {
    let configs = configs(false);
    let pickled = |stem: &str| if stem == "model" { "pytorch_model" } else { "diffusion_pytorch_model" }.to_string();
    for variant in ["", ".fp16", ".non_ema"] {
        let shelf = layout_of(&configs, |shelf, folder, stem, tensors| {
            let path = format!("{folder}{}{variant}.bin", pickled(stem));
            shelf.with(&path, archive(&path, tensors))
        });
        let opened = open_folder(&shelf).expect("a whole model");
        assert_eq!(opened.layout, "folder in the diffusers layout");
        assert!(opened.files.iter().all(|file| file.name().ends_with(".bin")));
        block_on(Parts::open(&shelf)).expect("parts").whole(None).expect("all of them");
    }
    let sharded = layout_of(&configs, |mut shelf, folder, stem, tensors| {
        let (stem, mut map) = (pickled(stem), serde_json::Map::new());
        for (i, half) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
            let name = format!("{stem}-0000{}-of-00002.bin", i + 1);
            map.extend(half.iter().map(|(tensor, _)| (tensor.clone(), json!(name))));
            shelf = shelf.with(&format!("{folder}{name}"), archive(&name, half));
        }
        shelf.with_json(&format!("{folder}{stem}.bin.index.json"), &json!({ "weight_map": map }))
    });
    assert_eq!(open_folder(&sharded).expect("a whole model").files.len(), 6);
}

#[test]
fn of_several_files_of_a_part_the_plain_safetensors_is_taken() {
    let configs = configs(false);
    let shelf = |variants: &[&str]| {
        layout_of(&configs, |shelf, folder, stem, tensors| {
            variants.iter().fold(shelf, |shelf, variant| {
                let path = format!("{folder}{stem}{variant}");
                shelf.with(&path, Holes::file(&path, tensors, json!({})))
            })
        })
    };
    let taken = |variants: &[&str]| {
        let opened = open_folder(&shelf(variants)).expect("a whole model");
        opened.files[0].name().trim_start_matches("unet/diffusion_pytorch_model").to_string()
    };
    assert_eq!(taken(&[".non_ema.safetensors"]), ".non_ema.safetensors");
    assert_eq!(taken(&[".bf16.safetensors"]), ".bf16.safetensors");
    assert_eq!(taken(&[".my-run.safetensors", ".non_ema.safetensors"]), ".my-run.safetensors");
    assert_eq!(taken(&[".non_ema.safetensors", ".safetensors"]), ".safetensors");
    assert_eq!(taken(&[".safetensors", ".fp16.safetensors", ".bin"]), ".fp16.safetensors");
    let none = layout_of(&configs, |shelf, _, _, _| shelf);
    let sentence = refusal(open_folder(&none));
    assert!(sentence.contains("neither unet/diffusion_pytorch_model.safetensors nor unet/diffusion_pytorch_model.bin"));
}

/// A file with only a UNet.
fn unet_alone(configs: &Value, path: &str) -> Rc<dyn File> {
    Holes::file(path, &renamed(tensors_of(configs, "unet."), "unet.", ""), json!({}))
}

#[test]
fn a_unet_alone_runs_with_the_parts_beside_it() {
    let configs = configs(true);
    let mut rest = configs.clone();
    rest["scheduler"] = json!({ "prediction_type": "v_prediction", "timestep_spacing": "trailing" });
    let beside = || {
        let mut shelf = folder(&rest, &all(&configs, ["unet.", "vae.", "text_encoder."]));
        shelf.0.retain(|(path, _)| !path.starts_with("unet/"));
        shelf.with("b-Q4_0.gguf", unet_alone(&configs, "b-Q4_0.gguf"))
    };
    let shelf = beside().with("a-Q8_0.gguf", unet_alone(&configs, "a-Q8_0.gguf"));
    let opened = open_folder(&shelf).expect("a whole model");
    assert_eq!(
        opened.notes,
        [
            "a-Q8_0.gguf with the VAE of vae/ and the text encoder of text_encoder/ is used; passed over: b-Q4_0.gguf (a UNet \
          alone)."
        ]
    );
    assert_eq!(opened.prediction_by, "the scheduler's config of a shelf says so");
    assert_eq!(opened.layout, "file with a UNet, and other parts beside it");
    assert_eq!(opened.taken.len(), 2, "VAE and text encoder");
    // The same folder can also be combined with another VAE.
    let vae = parts("vae", &tensors_of(&configs, "vae."));
    let parts = block_on(Parts::open(&shelf)).expect("parts");
    parts.with_vae(&vae).expect("it fits").whole(None).expect("whole").check().expect("all is there");
    // The file's name gives the prediction type; the rest of the schedule comes from the folder.
    let named = beside().with("a-epsilon-Q8_0.gguf", unet_alone(&configs, "a-epsilon-Q8_0.gguf"));
    let opened = open_folder(&named).expect("a whole model");
    let scheduler = opened.parsed().expect("configs").scheduler;
    assert_eq!((opened.prediction_by.as_str(), scheduler.prediction_type), ("its name says so", Prediction::Epsilon));
    assert_eq!(scheduler.timestep_spacing, TimestepSpacing::Trailing);
    // The folder has the UNet's config but not its weights.
    let with_config = beside().with_json("unet/config.json", &configs["unet"]);
    assert_eq!(open_folder(&with_config).expect("a whole model").files[0].name(), "b-Q4_0.gguf");
    // A missing part is still reported.
    let mut without = beside();
    without.0.retain(|(path, _)| !path.starts_with("text_encoder/"));
    assert!(refusal(open_folder(&without)).contains("b-Q4_0.gguf has no text encoder"));
    let mut pickles = beside();
    pickles.0.retain(|(path, _)| path != "vae/diffusion_pytorch_model.safetensors");
    let vae = renamed(tensors_of(&configs, "vae."), "vae.", "");
    let pickles = pickles.with("vae/diffusion_pytorch_model.bin", archive("vae", &vae));
    open_folder(&pickles).expect("a whole model");
}

#[test]
fn a_part_alone_is_taken_whatever_its_file_is_called() {
    let configs = configs(false);
    for (part, stem) in [(Part::Vae, "vae."), (Part::Text, "text_encoder.")] {
        let tensors = renamed(tensors_of(&configs, stem), stem, "");
        for path in ["diffusion_pytorch_model.safetensors", "model.fp16.safetensors", "some/where/mine.safetensors"] {
            let shelf = Shelf::default().with(path, Holes::file(path, &tensors, json!({})));
            let parts = block_on(Parts::open(&shelf)).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(parts.has(part), "{path}");
        }
    }
}

#[test]
fn a_unet_alone_runs_with_files_beside_it() {
    let configs = configs(false);
    let vae = renamed(tensors_of(&configs, "vae."), "vae.", "first_stage_model.");
    let text = renamed(tensors_of(&configs, "text_encoder."), "text_encoder.", "");
    let shelf = Shelf::default()
        .with("clip_l.safetensors", Holes::file("clip_l.safetensors", &text, json!({})))
        .with("kl-f8.vae.safetensors", Holes::file("kl-f8.vae.safetensors", &vae, json!({})));
    // So many files that, of the others, only those named like a part are read.
    let shelf = (0..8).fold(shelf, |shelf, i| {
        let path = format!("sd-{i}-Q8_0.gguf");
        shelf.with(&path, unet_alone(&configs, &path))
    });
    let opened = open_folder(&shelf).expect("a whole model");
    let note = &opened.notes[0];
    assert!(
        note.starts_with(
            "sd-0-Q8_0.gguf with the VAE of kl-f8.vae.safetensors and the text encoder of clip_l.safetensors is used; \
             passed over: sd-1-Q8_0.gguf (a UNet alone)"
        ),
        "{note}"
    );
    // The same shapes, but latents of another family.
    let of_xl = Shelf::default()
        .with("a-Q8_0.gguf", unet_alone(&configs, "a-Q8_0.gguf"))
        .with("clip_l.safetensors", Holes::file("clip_l.safetensors", &text, json!({})))
        .with("sdxl_vae.safetensors", Holes::file("sdxl_vae.safetensors", &vae, json!({})));
    assert!(refusal(open_folder(&of_xl)).contains("has no VAE"));
    let alone =
        Shelf::default().with("a.gguf", unet_alone(&configs, "a.gguf")).with("b.gguf", unet_alone(&configs, "b"));
    assert!(refusal(open_folder(&alone)).contains("a.gguf has the UNet only"));
}

#[test]
fn a_file_without_a_text_encoder_runs_with_the_one_beside_it() {
    let configs = configs(false);
    let mut own = tensors_of(&configs, "unet.");
    own.extend(tensors_of(&configs, "vae."));
    let text = renamed(tensors_of(&configs, "text_encoder."), "text_encoder.", "");
    let beside = |path: &str| {
        Shelf::default()
            .with("own.safetensors", Holes::file("own.safetensors", &own, json!({})))
            .with(path, Holes::file(path, &text, json!({})))
    };
    let layout =
        beside("text_encoder/model.safetensors").with_json("text_encoder/config.json", &configs["text_encoder"]);
    let opened = open_folder(&layout).expect("a whole model");
    assert_eq!(opened.notes, ["own.safetensors with the text encoder of text_encoder/ is used."]);
    for path in ["text_encoder/model.safetensors", "text_encoder/clip_l.safetensors", "clip_l.safetensors"] {
        let opened = open_folder(&beside(path)).expect(path);
        assert_eq!(opened.notes, [format!("own.safetensors with the text encoder of {path} is used.")]);
    }
}

#[test]
fn a_text_encoder_alone_fills_what_lacks_one() {
    let configs = configs(false);
    let own = || {
        let mut tensors = tensors_of(&configs, "unet.");
        tensors.extend(tensors_of(&configs, "vae."));
        parts("own.safetensors", &tensors)
    };
    let text = tensors_of(&configs, "text_encoder.");
    let vision = [
        "vision_model.embeddings.class_embedding",
        "vision_model.embeddings.patch_embedding.weight",
        "vision_model.pre_layrnorm.weight",
        "vision_model.encoder.layers.0.mlp.fc1.weight",
        "visual_projection.weight",
        "text_projection.weight",
        "logit_scale",
    ];
    let fill = |rest: &Parts, name: &str| {
        let both = Checkpoint::with_rest(own(), rest, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        both.check().unwrap_or_else(|error| panic!("{name}: {error}"));
    };
    for prefix in [
        "text_encoder.",
        "",
        "cond_stage_model.transformer.",
        "conditioner.embedders.0.transformer.",
        "text_encoders.clip_l.transformer.",
        "te.",
        "transformer.",
        "model.",
    ] {
        let mut tensors = renamed(text.clone(), "text_encoder.", prefix);
        fill(&parts("text.safetensors", &tensors), prefix);
        if ["", "cond_stage_model.transformer."].contains(&prefix) {
            tensors.extend(vision.map(|name| (format!("{prefix}{name}"), vec![3])));
            fill(&parts("clip.safetensors", &tensors), "a whole CLIP");
        }
    }
    let flat = renamed(text.clone(), "text_encoder.text_model.", "");
    fill(&parts("flat.safetensors", &flat), "flat");
    // As a folder: of a text encoder alone, and of a whole CLIP.
    let bare = renamed(text, "text_encoder.", "");
    let mut config = configs["text_encoder"].clone();
    config["model_type"] = json!("clip_text_model");
    let file = Holes::file("text", &bare, json!({}));
    let shelf = Shelf::default().with_json("config.json", &config).with("model.safetensors", file);
    fill(&block_on(Parts::open(&shelf)).expect("a text encoder"), "a folder");
    let mut whole = bare;
    whole.extend(vision.map(|name| (name.to_string(), vec![3])));
    let config = json!({ "architectures": ["CLIPModel"], "model_type": "clip", "text_config": config });
    let shelf = Shelf::default()
        .with_json("config.json", &config)
        .with("pytorch_model.bin", archive("pytorch_model.bin", &whole));
    fill(&block_on(Parts::open(&shelf)).expect("a whole CLIP"), "a whole CLIP's folder");
    assert!(refusal(block_on(Checkpoint::open(&shelf, None))).contains("use"), "no model by itself");
}

#[test]
fn parts_come_from_three_places() {
    let configs = configs(false);
    let alone = |part: &str| parts(part, &tensors_of(&configs, part));
    let filled = alone("unet.").filled(&alone("text_encoder.")).expect("a UNet and a text encoder");
    let whole = filled.with_vae(&alone("vae.")).expect("a VAE too").whole(None).expect("whole");
    whole.check().expect("all is there");
}

#[test]
fn the_last_layer_of_openclip_is_none_of_a_models() {
    let whole = json!({ "text_config": { "hidden_act": "gelu", "hidden_size": 1024, "num_hidden_layers": 24 } });
    assert_eq!(text_encoder_alone(whole)["num_hidden_layers"], 23);
    let other = json!({ "hidden_act": "quick_gelu", "hidden_size": 768, "num_hidden_layers": 12 });
    assert_eq!(text_encoder_alone(other.clone()), other);
}
