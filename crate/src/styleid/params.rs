//! The settings of a run, and the two presets as data.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::curve::Curve;
use crate::diffusion::schedule::{Alphas, Grid};
use crate::picture::{Rounding, Size};
use crate::weights::config::UnetConfig;
use crate::{Error, Result};

/// The two official implementations, which are different algorithms, and a faster one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Preset {
    /// The authors' diffusers version: 20 steps, inversion with the stale latent, output is the last predicted x₀.
    #[default]
    Diffusers,
    /// The paper's version on the LDM code: 50 steps, aligned inversion, first reverse step skipped.
    Ldm,
    /// DPM-Solver++ 2M (Lu et al. 2022) both ways over noise levels of Karras' grid: 10 steps, output is the last predicted x₀.
    Fast,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Diffusers, Self::Ldm, Self::Fast];

    /// Default number of steps: calls of the UNet for a picture in each direction.
    pub fn steps(self) -> usize {
        match self {
            Self::Diffusers => 20,
            Self::Ldm => 50,
            Self::Fast => 10,
        }
    }

    /// How the reference implementation builds its noise schedule, and the fewest steps that it can run; `None` for a
    /// preset that does not use DDIM.
    pub fn grid(self) -> Option<Grid> {
        match self {
            Self::Diffusers => Some(Grid { alphas: Alphas::F32, least_steps: 1 }),
            // It skips its first reverse step, so it needs two.
            Self::Ldm => Some(Grid { alphas: Alphas::F64, least_steps: 2 }),
            Self::Fast => None,
        }
    }

    /// Default decoder layers for injection: those of the two finest levels, without the first one except in the paper's
    /// preset. For Stable Diffusion these are 7 to 11, and 6 to 11 in the paper's preset.
    pub fn layers(self, unet: &UnetConfig) -> Vec<usize> {
        let skipped = match self {
            Self::Diffusers | Self::Fast => 1,
            Self::Ldm => 0,
        };
        unet.layers_at_finest_levels(2, skipped)
    }

    /// Added to the content's standard deviation in AdaIN.
    pub fn adain_epsilon(self) -> f32 {
        match self {
            Self::Diffusers | Self::Fast => 1e-4,
            Self::Ldm => 0.0,
        }
    }

    /// How pixel values are rounded to bytes.
    pub fn rounding(self) -> Rounding {
        match self {
            Self::Diffusers | Self::Fast => Rounding::Nearest,
            Self::Ldm => Rounding::Truncate,
        }
    }
}

/// How several styles become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Blend {
    /// One softmax over the keys of all styles, each style's scores plus the logarithm of its weight.
    #[default]
    Together,
    /// Weighted means of the styles' keys and of their values, for styles of one size.
    Average,
}

