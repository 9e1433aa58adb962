//! What the reverse pass starts from: the content's noise, made ready.

use burn::tensor::Tensor;

use super::adain::{Statistics, adain};
use super::damping::damp;
use super::features::Query;
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
        let Some(Styles { inversions, mix }) = styles else { return Ok(noise) };
        let strength = if params.init_adain { params.adain_strength } else { 0.0 };
        let epsilon = plan.preset.adain_epsilon();
        let mut ready = noise.clone();
        if params.redraw > 0.0 {
            let painted = inversions.iter().zip(mix.presence());
            let painted = painted.map(|(style, share)| Painted { noise: style.noise(), share }).collect();
            ready = redraw(&noise, painted, Redraw { share: params.redraw, band: params.redraw_band }, place).await?;
            if strength < 1.0 {
                // The mixture has less deviation than either, and blurs everything.
                ready = adain(ready, Statistics::of(&noise), epsilon);
            }
        }
        if strength == 0.0 {
            return Ok(ready);
        }
        let statistics = inversions.iter().map(|style| Statistics::of(style.noise())).collect();
        let Some(statistics) = mix.statistics(statistics, place) else { return Ok(ready) };
        let mut aligned = adain(ready.clone(), statistics, epsilon);
        if strength < 1.0 {
            aligned = aligned.mul_scalar(strength) + ready.clone().mul_scalar(1.0 - strength);
        }
        Ok(match mix.coverage(0, place) {
            None => aligned,
            Some(share) => aligned * share.clone() + ready * share.neg().add_scalar(1.0),
        })
    }
}
