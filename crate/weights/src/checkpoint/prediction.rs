//! The prediction type of a UNet whose checkpoint has no scheduler config, and where it comes from.

use crate::config::Prediction;
use crate::error::{Error, Result};
use crate::format::{Header, blocks};
use crate::source::file::File;

use super::family::{self, TensorShapes};
use super::located::Located;

/// The prediction type and its source, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictionSource {
    /// What the UNet predicts.
    pub prediction: Prediction,
    /// The source, as the end of a sentence: "v_prediction (its name says so)".
    pub by: &'static str,
}

/// Source: the user.
pub(super) const BY_PERSON: &str = "you say so";
/// Source: the scheduler's config.
pub(super) const BY_SCHEDULER: &str = "its scheduler's config says so";
const BY_METADATA: &str = "its metadata says so";
const BY_NAME: &str = "its name says so";
const BY_WEIGHTS: &str = "its weights look like it";

const EPSILON: Prediction = Prediction::Epsilon;
const VELOCITY: Prediction = Prediction::VPrediction;

/// The prediction type in a file's metadata, or in the empty tensors that ComfyUI uses as markers.
///
/// # Errors
/// The value, if it is not supported.
pub fn by_metadata(name: &str, headers: &[Header]) -> Result<Option<PredictionSource>> {
    let said = |prediction| Some(PredictionSource { prediction, by: BY_METADATA });
    let tag = |key: &str| headers.iter().find_map(|header| header.metadata.get(key)?.as_str());
    for key in ["modelspec.prediction_type", "modelspec.predict_key"] {
        let Some(text) = tag(key).map(str::trim).filter(|text| !text.is_empty()) else { continue };
        let prediction = match text.to_lowercase().replace('-', "_").as_str() {
            "epsilon" | "eps" => EPSILON,
            "v" | "v_prediction" | "vpred" | "v_pred" | "velocity" => VELOCITY,
            _ => {
                let text: String = text.chars().take(40).collect();
                return Err(Error::Model(format!(
                    "The metadata of {name} has {key} \"{text}\", which cannot be run; use a model that predicts epsilon or v."
                )));
            }
        };
        return Ok(said(prediction));
    }
    // "stable-diffusion-v2-512", "stable-diffusion-v2-768-v". The values for 1.x do not state the prediction type.
    if let Some(words) = tag("modelspec.architecture").map(words) {
        let has = |word: &str| words.iter().any(|found| found == word);
        if has("v2") && has("768") && has("v") {
            return Ok(said(VELOCITY));
        }
        if has("v2") && has("512") {
            return Ok(said(EPSILON));
        }
    }
    Ok(if has_mark(headers, "v_pred") { said(VELOCITY) } else { None })
}

/// Whether a file has an empty tensor of this name, which ComfyUI uses as a marker.
pub fn has_mark(headers: &[Header], mark: &str) -> bool {
    headers.iter().flat_map(|header| &header.tensors).any(|entry| entry.name == mark)
}

/// The words of a text in lower case.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(Into::into).collect()
}

/// The prediction type according to whole words of the file name; folder names do not count. 512-pixel checkpoints of 2.x
/// are called "base" and predict ε, and 768-pixel ones predict v (Stability AI's model cards). SD-Turbo predicts ε.
pub fn by_name(name: &str, is_2x: bool) -> Option<PredictionSource> {
    let name = name.split('?').next().unwrap_or_default();
    let own = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let words = words(own);
    let has = |all: &[&str]| all.iter().any(|word| words.iter().any(|found| found == word));
    let pair = |second: &[&str]| words.windows(2).any(|pair| pair[0] == "v" && second.contains(&&*pair[1]));
    let said = |velocity: bool, noise: bool| match (velocity, noise) {
        (true, false) => Some(PredictionSource { prediction: VELOCITY, by: BY_NAME }),
        (false, true) => Some(PredictionSource { prediction: EPSILON, by: BY_NAME }),
        _ => None,
    };
    let plainly = said(
        has(&["vpred", "vprediction", "vparam"]) || pair(&["pred", "prediction", "parameterization"]),
        has(&["eps", "epsilon", "epspred", "noisepred"]),
    );
    plainly.or_else(|| said(has(&["768", "768v"]), has(&["base", "512", "turbo"])).filter(|_| is_2x))
}

/// The bias that ComfyUI inspects, and the standard deviation above which a full-size 2.x predicts v.
const TELLING: &str = "unet.up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias";
const VELOCITY_FROM: f64 = 0.09;

/// The prediction type of a full-size 2.x according to its weights: in models trained to predict v, one bias varies more.
///
/// # Errors
/// The file cannot be read.
pub async fn by_weights(file: &dyn File, located: &Located) -> Result<Option<PredictionSource>> {
    let mut values = Vec::new();
    if located.shape != [320]
        || located.dtype.bytes(320) != Some(located.span.end - located.span.start)
        || blocks::dequantise(located.dtype, &file.read(located.span.clone()).await?, &mut values).is_none()
    {
        return Ok(None);
    }
    let count = values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let deviation = (values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count).sqrt();
    // A constant bias was not trained, and NaN says nothing.
    let says = deviation > 0.0 && deviation.is_finite();
    let prediction = if deviation > VELOCITY_FROM { VELOCITY } else { EPSILON };
    Ok(says.then_some(PredictionSource { prediction, by: BY_WEIGHTS }))
}

