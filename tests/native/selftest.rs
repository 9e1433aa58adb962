//! The self-test of a GPU, on a software adapter with both families of kernels, and on the processor.

use std::cell::RefCell;

use styleid::device::cpu;
use styleid::ops::Kernels;
use styleid::platform::silent;
use styleid::selftest::{self, KernelTest, SelfTest, Verdict};

use crate::support::{self, Chosen};

/// Seconds that are enough for every kernel, on a machine that does other things, too.
const ENOUGH: f64 = 900.0;
/// Seconds that are enough for some kernels. A software adapter takes a minute to compile them all, and minutes for
/// those in f16; `ops_*.rs` tests each kernel.
const LITTLE: f64 = 20.0;

fn names(tests: &[KernelTest]) -> Vec<(String, &'static str)> {
    tests.iter().map(|test| (test.name.clone(), test.precision)).collect()
}

fn every_kernel_is_right(kernels: Kernels, device: &burn::tensor::Device) {
    let heard = RefCell::new(Vec::new());
    let on_kernel = |test: &KernelTest, of: usize| {
        eprintln!("{kernels:?} {of}: {test:?}");
        heard.borrow_mut().push(test.clone());
    };
    let SelfTest { kernels: tests, seconds } =
        pollster::block_on(selftest::run(device, ENOUGH, &silent(), &on_kernel)).expect("the device computes");
    eprintln!("{kernels:?}: {seconds:.1} s");
    assert_eq!(names(&heard.borrow()), names(&tests), "each is told of, in their order");
    for test in &tests {
        assert_eq!(test.verdict, Verdict::Right, "{kernels:?}: {test:?}");
        assert!(test.gflops.or(test.gigabytes).is_some_and(|rate| rate > 0.0), "{test:?}");
    }
    assert!(tests.iter().all(|test| test.precision == "f32"));
    assert!(tests.len() >= 20, "{}", tests.len());
}

#[test]
fn kernels_of_an_adapter_are_right_and_those_without_time_are_told_last() {
    let Some((gpu, adapter)) = support::gpu() else { return };
    for kernels in [Kernels::Software, Kernels::Hardware] {
        let _chosen = Chosen::new(kernels);
        let test = pollster::block_on(selftest::run(gpu, LITTLE, &silent(), &|_, _| ())).expect("the device computes");
        let begun = test.kernels.iter().take_while(|test| test.verdict != Verdict::Skipped).count();
        assert!(begun > 0);
        assert!(test.kernels[..begun].iter().all(|test| test.verdict == Verdict::Right), "{kernels:?}: {test:?}");
        assert!(test.kernels[begun..].iter().all(|test| test.verdict == Verdict::Skipped), "{kernels:?}: {test:?}");
        assert_eq!(test.kernels.iter().any(|test| test.precision == "f16"), adapter.shader_f16);
    }
}

#[test]
fn every_kernel_of_the_processor_is_right() {
    every_kernel_is_right(Kernels::Processor, &cpu());
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
