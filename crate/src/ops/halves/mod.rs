//! Floats kept as f16, two to a 32-bit word: half the memory on every GPU, also where shaders have no f16.

mod reference;

use burn::tensor::{DType, FloatDType, Int, Tensor};

/// A tensor as f16.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Two to a word, the first in the low half; an odd number of them leaves the last high half zero.
    pub words: Tensor<1, Int>,
    /// The tensor's shape.
    pub shape: [usize; 4],
    /// The type it had, and will have again.
    pub dtype: DType,
}

/// Rounds to the nearest f16, ties to even; what is larger than f16's largest number, 65504, becomes that.
pub fn pack(x: Tensor<4>) -> Packed {
    let (shape, dtype) = (x.dims(), x.dtype());
    Packed { words: reference::pack(x), shape, dtype }
}

/// The values again, exactly the f16 that they were rounded to.
pub fn unpack(packed: &Packed) -> Tensor<4> {
    let Packed { words, shape, dtype } = packed;
    let x = reference::unpack(words.clone(), *shape);
    if x.dtype() == *dtype { x } else { x.cast(FloatDType::from(*dtype)) }
}
