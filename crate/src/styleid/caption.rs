//! Metadata in a result's file: how it was made.

use std::collections::BTreeMap;

use image::RgbImage;
use serde::Serialize;
use serde_json::Value;

use super::params::Params;
use crate::model::ModelInfo;
use crate::picture::{Crop, png_text, to_png};
use crate::weights::WeightType;
use crate::{Error, Result};

/// Value of the PNG chunk Title.
const TITLE: &str = "A photo in the style of a painting";
/// Value of the PNG chunk Software.
const SOFTWARE: &str = concat!("StyleID ", env!("CARGO_PKG_VERSION"));
/// Keyword of the PNG chunk with the settings.
const KEYWORD: &str = "StyleID";

/// How a result was made, stored in text chunks of its PNG: everything needed to make it again from the same pictures, but
/// nothing about the visitor, and no names of pictures. Results with equal captions are the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Caption {
    version: &'static str,
    model: String,
    /// Parts of the model that come from another source, and that source.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    taken: BTreeMap<String, String>,
    weights: WeightType,
    options: Params,
    crop: Option<Crop>,
    styles: Vec<CaptionStyle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    film: Option<FilmCaption>,
    #[serde(skip_serializing_if = "Option::is_none")]
    made_of: Option<MadeOf>,
}

/// What ties a frame of a film to the frames before it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FilmCaption {
    /// Weight of the frame before in attention.
    pub weight: f32,
    /// A hash over the pictures of all frames before; `None` for the first frame.
    pub before: Option<String>,
}

/// SHA-256 of each input of a result, in lowercase hexadecimal. A difference means that the result must be made again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MadeOf {
    /// Of the model's weights and configs ([`StableDiffusion::fingerprint`](crate::model::StableDiffusion::fingerprint)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of the photo's file.
    pub content: String,
    /// Of the styles' files, in their order.
    pub styles: Vec<String>,
    /// Of the masks' files, for the styles that have one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub masks: Vec<String>,
    /// The requested type to compute in, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
}

/// How a style was used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptionStyle {
    /// Weight relative to the other styles.
    pub weight: f32,
    /// The part of its picture that was used.
    pub crop: Option<Crop>,
    /// Whether a mask limited it to a part of the photo.
    pub masked: bool,
}

impl Caption {
    /// The caption of a run of `model`, stored as `weights`, on the part `crop` of the photo.
    pub fn of_run(
        model: &ModelInfo,
        weights: WeightType,
        options: &Params,
        crop: Option<Crop>,
        styles: Vec<CaptionStyle>,
    ) -> Self {
        let (model, taken, options) = (model.name.clone(), model.taken.clone(), options.clone());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            model,
            taken,
            weights,
            options,
            crop,
            styles,
            film: None,
            made_of: None,
        }
    }

    /// Adds what ties the result to a film.
    #[must_use]
    pub fn with_film(self, film: Option<FilmCaption>) -> Self {
        Self { film, ..self }
    }

    /// Adds the hashes of the result's inputs.
    #[must_use]
    pub fn with_made_of(self, made_of: MadeOf) -> Self {
        Self { made_of: Some(made_of), ..self }
    }

    /// Whether `file` is a complete result with this caption.
    pub fn is_of(&self, file: &[u8]) -> bool {
        self.settings().is_ok_and(|settings| png_text(file, KEYWORD).is_some_and(|said| said == settings))
    }

    /// This as JSON.
    fn settings(&self) -> Result<String> {
        // Serialised directly: through a `Value` an f32 of 0.6 would become 0.6000000238418579.
        serde_json::to_string(self)
            .map_err(|error| Error::Picture(format!("The result cannot be written as PNG: {error}.")))
    }

    /// The settings that [`Caption::png`] wrote into a file; `None` if there are none.
    pub fn of_file(png: &[u8]) -> Option<Value> {
        serde_json::from_str(&png_text(png, KEYWORD)?).ok()
    }

    /// The result as a PNG, with how it was made in the chunks Title, Software and StyleID (this caption as JSON).
    ///
    /// # Errors
    /// Says why it cannot be encoded.
    pub fn png(&self, picture: &RgbImage) -> Result<Vec<u8>> {
        let settings = self.settings()?;
        to_png(picture, &[("Title", TITLE), ("Software", SOFTWARE), (KEYWORD, &settings)])
    }
}
