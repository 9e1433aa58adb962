//! A model packed for one's own copy of the page, as `./dev pack-site` does it: parts, licence, entry in the page's
//! list.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use styleid::weights::{Origin, WeightType};
use styleid::{Preset, device};

use crate::cli::{failure, styleid, text};
use crate::golden::{Golden, fixture};
use crate::support::{HubServer, Scratch, params, run, session, session_of};

const LICENCE: &str = "My Licence\n\nWhoever gets these weights does no harm with them.\n";

/// Most bytes of a part: enough for the largest tensor of the test's model, and far from enough for the whole model.
const PART: u64 = 1_000_000;

/// A Hub that has the test model as `o/micro15`, with more files beside it.
struct Hub {
    server: HubServer,
    scratch: Scratch,
}

impl Hub {
    fn with(files: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new();
        copy(&fixture("models/micro15"), &scratch.path("hub/o/micro15"));
        for (path, text) in files {
            let path = scratch.path("hub").join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        Self { server: HubServer::start(&scratch.path("hub")), scratch }
    }

    fn site(&self) -> PathBuf {
        self.scratch.path("packed")
    }

    /// The arguments that pack the model.
    fn args<'a>(&'a self, site: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
        let args = ["pack-site", "--model", "o/micro15", "--hub", &self.server.address, "--site", text(site)];
        // A flag that is given twice is refused, and `more` may have a --shard of its own.
        let parts: &[&str] = if more.contains(&"--shard") { &[] } else { &["--shard", "1MB"] };
        [&args[..], parts, more].concat()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn entry(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("entry.json")).expect("an entry")).expect("JSON")
}

