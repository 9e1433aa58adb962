//! The diffusers configs of a model as data.
//!
//! Defaults are diffusers' own, so that an older file without a key means the same. Every `check` says in one sentence
//! what in a config belongs to another family than Stable Diffusion 1.x and 2.x.

mod configs;
pub mod scheduler;
pub mod text;
pub mod tokens;
pub mod unet;
pub mod vae;

pub use configs::Configs;
pub use scheduler::{Prediction, SchedulerConfig};
pub use text::{TextActivation, TextConfig};
pub use tokens::SpecialTokens;
pub use unet::{PerLevel, UnetConfig};
pub use vae::VaeConfig;