/// What to run. `None` leaves the choice to the preset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Params {
    /// Which version of the method to follow.
    pub preset: Preset,
    /// Calls of the UNet for a picture in each direction.
    pub steps: Option<usize>,
    /// γ: how much of the query is the content's own, 0 (all style) to 1 (paper, equation 5).
    pub gamma: f32,
    /// Where γ goes over the reverse steps; it stays where it is without.
    pub gamma_curve: Option<Curve>,
    /// Layers that start from a γ of their own.
    #[serde(deserialize_with = "by_layer")]
    #[cfg_attr(test, ts(type = "Record<string, number> | null"))]
    pub gamma_by_layer: Option<BTreeMap<usize, f32>>,
    /// T: multiplies the attention scores, sharpening them (paper, section 4.3).
    pub temperature: f32,
    /// Where T goes over the reverse steps; it stays where it is without.
    pub temperature_curve: Option<Curve>,
    /// Decoder layers that are injected; where none are asked for, the model has the first word.
    pub layers: Option<Vec<usize>>,
    /// Whether the content's noise takes the style's mean and deviation first (paper, section 4.4).
    pub init_adain: bool,
    /// Whether attention is injected.
    pub attn_injection: bool,
    /// Seed for sampling the VAE's posterior; its mode otherwise. The content uses seed + 1.
    pub vae_sample: Option<u32>,
    /// How several styles become one.
    pub blend: Blend,
    /// Whether the result's colours are the photo's: its own luminance, the photo's chroma.
    pub keep_colours: bool,
    /// α: multiplies the low frequencies of the content's noise before AdaIN; 1 leaves them.
    pub damping: f32,
    /// Share of the high frequencies of the content's noise that give way to the style's, 0 to 1: strokes instead of a colour grade.
    pub redraw: f32,
    /// From where on frequencies are high: deviation of a Gaussian low pass, relative to the highest frequency, 0.05 to 1.
    pub redraw_band: f32,
    /// How far the content's noise is moved to the style's mean and deviation, 0 to 1, where it is at all.
    pub adain_strength: f32,
    /// How far the result's latents are moved to the mean and deviation of the style's at the end, 0 to 1 (AdaIN of the picture, not of
    /// its noise).
    pub tone: f32,
    /// How far the details of the result's latents are strengthened or weakened to those of the style's at the end, band by band of
    /// frequencies, 0 to 1.
    pub texture: f32,
    /// How far the prediction goes from the plain one towards the injected one and beyond, 1 to 5; other than 1 it takes one more call of the
    /// UNet a reverse step.
    pub style_scale: f32,
    /// What the content's own keys and values weigh in the injected attention beside the styles' 1, 0 (none) to 1 (as much).
    pub content_share: f32,
    /// Size of all pictures; the size the model was trained at where none is asked for.
    #[cfg_attr(test, ts(type = "number | \"keep\" | null"))]
    pub size: Option<Size>,
    /// Whether `size` is the long side of pictures that keep their shape, not the side of a square.
    pub keep_aspect: bool,
    /// A preview after every so many reverse steps; none for 0.
    pub preview_every: usize,
}

/// Deserialises a map by layer number; the keys of a JSON object are strings.
fn by_layer<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<BTreeMap<usize, f32>>, D::Error> {
    let Some(named) = Option::<BTreeMap<String, f32>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let number = |layer: &str| {
        layer.parse::<usize>().map_err(|_| {
            serde::de::Error::custom(format!("gammaByLayer takes numbers of decoder layers, and {layer:?} is none"))
        })
    };
    named.into_iter().map(|(layer, gamma)| Ok((number(&layer)?, gamma))).collect::<Result<_, _>>().map(Some)
}

impl Default for Params {
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            steps: None,
            gamma: 0.75,
            gamma_curve: None,
            gamma_by_layer: None,
            temperature: 1.5,
            temperature_curve: None,
            layers: None,
            init_adain: true,
            attn_injection: true,
            vae_sample: None,
            blend: Blend::default(),
            keep_colours: false,
            damping: 1.0,
            redraw: 0.0,
            redraw_band: 0.6,
            adain_strength: 1.0,
            tone: 0.0,
            texture: 0.0,
            style_scale: 1.0,
            content_share: 0.0,
            size: None,
            keep_aspect: false,
            preview_every: 0,
        }
    }
}

impl Params {
    /// Calls of the UNet for a picture in each direction.
    pub fn steps(&self) -> usize {
        self.steps.unwrap_or(self.preset.steps())
    }

    /// γ of `layer` at progress `way` of the reverse pass, 0 to 1.
    pub fn gamma_at(&self, layer: usize, way: f64) -> f32 {
        let start = self.gamma_by_layer.as_ref().and_then(|layers| layers.get(&layer)).copied().unwrap_or(self.gamma);
        self.gamma_curve.map_or(start, |curve| curve.at(start, way))
    }

    /// T at progress `way` of the reverse pass, 0 to 1.
    pub fn temperature_at(&self, way: f64) -> f32 {
        self.temperature_curve.map_or(self.temperature, |curve| curve.at(self.temperature, way))
    }