#[test]
fn a_model_of_the_hub_lies_in_parts_with_its_licence_and_computes_what_it_did() {
    let hub = Hub::with(&[("o/micro15/LICENSE", LICENCE)]);
    let site = hub.site();
    let output = styleid(&hub.args(&site, &["--weights", "exact"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(names(&site), ["micro15-exact"], "nothing unfinished is left");
    let folder = site.join("micro15-exact");
    let parts: Vec<_> = names(&folder).into_iter().filter(|name| name.ends_with(".gguf")).collect();
    assert_eq!(names(&folder).len(), parts.len() + 2, "{:?}", names(&folder));
    assert!(parts.len() > 2, "{parts:?}");
    let sizes: Vec<u64> = parts.iter().map(|name| fs::metadata(folder.join(name)).expect("a part").len()).collect();
    assert!(sizes.iter().all(|bytes| *bytes <= PART), "{sizes:?}");
    assert_eq!(fs::read_to_string(folder.join("LICENSE.txt")).expect("the licence"), LICENCE);

    let entry = entry(&folder);
    let url = entry["url"].as_str().expect("an address");
    let (file, revision) = url.split_once("?revision=").expect("what tells it from another pack");
    assert_eq!(file, format!("models/micro15-exact/{}", parts[0]));
    assert!(revision.len() == 12 && revision.bytes().all(|byte| byte.is_ascii_hexdigit()), "{revision}");
    assert_eq!(
        entry,
        json!({
            "id": "own-micro15-exact",
            "name": "micro15, weights as in its files",
            "note": "o/micro15 with weights as in its files, packed with this page, for 128 × 128 pixels.",
            "licence": "My Licence",
            "licenceText": "models/micro15-exact/LICENSE.txt",
            "bytes": sizes.iter().sum::<u64>(),
            // Parameters of UNet and VAE, as the reference counts them.
            "parameters": 813_652 + 111_839,
            "prediction": "epsilon",
            "weights": "exact",
            "nativeSize": 128,
            "decoder": [
                { "stride": 32, "layers": [3, 4, 5] },
                { "stride": 16, "layers": [6, 7, 8] },
                { "stride": 8, "layers": [9, 10, 11] },
            ],
            "url": url,
        })
    );

    let golden = Golden::load("micro15.diffusers.n4.rect");
    let settings = params(Preset::Diffusers, 4);
    let pack = Origin::local(&folder.join(&parts[0]), None).expect("a pack");
    let packed = run(&mut session_of(&pack, device::cpu(), WeightType::Exact), &golden, &settings).expect("a run").0;
    let plain = run(&mut session("micro15", device::cpu()), &golden, &settings).expect("a run").0;
    assert!(packed == plain, "another picture");
}

#[test]
fn packed_again_it_takes_the_old_one_s_place_and_says_what_it_is_asked_to() {
    let hub = Hub::with(&[("o/micro15/LICENSE", LICENCE)]);
    let site = hub.site();
    let given = hub.scratch.path("terms.txt");
    fs::write(&given, "# Other Terms\nNo harm.\n").expect("a file");
    assert!(styleid(&hub.args(&site, &["--name", "My model"])).status.success());
    let folder = site.join("my-model-q4");
    let first = names(&folder);
    let before = entry(&folder);
    assert_eq!((&before["name"], before.get("start")), (&json!("My model"), None));
    let again = ["--name", "My model", "--shard", "2MB", "--licence", text(&given), "--start"];
    assert!(styleid(&hub.args(&site, &again)).status.success());
    assert_eq!(names(&site), ["my-model-q4"]);
    let second = names(&folder);
    assert!(second.len() < first.len() && second.contains(&"my-model-q4.styleid.gguf".into()), "{first:?} {second:?}");
    let after = entry(&folder);
    assert_eq!((&after["licence"], &after["start"]), (&json!("Other Terms"), &json!(true)));
    assert_ne!(
        before["url"].as_str().map(revision),
        after["url"].as_str().map(revision),
        "visitors have to get it anew"
    );
    assert!(fs::read_to_string(folder.join("LICENSE.txt")).expect("the licence").contains("No harm."));
}

fn revision(url: &str) -> &str {
    url.split_once('=').expect("a revision").1
}

#[test]
fn a_card_s_licence_is_fetched_where_its_text_is() {
    let card = ("o/micro15/README.md", "---\nlicense: creativeml-openrail-m\n---\n");
    let hub = Hub::with(&[card, ("spaces/CompVis/stable-diffusion-license/license.txt", "Attachment A: no harm.")]);
    let site = hub.site();
    let output = styleid(&hub.args(&site, &[]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = site.join("micro15-q4");
    assert_eq!(entry(&folder)["licence"], "CreativeML OpenRAIL-M");
    assert_eq!(fs::read_to_string(folder.join("LICENSE.txt")).expect("the licence"), "Attachment A: no harm.");
}

#[test]
fn a_vae_s_licence_is_handed_on_beside_the_model_s() {
    let hub = Hub::with(&[("o/micro15/LICENSE", LICENCE)]);
    copy(&fixture("models/micro15/vae"), &hub.scratch.path("hub/o/vae"));
    fs::write(hub.scratch.path("hub/o/vae/LICENSE.txt"), "VAE's Licence\nNo warranty.\n").expect("a file");
    let site = hub.site();
    let output = styleid(&hub.args(&site, &["--vae", "o/vae"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = site.join("micro15-q4");
    assert_eq!(entry(&folder)["licence"], "My Licence and VAE's Licence");
    let text = fs::read_to_string(folder.join("LICENSE.txt")).expect("the licence");
    for part in ["from o/micro15:", "does no harm", "from o/vae:", "No warranty."] {
        assert!(text.contains(part), "{part} in: {text}");
    }
}

#[test]
fn without_a_licence_or_room_nothing_is_packed_and_a_sentence_says_what_to_do() {
    let hub = Hub::with(&[("o/micro15/README.md", "---\nlicense: openrail++\n---\n")]);
    let site = hub.site();
    let said = failure(&hub.args(&site, &[]));
    assert!(said.contains("(CreativeML OpenRAIL++-M) is not found with o/micro15"), "{said}");
    assert!(said.contains("--licence FILE"), "{said}");

    let given = hub.scratch.path("terms.txt");
    fs::write(&given, LICENCE).expect("a file");
    let said = failure(&hub.args(&site, &["--licence", text(&given), "--limit", "41MB", "--weights", "f32"]));
    let room = "takes 4 MB, and 1 MB are left of the site's 41 MB (--limit, if it is not for GitHub Pages)";
    assert!(said.contains(room), "{said}");
    // Files that are in the site already count, too.
    assert!(styleid(&hub.args(&site, &["--licence", text(&given), "--limit", "41.5MB"])).status.success());
    let said = failure(&hub.args(&site, &["--licence", text(&given), "--limit", "41.5MB", "--name", "other"]));
    assert!(said.contains("are left of the site's 41 MB"), "{said}");
    assert_eq!(names(&site), ["micro15-q4"]);

    fs::write(&given, "\n").expect("a file");
    let said = failure(&hub.args(&site, &["--licence", text(&given)]));
    assert!(said.contains("has no text of a licence"), "{said}");
    let said = failure(&["pack-site", "--site", text(&site)]);
    assert!(said.contains("demonstration model comes with every page"), "{said}");
}
