//! A model's diffusers configs.
//!
//! Missing or null keys have the default of diffusers, or of Stable Diffusion's own files. Every `check` says in one
//! sentence what in a config belongs to another family than Stable Diffusion 1.x and 2.x.

mod configs;
mod reading;
pub mod scheduler;
pub mod shapes;
pub mod text;
pub mod tokens;
pub mod unet;
pub mod vae;

pub use configs::{Configs, with_prediction};
pub use scheduler::{Prediction, SchedulerConfig, TimestepSpacing};
pub use text::{TextActivation, TextConfig};
pub use tokens::SpecialTokens;
pub use unet::{DecoderLevel, PerLevel, UnetConfig};
pub use vae::VaeConfig;
