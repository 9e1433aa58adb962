//! The command line as a person uses it: what it writes, what it says, how it fails.

use std::path::Path;
use std::process::{Command, Output};

use crate::golden::{Golden, fixture};
use crate::support::Scratch;

/// Runs the program. It computes on the processor unless `args` name a device, so that every machine gives the same
/// result.
pub fn styleid(args: &[&str]) -> Output {
    program(args).output().expect("the program starts")
}

/// The command that [`styleid`] runs.
pub fn program(args: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_styleid"));
    program.args(args);
    if matches!(args.first(), Some(&("stylize" | "eval"))) && !args.contains(&"--device") {
        program.args(["--device", "cpu"]);
    }
    program
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// A scratch folder with the golden's pictures as PNG files.
pub fn pictures(golden: &Golden) -> Scratch {
    let scratch = Scratch::new();
    for name in ["content", "style"] {
        golden.picture(&format!("{name}_u8")).save(scratch.path(&format!("{name}.png"))).expect("a PNG file");
    }
    scratch
}

/// Runs a command that must fail, and gives its last line on standard error.
pub fn failure(args: &[&str]) -> String {
    let output = styleid(args);
    assert!(!output.status.success(), "{args:?} succeeded");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!errors.contains("panicked"), "{errors}");
    errors.lines().last().unwrap_or_default().to_string()
}

#[test]
fn a_pasted_python_command_gives_the_reference_s_picture_and_trace() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = pictures(&golden);
    let (model, trace) = (fixture("models/micro15"), scratch.path("trace/run.safetensors"));
    let (content, style, out) = (scratch.path("content.png"), scratch.path("style.png"), scratch.path("new/out.png"));
    let output = styleid(&[
        "stylize",
        "--model",
        text(&model),
        "--cnt_fn",
        text(&content),
        "--sty_fn",
        text(&style),
        "--T",
        "1.5",
        "--gamma",
        "0.75",
        "--ddim_steps",
        "4",
        "--layers",
        "7",
        "8",
        "9",
        "10",
        "11",
        "--size",
        "keep",
        "--out",
        text(&out),
        "--trace",
        text(&trace),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("128 × 64"));
    let picture = image::open(&out).expect("the result").to_rgb8();
    let worst = picture.iter().zip(golden.picture("image_u8").iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(1), "image_u8 is {worst:?} off");

    let trace = Golden::open(&trace);
    assert_eq!(trace.picture("image_u8"), picture);
    for name in [
        "null_embedding",
        "content_z0",
        "style_z0",
        "content_inv",
        "style_inv",
        "adain",
        "rev_x0",
        "rev_prev",
        "final_latent",
        "image",
    ] {
        let ((ours, _), (reference, _)) = (trace.values(name), golden.values(name));
        assert_eq!(ours, reference, "shape of {name}");
    }
}

