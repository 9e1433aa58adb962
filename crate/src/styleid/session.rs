//! Runs that remember: the last content and the last style stay inverted, so that a run does only what changed.

use burn::tensor::Tensor;
use image::RgbImage;

use super::bank::Keeping;
use super::features::{Feature, KeyValue, Query};
use super::inversion::Inversion;
use super::params::{Params, Preset};
use super::pipeline::{Pipeline, Plan, Stylized};
use crate::Result;
use crate::control::Control;
use crate::memory::{Shares, Task, gpu_bytes};
use crate::picture::{self, Size};

/// A pipeline with the inversions of its last run.
#[derive(Debug)]
pub struct Session {
    /// The model and its device.
    pub pipeline: Pipeline,
    content: Option<Kept<Query>>,
    style: Option<Kept<KeyValue>>,
}

/// An inversion with what it was made from.
#[derive(Debug)]
struct Kept<F> {
    picture: RgbImage,
    preset: Preset,
    steps: usize,
    vae_sample: Option<u32>,
    inversion: Inversion<F>,
}

impl<F> Kept<F> {
    fn serves(&self, picture: &RgbImage, plan: &Plan, params: &Params) -> bool {
        self.preset == plan.preset
            && self.steps == plan.schedule.timesteps.len()
            && self.vae_sample == params.vae_sample
            && plan.layers.iter().all(|layer| self.inversion.layers.contains(layer))
            && self.picture == *picture
    }
}

/// One finished run.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The content's inversion, kept for the next run.
    pub content: &'a Inversion<Query>,
    /// The style's inversion, kept for the next run; none where nothing of the style was needed.
    pub style: Option<&'a Inversion<KeyValue>>,
    /// The reverse pass.
    pub stylized: Stylized,
    /// Decoded pixels, channel by channel: 3 × height × width, about −1…1.
    pub pixels: Vec<f32>,
    /// The result.
    pub image: RgbImage,
}

impl Outcome<'_> {
    /// Bytes of features that are kept on the device and in main memory.
    pub fn feature_bytes(&self) -> (u64, u64) {
        let (content, style) = (self.content.bank.bytes(), self.style.map_or((0, 0), |style| style.bank.bytes()));
        (content.0 + style.0, content.1 + style.1)
    }
}

impl Session {
    /// A session that has run nothing yet.
    pub fn new(pipeline: Pipeline) -> Self {
        Self { pipeline, content: None, style: None }
    }

