//! The adapter's peak rate of multiply-adds: chains of them in registers, which touch no memory.
//!
//! A chain is `v = v·a + b` over and over on one vec4, so that each multiply-add waits for the one before. One chain in
//! an invocation shows the latency; many independent ones hide it, and show what the units can do. On software adapters
//! the difference is large: their invocations are lanes of the processor's vectors, with no others to switch to, so
//! that many chains run several times as fast as one. A matrix product in register tiles has many chains, so the higher
//! peak is the one that it can approach; the lower peak is what a simple kernel would measure. Both are reported.

use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use serde::Serialize;

use crate::Result;
use crate::device::Place;
use crate::selftest::timing::Stopwatch;

const INVOCATIONS: usize = 256;
/// Steps of the loop, and multiply-adds of each chain in a step.
const STEPS: u32 = 64;
const UNROLLED: usize = 8;
/// Vectors of the result, which invocations share. They exist only so that the chains are not optimised away.
const SLOTS: usize = 1 << 14;
/// Seconds of a dispatch beyond which more workgroups do not help. The limit of a weak GPU's watchdog is far higher.
const LONG: f64 = 0.05;
const WORKGROUPS_MOST: usize = 1 << 15;

/// Chains in each invocation, and whether the multiply-adds are fused.
const VARIANTS: [(usize, bool); 8] =
    [(1, true), (1, false), (2, true), (4, true), (8, true), (8, false), (16, true), (16, false)];

/// Seconds to spend on each size of each variant.
const BUDGET: f64 = 0.25;

/// A number of chains, and how fast they ran.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Variant {
    /// 10⁹ f32 operations a second, a multiply-add counted as two.
    pub gflops: f64,
    /// Independent chains of vec4 in each invocation.
    pub chains: usize,
    /// Whether written as `fma(a, b, c)` rather than `a * b + c`.
    pub fused: bool,
}

/// The two peaks that are reported, and all variants that were tried.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Peak {
    /// One chain of vec4 in each invocation.
    pub one_chain: Variant,
    /// The fastest of all.
    pub many_chains: Variant,
    /// Each variant at its best number of workgroups. Few chains cannot hide latency; too many do not fit the
    /// registers.
    pub variants: Vec<Variant>,
}

impl Peak {
    fn of(variants: Vec<Variant>) -> Self {
        let fastest = |chosen: &dyn Fn(&Variant) -> bool| {
            let most =
                variants.iter().copied().filter(|variant| chosen(variant)).max_by(|a, b| a.gflops.total_cmp(&b.gflops));
            most.unwrap_or(Variant { gflops: 0.0, chains: 0, fused: false })
        };
        Self { one_chain: fastest(&|variant| variant.chains == 1), many_chains: fastest(&|_| true), variants }
    }
}

#[backend_extension(Cube)]
trait Chains: Backend {
    fn chains(seed: FloatTensor<Self>, workgroups: usize, chains: usize, fused: bool) -> FloatTensor<Self>;
}

#[cube(launch_unchecked)]
fn chains_kernel(
    out: &mut [Vector<f32, Const<4>>],
    factor: f32,
    addend: f32,
    steps: u32,
    #[comptime] chains: usize,
    #[comptime] fused: bool,
) {
    let slot = ABSOLUTE_POS % SLOTS;
    let factor = Vector::<f32, Const<4>>::new(factor);
    let addend = Vector::<f32, Const<4>>::new(addend);
    let mut values = Sequence::<RuntimeCell<Vector<f32, Const<4>>>>::new();
    #[unroll]
    for chain in 0..chains {
        // Each chain starts with another value: equal chains could be computed once.
        values.push(RuntimeCell::new(Vector::new(f32::cast_from(slot + chain))));
    }
    for _ in 0..steps {
        #[unroll]
        for _ in 0..UNROLLED {
            #[unroll]
            for chain in 0..chains {
                let value = values.index(chain);
                if fused {
                    value.store(fma(value.read(), factor, addend));
                } else {
                    value.store(value.read() * factor + addend);
                }
            }
        }
    }
    let sum = values.index(0);
    #[unroll]
    for chain in 1..chains {
        sum.store(sum.read() + values.index(chain).read());
    }
    out[slot] = sum.read();
}

impl Chains for CubeBackend {
    fn chains(seed: FloatTensor<Self>, workgroups: usize, chains: usize, fused: bool) -> FloatTensor<Self> {
        let client = seed.client.clone();
        let handle = client.empty(SLOTS * 16);
        let out = CubeTensor::new_contiguous(
            client.clone(),
            seed.device.clone(),
            [4 * SLOTS].into(),
            handle.clone(),
            seed.dtype,
        );
        // SAFETY: the buffer holds SLOTS vectors, and every invocation writes below SLOTS. Invocations that write the
        // same vector write the same value, since it depends on the slot only.
        unsafe {
            chains_kernel::launch_unchecked(
                &client,
                CubeCount::Static(workgroups as u32, 1, 1),
                CubeDim::new_1d(INVOCATIONS as u32),
                BufferArg::from_raw_parts(handle, SLOTS),
                0.999,
                0.001,
                STEPS,
                chains,
                fused,
            );
        }
        out
    }
}

fn flop(workgroups: usize, chains: usize) -> f64 {
    8.0 * (workgroups * INVOCATIONS * chains * STEPS as usize * UNROLLED) as f64
}

/// Measures the peaks of `place`'s device.
///
/// # Errors
/// The device failed.
pub async fn measure(place: &Place, watch: &Stopwatch) -> Result<Peak> {
    let watch = Stopwatch { budget: BUDGET, ..*watch };
    let seed: Tensor<1> = place.tensor(vec![0.0], [1]);
    let mut variants = Vec::new();
    for (chains, fused) in VARIANTS {
        let mut best = Variant { gflops: 0.0, chains, fused };
        let mut workgroups = 16;
        loop {
            let run = || {
                let seed = seed.clone().into_dispatch();
                let out = <Dispatch as Chains>::chains(seed, workgroups, chains, fused);
                Tensor::<1>::from_dispatch(out).reshape([1, 1, 1, 4 * SLOTS])
            };
            let (timing, _) = watch.measure(&run).await?;
            // A batch that is shorter than the wait says little.
            if timing.seconds * timing.batch as f64 > watch.wait || workgroups >= WORKGROUPS_MOST {
                best.gflops = best.gflops.max(flop(workgroups, chains) / timing.seconds / 1e9);
            }
            if timing.seconds > LONG || workgroups >= WORKGROUPS_MOST {
                break;
            }
            workgroups *= 8;
        }
        variants.push(best);
    }
    Ok(Peak::of(variants))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_peaks_are_found() {
        let variant = |gflops, chains, fused| Variant { gflops, chains, fused };
        let peak = Peak::of(vec![
            variant(5.0, 1, true),
            variant(7.0, 1, false),
            variant(30.0, 8, true),
            variant(20.0, 16, true),
        ]);
        assert_eq!((peak.one_chain.gflops, peak.many_chains.gflops), (7.0, 30.0));
        assert_eq!((peak.one_chain.chains, peak.many_chains.chains), (1, 8));
    }
}
