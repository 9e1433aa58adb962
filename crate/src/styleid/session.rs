//! Sessions reuse inversions: those of the last content and the last styles are kept, and earlier ones if there is a shelf
//! for them. A run recomputes only what changed.

use image::RgbImage;

use super::bank::Keeping;
use super::blend::{Mix, Style, StylePart};
use super::features::{KeyValue, Query};
use super::film::{Film, FilmPass};
use super::inversion::Inversion;
use super::kept::{Demand, KeptInversion};
use super::params::Params;
use super::pictures::RunPictures;
use super::pipeline::Pipeline;
use super::plan::Plan;
use super::preview::{self, ColourFit, LatentColours};
use super::reverse::{ReversePass, Styles};
use super::run::{Counters, Run};
use super::shelf::Shelf;
use crate::Result;
use crate::control::{Control, Turn};
use crate::memory::{Shares, Task, gpu_bytes};
use crate::picture::{self, Size};

/// A pipeline with the inversions of its last run.
#[derive(Debug)]
pub struct Session {
    /// The model and its device.
    pub pipeline: Pipeline,
    pub(super) content: Option<KeptInversion<Query>>,
    /// In no order: each is found by its picture.
    pub(super) styles: Vec<KeptInversion<KeyValue>>,
    shelf: Shelf,
    pub(super) counters: Counters,
    traced: bool,
    /// The film that the pictures are frames of.
    film: Option<Film>,
}

/// One finished run.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The content's inversion, kept for the next run.
    pub content: &'a Inversion<Query>,
    /// Inversions of the styles that were needed, in their order; kept for the next run.
    pub styles: Vec<&'a Inversion<KeyValue>>,
    /// The reverse pass.
    pub stylized: ReversePass,
    /// Decoded pixels, channel by channel: 3 × height × width, about −1…1.
    pub pixels: Vec<f32>,
    /// The result.
    pub image: RgbImage,
    /// UNet evaluations of this run: one for each picture and step.
    pub unet_calls: usize,
    /// Bytes of features that are kept on the device and in main memory.
    pub feature_bytes: (u64, u64),
}

impl Session {
    /// A session that has run nothing yet.
    pub fn new(pipeline: Pipeline) -> Self {
        let (shelf, counters) = (Shelf::default(), Counters::default());
        Self { pipeline, content: None, styles: Vec::new(), shelf, counters, traced: false, film: None }
    }

    /// A session that also keeps inversions of earlier runs on `shelf`. The results are the same with and without it.
    #[must_use]
    pub fn with_shelf(self, shelf: Shelf) -> Self {
        Self { shelf, ..self }
    }

    /// Counts over all runs so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A session whose runs keep the latents of every step.
    #[must_use]
    pub fn traced(self) -> Self {
        Self { traced: true, ..self }
    }

