//! Whole in-memory models in every supported layout: each opens with every tensor of its networks.

use std::rc::Rc;

use pollster::block_on;
use serde_json::{Value, json};

use super::testing::{Holes, Shelf, archive, configs, renamed, tensors};
use super::{Checkpoint, Part, Parts};
use crate::config::Prediction;
use crate::error::{Error, Result};
use crate::source::file::File;

mod folders;
mod hub;

type Tensors = Vec<(String, Vec<usize>)>;

fn open(file: Rc<dyn File>) -> Result<Checkpoint> {
    block_on(Checkpoint::of_files(vec![file], None)).and_then(|opened| opened.check().map(|()| opened))
}

fn parts(name: &str, tensors: &Tensors) -> Parts {
    block_on(Parts::of_files(vec![Holes::file(name, tensors, json!({}))])).expect("parts")
}

/// All tensors, with these prefixes for UNet, VAE and text encoder.
fn all(configs: &Value, [unet, vae, text]: [&str; 3]) -> Tensors {
    let of = |part: &str, to: &str| renamed(tensors(configs, part), part, to);
    [of("unet.", unet), of("vae.", vae), of("text_encoder.", text)].concat()
}

const PREFIXES: [&str; 3] = ["unet.", "vae.", "te."];

fn refusal<T>(outcome: Result<T>) -> String {
    match outcome {
        Err(Error::Model(sentence)) => sentence,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("not refused"),
    }
}

/// A folder in the diffusers layout with these configs and tensors.
fn folder(configs: &Value, tensors: &Tensors) -> Shelf {
    let part = |part: &str| -> Tensors {
        let inside =
            tensors.iter().filter_map(|(name, shape)| Some((name.strip_prefix(part)?.to_string(), shape.clone())));
        inside.collect()
    };
    let file = |name: &str| Holes::file("weights", &part(name), json!({ "format": "pt" }));
    Shelf::default()
        .with_json("unet/config.json", &configs["unet"])
        .with_json("vae/config.json", &configs["vae"])
        .with_json("scheduler/scheduler_config.json", &configs["scheduler"])
        .with_json("text_encoder/config.json", &configs["text_encoder"])
        .with("unet/diffusion_pytorch_model.safetensors", file("unet."))
        .with("vae/diffusion_pytorch_model.safetensors", file("vae."))
        .with("text_encoder/model.safetensors", file("text_encoder."))
}

fn open_folder(shelf: &Shelf) -> Result<Checkpoint> {
    block_on(Checkpoint::open(shelf, None)).and_then(|opened| opened.check().map(|()| opened))
}

/// The narrow model as a distilled one: one resnet per level, no mid block, attention at every level.
fn distilled(is_2x: bool, levels: usize, layers: Value) -> Value {
    let mut configs = configs(is_2x);
    let unet = &mut configs["unet"];
    unet["block_out_channels"] = json!([16, 32, 32][..levels]);
    unet["down_block_types"] = json!(vec!["CrossAttnDownBlock2D"; levels]);
    unet["up_block_types"] = json!(vec!["CrossAttnUpBlock2D"; levels]);
    unet["layers_per_block"] = layers;
    unet["mid_block_type"] = Value::Null;
    configs
}

#[test]
fn single_files_open_under_every_prefix() {
    for is_2x in [false, true] {
        for prefixes in [
            PREFIXES,
            ["model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."],
            ["model.diffusion_model.", "vae.", "conditioner.embedders.0.transformer."],
            ["", "", ""],
        ] {
            let opened = open(Holes::file("x.safetensors", &all(&configs(is_2x), prefixes), json!({})));
            let unet = opened.expect("a whole model").parsed().expect("configs").unet;
            assert_eq!((unet.use_linear_projection, unet.has_mid_block()), (is_2x, true));
        }
    }
}

#[test]
fn distilled_unets_open_as_files_and_folders() {
    for is_2x in [false, true] {
        for (levels, layers) in [(3, json!(1)), (2, json!(1)), (3, json!([1, 2, 1])), (3, json!(3))] {
            let configs = distilled(is_2x, levels, layers.clone());
            let tensors = all(&configs, PREFIXES);
            let opened = open(Holes::file("x.gguf", &tensors, json!({}))).expect("a whole model");
            let unet = opened.parsed().expect("configs").unet;
            assert!(!unet.has_mid_block());
            assert_eq!(json!(unet.block_out_channels), configs["unet"]["block_out_channels"]);
            assert_eq!(unet.use_linear_projection, is_2x);
            assert_eq!(unet.cross_attention_dim.at(0), 16);
            let named = all(&configs, ["unet.", "vae.", "text_encoder."]);
            let in_folder =
                open_folder(&folder(&configs, &named)).expect("a whole model").parsed().expect("configs").unet;
            assert_eq!(in_folder.decoder_layers(), unet.decoder_layers());
            assert!(!in_folder.decoder_layers().is_empty());
        }
    }
}

