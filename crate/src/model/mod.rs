//! Stable Diffusion's networks in burn: UNet, VAE and text encoder, each shaped by its diffusers `config.json`.

pub mod attention;
mod bands;
pub mod clip;
mod info;
pub mod layers;
pub mod loading;
mod needs;
pub mod norms;
#[cfg(not(target_arch = "wasm32"))]
pub mod packing;
mod record;
pub mod resnet;
pub mod stable_diffusion;
pub mod tensors;
pub mod unet;
pub mod vae;

#[cfg(test)]
mod tests;

pub use info::{LevelInfo, ModelInfo, PartInfo};
pub use loading::LoadOptions;
pub use stable_diffusion::StableDiffusion;
