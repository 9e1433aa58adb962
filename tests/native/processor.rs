//! Whole runs in f32, which the processor's own operations compute, compared with the reference: with all the vector
//! instructions that this machine has, and with fewer.

use std::process::Command;

use styleid::Preset;
use styleid::device::{self, Precision};
use styleid::model::LoadOptions;
use styleid::weights::Origin;

use crate::golden::fixture;
use crate::support::{params, session_with};
use crate::whole_runs::whole_run_of;

/// Processors that QEMU poses as: one with AVX2 and FMA, and one with SSE 4.2 at most.
const OLDER: [&str; 2] = ["Haswell", "Nehalem"];

fn whole_run(model: &str, golden: &str, steps: usize) {
    let origin = Origin::local(&fixture(model), None).expect("a model");
    let options = LoadOptions { precision: Precision::F32, ..LoadOptions::default() };
    whole_run_of(session_with(&origin, device::cpu(), options), golden, &params(Preset::Diffusers, steps));
}

#[test]
fn one_x_with_4_bit_weights() {
    whole_run("single-file/tiny15.q4_0.gguf", "tiny15.q4_0.gguf.n4", 4);
}

/// Large enough for Winograd's convolution, which takes 64 tiles of 2 × 2 pixels and 64 channels or more.
#[test]
fn a_large_picture() {
    whole_run("single-file/tiny15.q4_0.gguf", "tiny15.q4_0.gguf.n2.large", 2);
}

#[test]
fn two_x_with_8_bit_weights() {
    whole_run("single-file/tiny21b.q8_0.gguf", "tiny21b.q8_0.gguf.n4", 4);
}

#[test]
fn pictures_of_several_shapes() {
    whole_run("models/micro15", "micro15.diffusers.n4.rect", 4);
}

#[test]
fn v_prediction() {
    whole_run("models/micro21v", "micro21v.diffusers.n4", 4);
}

#[test]
fn a_distilled_network() {
    whole_run("models/micro15bk_tiny", "micro15bk_tiny.diffusers.n4", 4);
}

#[test]
fn a_run_on_older_processors() {
    let is_there = Command::new("qemu-x86_64").arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there || !cfg!(target_arch = "x86_64") {
        eprintln!("QEMU's user mode is not here, so nothing poses as an older processor.");
        return;
    }
    let tests = std::env::current_exe().expect("this program");
    for processor in OLDER {
        let run = Command::new("qemu-x86_64")
            .args(["-cpu", processor])
            .arg(&tests)
            .args(["--exact", "processor::one_x_with_4_bit_weights"])
            .output()
            .expect("QEMU runs");
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{processor}: {said}");
    }
}
