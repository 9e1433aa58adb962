//! Stable Diffusion's networks in burn: UNet, VAE and text encoder, each shaped by its diffusers `config.json`.

pub mod attention;
mod bands;
pub mod clip;
pub mod config;
pub mod context;
pub mod embeddings;
mod facts;
pub mod layers;
pub mod loading;
pub mod norms;
#[cfg(not(target_arch = "wasm32"))]
pub mod packing;
pub mod resnet;
pub mod stable_diffusion;
pub mod tokenizer;
pub mod unet;
pub mod unet_blocks;
pub mod vae;
pub mod weight;

#[cfg(test)]
mod tests;

pub use loading::LoadOptions;
pub use stable_diffusion::{ModelInfo, StableDiffusion};
