//! The command line's flags for pictures (crops, shape, colours), and the settings that a result's PNG file holds.

use std::collections::BTreeMap;
use std::path::Path;

use image::{RgbImage, imageops};
use sha2::{Digest, Sha256};
use styleid::picture::{Size, with_chroma_of};
use styleid::{Params, Preset, styleid::Curve, styleid::curve::Shape};

use crate::cli::{failure, pictures, styleid, text};
use crate::golden::{Golden, fixture};
use crate::support::Scratch;

/// The result of a run of one step on pictures in `scratch`.
fn repainted(scratch: &Scratch, content: &str, style: &str, more: &[&str]) -> RgbImage {
    let model = fixture("models/micro15");
    let paths = [content, style, "out.png"].map(|name| scratch.path(name));
    let [content, style, out] = paths.each_ref().map(|path| text(path));
    let base = ["stylize", "--model", text(&model), "--content", content, "--style", style, "--out", out];
    let output = styleid(&[&base[..], &["--steps", "1", "--layers", "7"], more].concat());
    assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
    image::open(out).expect("the result").to_rgb8()
}

#[test]
fn a_crop_is_as_good_as_a_picture_that_was_cut_before() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = pictures(&golden);
    let mask = image::GrayImage::from_fn(128, 64, |x, _| image::Luma([if x < 64 { 255 } else { 0 }]));
    mask.save(scratch.path("mask.png")).expect("a PNG file");
    imageops::crop_imm(&mask, 40, 0, 72, 64).to_image().save(scratch.path("cut-mask.png")).expect("a PNG file");
    for (name, [x, y, width, height]) in [("content", [40, 0, 72, 64]), ("style", [0, 16, 64, 56])] {
        let cut = imageops::crop_imm(&golden.picture(&format!("{name}_u8")), x, y, width, height).to_image();
        cut.save(scratch.path(&format!("cut-{name}.png"))).expect("a PNG file");
    }
    let flags = ["--size", "keep", "--crop", "40,0,72,64", "--style-crop", "0,16,64,56"];
    let cropped = repainted(&scratch, "content.png", "style.png", &flags);
    assert_eq!(cropped.dimensions(), (72, 64));
    assert!(cropped == repainted(&scratch, "cut-content.png", "cut-style.png", &["--size", "keep"]));
    assert!(cropped != repainted(&scratch, "cut-content.png", "style.png", &["--size", "keep"]), "the style's counts");

    // A crop is cut off at the edges of the photo, and a mask covers the whole photo, not the crop.
    let mask = scratch.path("mask.png");
    let flags = ["--size", "keep", "--crop", "40.4,-9,72,73", "--style-crop", "none", "--style-mask", text(&mask)];
    let masked = repainted(&scratch, "content.png", "style.png", &flags);
    let cut_mask = scratch.path("cut-mask.png");
    let flags = ["--size", "keep", "--style-mask", text(&cut_mask)];
    assert!(masked == repainted(&scratch, "cut-content.png", "style.png", &flags));
    assert!(masked != repainted(&scratch, "cut-content.png", "style.png", &["--size", "keep"]), "the mask counts");
}

#[test]
fn the_shape_stays_where_it_is_asked_for() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = pictures(&golden);
    let size = |content, style, more: &[&str]| repainted(&scratch, content, style, more).dimensions();
    assert_eq!(size("content.png", "style.png", &["--size", "64", "--keep-aspect"]), (64, 32));
    // 64 × 96 becomes 42.7 × 64, and sides are multiples of a latent's 8 pixels.
    assert_eq!(size("style.png", "content.png", &["--size", "64", "--keep-aspect"]), (40, 64));
    assert_eq!(size("content.png", "style.png", &["--size", "64"]), (64, 64));
}

#[test]
fn the_photo_s_colours_stay_where_they_are_asked_for() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = pictures(&golden);
    let plain = repainted(&scratch, "content.png", "style.png", &["--size", "keep"]);
    for flag in ["--keep-colours", "--keep-colors"] {
        let kept = repainted(&scratch, "content.png", "style.png", &["--size", "keep", flag]);
        assert!(kept == with_chroma_of(&plain, &golden.picture("content_u8")), "{flag}");
        assert!(kept != plain);
    }
}

