//! Weights in other containers and types, compared with the reference on the same weights; packs and the cache.

use std::path::Path;
use std::rc::Rc;

use styleid::device;
use styleid::model::packing::{Packing, write};
use styleid::model::{LoadOptions, ModelInfo, StableDiffusion};
use styleid::platform::silent;
use styleid::weights::config::Prediction;
use styleid::weights::store::cache::disk::Disk;
use styleid::weights::store::{Cache, ModelKey};
use styleid::weights::{Origin, WeightType};
use styleid::{Preset, Session, Style};

use crate::golden::{Golden, fixture};
use crate::support::{Scratch, params, run, session_of};
use crate::whole_runs::whole_run_of;

fn single(file: &str) -> Origin {
    Origin::local(&fixture(&format!("single-file/{file}")), None).expect("a file")
}

fn session(origin: &Origin, weights: WeightType) -> Session {
    session_of(origin, device::cpu(), weights)
}

fn info(origin: &Origin) -> ModelInfo {
    ModelInfo::of(&pollster::block_on((origin.open)()).expect("a checkpoint"), None).expect("a whole model")
}

#[test]
fn gguf_of_1x_with_4_bit_blocks() {
    whole_run_of(
        session(&single("tiny15.q4_0.gguf"), WeightType::Exact),
        "tiny15.q4_0.gguf.n4",
        &params(Preset::Diffusers, 4),
    );
}

#[test]
fn gguf_of_2x_with_8_bit_blocks() {
    whole_run_of(
        session(&single("tiny21b.q8_0.gguf"), WeightType::Exact),
        "tiny21b.q8_0.gguf.n4",
        &params(Preset::Diffusers, 4),
    );
}

#[test]
fn ldm_safetensors_of_2x_with_openclip() {
    let origin = single("micro21b.ldm.f16.safetensors");
    whole_run_of(session(&origin, WeightType::Exact), "micro21b.ldm.f16.n4", &params(Preset::Diffusers, 4));
}

