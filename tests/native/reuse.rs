//! What a session computes again and what it keeps, what cancels, and which settings are refused.

use std::cell::Cell;

use styleid::platform::Here;
use styleid::{Control, Error, Params, Phase, Preset, Style, device};

use crate::golden::Golden;
use crate::support::{params, run, run_pictures, session, steps_of};

const STEPS: usize = 2;

#[test]
fn another_style_inverts_only_the_style_and_another_gamma_nothing() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let mut session = session("micro15", device::cpu());
    let first = params(Preset::Diffusers, STEPS);
    let (image, reports) = run(&mut session, &golden, &first).expect("a run");
    assert_eq!(steps_of(&reports, Phase::InvertContent), STEPS);
    assert_eq!(steps_of(&reports, Phase::InvertStyle), STEPS);
    assert_eq!(steps_of(&reports, Phase::Stylize), STEPS);

    let gamma = Params { gamma: 0.3, temperature: 1.1, ..first.clone() };
    let (other, reports) = run(&mut session, &golden, &gamma).expect("a run");
    assert_ne!(image, other, "gamma and temperature change the result");
    assert_eq!(steps_of(&reports, Phase::InvertContent) + steps_of(&reports, Phase::InvertStyle), 0);

    let (content, style) = (golden.picture("content_u8"), golden.picture("style_u8"));
    let mirrored = image::imageops::flip_horizontal(&style);
    let (_, reports) = run_pictures(&mut session, &content, &mirrored, &first).expect("a run");
    assert_eq!(steps_of(&reports, Phase::InvertContent), 0);
    assert_eq!(steps_of(&reports, Phase::InvertStyle), STEPS);

    let (again, _) = run(&mut session, &golden, &first).expect("a run");
    assert_eq!(image, again, "what is kept gives the same result as what is new");
}

#[test]
fn layers_that_were_kept_serve_and_others_invert_again() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let mut session = session("micro15", device::cpu());
    let with = |layers: &[usize]| Params { layers: Some(layers.to_vec()), ..params(Preset::Diffusers, STEPS) };
    run(&mut session, &golden, &with(&[7, 8, 9])).expect("a run");
    let (_, reports) = run(&mut session, &golden, &with(&[8])).expect("a run");
    assert_eq!(steps_of(&reports, Phase::InvertContent), 0);
    let (_, reports) = run(&mut session, &golden, &with(&[8, 10])).expect("a run");
    assert_eq!(steps_of(&reports, Phase::InvertContent), STEPS);
    let more_steps = params(Preset::Diffusers, STEPS + 1);
    let (_, reports) = run(&mut session, &golden, &more_steps).expect("a run");
    assert_eq!(steps_of(&reports, Phase::InvertStyle), STEPS + 1);
}

#[test]
fn a_content_kept_with_its_keys_serves_without_and_not_the_other_way_round() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let mut session = session("micro15", device::cpu());
    let plain = params(Preset::Diffusers, STEPS);
    let shared = Params { content_share: 0.5, ..plain.clone() };
    let inverted = |reports: &[_]| [Phase::InvertContent, Phase::InvertStyle].map(|phase| steps_of(reports, phase));
    let (without, reports) = run(&mut session, &golden, &plain).expect("a run");
    assert_eq!(inverted(&reports), [STEPS, STEPS]);
    let (with, reports) = run(&mut session, &golden, &shared).expect("a run");
    assert_eq!(inverted(&reports), [STEPS, 0], "its keys and values are missing");
    assert_ne!(with, without, "they change the result");
    let (again, reports) = run(&mut session, &golden, &plain).expect("a run");
    assert_eq!(inverted(&reports), [0, 0]);
    assert_eq!(again, without, "and nothing where they have no share");
    let (again, reports) = run(&mut session, &golden, &Params { content_share: 0.25, ..plain.clone() }).expect("a run");
    assert_eq!(inverted(&reports), [0, 0], "what served without them still has them");
    assert!(again != with && again != without);
    let nothing_injected = Params { attn_injection: false, ..shared };
    run(&mut session, &golden, &nothing_injected).expect("a share of no injection is none");
}

#[test]
fn a_cancel_stops_between_blocks_and_the_next_run_works() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let mut session = session("micro15", device::cpu());
    let params = params(Preset::Diffusers, STEPS);
    let asked = Cell::new(0);
    let last = Cell::new(None);
    let on_progress = |progress| last.set(Some(progress));
    let cancelled = || {
        // Cancel in the middle of a UNet call of the style's inversion, not at the end of a step.
        asked.set(asked.get() + 1);
        asked.get() > 13
    };
    let control = Control::new(&Here, &on_progress, &cancelled);
    let (content, style) = (golden.picture("content_u8"), golden.picture("style_u8"));
    let result = pollster::block_on(session.run(&content, &[Style::alone(&style)], &params, &control));
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert_eq!(asked.get(), 14, "nothing runs on after the cancel");
    assert_eq!(last.get().map(|progress| progress.phase), Some(Phase::InvertStyle));
    run(&mut session, &golden, &params).expect("a cancelled run leaves the session whole");
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let mut session = session("micro15", device::cpu());
    let base = params(Preset::Diffusers, STEPS);
    for (params, part) in [
        (Params { gamma: 1.5, ..base.clone() }, "Gamma must be between 0 and 1"),
        (Params { gamma: f32::NAN, ..base.clone() }, "Gamma"),
        (Params { temperature: 0.0, ..base.clone() }, "Temperature must be above 0"),
        (Params { content_share: 1.5, ..base.clone() }, "The share of the content must be between 0 and 1"),
        (Params { steps: Some(0), ..base.clone() }, "Steps must be between"),
        (Params { steps: Some(5000), ..base.clone() }, "Steps must be between"),
        (Params { layers: Some(vec![2, 9]), ..base.clone() }, "no self-attention in decoder layer 2"),
    ] {
        let error = run(&mut session, &golden, &params).expect_err("out of range");
        assert_eq!(error.kind(), "settings");
        assert!(error.to_string().contains(part), "{error}");
    }
    let tiny = image::RgbImage::new(9, 200);
    let error = run_pictures(&mut session, &tiny, &golden.picture("style_u8"), &base).expect_err("too small");
    assert!(error.to_string().contains("9 × 200"), "{error}");
}
