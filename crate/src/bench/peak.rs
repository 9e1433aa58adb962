//! The most multiply-adds that the adapter does: chains of them in registers, which touch no memory.

use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use serde::Serialize;

use super::timing::Stopwatch;
use crate::Result;
use crate::device::Place;

const INVOCATIONS: usize = 256;
/// Steps of the loop, and multiply-adds of each chain in a step.
const STEPS: u32 = 64;
const UNROLLED: usize = 8;
/// Invocations write here by turns: the results only have to be wanted.
const SLOTS: usize = 1 << 14;
/// A workgroup more does not help once a dispatch takes this long; a weak GPU's watchdog is far off.
const LONG: f64 = 0.05;
const WORKGROUPS_MOST: usize = 1 << 15;

/// Seconds to spend on each size of each variant.
const BUDGET: f64 = 0.25;

/// Chains and how fast they ran.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Variant {
    /// 10⁹ f32 operations a second, a multiply-add counted as two.
    pub gflops: f64,
    /// Independent chains of vec4 in each invocation.
    pub chains: usize,
    /// Whether written as `fma(a, b, c)` rather than `a * b + c`.
    pub fused: bool,
}

/// The fastest, and all that were tried.
#[derive(Debug, Clone, Serialize)]
pub struct Peak {
    /// The fastest.
    pub best: Variant,
    /// Each at its best number of workgroups. Few chains cannot hide latency, many do not fit the registers.
    pub variants: Vec<Variant>,
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
        // No two chains alike: equal ones could be computed once.
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
        // SAFETY: the buffer holds SLOTS vectors and every invocation writes below SLOTS. That two may write the same
        // one is of no consequence: nobody reads what it says.
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

/// Measures the peak of `place`'s device.
///
/// # Errors
/// The device failed.
pub async fn measure(place: &Place, watch: &Stopwatch) -> Result<Peak> {
    let watch = Stopwatch { budget: BUDGET, ..*watch };
    let seed: Tensor<1> = place.tensor(vec![0.0], [1]);
    let mut variants = Vec::new();
    for (chains, fused) in [(1, true), (2, true), (4, true), (8, true), (16, true), (2, false), (8, false)] {
        let mut best = Variant { gflops: 0.0, chains, fused };
        let mut workgroups = 16;
        loop {
            let run = || {
                let seed = seed.clone().into_dispatch();
                let out = <Dispatch as Chains>::chains(seed, workgroups, chains, fused);
                Tensor::<1>::from_dispatch(out).reshape([1, 1, 1, 4 * SLOTS])
            };
            let (timing, _) = watch.measure(&run).await?;
            // A batch that is short beside the wait says little.
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
    let best = variants.iter().copied().max_by(|a, b| a.gflops.total_cmp(&b.gflops));
    Ok(Peak { best: best.unwrap_or(Variant { gflops: 0.0, chains: 0, fused: false }), variants })
}
