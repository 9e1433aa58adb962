//! Curves, several styles, masks and damping: which results must stay the same to the bit, and what must not be
//! computed again.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use image::imageops::flip_horizontal;
use image::{GrayImage, Luma, RgbImage};
use styleid::memory::Memory;
use styleid::ops::Kernels;
use styleid::picture::Mask;
use styleid::platform::silent;
use styleid::styleid::Blend;
use styleid::styleid::curve::{Curve, Shape};
use styleid::weights::{Origin, WeightType};
use styleid::{Error, Params, Phase, Preset, Session, Style, device};

use crate::golden::{Golden, distance, fixture};
use crate::support::{Chosen, gpu, params, run_styles, session, session_within, steps_of};

const STEPS: usize = 2;

/// Tolerance relative to the largest value (at least 1), for the same sums in f64 in another order.
const NOISE: f32 = 1e-5;

/// A photo and two paintings, all of one size.
struct Pictures {
    photo: RgbImage,
    a: RgbImage,
    b: RgbImage,
}

impl Pictures {
    fn new() -> Self {
        let golden = Golden::load("micro15.diffusers.n20");
        let (photo, a) = (golden.picture("content_u8"), golden.picture("style_u8"));
        let mut b = flip_horizontal(&photo);
        image::imageops::invert(&mut b);
        Self { photo, a, b }
    }
}

fn base() -> Params {
    params(Preset::Diffusers, STEPS)
}

/// The initial latents, those to decode and those after each step, in this order, and the number of UNet evaluations.
fn latents(session: &mut Session, photo: &RgbImage, styles: &[Style], params: &Params) -> (Vec<f32>, usize) {
    let outcome = pollster::block_on(session.run(photo, styles, params, &silent())).expect("a run");
    let all = [outcome.stylized.initial.clone(), outcome.stylized.latents.clone()];
    let all = all.into_iter().chain(outcome.stylized.previous.iter().cloned());
    (all.flat_map(|x: Tensor<4>| x.to_data().iter::<f32>().collect::<Vec<_>>()).collect(), outcome.unet_calls)
}

fn close(name: &str, ours: &[f32], others: &[f32], tolerance: f32) {
    let scale = others.iter().fold(1f32, |max, x| max.max(x.abs()));
    let worst = distance(name, ours, others);
    assert!(worst <= tolerance * scale, "{name}: {worst:e} off, more than {tolerance:e} of {scale}");
}

fn weighed(picture: &RgbImage, weight: f32) -> Style<'_> {
    Style { weight, ..Style::alone(picture) }
}

fn mask(is_white: impl Fn(u32) -> bool) -> Mask {
    Mask::new(GrayImage::from_fn(16, 16, |x, _| Luma([if is_white(x) { 255 } else { 0 }])))
}

#[test]
fn a_curve_that_goes_nowhere_is_the_constant() {
    let Pictures { photo, a, .. } = Pictures::new();
    let mut session = session("micro15", device::cpu());
    let mut run = |params: &Params| latents(&mut session, &photo, &[Style::alone(&a)], params).0;
    let constant = run(&base());
    let curve = |curve, end| Some(Curve { curve, end });
    let by_layer = |gamma| Some((7..=11).map(|layer| (layer, gamma)).collect::<BTreeMap<_, _>>());
    for same in [
        Params { gamma_curve: curve(Shape::Constant, 0.1), ..base() },
        Params { gamma_curve: curve(Shape::Cosine, 0.75), ..base() },
        Params { temperature_curve: curve(Shape::Constant, 9.0), ..base() },
        Params { temperature_curve: curve(Shape::Exponential, 1.5), ..base() },
        Params { gamma: 0.1, gamma_by_layer: by_layer(0.75), ..base() },
    ] {
        assert!(run(&same) == constant, "{same:?}");
    }
    let count = constant.len() / (2 + STEPS);
    for other in [
        Params { gamma_curve: curve(Shape::Linear, 0.1), ..base() },
        Params { temperature_curve: curve(Shape::Sqrt, 0.5), ..base() },
    ] {
        let ours = run(&other);
        let at = |values: &[f32], i: usize| values[i * count..(i + 1) * count].to_vec();
        assert!(at(&ours, 2) == at(&constant, 2), "the first step has the start: {other:?}");
        assert!(at(&ours, 3) != at(&constant, 3), "the last step has the end: {other:?}");
    }
    assert!(run(&Params { gamma_by_layer: Some(BTreeMap::from([(9, 0.1)])), ..base() }) != constant);
    // A run of one step has only the start of a curve.
    let one = |params: Params| Params { steps: Some(1), ..params };
    assert!(run(&one(Params { gamma_curve: curve(Shape::Linear, 0.1), ..base() })) == run(&one(base())));
}