#[test]
fn what_nobody_needs_is_passed_over_and_what_is_not_understood_is_not() {
    let configs = configs(false);
    let with = |extra: &[&str]| {
        let mut tensors =
            all(&configs, ["model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."]);
        tensors.extend(extra.iter().map(|name| (name.to_string(), vec![7])));
        open(Holes::file("x.safetensors", &tensors, json!({})))
    };
    let unneeded = [
        "model_ema.decay",
        "model_ema.diffusion_modelconv_inweight",
        "alphas_cumprod",
        "v_pred_not",
        "first_stage_model.loss.logvar",
        "cond_stage_model.transformer.text_projection.weight",
        "cond_stage_model.transformer.vision_model.x",
        "cond_stage_model.logit_scale",
        "cond_stage_model.transformer.text_model.embeddings.position_ids",
        "model.diffusion_model.scaled_fp8",
    ];
    with(&unneeded).expect("the model is whole");
    for odd in ["model.diffusion_model.odd.weight", "first_stage_model.odd", "cond_stage_model.transformer.odd"] {
        assert!(refusal(with(&[odd])).contains("odd"), "{odd}");
        assert!(refusal(with(&[&format!("{odd}{}", "\u{4}".repeat(10_000))])).len() < 300, "{odd}");
    }
}

#[test]
fn text_encoders_of_folders_without_their_prefix_or_with_more() {
    let configs = configs(false);
    let tensors = all(&configs, ["unet.", "vae.", "text_encoder."]);
    let flat = renamed(tensors.clone(), "text_encoder.text_model.", "text_encoder.");
    open_folder(&folder(&configs, &flat)).expect("flat names");
    let mut more = tensors;
    more.extend(
        ["text_projection.weight", "visual_projection.weight", "vision_model.x", "logit_scale"]
            .map(|name| (format!("text_encoder.{name}"), vec![3])),
    );
    open_folder(&folder(&configs, &more)).expect("a whole CLIP");
}

#[test]
fn a_second_vae_is_the_one_that_counts() {
    let configs = configs(false);
    let mut tensors = all(&configs, ["model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."]);
    let second = renamed(super::testing::tensors(&configs, "vae."), "vae.", "vae.");
    let first = tensors.len();
    tensors.extend(second);
    let opened = open(Holes::file("x.safetensors", &tensors, json!({}))).expect("a whole model");
    let after = opened.tensors.iter().filter(|(name, _)| name.starts_with("vae.")).map(|(_, at)| at.span.start).min();
    let last = opened.tensors.iter().filter(|(name, _)| !name.starts_with("vae.")).map(|(_, at)| at.span.start).max();
    assert!(first > 0 && after > last, "the file's own VAE comes before the text encoder");
}

#[test]
fn who_says_what_it_predicts() {
    let said = |configs: &Value, name: &str, metadata: Value, marks: &[&str]| {
        let mut tensors = all(configs, PREFIXES);
        tensors.extend(marks.iter().map(|mark| (mark.to_string(), vec![0])));
        let opened = open(Holes::file(name, &tensors, metadata)).expect("a whole model");
        let scheduler = opened.parsed().expect("configs").scheduler;
        (scheduler.prediction_type, opened.prediction_by, scheduler.rescale_betas_zero_snr)
    };
    let (one, two, none) = (configs(false), configs(true), json!({}));
    let v = Prediction::VPrediction;
    let tag = json!({ "modelspec.prediction_type": "epsilon" });
    assert_eq!(said(&two, "a-768.safetensors", tag, &["v_pred"]).0, Prediction::Epsilon, "metadata first");
    assert_eq!(said(&two, "a-768.safetensors", none.clone(), &[]), (v, "its name says so".into(), false));
    assert_eq!(said(&one, "a-768.safetensors", none.clone(), &[]).0, Prediction::Epsilon);
    assert_eq!(said(&one, "a.safetensors", none.clone(), &["v_pred"]), (v, "its metadata says so".into(), false));
    assert_eq!(said(&one, "a.safetensors", none, &["v_pred", "ztsnr"]), (v, "its metadata says so".into(), true));
    let odd = Holes::file("x", &all(&one, PREFIXES), json!({ "modelspec.prediction_type": "flow" }));
    assert!(refusal(open(odd.clone())).contains("modelspec.prediction_type \"flow\""));
    let told = block_on(Checkpoint::of_files(vec![odd], Some(v))).expect("a person knows better");
    assert_eq!(
        (told.prediction_by.as_str(), told.parsed().expect("configs").scheduler.prediction_type),
        ("you say so", v)
    );
}

#[test]
fn odd_configs_of_a_folder_end_in_a_sentence() {
    let named = all(&configs(false), ["unet.", "vae.", "text_encoder."]);
    for odd in [json!([]), json!("text"), json!(7), json!({ "prediction_type": [] }), json!({ "beta_start": {} })] {
        for part in ["unet", "vae", "scheduler", "text_encoder"] {
            let mut configs = configs(false);
            configs[part] = odd.clone();
            let shelf = folder(&configs, &named);
            for prediction in [None, Some(Prediction::VPrediction)] {
                if let Err(error) = block_on(Checkpoint::open(&shelf, prediction)).and_then(|opened| opened.check()) {
                    assert!(error.to_string().ends_with('.'), "{error}");
                }
            }
        }
    }
}

