//! Memory budgets: they change where tensors are kept and what is computed at once, but not the result.

use burn::tensor::{Device, Tensor};
use styleid::memory::{self, Memory};
use styleid::ops::Kernels;
use styleid::platform::silent;
use styleid::weights::{Origin, WeightType};
use styleid::{Params, Phase, Preset, Session, Style, device};

use crate::golden::{Golden, distance, fixture};
use crate::support::{Chosen, gpu, params, run, run_pictures, session_within, steps_of};

const STEPS: usize = 2;

fn session(memory: Memory, device: Device) -> Session {
    let origin = Origin::local(&fixture("models/micro15"), None).expect("a folder");
    session_within(&origin, device, WeightType::Exact, memory)
}

fn golden() -> Golden {
    Golden::load("micro15.diffusers.n20")
}

/// The results of a run (the content's noise, the style's noise, the final latents, the pixels), and the bytes of its
/// features on the device and in main memory.
fn latents(session: &mut Session, params: &Params) -> (Vec<Vec<f32>>, (u64, u64)) {
    let (content, style) = (golden().picture("content_u8"), golden().picture("style_u8"));
    let outcome = pollster::block_on(session.run(&content, &[Style::alone(&style)], params, &silent())).expect("a run");
    let floats = |x: &Tensor<4>| x.to_data().iter::<f32>().collect::<Vec<_>>();
    let style = outcome.styles.first().map_or(Vec::new(), |style| floats(style.noise()));
    let values =
        vec![floats(outcome.content.noise()), style, floats(&outcome.stylized.latents), outcome.pixels.clone()];
    let bytes = outcome.feature_bytes;
    (values, bytes)
}

fn assert_close(name: &str, ours: &[Vec<f32>], others: &[Vec<f32>], tolerance: f32) {
    for (what, (ours, others)) in ["content", "style", "latents", "image"].iter().zip(ours.iter().zip(others)) {
        let scale = others.iter().fold(1f32, |max, x| max.max(x.abs()));
        let worst = distance(what, ours, others);
        assert!(worst <= tolerance * scale, "{name}: {what} is {worst:e} off, more than {tolerance:e} of {scale}");
    }
}

#[test]
fn a_bank_in_main_memory_gives_the_same_result() {
    let plain = params(Preset::Diffusers, STEPS);
    let mut all = Vec::new();
    for params in [plain.clone(), Params { content_share: 0.5, ..plain }] {
        let (ample, bytes) = latents(&mut session(Memory::default(), device::cpu()), &params);
        assert!(bytes.0 > 0 && bytes.1 == 0, "{bytes:?}");
        let tight = Memory { budget: Some(1), ..Memory::default() };
        let mut session = session(tight, device::cpu());
        let (spilled, moved) = latents(&mut session, &params);
        assert_eq!(moved, (0, bytes.0));
        assert_eq!(spilled, ample);
        let (again, _) = latents(&mut session, &params);
        assert_eq!(again, ample, "what was kept in main memory serves again");
        all.push(bytes.0);
    }
    assert_eq!(3 * all[1], 5 * all[0], "queries, keys and values; with the content's five parts in place of three");
}

#[test]
fn both_pictures_at_once_give_what_each_gives_alone() {
    let pairs = |pairs| Memory { pairs: Some(pairs), ..Memory::default() };
    for params in [
        params(Preset::Diffusers, STEPS),
        Params { vae_sample: Some(5), ..params(Preset::Ldm, STEPS) },
        Params { content_share: 0.5, ..params(Preset::Diffusers, STEPS) },
    ] {
        let (apart, bytes) = latents(&mut session(pairs(false), device::cpu()), &params);
        let (together, same) = latents(&mut session(pairs(true), device::cpu()), &params);
        assert_close("together", &together, &apart, 1e-6);
        assert_eq!(bytes, same);
    }
}

