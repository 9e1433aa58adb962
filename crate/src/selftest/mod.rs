//! Self-test of the GPU: checks each kind of kernel that a run uses against [sums in f64](sums) on the processor,
//! within seconds. It is for bug reports: a picture of noise says nothing about which kernel of which driver is at
//! fault.

pub mod formula;
mod kernels;
pub mod sums;
pub mod timing;
#[cfg(feature = "gpu")]
pub mod trial;

use burn::tensor::Device;
use serde::Serialize;

use self::kernels::{Kernel, kernels};
use self::timing::{Stopwatch, now};
use crate::device::{Place, Precision};
use crate::ops;
use crate::{Control, Result, fault};

/// Tolerances relative to the largest value, by the type of activations.
pub const TOLERANCES: [(Precision, f64); 2] = [(Precision::F32, 1e-4), (Precision::F16, 5e-3)];

/// Height and width of the tests' latents: those of pictures of 256 pixels, or of 128 if the GPU is emulated on the
/// processor.
const SIDE: usize = 32;
const SOFTWARE_SIDE: usize = 16;

/// What came of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Verdict {
    /// It computes what it should.
    Right,
    /// It computes something else.
    Wrong,
    /// It could not be run, which ended the test.
    Failed,
    /// There was no time left for it.
    Skipped,
}

/// The test of one kernel.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct KernelTest {
    /// What it computes, at which shape, and what its weights are kept as.
    pub name: String,
    /// What its activations are kept as.
    #[cfg_attr(test, ts(type = "\"f32\" | \"f16\""))]
    pub precision: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// Largest difference from what it should compute, of the largest value; NaN where it gave something that is no number.
    pub difference: Option<f64>,
    /// 10⁹ floating-point operations a second.
    pub gflops: Option<f64>,
    /// 10⁹ bytes a second, of kernels that move rather than compute.
    pub gigabytes: Option<f64>,
}

/// A test of this GPU.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SelfTest {
    /// Every kernel, those last for which there was no time.
    pub kernels: Vec<KernelTest>,
    /// Seconds that it took.
    pub seconds: f64,
}

/// The verdict on a largest difference from the known values.
fn judge(difference: f64, tolerance: f64) -> Verdict {
    // NaN fails this comparison, and counts as wrong.
    if difference <= tolerance { Verdict::Right } else { Verdict::Wrong }
}

/// One kernel in one precision.
struct Case {
    kernel: Kernel,
    place: Place,
    precision: Precision,
    tolerance: f64,
}

impl Case {
    /// The test's result without any measurement.
    fn untested(&self, verdict: Verdict) -> KernelTest {
        let precision = if self.precision == Precision::F16 { "f16" } else { "f32" };
        KernelTest { name: self.kernel.name(), precision, verdict, difference: None, gflops: None, gigabytes: None }
    }

    async fn test(&self, watch: &Stopwatch) -> Result<KernelTest> {
        let prepared = self.kernel.prepare(&self.place, self.precision)?;
        let data = (prepared.run)().into_data_async().await?;
        // In a browser nothing else reports that a kernel was rejected.
        fault::check()?;
        let ours: Vec<f32> = data.iter::<f32>().collect();
        let difference = sums::difference(&ours, &prepared.known);
        let mut test = self.untested(judge(difference, self.tolerance));
        test.difference = Some(difference);
        // The stopwatch takes a number that is not finite for a failed device.
        if difference.is_finite() {
            let seconds = watch.quick(&prepared.run).await?;
            let size = if self.precision == Precision::F16 { 2.0 } else { 4.0 };
            let rate = |amount: f64| (amount > 0.0).then_some(amount / seconds / 1e9);
            test.gflops = rate(self.kernel.flop());
            test.gigabytes = rate(size * self.kernel.moved() as f64);
        }
        Ok(test)
    }
}

/// All kernels in f32, then those of the UNet in f16 if shaders support it.
fn cases(device: &Device) -> Vec<Case> {
    let side = if ops::kernels(device).is_for_software() { SOFTWARE_SIDE } else { SIDE };
    let of = |(precision, tolerance)| {
        let place = Place::new(device.clone(), precision, 0).ok();
        let kernels = kernels(side).into_iter().filter(move |kernel| kernel.is_in(precision));
        place.into_iter().flat_map(move |place| {
            kernels.clone().map(move |kernel| Case { kernel, place: place.clone(), precision, tolerance })
        })
    };
    TOLERANCES.into_iter().flat_map(of).collect()
}

/// Tests the kernels of `device`, and starts no more of them after `seconds`. `on_kernel` is called with each kernel's
/// test and the number of kernels.
///
/// # Errors
/// The device was lost, or rejected a kernel; `on_kernel` was called for the kernel that failed. Or the test was
/// cancelled.
pub async fn run(
    device: &Device,
    seconds: f64,
    control: &Control<'_>,
    on_kernel: &dyn Fn(&KernelTest, usize),
) -> Result<SelfTest> {
    let begun = now();
    let cases = cases(device);
    let probe = Place::new(device.clone(), Precision::F32, 0)?.tensor(vec![1.0; 64], [1, 1, 8, 8]);
    let watch = Stopwatch::new(&probe, 0.0).await?;
    let mut kernels = Vec::with_capacity(cases.len());
    for case in &cases {
        control.yield_and_check().await?;
        let test = if now() - begun < seconds {
            let tested = case.test(&watch).await;
            // The exact-size buffers of these weights cannot be reused for others; this frees them.
            device.memory_cleanup();
            tested.inspect_err(|_| on_kernel(&case.untested(Verdict::Failed), cases.len()))?
        } else {
            case.untested(Verdict::Skipped)
        };
        on_kernel(&test, cases.len());
        kernels.push(test);
    }
    Ok(SelfTest { kernels, seconds: now() - begun })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_judged_by_the_precision() {
        let [(_, single), (_, half)] = TOLERANCES;
        assert_eq!(judge(3e-6, single), Verdict::Right);
        assert_eq!(judge(1e-3, single), Verdict::Wrong);
        assert_eq!(judge(1e-3, half), Verdict::Right);
        assert_eq!(judge(0.3, half), Verdict::Wrong);
        assert_eq!(judge(f64::NAN, half), Verdict::Wrong);
    }

    #[test]
    fn every_kernel_has_a_name_of_its_own_and_something_to_be_timed_by() {
        for side in [SIDE, SOFTWARE_SIDE] {
            let all = kernels(side);
            let names: std::collections::BTreeSet<String> = all.iter().map(Kernel::name).collect();
            assert_eq!(names.len(), all.len());
            assert!(all.iter().all(|kernel| (kernel.flop() > 0.0) != (kernel.moved() > 0)));
            assert_eq!(all.iter().filter(|kernel| kernel.is_in(Precision::F16)).count() + 2, all.len());
        }
    }
}
