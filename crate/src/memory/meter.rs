//! Our own accounting of the GPU's memory: what burn's allocator holds, and the most it held.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use serde::Serialize;

/// Bytes on the GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GpuBytes {
    /// Of tensors that are alive.
    pub in_use: u64,
    /// Of buffers, those included that wait to be used again.
    pub reserved: u64,
}

impl GpuBytes {
    fn most(self, other: Self) -> Self {
        Self { in_use: self.in_use.max(other.in_use), reserved: self.reserved.max(other.reserved) }
    }
}

struct Meter {
    device: Device,
    peak: GpuBytes,
    /// The most since the last lap.
    lap: GpuBytes,
}

/// Of the one GPU that a process opens.
static METER: Mutex<Option<Meter>> = Mutex::new(None);

fn meter() -> MutexGuard<'static, Option<Meter>> {
    // Whoever panicked while holding it left numbers behind, which cannot be half written.
    METER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the meter look at `device` from now on.
pub fn watch(device: Device) {
    *meter() = Some(Meter { device, peak: GpuBytes::default(), lap: GpuBytes::default() });
}

/// What `device` holds now; nothing is known of the processor.
pub fn gpu_bytes(device: &Device) -> Option<GpuBytes> {
    let usage = device.memory_pool_usage()?;
    Some(GpuBytes { in_use: usage.bytes_in_use, reserved: usage.bytes_reserved })
}

/// Looks at the watched GPU; done between a network's blocks. What comes and goes within a block shows in `reserved`, since
/// buffers are kept for the next tensor of their size.
pub fn sample() {
    let mut meter = meter();
    if let Some(meter) = meter.as_mut()
        && let Some(bytes) = gpu_bytes(&meter.device)
    {
        meter.peak = meter.peak.most(bytes);
        meter.lap = meter.lap.most(bytes);
    }
}

/// Forgets what was: a run begins.
pub fn begin() {
    if let Some(meter) = meter().as_mut() {
        (meter.peak, meter.lap) = (GpuBytes::default(), GpuBytes::default());
    }
    sample();
}

/// The most that was seen on the watched GPU since this was last asked.
pub fn lap() -> Option<GpuBytes> {
    sample();
    meter().as_mut().map(|meter| std::mem::take(&mut meter.lap))
}

/// The most that was seen on the watched GPU since the run [began](begin).
pub fn peak() -> Option<GpuBytes> {
    meter().as_ref().map(|meter| meter.peak)
}
