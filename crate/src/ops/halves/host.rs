//! Conversion to and from f16 on the processor, for f32.

use burn::tensor::{DType, Int, Tensor, TensorData};
use half::f16;

use crate::ops::host::{Host, tensor};

/// The words of [`super::pack`].
pub fn pack(x: Tensor<4>) -> Tensor<1, Int> {
    let (device, length) = (x.device(), x.shape().num_elements());
    let x = Host::row(x);
    let bits = |value: f32| u32::from(f16::from_f32(value.clamp(-65504.0, 65504.0)).to_bits());
    let word = |pair: &[f32]| (bits(pair[0]) | pair.get(1).map_or(0, |&high| bits(high)) << 16).cast_signed();
    let words: Vec<i32> = x.values()[..length].chunks(2).map(word).collect();
    let count = words.len();
    Tensor::from_data(TensorData::new(words, [count]), (&device, DType::I32))
}

/// As [`super::unpack`].
pub fn unpack(words: Tensor<1, Int>, shape: [usize; 4]) -> Tensor<4> {
    let floats = |word: i32| [word as u16, (word >> 16) as u16].map(|bits| f16::from_bits(bits).to_f32());
    let values = words.into_data().iter::<i32>().flat_map(floats).take(shape.iter().product()).collect();
    tensor(values, shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::halves::reference;

    #[test]
    fn it_is_the_references() {
        for count in [6, 7] {
            let values = [0.1, -3.75, 65504.0, 1e6, -1e-7, f32::NAN, 6.1e-5];
            let x: Tensor<4> = tensor(values[..count].to_vec(), [1, 1, 1, count]);
            let numbers = |words| unpack(words, [1, 1, 1, count]).into_data().iter::<f32>().collect::<Vec<_>>();
            let (ours, theirs) = (numbers(pack(x.clone())), numbers(reference::pack(x.clone())));
            let back = reference::unpack(pack(x), [1, 1, 1, count]).into_data().iter::<f32>().collect::<Vec<_>>();
            for (i, expected) in theirs.iter().enumerate() {
                assert!(ours[i] == *expected || (ours[i].is_nan() && expected.is_nan()), "at {i}: {ours:?}");
                assert!(back[i] == *expected || (back[i].is_nan() && expected.is_nan()), "at {i}: {back:?}");
            }
        }
    }
}
