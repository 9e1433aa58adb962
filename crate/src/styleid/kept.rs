//! Kept inversions with the inputs they were made from, and the code that makes those of a run.

#[cfg(feature = "processor")]
pub mod file;
#[cfg(not(target_arch = "wasm32"))]
pub mod folder;

use std::collections::VecDeque;

use burn::tensor::Tensor;
use image::RgbImage;

use super::bank::Keeping;
use super::features::{Feature, KeyValue, Query};
use super::inversion::{Inversion, Kept};
use super::params::{Params, Preset};
use super::pipeline::Pipeline;
use super::plan::Plan;
use super::run::Run;
use crate::Result;
use crate::control::Turn;
use crate::device::is_processor;
use crate::memory::Shares;
use crate::picture;

/// An inversion with the picture and settings that it was made from.
#[derive(Debug)]
pub struct KeptInversion<F> {
    picture: RgbImage,
    preset: Preset,
    steps: usize,
    vae_sample: Option<u32>,
    /// Whether it was read from the folder or offered to it already, if there is one.
    pub filed: bool,
    /// The inversion itself.
    pub inversion: Inversion<F>,
}

impl<F: Feature> KeptInversion<F> {
    /// The `inversion` of `picture` with these settings.
    pub fn new(picture: &RgbImage, plan: &Plan, params: &Params, inversion: Inversion<F>) -> Self {
        Self {
            picture: picture.clone(),
            preset: plan.preset,
            steps: plan.course.steps(),
            vae_sample: params.vae_sample,
            filed: false,
            inversion,
        }
    }

    /// The inverted picture.
    pub fn picture(&self) -> &RgbImage {
        &self.picture
    }

    /// Bytes of its features, on the device and in main memory.
    pub fn feature_bytes(&self) -> u64 {
        let (device, main) = self.inversion.feature_bytes();
        device + main
    }

    /// Moves its features to main memory. On the processor they are there already.
    ///
    /// # Errors
    /// The device failed.
    pub async fn leave_device(&mut self) -> Result<()> {
        if is_processor(&self.inversion.latents().device()) {
            return Ok(());
        }
        self.inversion.bank.shrink(0).await?;
        match &mut self.inversion.own {
            Some(own) => own.shrink(0).await,
            None => Ok(()),
        }
    }

    /// Whether this is the inversion of `picture` that a run with these settings needs.
    pub fn serves(&self, picture: &RgbImage, plan: &Plan, params: &Params) -> bool {
        self.preset == plan.preset
            && self.steps == plan.course.steps()
            && self.vae_sample == params.vae_sample
            && plan.layers.iter().all(|layer| self.inversion.layers.contains(layer))
            && (self.inversion.own.is_some() || !(F::IS_CONTENT && plan.shares_content))
            && self.picture == *picture
    }
}

/// What the inversions of one run take.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    /// What the budget leaves for features.
    pub shares: Shares,
    /// Number of pictures whose keys and values are kept: the styles, and the content if its own are kept.
    pub keys_values: usize,
}

impl Demand {
    /// The inversions of a `run`.
    pub fn invert<'a>(self, pipeline: &'a Pipeline, plan: &'a Plan, params: &'a Params, run: Run<'a>) -> Invert<'a> {
        Invert { pipeline, plan, params, demand: self, run }
    }
}

/// How the inversions of one run are made.
pub struct Invert<'a> {
    /// The model.
    pub pipeline: &'a Pipeline,
    /// The run.
    pub plan: &'a Plan,
    /// Its settings.
    pub params: &'a Params,
    demand: Demand,
    /// Callbacks and counters.
    pub run: Run<'a>,
}