    /// The decoder layers of `unet` to inject, ascending: the requested ones, else those in the model's config, else the
    /// preset's. Empty without injection.
    ///
    /// # Errors
    /// Names a layer that the model does not have, and those that it has; or says that no layer can be injected.
    pub fn layers(&self, unet: &UnetConfig) -> Result<Vec<usize>> {
        let available = unet.decoder_layers();
        let of_its_own = self.gamma_by_layer.iter().flat_map(BTreeMap::keys);
        if let Some(missing) = self.layers.iter().flatten().chain(of_its_own).find(|layer| !available.contains(layer)) {
            return Err(Error::Settings(format!(
                "This model has no self-attention in decoder layer {missing}; its layers are {available:?}."
            )));
        }
        if !self.attn_injection {
            return Ok(Vec::new());
        }
        let asked = self.layers.as_ref().or(unet.injection_layers.as_ref()).cloned();
        let is_asked = asked.is_some();
        let mut layers = asked.unwrap_or_else(|| self.preset.layers(unet));
        layers.sort_unstable();
        layers.dedup();
        if layers.is_empty() && !is_asked {
            return Err(Error::Settings(if available.is_empty() {
                "The decoder of this model has no self-attention, so no style can be injected; use another model, or switch \
                 attention injection off."
                    .into()
            } else {
                format!(
                    "This version of the method injects at none of this model's decoder layers; name some of {available:?}, \
                     or switch attention injection off."
                )
            }));
        }
        Ok(layers)
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// One sentence naming the setting and its range.
    pub fn check(&self) -> Result<()> {
        let share = |name: &str, value: f32| {
            let is = (0.0..=1.0).contains(&value);
            is.then_some(()).ok_or_else(|| Error::Settings(format!("{name} must be between 0 and 1, not {value}.")))
        };
        let factor = |name: &str, value: f32| {
            let is = value > 0.0 && value <= 100.0;
            let sentence = || Error::Settings(format!("{name} must be above 0 and at most 100, not {value}."));
            is.then_some(()).ok_or_else(sentence)
        };
        share("Gamma", self.gamma)?;
        if let Some(curve) = self.gamma_curve {
            share("Gamma at the last step", curve.end)?;
        }
        for (layer, &gamma) in self.gamma_by_layer.iter().flatten() {
            share(&format!("Gamma of layer {layer}"), gamma)?;
        }
        factor("Temperature", self.temperature)?;
        if let Some(curve) = self.temperature_curve {
            factor("Temperature at the last step", curve.end)?;
        }
        share("Damping", self.damping)?;
        share("Redraw", self.redraw)?;
        share("The strength of AdaIN", self.adain_strength)?;
        share("Tone", self.tone)?;
        share("Texture", self.texture)?;
        share("The share of the content", self.content_share)?;
        let within = |name: &str, value: f32, least: f32, most: f32| {
            let is = (least..=most).contains(&value);
            let sentence = || Error::Settings(format!("{name} must be between {least} and {most}, not {value}."));
            is.then_some(()).ok_or_else(sentence)
        };
        within("The band of redraw", self.redraw_band, 0.05, 1.0)?;
        within("The style scale", self.style_scale, 1.0, 5.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::config::PerLevel;

    #[test]
    fn an_empty_object_is_the_default_and_a_full_one_survives() {
        let of = |json: &str| serde_json::from_str::<Params>(json);
        assert_eq!(of("{}").expect("all fields have defaults"), Params::default());
        let full = of(r#"{
            "preset": "ldm", "steps": 7, "layers": [6, 7], "initAdain": false, "attnInjection": true, "vaeSample": 3,
            "gamma": 0.5, "gammaCurve": {"curve": "cosine", "end": 0.25}, "gammaByLayer": {"6": 0.7, "11": 0.375},
            "temperature": 1.25, "temperatureCurve": {"curve": "sqrt", "end": 2}, "blend": "average",
            "keepColours": true, "damping": 0.7, "redraw": 0.5, "redrawBand": 0.4, "adainStrength": 0.75, "tone": 0.5,
            "texture": 0.25, "styleScale": 1.5, "contentShare": 0.25, "size": 320, "keepAspect": true, "previewEvery": 5
        }"#)
        .expect("every setting of the page");
        assert_eq!(full.gamma_by_layer, Some(BTreeMap::from([(6, 0.7), (11, 0.375)])));
        let again = serde_json::to_string(&full).expect("settings are plain");
        assert_eq!(of(&again).expect("what is written can be read"), full);
        let nulls = r#"{"gammaCurve": null, "gammaByLayer": null, "temperatureCurve": null, "size": null}"#;
        assert_eq!(of(nulls).expect("null is the default"), Params::default());
        for bad in [
            r#"{"gammaCurve": {"curve": "wavy", "end": 1}}"#,
            r#"{"gammaCurve": {"curve": "cosine"}}"#,
            r#"{"gammaByLayer": {"six": 0.5}}"#,
            r#"{"gamma_curve": null}"#,
            r#"{"blend": "both"}"#,
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_layer_starts_from_its_own_gamma() {
        let params = Params {
            gamma_by_layer: Some(BTreeMap::from([(6, 0.5)])),
            gamma_curve: Some(Curve { curve: super::super::curve::Shape::Linear, end: 0.25 }),
            ..Params::default()
        };
        assert_eq!([0.0, 0.5, 1.0].map(|way| params.gamma_at(6, way)), [0.5, 0.375, 0.25]);
        assert_eq!([0.0, 0.5, 1.0].map(|way| params.gamma_at(7, way)), [0.75, 0.5, 0.25]);
        assert_eq!(params.temperature_at(1.0), 1.5);
        let unet = UnetConfig {
            up_block_types: vec![
                "UpBlock2D".into(),
                "UpBlock2D".into(),
                "UpBlock2D".into(),
                "CrossAttnUpBlock2D".into(),
            ],
            ..UnetConfig::default()
        };
        let error = params.layers(&unet).expect_err("layer 6 is missing");
        assert!(error.to_string().contains("decoder layer 6"), "{error}");
    }

    #[test]
    fn layers_are_the_persons_choice_then_the_models_then_the_versions() {
        let of = |params: &Params, chosen: Option<&[usize]>| {
            let unet = UnetConfig { injection_layers: chosen.map(<[usize]>::to_vec), ..UnetConfig::default() };
            params.layers(&unet).expect("all are there")
        };
        let asked = Params { layers: Some(vec![11, 9, 9]), ..Params::default() };
        let ldm = Params { preset: Preset::Ldm, ..Params::default() };
        assert_eq!(of(&asked, Some(&[3, 4])), [9, 11]);
        assert_eq!(of(&Params::default(), Some(&[4, 3])), [3, 4]);
        assert_eq!(of(&ldm, Some(&[4, 3])), [3, 4]);
        assert_eq!(of(&Params::default(), None), [7, 8, 9, 10, 11]);
        assert_eq!(of(&ldm, None), [6, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn a_run_that_would_inject_nothing_says_so() {
        let without = Params { attn_injection: false, ..Params::default() };
        assert_eq!(without.layers(&UnetConfig::default()).expect("nothing is asked for"), Vec::<usize>::new());
        let none = Params { layers: Some(Vec::new()), ..Params::default() };
        assert_eq!(none.layers(&UnetConfig::default()).expect("it was asked for"), Vec::<usize>::new());
        let coarse = UnetConfig {
            up_block_types: ["CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"].map(Into::into).into(),
            layers_per_block: PerLevel::One(0),
            ..UnetConfig::default()
        };
        let error = Params::default().layers(&coarse).expect_err("its only layer is left out");
        assert!(error.to_string().contains("name some of [0]"), "{error}");
        let bare = UnetConfig { up_block_types: vec!["UpBlock2D".into(); 4], ..UnetConfig::default() };
        let error = Params::default().layers(&bare).expect_err("there is no attention");
        assert!(error.to_string().contains("no self-attention"), "{error}");
    }
}
