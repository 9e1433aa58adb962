//! The size to run at.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// The size to run at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// The picture as it is.
    Keep,
    /// Centre-cropped to its short side, then resized to this many pixels along each side.
    Square(u32),
}

/// The smallest and largest square that can be asked for, in pixels.
const SQUARES: std::ops::RangeInclusive<u32> = 64..=4096;

impl std::str::FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "keep" {
            return Ok(Self::Keep);
        }
        match text.parse::<u32>() {
            Ok(side) if SQUARES.contains(&side) => Ok(Self::Square(side)),
            _ => Err(Error::Settings(format!(
                "Size must be \"keep\" or a number of pixels from {} to {}, not {text}.",
                SQUARES.start(),
                SQUARES.end()
            ))),
        }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::Square(side) => side.fmt(f),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep => serializer.serialize_str("keep"),
            Self::Square(side) => serializer.serialize_u32(*side),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Side(u32),
            Text(String),
        }
        let text = match Form::deserialize(deserializer)? {
            Form::Side(side) => side.to_string(),
            Form::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}
