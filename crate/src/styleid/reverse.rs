//! The reverse pass: from the content's noise with the styles' statistics to the latents of the result.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::blend::{LayerMix, Mix};
use super::features::{KeyValue, Query};
use super::film::{FilmFrame, FilmPass, Painting};
use super::inversion::Inversion;
use super::params::{Params, Preset};
use super::pipeline::Pipeline;
use super::plan::Plan;
use super::preview::{self, LatentColours};
use super::processors::{Inject, Injection};
use super::run::Run;
use crate::control::{Phase, Preview, Turn};
use crate::device::wait_and_check_finite;
use crate::diffusion::Solver;
use crate::model::attention::PlainProcessor;
use crate::model::unet::Deep;
use crate::{Error, Result};

/// The styles of a reverse pass, and how they are mixed.
#[derive(Debug, Clone)]
pub struct Styles<'a> {
    /// The styles that contribute to the result; never empty.
    pub inversions: Vec<&'a Inversion<KeyValue>>,
    /// How they are mixed, with one part for each inversion.
    pub mix: &'a Mix,
    /// How a film's frame is painted; `None` for a picture on its own.
    pub film: Option<FilmPass<'a>>,
}

/// The result of the reverse pass, with its intermediate values.
#[derive(Debug, Clone)]
pub struct ReversePass {
    /// The latents that the reverse pass started from, `[1, 4, h, w]`.
    pub initial: Tensor<4>,
    /// Predicted clean latents of every step; empty unless the run is traced.
    pub x0: Vec<Tensor<4>>,
    /// Latents after every step; empty unless the run is traced.
    pub previous: Vec<Tensor<4>>,
    /// The latents to decode, `[1, 4, h, w]`.
    pub latents: Tensor<4>,
    /// In a film, what the next frame needs.
    pub frame: Option<FilmFrame>,
}

impl Pipeline {
    /// The reverse pass from the content's noise with the styles' statistics (paper, figure 3). `styles` may be `None` if
    /// the settings use neither these statistics nor the styles' features. With `colours`, previews of the predicted clean
    /// latents are shown as often as `params` asks.
    ///
    /// # Errors
    /// A cancel, a device that stopped, or inversions made with other settings.
    pub async fn stylize(
        &self,
        content: &Inversion<Query>,
        styles: Option<&Styles<'_>>,
        plan: &Plan,
        params: &Params,
        colours: Option<&LatentColours>,
        run: &Run<'_>,
    ) -> Result<ReversePass> {
        if plan.needs_style(params) && styles.is_none() {
            return Err(Error::Settings("The style has to be inverted for these settings.".into()));
        }
        if plan.shares_content && content.own.is_none() {
            let sentence =
                "The content was inverted without its keys and values; invert it again with the settings of this run.";
            return Err(Error::Settings(sentence.into()));
        }
        let [_, _, height, width] = content.noise().dims();
        let film = styles.and_then(|styles| styles.film.as_ref());
        let mut painting = film.map(|film| Painting::new(film.before, film.keeping, [height, width]));
        let initial = self.initial(content, styles, plan, params, painting.as_mut()).await?;
        let mut x = initial.clone();
        let (mut x0s, mut previous) = (Vec::new(), Vec::new());
        let mut clean = None;
        let calls = plan.reverse();
        let steps = calls.len();
        let mut solver = Solver::new(plan.prediction);
        let injection = styles.filter(|_| !plan.layers.is_empty()).map(|styles| Injection {
            content: &content.bank,
            styles: styles.inversions.iter().map(|style| &style.bank).collect(),
            others: {
                let own = content.own.as_ref().filter(|_| plan.shares_content);
                let before = film.and_then(|film| film.before).map(|frame| &frame.keys_values);
                own.into_iter().chain(before).collect()
            },
            mixes: self.mixes(styles.mix, &plan.layers),
            params,
        });
        run.counters.reverses();
        self.begin(Phase::Stylize, Turn::ONLY, &x, steps, run);
        for (i, call) in calls.iter().enumerate() {
            let context = &self.model.context;
            let plain = &mut PlainProcessor;
            let output = match &injection {
                None => self.predict(x.clone(), call.timestep, context, plain, None, run).await?,
                Some(injection) => {
                    let captured = painting.as_mut().map(Painting::bank);
                    let mut inject = Inject::new(injection, call.level, call.way)?.capturing(captured);
                    // The plain call's levels below the injected ones compute the same.
                    let mut deep =
                        (params.style_scale != 1.0).then(|| Deep::new(plan.injected_levels(&self.model.unet.config)));
                    let kept = deep.as_mut();
                    let injected = self.predict(x.clone(), call.timestep, context, &mut inject, kept, run).await?;
                    if deep.is_none() {
                        injected
                    } else {
                        // Extrapolates from the plain prediction through the injected one, in the form of classifier-free
                        // guidance (cross-image attention, Alaluf et al. 2024, equation 6).
                        let kept = deep.as_mut();
                        let plain = self.predict(x.clone(), call.timestep, context, plain, kept, run).await?;
                        plain.clone() + (injected - plain).mul_scalar(params.style_scale)
                    }
                }
            };
            let stepped = solver.step(&x, output, call.go);
            x = stepped.latents;
            wait_and_check_finite(if call.go.moves() { &x } else { &stepped.clean }).await?;
            if let Some(painting) = &mut painting {
                painting.bank().enforce_budget().await?;
            }
            if run.traced {
                x0s.push(stepped.clean.clone());
                previous.extend(call.go.moves().then(|| x.clone()));
            }
            run.control.report(Phase::Stylize, i + 1, steps);
            let is_due = params.preview_every > 0 && (i + 1) % params.preview_every == 0;
            if let Some(colours) = colours.filter(|_| is_due)
                && let Some((latents, size)) = preview::values(&stepped.clean).await?
            {
                run.control.preview(Preview { picture: colours.picture(&latents, size), step: i + 1, steps });
            }
            clean = Some(stepped.clean);
        }
        let latents = match (plan.preset, clean) {
            (Preset::Diffusers | Preset::Fast, Some(x0)) => x0,
            _ => x,
        };
        let latents = self.toned(latents, styles, plan, params, painting.as_mut());
        let latents = self.textured(latents, styles, params).await?;
        Ok(ReversePass { initial, x0: x0s, previous, latents, frame: painting.map(Painting::finish) })
    }

    /// How the styles are mixed at each of `layers`.
    fn mixes(&self, mix: &Mix, layers: &[usize]) -> BTreeMap<usize, LayerMix> {
        let (unet, place) = (&self.model.unet.config, &self.model.place);
        let level = |layer| unet.level(layer).unwrap_or_default();
        layers.iter().map(|&layer| (layer, mix.layer(level(layer), place))).collect()
    }
}
