//! StyleID (Chung, Hyun and Heo, CVPR 2024): training-free style transfer by injecting the style's self-attention
//! features into the content's reverse diffusion.

pub mod adain;
pub mod bank;
pub mod blend;
pub mod curve;
pub mod damping;
pub mod features;
pub mod hooks;
pub mod inversion;
mod kept;
pub mod mask;
pub mod params;
pub mod pipeline;
pub mod preview;
pub mod session;

pub use blend::Style;
pub use curve::Curve;
pub use inversion::Inversion;
pub use params::{Blend, Params, Preset};
pub use pipeline::{Pipeline, Stylized};
pub use session::Session;