#[test]
fn one_style_is_no_blending() {
    let Pictures { photo, a, b } = Pictures::new();
    let mut session = session("micro15", device::cpu());
    let mut run = |styles: &[Style], blend| latents(&mut session, &photo, styles, &Params { blend, ..base() }).0;
    let alone = run(&[Style::alone(&a)], Blend::Together);
    let ones = mask(|_| true);
    let zeros = mask(|_| false);
    for blend in [Blend::Together, Blend::Average] {
        assert!(run(&[weighed(&a, 1.0)], blend) == alone);
        assert!(run(&[weighed(&a, 0.37)], blend) == alone, "one style's weight is all");
        assert!(run(&[Style { mask: Some(&ones), ..weighed(&a, 5.0) }], blend) == alone, "all ones is no mask");
        assert!(run(&[weighed(&a, 1.0), weighed(&b, 0.0)], blend) == alone, "a weight of 0 is no style");
        let nowhere = Style { mask: Some(&zeros), ..weighed(&b, 1.0) };
        assert!(run(&[nowhere, weighed(&a, 1.0)], blend) == alone, "a style of an empty mask is none");
        close("almost no weight", &run(&[weighed(&a, 1.0), weighed(&b, 1e-12)], blend), &alone, NOISE);
        close("the same twice", &run(&[weighed(&a, 0.3), weighed(&a, 0.7)], blend), &alone, NOISE);
        let (both, swapped) =
            (run(&[weighed(&a, 1.0), weighed(&b, 3.0)], blend), run(&[weighed(&b, 0.75), weighed(&a, 0.25)], blend));
        close("in any order", &both, &swapped, NOISE);
        let far = distance("two styles", &both, &alone);
        assert!(far > 1e-2, "a second style changes the result: {far:e}");
        let masked = [Style { mask: Some(&ones), ..weighed(&a, 1.0) }, Style { mask: Some(&ones), ..weighed(&b, 3.0) }];
        assert!(run(&masked, blend) == both, "all ones are no masks");
    }
    let styles = [weighed(&a, 1.0), weighed(&b, 1.0)];
    assert!(run(&styles, Blend::Together) != run(&styles, Blend::Average));
}

#[test]
fn masks_part_the_photo() {
    let Pictures { photo, a, b } = Pictures::new();
    let mut session = session("micro15", device::cpu());
    let (left, right, none) = (mask(|x| x < 7), mask(|x| x >= 7), mask(|_| false));
    let of = |picture, mask| Style { mask: Some(mask), ..weighed(picture, 1.0) };
    let alone = latents(&mut session, &photo, &[Style::alone(&a)], &base()).0;
    let halves = latents(&mut session, &photo, &[of(&a, &left), of(&a, &right)], &base()).0;
    close("the same style in both halves", &halves, &alone, NOISE);
    let weights = [Style { weight: 9.0, ..of(&a, &left) }, of(&b, &right)];
    let apart = [of(&a, &left), of(&b, &right)];
    // 64 pixels are 8 latents. Masks that meet at 8/16 have no latent in common; masks that meet at 7/16 share the one
    // that the edge goes through.
    let even = (mask(|x| x < 8), mask(|x| x >= 8));
    let apart_evenly = [of(&a, &even.0), of(&b, &even.1)];
    let ours = latents(&mut session, &photo, &apart, &base()).0;
    assert!(ours != latents(&mut session, &photo, &weights, &base()).0);
    assert!(ours != latents(&mut session, &photo, &apart_evenly, &base()).0);

    let neither = Params { init_adain: false, attn_injection: false, ..base() };
    let plain = latents(&mut session, &photo, &[Style::alone(&a)], &neither).0;
    let (empty, calls) = latents(&mut session, &photo, &[of(&a, &none), of(&b, &none)], &base());
    assert!(empty == plain, "empty masks are no AdaIN and no injection");
    assert_eq!(calls, STEPS);
    let part = latents(&mut session, &photo, &[of(&a, &left)], &base()).0;
    // The noise that the pass starts from takes the style's statistics in the left half only.
    let size = session.pipeline.model.info.factor;
    let (width, height) = (photo.width() as usize / size, photo.height() as usize / size);
    for (i, (ours, (styled, plain))) in part.iter().zip(alone.iter().zip(&plain)).take(4 * width * height).enumerate() {
        let x = i % width;
        let covered = x as f32 / width as f32;
        match covered {
            _ if covered + 1.0 / width as f32 <= 7.0 / 16.0 - 0.1 => assert_eq!(ours, styled, "at column {x}"),
            _ if covered >= 7.0 / 16.0 + 0.1 => assert_eq!(ours, plain, "at column {x}"),
            _ => (),
        }
    }
    assert!(part != alone && part != plain);
}