#[test]
fn without_out_the_result_goes_to_the_save_dir() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = pictures(&golden);
    let (model, results) = (fixture("models/micro15"), scratch.path("results"));
    let (content, style) = (scratch.path("content.png"), scratch.path("style.png"));
    let output = styleid(&[
        "stylize",
        "--model",
        text(&model),
        "--cnt_fn",
        text(&content),
        "--sty_fn",
        text(&style),
        "--steps",
        "1",
        "--layers",
        "7,8",
        "--without_init_adain",
        "--without_attn_injection",
        "--save_dir",
        text(&results),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let picture = image::open(results.join("content_in_style.png")).expect("the result");
    assert_eq!((picture.width(), picture.height()), (128, 128), "the size that the model was trained at");
}

#[test]
fn several_styles_go_into_one_picture() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = pictures(&golden);
    let half = image::GrayImage::from_fn(10, 10, |x, _| image::Luma([if x < 5 { 255 } else { 0 }]));
    half.save(scratch.path("mask.png")).expect("a PNG file");
    golden.picture("content_u8").save(scratch.path("other.png")).expect("a PNG file");
    let model = fixture("models/micro15");
    let paths = ["content.png", "style.png", "other.png", "mask.png"].map(|name| scratch.path(name));
    let [content, style, other, mask] = paths.each_ref().map(|path| text(path));
    let (results, trace) = (scratch.path("results"), scratch.path("run.safetensors"));
    let output = styleid(&[
        "stylize",
        "--model",
        text(&model),
        "--content",
        content,
        "--style",
        style,
        "--style",
        other,
        "--style-weight",
        "1",
        "--style-weight",
        "2.5",
        "--style-mask",
        mask,
        "--style-mask",
        "none",
        "--gamma-curve",
        "cosine",
        "--gamma-end",
        "0.375",
        "--gamma-by-layer",
        "7=0.5,8=0.6",
        "--temperature-curve",
        "linear",
        "--temperature-end",
        "1.2",
        "--damping",
        "0.7",
        "--blend",
        "together",
        "--steps",
        "2",
        "--size",
        "64",
        "--stats",
        "--save-dir",
        text(&results),
        "--trace",
        text(&trace),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The second style is the content picture, but it is inverted again as a style: 2 steps of 3 inversions and of the
    // reverse pass.
    assert!(String::from_utf8_lossy(&output.stdout).contains("UNet evaluations: 8"), "{output:?}");
    assert!(results.join("content_in_style+other.png").exists());
    let trace = Golden::open(&trace);
    assert_eq!((trace.values("style_inv").0, trace.values("style2_inv").0), (vec![3, 4, 8, 8], vec![3, 4, 8, 8]));
    assert_eq!(trace.values("style2_z0").1, trace.values("content_z0").1);
}

#[test]
fn info_says_what_a_model_is() {
    for (model, version, prediction) in
        [("micro15", "1.x", "epsilon"), ("micro21b", "2.x", "epsilon"), ("micro21v", "2.x", "v_prediction")]
    {
        let output = styleid(&["info", "--model", text(&fixture(&format!("models/{model}")))]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success());
        assert!(said.contains(&format!("Stable Diffusion {version}")), "{said}");
        assert!(said.contains(prediction), "{said}");
        assert!(said.contains("3, 4, 5, 6, 7, 8, 9, 10, 11"), "{said}");
        assert!(said.contains("F32"), "{said}");
    }
    // Numbers of parameters of unet, vae and text_encoder, as the reference counts them.
    let said =
        String::from_utf8_lossy(&styleid(&["info", "--model", text(&fixture("models/micro15"))]).stdout).into_owned();
    for count in ["813,652", "111,839", "17,744"] {
        assert!(said.contains(count), "{count} parameters in: {said}");
    }
}

#[test]
fn what_the_list_says_of_the_demonstration_model_is_what_its_pack_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let list = std::fs::read_to_string(root.join("www/models.json")).expect("the list of models");
    let list: Vec<serde_json::Value> = serde_json::from_str(&list).expect("JSON");
    let listed = list.iter().find(|model| model["id"] == "demo").expect("the demonstration model");
    let pack = root.join("crate/demo/demo.styleid.gguf").metadata().expect("the pack");
    assert_eq!(listed["bytes"], pack.len());
    let layers: Vec<usize> = serde_json::from_value(listed["injectionLayers"].clone()).expect("layers");
    let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
    let said = String::from_utf8_lossy(&styleid(&["info"]).stdout).into_owned();
    assert!(said.contains(&format!("injected    {} unless", layers.join(", "))), "{said}");
}

#[test]
fn every_wrong_argument_gives_one_sentence() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = pictures(&golden);
    let (model, content, style) = (fixture("models/micro15"), scratch.path("content.png"), scratch.path("style.png"));
    let (model, content, style) = (text(&model), text(&content), text(&style));
    let notes = scratch.path("notes.txt");
    std::fs::write(&notes, "no picture").expect("a file");
    let out = scratch.path("out.png");
    let base = |model, content, style| {
        vec!["stylize", "--model", model, "--content", content, "--style", style, "--out", text(&out), "--size", "keep"]
    };
    let with = |more: Vec<_>| [base(model, content, style), more].concat();
    let nowhere = scratch.path("nowhere");
    for (args, part) in [
        (base(text(&nowhere), content, style), "There is nothing at"),
        (base(text(&scratch.0), content, style), "no weights of a whole Stable Diffusion model"),
        (base(model, text(&nowhere), style), "cannot be read"),
        (base(model, text(&notes), style), "is a text file"),
        ([base(model, content, style), vec!["--layers", "12"]].concat(), "no self-attention in decoder layer 12"),
        ([base(model, content, style), vec!["--gamma", "2"]].concat(), "Gamma must be between 0 and 1"),
        ([base(model, content, style), vec!["--steps", "0"]].concat(), "Steps must be between"),
        (with(vec!["--style", style, "--style-weight", "1"]), "here are 2 of --style and 1 of --style-weight"),
        (with(vec!["--style-mask", style, "--style-mask", "none"]), "here are 1 of --style and 2 of --style-mask"),
        (with(vec!["--style-weight", "-1"]), "A style's weight must be a number above 0, not -1"),
        (with(vec!["--style-mask", text(&notes)]), "is a text file"),
        (with(vec!["--style", style, "--style", style, "--style", style, "--style", style]), "1 to 4 styles, not 5"),
        (with(vec!["--gamma-curve", "linear"]), "--gamma-curve needs --gamma-end"),
        (with(vec!["--temperature-end", "2"]), "--temperature-end needs --temperature-curve"),
        (with(vec!["--gamma-curve", "linear", "--gamma-end", "1.5"]), "Gamma at the last step must be between 0 and 1"),
        (with(vec!["--gamma-by-layer", "7=2"]), "Gamma of layer 7 must be between 0 and 1"),
        (with(vec!["--gamma-by-layer", "2=0.5"]), "no self-attention in decoder layer 2"),
        (with(vec!["--damping", "1.5"]), "Damping must be between 0 and 1"),
        (with(vec!["--style", content, "--blend", "average"]), "Only styles of one size can be averaged"),
    ] {
        let said = failure(&args);
        assert!(said.starts_with("error: ") && said.contains(part), "{args:?}: {said}");
    }
    assert!(!out.exists(), "nothing is written where nothing was made");
}

