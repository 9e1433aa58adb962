//! Helpers that several test modules share: a model in a session, the settings of a golden, a temporary folder.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use burn::tensor::Device;
use styleid::gpu::{self, Adapter};
use styleid::memory::Memory;
use styleid::model::{LoadOptions, StableDiffusion};
use styleid::ops::{self, Kernels};
use styleid::picture::Size;
use styleid::platform::{Here, silent};
use styleid::weights::{Origin, WeightType};
use styleid::{Control, Params, Phase, Pipeline, Preset, Progress, Result, Session, Style};

use crate::golden::{Golden, fixture};

pub fn session(model: &str, device: Device) -> Session {
    session_of(&Origin::local(&fixture(&format!("models/{model}")), None).expect("a folder"), device, WeightType::Exact)
}

pub fn session_of(origin: &Origin, device: Device, weights: WeightType) -> Session {
    session_within(origin, device, weights, Memory::default())
}

pub fn session_within(origin: &Origin, device: Device, weights: WeightType, memory: Memory) -> Session {
    session_with(origin, device, LoadOptions { weights, memory, ..LoadOptions::default() })
}

pub fn session_with(origin: &Origin, device: Device, options: LoadOptions) -> Session {
    let model = pollster::block_on(StableDiffusion::load(origin, device, options, &silent())).expect("a whole model");
    Session::new(Pipeline::new(model)).traced()
}

/// The settings that goldens are made with: pictures keep their size, and all settings not given here are the defaults.
pub fn params(preset: Preset, steps: usize) -> Params {
    Params { preset, steps: Some(steps), size: Some(Size::Keep), ..Params::default() }
}

/// Runs a golden's own pictures. Returns the result and all progress reports.
pub fn run(session: &mut Session, golden: &Golden, params: &Params) -> Result<(image::RgbImage, Vec<Progress>)> {
    run_pictures(session, &golden.picture("content_u8"), &golden.picture("style_u8"), params)
}

pub fn run_pictures(
    session: &mut Session,
    content: &image::RgbImage,
    style: &image::RgbImage,
    params: &Params,
) -> Result<(image::RgbImage, Vec<Progress>)> {
    run_styles(session, content, &[Style::alone(style)], params).map(|(image, reports, _)| (image, reports))
}

/// Runs any number of styles. Returns the result, all progress reports and the number of UNet evaluations.
pub fn run_styles(
    session: &mut Session,
    content: &image::RgbImage,
    styles: &[Style],
    params: &Params,
) -> Result<(image::RgbImage, Vec<Progress>, usize)> {
    let reports = RefCell::new(Vec::new());
    let on_progress = |progress| reports.borrow_mut().push(progress);
    let (image, calls) = {
        let control = Control::new(&Here, &on_progress, &|| false);
        let outcome = pollster::block_on(session.run(content, styles, params, &control))?;
        (outcome.image, outcome.unet_calls)
    };
    Ok((image, reports.into_inner(), calls))
}

/// Number of steps that a run reported as done in `phase`. The report of step 0 opens the phase and is not counted.
pub fn steps_of(reports: &[Progress], phase: Phase) -> usize {
    reports.iter().filter(|progress| progress.phase == phase && progress.step > 0).count()
}

/// The GPU, which is opened once for the whole process, or `None` on a machine without one.
pub fn gpu() -> Option<&'static (Device, Adapter)> {
    static GPU: OnceLock<Option<(Device, Adapter)>> = OnceLock::new();
    let opened = GPU.get_or_init(|| match pollster::block_on(gpu::open()) {
        Ok(opened) => {
            eprintln!("on {:?}", opened.1);
            Some(opened)
        }
        Err(error) => {
            // Only ./dev test, which sets VK_DRIVER_FILES, promises a GPU. `cargo test` alone must work without one.
            assert!(std::env::var_os("VK_DRIVER_FILES").is_none(), "{error}");
            eprintln!("skipped: {error}");
            None
        }
    });
    opened.as_ref()
}

/// Chooses the kernels that run on the GPU until this is dropped. The choice holds for the whole process, so tests take
/// turns.
pub struct Chosen(#[allow(dead_code, reason = "held until dropped")] MutexGuard<'static, ()>);

impl Chosen {
    pub fn new(kernels: Kernels) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        // A poisoned lock can be used: a test that failed leaves nothing half done.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        ops::choose(kernels);
        Self(turn)
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        ops::choose(Kernels::Reference);
    }
}

/// A temporary folder for one test, removed when this is dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("styleid-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder can be made");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A file that cannot be removed is in the system's temporary folder anyway.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A local server that behaves like the Hugging Face Hub (tests/hub/server.js). It serves the repositories in a folder
/// until this is dropped.
pub struct HubServer {
    server: Child,
    /// Origin of the hub, such as `http://127.0.0.1:1234`.
    pub address: String,
}

impl HubServer {
    pub fn start(root: &Path) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/hub/server.js");
        let mut server = Command::new("node")
            .args([script, "--root"])
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node.js");
        let mut line = String::new();
        BufReader::new(server.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let origins: serde_json::Value = serde_json::from_str(&line).expect("two origins");
        let address = origins["hub"].as_str().expect("an origin").to_owned();
        Self { server, address }
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        // The server ends when its standard input is closed.
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}
