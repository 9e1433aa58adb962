//! Where the processor's time goes, by kind of operation. Only programs with the feature `bench` measure it.

#[cfg(feature = "bench")]
use std::collections::BTreeMap;
#[cfg(feature = "bench")]
use std::sync::{Mutex, PoisonError};
#[cfg(feature = "bench")]
use std::time::Instant;

/// Seconds by kind since the last [`take`].
#[cfg(feature = "bench")]
static SECONDS: Mutex<BTreeMap<&'static str, f64>> = Mutex::new(BTreeMap::new());

/// Does `work`, and adds its time to that of its kind. Operations on the processor are done when they return.
#[cfg(feature = "bench")]
pub(super) fn timed<T>(kind: &'static str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    let took = began.elapsed().as_secs_f64();
    *SECONDS.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += took;
    result
}

/// Does `work`.
#[cfg(not(feature = "bench"))]
pub(super) fn timed<T>(_: &'static str, work: impl FnOnce() -> T) -> T {
    work()
}

/// The seconds of every kind of operation since the last call.
#[cfg(feature = "bench")]
pub fn take() -> BTreeMap<&'static str, f64> {
    std::mem::take(&mut *SECONDS.lock().unwrap_or_else(PoisonError::into_inner))
}