#[test]
fn wrong_crops_and_sizes_each_give_one_sentence() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = pictures(&golden);
    let model = fixture("models/micro15");
    let paths = ["content.png", "style.png", "out.png"].map(|name| scratch.path(name));
    let [content, style, out] = paths.each_ref().map(|path| text(path));
    let base = ["stylize", "--model", text(&model), "--content", content, "--style", style, "--out", out];
    for (more, part) in [
        (&["--crop", "200,0,50,50"][..], "The crop (200,0,50,50) lies outside of"),
        (&["--crop", "0,0,8,50"], "is 8 × 50 pixels; at least 16 × 16 are needed"),
        (&["--style-crop", "0,-90,50,50"], "lies outside of"),
        (&["--style-crop", "none", "--style-crop", "none"], "here are 1 of --style and 2 of --style-crop"),
    ] {
        let said = failure(&[&base[..], more].concat());
        assert!(said.starts_with("error: ") && said.contains(part) && said.ends_with('.'), "{more:?}: {said}");
    }
    // An argument that cannot be parsed is refused by the parser, which adds where to find help.
    for (more, part) in [
        (["--crop", "1,2,3"], "'1,2,3' for '--crop <CROP>': A crop is four numbers of pixels"),
        (["--crop", "a,b,c,d"], "not a,b,c,d."),
        (["--style-crop", "all"], "'all' for '--style-crop <CROP>': A crop is four numbers of pixels"),
        (["--size", "7"], "Size must be \"keep\" or a number of pixels from 64 to 4096, not 7."),
    ] {
        let output = styleid(&[&base[..], &more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let first = said.lines().next().unwrap_or_default();
        assert!(!output.status.success() && first.starts_with("error: ") && first.contains(part), "{more:?}: {said}");
    }
    assert!(!paths[2].exists(), "nothing is written where nothing was made");
}

/// The text chunks of a PNG file.
fn texts(path: &Path) -> BTreeMap<String, String> {
    let file = std::io::BufReader::new(std::fs::File::open(path).expect("the result"));
    let reader = png::Decoder::new(file).read_info().expect("a PNG file");
    let info = reader.info();
    assert!(info.uncompressed_latin1_text.is_empty() && info.compressed_latin1_text.is_empty(), "all text is UTF-8");
    info.utf8_text.iter().map(|chunk| (chunk.keyword.clone(), chunk.get_text().expect("text"))).collect()
}

#[test]
fn a_result_says_how_it_was_made_and_nothing_of_whose_pictures() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = pictures(&golden);
    for (from, to) in [("content", "annas-birthday"), ("style", "uncle-klimt")] {
        std::fs::rename(scratch.path(&format!("{from}.png")), scratch.path(&format!("{to}.png"))).expect("renamed");
    }
    let mask = scratch.path("where-bob-is.png");
    image::GrayImage::from_pixel(8, 8, image::Luma([200])).save(&mask).expect("a PNG file");
    let (model, folder) = (fixture("models/micro15"), scratch.path("results"));
    let (content, style) = (scratch.path("annas-birthday.png"), scratch.path("uncle-klimt.png"));
    let vae = model.join("vae");
    #[rustfmt::skip]
    let output = styleid(&[
        "stylize", "--model", text(&model), "--vae", text(&vae), "--content", text(&content), "--crop", "0,0,64.5,64",
        "--style", text(&style), "--style", text(&content), "--style-weight", "1", "--style-weight", "0.3",
        "--style-crop", "none", "--style-crop", "8,0,100,64", "--style-mask", "none", "--style-mask", text(&mask),
        "--steps", "1", "--layers", "8,7", "--gamma", "0.6", "--gamma-curve", "linear", "--gamma-end", "0.1",
        "--gamma-by-layer", "7=0.7", "--temperature", "1.7", "--damping", "0.9", "--size", "64", "--keep-aspect",
        "--keep-colours", "--weights", "q8", "--save-dir", text(&folder),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = folder.join("annas-birthday_in_uncle-klimt+annas-birthday.png");
    let texts = texts(&path);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(texts.keys().map(String::as_str).collect::<Vec<_>>(), ["Software", "StyleID", "Title"]);
    assert_eq!(texts["Software"], format!("StyleID {version}"));
    let settings: serde_json::Value = serde_json::from_str(&texts["StyleID"]).expect("JSON");
    let expected = Params {
        preset: Preset::Diffusers,
        steps: Some(1),
        layers: Some(vec![8, 7]),
        gamma: 0.6,
        gamma_curve: Some(Curve { curve: Shape::Linear, end: 0.1 }),
        gamma_by_layer: Some(BTreeMap::from([(7, 0.7)])),
        temperature: 1.7,
        damping: 0.9,
        size: Some(Size::Square(64)),
        keep_aspect: true,
        keep_colours: true,
        ..Params::default()
    };
    let options = settings["options"].clone();
    assert_eq!(serde_json::from_value::<Params>(options).expect("settings"), expected);
    assert!(texts["StyleID"].contains("\"gamma\":0.6,"), "numbers as they were given: {}", texts["StyleID"]);
    let crop = |x, width| serde_json::json!({ "x": x, "y": 0.0, "width": width, "height": 64.0 });
    let mut rest = settings.clone();
    rest.as_object_mut().expect("an object").remove("options");
    // Files are given by their SHA-256 in lowercase, which tells nothing to a person who does not have the file. So are
    // the model's weights.
    let sha = |path: &Path| {
        let hash = Sha256::digest(std::fs::read(path).expect("a file"));
        hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let model_sum = rest["made_of"].as_object_mut().expect("what it is made of").remove("model").expect("the model's");
    assert!(model_sum.as_str().is_some_and(|sum| sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit())));
    let expected = serde_json::json!({
        "version": version, "model": "micro15", "taken": { "vae": "vae" }, "weights": "q8", "crop": crop(0.0, 64.5),
        "styles": [
            { "weight": 1.0, "crop": null, "masked": false },
            { "weight": 0.3, "crop": crop(8.0, 100.0), "masked": true },
        ],
        "made_of": { "content": sha(&content), "styles": [sha(&style), sha(&content)], "masks": [sha(&mask)] },
    });
    assert_eq!(rest, expected);
    let bytes = std::fs::read(&path).expect("the result");
    for secret in ["anna", "klimt", "bob", text(&scratch.0), text(model.parent().expect("a folder"))] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
}
