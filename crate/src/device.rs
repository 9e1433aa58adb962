//! Where the networks run: the processor natively, a GPU through wgpu natively, WebGPU in the browser.

use burn::tensor::Device;

use crate::{Error, Result};

/// All cores of the processor.
#[cfg(not(target_arch = "wasm32"))]
pub fn cpu() -> Device {
    Device::flex()
}

/// The GPU's kernels queued before they are submitted: enough to amortise a submission, few enough to stay responsive.
const TASKS_MAX: usize = 32;

/// What a GPU is, for people.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Adapter {
    /// The adapter's name; browsers may leave it empty.
    pub name: String,
    /// Graphics API beneath wgpu.
    pub backend: String,
    /// Whether it is the processor pretending to be a GPU.
    pub software: bool,
    /// Whether shaders may compute in f16.
    pub shader_f16: bool,
    /// Largest buffer in MiB.
    pub max_buffer_mib: u64,
}

/// Opens the best GPU that there is. Can be done once in a process; clone the device afterwards.
///
/// # Errors
/// One sentence where there is no GPU to use.
pub async fn gpu() -> Result<(Device, Adapter)> {
    let (device, setup) = Device::wgpu_options()
        .tasks_max(TASKS_MAX)
        .init_with_setup_async()
        .await
        .map_err(|error| Error::Device(format!("No GPU can be used here ({error}).")))?;
    let info = setup.adapter.get_info();
    let software = info.device_type == burn::tensor::wgpu::wgpu::DeviceType::Cpu
        || ["swiftshader", "llvmpipe", "lavapipe"].iter().any(|name| info.name.to_lowercase().contains(name));
    let adapter = Adapter {
        backend: format!("{:?}", info.backend),
        software,
        shader_f16: setup.device.features().contains(burn::tensor::wgpu::wgpu::Features::SHADER_F16),
        max_buffer_mib: setup.device.limits().max_buffer_size >> 20,
        name: info.name,
    };
    Ok((device, adapter))
}
