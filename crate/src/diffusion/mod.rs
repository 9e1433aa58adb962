//! The diffusion process: noise schedules, DDIM and DPM-Solver++, forwards and backwards.

pub mod ddim;
pub mod levels;
pub mod randn;
pub mod schedule;
pub mod solver;

pub use levels::{Level, Levels};
pub use schedule::Schedule;
pub use solver::{Move, Solver};
