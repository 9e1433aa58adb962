//! Where to compute, and what is printed about it.

use burn::tensor::Device;
use clap::ValueEnum;
use styleid::gpu::hardware::{Choice, choose, open_chosen};
use styleid::{Result, device, fault, gpu};

use super::tiles;

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceChoice {
    /// The best GPU that is hardware, discrete before integrated, or else the processor.
    Auto,
    /// All cores of the processor, in f32.
    Cpu,
    /// The best GPU, through wgpu.
    Gpu,
}

impl DeviceChoice {
    /// Opens it, and prints on standard error which device was taken and why.
    ///
    /// # Errors
    /// Says that a GPU was asked for and cannot be used.
    pub async fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(device::cpu()),
            Self::Gpu => {
                let (device, adapter) = gpu::open().await?;
                eprintln!("GPU: {} ({})", adapter.name, adapter.backend);
                tiles::choose(&device, &adapter.name).await?;
                Ok(device)
            }
            Self::Auto => Ok(best().await),
        }
    }
}

async fn best() -> Device {
    match choose().await {
        Choice::Hardware(candidate) => match open_chosen(&candidate).await {
            Ok((device, adapter)) => {
                eprintln!("GPU: {} ({}), the best one here", adapter.name, adapter.backend);
                match tiles::choose(&device, &adapter.name).await {
                    Ok(()) => return device,
                    Err(error) => return instead(&error),
                }
            }
            Err(error) => return instead(&error),
        },
        Choice::Software(name) => {
            eprintln!("Processor: the only GPU here is software ({name}); --device gpu takes it all the same");
        }
        Choice::Nothing => eprintln!("Processor: there is no GPU here"),
    }
    device::cpu()
}

/// The processor in place of a GPU that failed with `error`.
pub fn instead(error: &styleid::Error) -> Device {
    eprintln!("{error} The processor computes instead; --device cpu takes it from the start.");
    fault::forget();
    device::cpu()
}
