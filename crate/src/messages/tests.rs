//! What the page and the crate agree on is written down here, once: the types in `www/styleid.d.ts`, and in
//! `tests/contract.json` the values that the page's unit tests hold its own against.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};
use ts_rs::{Config, TS};

use super::{KeptModel, KeptModels, Measures, ModelOptions, PictureInfo, Request, StyleSource, Stylized, ToStyle};
use crate::Error;
use crate::control::{Phase, Progress};
use crate::device::Adapter;
use crate::diffusion::levels::Levels;
use crate::model::{LevelInfo, ModelInfo, PartInfo};
use crate::picture::{Crop, LEAST_SIDE};
use crate::selftest::{KernelTest, SelfTest, Verdict};
use crate::styleid::ahead::Lacks;
use crate::styleid::blend::MOST;
use crate::styleid::curve::{Curve, Shape};
use crate::styleid::{Blend, Look, Params, Preset};
use crate::weights::WeightType;
use crate::weights::checkpoint::census::Census;
use crate::weights::config::{Prediction, SchedulerConfig, UnetConfig};
use crate::weights::source::http::address::identity;
use crate::weights::source::hub::{ENDPOINT, Reference, is_weights};
use crate::weights::store::ModelKey;

/// Rewrites `path` where it is not what it should be, and then fails: the change is to be looked at and kept.
fn same(path: &str, wanted: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    if there != wanted {
        std::fs::write(&path, wanted).expect("the file can be written");
        panic!("{} was out of date and has been made anew: look at it and commit it", path.display());
    }
}

/// A type as TypeScript has it, exported, with its documentation.
fn declared<T: TS>(config: &Config) -> String {
    laid_out(&format!("{}export {}", T::docs().unwrap_or_default(), T::decl(config))) + "\n"
}

/// A declaration as people write it: a field a line, comments of one line on one line.
fn laid_out(declaration: &str) -> String {
    let (mut text, mut indent, mut comment) = (String::new(), "", None);
    for line in declaration.lines().map(str::trim) {
        match (line, &mut comment) {
            ("/**", _) => comment = Some(Vec::new()),
            ("*/", Some(lines)) => {
                let lines: Vec<&str> = std::mem::take(lines);
                text += &match &lines[..] {
                    [line] => format!("{indent}/** {line} */\n"),
                    lines => {
                        format!("{indent}/**\n{indent} * {}\n{indent} */\n", lines.join(&format!("\n{indent} * ")))
                    }
                };
                comment = None;
            }
            (line, Some(lines)) => lines.push(line.trim_start_matches("* ").trim_start_matches('*')),
            (line, None) => {
                let (field, ends) = match line.strip_suffix(", };") {
                    Some(field) => (field, true),
                    None => (line.trim_end_matches(','), false),
                };
                let is_field = line.ends_with(',') || ends;
                text += &format!("{indent}{field}{}\n", if is_field { ";" } else { "" });
                if line.ends_with('{') {
                    indent = "  ";
                }
                if ends {
                    indent = "";
                    text += "};\n";
                }
            }
        }
    }
    text
}

#[test]
fn the_pages_types_are_those_of_the_crate() {
    let config = Config::new().with_large_int("number");
    macro_rules! all {
        ($($type:ty),* $(,)?) => { [$(declared::<$type>(&config)),*].concat() };
    }
    let types = all![
        Adapter,
        Prediction,
        Census,
        PartInfo,
        LevelInfo,
        ModelInfo,
        PictureInfo,
        Crop,
        StyleSource,
        Request,
        Shape,
        Curve,
        Preset,
        Blend,
        Params,
        Phase,
        Progress,
        WeightType,
        ModelOptions,
        ModelKey,
        KeptModel,
        KeptModels,
        ToStyle,
        Measures,
        Lacks,
        Verdict,
        KernelTest,
        SelfTest,
        Stylized,
    ];
    let kinds: Vec<String> = error_kinds().iter().map(|kind| format!("{kind:?}")).collect();
    let text = format!(
        "// What the crate's wasm surface takes and gives. A test of the crate makes this file of its structs\n\
         // (crate/src/messages/tests.rs): change those, not this.\n\n\
         {types}/** A kept model; which one is absent where nothing says so any more. */\n\
         export type KeptModel = KeptFolder & Partial<ModelKey>;\n\n\
         /** Every field has a default, which `null` asks for where it is allowed. Unknown fields are an error. */\n\
         export type Options = Partial<Params>;\n\n\
         /** Every function throws or rejects with an `Error` whose `name` is one of these and whose `message` is one sentence. */\n\
         export type ErrorKind = {};\n\n{}",
        kinds.join(" | "),
        include_str!("functions.d.ts")
    );
    same("../www/styleid.d.ts", &text);
}

