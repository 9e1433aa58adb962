//! What the reverse pass starts from, the content's noise, made ready; and the statistics that its result ends with.

use burn::tensor::Tensor;

use super::adain::{Statistics, adain};
use super::damping::damp;
use super::features::{KeyValue, Query};
use super::inversion::Inversion;
use super::params::Params;
use super::pipeline::Pipeline;
use super::plan::Plan;
use super::redraw::{Painted, Redraw, redraw};
use super::reverse::Styles;
use crate::Result;

impl Pipeline {
    /// The content's noise with its low frequencies damped, its high ones redrawn, and moved to the styles' statistics (paper,
    /// section 4.4), each as far as it is asked for. Where no style goes it stays the content's.
    pub(super) async fn initial(
        &self,
        content: &Inversion<Query>,
        styles: Option<&Styles<'_>>,
        plan: &Plan,
        params: &Params,
    ) -> Result<Tensor<4>> {
        let place = &self.model.place;
        let noise = damp(content.noise().clone(), params.damping, place).await?;
        let Some(styles) = styles else { return Ok(noise) };
        let strength = if params.init_adain { params.adain_strength } else { 0.0 };
        let epsilon = plan.preset.adain_epsilon();
        let mut ready = noise.clone();
        if params.redraw > 0.0 {
            let painted = styles.inversions.iter().zip(styles.mix.presence());
            let painted = painted.map(|(style, share)| Painted { noise: style.noise(), share }).collect();
            ready = redraw(&noise, painted, Redraw { share: params.redraw, band: params.redraw_band }, place).await?;
            if strength < 1.0 {
                // The mixture has less deviation than either, and blurs everything.
                ready = adain(ready, Statistics::of(&noise), epsilon);
            }
        }
        Ok(self.aligned(ready, styles, |style| style.noise(), strength, epsilon))
    }

    /// The result's latents `x0`, moved to the statistics of the styles' own latents as far as `params.tone` says: what AdaIN does to the
    /// noise, done to the picture, whose contrasts and colours the run has left between both.
    pub(super) fn toned(&self, x0: Tensor<4>, styles: Option<&Styles<'_>>, plan: &Plan, params: &Params) -> Tensor<4> {
        match styles {
            Some(styles) => self.aligned(x0, styles, |style| style.latents(), params.tone, plan.preset.adain_epsilon()),
            None => x0,
        }
    }

    /// `x`, moved to the mean and deviation of what `of` gives of each style, by `strength` of the way and where styles go.
    fn aligned(
        &self,
        x: Tensor<4>,
        Styles { inversions, mix }: &Styles<'_>,
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
        let mut aligned = adain(x.clone(), statistics, epsilon);
        if strength < 1.0 {
            aligned = aligned.mul_scalar(strength) + x.clone().mul_scalar(1.0 - strength);
        }
        match mix.coverage(0, place) {
            None => aligned,
            Some(share) => aligned * share.clone() + x * share.neg().add_scalar(1.0),
        }
    }
}
