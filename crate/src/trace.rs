//! Writes a run's intermediate tensors as safetensors, under the names of the reference's golden files.

use std::path::Path;

use burn::tensor::Tensor;
use safetensors::tensor::{Dtype, TensorView};

use crate::styleid::pipeline::Pipeline;
use crate::styleid::session::Outcome;
use crate::{Error, Result};

struct Named {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

async fn f32s<const D: usize>(name: &str, tensor: Tensor<D>) -> Result<Named> {
    let shape = tensor.dims().to_vec();
    let data = tensor.into_data_async().await?;
    Ok(Named {
        name: name.into(),
        dtype: Dtype::F32,
        shape,
        bytes: data.iter::<f32>().flat_map(f32::to_le_bytes).collect(),
    })
}

/// Writes f32 tensors `null_embedding`, `content_z0`, `style_z0`, `content_inv`, `style_inv`, `adain`, `rev_x0`,
/// `rev_prev`, `final_latent`, `image`, and the bytes `image_u8` `[height, width, 3]`. A second style's tensors are
/// `style2_z0` and so on; a style that the run did not need has none.
///
/// # Errors
/// Says why the file cannot be written.
pub async fn write(path: &Path, pipeline: &Pipeline, outcome: &Outcome<'_>) -> Result<()> {
    let stacked = |tensors: &[Tensor<4>]| Tensor::cat(tensors.to_vec(), 0);
    let (width, height) = (outcome.image.width() as usize, outcome.image.height() as usize);
    let stylized = &outcome.stylized;
    let mut tensors = vec![
        f32s("null_embedding", pipeline.model.null_embedding.clone()).await?,
        f32s("content_z0", outcome.content.latents().clone()).await?,
        f32s("content_inv", stacked(&outcome.content.trajectory)).await?,
        f32s("adain", stylized.initial.clone()).await?,
        f32s("rev_x0", stacked(&stylized.x0)).await?,
        f32s("rev_prev", stacked(&stylized.previous)).await?,
        f32s("final_latent", stylized.latents.clone()).await?,
        Named {
            name: "image".into(),
            dtype: Dtype::F32,
            shape: vec![1, 3, height, width],
            bytes: outcome.pixels.iter().flat_map(|value| value.to_le_bytes()).collect(),
        },
        Named {
            name: "image_u8".into(),
            dtype: Dtype::U8,
            shape: vec![height, width, 3],
            bytes: outcome.image.as_raw().clone(),
        },
    ];
    for (i, style) in outcome.styles.iter().enumerate() {
        let number = if i == 0 { String::new() } else { (i + 1).to_string() };
        tensors.push(f32s(&format!("style{number}_z0"), style.latents().clone()).await?);
        tensors.push(f32s(&format!("style{number}_inv"), stacked(&style.trajectory)).await?);
    }
    let failed = |error: &dyn std::fmt::Display| {
        Error::File(format!("The trace {} cannot be written: {error}.", path.display()))
    };
    let views = tensors
        .iter()
        .map(|named| Ok((named.name.as_str(), TensorView::new(named.dtype, named.shape.clone(), &named.bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|error| failed(&error))?;
    let bytes = safetensors::serialize(views, None).map_err(|error| failed(&error))?;
    std::fs::write(path, bytes).map_err(|error| failed(&error))
}