impl Invert<'_> {
    /// Encodes a picture to latents; `turn` says which of the content or style pictures this is, for progress.
    ///
    /// # Errors
    /// A cancel, or a device that stopped.
    pub async fn encode<F: Feature>(&self, picture: &RgbImage, turn: Turn) -> Result<Tensor<4>> {
        let pixels = picture::to_pixels(picture, &self.pipeline.model.place);
        let latents = self.pipeline.encode::<F>(pixels, self.params.vae_sample, turn, self.run.control).await?;
        self.pipeline.free_unused_buffers();
        Ok(latents)
    }

    /// Encodes all `styles`, in their order.
    ///
    /// # Errors
    /// As [`Invert::encode`].
    pub async fn encode_all<'b>(&self, styles: Vec<&'b RgbImage>) -> Result<VecDeque<(&'b RgbImage, Tensor<4>)>> {
        let of = styles.len();
        let mut encoded = VecDeque::with_capacity(of);
        for (index, picture) in styles.into_iter().enumerate() {
            encoded.push_back((picture, self.encode::<KeyValue>(picture, Turn { index, of }).await?));
        }
        Ok(encoded)
    }

    /// Inverts all `styles` into `made`, where those finished stay if a later one fails.
    ///
    /// # Errors
    /// As [`Invert::encode`].
    pub async fn all(
        &self,
        styles: VecDeque<(&RgbImage, Tensor<4>)>,
        made: &mut Vec<KeptInversion<KeyValue>>,
    ) -> Result<()> {
        let of = styles.len();
        for (index, (picture, latents)) in styles.into_iter().enumerate() {
            made.push(self.one(picture, latents, Turn { index, of }).await?);
        }
        Ok(())
    }

    /// Inverts a picture with these latents.
    ///
    /// # Errors
    /// As [`Invert::encode`].
    pub async fn one<F: Feature>(
        &self,
        picture: &RgbImage,
        latents: Tensor<4>,
        turn: Turn,
    ) -> Result<KeptInversion<F>> {
        let inversion = self.pipeline.invert(latents, self.plan, self.kept_as::<F>(), turn, &self.run).await?;
        self.pipeline.free_unused_buffers();
        Ok(KeptInversion::new(picture, self.plan, self.params, inversion))
    }

    /// Inverts the content and a style of the same size in one batch.
    ///
    /// # Errors
    /// As [`Invert::encode`].
    pub async fn both(
        &self,
        [content, style]: [(&RgbImage, Tensor<4>); 2],
    ) -> Result<(KeptInversion<Query>, KeptInversion<KeyValue>)> {
        let kept = [self.kept_as::<Query>(), self.kept_as::<KeyValue>()];
        let inversions = self.pipeline.invert_both([content.1, style.1], self.plan, kept, &self.run).await?;
        self.pipeline.free_unused_buffers();
        let content = KeptInversion::new(content.0, self.plan, self.params, inversions.0);
        Ok((content, KeptInversion::new(style.0, self.plan, self.params, inversions.1)))
    }

    /// Shrinks a kept inversion to its part of the budget, to make room for new ones.
    ///
    /// # Errors
    /// As [`Invert::encode`].
    pub async fn make_room<F: Feature>(&self, inversion: &mut Inversion<F>) -> Result<()> {
        inversion.bank.allow(self.device_bytes::<F>());
        inversion.bank.enforce_budget().await?;
        if let Some(own) = &mut inversion.own {
            own.allow(self.device_bytes::<KeyValue>());
            own.enforce_budget().await?;
        }
        Ok(())
    }

    /// Device bytes for one picture's features: its part of the budget, by number of tensors.
    fn device_bytes<F: Feature>(&self) -> u64 {
        let parts = Query::PARTS + self.demand.keys_values * KeyValue::PARTS;
        (u128::from(self.demand.shares.features) * F::PARTS as u128 / parts as u128) as u64
    }

    /// How one picture's features are kept.
    pub fn keeping<F: Feature>(&self) -> Keeping {
        Keeping { halves: self.pipeline.keeps_halves(), device_bytes: self.device_bytes::<F>() }
    }

    fn kept_as<F: Feature>(&self) -> Kept {
        let keeps_own = F::IS_CONTENT && self.plan.shares_content;
        Kept { role: self.keeping::<F>(), own: keeps_own.then(|| self.keeping::<KeyValue>()) }
    }
}
