//! Many results in one run of the command line: how often pictures are inverted, which results are made again, and how
//! several runs share the work.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use image::imageops;
use serde_json::Value;

use crate::cli::{failure, program, styleid, text};
use crate::golden::{Golden, fixture};
use crate::support::Scratch;

/// Folders `photos` with three pictures and `paintings` with four.
pub fn folders() -> Scratch {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = Scratch::new();
    for (folder, name, count) in [("photos", "content_u8", 3), ("paintings", "style_u8", 4)] {
        std::fs::create_dir(scratch.path(folder)).expect("a folder");
        let picture = golden.picture(name);
        for i in 0..count {
            let turned = [picture.clone(), imageops::rotate90(&picture), imageops::rotate180(&picture)];
            let picture = turned.get(i).cloned().unwrap_or_else(|| imageops::flip_horizontal(&picture));
            picture.save(scratch.path(&format!("{folder}/{folder}{i}.png"))).expect("a picture");
        }
    }
    scratch
}

/// The arguments of a quick run that repaints every photo in `scratch` in the style of every painting.
pub fn arguments(scratch: &Scratch, out: &str, more: &[&str]) -> Vec<String> {
    let [photos, paintings, out] = ["photos", "paintings", out].map(|name| scratch.path(name));
    let model = fixture("models/micro15");
    let base = ["stylize", "--model", text(&model), "--content", text(&photos), "--style", text(&paintings)];
    let own = ["--out", text(&out), "--steps", "1", "--size", "64", "--stats"];
    [&base[..], &own, more].concat().iter().map(ToString::to_string).collect()
}

pub fn run(scratch: &Scratch, out: &str, more: &[&str]) -> Output {
    let arguments = arguments(scratch, out, more);
    styleid(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Standard output of a run that must succeed.
pub fn made(scratch: &Scratch, out: &str, more: &[&str]) -> String {
    let output = run(scratch, out, more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The bytes of every file in `folder`, by file name.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        found.insert(name, std::fs::read(entry.path()).expect("a file"));
    }
    found
}

fn has(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part} in: {said}");
    }
}

#[test]
fn twelve_results_take_seven_inversions_and_are_those_of_twelve_runs() {
    let scratch = folders();
    let said = made(&scratch, "out", &[]);
    has(&said, &["12 results made, 0 were there already", "UNet evaluations: 19"]);
    has(&said, &["inversions: 7, reverse passes: 12"]);
    let all = files(&scratch.path("out"));
    assert_eq!(all.len(), 12);

    // A run of one pair writes the same bytes.
    let [photo, painting, alone] =
        ["photos/photos1.png", "paintings/paintings2.png", "alone.png"].map(|name| scratch.path(name));
    let base = arguments(&scratch, "alone.png", &["--content", text(&photo)]);
    let mut single: Vec<&str> = base.iter().map(String::as_str).collect();
    // The value of --style is replaced, because a second --style would add a style.
    let at = single.iter().position(|flag| *flag == "--style").expect("the flag") + 1;
    single[at] = text(&painting);
    assert!(styleid(&single).status.success());
    assert!(std::fs::read(&alone).expect("a result") == all["photos1_in_paintings2.png"]);

    // Without memory for inversions that are not in use, more inversions are made, for the same results. With a folder
    // for inversions, each is made only once.
    let said = made(&scratch, "tight", &["--keep-memory", "0"]);
    assert!(!said.contains("inversions: 7,"), "{said}");
    assert!(files(&scratch.path("tight")) == all);
    let kept = scratch.path("kept");
    let folder = ["--keep-memory", "0", "--keep-inversions", text(&kept)];
    has(&made(&scratch, "first", &folder), &["inversions: 7, reverse passes: 12"]);
    has(&made(&scratch, "second", &folder), &["inversions: 0, reverse passes: 12"]);
    assert!(files(&scratch.path("first")) == all && files(&scratch.path("second")) == all);
    // A run of one result uses the folder, too.
    let one = styleid(&[&single[..], &folder].concat());
    assert!(one.status.success());
    has(&String::from_utf8_lossy(&one.stdout), &["UNet evaluations: 1\n"]);
    assert!(std::fs::read(&alone).expect("a result") == all["photos1_in_paintings2.png"]);
    // Damaged files in the folder are made again, and the folder stays within its limit of bytes.
    let bytes: Vec<usize> = files(&kept).values().map(Vec::len).collect();
    assert_eq!(bytes.len(), 7);
    for file in files(&kept).keys() {
        std::fs::write(kept.join(file), "damaged").expect("a file");
    }
    has(&made(&scratch, "third", &folder), &["inversions: 7, reverse passes: 12"]);
    assert!(files(&scratch.path("third")) == all);
    let limit = (bytes.iter().sum::<usize>() / 2).to_string();
    made(&scratch, "fourth", &[&folder[..], &["--gamma", "0.5", "--vae-sample", "1", "--keep-limit", &limit]].concat());
    let left: usize = files(&kept).values().map(Vec::len).sum();
    assert!(left > 0 && left <= limit.parse().expect("a number"), "{left} of {limit} bytes");
}