    /// Repaints `content` in the style of `style`, both at the size that `params` asks for.
    ///
    /// # Errors
    /// One sentence naming a setting or picture that cannot be used; a cancel; a device that stopped. Inversions that
    /// were finished before are kept.
    pub async fn run(
        &mut self,
        content: &RgbImage,
        style: &RgbImage,
        params: &Params,
        control: &Control<'_>,
    ) -> Result<Outcome<'_>> {
        let plan = self.pipeline.plan(params)?;
        let pipeline = &self.pipeline;
        let info = &pipeline.model.info;
        let size = params.size.unwrap_or(Size::Square(info.native_size as u32));
        let content = picture::fit(content, size, params.keep_aspect, info.factor)?;
        let style = picture::fit(style, size, params.keep_aspect, info.factor)?;
        // What does not serve is dropped before anything new is made: features can be hundreds of megabytes.
        self.content.take_if(|kept| !kept.serves(&content, &plan, params));
        self.style.take_if(|kept| !kept.serves(&style, &plan, params));
        let shares = self.shares(&plan, [&content, &style]);
        let invert = Invert { pipeline, plan: &plan, params, shares, control };
        let needs_style = plan.needs_style(params);
        let alike = content.dimensions() == style.dimensions();
        if shares.pairs && alike && needs_style && self.content.is_none() && self.style.is_none() {
            let (content, style) = invert.both(&content, &style).await?;
            (self.content, self.style) = (Some(content), Some(style));
        }
        if needs_style && self.style.is_none() {
            self.style = Some(invert.one(&style).await?);
        }
        let kept = match self.content.take() {
            Some(kept) => kept,
            None => invert.one(&content).await?,
        };
        let content = &self.content.insert(kept).inversion;
        let style = self.style.as_ref().filter(|_| needs_style).map(|kept| &kept.inversion);
        let stylized = pipeline.stylize(content, style, &plan, params, control).await?;
        pipeline.tidy();
        let decoded = pipeline.decode(stylized.latents.clone(), control).await?;
        let [_, _, height, width] = decoded.dims();
        let pixels: Vec<f32> = decoded.into_data_async().await?.iter::<f32>().collect();
        // What the last kernels did wrong is told only after they ran.
        control.breathe().await?;
        let image = picture::from_pixels(&pixels, width, height, plan.preset.rounding());
        Ok(Outcome { content, style, stylized, pixels, image })
    }

    /// What the budget leaves for features, and whether for a batch of two, beside what is on the device already.
    fn shares(&self, plan: &Plan, pictures: [&RgbImage; 2]) -> Shares {
        let model = &self.pipeline.model;
        let place = &model.place;
        let held = self.content.as_ref().map_or(0, |kept| kept.inversion.bank.bytes().0)
            + self.style.as_ref().map_or(0, |kept| kept.inversion.bank.bytes().0);
        let weights = gpu_bytes(&place.device).map_or(0, |bytes| bytes.in_use.saturating_sub(held));
        let factor = model.info.factor;
        let latents = pictures.map(|picture| [picture.height() as usize / factor, picture.width() as usize / factor]);
        let [content, style] = latents;
        let larger = if content[0] * content[1] > style[0] * style[1] { content } else { style };
        let task = Task {
            unet: &model.unet.config,
            vae: &model.vae.config,
            band_bytes: model.vae.band_bytes,
            latents: larger,
            layers: &plan.layers,
            steps: plan.reverse().count(),
            value_bytes: if self.pipeline.keeps_halves() { 2 } else { place.dtype().size() },
        };
        let shares = Shares::new(model.memory.budget(place, weights), weights, task.need());
        // The processor is as busy with one picture as with two.
        Shares { pairs: model.memory.pairs.unwrap_or(shares.pairs && !place.is_processor()), ..shares }
    }
}

/// How the inversions of one run are made.
struct Invert<'a> {
    pipeline: &'a Pipeline,
    plan: &'a Plan,
    params: &'a Params,
    shares: Shares,
    control: &'a Control<'a>,
}

impl Invert<'_> {
    async fn one<F: Feature>(&self, picture: &RgbImage) -> Result<Kept<F>> {
        let z0 = self.encode::<F>(picture).await?;
        let inversion = self.pipeline.invert(z0, self.plan, self.keeping::<F>(), self.control).await?;
        self.pipeline.tidy();
        Ok(self.kept(picture, inversion))
    }

    async fn both(&self, content: &RgbImage, style: &RgbImage) -> Result<(Kept<Query>, Kept<KeyValue>)> {
        let of_style = self.encode::<KeyValue>(style).await?;
        let of_content = self.encode::<Query>(content).await?;
        let keeping = [self.keeping::<Query>(), self.keeping::<KeyValue>()];
        let inversions = self.pipeline.invert_both([of_content, of_style], self.plan, keeping, self.control).await?;
        self.pipeline.tidy();
        Ok((self.kept(content, inversions.0), self.kept(style, inversions.1)))
    }

    async fn encode<F: Feature>(&self, picture: &RgbImage) -> Result<Tensor<4>> {
        let pixels = picture::to_pixels(picture, &self.pipeline.model.place);
        let latents = self.pipeline.encode::<F>(pixels, self.params.vae_sample, self.control).await?;
        self.pipeline.tidy();
        Ok(latents)
    }

    /// A picture's part of what is left for features.
    fn keeping<F: Feature>(&self) -> Keeping {
        let parts = (Query::PARTS + KeyValue::PARTS) as u64;
        let device_bytes = (u128::from(self.shares.features) * F::PARTS as u128 / u128::from(parts)) as u64;
        Keeping { halves: self.pipeline.keeps_halves(), device_bytes }
    }

    fn kept<F>(&self, picture: &RgbImage, inversion: Inversion<F>) -> Kept<F> {
        Kept {
            picture: picture.clone(),
            preset: self.plan.preset,
            steps: self.plan.schedule.timesteps.len(),
            vae_sample: self.params.vae_sample,
            inversion,
        }
    }
}
