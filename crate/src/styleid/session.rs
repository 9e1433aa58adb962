//! Runs that remember: the last content and the last style stay inverted, so that a run does only what changed.

use image::RgbImage;

use super::features::{Feature, KeyValue, Query};
use super::inversion::Inversion;
use super::params::{Params, Preset};
use super::pipeline::{Pipeline, Plan, Stylized};
use crate::Result;
use crate::control::Control;
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
    /// The style's inversion, kept for the next run.
    pub style: &'a Inversion<KeyValue>,
    /// The reverse pass.
    pub stylized: Stylized,
    /// Decoded pixels, channel by channel: 3 × height × width, about −1…1.
    pub pixels: Vec<f32>,
    /// The result.
    pub image: RgbImage,
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
        let content = picture::fit(content, size, info.factor)?;
        let style = picture::fit(style, size, info.factor)?;
        let style = inverted(pipeline, &mut self.style, style, &plan, params, control).await?;
        let content = inverted(pipeline, &mut self.content, content, &plan, params, control).await?;
        let stylized = pipeline.stylize(content, style, &plan, params, control).await?;
        let decoded = pipeline.decode(stylized.latents.clone(), control).await?;
        let [_, _, height, width] = decoded.dims();
        let pixels: Vec<f32> = decoded.into_data_async().await?.iter::<f32>().collect();
        // What the last kernels did wrong is told only after they ran.
        control.breathe().await?;
        let image = picture::from_pixels(&pixels, width, height, plan.preset.rounding());
        Ok(Outcome { content, style, stylized, pixels, image })
    }
}

/// The inversion kept in `slot` if it serves this run, else a new one, which is then kept.
async fn inverted<'a, F: Feature>(
    pipeline: &Pipeline,
    slot: &'a mut Option<Kept<F>>,
    picture: RgbImage,
    plan: &Plan,
    params: &Params,
    control: &Control<'_>,
) -> Result<&'a Inversion<F>> {
    let kept = match slot.take() {
        Some(kept) if kept.serves(&picture, plan, params) => kept,
        // The old one is dropped first: its features can be hundreds of megabytes.
        old => {
            drop(old);
            let pixels = picture::to_pixels(&picture, &pipeline.model.place);
            let z0 = pipeline.encode::<F>(pixels, params.vae_sample, control).await?;
            Kept {
                picture,
                preset: plan.preset,
                steps: plan.schedule.timesteps.len(),
                vae_sample: params.vae_sample,
                inversion: pipeline.invert(z0, plan, control).await?,
            }
        }
    };
    Ok(&slot.insert(kept).inversion)
}
