//! Helpers for launching kernels.

use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

/// A new contiguous tensor of `shape` with the device and type of `like`; its contents are undefined.
pub(super) fn output(like: &CubeTensor, shape: &[usize]) -> CubeTensor {
    output_of(like, shape, like.dtype)
}

/// [`output`] with another type.
pub(super) fn output_of(like: &CubeTensor, shape: &[usize], dtype: DType) -> CubeTensor {
    let bytes = shape.iter().product::<usize>() * dtype.size();
    let handle = like.client.empty(bytes);
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), shape.into(), handle, dtype)
}

/// A workgroup of the kernels for software adapters, which run its invocations as lanes of a vector: lavapipe eight at once,
/// `SwiftShader` four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lanes {
    /// Invocations.
    pub count: usize,
    /// Whether they are one subgroup, so that each loads something else and hands it to the others: a load that is the same for
    /// all lanes takes these adapters as long as one that differs.
    pub shared: bool,
}

impl Lanes {
    /// Where nothing is known of subgroups.
    pub const ALONE: Self = Self { count: 8, shared: false };

    /// Where every subgroup has `size` invocations: shared, if kernels are written for this size.
    pub fn of_subgroup(size: Option<u32>) -> Self {
        match size {
            Some(count @ (4 | 8)) => Self { count: count as usize, shared: true },
            _ => Self::ALONE,
        }
    }
}

/// The element type that a kernel generic over f16 and f32 is compiled for.
pub(super) fn float(tensor: &CubeTensor) -> ElemType {
    ElemType::Float(if tensor.dtype == DType::F16 { FloatKind::F16 } else { FloatKind::F32 })
}

/// The widest vector that divides rows of `length` elements.
pub(super) fn vector(length: usize) -> usize {
    [4, 2].into_iter().find(|&size| length.is_multiple_of(size)).unwrap_or(1)
}

/// A whole contiguous tensor as a kernel's argument, `vector` elements to an item.
///
/// # Safety
/// The tensor is contiguous and its length a multiple of `vector`.
pub(super) unsafe fn whole(tensor: &CubeTensor, vector: usize) -> BufferArg {
    let length = tensor.meta.shape().num_elements() / vector;
    // SAFETY: the handle holds all elements of a contiguous tensor.
    unsafe { BufferArg::from_raw_parts(tensor.handle.clone(), length) }
}

/// The same tensor, copied if it is not contiguous.
pub(super) fn contiguous(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}
