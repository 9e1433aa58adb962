//! StyleID (Chung, Hyun and Heo, CVPR 2024): training-free style transfer by injecting the style's self-attention
//! features into the content's reverse diffusion.

pub mod adain;
#[cfg(feature = "processor")]
pub mod ahead;
pub mod bank;
pub mod blend;
pub mod caption;
pub mod curve;
pub mod damping;
pub mod features;
pub mod film;
pub mod inversion;
pub mod kept;
pub mod look;
pub mod low_pass;
pub mod mask;
#[cfg(not(target_arch = "wasm32"))]
mod motion;
pub mod params;
mod pictures;
pub mod pipeline;
pub mod plan;
pub mod planes;
pub mod preview;
pub mod processors;
pub mod redraw;
pub mod reverse;
pub mod run;
pub mod session;
pub mod shelf;
pub mod start;
pub mod texture;

pub use blend::Style;
pub use caption::{Caption, CaptionStyle, FilmCaption, MadeOf};
pub use curve::Curve;
pub use inversion::Inversion;
pub use look::Look;
pub use params::{Blend, Params, Preset};
pub use pipeline::Pipeline;
pub use reverse::ReversePass;
pub use session::Session;
pub use shelf::Shelf;
