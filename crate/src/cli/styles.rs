//! The flags of several styles, and of settings that change over the steps.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use image::RgbImage;
use styleid::picture::{Crop, Mask};
use styleid::styleid::CaptionStyle;
use styleid::styleid::curve::Shape;
use styleid::styleid::{Blend, Curve};
use styleid::{Error, Result, Style};

use super::engine::{read_file, read_picture};

#[derive(Debug, clap::Args)]
pub struct StyleArgs {
    /// Picture whose style is taken; up to four, each with a flag of its own.
    #[arg(long, alias = "sty_fn", value_name = "FILE", required = true)]
    pub style: Vec<PathBuf>,
    /// How much of a style goes into the result beside the others; one for each --style, in the same order [default: 1].
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    style_weight: Vec<f32>,
    /// Where on the photo a style goes, white on black, stretched over the whole photo, or "none" for everywhere; one for each
    /// --style, in the same order.
    #[arg(long, value_name = "FILE")]
    style_mask: Vec<PathBuf>,
    /// The part of a style's picture to use, as x,y,width,height in its pixels, or "none" for all of it; one for each --style, in the
    /// same order.
    #[arg(long, value_name = "CROP", allow_hyphen_values = true)]
    style_crop: Vec<StyleCrop>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BlendChoice {
    /// Each part of the photo takes what suits it from all styles.
    Together,
    /// The means of the styles' keys and values, for styles of one size.
    Average,
}

impl From<BlendChoice> for Blend {
    fn from(choice: BlendChoice) -> Self {
        match choice {
            BlendChoice::Together => Self::Together,
            BlendChoice::Average => Self::Average,
        }
    }
}

/// A crop, or none.
#[derive(Debug, Clone, Copy)]
struct StyleCrop(Option<Crop>);

impl FromStr for StyleCrop {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "none" { Ok(Self(None)) } else { text.parse().map(|crop| Self(Some(crop))) }
    }
}

/// The styles of a run, read.
pub struct Styles(Vec<(RgbImage, f32, Option<Mask>)>);

impl Styles {
    /// As a run takes them.
    pub fn borrowed(&self) -> Vec<Style<'_>> {
        self.0.iter().map(|(picture, weight, mask)| Style { picture, weight: *weight, mask: mask.as_ref() }).collect()
    }
}

impl StyleArgs {
    /// For the result's name.
    pub fn names(&self) -> String {
        let stem =
            |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        self.style.iter().map(stem).collect::<Vec<_>>().join("+")
    }

    /// For a photo of `whole` pixels, of which the run uses the part `crop`.
    pub fn read(&self, crop: Option<&Crop>, whole: (u32, u32)) -> Result<Styles> {
        let styles = self.style.len();
        for (flag, given) in [
            ("--style-weight", self.style_weight.len()),
            ("--style-mask", self.style_mask.len()),
            ("--style-crop", self.style_crop.len()),
        ] {
            if given != 0 && given != styles {
                return Err(Error::Settings(format!(
                    "Give {flag} once for each --style or not at all; here are {styles} of --style and {given} of {flag}."
                )));
            }
        }
        let mask = |i: usize| match self.style_mask.get(i) {
            Some(mask) if mask.as_os_str() != "none" => {
                let mask = Mask::decode(&mask.display().to_string(), &read_file(mask)?)?;
                Ok::<_, Error>(Some(match crop {
                    // The run sees the cropped photo only.
                    Some(crop) => mask.within(crop.within("the photo", whole)?, whole),
                    None => mask,
                }))
            }
            _ => Ok(None),
        };
        let read = |(i, path): (usize, &PathBuf)| Ok((read_picture(path, self.crop(i))?, self.weight(i), mask(i)?));
        self.style.iter().enumerate().map(read).collect::<Result<_>>().map(Styles)
    }

    fn crop(&self, i: usize) -> Option<&Crop> {
        self.style_crop.get(i).and_then(|crop| crop.0.as_ref())
    }

    fn weight(&self, i: usize) -> f32 {
        self.style_weight.get(i).copied().unwrap_or(1.0)
    }

    /// What the result says of them.
    pub fn captions(&self) -> Vec<CaptionStyle> {
        let masked = |i: usize| self.style_mask.get(i).is_some_and(|mask| mask.as_os_str() != "none");
        let caption = |i| CaptionStyle { weight: self.weight(i), crop: self.crop(i).copied(), masked: masked(i) };
        (0..self.style.len()).map(caption).collect()
    }
}

#[derive(Debug, clap::Args)]
pub struct CurveArgs {
    /// How γ goes over the steps from --gamma to --gamma-end.
    #[arg(long, value_enum, value_name = "CURVE")]
    gamma_curve: Option<ShapeChoice>,
    /// γ at the last step.
    #[arg(long, value_name = "GAMMA")]
    gamma_end: Option<f32>,
    /// Layers with a γ of their own to start from, as 6=0.75,7=0.675.
    #[arg(long, value_name = "LAYER=GAMMA", value_delimiter = ',', num_args = 1..)]
    gamma_by_layer: Option<Vec<LayerGamma>>,
    /// How T goes over the steps from --temperature to --temperature-end.
    #[arg(long, value_enum, value_name = "CURVE")]
    temperature_curve: Option<ShapeChoice>,
    /// T at the last step.
    #[arg(long, value_name = "T")]
    temperature_end: Option<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ShapeChoice {
    Constant,
    Linear,
    Cosine,
    Sqrt,
    Quadratic,
    Exponential,
}

impl From<ShapeChoice> for Shape {
    fn from(choice: ShapeChoice) -> Self {
        match choice {
            ShapeChoice::Constant => Self::Constant,
            ShapeChoice::Linear => Self::Linear,
            ShapeChoice::Cosine => Self::Cosine,
            ShapeChoice::Sqrt => Self::Sqrt,
            ShapeChoice::Quadratic => Self::Quadratic,
            ShapeChoice::Exponential => Self::Exponential,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct LayerGamma(usize, f32);

impl FromStr for LayerGamma {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('=')
            .and_then(|(layer, gamma)| Some(Self(layer.trim().parse().ok()?, gamma.trim().parse().ok()?)));
        parts.ok_or_else(|| format!("{text} is no layer with its gamma; write it like 6=0.75"))
    }
}

impl CurveArgs {
    pub fn gamma(&self) -> Result<Option<Curve>> {
        curve("gamma", self.gamma_curve, self.gamma_end)
    }

    pub fn temperature(&self) -> Result<Option<Curve>> {
        curve("temperature", self.temperature_curve, self.temperature_end)
    }

    pub fn gamma_by_layer(&self) -> Option<BTreeMap<usize, f32>> {
        let layers = self.gamma_by_layer.as_ref()?;
        Some(layers.iter().map(|&LayerGamma(layer, gamma)| (layer, gamma)).collect())
    }
}

fn curve(name: &str, shape: Option<ShapeChoice>, end: Option<f32>) -> Result<Option<Curve>> {
    match (shape, end) {
        (Some(shape), Some(end)) => Ok(Some(Curve { curve: shape.into(), end })),
        (None | Some(ShapeChoice::Constant), None) => Ok(None),
        (Some(_), None) => Err(Error::Settings(format!("--{name}-curve needs --{name}-end, where it ends."))),
        (None, Some(_)) => Err(Error::Settings(format!("--{name}-end needs --{name}-curve, how it gets there."))),
    }
}
