//! A disk cache of inversions, for later runs and for other machines that see the same folder.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use burn::tensor::{DType, Tensor, TensorData};
use image::RgbImage;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use super::KeptInversion;
use crate::styleid::bank::parts::Part;
use crate::styleid::bank::{Bank, Keeping};
use crate::styleid::features::Feature;
use crate::styleid::inversion::Inversion;
use crate::styleid::params::Params;
use crate::styleid::pipeline::Pipeline;
use crate::styleid::plan::Plan;
use crate::weights::checkpoint::stream::hex;
use crate::{Error, Result};

/// Extension of inversion files.
const ENDING: &str = "inversion";

/// A folder of inversions, of at most `limit` bytes.
#[derive(Debug)]
pub struct InversionFolder {
    path: PathBuf,
    limit: u64,
}

/// Which inversion a run needs.
pub struct Wish<'a> {
    /// The picture to invert.
    pub picture: &'a RgbImage,
    /// The model.
    pub pipeline: &'a Pipeline,
    /// Noise levels and layers.
    pub plan: &'a Plan,
    /// The other settings.
    pub params: &'a Params,
}

impl Wish<'_> {
    /// The cache key. Two inversions share it only if they are interchangeable. `None` if the model's weights were not
    /// hashed.
    fn key<F: Feature>(&self) -> Option<String> {
        let model = &self.pipeline.model;
        let place = &model.place;
        let mut hash = Sha256::new();
        hash.update(model.fingerprint.as_ref()?);
        hash.update(format!(
            " {} {} {:?} {:?} {} {} {:?} {} {:?} {:?} {} {:?} ",
            env!("CARGO_PKG_VERSION"),
            F::ROLE,
            place.dtype(),
            place.activations(),
            place.is_processor(),
            self.pipeline.keeps_halves(),
            self.plan.preset,
            self.plan.course.steps(),
            self.params.vae_sample,
            self.plan.layers,
            F::IS_CONTENT && self.plan.shares_content,
            self.picture.dimensions(),
        ));
        hash.update(self.picture.as_raw());
        Some(hex(&hash.finalize()))
    }
}

fn unwritten(path: &Path, error: &dyn Display) -> Error {
    Error::File(format!("Inversions cannot be kept in {}: {error}.", path.display()))
}

impl InversionFolder {
    /// Opens the folder at `path`, or creates it, for at most `limit` bytes.
    ///
    /// # Errors
    /// Says why it cannot be created.
    pub fn open(path: &Path, limit: u64) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| unwritten(path, &error))?;
        Ok(Self { path: path.into(), limit })
    }

    /// The requested inversion, if it is in the folder. A file that cannot be parsed is removed.
    pub fn find<F: Feature>(&self, wish: &Wish<'_>) -> Option<KeptInversion<F>> {
        let path = self.file::<F>(wish)?;
        let bytes = std::fs::read(&path).ok()?;
        let Some(inversion) = read(&bytes, wish) else {
            // If it cannot be removed, the inversion is made again each time.
            let _ = std::fs::remove_file(&path);
            return None;
        };
        // Eviction is by modification time, so a hit updates it. If that fails, the file is evicted sooner.
        let _ = std::fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(KeptInversion {
            picture: wish.picture.clone(),
            preset: wish.plan.preset,
            steps: wish.plan.course.steps(),
            vae_sample: wish.params.vae_sample,
            filed: true,
            inversion,
        })
    }

    /// Writes an inversion, and evicts the oldest beyond the limit.
    ///
    /// # Errors
    /// Says why it cannot be written; the device failed.
    pub async fn put<F: Feature>(&self, inversion: &Inversion<F>, wish: &Wish<'_>) -> Result<()> {
        let Some(path) = self.file::<F>(wish) else { return Ok(()) };
        let Some(bytes) = written(inversion).await? else { return Ok(()) };
        if bytes.len() as u64 > self.limit {
            return Ok(());
        }
        let failed = |error: &dyn Display| unwritten(&self.path, error);
        let mut file = tempfile::NamedTempFile::new_in(&self.path).map_err(|error| failed(&error))?;
        std::io::Write::write_all(&mut file, &bytes).map_err(|error| failed(&error))?;
        file.persist(&path).map_err(|error| failed(&error.error))?;
        self.prune(&path);
        Ok(())
    }

    fn file<F: Feature>(&self, wish: &Wish<'_>) -> Option<PathBuf> {
        Some(self.path.join(format!("{}.{ENDING}", wish.key::<F>()?)))
    }

    /// Evicts the oldest files beyond the limit. Others may use the folder at the same time, so a missing file is no error.
    fn prune(&self, newest: &Path) {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return };
        let of = |entry: std::fs::DirEntry| {
            let path = entry.path();
            let metadata = entry.metadata().ok()?;
            let is_ours = path.extension().is_some_and(|ending| ending == ENDING);
            is_ours.then_some((metadata.modified().ok()?, metadata.len(), path))
        };
        let mut files: Vec<_> = entries.flatten().filter_map(of).collect();
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, size, path) in files.iter().filter(|(_, _, path)| path != newest) {
            if bytes <= self.limit {
                break;
            }
            let _ = std::fs::remove_file(path);
            bytes -= size;
        }
    }
}

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
async fn written<F: Feature>(inversion: &Inversion<F>) -> Result<Option<Vec<u8>>> {
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

/// The inversion in a file, if the file is complete.
fn read<F: Feature>(bytes: &[u8], wish: &Wish<'_>) -> Option<Inversion<F>> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let notes = header.metadata().as_ref()?;
    let file = SafeTensors::deserialize(bytes).ok()?;
    let place = &wish.pipeline.model.place;
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
    let keeping = Keeping { halves: wish.pipeline.keeps_halves(), device_bytes };
    let [role, own] = banks;
    let own = (F::IS_CONTENT && wish.plan.shares_content).then(|| Bank::from_parts(own, keeping, &place.device));
    Some(Inversion::kept(z0, noise, Bank::from_parts(role, keeping, &place.device), own, layers))
}