#[test]
fn damping_starts_elsewhere() {
    let Pictures { photo, a, .. } = Pictures::new();
    let mut session = session("micro15", device::cpu());
    let mut run = |damping| latents(&mut session, &photo, &[Style::alone(&a)], &Params { damping, ..base() });
    let (undamped, _) = run(1.0);
    let (damped, calls) = run(0.7);
    assert_eq!(calls, STEPS, "nothing is inverted again");
    assert!(damped != undamped);
}

#[test]
fn only_what_is_new_is_inverted_and_all_is_counted() {
    let Pictures { photo, a, b } = Pictures::new();
    let mut session = session("micro15", device::cpu());
    let twenty = params(Preset::Diffusers, 20);
    assert_eq!(latents(&mut session, &photo, &[Style::alone(&a)], &twenty).1, 60);
    assert_eq!(latents(&mut session, &photo, &[Style::alone(&a)], &Params { gamma: 0.3, ..twenty }).1, 20);

    let mut run = |styles: &[Style], params: &Params| {
        let (reports, calls) = run_styles(&mut session, &photo, styles, params)
            .map(|(_, reports, calls)| (reports, calls))
            .expect("a run");
        let steps = [Phase::EncodeStyle, Phase::InvertStyle, Phase::InvertContent, Phase::Stylize]
            .map(|phase| steps_of(&reports, phase));
        (steps, calls)
    };
    assert_eq!(run(&[Style::alone(&a)], &base()), ([1, STEPS, STEPS, STEPS], 3 * STEPS));
    let both = [weighed(&b, 1.0), weighed(&a, 2.0)];
    assert_eq!(run(&both, &base()), ([1, STEPS, 0, STEPS], 2 * STEPS), "only the second style is new");
    let half = mask(|x| x < 8);
    let masked = [Style { mask: Some(&half), ..weighed(&a, 1.0) }, weighed(&b, 0.2)];
    let others = Params {
        gamma: 0.5,
        gamma_curve: Some(Curve { curve: Shape::Cosine, end: 0.25 }),
        gamma_by_layer: Some(BTreeMap::from([(8, 0.1)])),
        temperature: 1.2,
        temperature_curve: Some(Curve { curve: Shape::Linear, end: 2.0 }),
        damping: 0.7,
        keep_colours: true,
        ..base()
    };
    assert_eq!(run(&masked, &others), ([0, 0, 0, STEPS], STEPS), "in another order, with all else changed");
    assert_eq!(run(&both, &Params { blend: Blend::Average, ..base() }), ([0, 0, 0, STEPS], STEPS));
    assert_eq!(run(&[weighed(&a, 1.0), weighed(&a, 2.0)], &base()), ([0, 0, 0, STEPS], STEPS));
    assert_eq!(run(&both, &base()), ([1, STEPS, 0, STEPS], 2 * STEPS), "what was not in the last run is gone");
}

#[test]
fn several_styles_are_one_phase_and_one_of_them_makes_a_batch() {
    let Pictures { photo, a, b } = Pictures::new();
    let small = image::imageops::crop_imm(&b, 0, 0, 48, 64).to_image();
    let origin = Origin::local(&fixture("models/micro15"), None).expect("a folder");
    let within = |pairs| {
        let memory = Memory { pairs: Some(pairs), ..Memory::default() };
        session_within(&origin, device::cpu(), WeightType::Exact, memory)
    };
    let styles = [weighed(&small, 1.0), weighed(&a, 1.0), weighed(&b, 1.0)];
    let mut results = Vec::new();
    for (pairs, phase, turns) in [(false, Phase::InvertStyle, 3), (true, Phase::InvertStyle, 2)] {
        let (image, reports, calls) = run_styles(&mut within(pairs), &photo, &styles, &base()).expect("a run");
        let steps: Vec<_> =
            reports.iter().filter(|report| report.phase == phase).map(|report| (report.step, report.steps)).collect();
        let all = (turns * STEPS) as u64;
        assert_eq!(steps, (0..=all).map(|step| (step, all)).collect::<Vec<_>>());
        assert_eq!(steps_of(&reports, Phase::InvertBoth), if pairs { STEPS } else { 0 });
        assert_eq!(calls, 5 * STEPS);
        results.push(image);
    }
    assert!(results[0].iter().zip(results[1].iter()).all(|(a, b)| a.abs_diff(*b) <= 1));
}

