//! `styleid eval` as a person uses it.

use std::path::PathBuf;

use image::RgbImage;
use serde_json::Value;
use styleid::styleid::Caption;

use crate::cli::{failure, styleid, text};
use crate::golden::{Golden, fixture};
use crate::support::Scratch;

/// Folders `contents` with two pictures and `styles` with one.
fn folders() -> Scratch {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = Scratch::new();
    let turned = image::imageops::rotate180(&golden.picture("content_u8"));
    for (name, picture) in [
        ("contents/a.png", golden.picture("content_u8")),
        ("contents/b, turned.png", turned),
        ("styles/s.png", golden.picture("style_u8")),
    ] {
        save(&scratch, name, &picture);
    }
    std::fs::write(scratch.path("contents/notes.txt"), "no picture").expect("a file");
    scratch
}

fn save(scratch: &Scratch, name: &str, picture: &RgbImage) {
    let path = scratch.path(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    picture.save(path).expect("a picture");
}

/// The arguments that name the folders of `scratch`.
fn arguments(scratch: &Scratch) -> Vec<String> {
    let mut arguments = vec!["eval".to_string()];
    for (flag, path) in [
        ("--model", fixture("models/micro15")),
        ("--content", scratch.path("contents")),
        ("--style", scratch.path("styles")),
    ] {
        arguments.extend([flag.to_string(), text(&path).to_string()]);
    }
    arguments
}

/// Runs `styleid eval` and returns what it prints. `more` names the folder of results.
fn evaluated_into(scratch: &Scratch, more: &[&str]) -> String {
    let arguments = arguments(scratch);
    let output = styleid(&[&arguments.iter().map(String::as_str).collect::<Vec<_>>()[..], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn evaluated(scratch: &Scratch, more: &[&str]) -> String {
    let results = scratch.path("results");
    evaluated_into(scratch, &[&["--results", text(&results)], more].concat())
}

fn refused(scratch: &Scratch, more: &[&str]) -> String {
    let (arguments, results) = (arguments(scratch), scratch.path("results"));
    let more = &[&["--results", text(&results)], more].concat();
    failure(&[&arguments.iter().map(String::as_str).collect::<Vec<_>>()[..], more].concat())
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn results_are_made_measured_and_laid_out() {
    let scratch = folders();
    let [csv, json, sheet] = ["out/table.csv", "out/figures.json", "out/sheet.png"].map(|name| scratch.path(name));
    let written: [(&str, &PathBuf); 3] = [("--csv", &csv), ("--json", &json), ("--sheet", &sheet)];
    let files: Vec<&str> = written.iter().flat_map(|(flag, path)| [*flag, text(path)]).collect();
    let settings = ["--steps", "2", "--layers", "7", "--size", "64"];
    let table = evaluated(&scratch, &[&settings[..], &files].concat());
    let results = ["a_in_s.png", "b, turned_in_s.png"].map(|name| scratch.path("results").join(name));
    let made = results.each_ref().map(|path| std::fs::read(path).expect("a result"));
    for path in &results {
        assert_eq!(image::open(path).expect("a picture").to_rgb8().dimensions(), (64, 64));
    }

    let figures: Value = serde_json::from_slice(&std::fs::read(&json).expect("figures")).expect("JSON");
    assert_eq!((&figures["settings"]["steps"], &figures["settings"]["size"]), (&2.into(), &64.into()));
    let rows = figures["results"].as_array().expect("results");
    assert_eq!(rows.iter().map(|row| row["content"].as_str()).collect::<Vec<_>>(), [Some("a"), Some("b, turned")]);
    for measure in ["lpips", "histogram", "style_distance"] {
        let [a, b] = [0, 1].map(|i| number(&rows[i][measure]));
        assert!(a > 0.0 && b > 0.0 && a != b, "{measure}: {a} and {b}");
        assert!((number(&figures["mean"][measure]) - (a + b) / 2.0).abs() < 1e-12, "{measure}");
    }
    assert_eq!(figures["mean"]["results"], 2);
    assert!(figures["mean"].get("cfsd").is_none() && figures["mean"].get("fid").is_none());

    // The table and the CSV file have the same figures as the JSON file.
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["LPIPS", "histogram", "style"]);
    for (line, (name, row)) in
        lines[1..].iter().zip([("a in s", &rows[0]), ("b, turned in s", &rows[1]), ("mean", &figures["mean"])])
    {
        let shown = ["lpips", "histogram", "style_distance"].map(|measure| format!("{:.4}", number(&row[measure])));
        assert!(line.starts_with(name), "{line}");
        assert_eq!(line[name.len()..].split_whitespace().collect::<Vec<_>>(), shown);
    }
    assert_eq!(lines[4], "FID and ArtFID need --inception, CFSD needs --vgg.");
    let csv = std::fs::read_to_string(&csv).expect("a table");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "content,style,lpips,histogram,style_distance,cfsd"));
    assert!(lines[1].starts_with("a,s,") && lines[2].starts_with("\"b, turned\",s,"), "{csv}");
    let lpips: f64 = lines[1].split(',').nth(2).expect("a field").parse().expect("a number");
    assert_eq!(lpips, number(&rows[0]["lpips"]));

    // Contents at the left, the style on top: three rows of two cells of 192 pixels with gaps of 4, the corner empty.
    let sheet = image::open(&sheet).expect("a sheet").to_rgb8();
    assert_eq!(sheet.dimensions(), (2 * 196 + 4, 3 * 196 + 4));
    let is_white =
        |[x, y]: [u32; 2]| image::imageops::crop_imm(&sheet, x, y, 192, 192).to_image().iter().all(|&byte| byte == 255);
    assert!(is_white([4, 4]));
    for cell in [[200, 4], [4, 200], [4, 396], [200, 200], [200, 396]] {
        assert!(!is_white(cell), "{cell:?}");
    }

    // Existing results are measured again but not made again. With --measure-only the flags of a run do not matter.
    assert_eq!(evaluated(&scratch, &["--measure-only"]), table);
    std::fs::remove_file(&results[1]).expect("a result");
    let before = std::fs::metadata(&results[0]).expect("a result").modified().expect("a time");
    assert_eq!(evaluated(&scratch, &settings), table);
    assert_eq!(std::fs::metadata(&results[0]).expect("a result").modified().expect("a time"), before);
    assert!(results.map(|path| std::fs::read(path).expect("a result")) == made);
}

#[test]
fn results_say_how_they_were_made_and_are_used_for_no_other_settings() {
    let scratch = folders();
    let json = scratch.path("figures.json");
    let figures = |more: &[&str]| -> Value {
        evaluated(&scratch, &[more, &["--size", "64", "--steps", "2", "--json", text(&json)]].concat());
        serde_json::from_slice(&std::fs::read(&json).expect("figures")).expect("JSON")
    };
    assert_eq!(figures(&["--gamma", "0.6"])["settings"]["gamma"], 0.6);
    let path = scratch.path("results/a_in_s.png");
    let made = std::fs::read(&path).expect("a result");
    let said = Caption::of_file(&made).expect("a caption");
    assert_eq!(
        (&said["options"]["gamma"], &said["options"]["steps"], &said["weights"]),
        (&0.6.into(), &2.into(), &"exact".into())
    );
    assert_eq!(figures(&["--gamma", "0.6"])["settings"]["gamma"], 0.6, "and once more, as it is");

    let others = ["--size", "64", "--steps", "2"];
    for (flags, what) in [
        (&["--gamma", "0.3"][..], "was made with gamma 0.6, not 0.3: name another folder with --results"),
        (&["--gamma", "0.6", "--weights", "q8"], r#"was made with weights "exact", not "q8""#),
    ] {
        let said = refused(&scratch, &[&others[..], flags].concat());
        assert!(said.contains(what) && said.contains("a_in_s.png"), "{said}");
    }
    assert!(figures(&["--gamma", "0.3", "--measure-only"]).get("settings").is_none(), "nobody looked");
    // A folder with another model's results is not completed.
    std::fs::remove_file(scratch.path("results/b, turned_in_s.png")).expect("a result");
    let (other, results) = (fixture("models/micro21b"), scratch.path("results"));
    let arguments: Vec<String> = arguments(&scratch).into_iter().filter(|word| word != "--model").collect();
    let arguments: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| !word.ends_with("models/micro15")).collect();
    let other = ["--model", text(&other), "--results", text(&results), "--gamma", "0.6"];
    let said = failure(&[&arguments[..], &others, &other].concat());
    assert!(said.contains("was made with model "), "{said}");
    assert_eq!(std::fs::read(&path).expect("a result"), made);

    // A picture made elsewhere does not say how it was made, so no settings are reported.
    save(&scratch, "results/a_in_s.png", &image::open(&path).expect("a picture").to_rgb8());
    assert!(figures(&["--gamma", "0.6"]).get("settings").is_none());
}

#[test]
fn settings_are_compared_in_one_run() {
    let scratch = folders();
    let [compare, json, csv, sheet] =
        ["compare.json", "out/figures.json", "out/table.csv", "out/sheet.png"].map(|name| scratch.path(name));
    let entries = r#"[
        {"name": "one layer", "settings": {"layers": [7]}},
        {"name": "γ = 0, all", "settings": {"gamma": 0}},
        {"name": "photos", "settings": null}
    ]"#;
    std::fs::write(&compare, entries).expect("a file");
    let files = ["--compare", text(&compare), "--json", text(&json), "--csv", text(&csv), "--sheet", text(&sheet)];
    let more = ["--steps", "2", "--size", "64"];
    let all = [&files[..], &more].concat();
    let said = refused(&scratch, &all);
    assert!(said.starts_with("error: 2 results are missing") && said.ends_with("or give it settings."), "{said}");
    for name in ["a", "b, turned"] {
        let path = scratch.path(&format!("contents/{name}.png"));
        let photo = image::open(path).expect("a picture").to_rgb8();
        let size = photo.dimensions().0.min(photo.dimensions().1);
        let square = image::imageops::crop_imm(&photo, 0, 0, size, size).to_image();
        save(&scratch, &format!("results/photos/{name}_in_s.png"), &square);
    }
    let table = evaluated(&scratch, &all);
    let names: Vec<&str> = table.lines().skip(1).take(3).filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(names, ["one layer", "γ = 0, all", "photos"], "{table}");

    // Each setting gives the same results as a run with this setting alone.
    for (folder, flags) in [("one layer", ["--layers", "7"]), ("γ = 0, all", ["--gamma", "0"])] {
        let alone = scratch.path(folder);
        let arguments = [&more[..], &flags, &["--results", text(&alone)]].concat();
        let own = evaluated_into(&scratch, &arguments);
        for name in ["a_in_s.png", "b, turned_in_s.png"] {
            let [ours, theirs] = [scratch.path("results").join(folder), alone.clone()]
                .map(|folder| image::open(folder.join(name)).expect("a result").to_rgb8());
            assert_eq!(ours, theirs, "{folder}/{name}");
        }
        let mean = own.lines().find(|line| line.starts_with("mean")).expect("means");
        let line = table.lines().find(|line| line.starts_with(folder)).expect("a line");
        let numbers = |line: &str| line.split_whitespace().rev().take(3).map(String::from).collect::<Vec<_>>();
        assert_eq!(numbers(mean), numbers(line));
    }

    let figures: Value = serde_json::from_slice(&std::fs::read(&json).expect("figures")).expect("JSON");
    assert_eq!(figures[1]["settings"]["gamma"], 0.0);
    assert_eq!((&figures[0]["settings"]["steps"], &figures[0]["settings"]["size"]), (&2.into(), &64.into()));
    assert!(figures[2].get("settings").is_none() && figures[2]["mean"]["results"] == 2);
    let csv = std::fs::read_to_string(&csv).expect("a table");
    assert_eq!(csv.lines().count(), 7);
    assert!(csv.starts_with("name,content,") && csv.contains("\n\"γ = 0, all\",\"b, turned\",s,"), "{csv}");
    assert!(["one layer", "photos"].iter().all(|name| scratch.path(&format!("out/sheet {name}.png")).exists()));

    for (wrong, sentence) in [
        (r#"[{"name": "a/b", "settings": {}}]"#, "cannot be a folder"),
        (r#"[{"name": "a"}, {"name": "a"}]"#, "two settings are called a"),
        (r#"[{"name": "a", "settings": {"gama": 1}}]"#, "unknown field `gama`"),
        (r#"[{"name": "a", "settings": {"look": "loud"}}]"#, "unknown variant `loud`"),
        (r#"[{"name": "a", "settings": {"gamma": 2}}]"#, "Gamma must be between 0 and 1, not 2."),
        ("[]", "it has no settings"),
    ] {
        std::fs::write(&compare, wrong).expect("a file");
        let said = refused(&scratch, &["--compare", text(&compare)]);
        assert!(said.contains(sentence), "{said}");
    }
}

#[test]
fn a_picture_that_is_its_own_result_is_no_distance_from_itself() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = Scratch::new();
    for name in ["contents/a.png", "styles/a.png", "results/a_in_a.png"] {
        save(&scratch, name, &golden.picture("content_u8"));
    }
    let table = evaluated(&scratch, &["--measure-only"]);
    let row = table.lines().nth(1).expect("a row");
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["a", "in", "a", "0.0000", "0.0000", "0.0000"]);
}

#[test]
fn a_truer_inversion_brings_more_of_a_picture_back() {
    let scratch = folders();
    let (settings, json) = (scratch.path("settings.json"), scratch.path("figures.json"));
    let ways = r#"[{"name": "few", "settings": {"steps": 4}}, {"name": "many", "settings": {"steps": 20}},
        {"name": "fast", "settings": {"preset": "fast"}}]"#;
    std::fs::write(&settings, ways).expect("a file");
    // The inversion needs a model that predicts noise: the demonstration model is trained, the micro models are random.
    let files = ["--compare", text(&settings), "--json", text(&json), "--model", "demo", "--precision", "f32"];
    let [contents, styles, results] = ["contents", "styles", "results"].map(|name| scratch.path(name));
    let folders = ["--content", text(&contents), "--style", text(&styles), "--results", text(&results)];
    let output = styleid(&[&["eval", "--round-trip", "--size", "64"][..], &folders, &files].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all: Value = serde_json::from_slice(&std::fs::read(json).expect("figures")).expect("JSON");
    let [few, many, fast] = [&all[0], &all[1], &all[2]].map(|set| {
        let trips = set["round_trips"].as_array().expect("round trips");
        let of = |trip: &Value| number(&trip["decibels"]);
        assert_eq!(trips.iter().map(|trip| &trip["content"]).collect::<Vec<_>>(), ["a", "b, turned"]);
        let mean = number(&set["mean"]["round_trip"]);
        assert!((mean - (of(&trips[0]) + of(&trips[1])) / 2.0).abs() < 1e-9, "{set}");
        mean
    });
    assert!(few > 10.0 && many > few + 3.0 && fast > many + 5.0, "{few}, {many} and {fast} dB");
    let table = String::from_utf8(output.stdout).expect("text");
    assert!(table.contains(&format!("fast: round trip {fast:.2} dB, least ")), "{table}");
}

#[test]
fn what_cannot_be_measured_gives_a_sentence() {
    let scratch = folders();
    let said = refused(&scratch, &["--measure-only"]);
    assert!(said.starts_with("error: 2 results are missing") && said.contains("a_in_s.png"), "{said}");
    assert!(said.ends_with("leave out --measure-only."), "{said}");
    save(&scratch, "results/a_in_s.png", &Golden::load("micro15.diffusers.n4.rect").picture("content_u8"));
    let said = refused(&scratch, &["--measure-only"]);
    assert!(said.starts_with("error: A result is missing: ") && said.contains("b, turned_in_s.png"), "{said}");

    save(&scratch, "contents/a.bmp", &RgbImage::new(32, 32));
    let said = refused(&scratch, &[]);
    assert!(said.contains("are called a, and so would their results; rename one."), "{said}");
    std::fs::remove_dir_all(scratch.path("styles")).expect("removed");
    std::fs::remove_file(scratch.path("contents/a.bmp")).expect("removed");
    assert!(refused(&scratch, &[]).contains("cannot be read"));
    std::fs::create_dir(scratch.path("styles")).expect("a folder");
    assert!(refused(&scratch, &[]).contains("There are no pictures in "));
}
