//! Many results in one run of the command line: what is inverted how often, what is made again, how runs share the work.

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

/// The arguments of a quick run of every photo in `scratch` in every painting.
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

/// Every file below `folder` with its bytes.
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
    // The painting is an argument of its own, since flags of styles add up.
    let at = single.iter().position(|flag| *flag == "--style").expect("the flag") + 1;
    single[at] = text(&painting);
    assert!(styleid(&single).status.success());
    assert!(std::fs::read(&alone).expect("a result") == all["photos1_in_paintings2.png"]);

    // Without room for more than the pictures in hand it is more work for the same results, and with a folder it is less again.
    let said = made(&scratch, "tight", &["--keep-memory", "0"]);
    assert!(!said.contains("inversions: 7,"), "{said}");
    assert!(files(&scratch.path("tight")) == all);
    let kept = scratch.path("kept");
    let folder = ["--keep-memory", "0", "--keep-inversions", text(&kept)];
    has(&made(&scratch, "first", &folder), &["inversions: 7, reverse passes: 12"]);
    has(&made(&scratch, "second", &folder), &["inversions: 0, reverse passes: 12"]);
    assert!(files(&scratch.path("first")) == all && files(&scratch.path("second")) == all);
    // A run of one result uses it, too.
    let one = styleid(&[&single[..], &folder].concat());
    assert!(one.status.success());
    has(&String::from_utf8_lossy(&one.stdout), &["UNet evaluations: 1\n"]);
    assert!(std::fs::read(&alone).expect("a result") == all["photos1_in_paintings2.png"]);
    // The folder keeps within its bytes, and a file in it that is damaged is made anew.
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

    // One that is gone, one that is cut off, and one that is another picture.
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
    // Another painting of the same name.
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

/// GNU parallel's own program; others of that name do not know what it is asked.
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