#[test]
fn a_style_of_another_size_has_its_share() {
    let Pictures { photo, a, .. } = Pictures::new();
    let mut session = session("micro15", device::cpu());
    let tiled = RgbImage::from_fn(2 * a.width(), a.height(), |x, y| *a.get_pixel(x % a.width(), y));
    let mut run = |styles: &[Style], blend| {
        pollster::block_on(session.run(&photo, styles, &Params { blend, ..base() }, &silent()))
            .map(|outcome| outcome.image)
    };
    let both = [weighed(&a, 1.0), weighed(&tiled, 1.0)];
    run(&both, Blend::Together).expect("styles of any sizes go together");
    let error = run(&both, Blend::Average).expect_err("sizes differ");
    assert!(matches!(&error, Error::Settings(said) if said.contains("one size")), "{error}");
    let error = run(&[Style::alone(&a); 5], Blend::Together).expect_err("too many");
    assert!(error.to_string().contains("1 to 4 styles, not 5"), "{error}");
}

#[test]
fn two_styles_in_main_memory_are_the_same() {
    let Pictures { photo, a, b } = Pictures::new();
    let origin = Origin::local(&fixture("models/micro15"), None).expect("a folder");
    let left = mask(|x| x < 8);
    let styles = [Style { mask: Some(&left), ..weighed(&a, 1.0) }, weighed(&b, 3.0)];
    let run = |budget| {
        let memory = Memory { budget, ..Memory::default() };
        let mut session = session_within(&origin, device::cpu(), WeightType::Exact, memory);
        latents(&mut session, &photo, &styles[..1], &base());
        latents(&mut session, &photo, &styles, &base()).0
    };
    assert!(run(Some(1)) == run(None));
}

#[test]
fn a_content_s_share_is_that_of_a_style_which_is_the_photo() {
    let Pictures { photo, a, b } = Pictures::new();
    let mut session = session("micro15", device::cpu());
    let small = image::imageops::crop_imm(&a, 0, 0, 48, 64).to_image();
    // No AdaIN, because the photo as a style would also give the statistics of its noise.
    let base = Params { init_adain: false, ..base() };
    let mut run = |styles: &[Style], content_share, blend| {
        latents(&mut session, &photo, styles, &Params { content_share, blend, ..base.clone() }).0
    };
    for style in [&a, &small] {
        for share in [0.135, 1.0] {
            let ours = run(&[Style::alone(style)], share, Blend::Together);
            let others = run(&[weighed(style, 1.0), weighed(&photo, share)], 0.0, Blend::Together);
            close("the photo as a style", &ours, &others, NOISE);
            assert!(run(&[Style::alone(style)], share, Blend::Average) == ours, "one style has no mean");
        }
    }
    let four = [weighed(&a, 1.0), weighed(&b, 1.0), weighed(&a, 2.0), weighed(&small, 4.0)];
    let three = [weighed(&a, 3.0), weighed(&b, 1.0), weighed(&small, 4.0)];
    let beside = [weighed(&a, 3.0), weighed(&b, 1.0), weighed(&small, 4.0), weighed(&photo, 3.0)];
    let ours = run(&four, 0.375, Blend::Together);
    close("four styles and the content", &ours, &run(&three, 0.375, Blend::Together), NOISE);
    close("three eighths of eight", &ours, &run(&beside, 0.0, Blend::Together), NOISE);
    let twice = run(&[weighed(&a, 1.0), weighed(&a, 3.0)], 0.37, Blend::Average);
    close("a mean of one style", &twice, &run(&[Style::alone(&a)], 0.37, Blend::Average), NOISE);
    let halves = [mask(|x| x < 7), mask(|x| x >= 7)].map(Some);
    let parted = [0, 1].map(|i| Style { mask: halves[i].as_ref(), ..weighed(&a, [1.0, 5.0][i]) });
    close("the same in both halves", &run(&parted, 0.37, Blend::Together), &twice, NOISE);
}

/// Two styles, one of another size, with masks that leave some of the photo out.
fn masked(device: Device, params: &Params) -> Vec<f32> {
    let Pictures { photo, a, b } = Pictures::new();
    let small = image::imageops::crop_imm(&b, 0, 0, 48, 64).to_image();
    let (left, middle) = (mask(|x| x < 6), mask(|x| (4..12).contains(&x)));
    let styles =
        [Style { mask: Some(&left), ..weighed(&a, 1.0) }, Style { mask: Some(&middle), ..weighed(&small, 3.0) }];
    latents(&mut session("micro15", device), &photo, &styles, params).0
}

#[test]
fn a_gpu_blends_the_same() {
    let Some((gpu, _)) = gpu() else { return };
    let params = Params { gamma_curve: Some(Curve { curve: Shape::Cosine, end: 0.375 }), damping: 0.7, ..base() };
    for params in [params.clone(), Params { content_share: 0.37, ..params }] {
        let reference = masked(device::cpu(), &params);
        for kernels in [Kernels::Software, Kernels::Hardware] {
            let _chosen = Chosen::new(kernels);
            close(&format!("{kernels:?}"), &masked(gpu.clone(), &params), &reference, 1e-3);
        }
    }
}