/// The kinds of errors, and that of a panic, which is none of ours.
fn error_kinds() -> Vec<&'static str> {
    let mut kinds = Error::KINDS.to_vec();
    kinds.push("internal");
    kinds
}

/// What serde makes of each.
fn names<T: Serialize>(all: &[T]) -> Value {
    json!(all)
}

fn curves() -> Vec<Value> {
    let mut samples = Vec::new();
    for curve in Shape::ALL {
        for (start, end, steps) in [(0.75f32, 0.375f32, 20usize), (1.5, 2.0, 7), (0.25, 0.25, 3), (0.5, 1.0, 1)] {
            for step in [0, steps / 3, steps - 1] {
                let value = Curve { curve, end }.value(start, step, steps);
                samples
                    .push(json!({ "curve": curve, "start": start, "end": end, "i": step, "n": steps, "value": value }));
            }
        }
    }
    samples
}

/// How far the steps of the version `fast` are along a curve, for several numbers of them.
fn fast_ways() -> Vec<Vec<f64>> {
    let ways = |count| {
        let levels = Levels::karras(&SchedulerConfig::default(), count).expect("possible");
        let timesteps: Vec<f64> = levels.all().iter().rev().map(|level| level.timestep).collect();
        let (first, last) = (timesteps[0], timesteps[count - 1]);
        timesteps.into_iter().map(|timestep| (first - timestep) / (first - last)).collect()
    };
    [2, 3, 10, 25].map(ways).into()
}

fn references() -> Vec<Value> {
    let texts = [
        "o/r",
        "o/r@main",
        "o/r@refs/pr/7/unet",
        "o/r/model.safetensors",
        "o/r@v1.0/deep/folder/model.GGUF",
        "o/r/",
        "o/r//x",
        "o",
        "",
        "o/r@",
        "/o/r",
        "./models/x",
        "../x/y",
        "o/r/../x",
        "a b/c",
        "https://example.org/m/x.gguf",
        "https://example.org/m/x.gguf#top",
        "https://example.org/models/sd",
        "http://127.0.0.1:8000/model/",
        "https://huggingface.co/o/r",
        "https://huggingface.co/o/r/tree/main",
        "https://huggingface.co/o/r/tree/main/unet",
        "https://huggingface.co/o/r/blob/main/x.safetensors",
        "https://huggingface.co/o/r/resolve/main/x.safetensors",
        "https://www.huggingface.co/o/r",
        "https://hf.co/o/r",
        "https://huggingface.co/",
        "https://huggingface.co/o",
        "ftp://example.org/x",
        "C:\\models\\x",
        "https://",
    ];
    let parsed = |text: &str| match Reference::parse(text) {
        Ok(Reference::Hub { repo, revision, path }) => {
            json!({ "repo": repo, "revision": revision, "path": path.unwrap_or_default() })
        }
        Ok(Reference::File(url) | Reference::Folder(url)) => json!({ "url": url }),
        Err(_) => Value::Null,
    };
    texts.iter().map(|text| json!({ "text": text, "parsed": parsed(text) })).collect()
}

