//! The settings of a run as arguments.

use clap::ValueEnum;
use styleid::picture::Size;
use styleid::{Params, Preset, Result};

use super::controls::ControlArgs;
use super::styles::{BlendChoice, CurveArgs};

/// The underscored aliases are the flags of the authors' Python programs.
#[derive(Debug, clap::Args)]
pub struct MethodArgs {
    /// Which version of the method: one of the two official implementations, followed exactly, or a faster one [default:
    /// diffusers, or a look's].
    #[arg(long, value_enum)]
    preset: Option<PresetChoice>,
    /// Steps, each a call of the UNet for a picture [default: 20 (diffusers), 50 (ldm), 10 (fast)].
    #[arg(long, aliases = ["ddim_steps", "ddim_inv_steps"], value_name = "N")]
    steps: Option<usize>,
    /// γ, how much of the query stays the content's: 0 (style) to 1 (content).
    #[arg(long, default_value_t = 0.75)]
    gamma: f32,
    /// T, how much sharper attention to the style is.
    #[arg(long, alias = "T", value_name = "T", default_value_t = 1.5)]
    temperature: f32,
    #[command(flatten)]
    curves: CurveArgs,
    #[command(flatten)]
    controls: ControlArgs,
    /// Decoder layers to inject, as 7,8,9 or 7 8 9 [default: the model's own choice; else those of the two finest levels, the
    /// first left out in the version diffusers: 7-11 and 6-11 of Stable Diffusion].
    #[arg(long, alias = "attn_layer", value_name = "LAYERS", value_delimiter = ',', num_args = 1..)]
    layers: Option<Vec<usize>>,
    /// "keep", or the side in pixels of a centre crop [default: the size the model was trained at].
    #[arg(long)]
    size: Option<Size>,
    /// Keep the pictures' shape: --size is the long side then, not the side of a square.
    #[arg(long)]
    keep_aspect: bool,
    /// Keep the photo's colours: the luminance is the result's, the chroma the photo's.
    #[arg(long, alias = "keep-colors")]
    keep_colours: bool,
    /// α, how much of the low frequencies of the content's noise stays, 0 to 1.
    #[arg(long, value_name = "ALPHA", default_value_t = 1.0)]
    damping: f32,
    /// Do not give the content's noise the style's statistics.
    #[arg(long, alias = "without_init_adain")]
    without_init_adain: bool,
    /// Do not inject the style's attention features.
    #[arg(long, alias = "without_attn_injection")]
    without_attn_injection: bool,
    /// Sample the VAE's posterior with this seed instead of taking its mode.
    #[arg(long, value_name = "SEED")]
    vae_sample: Option<u32>,
    /// How several styles become one.
    #[arg(long, value_enum, default_value_t = BlendChoice::Together)]
    blend: BlendChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PresetChoice {
    /// The authors' diffusers version: 20 steps.
    Diffusers,
    /// The paper's version on the LDM code: 50 steps.
    Ldm,
    /// DPM-Solver++ 2M both ways, for half the work and a truer inversion: 10 steps.
    Fast,
}

impl MethodArgs {
    /// What names of results call these settings: the look, or else the version of the method.
    pub fn name(&self) -> String {
        let preset = || self.preset.unwrap_or(PresetChoice::Diffusers).to_possible_value();
        self.controls.look_name().or_else(|| preset().map(|value| value.get_name().to_string())).unwrap_or_default()
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// One sentence naming the setting that is out of range.
    pub fn params(&self) -> Result<Params> {
        let asked = self.preset.map(|preset| match preset {
            PresetChoice::Diffusers => Preset::Diffusers,
            PresetChoice::Ldm => Preset::Ldm,
            PresetChoice::Fast => Preset::Fast,
        });
        let params = self.controls.of(Params {
            steps: self.steps,
            gamma: self.gamma,
            gamma_curve: self.curves.gamma()?,
            gamma_by_layer: self.curves.gamma_by_layer(),
            temperature: self.temperature,
            temperature_curve: self.curves.temperature()?,
            blend: self.blend.into(),
            damping: self.damping,
            layers: self.layers.clone(),
            init_adain: !self.without_init_adain,
            attn_injection: !self.without_attn_injection,
            vae_sample: self.vae_sample,
            size: self.size,
            keep_aspect: self.keep_aspect,
            keep_colours: self.keep_colours,
            ..Params::default()
        });
        let params = Params { preset: asked.unwrap_or(params.preset), ..params };
        params.check()?;
        Ok(params)
    }
}
