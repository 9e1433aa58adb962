//! The self-test of a GPU, on a software adapter with both families of kernels, and on the processor.

use std::cell::RefCell;

use styleid::device::cpu;
use styleid::ops::Kernels;
use styleid::platform::silent;
use styleid::selftest::{self, KernelTest, SelfTest, Verdict};

use crate::support::{self, Chosen};

/// Long enough for every kernel in f32, on a machine that does other things too; lavapipe takes minutes to compile those in f16.
const ENOUGH: f64 = 90.0;
/// Enough for some kernels that are made for hardware, which a software adapter is slow with; `ops_*.rs` test the others.
const LITTLE: f64 = 20.0;

fn names(tests: &[KernelTest]) -> Vec<(String, &'static str)> {
    tests.iter().map(|test| (test.name.clone(), test.precision)).collect()
}

fn every_kernel_is_right(kernels: Kernels, shader_f16: bool, device: &burn::tensor::Device) {
    let heard = RefCell::new(Vec::new());
    let on_kernel = |test: &KernelTest, of: usize| {
        eprintln!("{kernels:?} {of}: {test:?}");
        heard.borrow_mut().push(test.clone());
    };
    let SelfTest { kernels: tests, seconds } =
        pollster::block_on(selftest::run(device, ENOUGH, &silent(), &on_kernel)).expect("the device computes");
    eprintln!("{kernels:?}: {seconds:.1} s");
    assert_eq!(names(&heard.borrow()), names(&tests), "each is told of, in their order");
    let is_skipped = |test: &&KernelTest| test.precision == "f16" && test.verdict == Verdict::Skipped;
    for test in tests.iter().filter(|test| !is_skipped(test)) {
        assert_eq!(test.verdict, Verdict::Right, "{kernels:?}: {test:?}");
        assert!(test.gflops.or(test.gigabytes).is_some_and(|rate| rate > 0.0), "{test:?}");
    }
    assert_eq!(tests.iter().any(|test| test.precision == "f16"), shader_f16);
    assert!(tests.len() >= 20, "{}", tests.len());
}

#[test]
fn every_kernel_of_a_software_adapter_is_right() {
    let Some((gpu, adapter)) = support::gpu() else { return };
    let _chosen = Chosen::new(Kernels::Software);
    every_kernel_is_right(Kernels::Software, adapter.shader_f16, gpu);
}

#[test]
fn kernels_that_there_was_no_time_for_are_told_last() {
    let Some((gpu, _)) = support::gpu() else { return };
    let _chosen = Chosen::new(Kernels::Hardware);
    let test = pollster::block_on(selftest::run(gpu, LITTLE, &silent(), &|_, _| ())).expect("the device computes");
    let begun = test.kernels.iter().take_while(|test| test.verdict != Verdict::Skipped).count();
    assert!(begun > 0);
    assert!(test.kernels[..begun].iter().all(|test| test.verdict == Verdict::Right), "{test:?}");
    assert!(test.kernels[begun..].iter().all(|test| test.verdict == Verdict::Skipped), "{test:?}");
}

#[test]
fn every_kernel_of_the_processor_is_right() {
    every_kernel_is_right(Kernels::Processor, false, &cpu());
}

#[test]
fn without_any_time_nothing_is_run() {
    let none = |_: &KernelTest, _: usize| ();
    let test = pollster::block_on(selftest::run(&cpu(), 0.0, &silent(), &none)).expect("the processor computes");
    assert!(test.kernels.len() >= 20);
    assert!(test.kernels.iter().all(|test| test.verdict == Verdict::Skipped && test.difference.is_none()));
}

#[test]
fn a_cancelled_test_ends() {
    let control = styleid::Control::new(&styleid::platform::Here, &|_| (), &|| true);
    let ended = pollster::block_on(selftest::run(&cpu(), ENOUGH, &control, &|_, _| ()));
    assert!(matches!(ended, Err(styleid::Error::Cancelled)));
}