/// What a model is kept under, by what names it and what is taken for it.
fn keys() -> Value {
    let files = [("m/b.safetensors", 20.0, 1_700_000_000_123.0), ("m/a.json", 3.0, 4.0)];
    let named = |text: &str, hub: Option<&str>| match text {
        "files" => ModelKey::of_picked("m", &files, WeightType::Q8),
        _ => {
            let reference = Reference::parse(text).expect("a reference");
            ModelKey::of_reference(&reference, hub.unwrap_or(ENDPOINT), WeightType::Q8)
        }
    };
    let mirror = Some("https://mirror.example");
    let cases = [
        ("o/r", None, None, None),
        ("o/r@v1/x.gguf", None, None, mirror),
        ("o/r", None, Some("o/vae"), None),
        ("o/r", Some("o/vae"), None, None),
        ("o/r@v1", None, Some("https://me:SECRET@h/v.safetensors?token=SECRET"), None),
        ("o/r/u.gguf", Some("o/whole@v2"), Some("o/vae/vae"), mirror),
        ("files", None, Some("o/vae"), None),
        ("o/r", Some("https://h/m/"), Some("files"), None),
    ];
    let one = |(source, rest, vae, hub): (&str, Option<&str>, Option<&str>, Option<&str>)| {
        let mut key = named(source, hub);
        if let Some(rest) = rest {
            key = key.with_rest(&named(rest, hub));
        }
        if let Some(vae) = vae {
            key = key.with_vae(&named(vae, hub));
        }
        json!({ "source": source, "rest": rest, "vae": vae, "hub": hub, "key": key })
    };
    let picked =
        files.map(|(path, bytes, changed)| json!({ "path": path, "bytes": bytes as u64, "changed": changed as u64 }));
    json!({ "files": picked, "cases": cases.map(one) })
}

#[test]
fn the_contract_with_the_page_is_written_down() {
    let presets: serde_json::Map<String, Value> = Preset::ALL
        .into_iter()
        .map(|preset| {
            let name = json!(preset).as_str().unwrap_or_default().to_string();
            (name, json!({ "steps": preset.steps(), "layers": preset.layers(&UnetConfig::default()) }))
        })
        .collect();
    let looks: serde_json::Map<String, Value> = Look::ALL
        .into_iter()
        .map(|look| (json!(look).as_str().unwrap_or_default().to_string(), shortest(&look.of(Params::default()))))
        .collect();
    let addresses = [
        "https://h/api/download/models/12?type=Model&token=SECRET&Format=SafeTensor",
        "https://me:SECRET@h/m/x.gguf?X-Amz-Signature=SECRET#SECRET",
        "https://h/models/sd15/?sig=SECRET",
        "https://h/models/sd15",
    ];
    let weight_files =
        ["a/x.GGUF", "x.safetensors", "x.gguf", "x.bin", "x.ckpt", "x.pt", "x.pth", "x", "x.safetensors.index.json"];
    let hosts: Vec<&str> = vec![ENDPOINT.trim_start_matches("https://"), "hf.co"];
    let contract = json!({
        "defaults": shortest(&Params::default()),
        "presets": presets,
        "looks": looks,
        "curves": curves(),
        "fastWays": fast_ways(),
        "references": references(),
        "weightFiles": weight_files.map(|path| json!({ "path": path, "isWeights": is_weights(path) })),
        "identities": addresses.map(|url| json!({ "url": url, "identity": identity(url) })),
        "keys": keys(),
        "errorKinds": error_kinds(),
        "phases": names(&Phase::ALL),
        "weightTypes": names(&WeightType::ALL),
        "leastSide": LEAST_SIDE,
        "mostStyles": MOST,
        "hubHosts": hosts,
    });
    let text = serde_json::to_string_pretty(&contract).expect("plain values") + "\n";
    same("../tests/contract.json", &text);
}

/// As JSON text has it: by way of a `Value` an f32 of 0.6 would become 0.6000000238418579.
fn shortest(value: &impl Serialize) -> Value {
    serde_json::to_string(value).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}
