//! Whole runs on the processor, compared with the reference: every tensor that a trace holds, at the tolerances of
//! `tests/fixtures/README.md`.

use burn::tensor::Tensor;
use styleid::platform::silent;
use styleid::{Params, Preset, Session, Style, device};

use crate::golden::{Golden, distance};
use crate::support::{params, session};

/// Absolute tolerances. The reference's own noise in f32 is a few times smaller, and every known mistake is several
/// times larger.
const LATENTS: f32 = 5e-4;
const IMAGE: f32 = 2e-4;

fn whole_run(model: &str, golden: &str, params: &Params) {
    whole_run_of(session(model, device::cpu()), golden, params);
}

pub fn whole_run_of(mut session: Session, golden: &str, params: &Params) {
    let golden = Golden::load(golden);
    let null_embedding = session.pipeline.model.null_embedding.clone();
    let (content, style) = (golden.picture("content_u8"), golden.picture("style_u8"));
    let outcome = pollster::block_on(session.run(&content, &[Style::alone(&style)], params, &silent())).expect("a run");
    let stack = |tensors: &[Tensor<4>]| Tensor::cat(tensors.to_vec(), 0);
    assert!(golden.distance("null_embedding", &null_embedding) <= LATENTS);
    assert_eq!(
        !outcome.styles.is_empty(),
        params.init_adain || params.attn_injection,
        "what is of no use is not inverted"
    );
    let style = outcome
        .styles
        .first()
        .map(|style| [("style_z0", style.latents().clone()), ("style_inv", stack(&style.trajectory))]);
    for (name, ours) in style.into_iter().flatten().chain([
        ("content_z0", outcome.content.latents().clone()),
        ("content_inv", stack(&outcome.content.trajectory)),
        ("adain", outcome.stylized.initial.clone()),
        ("rev_x0", stack(&outcome.stylized.x0)),
        ("rev_prev", stack(&outcome.stylized.previous)),
        ("final_latent", outcome.stylized.latents.clone()),
    ]) {
        // Trimmed goldens leave out the tensors that are not compared.
        if golden.has(name) {
            let worst = golden.distance(name, &ours);
            assert!(worst <= LATENTS, "{name} is {worst:e} off, more than {LATENTS:e}");
        }
    }
    let worst = distance("image", &outcome.pixels, &golden.values("image").1);
    assert!(worst <= IMAGE, "image is {worst:e} off, more than {IMAGE:e}");
    let expected = golden.picture("image_u8");
    assert_eq!(outcome.image.dimensions(), expected.dimensions());
    let worst = outcome.image.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(1), "image_u8 is {worst:?} off");
}

#[test]
fn diffusers_preset_on_1x() {
    whole_run("micro15", "micro15.diffusers.n20", &params(Preset::Diffusers, 20));
}

#[test]
fn diffusers_preset_on_2x() {
    whole_run("micro21b", "micro21b.diffusers.n4", &params(Preset::Diffusers, 4));
}

#[test]
fn diffusers_preset_with_v_prediction() {
    whole_run("micro21v", "micro21v.diffusers.n4", &params(Preset::Diffusers, 4));
}

#[test]
fn distilled_networks() {
    // The first has one resnet in each down block; the second also has three levels and no mid block.
    whole_run("micro15bk_base", "micro15bk_base.diffusers.n4", &params(Preset::Diffusers, 4));
    whole_run("micro15bk_tiny", "micro15bk_tiny.diffusers.n4", &params(Preset::Diffusers, 4));
}

#[test]
fn a_schedule_that_ends_in_nothing_but_noise() {
    whole_run("micro21vbk_tinyz", "micro21vbk_tinyz.diffusers.n4", &params(Preset::Diffusers, 4));
}

#[test]
fn fast_preset() {
    for model in ["micro15", "micro21b", "micro21v", "micro21vbk_tinyz"] {
        whole_run(model, &format!("{model}.fast.n10"), &params(Preset::Fast, 10));
    }
    whole_run("micro15", "micro15.fast.n6.rect", &params(Preset::Fast, 6));
}

