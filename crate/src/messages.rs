//! What goes between the page and the wasm surface, as plain objects. `www/styleid.d.ts` is made of these by a test.

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen::prelude::*;

use crate::picture::Crop;
use crate::weights::WeightType;
use crate::weights::config::Prediction;
use crate::weights::store::ModelKey;

#[cfg(test)]
mod tests;

/// The bytes of a file, from a `Uint8Array`.
#[derive(Debug)]
pub struct Bytes(pub Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;

        impl Visitor<'_> for Array {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a Uint8Array")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }

        deserializer.deserialize_byte_buf(Array)
    }
}

/// A painting and how it counts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields = nullable))]
pub struct StyleSource {
    /// A picture's file.
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub picture: Bytes,
    /// The part of it that is used; null for all, of which the middle is cut as `size` asks.
    #[serde(default)]
    pub crop: Option<Crop>,
    /// Above 0; weights count beside each other. Default 1.
    #[serde(default = "one")]
    #[cfg_attr(test, ts(optional, as = "Option<f32>"))]
    pub weight: f32,
    /// A PNG of any size, stretched over the whole upright photo, before its crop: white where this style applies, black and
    /// transparent where it does not, grey between; null for everywhere.
    #[serde(default)]
    #[cfg_attr(test, ts(optional = nullable, type = "Uint8Array | null"))]
    pub mask: Option<Bytes>,
}

fn one() -> f32 {
    1.0
}

/// The pictures of a run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields = nullable))]
pub struct Request {
    /// The photo's file.
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub content: Bytes,
    /// The part of the photo that is used.
    #[serde(default)]
    pub crop: Option<Crop>,
    /// 1 to 4 paintings.
    pub styles: Vec<StyleSource>,
}

/// Which model to load, and how.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ModelOptions {
    /// `owner/repo[@revision][/file]` of the Hugging Face Hub, or an absolute http(s) address of a file or folder; null where
    /// files are given.
    pub source: Option<String>,
    /// A VAE in place of the model's, or for a model without one: named as `source` is, or the name of the files that are given
    /// for it; null for the model's own.
    #[cfg_attr(test, ts(optional = nullable))]
    pub vae: Option<String>,
    /// The model from which come the parts that this one lacks, as a UNet alone lacks VAE and text encoder: named as `vae` is.
    #[cfg_attr(test, ts(optional = nullable))]
    pub rest: Option<String>,
    /// What the weights are kept as.
    pub weights: WeightType,
    /// What the UNet predicts, where the files do not say; null leaves it to them.
    pub prediction: Option<Prediction>,
    /// Another address for the Hub, such as a mirror's; null for the Hub itself.
    pub hub: Option<String>,
    /// Bytes that a run may take on the GPU, the weights included; without: 1 GiB beside the weights.
    #[cfg_attr(test, ts(optional = nullable))]
    pub gpu_bytes: Option<f64>,
    /// Whether the UNet's activations are f16, added up in f32; only for GPUs with the feature `shader-f16`.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub half_precision: bool,
    /// Whether attention features are kept exactly, not as f16.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub exact_features: bool,
}

/// A decoded picture.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PictureInfo {
    /// Pixels of the upright picture.
    pub width: u32,
    /// Pixels of the upright picture.
    pub height: u32,
    /// What its owner might not expect ("It is animated; its first frame is used."), for the person; usually null.
    pub note: Option<String>,
}

/// A model kept on the visitor's disk.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "KeptFolder"))]
pub struct KeptModel {
    /// What `purgeKept` takes.
    pub folder: String,
    /// Which model: absent where nothing says so any more.
    #[serde(flatten)]
    #[cfg_attr(test, ts(skip))]
    pub key: Option<ModelKey>,
    /// Bytes that it takes.
    pub bytes: u64,
    /// False where a visit ended in mid-download; loading goes on from there.
    pub complete: bool,
}

/// The models kept on the visitor's disk.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct KeptModels {
    /// Complete ones and others.
    #[cfg_attr(test, ts(type = "KeptModel[]"))]
    pub models: Vec<KeptModel>,
    /// Bytes used, as the browser estimates; null where it does not say.
    pub usage: Option<u64>,
    /// Bytes allowed, as the browser estimates; null where it does not say.
    pub quota: Option<u64>,
    /// False where the browser gives no storage (a private window): loading works, but nothing is kept.
    pub available: bool,
}

/// How near a result is to a painting.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ToStyle {
    /// Of the means and deviations of AlexNet's features: 0 is the painting itself.
    pub style_distance: f64,
    /// Of HistoGAN's RGB-uv histograms: from 0, the same colours, to 1, nothing in common.
    pub histogram: f64,
}

/// How near a result is to what it was made of.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Measures {
    /// Against the photo, LPIPS with AlexNet: 0 is the photo itself; less means that more of it is left.
    pub lpips: f64,
    /// Against each style, in the request's order.
    pub styles: Vec<ToStyle>,
}

/// A result on its way to the page.
#[cfg_attr(target_arch = "wasm32", wasm_bindgen(getter_with_clone))]
#[derive(Debug)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename_all = "camelCase"))]
pub struct Stylized {
    /// A PNG file with the settings in its text chunks: "Title", "Software", and "StyleID" with JSON.
    #[cfg_attr(test, ts(type = "Uint8Array<ArrayBuffer>"))]
    pub png: Vec<u8>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Seconds that the run took, without its pauses.
    pub seconds: f64,
    /// Evaluations of the UNet, one a picture and step: 60 for a first run of 20 steps, 20 where both inversions are kept.
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen(js_name = unetCalls))]
    pub unet_calls: u32,
    /// The most bytes that tensors took on the GPU, as the engine counts them.
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen(js_name = gpuBytesInUse))]
    pub gpu_bytes_in_use: f64,
    /// The most bytes of GPU buffers: those of tensors, and those that wait to be used again.
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen(js_name = gpuBytesReserved))]
    pub gpu_bytes_reserved: f64,
}
