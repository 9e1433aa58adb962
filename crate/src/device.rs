//! Devices: where tensors live, their float types, and the GPU's limits. Every module imports this; opening a GPU is
//! another module's job.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use burn::tensor::{DType, Device, ExecutionError, FloatDType, Tensor, TensorData};

use crate::fault::{self, Fault};
use crate::{Error, Result};

/// The floating-point type that a run computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// f64 on the processor for models small enough that it costs little, f32 otherwise. Rounding in f32 grows over a
    /// run to about 4e-4 of the latents (measured against f64, 20 steps); f64 removes our share of that.
    #[default]
    Auto,
    /// f32.
    F32,
    /// f64, on the processor only.
    F64,
    /// f32, but activations within the UNet's branches are f16, accumulated in f32: less memory traffic, on GPUs whose
    /// shaders have f16. What the branches are added to stays f32: rounded to f16 at every addition, it would be most of
    /// the error.
    F16,
}

/// UNets of fewer weights than this run in f64 under [`Precision::Auto`].
const SMALL_UNET: u64 = 5_000_000;

/// A device and the float types used on it. All tensors of a run are created here.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where tensors live.
    pub device: Device,
    dtype: DType,
    activations: DType,
}

impl Place {
    /// The place for a UNet of `parameters` weights.
    ///
    /// # Errors
    /// Says that the device cannot compute in the requested type.
    pub fn new(device: Device, precision: Precision, parameters: u64) -> Result<Self> {
        let wide = is_processor(&device);
        if precision == Precision::F16 && (wide || !limits().shader_f16) {
            return Err(Error::Settings(
                "This device's shaders have no f16; compute in f32, without half precision.".into(),
            ));
        }
        let dtype = match precision {
            Precision::Auto if wide && parameters < SMALL_UNET => DType::F64,
            Precision::F64 if wide => DType::F64,
            Precision::F64 => {
                return Err(Error::Settings("Only the processor computes in f64; use f32 on a GPU.".into()));
            }
            _ => DType::F32,
        };
        let activations = if precision == Precision::F16 { DType::F16 } else { dtype };
        Ok(Self { device, dtype, activations })
    }

    /// The type of floats here.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The type of activations within the UNet's branches here.
    pub fn activations(&self) -> FloatDType {
        self.activations.into()
    }

    /// Whether this is the processor.
    pub fn is_processor(&self) -> bool {
        is_processor(&self.device)
    }

    /// A tensor of `values` in this place's type.
    pub fn tensor<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), (&self.device, self.dtype))
    }

    /// As [`Place::tensor`], in a buffer of exactly its size, for tensors that live as long as the model.
    pub fn allocate_exact<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        allocate_exact(&self.device, values, |values| self.tensor(values, shape))
    }
}

/// Runs `make` on `input` with exact-size allocations, for tensors that live as long as the model. In a browser tensors
/// cannot share buffers: a pooled tensor takes the first free buffer that is large enough, so long-lived ones would
/// hold buffers far larger than they are. A freed exact-size buffer is reused only for its own size, until
/// `Device::memory_cleanup` frees it.
pub(crate) fn allocate_exact<I: Send, T: Send>(device: &Device, input: I, make: impl Fn(I) -> T + Send) -> T {
    device.memory_persistent_allocations(input, make)
}

/// Whether this is the processor, the only device for f64. Some GPUs report f64, but shader languages lack most f64
/// functions (exp, sin).
#[cfg(feature = "processor")]
pub(crate) fn is_processor(device: &Device) -> bool {
    *device == cpu()
}

#[cfg(not(feature = "processor"))]
pub(crate) fn is_processor(_: &Device) -> bool {
    false
}

/// The processor, with all its cores.
#[cfg(feature = "processor")]
pub fn cpu() -> Device {
    Device::flex()
}

/// What a device is, for people.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Adapter {
    /// The adapter's name; browsers may leave it empty.
    pub name: String,
    /// Graphics API beneath wgpu; empty for the processor itself.
    pub backend: String,
    /// Whether it is the processor pretending to be a GPU.
    pub software: bool,
    /// The operations that are chosen for it: kernels for GPUs, kernels for the processor pretending to be one, or those of the
    /// processor.
    #[cfg_attr(test, ts(type = "\"hardware\" | \"software\" | \"processor\""))]
    pub kernels: &'static str,
    /// Whether shaders may compute in f16.
    pub shader_f16: bool,
    /// Largest buffer in MiB; 0 for the processor.
    #[serde(rename = "maxBufferMiB")]
    pub max_buffer_mib: u64,
    /// The tiles that a trial chose for the kernels for GPUs, by class of shapes.
    pub tiles: BTreeMap<String, String>,
}

/// The processor as a device, and what it is.
#[cfg(feature = "processor")]
pub fn open_processor() -> (Device, Adapter) {
    let adapter = Adapter {
        name: String::new(),
        backend: String::new(),
        software: false,
        kernels: "processor",
        shader_f16: false,
        max_buffer_mib: 0,
        tiles: BTreeMap::new(),
    };
    (cpu(), adapter)
}

impl From<ExecutionError> for Error {
    fn from(error: ExecutionError) -> Self {
        Fault::of_execution(&error.to_string()).into()
    }
}

/// Limits of this process's only GPU.
static LIMITS: OnceLock<Limits> = OnceLock::new();

/// Limits and float types of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum bytes of a buffer.
    pub buffer: u64,
    /// Maximum bytes of a buffer's range that can be bound to a shader.
    pub binding: u64,
    /// Whether shaders have f16.
    pub shader_f16: bool,
}

/// Records the GPU's limits. There is one GPU per process: the first call sets them for good.
#[cfg(feature = "gpu")]
pub(crate) fn set_limits(limits: Limits) {
    let _ = LIMITS.set(limits);
}

/// The GPU's limits; before one was opened, those that WebGPU guarantees for every device.
pub fn limits() -> Limits {
    LIMITS.get().copied().unwrap_or(Limits { buffer: 256 << 20, binding: 128 << 20, shader_f16: false })
}

/// Waits until the device has computed `x`, by reading one number of it. Without this, work would pile up unseen:
/// progress would run ahead of the device, and in the browser nothing else bounds the queue.
///
/// # Errors
/// The device stopped or reported an error, or the number is not finite.
pub async fn wait_and_check_finite<const D: usize>(x: &Tensor<D>) -> Result<()> {
    let one = x.clone().slice(std::array::from_fn::<_, D, _>(|_| 0..1)).into_data_async().await?;
    fault::check()?;
    match one.iter::<f32>().next() {
        Some(value) if value.is_finite() => Ok(()),
        _ => Err(Error::Device(
            "The latents are not numbers any more; the device computed wrongly or the model's weights are damaged."
                .into(),
        )),
    }
}
