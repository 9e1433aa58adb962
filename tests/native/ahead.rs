//! Inversions made ahead of a run, by two sessions as two workers of the page do.

use std::cell::RefCell;

use styleid::platform::Here;
use styleid::styleid::ahead::{Lacks, Wanted};
use styleid::{Control, Params, Phase, Preset, Style, device};

use crate::golden::Golden;
use crate::support::{params, run, run_styles, session, steps_of};

const STEPS: usize = 2;

#[test]
fn what_another_session_inverted_makes_the_same_picture() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let (content, painting) = (golden.picture("content_u8"), golden.picture("style_u8"));
    let other = image::imageops::flip_horizontal(&painting);
    let styles = [Style::alone(&painting), Style::alone(&other)];
    for params in [
        params(Preset::Diffusers, STEPS),
        Params { content_share: 0.5, ..params(Preset::Diffusers, STEPS) },
        params(Preset::Fast, 3),
    ] {
        let mut alone = session("micro15", device::cpu());
        let (expected, _, calls) = run_styles(&mut alone, &content, &styles, &params).expect("a run");

        let [mut ours, theirs] = [(); 2].map(|()| session("micro15", device::cpu()));
        let wanted = Wanted { content: &content, styles: &styles, params: &params };
        let lacks = ours.lacks(wanted).expect("settings");
        assert_eq!(lacks, Lacks { content: true, styles: vec![0, 1] });
        let reports = RefCell::new(Vec::new());
        let report = |progress| reports.borrow_mut().push(progress);
        let control = Control::new(&Here, &report, &|| false);
        let own = pollster::block_on(ours.invert_content(wanted, &control)).expect("an inversion");
        let (files, given) =
            pollster::block_on(theirs.invert_styles(&lacks.styles, wanted, &control)).expect("inversions");
        for (number, file) in files.iter().enumerate() {
            ours.take_style(number, file, wanted).expect("a style");
        }
        assert_eq!(ours.lacks(wanted).expect("settings"), Lacks { content: false, styles: Vec::new() });
        let (image, reports, rest) = run_styles(&mut ours, &content, &styles, &params).expect("a run");
        assert_eq!(steps_of(&reports, Phase::InvertContent) + steps_of(&reports, Phase::InvertStyle), 0);
        assert_eq!(image, expected);
        assert_eq!(own + given + rest, calls);
    }
}

#[test]
fn what_cannot_be_used_is_made_again() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let (content, painting) = (golden.picture("content_u8"), golden.picture("style_u8"));
    let params = params(Preset::Diffusers, STEPS);
    let (expected, _) = run(&mut session("micro15", device::cpu()), &golden, &params).expect("a run");
    let mut ours = session("micro15", device::cpu());
    let styles = [Style::alone(&painting)];
    let wanted = Wanted { content: &content, styles: &styles, params: &params };
    let control = Control::new(&Here, &|_| (), &|| false);
    let (files, _) = pollster::block_on(session("micro15", device::cpu()).invert_styles(&[0], wanted, &control))
        .expect("an inversion");
    let cut = files[0].len() / 2;
    for (number, file) in [(0, &files[0][..cut]), (0, &[][..]), (7, &files[0])] {
        ours.take_style(number, file, wanted).expect("left out");
        assert_eq!(ours.lacks(wanted).expect("settings").styles, [0]);
    }
    let nothing = Params { init_adain: false, attn_injection: false, ..params.clone() };
    assert!(ours.lacks(Wanted { params: &nothing, ..wanted }).expect("settings").styles.is_empty());
    let (image, _) = run(&mut ours, &golden, &params).expect("a run");
    assert_eq!(image, expected);
}