    /// Begins a film: from now on each run's picture is the next frame, and attention gives the result of the frame before a
    /// `weight` relative to the styles' total of 1, above 0. `None`: pictures stand on their own again.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn begin_film(&mut self, weight: Option<f32>) {
        self.film = weight.map(Film::new);
    }

    /// Sets whether the runs from now on keep the latents of every step.
    pub fn trace(&mut self, traced: bool) {
        self.traced = traced;
    }

    /// Repaints `content` in the style of `styles`, all at the size that `params` asks for.
    ///
    /// # Errors
    /// One sentence naming a setting or picture that cannot be used; a cancel; a device that stopped. Finished inversions
    /// are kept even so.
    pub async fn run(
        &mut self,
        content: &RgbImage,
        styles: &[Style<'_>],
        params: &Params,
        control: &Control<'_>,
    ) -> Result<Outcome<'_>> {
        let (mut plan, pictures) = self.begin(content, styles, params)?;
        if params.size == Some(Size::Keep)
            && let Some(notice) = pictures.long_run(self.pipeline.model.info.native_size)
        {
            control.notice(&notice);
        }
        let (used, parts): (Vec<&RgbImage>, Vec<StylePart>) =
            pictures.used().map(|(picture, part)| (picture, part.clone())).unzip();
        let without =
            Params { init_adain: false, attn_injection: false, redraw: 0.0, tone: 0.0, texture: 0.0, ..params.clone() };
        let params = if used.is_empty() {
            // Every mask is empty, so that no style applies anywhere.
            plan.layers.clear();
            plan.shares_content = false;
            &without
        } else {
            params
        };
        let used = if plan.needs_style(params) { used } else { Vec::new() };
        let mix = if used.is_empty() {
            None
        } else {
            let before = self.film.as_ref().and_then(|film| Some((film.frame_before(&plan)?.latents, film.weight)));
            Some(Mix::new(params.blend, parts, pictures.grid)?.sharing(params.content_share).following(before))
        };
        let calls = self.counters.unet_calls();

        self.change(&pictures, &used, &plan, params).await?;
        let (mut kept, keeping) = self.invert(&pictures, &used, &plan, params, control).await?;
        self.shelf.file(&mut kept, &self.pipeline, &plan, params, control).await;
        for kept in &mut self.styles {
            self.shelf.file(kept, &self.pipeline, &plan, params, control).await;
        }
        let colours = self.colours(&kept, params).await?;
        let content = &self.content.insert(kept).inversion;
        let pipeline = &self.pipeline;
        let run = Run { control, counters: &self.counters, traced: self.traced };
        let found = |picture: &&RgbImage| self.styles.iter().find(|kept| kept.serves(picture, &plan, params));
        let inversions: Vec<_> = used.iter().filter_map(found).map(|kept| &kept.inversion).collect();
        let before = self.film.as_ref().and_then(|film| film.frame_before(&plan));
        let film = self.film.is_some().then_some(FilmPass { keeping, before });
        let styles = mix.as_ref().map(|mix| Styles { inversions: inversions.clone(), mix, film });
        let stylized = pipeline.stylize(content, styles.as_ref(), &plan, params, colours.as_ref(), &run).await?;
        pipeline.free_unused_buffers();
        let decoded = pipeline.decode(stylized.latents.clone(), control).await?;
        let [_, _, height, width] = decoded.dims();
        let pixels: Vec<f32> = decoded.into_data_async().await?.iter::<f32>().collect();
        // Faults of the last kernels are reported only after these ran.
        control.yield_and_check().await?;
        picture::check_pixels(&pixels)?;
        let mut image = picture::from_pixels(&pixels, width, height, plan.preset.rounding());
        #[cfg(not(target_arch = "wasm32"))]
        if let (Some(film), Some(frame)) = (&mut self.film, stylized.frame.clone()) {
            if let Some(before) = &film.before {
                image = before.follow(&pictures.content, image);
            }
            film.before = Some(frame.with_pictures(pictures.content.clone(), image.clone()));
        }
        if params.keep_colours {
            image = picture::with_chroma_of(&image, &pictures.content);
        }
        let unet_calls = self.counters.unet_calls() - calls;
        let feature_bytes = feature_bytes(content, &self.styles);
        Ok(Outcome { content, styles: inversions, stylized, pixels, image, unet_calls, feature_bytes })
    }

    /// Plans a run, and fits its pictures to its size.
    pub(super) fn begin(
        &self,
        content: &RgbImage,
        styles: &[Style<'_>],
        params: &Params,
    ) -> Result<(Plan, RunPictures)> {
        let plan = Plan::new(&self.pipeline.model, params)?;
        let info = &self.pipeline.model.info;
        let size = params.size.unwrap_or(Size::Square(info.native_size as u32));
        let pictures = RunPictures::new(content, styles, (size, params.keep_aspect), info.factor)?;
        Ok((plan, pictures))
    }

    /// Moves inversions that this run cannot use to the shelf before new ones are made, since features can be hundreds of
    /// megabytes. Takes those that it can use from the shelf.
    pub(super) async fn change(
        &mut self,
        pictures: &RunPictures,
        used: &[&RgbImage],
        plan: &Plan,
        params: &Params,
    ) -> Result<()> {
        if let Some(kept) = self.content.take_if(|kept| !kept.serves(&pictures.content, plan, params)) {
            self.shelf.put(kept).await?;
        }
        let serves =
            |kept: &mut KeptInversion<KeyValue>| pictures.styles.iter().any(|style| kept.serves(style, plan, params));
        let idle: Vec<_> = self.styles.extract_if(.., |kept| !serves(kept)).collect();
        for kept in idle {
            self.shelf.put(kept).await?;
        }
        if self.content.is_none() {
            self.content = self.shelf.take(&pictures.content, &self.pipeline, plan, params);
        }
        for &picture in used {
            if !self.styles.iter().any(|kept| kept.serves(picture, plan, params)) {
                self.styles.extend(self.shelf.take(picture, &self.pipeline, plan, params));
            }
        }
        Ok(())
    }

    /// The map from latents to colours for previews, if previews are requested. It is fitted to the kept pictures, so that
    /// nothing is encoded for it.
    async fn colours(&self, content: &KeptInversion<Query>, params: &Params) -> Result<Option<LatentColours>> {
        if params.preview_every == 0 {
            return Ok(None);
        }
        let mut moments = ColourFit::default();
        let content = std::iter::once((content.inversion.latents(), content.picture()));
        let styles = self.styles.iter().map(|kept| (kept.inversion.latents(), kept.picture()));
        for (latents, picture) in content.chain(styles) {
            let Some((values, size)) = preview::values(latents).await? else { return Ok(None) };
            moments.add(&values, size, picture);
        }
        Ok(Some(moments.solve()))
    }

    /// Inverts the content and the `used` styles, except those that are kept. The content shares a batch with one style if
    /// possible. Returns the content's inversion, and how keys and values are kept. Finished inversions are kept if a later
    /// one fails.
    pub(super) async fn invert(
        &mut self,
        pictures: &RunPictures,
        used: &[&RgbImage],
        plan: &Plan,
        params: &Params,
        control: &Control<'_>,
    ) -> Result<(KeptInversion<Query>, Keeping)> {
        let mut missing = self.missing(used, plan, params);
        let demand = self.demand(&missing, pictures, plan);
        let run = Run { control, counters: &self.counters, traced: self.traced };
        let invert = demand.invert(&self.pipeline, plan, params, run);
        // Kept inversions make room for new ones.
        if let Some(kept) = &mut self.content {
            invert.make_room(&mut kept.inversion).await?;
        }
        for kept in &mut self.styles {
            invert.make_room(&mut kept.inversion).await?;
        }
        // A style of the content's size can share its batch, and so comes first.
        let alike = |picture: &&RgbImage| picture.dimensions() == pictures.content.dimensions();
        let pair = missing.iter().position(alike).filter(|_| demand.shares.pairs && self.content.is_none());
        if let Some(first) = pair {
            missing[..=first].rotate_right(1);
        }
        let mut waiting = invert.encode_all(missing).await?;
        if pair.is_some()
            && let Some(style) = waiting.pop_front()
        {
            let latents = invert.encode::<Query>(&pictures.content, Turn::ONLY).await?;
            let (content, style) = invert.both([(&pictures.content, latents), style]).await?;
            self.content = Some(content);
            self.styles.push(style);
        }
        invert.all(waiting, &mut self.styles).await?;
        let content = match self.content.take() {
            Some(kept) => kept,
            None => {
                let latents = invert.encode::<Query>(&pictures.content, Turn::ONLY).await?;
                invert.one(&pictures.content, latents, Turn::ONLY).await?
            }
        };
        Ok((content, invert.keeping::<KeyValue>()))
    }

    /// Those of the `used` styles whose inversions are not kept, each once.
    pub(super) fn missing<'a>(&self, used: &[&'a RgbImage], plan: &Plan, params: &Params) -> Vec<&'a RgbImage> {
        let mut missing: Vec<&RgbImage> = Vec::new();
        for &picture in used {
            if !missing.contains(&picture) && !self.styles.iter().any(|kept| kept.serves(picture, plan, params)) {
                missing.push(picture);
            }
        }
        missing
    }

    /// What inversions take with these styles `missing`.
    pub(super) fn demand(&self, missing: &[&RgbImage], pictures: &RunPictures, plan: &Plan) -> Demand {
        // If the kept content has its own keys and values, they stay.
        let keeps_own = plan.shares_content || self.content.as_ref().is_some_and(|kept| kept.inversion.own.is_some());
        // A film has the keys and values of the frame before and of the one in hand.
        let frames = if self.film.is_some() { 2 } else { 0 };
        let styles = self.styles.len() + missing.len() + frames;
        Demand { shares: self.shares(plan, pictures, styles, keeps_own), keys_values: styles + usize::from(keeps_own) }
    }

    /// What the memory budget leaves for features, and whether it allows a batch of two. `styles` is the number of styles
    /// kept at the end; with `keeps_own` the content's own keys and values are kept too.
    fn shares(&self, plan: &Plan, pictures: &RunPictures, styles: usize, keeps_own: bool) -> Shares {
        let model = &self.pipeline.model;
        let place = &model.place;
        let held = self.content.as_ref().map_or(0, |kept| kept.inversion.feature_bytes().0)
            + self.styles.iter().map(|kept| kept.inversion.feature_bytes().0).sum::<u64>();
        let weights = gpu_bytes(&place.device).map_or(0, |bytes| bytes.in_use.saturating_sub(held));
        let largest = pictures.latents().max_by_key(|[height, width]| height * width).unwrap_or_default();
        let task = Task {
            unet: &model.unet.config,
            vae: &model.vae.config,
            band_bytes: model.vae.band_bytes,
            latents: largest,
            styles,
            content_keys: keeps_own,
            layers: &plan.layers,
            steps: plan.reverse().len(),
            value_bytes: if self.pipeline.keeps_halves() { 2 } else { place.dtype().size() },
        };
        let shares = Shares::new(model.memory.budget(place, weights), weights, task.need());
        // On the processor a batch of two is no faster: one picture already keeps it busy.
        Shares { pairs: model.memory.pairs.unwrap_or(shares.pairs && !place.is_processor()), ..shares }
    }
}

/// Bytes of features on the device and in main memory.
fn feature_bytes(content: &Inversion<Query>, styles: &[KeptInversion<KeyValue>]) -> (u64, u64) {
    let styles = styles.iter().map(|kept| kept.inversion.feature_bytes());
    styles.fold(content.feature_bytes(), |sum, style| (sum.0 + style.0, sum.1 + style.1))
}