#[test]
fn a_run_that_is_repeated_makes_what_is_missing_or_was_made_otherwise() {
    let scratch = folders();
    made(&scratch, "out", &[]);
    let all = files(&scratch.path("out"));
    has(&made(&scratch, "out", &[]), &["0 results made, 12 were there already", "UNet evaluations: 0"]);

    // One result is missing, one is cut off, and one is another picture.
    let path = |name: &str| scratch.path("out").join(name);
    std::fs::remove_file(path("photos0_in_paintings0.png")).expect("removed");
    let cut = &all["photos1_in_paintings1.png"];
    std::fs::write(path("photos1_in_paintings1.png"), &cut[..cut.len() - 5]).expect("a file");
    std::fs::copy(scratch.path("photos/photos2.png"), path("photos2_in_paintings3.png")).expect("a copy");
    has(&made(&scratch, "out", &[]), &["3 results made, 9 were there already"]);
    assert!(files(&scratch.path("out")) == all);

    has(&made(&scratch, "out", &["--gamma", "0.5"]), &["12 results made, 0 were there already"]);
    has(&made(&scratch, "out", &["--gamma", "0.5"]), &["0 results made"]);
    assert!(files(&scratch.path("out")) != all);
    has(&made(&scratch, "out", &["--gamma", "0.5", "--weights", "f16"]), &["12 results made"]);
    // Another painting takes the name of an earlier one.
    std::fs::copy(scratch.path("photos/photos0.png"), scratch.path("paintings/paintings3.png")).expect("a copy");
    has(&made(&scratch, "out", &["--gamma", "0.5", "--weights", "f16"]), &["3 results made, 9 were there already"]);
}

#[test]
fn shares_make_the_same_bytes_and_eval_measures_them_together() {
    let scratch = folders();
    made(&scratch, "whole", &[]);
    for share in ["1/3", "2/3", "3/3"] {
        has(&made(&scratch, "shared", &["--shard", share]), &["4 results made, 0 were there already"]);
    }
    assert!(files(&scratch.path("shared")) == files(&scratch.path("whole")));

    let [photos, paintings, results] = ["photos", "paintings", "measured"].map(|name| scratch.path(name));
    let model = fixture("models/micro15");
    let folders = ["--content", text(&photos), "--style", text(&paintings), "--results", text(&results)];
    let base = [&["eval", "--model", text(&model), "--steps", "1", "--size", "64"][..], &folders].concat();
    for share in ["1/2", "2/2"] {
        let output = styleid(&[&base[..], &["--shard", share]].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains(&format!("the share {share} are there")), "{output:?}");
        let count = if share == "1/2" { 6 } else { 12 };
        assert_eq!(files(&results).len(), count);
    }
    let output = styleid(&[&base[..], &["--measure-only"]].concat());
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && table.lines().any(|line| line.starts_with("mean")), "{table}");
    let pixels = |folder: &str| {
        let open = |file: &String| image::open(scratch.path(folder).join(file)).expect("a picture").to_rgb8();
        files(&scratch.path(folder)).keys().map(open).collect::<Vec<_>>()
    };
    assert!(pixels("measured") == pixels("whole"));
}

/// Whether GNU parallel is installed. Other programs of that name do not print its name.
fn has_parallel() -> bool {
    let said = Command::new("parallel").arg("--version").output();
    said.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("GNU parallel"))
}

