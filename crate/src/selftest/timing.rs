//! Timing of work on the device.

use burn::tensor::Tensor;
use serde::Serialize;

use crate::Result;
use crate::device::wait_and_check_finite;

/// A first run longer than this many seconds is the measurement: compilation and first allocations are small beside it.
const LONG_FIRST: f64 = 30.0;
/// Work that takes more than this many seconds is measured once.
const LONG: f64 = 2.0;
/// Short operations are queued until a batch takes about this long, so that waiting for it weighs little.
const BATCH_SECONDS: f64 = 0.02;
const BATCH_MOST: usize = 64;
const REPETITIONS_MOST: usize = 15;

/// Seconds that one operation took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Timing {
    /// Median of the repetitions.
    pub seconds: f64,
    /// Seconds of the first run, which compiles the shaders.
    pub first: f64,
    /// Number of batches that the median is taken of.
    pub repetitions: usize,
    /// Runs in a batch.
    pub batch: usize,
}

/// Times work on one device.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    /// Minimum seconds that a wait for an idle device takes.
    pub wait: f64,
    /// Seconds to spend on repetitions.
    pub budget: f64,
}

impl Stopwatch {
    /// Measures what a wait costs on the device of `probe`.
    ///
    /// # Errors
    /// The device failed.
    pub async fn new(probe: &Tensor<4>, budget: f64) -> Result<Self> {
        wait_and_check_finite(probe).await?;
        let mut waits = Vec::new();
        for _ in 0..9 {
            let begun = now();
            wait_and_check_finite(probe).await?;
            waits.push(now() - begun);
        }
        // The shortest wait: subtracting too much would make work look faster than it is.
        Ok(Self { wait: waits.into_iter().fold(f64::INFINITY, f64::min), budget })
    }

    /// Returns the median time of `work`, and the result of its last run.
    ///
    /// # Errors
    /// The device failed, or the first number of the result is not finite.
    pub async fn measure(&self, work: &dyn Fn() -> Tensor<4>) -> Result<(Timing, Tensor<4>)> {
        let (first, mut last) = self.batch(work, 1).await?;
        if first > LONG_FIRST {
            return Ok((Timing { seconds: first, first, repetitions: 1, batch: 1 }, last));
        }
        let (once, again) = self.batch(work, 1).await?;
        last = again;
        if once > LONG {
            return Ok((Timing { seconds: once, first, repetitions: 1, batch: 1 }, last));
        }
        let batch = batch_size(once, self.wait);
        let begun = now();
        let mut each = Vec::new();
        while each.len() < 3 || (each.len() < REPETITIONS_MOST && now() - begun < self.budget) {
            let (seconds, again) = self.batch(work, batch).await?;
            each.push(seconds / batch as f64);
            last = again;
        }
        let repetitions = each.len();
        Ok((Timing { seconds: median(&mut each), first, repetitions, batch }, last))
    }

    /// Returns the seconds of one run of `work`, which must have run before: of a single run if that is long, otherwise
    /// the mean of a batch.
    ///
    /// # Errors
    /// As [`Stopwatch::measure`].
    pub async fn quick(&self, work: &dyn Fn() -> Tensor<4>) -> Result<f64> {
        let (once, _) = self.batch(work, 1).await?;
        let batch = batch_size(once, self.wait);
        if batch == 1 {
            return Ok(once);
        }
        let (all, _) = self.batch(work, batch).await?;
        Ok(all / batch as f64)
    }

    /// Seconds of `runs` runs in a row, without the wait at the end.
    async fn batch(&self, work: &dyn Fn() -> Tensor<4>, runs: usize) -> Result<(f64, Tensor<4>)> {
        let begun = now();
        let mut last = work();
        for _ in 1..runs {
            last = work();
        }
        wait_and_check_finite(&last).await?;
        Ok((without_wait(now() - begun, self.wait), last))
    }
}

/// `elapsed` without the wait, but at least half of it: waits vary, and one shorter than usual must not make work look
/// as if it took no time. The result is at least a microsecond, since clocks of browsers are coarse.
fn without_wait(elapsed: f64, wait: f64) -> f64 {
    (elapsed - wait).max(elapsed / 2.0).max(1e-6)
}

fn batch_size(once: f64, wait: f64) -> usize {
    ((BATCH_SECONDS.max(4.0 * wait) / once).ceil() as usize).clamp(1, BATCH_MOST)
}

/// The median: the middle value, or the mean of the two in the middle; 0 if there are no values.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n.is_multiple_of(2) => f64::midpoint(values[half - 1], values[half]),
        _ => values[half],
    }
}

/// Seconds on a monotonic clock.
#[cfg(not(target_arch = "wasm32"))]
pub fn now() -> f64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    BEGUN.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// Seconds on a monotonic clock.
#[cfg(target_arch = "wasm32")]
pub fn now() -> f64 {
    use wasm_bindgen::prelude::*;
    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_namespace = performance, js_name = now)]
        fn milliseconds() -> f64;
    }
    milliseconds() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0, 1.0, 100.0]), 3.0);
        assert_eq!(median(&mut [4.0, 1.0, 100.0, 2.0]), 3.0);
    }

    #[test]
    fn only_short_operations_are_batched() {
        assert_eq!(batch_size(1.0, 0.0), 1);
        assert_eq!(batch_size(0.019, 0.0), 2);
        assert_eq!(batch_size(0.019, 0.01), 3);
        assert_eq!(batch_size(1e-6, 0.0), BATCH_MOST);
    }

    #[test]
    fn a_wait_never_swallows_the_work() {
        assert_eq!(without_wait(1.0, 0.25), 0.75);
        assert_eq!(without_wait(0.04, 0.045), 0.02);
        assert_eq!(without_wait(0.0, 0.0), 1e-6);
    }
}
