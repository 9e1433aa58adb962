//! The native GPU, through wgpu.

use std::sync::Arc;

use burn::tensor::Device;
#[cfg(feature = "bench")]
use burn::tensor::wgpu::MemoryConfiguration;
use burn::tensor::wgpu::{WgpuOptions, WgpuSetup, wgpu};

use super::unusable;
#[cfg(feature = "bench")]
use super::{Adapter, TASKS_MAX, opened};
use crate::Result;
use crate::fault::{self, Fault};

/// Opens the best GPU, with all its features and limits.
///
/// # Errors
/// One sentence where there is none.
pub(super) async fn open(options: WgpuOptions) -> Result<(Device, WgpuSetup)> {
    let (device, setup) = options.init_with_setup_async().await.map_err(|error| unusable(&error))?;
    watch_faults(&setup);
    Ok((device, setup))
}

/// Remembers the errors of the device that nobody waits for.
fn watch_faults(setup: &WgpuSetup) {
    setup.device.on_uncaptured_error(Arc::new(|error: wgpu::Error| {
        fault::remember(match error {
            wgpu::Error::OutOfMemory { .. } => Fault::Memory,
            error => Fault::of_message(&error.to_string()),
        });
    }));
}

/// As [`open`](super::open) with no more than the limits that WebGPU promises everywhere, and `memory` for the allocator's way with buffers.
///
/// # Errors
/// One sentence where there is no GPU to use.
#[cfg(feature = "bench")]
pub async fn open_least(memory: MemoryConfiguration) -> Result<(Device, Adapter)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await;
    let adapter = adapter.map_err(|error| unusable(&error))?;
    // wgpu's default limits are WebGPU's. Features are all that there are: natively cubecl takes the adapter's for the
    // device's.
    let required_features = adapter.features() - wgpu::Features::all_experimental_mask();
    let wish = wgpu::DeviceDescriptor { required_features, ..wgpu::DeviceDescriptor::default() };
    let (device, queue) = adapter.request_device(&wish).await.map_err(|error| unusable(&error))?;
    let backend = adapter.get_info().backend;
    let setup = WgpuSetup { instance, adapter, device, queue, backend };
    let options = Device::wgpu_options().tasks_max(TASKS_MAX).memory_config(memory);
    let device = options.setup(setup.clone()).init().map_err(|error| unusable(&error))?;
    watch_faults(&setup);
    Ok(opened(device, &setup))
}
