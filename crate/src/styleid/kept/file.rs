//! An inversion as a file: for later runs, other machines and other workers.

use std::collections::HashMap;

use burn::tensor::{DType, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::Result;
use crate::styleid::bank::parts::Part;
use crate::styleid::bank::{Bank, Keeping};
use crate::styleid::features::Feature;
use crate::styleid::inversion::Inversion;
use crate::styleid::pipeline::Pipeline;
use crate::styleid::plan::Plan;

/// Types of tensors in inversion files.
const TYPES: [(DType, Dtype, &str); 6] = [
    (DType::F64, Dtype::F64, "f64"),
    (DType::F32, Dtype::F32, "f32"),
    (DType::F16, Dtype::F16, "f16"),
    (DType::I64, Dtype::I64, "i64"),
    (DType::I32, Dtype::I32, "i32"),
    (DType::U32, Dtype::U32, "u32"),
];

struct Named {
    name: String,
    /// Metadata of the tensor: its type and shape once unpacked to floats.
    note: String,
    data: TensorData,
}

impl Named {
    fn new(name: String, shape: [usize; 4], dtype: DType, data: TensorData) -> Option<Self> {
        let (_, _, dtype) = TYPES.iter().find(|(known, _, _)| *known == dtype)?;
        let [a, b, c, d] = shape;
        Some(Self { name, note: format!("{dtype} {a} {b} {c} {d}"), data })
    }

    fn of_part(prefix: &str, part: Part) -> Option<Self> {
        let (level, layer, i) = part.at;
        Self::new(format!("{prefix}.{level}.{layer}.{i}"), part.shape, part.dtype, part.data)
    }

    async fn of_latents(name: &str, x: &Tensor<4>) -> Result<Option<Self>> {
        Ok(Self::new(name.into(), x.dims(), x.dtype(), x.clone().into_data_async().await?))
    }
}

/// An inversion as a safetensors file; `None` if a tensor's type is not supported there.
///
/// # Errors
/// The device failed.
pub async fn written<F: Feature>(inversion: &Inversion<F>) -> Result<Option<Vec<u8>>> {
    let mut tensors =
        vec![Named::of_latents("z0", inversion.latents()).await?, Named::of_latents("noise", inversion.noise()).await?];
    tensors.extend(inversion.bank.to_parts().await?.into_iter().map(|part| Named::of_part("role", part)));
    if let Some(own) = &inversion.own {
        tensors.extend(own.to_parts().await?.into_iter().map(|part| Named::of_part("own", part)));
    }
    let Some(tensors) = tensors.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    let view = |named: &'_ Named| {
        let (_, dtype, _) = TYPES.iter().find(|(known, _, _)| *known == named.data.dtype())?;
        Some((*dtype, named.data.shape().to_vec()))
    };
    let mut views = Vec::with_capacity(tensors.len());
    for named in &tensors {
        let Some((dtype, shape)) = view(named) else { return Ok(None) };
        let Ok(view) = TensorView::new(dtype, shape, named.data.as_bytes()) else { return Ok(None) };
        views.push((named.name.as_str(), view));
    }
    let mut notes: HashMap<String, String> =
        tensors.iter().map(|named| (named.name.clone(), named.note.clone())).collect();
    notes.insert("layers".into(), format!("{:?}", inversion.layers));
    Ok(safetensors::serialize(views, Some(notes)).ok())
}

/// The inversion in a file, for a run by `plan`, if the file is complete.
pub fn read<F: Feature>(bytes: &[u8], pipeline: &Pipeline, plan: &Plan) -> Option<Inversion<F>> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let notes = header.metadata().as_ref()?;
    let file = SafeTensors::deserialize(bytes).ok()?;
    let place = &pipeline.model.place;
    let mut banks: [Vec<Part>; 2] = [Vec::new(), Vec::new()];
    let mut latents: [Option<Tensor<4>>; 2] = [None, None];
    for (name, view) in file.tensors() {
        let (dtype, _, _) = TYPES.iter().find(|(_, kept, _)| *kept == view.dtype())?;
        let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), *dtype);
        let mut note = notes.get(&name)?.split(' ');
        let float = note.next()?;
        let (float, _, _) = TYPES.iter().find(|(_, _, known)| *known == float)?;
        let shape: Vec<usize> = note.map(|side| side.parse().ok()).collect::<Option<_>>()?;
        match name.as_str() {
            "z0" => latents[0] = Some(Tensor::from_data(data, (&place.device, *float))),
            "noise" => latents[1] = Some(Tensor::from_data(data, (&place.device, *float))),
            _ => {
                let mut parts = name.split('.');
                let bank = usize::from(parts.next()? == "own");
                let mut number = || parts.next()?.parse().ok();
                let at = (number()?, number()?, number()?);
                banks[bank].push(Part { at, data, shape: shape.try_into().ok()?, dtype: *float });
            }
        }
    }
    let [Some(z0), Some(noise)] = latents else { return None };
    let layers = notes.get("layers")?.trim_matches(['[', ']']).split(", ");
    let layers: Vec<usize> =
        layers.filter(|layer| !layer.is_empty()).map(|layer| layer.parse().ok()).collect::<Option<_>>()?;
    for parts in &mut banks {
        parts.sort_by_key(|part| part.at);
    }
    // The processor has no other memory. For a GPU all features stay in main memory, and are uploaded when a layer fetches
    // them.
    let device_bytes = if place.is_processor() { u64::MAX } else { 0 };
    let keeping = Keeping { halves: pipeline.keeps_halves(), device_bytes };
    let [role, own] = banks;
    let own = (F::IS_CONTENT && plan.shares_content).then(|| Bank::from_parts(own, keeping, &place.device));
    Some(Inversion::kept(z0, noise, Bank::from_parts(role, keeping, &place.device), own, layers))
}