/// The name of the tensor that [`by_weights`] reads, for a UNet to which it applies.
pub fn telling(shapes: &TensorShapes) -> Option<&'static str> {
    let is_full = family::is_2x(shapes) && shapes.get(TELLING).is_some_and(|shape| shape[..] == [320]);
    is_full.then_some(TELLING)
}

/// The default if nothing states the prediction type. 1.x predicts ε. A full-size 2.x is assumed to be the 768-pixel model,
/// which is the one published as GGUF. Distilled ones come from the 512-pixel model.
pub fn by_default(shapes: &TensorShapes) -> PredictionSource {
    if !family::is_2x(shapes) {
        return PredictionSource { prediction: EPSILON, by: "nearly every 1.x model does" };
    }
    if telling(shapes).is_some() {
        return PredictionSource { prediction: VELOCITY, by: "2.x models that are not called base mostly do" };
    }
    PredictionSource { prediction: EPSILON, by: "nothing says otherwise" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_words_of_the_own_name_count() {
        let told = |name: &str, is_2x| by_name(name, is_2x).map(|told| told.prediction);
        for (name, prediction) in [
            ("v2-1_768-ema-pruned.safetensors", Some(VELOCITY)),
            ("512-base-ema.safetensors", Some(EPSILON)),
            ("v2-1_512-ema-pruned.gguf", Some(EPSILON)),
            ("sd_turbo.safetensors", Some(EPSILON)),
            ("fine-v-pred.safetensors", Some(VELOCITY)),
            ("fine_v_prediction-512.safetensors", Some(VELOCITY)),
            ("Illuminati-EPS-768.safetensors", Some(EPSILON)),
            ("both-512-and-768.safetensors", None),
            ("v2-1-nonema-pruned.safetensors", None),
            ("steps/v2-1-nonema-pruned.safetensors", None),
            ("C:\\base\\512\\model.safetensors", None),
            ("https://a.b/768/model.safetensors?size=512", None),
            ("merged_at_10000_steps.safetensors", None),
            ("deepspeed-database-keeps.safetensors", None),
            ("8f068f913512a1b6a14b2a3bbd8c4e1d21b76820v.safetensors", None),
        ] {
            assert_eq!(told(name, true), prediction, "{name}");
        }
        assert_eq!(told("dreamshaper-base-768.safetensors", false), None, "1.x has no such words");
        assert_eq!(told("fluffyrock-vpred.safetensors", false), Some(VELOCITY));
    }

    #[test]
    fn metadata_says_it_in_each_of_its_ways() {
        let header = |key: &str, value: &str| {
            vec![Header { metadata: [(key.to_string(), json!(value))].into(), ..Header::default() }]
        };
        let told = |headers: &[Header]| by_metadata("x", headers).map(|told| told.map(|told| told.prediction));
        for (key, value, prediction) in [
            ("modelspec.prediction_type", "epsilon", Some(EPSILON)),
            ("modelspec.prediction_type", "v", Some(VELOCITY)),
            ("modelspec.predict_key", "v-prediction", Some(VELOCITY)),
            ("modelspec.architecture", "stable-diffusion-v2-512", Some(EPSILON)),
            ("modelspec.architecture", "stable-diffusion-v2-768-v", Some(VELOCITY)),
            ("modelspec.architecture", "stable-diffusion-v1", None),
            ("format", "pt", None),
        ] {
            assert_eq!(told(&header(key, value)).expect("known"), prediction, "{key} {value}");
        }
        let error = told(&header("modelspec.prediction_type", "sample")).expect_err("cannot be run").to_string();
        assert!(error.contains("modelspec.prediction_type \"sample\""), "{error}");
        let marked = super::super::testing::entry("v_pred", crate::format::Dtype::F32, &[0]);
        let headers = [Header { tensors: vec![marked], ..Header::default() }];
        assert_eq!(told(&headers).expect("known"), Some(VELOCITY));
    }

    #[test]
    fn one_bias_tells_what_a_2x_predicts() {
        let told = |value: f32| {
            let bytes: Vec<u8> =
                (0..320).flat_map(|i| (if i % 2 == 0 { value } else { -value }).to_le_bytes()).collect();
            let file = crate::source::embedded::Embedded { name: "bias", bytes: bytes.leak() };
            let located =
                Located { file: 0, dtype: crate::format::Dtype::F32, shape: vec![320], span: 0..1280, scale: None };
            let told = pollster::block_on(by_weights(&file, &located)).expect("a file that can be read");
            told.map(|told| told.prediction)
        };
        assert_eq!([0.1, 0.05, 0.0, f32::NAN].map(told), [Some(VELOCITY), Some(EPSILON), None, None]);
    }
}