#[test]
fn gnu_parallel_runs_the_shares() {
    if !has_parallel() {
        eprintln!("skipped: there is no GNU parallel");
        return;
    }
    let scratch = folders();
    made(&scratch, "whole", &[]);
    let arguments = arguments(&scratch, "shared", &["--device", "cpu"]);
    let status = Command::new("parallel")
        .args(["-j", "2", env!("CARGO_BIN_EXE_styleid")])
        .args(&arguments)
        .args(["--shard", "{}/3", ":::", "1", "2", "3"])
        .status()
        .expect("parallel");
    assert!(status.success());
    assert!(files(&scratch.path("shared")) == files(&scratch.path("whole")));
}

#[test]
fn names_say_what_they_are_asked_to_and_flags_who_is_blended() {
    let scratch = folders();
    let (out, painting) = (scratch.path("{look}/{style}/{content}.png"), scratch.path("paintings/paintings1.png"));
    let named = ["--look", "gentle", "--steps", "2", "--out", text(&out)];
    let more = [&named[..], &["--style", text(&painting)]].concat();
    // A folder beside another style cannot be blended.
    let said = String::from_utf8_lossy(&run(&scratch, "out", &more).stderr).into_owned();
    has(&said, &["each must name one file"]);
    made(&scratch, "out", &named);
    assert!(scratch.path("gentle/paintings3/photos2.png").exists());

    // One flag with several files makes a result in each, in the shell's own order; a pattern does the same.
    let [photos, a, b] =
        ["photos/*[02].png", "paintings/paintings0.png", "paintings/paintings1.png"].map(|name| scratch.path(name));
    let (model, few) = (fixture("models/micro15"), scratch.path("few"));
    let base = [
        "stylize",
        "--model",
        text(&model),
        "--steps",
        "1",
        "--size",
        "64",
        "--content",
        text(&photos),
        "--out",
        text(&few),
    ];
    assert!(styleid(&[&base[..], &["--style", text(&a), text(&b)]].concat()).status.success());
    assert_eq!(files(&few).len(), 4);
    // Several flags are one blend for each photo.
    assert!(styleid(&[&base[..], &["--style", text(&a), "--style", text(&b)]].concat()).status.success());
    assert!(few.join("photos2_in_paintings0+paintings1.png").exists() && files(&few).len() == 6);

    let more = ["--style", text(&a), "--out"];
    for (out, part) in [
        ("one.png", "Several results do not go into one file"),
        ("{name}.png", "in braces there can be {content}, {style} and {look}"),
        ("x{style}.png", "would both become"),
        ("photos", "The results would lie among the pictures"),
    ] {
        let out = scratch.path(out);
        let said = failure(&[&base[..], &more[..], &[text(&out)]].concat());
        assert!(said.starts_with("error: ") && said.contains(part), "{said}");
    }
    let one = scratch.path("one.png");
    let single = ["stylize", "--model", text(&model), "--content", text(&a), "--style", text(&b), "--out", text(&one)];
    assert!(failure(&[&single[..], &["--shard", "1/2"]].concat()).contains("leave out --shard"));
}

#[test]
fn programs_are_told_in_json_and_pipes_take_pictures() {
    let scratch = folders();
    let said = made(&scratch, "out", &["--json-lines"]);
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    assert_eq!((of("started").len(), of("done").len(), of("failed").len()), (12, 12, 0));
    assert_eq!((&of("started")[11]["number"], &of("started")[11]["of"]), (&12.into(), &12.into()));
    assert!(of("done").iter().all(|event| event["made"] == true && event["seconds"].is_number()));
    let walked = |phase: &str| of("step").iter().filter(|event| event["phase"] == phase && event["step"] == 1).count();
    assert_eq!((walked("invert-content"), walked("invert-style"), walked("stylize")), (3, 4, 12));
    let again = made(&scratch, "out", &["--json-lines"]);
    assert_eq!(again.matches("\"made\":false").count(), 12);

    let (model, painting) = (fixture("models/micro15"), scratch.path("paintings/paintings0.png"));
    let photo = std::fs::File::open(scratch.path("photos/photos0.png")).expect("a photo");
    let flags = ["--steps", "1", "--size", "64", "--content", "-", "--out", "-"];
    let base = ["stylize", "--model", text(&model), "--style", text(&painting)];
    let output = program(&[&base[..], &flags].concat()).stdin(photo).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == files(&scratch.path("out"))["photos0_in_paintings0.png"]);
    assert!(failure(&[&base[..], &flags, &["--json-lines"]].concat()).contains("Standard input is one picture"));
}

