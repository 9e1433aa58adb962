//! How a run talks to whoever started it: progress out, cancel in, and room for the event loop in between.

use serde::Serialize;

use crate::{Error, Result};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reading the model; steps are its parts.
    Load,
    /// The content picture to latents.
    EncodeContent,
    /// The style picture to latents.
    EncodeStyle,
    /// DDIM inversion of the content.
    InvertContent,
    /// DDIM inversion of the style.
    InvertStyle,
    /// The reverse pass with injection.
    Stylize,
    /// Latents to the result.
    Decode,
}

/// One report: `step` of `steps` of a phase are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Steps done, from 0 to `steps`.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
}

/// A run's line to its caller.
pub struct Control<'a> {
    on_progress: &'a dyn Fn(Progress),
    cancelled: &'a dyn Fn() -> bool,
}

impl<'a> Control<'a> {
    /// `on_progress` hears of every step; `cancelled` is asked between blocks.
    pub fn new(on_progress: &'a dyn Fn(Progress), cancelled: &'a dyn Fn() -> bool) -> Self {
        Self { on_progress, cancelled }
    }

    /// Reports that `step` of `steps` are done.
    pub fn report(&self, phase: Phase, step: usize, steps: usize) {
        (self.on_progress)(Progress { phase, step, steps });
    }

    /// Lets the event loop run, then goes on unless the run was cancelled.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if so.
    pub async fn breathe(&self) -> Result<()> {
        // Natively each run has its own thread, and there is no event loop to starve.
        #[cfg(target_arch = "wasm32")]
        crate::web::event_loop::turn().await;
        if (self.cancelled)() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// A control that reports to nobody and never cancels.
pub fn silent() -> Control<'static> {
    Control::new(&|_| (), &|| false)
}
