//! Convolution in burn's operations.

use burn::tensor::module::{self, interpolate};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{DType, Tensor};

use super::Convolve;

/// As [`super::conv2d`].
pub fn conv2d(Convolve { x, weight, bias, residual, geometry }: Convolve) -> Tensor<4> {
    let dtype = x.dtype();
    let result = residual.as_ref().map_or(dtype, Tensor::dtype);
    // burn's convolution accumulates in the type of its operands.
    let wide = |x: Tensor<4>| if dtype == DType::F16 { x.cast(DType::F32) } else { x };
    let [batch, input, height, width] = x.dims();
    let mut x = wide(x);
    if let Some([rows, columns]) = geometry.upsampled {
        let doubled = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * height, 2 * width]);
        // Nearest upsampling to 2n − 1 picks the same pixels as to 2n, without the last.
        x = interpolate(x, doubled).narrow(2, 0, rows).narrow(3, 0, columns);
    }
    let values = weight.values();
    let output = values.dims()[0];
    let values = values.reshape([output, input, geometry.kernel, geometry.kernel]);
    let [top, bottom, left, right] = geometry.padding;
    let options = ConvOptions::new_with_padding([geometry.stride; 2], [(top, bottom), (left, right)], [1; 2], 1);
    let shared = bias.dims()[0] == 1;
    let x = if shared && dtype != DType::F16 {
        module::conv2d(x, values, Some(bias.reshape([output])), options)
    } else {
        let bias = bias.clone().reshape([bias.dims()[0], output, 1, 1]);
        module::conv2d(x, wide(values), None, options) + wide(bias)
    };
    let x = match residual {
        Some(residual) => x + wide(residual),
        None => x,
    };
    debug_assert_eq!(x.dims()[0], batch);
    if x.dtype() == result { x } else { x.cast(result) }
}

/// Asserts that `compute` gives what [`conv2d`] does, the same on any number of cores: for `cases` of the pictures' shape, output
/// channels and geometry, with biases for one and for all pictures, with and without a residual.
#[cfg(test)]
#[track_caller]
pub fn assert_is_the_reference(compute: fn(Convolve) -> Tensor<4>, cases: &[([usize; 4], usize, super::Geometry)]) {
    use crate::ops::host::{assert_near, assert_same_on_all_cores, random};
    use crate::ops::weight::Weight;

    for &([batch, inputs, height, width], outputs, geometry) in cases {
        let [rows, columns] = geometry.output([height, width]);
        let weight = Weight::dense(random([outputs, inputs * geometry.kernel * geometry.kernel], 0.0, 1.0));
        for of_each in [1, batch] {
            for residual in [None, Some(random([batch, outputs, rows, columns], 1.0, 1.0))] {
                let x = random([batch, inputs, height, width], 0.1, 1.0);
                let bias = random([of_each, outputs], 0.2, 1.0);
                let operands = Convolve { x, weight: &weight, bias, residual, geometry };
                assert_near(compute(operands.clone()), conv2d(operands.clone()), 1e-5);
                assert_same_on_all_cores(|| compute(operands.clone()));
            }
        }
    }
}