/// The frames of a film in `scratch`, numbered so that their order is not the alphabet's, painted to `out`.
fn film(scratch: &Scratch, out: &str, more: &[&str]) -> Output {
    let frames = scratch.path("frames");
    if !frames.exists() {
        std::fs::create_dir(&frames).expect("a folder");
        for (name, photo) in [("8.png", 0), ("9.png", 1), ("10.png", 2)] {
            std::fs::copy(scratch.path(&format!("photos/photos{photo}.png")), frames.join(name)).expect("a copy");
        }
    }
    let (painting, model) = (scratch.path("paintings/paintings0.png"), fixture("models/micro15"));
    let base = ["stylize", "--content", text(&frames), "--style", text(&painting), "--model", text(&model)];
    let out = format!("{}/{{content}}.png", text(&scratch.path(out)));
    let own = ["--out", &out, "--steps", "2", "--size", "64", "--stats"];
    styleid(&[&base[..], &own, more].concat())
}

#[test]
fn a_film_s_frames_follow_the_frame_before_and_a_repeated_run_gives_the_same() {
    let scratch = folders();
    let made = |out: &str, more: &[&str]| {
        let output = film(&scratch, out, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (String::from_utf8(output.stdout).expect("text"), files(&scratch.path(out)))
    };
    let (_, apart) = made("apart", &[]);
    let (said, steady) = made("steady", &["--steady"]);
    has(&said, &["3 results made", "inversions: 4, reverse passes: 3"]);
    let pixels = |files: &BTreeMap<String, Vec<u8>>, name: &str| {
        image::load_from_memory(&files[name]).expect("a picture").into_rgb8().into_raw()
    };
    assert!(pixels(&steady, "8.png") == pixels(&apart, "8.png"), "nothing comes before the first frame");
    for later in ["9.png", "10.png"] {
        assert!(pixels(&steady, later) != pixels(&apart, later), "{later}");
    }
    assert!(made("steadier", &["--steady", "2"]).1["9.png"] != steady["9.png"], "the weight counts");

    // All is there; then the last frame is missing, for which the others have to be painted again.
    has(&made("steady", &["--steady"]).0, &["0 results made, 3 were there already", "reverse passes: 0"]);
    std::fs::remove_file(scratch.path("steady/10.png")).expect("removed");
    let (said, again) = made("steady", &["--steady"]);
    has(&said, &["1 results made, 2 were there already", "reverse passes: 3"]);
    assert!(again == steady);
    // The first frame is missing: those after it are there, and depend on nothing that changed.
    std::fs::remove_file(scratch.path("steady/8.png")).expect("removed");
    let (said, again) = made("steady", &["--steady"]);
    has(&said, &["1 results made, 2 were there already", "reverse passes: 1"]);
    assert!(again == steady);
    // Another frame changes all after it.
    std::fs::copy(scratch.path("photos/photos2.png"), scratch.path("frames/9.png")).expect("a copy");
    let (said, changed) = made("steady", &["--steady"]);
    has(&said, &["2 results made, 1 were there already"]);
    assert!(changed["8.png"] == steady["8.png"] && changed["10.png"] != steady["10.png"]);
    // A frame that cannot be read is left out, and the others are painted.
    std::fs::write(scratch.path("frames/9.png"), "no picture").expect("a file");
    let output = film(&scratch, "steady", &["--steady"]);
    assert_eq!(output.status.code(), Some(1));
    has(&String::from_utf8_lossy(&output.stderr), &["9.png"]);
    has(&String::from_utf8_lossy(&output.stdout), &["1 results made, 1 were there already"]);
}

#[test]
fn a_film_is_no_single_picture_and_is_not_shared_out() {
    let scratch = folders();
    let shared = film(&scratch, "out", &["--steady", "--shard", "1/2"]);
    assert!(!shared.status.success());
    has(&String::from_utf8_lossy(&shared.stderr), &["depend on each other"]);
    for wrong in ["0", "-1", "much"] {
        let said = film(&scratch, "out", &["--steady", wrong]);
        assert!(!said.status.success(), "{wrong}");
    }
    let arguments = arguments(&scratch, "one.png", &["--steady"]);
    let mut one: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [photo, painting] = ["photos/photos0.png", "paintings/paintings0.png"].map(|name| scratch.path(name));
    for (flag, file) in [("--content", &photo), ("--style", &painting)] {
        let at = one.iter().position(|given| *given == flag).expect("the flag") + 1;
        one[at] = text(file);
    }
    has(&failure(&one), &["is no film"]);
}
