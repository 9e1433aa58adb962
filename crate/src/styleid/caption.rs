//! What a result's file says about how it was made.

use std::collections::BTreeMap;

use image::RgbImage;
use serde::Serialize;
use serde_json::Value;

use super::params::Params;
use crate::model::ModelInfo;
use crate::picture::{Crop, png_text, to_png};
use crate::weights::WeightType;
use crate::{Error, Result};

/// What a result is.
const TITLE: &str = "A photo in the style of a painting";
/// Who writes these files.
const SOFTWARE: &str = concat!("StyleID ", env!("CARGO_PKG_VERSION"));
/// The keyword under which the settings stand.
const KEYWORD: &str = "StyleID";

/// What a result says about how it was made, in text chunks of its file: everything that it takes to make it again from the same
/// pictures, but nothing about the visitor, and no names of pictures. Two results with the same words are the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Caption {
    version: &'static str,
    model: String,
    /// Parts of the model that are from elsewhere, and from where.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    taken: BTreeMap<String, String>,
    weights: WeightType,
    options: Params,
    crop: Option<Crop>,
    styles: Vec<CaptionStyle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    made_of: Option<MadeOf>,
}

/// What a result was made of, by SHA-256 as lowercase hexadecimal. It tells whether a result has to be made again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MadeOf {
    /// Of the model's weights and configs ([`StableDiffusion::fingerprint`](crate::model::StableDiffusion::fingerprint)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of the photo's file.
    pub content: String,
    /// Of the styles' files, in their order.
    pub styles: Vec<String>,
    /// Of the masks' files, those that there are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub masks: Vec<String>,
    /// The type that was asked for to compute in, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
}

/// How a style was used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptionStyle {
    /// How much it counted beside the others.
    pub weight: f32,
    /// The part of its picture that was used.
    pub crop: Option<Crop>,
    /// Whether it was kept to a part of the photo.
    pub masked: bool,
}

impl Caption {
    /// Of a run of `model`, kept as `weights`, on the part `crop` of the photo.
    pub fn of_run(
        model: &ModelInfo,
        weights: WeightType,
        options: &Params,
        crop: Option<Crop>,
        styles: Vec<CaptionStyle>,
    ) -> Self {
        let (model, taken, options) = (model.name.clone(), model.taken.clone(), options.clone());
        Self { version: env!("CARGO_PKG_VERSION"), model, taken, weights, options, crop, styles, made_of: None }
    }

    /// The same with what the result is made of.
    #[must_use]
    pub fn with_made_of(self, made_of: MadeOf) -> Self {
        Self { made_of: Some(made_of), ..self }
    }

    /// Whether the file of these bytes is a whole result with this caption.
    pub fn is_of(&self, file: &[u8]) -> bool {
        self.settings().is_ok_and(|settings| png_text(file, KEYWORD).is_some_and(|said| said == settings))
    }

    /// This as JSON.
    fn settings(&self) -> Result<String> {
        // Written as they are; by way of a `Value` an f32 of 0.6 would become 0.6000000238418579.
        serde_json::to_string(self)
            .map_err(|error| Error::Picture(format!("The result cannot be written as PNG: {error}.")))
    }

    /// What [`Caption::png`] wrote into a file; `None` where it says nothing of the kind.
    pub fn of_file(png: &[u8]) -> Option<Value> {
        serde_json::from_str(&png_text(png, KEYWORD)?).ok()
    }

    /// The result's file: a PNG that says in the chunks Title, Software and StyleID (this as JSON) how it was made.
    ///
    /// # Errors
    /// Says why it cannot be encoded.
    pub fn png(&self, picture: &RgbImage) -> Result<Vec<u8>> {
        let settings = self.settings()?;
        to_png(picture, &[("Title", TITLE), ("Software", SOFTWARE), (KEYWORD, &settings)])
    }
}
