//! Measures of a result's quality: how much of the content is left, and how near it is to the style.
//!
//! | measure | source | lower is |
//! |---|---|---|
//! | [LPIPS](lpips) with AlexNet, content against result | Zhang et al. 2018, version 0.1 | content kept |
//! | [histogram loss](histogram), style against result | HistoGAN's RGB-uv histograms (Afifi et al. 2021), as `StyleID`'s evaluation has them | style's colours |
//! | [style distance](lpips::Seen::style_distance), style against result | means and deviations of features (Huang and Belongie 2017, equation 13), here AlexNet's | style's textures and colours |
//! | CFSD, content against result | `StyleID`'s supplement, with VGG-19 | content's structure kept |
//! | [round trip](mod@round_trip), each content against itself | signal to noise, in dB (higher is better) | inversion exact |
//! | `ArtFID`, all results | (1 + LPIPS)·(1 + FID) (Wright and Ommer 2022), FID with Inception | both |

#[cfg(not(target_arch = "wasm32"))]
pub mod cfsd;
#[cfg(not(target_arch = "wasm32"))]
pub mod frechet;
pub mod histogram;
#[cfg(not(target_arch = "wasm32"))]
pub mod inception;
pub mod lpips;
#[cfg(not(target_arch = "wasm32"))]
pub mod round_trip;
#[cfg(not(target_arch = "wasm32"))]
pub mod sheet;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use burn::tensor::{Slice, Tensor};
use safetensors::{Dtype as FileType, SafeTensors};

use crate::model::tensors::Ready;
use crate::model::tensors::Tensors;
use crate::weights::format::Dtype;
use crate::weights::format::compact::Compact;
use crate::{Error, Result};

/// Reads those tensors of a safetensors file's `bytes` for which `is_wanted` returns true; `network` is the name in
/// errors.
///
/// # Errors
/// The file is damaged, or has a tensor that is neither f32 nor f16.
pub fn tensors(network: &str, bytes: &[u8], is_wanted: impl Fn(&str) -> bool) -> Result<Tensors> {
    let damaged =
        |why: String| Error::Model(format!("The weights of {network} cannot be read ({why}); get them again."));
    let file = SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        if !is_wanted(&name) {
            continue;
        }
        let dtype = match view.dtype() {
            FileType::F32 => Dtype::F32,
            FileType::F16 => Dtype::F16,
            other => return Err(damaged(format!("{name} is {other:?}, not F32 or F16"))),
        };
        let compact = Compact { name: name.clone(), dtype, shape: view.shape().to_vec(), bytes: view.data().to_vec() };
        tensors.insert(name, Ready::Small(compact));
    }
    Ok(Tensors::loaded(network, tensors))
}

/// Max pooling over windows of `side` by `side` with stride `step`, without padding: `[batch, channels, height, width]`
/// to `[batch, channels, (height − side)/step + 1, (width − side)/step + 1]`.
pub fn max_pool(x: Tensor<4>, side: usize, step: usize) -> Tensor<4> {
    // One axis after the other, by slices: burn's pooling kernels would make the page's program larger for this alone.
    let along = |x: Tensor<4>, axis: usize| {
        let count = (x.dims()[axis] - side) / step + 1;
        let part = |offset: usize| {
            let mut slices = [Slice::full(); 4];
            let end = offset + (count - 1) * step + 1;
            slices[axis] = Slice::with_step(offset as isize, Some(end as isize), step as isize);
            x.clone().slice(slices)
        };
        (1..side).fold(part(0), |most, offset| most.max_pair(part(offset)))
    };
    along(along(x, 2), 3)
}