#[test]
fn pictures_inverted_together_are_kept_apart() {
    let golden = golden();
    let mut session = session(Memory { pairs: Some(true), ..Memory::default() }, device::cpu());
    let params = params(Preset::Diffusers, STEPS);
    let (first, reports) = run(&mut session, &golden, &params).expect("a run");
    let steps = |reports: &[_]| {
        [Phase::InvertBoth, Phase::InvertContent, Phase::InvertStyle, Phase::Stylize]
            .map(|phase| steps_of(reports, phase))
    };
    assert_eq!(steps(&reports), [STEPS, 0, 0, STEPS]);
    let (content, style) = (golden.picture("content_u8"), golden.picture("style_u8"));
    let mirrored = image::imageops::flip_horizontal(&style);
    let (_, reports) = run_pictures(&mut session, &content, &mirrored, &params).expect("a run");
    assert_eq!(steps(&reports), [0, 0, STEPS, STEPS]);
    let (again, reports) = run(&mut session, &golden, &params).expect("a run");
    assert_eq!(steps(&reports), [0, 0, STEPS, STEPS]);
    assert!(again.iter().zip(first.iter()).all(|(a, b)| a.abs_diff(*b) <= 1), "kept or new, the result is the same");

    // Pictures of different sizes cannot be inverted as one batch.
    let other = image::imageops::crop_imm(&style, 0, 0, 48, 64).to_image();
    let both_new = image::imageops::flip_vertical(&content);
    let (_, reports) = run_pictures(&mut session, &both_new, &other, &params).expect("a run");
    assert_eq!(steps(&reports), [0, STEPS, STEPS, STEPS]);
}

#[test]
fn a_style_of_which_nothing_is_used_is_not_inverted() {
    let golden = golden();
    let mut session = session(Memory { pairs: Some(true), ..Memory::default() }, device::cpu());
    let neither = Params { init_adain: false, attn_injection: false, ..params(Preset::Diffusers, STEPS) };
    let calls = |reports: &[_]| {
        [Phase::EncodeStyle, Phase::InvertBoth, Phase::InvertStyle, Phase::InvertContent, Phase::Stylize]
            .map(|phase| steps_of(reports, phase))
    };
    let (_, reports) = run(&mut session, &golden, &neither).expect("a run");
    assert_eq!(calls(&reports), [0, 0, 0, STEPS, STEPS]);
    let no_layers = Params { init_adain: false, layers: Some(Vec::new()), ..params(Preset::Diffusers, STEPS) };
    let (_, reports) = run(&mut session, &golden, &no_layers).expect("a run");
    assert_eq!(calls(&reports), [0, 0, 0, 0, STEPS]);
    let statistics = Params { init_adain: true, ..neither };
    let (_, reports) = run(&mut session, &golden, &statistics).expect("a run");
    assert_eq!(calls(&reports), [1, 0, STEPS, 0, STEPS]);
}

#[test]
fn a_gpu_computes_the_same_within_any_budget() {
    let Some((gpu, _)) = gpu() else { return };
    let _chosen = Chosen::new(Kernels::Software);
    let params = params(Preset::Diffusers, STEPS);
    let (reference, _) = latents(&mut session(Memory::default(), device::cpu()), &params);
    let exact = Memory { exact_features: true, pairs: Some(false), ..Memory::default() };
    // All features are in main memory, and the VAE computes in bands of a few rows.
    let tight = Memory { budget: Some(2 << 20), pairs: Some(false), exact_features: false };
    let mut compared = Vec::new();
    for (name, memory) in [
        ("exact", exact),
        ("exact, spilled", Memory { budget: Some(2 << 20), ..exact }),
        ("halves", Memory { pairs: Some(false), ..Memory::default() }),
        ("halves, spilled", tight),
        ("halves, spilled, in bands", tight),
        ("both at once", Memory { pairs: Some(true), ..Memory::default() }),
    ] {
        memory::begin();
        let mut session = session(memory, gpu.clone());
        if name != "halves, spilled, in bands" {
            // Without bands the sums are taken in the same order, so that only the feature bank differs.
            session.pipeline.model.vae.band_bytes = usize::MAX;
        }
        let (ours, (held, main)) = latents(&mut session, &params);
        let peak = memory::peak().expect("the GPU is watched");
        eprintln!("{name}: features {held} + {main}, peak {peak:?}");
        assert!(peak.in_use > held && peak.reserved >= peak.in_use, "{peak:?}");
        assert_eq!(main > 0, name.contains("spilled"), "{name}: {held} + {main}");
        assert_close(name, &ours, &reference, 1e-3);
        compared.push((ours, held + main));
    }
    assert!(compared[1].0 == compared[0].0, "spilled or not, exact features are the same bits");
    assert!(compared[3].0 == compared[2].0, "spilled or not, halves are the same bits");
    assert_eq!(compared[0].1, 2 * compared[2].1, "halves take half");
    assert!(compared[0].0[2] != compared[2].0[2], "halves are not exact");
}
