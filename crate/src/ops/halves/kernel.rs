//! Conversion between f32 and f16 by their bits. Kernels see only words: a GPU may flush small floats to zero, and shaders
//! without f16 have no type for halves.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Int, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use crate::ops::Kernels;
use crate::ops::launch::{contiguous, output_of, whole};

#[backend_extension(Cube)]
trait HalvesOps: Backend {
    fn halves_pack(x: FloatTensor<Self>, kernels: Kernels) -> IntTensor<Self>;
    fn halves_unpack(words: IntTensor<Self>, shape: [usize; 4], kernels: Kernels) -> FloatTensor<Self>;
}

impl HalvesOps for CubeBackend {
    fn halves_pack(x: FloatTensor<Self>, kernels: Kernels) -> IntTensor<Self> {
        let x = contiguous(x);
        let length = x.meta.shape().num_elements();
        let words = output_of(&x, &[length.div_ceil(2)], DType::I32);
        launch(&x, &words, length, kernels, true);
        words
    }

    fn halves_unpack(words: IntTensor<Self>, shape: [usize; 4], kernels: Kernels) -> FloatTensor<Self> {
        let words = contiguous(words);
        let x = output_of(&words, &shape, DType::F32);
        launch(&x, &words, shape.iter().product(), kernels, false);
        x
    }
}

/// The words of [`super::pack`], for f32.
pub(super) fn pack(x: Tensor<4>, kernels: Kernels) -> Tensor<1, Int> {
    Tensor::from_dispatch(<Dispatch as HalvesOps>::halves_pack(x.into_dispatch(), kernels))
}

/// As [`super::unpack`], in f32.
pub(super) fn unpack(words: Tensor<1, Int>, shape: [usize; 4], kernels: Kernels) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as HalvesOps>::halves_unpack(words.into_dispatch(), shape, kernels))
}

/// Converts between `length` f32 and their words, in either direction.
fn launch(x: &CubeTensor, words: &CubeTensor, length: usize, kernels: Kernels, packing: bool) {
    let client = &x.client;
    let dim = CubeDim::new_1d(if kernels == Kernels::Hardware { 256 } else { 32 });
    // Eight numbers per invocation, or two if eight do not divide the length.
    let wide = length.is_multiple_of(8);
    let (items, vector) = if wide { (length / 8, 4) } else { (length.div_ceil(2), 1) };
    let count = calculate_cube_count_elemwise(client, items, dim);
    // SAFETY: both arguments are whole contiguous tensors; vectors of four are used only if they divide both.
    unsafe {
        let (x, words) = (whole(x, vector), whole(words, vector));
        match (wide, packing) {
            (true, true) => pack_eight::launch_unchecked(client, count, dim, x, words, items as u32),
            (true, false) => unpack_eight::launch_unchecked(client, count, dim, words, x, items as u32),
            (false, true) => pack_two::launch_unchecked(client, count, dim, x, words, length as u32),
            (false, false) => unpack_two::launch_unchecked(client, count, dim, words, x, length as u32),
        }
    }
}

/// Bits of f32 to bits of f16: nearest, ties to even, clamped to 65504.
#[cube]
fn narrow<N: Size>(bits: Vector<u32, N>) -> Vector<u32, N> {
    let one = Vector::<u32, N>::new(1u32);
    let sign = (bits >> Vector::new(16u32)) & Vector::new(0x8000u32);
    let magnitude = bits & Vector::new(0x7fff_ffffu32);
    // Normal in f16: the exponent's bias changes by 127 − 15, and rounding up may carry into the exponent.
    let odd = (magnitude >> Vector::new(13u32)) & one;
    let rounded =
        max(magnitude, Vector::new(0x3880_0000u32)) - Vector::new(0x3800_0000u32) + Vector::new(0xfffu32) + odd;
    let normal = min(rounded >> Vector::new(13u32), Vector::new(0x7bffu32));
    // Subnormal in f16: the mantissa with its hidden bit as a multiple of 2⁻²⁴. A shift by 25 leaves nothing of it.
    let exponent = max(min(magnitude >> Vector::new(23u32), Vector::new(112u32)), Vector::new(101u32));
    let shift = Vector::new(126u32) - exponent;
    let mantissa = (magnitude & Vector::new(0x7f_ffffu32)) | Vector::new(0x80_0000u32);
    let odd = (mantissa >> shift) & one;
    let subnormal = (mantissa + (one << (shift - one)) - one + odd) >> shift;
    let small = magnitude.less_than(&Vector::new(0x3880_0000u32));
    let tiny = magnitude.less_than(&Vector::new(0x3280_0000u32));
    let half = select_many(small, select_many(tiny, Vector::new(0u32), subnormal), normal);
    let not_a_number = magnitude.greater_than(&Vector::new(0x7f80_0000u32));
    sign | select_many(not_a_number, Vector::new(0x7e00u32), half)
}

