//! A disk cache of inversions, for later runs and for other machines that see the same folder.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use image::RgbImage;
use sha2::{Digest, Sha256};

use super::{KeptInversion, file};
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
        let Some(inversion) = file::read(&bytes, wish.pipeline, wish.plan) else {
            // If it cannot be removed, the inversion is made again each time.
            let _ = std::fs::remove_file(&path);
            return None;
        };
        // Eviction is by modification time, so a hit updates it. If that fails, the file is evicted sooner.
        let _ = std::fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        let kept = KeptInversion::new(wish.picture, wish.plan, wish.params, inversion);
        Some(KeptInversion { filed: true, ..kept })
    }

    /// Writes an inversion, and evicts the oldest beyond the limit.
    ///
    /// # Errors
    /// Says why it cannot be written; the device failed.
    pub async fn put<F: Feature>(&self, inversion: &Inversion<F>, wish: &Wish<'_>) -> Result<()> {
        let Some(path) = self.file::<F>(wish) else { return Ok(()) };
        let Some(bytes) = file::written(inversion).await? else { return Ok(()) };
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
