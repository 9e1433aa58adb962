//! How near to the painting, as arguments: looks, and the controls that they are made of.

use clap::ValueEnum;
use styleid::Params;
use styleid::styleid::look::Look;

/// A control that is left out is the look's if there is a look; otherwise it changes nothing.
#[derive(Debug, clap::Args)]
pub struct ControlArgs {
    /// How near to the painting: settings that go together, in the version fast.
    #[arg(long, value_enum)]
    look: Option<LookChoice>,
    /// Share of the high frequencies of the content's noise that give way to the style's, 0 to 1: strokes instead of a colour
    /// grade [default: 0].
    #[arg(long, value_name = "SHARE")]
    redraw: Option<f32>,
    /// From where on frequencies are high, of the highest, 0.05 to 1: less redraws coarser forms [default: 0.6].
    #[arg(long, value_name = "BAND")]
    redraw_band: Option<f32>,
    /// How far the content's noise is moved to the style's statistics, 0 to 1 [default: 1].
    #[arg(long, value_name = "STRENGTH")]
    adain_strength: Option<f32>,
    /// How far the result's colours and contrasts are moved to the style's at the end, 0 to 1 [default: 0].
    #[arg(long, value_name = "STRENGTH")]
    tone: Option<f32>,
    /// How far the result's details are strengthened or weakened to the style's at the end, 0 to 1 [default: 0].
    #[arg(long, value_name = "STRENGTH")]
    texture: Option<f32>,
    /// How far the prediction goes from the plain one towards the injected one and beyond, 1 to 5; one more call of the UNet a
    /// reverse step [default: 1].
    #[arg(long, value_name = "SCALE")]
    style_scale: Option<f32>,
    /// What the photo's own keys and values weigh in the injected attention beside the styles' 1, 0 to 1 [default: 0].
    #[arg(long, value_name = "SHARE")]
    content_share: Option<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LookChoice {
    /// The photo, tinted by the painting.
    Tint,
    /// The photo's drawing in the painting's strokes, with half its colours.
    Gentle,
    /// A painting of the photo.
    Painted,
    /// A painting that the photo is only a sketch for.
    Bold,
}

impl ControlArgs {
    /// The look's name, if a look was asked for.
    pub fn look_name(&self) -> Option<String> {
        self.look?.to_possible_value().map(|value| value.get_name().to_string())
    }

    /// `params` with the look and the controls of these arguments.
    pub fn of(&self, params: Params) -> Params {
        let look = self.look.map(|look| match look {
            LookChoice::Tint => Look::Tint,
            LookChoice::Gentle => Look::Gentle,
            LookChoice::Painted => Look::Painted,
            LookChoice::Bold => Look::Bold,
        });
        let params = look.map_or(params.clone(), |look| look.of(params));
        Params {
            redraw: self.redraw.unwrap_or(params.redraw),
            redraw_band: self.redraw_band.unwrap_or(params.redraw_band),
            adain_strength: self.adain_strength.unwrap_or(params.adain_strength),
            tone: self.tone.unwrap_or(params.tone),
            texture: self.texture.unwrap_or(params.texture),
            style_scale: self.style_scale.unwrap_or(params.style_scale),
            content_share: self.content_share.unwrap_or(params.content_share),
            ..params
        }
    }
}