/// Bits of f16 to bits of f32.
#[cube]
pub fn widen<N: Size>(half: Vector<u32, N>) -> Vector<u32, N> {
    let sign = (half & Vector::new(0x8000u32)) << Vector::new(16u32);
    let magnitude = half & Vector::new(0x7fffu32);
    let normal = (magnitude << Vector::new(13u32)) + Vector::new(0x3800_0000u32);
    // A subnormal is an integer multiple of 2⁻²⁴: that integer as f32, with the exponent lowered by 24.
    let whole = Vector::<u32, N>::reinterpret(Vector::<f32, N>::cast_from(magnitude));
    let subnormal = max(whole, Vector::new(0x0c00_0000u32)) - Vector::new(0x0c00_0000u32);
    let infinite = (magnitude << Vector::new(13u32)) | Vector::new(0x7f80_0000u32);
    let small = magnitude.less_than(&Vector::new(0x400u32));
    let finite = magnitude.less_than(&Vector::new(0x7c00u32));
    sign | select_many(small, subnormal, select_many(finite, normal, infinite))
}

#[cube(launch_unchecked)]
fn pack_eight(x: &[Vector<u32, Const<4>>], words: &mut [Vector<u32, Const<4>>], items: u32) {
    let at = ABSOLUTE_POS;
    if at >= items as usize {
        terminate!();
    }
    let mut packed = Vector::<u32, Const<4>>::new(0u32);
    #[unroll]
    for i in 0..2usize {
        let halves = narrow::<Const<4>>(x[2 * at + i]);
        packed.insert(2 * i, halves.extract(0usize) | (halves.extract(1usize) << 16));
        packed.insert(2 * i + 1, halves.extract(2usize) | (halves.extract(3usize) << 16));
    }
    words[at] = packed;
}

#[cube(launch_unchecked)]
fn unpack_eight(words: &[Vector<u32, Const<4>>], x: &mut [Vector<u32, Const<4>>], items: u32) {
    let at = ABSOLUTE_POS;
    if at >= items as usize {
        terminate!();
    }
    let packed = words[at];
    #[unroll]
    for i in 0..2usize {
        let mut halves = Vector::<u32, Const<4>>::new(0u32);
        halves.insert(0usize, packed.extract(2 * i) & 0xffff);
        halves.insert(1usize, packed.extract(2 * i) >> 16);
        halves.insert(2usize, packed.extract(2 * i + 1) & 0xffff);
        halves.insert(3usize, packed.extract(2 * i + 1) >> 16);
        x[2 * at + i] = widen::<Const<4>>(halves);
    }
}

#[cube(launch_unchecked)]
fn pack_two(x: &[u32], words: &mut [u32], length: u32) {
    let first = 2 * ABSOLUTE_POS;
    if first >= length as usize {
        terminate!();
    }
    let low = narrow::<Const<1>>(Vector::new(x[first])).extract(0usize);
    let mut word = low;
    if first + 1 < length as usize {
        word |= narrow::<Const<1>>(Vector::new(x[first + 1])).extract(0usize) << 16;
    }
    words[ABSOLUTE_POS] = word;
}

#[cube(launch_unchecked)]
fn unpack_two(words: &[u32], x: &mut [u32], length: u32) {
    let first = 2 * ABSOLUTE_POS;
    if first >= length as usize {
        terminate!();
    }
    let word = words[ABSOLUTE_POS];
    x[first] = widen::<Const<1>>(Vector::new(word & 0xffff)).extract(0usize);
    if first + 1 < length as usize {
        x[first + 1] = widen::<Const<1>>(Vector::new(word >> 16)).extract(0usize);
    }
}
