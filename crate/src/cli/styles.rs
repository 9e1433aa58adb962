//! The flags of several styles, and of settings that change over the steps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, ValueEnum, value_parser};
use image::RgbImage;
use styleid::picture::{Crop, Mask};
use styleid::styleid::CaptionStyle;
use styleid::styleid::curve::Shape;
use styleid::styleid::{Blend, Curve};
use styleid::{Error, Result, Style};

use super::engine::{picture_of, read_file};

/// The values of each `--style`: several flags with one file each make a blend, one flag with several files makes several results.
#[derive(Debug, Clone)]
pub struct StyleFlags(pub Vec<Vec<PathBuf>>);

impl FromArgMatches for StyleFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = matches.get_occurrences::<PathBuf>("style").into_iter().flatten();
        Ok(Self(flags.map(|files| files.cloned().collect()).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for StyleFlags {
    fn augment_args(command: Command) -> Command {
        let flag = Arg::new("style").long("style").alias("sty_fn").value_name("PICTURE").required(true);
        command.arg(flag.action(ArgAction::Append).num_args(1..).value_parser(value_parser!(PathBuf)).help(
            "Picture whose style is taken. Several files after one --style, a folder or a pattern such as 'paintings/*.jpg' are styles \
             of results of their own; up to four flags with one file each are blended in one result",
        ))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[derive(Debug, clap::Args)]
pub struct StyleArgs {
    #[command(flatten)]
    pub style: StyleFlags,
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
    /// Checks that whatever goes with `styles` styles was given as often.
    pub fn check(&self, styles: usize) -> Result<()> {
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
        Ok(())
    }

    /// The pictures that are in `files` one after the other, for a photo of `whole` pixels, of which the run uses the part `crop`.
    pub fn read(&self, files: &[(&Path, &[u8])], crop: Option<&Crop>, whole: (u32, u32)) -> Result<Styles> {
        self.check(files.len())?;
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
        let read = |(i, &(path, bytes)): (usize, &(&Path, &[u8]))| {
            Ok((picture_of(path, bytes, self.crop(i))?, self.weight(i), mask(i)?))
        };
        files.iter().enumerate().map(read).collect::<Result<_>>().map(Styles)
    }

    fn crop(&self, i: usize) -> Option<&Crop> {
        self.style_crop.get(i).and_then(|crop| crop.0.as_ref())
    }

    fn weight(&self, i: usize) -> f32 {
        self.style_weight.get(i).copied().unwrap_or(1.0)
    }

    /// The files of masks.
    pub fn masks(&self) -> impl Iterator<Item = &Path> {
        self.style_mask.iter().filter(|mask| mask.as_os_str() != "none").map(PathBuf::as_path)
    }

    /// The lines about several styles in the result's text chunks.
    pub fn captions(&self, styles: usize) -> Vec<CaptionStyle> {
        let masked = |i: usize| self.style_mask.get(i).is_some_and(|mask| mask.as_os_str() != "none");
        let caption = |i| CaptionStyle { weight: self.weight(i), crop: self.crop(i).copied(), masked: masked(i) };
        (0..styles).map(caption).collect()
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