#[test]
fn fused_projections_of_any_shape_end_in_a_sentence() {
    let name = "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight";
    for shape in [vec![], vec![0], vec![4, 2], vec![3]] {
        let mut tensors = all(&configs(false), PREFIXES);
        tensors.push((name.into(), shape));
        let _ = open(Holes::file("x.safetensors", &tensors, json!({})));
    }
    let mut tensors = all(&configs(false), PREFIXES);
    tensors.push((name.into(), vec![]));
    assert!(refusal(open(Holes::file("x.safetensors", &tensors, json!({})))).contains("come apart"));
}

#[test]
fn a_vae_of_ones_own() {
    let configs = configs(false);
    let whole = || open(Holes::file("x.safetensors", &all(&configs, PREFIXES), json!({}))).expect("a whole model");
    let vae = super::testing::tensors(&configs, "vae.");
    let plain = whole().identity();
    for prefix in ["vae.", "first_stage_model.", ""] {
        let alone = parts("vae.safetensors", &renamed(vae.clone(), "vae.", prefix));
        assert!(alone.has(Part::Vae) && !alone.has(Part::Unet));
        let both = whole().with_vae(&alone).expect("it fits");
        both.check().expect("all is there");
        assert!(both.tensors.iter().all(|(name, at)| (at.file == 1) == name.starts_with("vae.")));
        assert_ne!(both.identity(), plain);
    }
    let in_folder = |config: Value| {
        let weights = Holes::file("vae", &renamed(vae.clone(), "vae.", ""), json!({}));
        let shelf =
            Shelf::default().with_json("config.json", &config).with("diffusion_pytorch_model.safetensors", weights);
        block_on(Parts::open(&shelf)).expect("a VAE's folder")
    };
    let mut config = configs["vae"].clone();
    whole().with_vae(&in_folder(config.clone())).expect("it fits").check().expect("all is there");
    config["scaling_factor"] = json!(0.13025);
    assert!(refusal(whole().with_vae(&in_folder(config.clone()))).contains("another family"));
    config["scaling_factor"] = json!(null);
    config["latent_channels"] = json!(16);
    assert!(refusal(whole().with_vae(&in_folder(config))).contains("16 channels"));
    let unet = parts("u", &renamed(super::testing::tensors(&configs, "unet."), "unet.", ""));
    assert!(refusal(whole().with_vae(&unet)).contains("has no VAE"));
    whole().with_vae(&Parts::from(whole())).expect("a whole model has one too").check().expect("all is there");
}

#[test]
fn a_unet_alone_with_the_rest_of_another() {
    let configs = configs(true);
    let unet = || parts("own.gguf", &renamed(super::testing::tensors(&configs, "unet."), "unet.", ""));
    assert!(refusal(unet().whole(None)).contains("the UNet only"));
    let mut rest = configs.clone();
    rest["scheduler"] = json!({ "prediction_type": "v_prediction", "rescale_betas_zero_snr": true });
    let shelf = folder(&rest, &all(&configs, ["unet.", "vae.", "text_encoder."]));
    let rest = Parts::from(open_folder(&shelf).expect("a whole model"));
    let both = Checkpoint::with_rest(unet(), &rest, None).expect("they fit");
    both.check().expect("all is there");
    assert_eq!(both.files.len(), 3);
    let scheduler = both.parsed().expect("configs").scheduler;
    assert!(scheduler.rescale_betas_zero_snr);
    assert_eq!(both.prediction_by, "the scheduler's config of a shelf says so");
    let swapped = open_folder(&shelf).expect("a whole model").identity();
    assert_ne!(both.identity(), swapped);
    // The user's choice and the file's name take precedence over that.
    let named = parts("own-epsilon.gguf", &renamed(super::testing::tensors(&configs, "unet."), "unet.", ""));
    let both = Checkpoint::with_rest(named, &rest, None).expect("they fit");
    assert_eq!(both.prediction_by, "its name says so");
    let vae = parts("vae", &super::testing::tensors(&configs, "vae."));
    assert!(refusal(Checkpoint::with_rest(unet(), &vae, None)).contains("no text encoder"));
    let mut other = configs.clone();
    other["text_encoder"]["hidden_size"] = json!(32);
    other["unet"]["cross_attention_dim"] = json!(32);
    let other = parts("other", &all(&other, PREFIXES));
    assert!(refusal(Checkpoint::with_rest(unet(), &other, None)).contains("context of width 16"));
}

#[test]
fn a_part_beside_a_folder_is_passed_over() {
    let configs = configs(false);
    let alone = Holes::file("sd-Q8_0.gguf", &renamed(tensors(&configs, "unet."), "unet.", ""), json!({}));
    let shelf = folder(&configs, &all(&configs, ["unet.", "vae.", "text_encoder."])).with("sd-Q8_0.gguf", alone);
    let opened = open_folder(&shelf).expect("the folder is whole");
    assert_eq!(opened.layout, "folder in the diffusers layout");
    assert!(opened.notes[0].contains("sd-Q8_0.gguf"), "{:?}", opened.notes);
}
