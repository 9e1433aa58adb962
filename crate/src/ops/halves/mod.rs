//! Floats kept as f16, two to a 32-bit word: half the memory on every GPU, even if its shaders have no f16.

#[cfg(feature = "processor")]
mod host;
#[cfg(feature = "gpu")]
mod kernel;
mod reference;

use burn::tensor::{DType, FloatDType, Int, Tensor};

use super::{Kernels, family, kernels};
#[cfg(feature = "gpu")]
pub(super) use kernel::widen;
#[cfg(feature = "gpu")]
pub(crate) use reference::floats;

/// A tensor as f16.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Two f16 a word, the first in the low half; with an odd number of them, the last high half is zero.
    pub words: Tensor<1, Int>,
    /// The tensor's shape.
    pub shape: [usize; 4],
    /// The type of the tensor before packing and after unpacking.
    pub dtype: DType,
}

/// Rounds to the nearest f16, ties to even; clamps to f16's largest number, 65504.
pub fn pack(x: Tensor<4>) -> Packed {
    let (shape, dtype) = (x.dims(), x.dtype());
    let words = match family(&x) {
        #[cfg(feature = "gpu")]
        chosen @ (Kernels::Software | Kernels::Hardware) => {
            kernel::pack(if dtype == DType::F32 { x } else { x.cast(FloatDType::F32) }, chosen)
        }
        #[cfg(feature = "processor")]
        Kernels::Processor => host::pack(x),
        _ => reference::pack(x),
    };
    Packed { words, shape, dtype }
}

/// The values that [`pack`] rounded to, exactly.
pub fn unpack(packed: &Packed) -> Tensor<4> {
    let Packed { words, shape, dtype } = packed;
    #[cfg(feature = "processor")]
    if crate::device::is_processor(&words.device()) && *dtype == DType::F32 {
        return host::unpack(words.clone(), *shape);
    }
    let x = match kernels(&words.device()) {
        #[cfg(feature = "gpu")]
        chosen @ (Kernels::Software | Kernels::Hardware) => kernel::unpack(words.clone(), *shape, chosen),
        _ => reference::unpack(words.clone(), *shape),
    };
    if x.dtype() == *dtype { x } else { x.cast(FloatDType::from(*dtype)) }
}
