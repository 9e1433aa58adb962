//! Prepares the initial latents of the reverse pass from the content's noise, and aligns the statistics of its result.

use burn::tensor::Tensor;

use super::adain::{Statistics, adain, adain_from};
use super::damping::damp;
use super::features::{KeyValue, Query};
use super::film::Painting;
use super::inversion::Inversion;
use super::params::Params;
use super::pipeline::Pipeline;
use super::plan::Plan;
use super::planes::Painted;
use super::redraw::{Redraw, redraw};
use super::reverse::Styles;
use super::texture::texture;
use crate::Result;

impl Pipeline {
    /// The content's noise with low frequencies damped, high frequencies redrawn, and AdaIN to the styles' statistics
    /// (paper, section 4.4), each at its requested strength. Where no style applies, it stays the content's (damped) noise.
    pub(super) async fn initial(
        &self,
        content: &Inversion<Query>,
        styles: Option<&Styles<'_>>,
        plan: &Plan,
        params: &Params,
        film: Option<&mut Painting<'_>>,
    ) -> Result<Tensor<4>> {
        let place = &self.model.place;
        let noise = damp(content.noise().clone(), params.damping, place).await?;
        let Some(styles) = styles else { return Ok(noise) };
        let strength = if params.init_adain { params.adain_strength } else { 0.0 };
        let epsilon = plan.preset.adain_epsilon();
        let mut ready = noise.clone();
        if params.redraw > 0.0 {
            let painted = painted(styles, |style| style.noise());
            ready = redraw(&noise, painted, Redraw { share: params.redraw, band: params.redraw_band }, place).await?;
            if strength < 1.0 {
                // The mixture has a smaller deviation than either noise, which would blur everything.
                ready = adain(ready, Statistics::of(&noise), epsilon);
            }
        }
        let own = film.map_or_else(|| Statistics::of(&ready), |film| film.noise(&ready));
        Ok(self.aligned((ready, own), styles, |style| style.noise(), strength, epsilon))
    }

    /// Moves the result's latents `x0` towards the statistics of the styles' own latents, by `params.tone`. This is AdaIN
    /// on the picture instead of the noise: the run leaves contrasts and colours between content and style.
    pub(super) fn toned(
        &self,
        x0: Tensor<4>,
        styles: Option<&Styles<'_>>,
        plan: &Plan,
        params: &Params,
        film: Option<&mut Painting<'_>>,
    ) -> Tensor<4> {
        let Some(styles) = styles else { return x0 };
        let own = film.map_or_else(|| Statistics::of(&x0), |film| film.clean(&x0));
        self.aligned((x0, own), styles, |style| style.latents(), params.tone, plan.preset.adain_epsilon())
    }

    /// Gives the details of the result's latents the strength of those in the styles' own latents, by `params.texture`.
    ///
    /// # Errors
    /// The device failed.
    pub(super) async fn textured(
        &self,
        x0: Tensor<4>,
        styles: Option<&Styles<'_>>,
        params: &Params,
    ) -> Result<Tensor<4>> {
        let Some(styles) = styles.filter(|_| params.texture > 0.0) else { return Ok(x0) };
        let painted = painted(styles, |style| style.latents());
        texture(&x0, painted, params.texture, &self.model.place).await
    }

    /// AdaIN of `x` with its `own` statistics to those of the styles' tensors `of`, by `strength` and only where styles apply.
    fn aligned(
        &self,
        (x, own): (Tensor<4>, Statistics),
        Styles { inversions, mix, .. }: &Styles<'_>,
        of: impl Fn(&Inversion<KeyValue>) -> &Tensor<4>,
        strength: f32,
        epsilon: f32,
    ) -> Tensor<4> {
        let place = &self.model.place;
        if strength == 0.0 {
            return x;
        }
        let statistics = inversions.iter().map(|style| Statistics::of(of(style))).collect();
        let Some(statistics) = mix.statistics(statistics, place) else { return x };
        let mut aligned = adain_from(x.clone(), own, statistics, epsilon);
        if strength < 1.0 {
            aligned = aligned.mul_scalar(strength) + x.clone().mul_scalar(1.0 - strength);
        }
        match mix.coverage(0, place) {
            None => aligned,
            Some(share) => aligned * share.clone() + x * share.neg().add_scalar(1.0),
        }
    }
}

/// What each style has at each cell of the content.
fn painted<'a>(
    Styles { inversions, mix, .. }: &'a Styles<'_>,
    of: impl Fn(&'a Inversion<KeyValue>) -> &'a Tensor<4>,
) -> Vec<Painted<'a>> {
    let shares = inversions.iter().zip(mix.presence());
    shares.map(|(style, share)| Painted { latents: of(style), share }).collect()
}
