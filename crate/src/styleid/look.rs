//! Looks: settings that go together, from a tint of the photo to a bold painting.

use serde::{Deserialize, Serialize};

use super::params::{Params, Preset};

/// A named look: the preset `fast` with settings for its initial noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Look {
    /// The photo, tinted by the painting.
    Tint,
    /// The photo's drawing in the painting's strokes, with half its colours.
    Gentle,
    /// A painting of the photo.
    Painted,
    /// A painting that the photo is only a sketch for.
    Bold,
}

impl Look {
    /// All looks, from the closest to the photo to the closest to the painting.
    pub const ALL: [Self; 4] = [Self::Tint, Self::Gentle, Self::Painted, Self::Bold];

    /// Redraw, its band, the strength of AdaIN, and texture.
    fn controls(self) -> (f32, f32, f32, f32) {
        match self {
            Self::Tint => (0.0, 0.6, 0.5, 0.0),
            Self::Gentle => (0.25, 0.6, 0.5, 1.0),
            Self::Painted => (0.35, 0.6, 1.0, 1.0),
            Self::Bold => (0.4, 0.5, 1.0, 1.0),
        }
    }

    /// `params` with this look's preset and controls; the other settings stay.
    #[must_use]
    pub fn of(self, params: Params) -> Params {
        let (redraw, redraw_band, adain_strength, texture) = self.controls();
        Params { preset: Preset::Fast, redraw, redraw_band, adain_strength, tone: 0.0, texture, ..params }
    }
}
