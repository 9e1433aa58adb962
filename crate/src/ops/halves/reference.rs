//! Conversion to and from f16 in burn's operations. Zeros lose their sign.

use burn::tensor::{DType, FloatDType, Int, Tensor, TensorData};

/// Exponents of f16's normal numbers.
const EXPONENTS: std::ops::RangeInclusive<i32> = -14..=15;

/// The words of [`super::pack`].
pub fn pack(x: Tensor<4>) -> Tensor<1, Int> {
    let device = x.device();
    let length = x.shape().num_elements();
    let x = if x.dtype() == DType::F16 { x.cast(FloatDType::F32) } else { x };
    let dtype: FloatDType = x.dtype().into();
    let x: Tensor<1> = x.reshape([length]);
    let magnitude = x.clone().abs().clamp_max(65504.0);
    // Comparisons rather than a logarithm, which may be inexact. Subnormal numbers get the smallest exponent.
    let mut exponent = Tensor::<1, Int>::zeros([length], (&device, DType::I32));
    for power in EXPONENTS.skip(1) {
        exponent = exponent + magnitude.clone().greater_equal_elem(2f64.powi(power)).int().cast(DType::I32);
    }
    let powers: Vec<f32> = EXPONENTS.map(|power| 2f32.powi(10 - power)).collect();
    let powers = Tensor::<1>::from_data(TensorData::new(powers, [30]), (&device, DType::F32)).cast(dtype);
    // 1024…2047 for normal numbers, less for subnormal ones: when added, the hidden bit raises the exponent field by one.
    let mantissa = (magnitude * powers.select(0, exponent.clone())).round().int().cast(DType::I32);
    let not_a_number = x.clone().is_nan();
    let negative = x.lower_elem(0.0).int().cast(DType::I32);
    let bits = (exponent.mul_scalar(1024) + mantissa).mask_fill(not_a_number, 0x7e00) + negative.mul_scalar(0x8000);
    let odd = length % 2;
    let bits = Tensor::cat(vec![bits, Tensor::zeros([odd], (&device, DType::I32))], 0);
    let pairs: Tensor<2, Int> = bits.reshape([length.div_ceil(2), 2]);
    let half = |i| pairs.clone().narrow(1, i, 1).reshape([length.div_ceil(2)]);
    half(0).bitwise_or(half(1).bitwise_left_shift_scalar(16))
}

/// As [`super::unpack`], in f32.
pub fn unpack(words: Tensor<1, Int>, shape: [usize; 4]) -> Tensor<4> {
    floats(words).narrow(0, 0, shape.iter().product()).reshape(shape)
}

/// Two f16 a word, widened to f32 exactly. Works on bits, so that shaders need no f16.
pub fn floats(words: Tensor<1, Int>) -> Tensor<1> {
    let device = words.device();
    let low = words.clone().bitwise_and_scalar(0xffff);
    let high = words.bitwise_right_shift_scalar(16).bitwise_and_scalar(0xffff);
    let pairs: Tensor<2, Int> = Tensor::stack(vec![low, high], 1);
    let bits: Tensor<1, Int> = pairs.flatten(0, 1);
    let exponent = bits.clone().bitwise_right_shift_scalar(10).bitwise_and_scalar(31);
    // 2^(e − 25) from a table, since a GPU's exp2 need not be exact. Subnormal numbers use exponent 1; exponent 31 gives NaN.
    let powers = (0..32).map(|e: i32| if e == 31 { f32::NAN } else { 2f32.powi(e.max(1) - 25) }).collect::<Vec<_>>();
    let powers = Tensor::<1>::from_data(TensorData::new(powers, [32]), (&device, DType::F32));
    let hidden = exponent.clone().clamp(0, 1).mul_scalar(1024);
    let mantissa = bits.clone().bitwise_and_scalar(1023) + hidden;
    let sign = bits.bitwise_right_shift_scalar(15).bitwise_and_scalar(1).mul_scalar(-2).add_scalar(1);
    (mantissa * sign).float().cast(FloatDType::F32) * powers.select(0, exponent)
}