#[test]
fn controls_of_the_noise_and_of_the_prediction() {
    let redraw = Params { redraw: 0.25, ..params(Preset::Diffusers, 4) };
    whole_run("micro21v", "micro21v.diffusers.n4.redraw", &redraw);
    let toned = Params { redraw: 0.25, tone: 0.6, ..params(Preset::Fast, 6) };
    whole_run("micro15", "micro15.fast.n6.rect.toned", &toned);
    whole_run("micro15", "micro15.fast.n6.rect.textured", &Params { texture: 0.7, ..toned });
    // All controls of the noise and of the prediction at once, on pictures of different sizes.
    let painted =
        Params { redraw: 0.5, redraw_band: 0.4, adain_strength: 0.75, style_scale: 1.5, ..params(Preset::Fast, 6) };
    whole_run("micro15", "micro15.fast.n6.rect.painted", &painted);
}

#[test]
fn the_content_s_own_keys_beside_the_style_s() {
    let shared = Params { content_share: 0.37, ..params(Preset::Fast, 4) };
    whole_run("micro15", "micro15.fast.n4.rect.shared", &shared);
}

#[test]
fn noise_levels_of_the_fast_preset_are_the_reference_s() {
    for model in ["micro15", "micro21vbk_tinyz"] {
        let golden = Golden::load(&format!("{model}.fast.n10"));
        let config = session(model, device::cpu()).pipeline.model.scheduler;
        let levels = styleid::diffusion::Levels::karras(&config, 10).expect("levels");
        for (name, of) in [
            ("sigmas", (|level| level.sigma) as fn(&styleid::diffusion::Level) -> f64),
            ("timesteps", |level| level.timestep),
        ] {
            let ours: Vec<f32> = levels.all().iter().rev().map(|level| of(level) as f32).collect();
            let worst = distance(name, &ours, &golden.values(name).1);
            assert!(worst <= 1e-3 * f32::from(name == "timesteps") + 1e-5, "{name} of {model} is {worst:e} off");
        }
    }
}

#[test]
fn ldm_preset() {
    whole_run("micro15", "micro15.ldm.n50", &params(Preset::Ldm, 50));
}

#[test]
fn content_and_style_of_different_sizes() {
    whole_run("micro15", "micro15.diffusers.n4.rect", &params(Preset::Diffusers, 4));
}

#[test]
fn sizes_that_do_not_divide() {
    whole_run("micro15", "micro15.ldm.n4.odd", &params(Preset::Ldm, 4));
}

#[test]
fn without_adain() {
    let params = Params { init_adain: false, ..params(Preset::Diffusers, 4) };
    whole_run("micro15", "micro15.diffusers.n4.noadain", &params);
}

#[test]
fn without_injection() {
    let params = Params { attn_injection: false, ..params(Preset::Diffusers, 4) };
    whole_run("micro15", "micro15.diffusers.n4.noinject", &params);
}

#[test]
fn without_either() {
    let params = Params { init_adain: false, attn_injection: false, ..params(Preset::Diffusers, 4) };
    whole_run("micro15", "micro15.diffusers.n4.noadain.noinject", &params);
}

#[test]
fn sampled_posterior_draws_the_reference_noise() {
    let params = Params { vae_sample: Some(22), ..params(Preset::Ldm, 4) };
    whole_run("micro15", "micro15.ldm.n4.sample", &params);
}

#[test]
fn the_schedule_is_the_reference_s_to_the_last_bits() {
    for (model, golden, preset, steps, tolerance) in [
        ("micro15", "micro15.diffusers.n20", Preset::Diffusers, 20, f32::EPSILON),
        ("micro15", "micro15.ldm.n50", Preset::Ldm, 50, f32::EPSILON),
        // Rescaled to zero terminal SNR: ᾱ is a product of a thousand ratios, each rounded to f32.
        ("micro21vbk_tinyz", "micro21vbk_tinyz.diffusers.n4", Preset::Diffusers, 4, 8.0 * f32::EPSILON),
    ] {
        let golden = Golden::load(golden);
        let config = session(model, device::cpu()).pipeline.model.scheduler;
        let schedule =
            styleid::diffusion::Schedule::new(&config, preset.grid().expect("it is DDIM"), steps).expect("a schedule");
        let worst = distance("alphas_cumprod", &schedule.alphas_cumprod, &golden.values("alphas_cumprod").1);
        assert!(worst <= tolerance, "alphas_cumprod of {model} is {worst:e} off");
        let timesteps: Vec<usize> = golden.values("timesteps").1.iter().rev().map(|&t| t as usize).collect();
        assert_eq!(schedule.timesteps, timesteps);
    }
}
