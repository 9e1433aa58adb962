//! Opening a GPU: natively through wgpu, in a browser through WebGPU. Whoever opens it has its faults and its memory watched
//! and its kernels chosen.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
pub mod hardware;
#[cfg(not(target_arch = "wasm32"))]
mod native;

use std::collections::BTreeMap;

use burn::tensor::Device;
use burn::tensor::wgpu::{WgpuSetup, wgpu};

pub use crate::device::Adapter;
use crate::device::{Limits, set_limits};
use crate::ops::{self, Kernels};
use crate::{Error, Result, memory};

#[cfg(all(feature = "bench", not(target_arch = "wasm32")))]
pub use native::open_least;

/// Kernels queued before they are submitted: enough to amortise a submission, few enough to stay responsive.
const TASKS_MAX: usize = 32;

/// No device could be opened because of `error`.
fn unusable(error: &dyn std::fmt::Display) -> Error {
    Error::Unsupported(format!("No GPU can be used here ({error})."))
}

/// Whether an adapter is the processor pretending to be a GPU.
fn is_software(kind: wgpu::DeviceType, name: &str) -> bool {
    let names = ["swiftshader", "llvmpipe", "lavapipe", "basic render driver"];
    kind == wgpu::DeviceType::Cpu || names.iter().any(|software| name.to_lowercase().contains(software))
}

/// Opens the best GPU that there is. Can be done once in a process; clone the device afterwards.
///
/// # Errors
/// One sentence where there is no GPU to use.
pub async fn open() -> Result<(Device, Adapter)> {
    let options = Device::wgpu_options().tasks_max(TASKS_MAX);
    #[cfg(not(target_arch = "wasm32"))]
    let (device, setup) = native::open(options).await?;
    #[cfg(target_arch = "wasm32")]
    let (device, setup) = browser::open(options).await?;
    Ok(opened(device, &setup))
}

/// Notes what the GPU allows, chooses its kernels and has it watched.
fn opened(device: Device, setup: &WgpuSetup) -> (Device, Adapter) {
    let info = setup.adapter.get_info();
    #[cfg(target_arch = "wasm32")]
    let info = wgpu::AdapterInfo { name: browser::name(setup), ..info };
    let software = is_software(info.device_type, &info.name);
    let kernels = if software { Kernels::Software } else { Kernels::Hardware };
    ops::choose(kernels);
    let features = setup.device.features();
    #[cfg(not(target_arch = "wasm32"))]
    let may_use_subgroups = features.contains(wgpu::Features::SUBGROUP);
    #[cfg(target_arch = "wasm32")]
    let may_use_subgroups = browser::may_use_subgroups(setup);
    let (least, most) = (info.subgroup_min_size, info.subgroup_max_size);
    ops::use_subgroups((may_use_subgroups && least == most).then_some(least));
    let limits = setup.device.limits();
    let shader_f16 = features.contains(wgpu::Features::SHADER_F16);
    set_limits(Limits { buffer: limits.max_buffer_size, binding: limits.max_storage_buffer_binding_size, shader_f16 });
    memory::watch(device.clone());
    let adapter = Adapter {
        backend: format!("{:?}", info.backend),
        software,
        kernels: kernels.name(),
        shader_f16,
        max_buffer_mib: limits.max_buffer_size >> 20,
        name: info.name,
        tiles: BTreeMap::new(),
    };
    (device, adapter)
}
