//! A cache of inversions of earlier runs: in memory, and natively in a folder too.

use std::collections::VecDeque;

use image::RgbImage;

use super::features::{Feature, KeyValue, Query};
use super::kept::KeptInversion;
#[cfg(not(target_arch = "wasm32"))]
use super::kept::folder::{InversionFolder, Wish};
use super::params::Params;
use super::pipeline::Pipeline;
use super::plan::Plan;
use crate::Result;
use crate::control::Control;

/// The inversions that a session keeps beyond its last run; none by default.
#[derive(Debug, Default)]
pub struct Shelf {
    /// Maximum bytes of features in memory.
    bytes: u64,
    contents: Row<Query>,
    styles: Row<KeyValue>,
    #[cfg(not(target_arch = "wasm32"))]
    folder: Option<InversionFolder>,
}

/// Inversions in memory, oldest first.
#[derive(Debug)]
pub(super) struct Row<F>(VecDeque<KeptInversion<F>>);

impl<F> Default for Row<F> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<F: Feature> Row<F> {
    fn bytes(&self) -> u64 {
        self.0.iter().map(KeptInversion::feature_bytes).sum()
    }

    fn take(&mut self, picture: &RgbImage, plan: &Plan, params: &Params) -> Option<KeptInversion<F>> {
        let at = self.0.iter().position(|kept| kept.serves(picture, plan, params))?;
        self.0.remove(at)
    }
}

/// A picture's role, which selects its row.
pub(super) trait Role: Feature {
    fn row(shelf: &mut Shelf) -> &mut Row<Self>;
}

impl Role for Query {
    fn row(shelf: &mut Shelf) -> &mut Row<Self> {
        &mut shelf.contents
    }
}

impl Role for KeyValue {
    fn row(shelf: &mut Shelf) -> &mut Row<Self> {
        &mut shelf.styles
    }
}

impl Shelf {
    /// A shelf with room for `bytes` of features in memory.
    pub fn new(bytes: u64) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Adds a folder, in which inversions outlast the program.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn with_folder(self, folder: Option<InversionFolder>) -> Self {
        Self { folder, ..self }
    }

    /// Stores an inversion that the current run does not need, and evicts the oldest beyond the limit.
    pub(super) async fn put<F: Role>(&mut self, mut kept: KeptInversion<F>) -> Result<()> {
        if kept.feature_bytes() > self.bytes {
            return Ok(());
        }
        kept.leave_device().await?;
        F::row(self).0.push_back(kept);
        // Batches of pairs run style by style, so that contents are reused sooner: styles are evicted first.
        while self.contents.bytes() + self.styles.bytes() > self.bytes {
            if self.styles.0.pop_front().is_none() {
                self.contents.0.pop_front();
            }
        }
        Ok(())
    }

    /// The inversion of `picture` that a run with these settings needs, if it is kept.
    pub(super) fn take<F: Role>(
        &mut self,
        picture: &RgbImage,
        pipeline: &Pipeline,
        plan: &Plan,
        params: &Params,
    ) -> Option<KeptInversion<F>> {
        let kept = F::row(self).take(picture, plan, params);
        #[cfg(not(target_arch = "wasm32"))]
        let kept = kept.or_else(|| self.folder.as_ref()?.find(&Wish { picture, pipeline, plan, params }));
        #[cfg(target_arch = "wasm32")]
        let _ = pipeline;
        kept
    }

    /// Writes `kept` into the folder if it is not there. If that fails, the run goes on without the folder.
    #[cfg_attr(target_arch = "wasm32", allow(clippy::unused_async, reason = "a browser has no such folder"))]
    pub(super) async fn file<F: Feature>(
        &mut self,
        kept: &mut KeptInversion<F>,
        pipeline: &Pipeline,
        plan: &Plan,
        params: &Params,
        control: &Control<'_>,
    ) {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(folder) = self.folder.as_ref().filter(|_| !kept.filed) {
            kept.filed = true;
            let wish = Wish { picture: kept.picture(), pipeline, plan, params };
            if let Err(error) = folder.put(&kept.inversion, &wish).await {
                control.notice(&format!("{error} The run goes on without it."));
                self.folder = None;
            }
        }
        #[cfg(target_arch = "wasm32")]
        let _ = (kept, pipeline, plan, params, control);
    }
}
