//! The diffusion process: noise schedule and DDIM, forwards and backwards.

pub mod ddim;
pub mod randn;
pub mod schedule;

pub use schedule::Schedule;
