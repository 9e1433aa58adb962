//! What loading costs: peak heap beyond the weights that are kept, and bytes fetched beyond the tensors needed, for Stable
//! Diffusion 1.5 at its true size (formula weights) as f16 safetensors and as a GGUF file, from disk and over HTTP from
//! `tests/hub/server.js`.
//!
//! `./dev bench loading [FOLDER]`: the two models, 2 GB each, are made in FOLDER (`styleid-true-size` among the temporary
//! files) and stay there.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::rc::Rc;
use std::time::Instant;

use styleid::device::cpu;
use styleid::model::{LoadOptions, StableDiffusion};
use styleid::platform::Here;
use styleid::selftest::formula;
use styleid::weights::source::http::{Web, native::Native};
use styleid::weights::source::hub::Reference;
use styleid::weights::{Origin, WeightType};
use styleid::{Control, Error, Progress, Result};

#[path = "support/heap.rs"]
mod heap;
#[path = "support/shapes.rs"]
mod shapes;
#[path = "support/true_size.rs"]
mod true_size;

const MIB: f64 = 1_048_576.0;

/// The test server; it ends with this program.
struct Hub {
    child: Child,
    address: String,
}

impl Hub {
    fn start(root: &Path) -> Result<Self> {
        let failed =
            |what: &str| Error::File(format!("tests/hub/server.js cannot be started ({what}); it needs Node.js."));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/hub/server.js");
        let mut child = Command::new("node")
            .args([script, "--root"])
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error.to_string()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or_else(|| failed("no output"))?;
        BufReader::new(stdout).read_line(&mut line).map_err(|error| failed(&error.to_string()))?;
        let origins: serde_json::Value = serde_json::from_str(&line).map_err(|error| failed(&error.to_string()))?;
        let address = origins["hub"].as_str().ok_or_else(|| failed("no address"))?.to_string();
        Ok(Self { child, address })
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It ends by itself when its input closes; nothing is lost if it cannot be waited for.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn load(name: &str, origin: &Origin, weights: WeightType, web: Option<&Web>) -> Result<()> {
    let started = Instant::now();
    let before = heap::begin();
    let needed = std::cell::Cell::new(0);
    let on_progress = |progress: Progress| needed.set(progress.steps);
    let control = Control::new(&Here, &on_progress, &|| false);
    let received = web.map_or(0, Web::received);
    let model = pollster::block_on(StableDiffusion::load(
        origin,
        cpu(),
        LoadOptions { weights, ..LoadOptions::default() },
        &control,
    ))?;
    let kept = heap::now() - before;
    let beyond = heap::peak() - before - kept;
    let fetched = web.map_or(String::new(), |web| {
        let fetched = web.received() - received;
        let more = 100.0 * (fetched as f64 / needed.get() as f64 - 1.0);
        format!(", fetched {:.1} MB, {more:+.2} % of the tensors needed", fetched as f64 / 1e6)
    });
    println!(
        "{name:<34} {:<5}  kept {:>7.1} MiB, peak {:>6.1} MiB beyond it, {:.1} s, needed {:.1} MB{fetched}",
        weights.name(),
        kept as f64 / MIB,
        beyond as f64 / MIB,
        started.elapsed().as_secs_f32(),
        needed.get() as f64 / 1e6,
    );
    drop(model);
    Ok(())
}

fn run() -> Result<()> {
    let root = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("styleid-true-size"), PathBuf::from);
    let folder = root.join("test/sd15-f16");
    let gguf = root.join("test/sd15-gguf/sd15-Q8_0.gguf");
    println!("making the models in {}", root.display());
    true_size::folder(&folder)?;
    std::fs::create_dir_all(root.join("test/sd15-gguf")).map_err(|error| Error::File(error.to_string()))?;
    true_size::gguf(&gguf)?;
    // The device and its threads come first, so that they do not count.
    let _ = styleid::device::Place::new(cpu(), styleid::device::Precision::F32, 0)?.tensor::<1>(vec![0.0], [1]);
    for weights in [WeightType::Q8, WeightType::Q4] {
        load("safetensors f16, disk", &Origin::local(&folder, None)?, weights, None)?;
        load("GGUF Q8_0, disk", &Origin::local(&gguf, None)?, weights, None)?;
    }
    let hub = Hub::start(&root)?;
    for repo in ["test/sd15-f16", "test/sd15-gguf"] {
        let web = Web::new(Rc::new(Native::new()), Rc::new(|notice: &str| println!("{notice}")));
        let reference = Reference::parse(repo)?;
        let origin = Origin::remote(reference, &web, &hub.address, WeightType::Q8, None);
        load(&format!("{repo}, HTTP"), &origin, WeightType::Q8, Some(&web))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
