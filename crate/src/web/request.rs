//! What the page asks for: pictures with their crops, weights and masks.

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::picture::Crop;

/// The bytes of a file, from a `Uint8Array`.
#[derive(Debug)]
pub(super) struct Bytes(pub(super) Vec<u8>);

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
pub(super) struct StyleSource {
    /// The file.
    pub(super) picture: Bytes,
    /// The part of it that is used.
    #[serde(default)]
    pub(super) crop: Option<Crop>,
    /// How much it counts beside the others.
    #[serde(default = "one")]
    pub(super) weight: f32,
    /// Where on the photo it applies.
    #[serde(default)]
    pub(super) mask: Option<Bytes>,
}

/// The pictures of a run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The photo's file.
    pub(super) content: Bytes,
    /// The part of the photo that is used.
    #[serde(default)]
    pub(super) crop: Option<Crop>,
    /// The paintings.
    pub(super) styles: Vec<StyleSource>,
}

fn one() -> f32 {
    1.0
}
