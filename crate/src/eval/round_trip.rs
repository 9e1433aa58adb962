//! The round trip: how much of a picture an inversion and a reverse pass without any style give back. It measures the
//! solver's loss.

use image::RgbImage;

use crate::styleid::{Params, Session, Style};
use crate::{Control, Result};

/// Peak signal-to-noise ratio in dB between `picture`, inverted and sampled again at the size and steps of `params`,
/// and the VAE's own reconstruction of it. Pixels are compared before they are rounded; they go from −1 to 1.
///
/// # Errors
/// As [`Session::run`].
pub async fn round_trip(
    session: &mut Session,
    picture: &RgbImage,
    params: &Params,
    control: &Control<'_>,
) -> Result<f64> {
    let params = Params {
        init_adain: false,
        attn_injection: false,
        redraw: 0.0,
        damping: 1.0,
        keep_colours: false,
        preview_every: 0,
        ..params.clone()
    };
    let outcome = session.run(picture, &[Style::alone(picture)], &params, control).await?;
    let (latents, again) = (outcome.content.latents().clone(), outcome.pixels);
    let own = session.pipeline.decode(latents, control).await?.into_data_async().await?;
    Ok(signal_to_noise(own.iter::<f32>(), &again))
}

/// Peak signal-to-noise ratio in dB, for values in a range of width 2.
fn signal_to_noise(own: impl Iterator<Item = f32>, again: &[f32]) -> f64 {
    let squares = own.zip(again).map(|(own, &again)| f64::from(own - again).powi(2)).sum::<f64>();
    10.0 * (4.0 * again.len() as f64 / squares).log10()
}

#[cfg(test)]
mod tests {
    use super::signal_to_noise;

    #[test]
    fn a_hundredth_of_the_range_is_forty_decibels() {
        let own = [-1.0, 0.5, 0.25, 1.0];
        let again = own.map(|value| value + 0.02);
        assert!((signal_to_noise(own.into_iter(), &again) - 40.0).abs() < 1e-4);
    }
}