/// A copy of the folder of `micro15`, in which `change` was applied to one file.
fn with_changed(file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Scratch {
    let scratch = Scratch::new();
    let model = fixture("models/micro15");
    for part in ["unet", "vae", "text_encoder", "scheduler"] {
        let folder = scratch.path(part);
        std::fs::create_dir_all(&folder).expect("a folder");
        for entry in std::fs::read_dir(model.join(part)).expect("a folder").flatten() {
            std::fs::copy(entry.path(), folder.join(entry.file_name())).expect("a copy");
        }
    }
    let path = scratch.path(file);
    let changed = change(std::fs::read(&path).expect("the file"));
    std::fs::write(path, changed).expect("the changed file");
    scratch
}

/// Replaces text in a file of bytes by text of the same length, so that a safetensors header stays valid.
fn replace(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("the text is there");
    let mut out = bytes.to_vec();
    out[at..at + from.len()].copy_from_slice(to.as_bytes());
    out
}

#[test]
fn damaged_models_are_named_by_tensor_or_key() {
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let scratch = pictures(&golden);
    let (content, style, out) = (scratch.path("content.png"), scratch.path("style.png"), scratch.path("out.png"));
    let unet = "unet/diffusion_pytorch_model.safetensors";
    let config = "unet/config.json";
    type Change = Box<dyn Fn(Vec<u8>) -> Vec<u8>>;
    let cases: [(&str, Change, &[&str]); 6] = [
        (unet, Box::new(|b| replace(&b, "\"conv_in.bias\"", "\"conv_xx.bias\"")), &["no tensor conv_in.bias", "[16]"]),
        (
            config,
            Box::new(|b| replace(&b, "\"cross_attention_dim\": 16", "\"cross_attention_dim\": 24")),
            &["width 24", "16"],
        ),
        (config, Box::new(|b| replace(&b, "\"layers_per_block\": 2", "\"layers_per_block\": 1")), &["shape"]),
        (
            config,
            Box::new(|b| replace(&b, "\"class_embed_type\": null", "\"class_embed_type\": \"ab\"")),
            &["class_embed_type"],
        ),
        (unet, Box::new(|b| b[..b.len() / 2].to_vec()), &["truncated or damaged"]),
        ("vae/config.json", Box::new(|_| b"{".to_vec()), &["vae/config.json", "cannot be understood"]),
    ];
    for (file, change, parts) in cases {
        let model = with_changed(file, change);
        let said = failure(&[
            "stylize",
            "--model",
            text(&model.0),
            "--content",
            text(&content),
            "--style",
            text(&style),
            "--out",
            text(&out),
        ]);
        for part in parts {
            assert!(said.contains(part), "{part} in: {said}");
        }
    }
    // An extra tensor: the file has a quant_conv, which this config says is not used.
    let model = with_changed("vae/config.json", |bytes| {
        replace(&bytes, "\"use_quant_conv\": true", "\"use_quant_conv\":false")
    });
    let said = failure(&[
        "stylize",
        "--model",
        text(&model.0),
        "--content",
        text(&content),
        "--style",
        text(&style),
        "--out",
        text(&out),
    ]);
    assert!(said.contains("quant_conv.bias") && said.contains("does not account for"), "{said}");
}
