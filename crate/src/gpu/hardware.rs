//! Which GPU a machine has, where nobody said what to take.

use burn::tensor::wgpu::wgpu;
use burn::tensor::{Device, DeviceKind};

use super::{Adapter, TASKS_MAX, is_software, native, opened, unusable};
use crate::Result;
use crate::fault::{self, Fault};

/// Set by tests: `hardware` has whatever adapter there is count as hardware, `broken` has one that cannot be opened, and `small`
/// one whose memory runs out at once.
const PRETENDED: &str = "STYLEID_TEST_ADAPTER";

/// An adapter as far as the choice goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    kind: wgpu::DeviceType,
}

/// What there is to compute on beside the processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The best GPU.
    Hardware(Candidate),
    /// Nothing but the processor pretending to be a GPU, under this name.
    Software(String),
    /// Not even that.
    Nothing,
}

impl Choice {
    /// The best of `adapters`: discrete, then integrated, then virtual GPUs, in their order.
    fn of(adapters: &[Candidate]) -> Self {
        let rank = |candidate: &&Candidate| match candidate.kind {
            wgpu::DeviceType::DiscreteGpu => Some(0),
            wgpu::DeviceType::IntegratedGpu => Some(1),
            wgpu::DeviceType::VirtualGpu => Some(2),
            wgpu::DeviceType::Other | wgpu::DeviceType::Cpu => None,
        };
        let hardware = adapters.iter().filter(|candidate| !is_software(candidate.kind, &candidate.name));
        let best = hardware.filter(|candidate| rank(candidate).is_some()).min_by_key(rank);
        match (best, adapters.first()) {
            (Some(best), _) => Self::Hardware(best.clone()),
            (None, Some(first)) => Self::Software(first.name.clone()),
            (None, None) => Self::Nothing,
        }
    }
}

/// Looks at the adapters of this machine, and opens none.
pub async fn choose() -> Choice {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapters = instance.enumerate_adapters(wgpu::Backends::PRIMARY).await;
    let pretended = std::env::var_os(PRETENDED).is_some();
    let candidate = |adapter: &wgpu::Adapter| {
        let wgpu::AdapterInfo { name, device_type, .. } = adapter.get_info();
        match pretended {
            true => Candidate { name: "a pretended GPU".into(), kind: wgpu::DeviceType::DiscreteGpu },
            false => Candidate { name, kind: device_type },
        }
    };
    Choice::of(&adapters.iter().map(candidate).collect::<Vec<_>>())
}

/// Opens what [`choose`] chose. Can be done once in a process, as [`open`](super::open).
///
/// # Errors
/// One sentence where it cannot be used.
pub async fn open_chosen(candidate: &Candidate) -> Result<(Device, Adapter)> {
    let options = Device::wgpu_options().tasks_max(TASKS_MAX);
    let pretended = std::env::var(PRETENDED);
    let options = match pretended.as_deref() {
        Ok("broken") => return Err(unusable(&"it is only pretended")),
        Ok(_) => options,
        // The first of its kind, which is how the choice was made.
        Err(_) => options.device_kind(match candidate.kind {
            wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(0),
            wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(0),
            wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu(0),
            wgpu::DeviceType::Other | wgpu::DeviceType::Cpu => DeviceKind::DefaultDevice,
        }),
    };
    let (device, setup) = native::open(options).await?;
    if pretended.as_deref() == Ok("small") {
        fault::remember(Fault::Memory);
    }
    Ok(opened(device, &setup))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, kind: wgpu::DeviceType) -> Candidate {
        Candidate { name: name.into(), kind }
    }

    #[test]
    fn hardware_comes_before_all_software_and_discrete_before_integrated() {
        let software = candidate("llvmpipe (LLVM 15.0.6, 256 bits)", wgpu::DeviceType::Cpu);
        // Some drivers do not say that they are software.
        let unsaid = candidate("Google SwiftShader", wgpu::DeviceType::VirtualGpu);
        let warp = candidate("Microsoft Basic Render Driver", wgpu::DeviceType::Other);
        let integrated = candidate("Intel UHD", wgpu::DeviceType::IntegratedGpu);
        let first = candidate("GeForce", wgpu::DeviceType::DiscreteGpu);
        let second = candidate("Radeon", wgpu::DeviceType::DiscreteGpu);
        let all = [software.clone(), unsaid.clone(), warp.clone(), integrated.clone(), first.clone(), second];
        assert_eq!(Choice::of(&all), Choice::Hardware(first));
        assert_eq!(Choice::of(&all[..4]), Choice::Hardware(integrated));
        assert_eq!(Choice::of(&all[..3]), Choice::Software(software.name));
        assert_eq!(Choice::of(&[unsaid.clone(), warp]), Choice::Software(unsaid.name));
        assert_eq!(Choice::of(&[]), Choice::Nothing);
    }
}