#[test]
fn what_a_single_file_is_follows_from_its_shapes() {
    let one = info(&single("tiny15.q4_0.gguf"));
    assert_eq!((one.version, one.prediction, one.factor), ("1.x", Prediction::Epsilon, 8));
    assert_eq!(one.layers, [3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let two = info(&single("tiny21b.q8_0.gguf"));
    assert_eq!((two.version, two.prediction), ("2.x", Prediction::Epsilon));
    let overruled = Origin::local(&fixture("single-file/tiny21b.q8_0.gguf"), Some(Prediction::VPrediction));
    assert_eq!(info(&overruled.expect("a file")).prediction, Prediction::VPrediction);
    // The file and the folder have the same numbers of parameters: nothing is left out, and nothing is counted twice.
    let folder = info(&Origin::local(&fixture("models/micro21b"), None).expect("a folder"));
    assert_eq!(info(&single("micro21b.ldm.f16.safetensors")).parameters, folder.parameters);
}

#[test]
fn a_model_that_is_put_together_says_where_its_parts_are_from() {
    let at = |path: &str| Origin::local(&fixture(path), None).expect("it is there");
    let taken = |origin: &Origin| -> Vec<(String, String)> { info(origin).taken.into_iter().collect() };
    let pair = |part: &str, from: &str| (part.to_string(), from.to_string());
    assert_eq!(taken(&at("models/micro15")), []);
    let vae = at("models/micro15").with_vae(at("models/micro15bk_tiny/vae"), None);
    assert_eq!(taken(&vae), [pair("vae", "vae")]);
    let unet = || at("models/micro15/unet/diffusion_pytorch_model.safetensors");
    let rest = unet().with_rest(at("models/micro15bk_base"), None);
    assert_eq!(taken(&rest), [pair("text_encoder", "micro15bk_base"), pair("vae", "micro15bk_base")]);
    let both = unet().with_rest(at("models/micro15bk_base"), None).with_vae(vae, None);
    let expected = [pair("text_encoder", "micro15bk_base"), pair("vae", "vae")];
    assert_eq!(taken(&both), expected, "what was taken from a model that had taken it is from there");
    let alone = pollster::block_on((unet().open)()).err().expect("no whole model").to_string();
    assert!(alone.contains("“The rest of a UNet”") && alone.contains("option rest"), "{alone}");
}

/// The largest difference between the final latents of a run and the golden's, relative to the golden's largest value.
fn error(origin: &Origin, weights: WeightType, golden: &str) -> f32 {
    let golden = Golden::load(golden);
    let mut session = session(origin, weights);
    let (content, style) = (golden.picture("content_u8"), golden.picture("style_u8"));
    let outcome =
        pollster::block_on(session.run(&content, &[Style::alone(&style)], &params(Preset::Diffusers, 4), &silent()))
            .expect("a run");
    let scale = golden.values("final_latent").1.into_iter().fold(0f32, |max, x| max.max(x.abs()));
    golden.distance("final_latent", &outcome.stylized.latents) / scale
}

#[test]
fn fewer_bits_are_further_from_the_reference_and_none_is_far() {
    let origin = Origin::local(&fixture("models/micro21b"), None).expect("a folder");
    let golden = "micro21b.diffusers.n4";
    let [f32, f16, q8, q4] =
        [WeightType::F32, WeightType::F16, WeightType::Q8, WeightType::Q4].map(|t| error(&origin, t, golden));
    assert!(f32 < 1e-4 && f32 < f16 && f16 < q8 && q8 < q4, "{f32:e} {f16:e} {q8:e} {q4:e}");
    // Random weights amplify errors, so the bounds are wide. They catch a wrong nibble or scale, which gives an
    // unrelated picture.
    assert!(f16 < 2e-2 && q8 < 0.2 && q4 < 1.0, "{f16:e} {q8:e} {q4:e}");
}

fn packing(weights: WeightType, part_bytes: Option<u64>) -> Packing {
    Packing { source: "test".into(), weights, part_bytes, room: None, odd_rows: false, licence: None, prediction: None }
}

fn final_picture(origin: &Origin, weights: WeightType) -> image::RgbImage {
    let golden = Golden::load("tiny15.q4_0.gguf.n4");
    run(&mut session(origin, weights), &golden, &params(Preset::Diffusers, 4)).expect("a run").0
}

#[test]
fn a_pack_computes_what_its_model_computes_quantised() {
    let scratch = Scratch::new();
    let origin = single("tiny15.q4_0.gguf");
    for (weights, part) in [(WeightType::Q8, None), (WeightType::Q4, Some(1_000_000))] {
        let out = scratch.path(weights.name());
        let files = pollster::block_on(write(&origin, &packing(weights, part), &out, &silent())).expect("a pack");
        assert_eq!(files.len() > 1, part.is_some());
        for (path, bytes) in &files {
            assert_eq!(std::fs::metadata(path).expect("a file").len(), *bytes);
            assert!(part.is_none_or(|limit| *bytes <= limit), "{bytes} bytes");
        }
        let pack = Origin::local(&files[0].0, None).expect("a file");
        assert_eq!((info(&pack).version, info(&pack).layout.as_str()), ("1.x", "pack"));
        assert!(final_picture(&pack, WeightType::Exact) == final_picture(&origin, weights), "{}", weights.name());
    }
}

#[test]
fn odd_rows_at_8_bits_make_a_pack_smaller_and_its_picture_hardly_another() {
    let scratch = Scratch::new();
    let origin = single("tiny15.q4_0.gguf");
    let [(even, even_bytes), (odd, odd_bytes)] = [false, true].map(|odd_rows| {
        let out = scratch.path(if odd_rows { "odd" } else { "even" });
        let packing = Packing { odd_rows, ..packing(WeightType::Q8, None) };
        pollster::block_on(write(&origin, &packing, &out, &silent())).expect("a pack").remove(0)
    });
    assert!(odd_bytes < even_bytes, "{odd_bytes} and {even_bytes}");
    let [even, odd] = [even, odd].map(|path| Origin::local(&path, None).expect("a file"));
    let exact = final_picture(&even, WeightType::Exact);
    for weights in [WeightType::Exact, WeightType::Q8] {
        let picture = final_picture(&odd, weights);
        let differences = picture.as_raw().iter().zip(exact.as_raw()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
        let error = (differences.sum::<f64>() / exact.as_raw().len() as f64).sqrt();
        // Random weights amplify errors. Unrelated pictures differ by 60 and more.
        assert!(error > 0.0 && error < 12.0, "{error}");
    }
}

#[test]
fn a_pack_that_cannot_get_its_name_leaves_nothing() {
    let scratch = Scratch::new();
    let in_the_way = scratch.path("packs/p.styleid.gguf");
    std::fs::create_dir_all(in_the_way.join("something")).expect("a folder");
    let (origin, packing) = (single("tiny15.q4_0.gguf"), packing(WeightType::Q8, None));
    let written = pollster::block_on(write(&origin, &packing, &scratch.path("packs/p"), &silent()));
    let said = written.map(drop).expect_err("a folder is in the way").to_string();
    assert!(said.contains("p.styleid.gguf"), "{said}");
    let left = std::fs::read_dir(scratch.path("packs")).expect("the folder").count();
    assert_eq!(left, 1, "only what was in the way");
}

#[test]
fn a_pack_with_a_flipped_bit_is_refused() {
    let scratch = Scratch::new();
    let files = pollster::block_on(write(
        &single("tiny15.q4_0.gguf"),
        &packing(WeightType::Q8, None),
        &scratch.path("p"),
        &silent(),
    ));
    let path = &files.expect("a pack")[0].0;
    let mut bytes = std::fs::read(path).expect("a pack");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("a pack");
    let origin = Origin::local(path, None).expect("a file");
    let loaded = pollster::block_on(StableDiffusion::load(&origin, device::cpu(), LoadOptions::default(), &silent()));
    let message = loaded.map(drop).expect_err("damaged").to_string();
    assert!(message.contains("damaged"), "{message}");
}

/// The fixture as if it came over the network: with a cache. If `folder` does not exist, asking for its files panics.
fn kept(folder: &Path, disk: &Path, weights: WeightType) -> Origin {
    let cache = Cache::new(Rc::new(Disk::at(disk.to_path_buf())));
    let key = ModelKey { origin: "test/model".into(), revision: "main".into(), file: String::new(), weights };
    Origin { keep: Some((cache, key)), ..Origin::local(folder, None).unwrap_or_else(|_| gone()) }
}

fn gone() -> Origin {
    Origin {
        open: Box::new(|| panic!("the files were asked for though the model is kept")),
        parts: Box::new(|| panic!("the files were asked for though the model is kept")),
        keep: None,
    }
}

#[test]
fn a_kept_model_needs_its_files_no_more_and_computes_the_same() {
    let scratch = Scratch::new();
    let file = scratch.path("tiny.gguf");
    std::fs::copy(fixture("single-file/tiny15.q4_0.gguf"), &file).expect("a copy");
    for weights in [WeightType::Exact, WeightType::Q8] {
        let first = final_picture(&kept(&file, &scratch.path("cache"), weights), weights);
        let second = final_picture(&kept(Path::new("/nowhere"), &scratch.path("cache"), weights), weights);
        assert!(first == second, "{}", weights.name());
    }
    // Each type of weights has its own entry in the cache.
    let cache = Cache::new(Rc::new(Disk::at(scratch.path("cache"))));
    assert_eq!(pollster::block_on(cache.list()).expect("the disk can say").len(), 2);
}

#[test]
fn a_damaged_cache_is_fetched_again() {
    let scratch = Scratch::new();
    let file = fixture("single-file/tiny15.q4_0.gguf");
    let first = final_picture(&kept(&file, &scratch.path("cache"), WeightType::Q8), WeightType::Q8);
    let folder = std::fs::read_dir(scratch.path("cache")).expect("a cache").next().expect("a model").expect("a folder");
    let mut damaged = 0;
    for entry in std::fs::read_dir(folder.path()).expect("a model") {
        let path = entry.expect("a file").path();
        let mut bytes = std::fs::read(&path).expect("a file");
        if path.extension().is_some_and(|ending| ending == "json") || bytes.is_empty() {
            continue;
        }
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        std::fs::write(&path, bytes).expect("a file");
        damaged += 1;
    }
    assert!(damaged > 0);
    let second = final_picture(&kept(&file, &scratch.path("cache"), WeightType::Q8), WeightType::Q8);
    assert!(first == second);
}
