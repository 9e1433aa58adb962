//! How a run talks to whoever started it: progress out, cancel in, and room for the event loop in between.

use serde::Serialize;

use crate::{Error, Result};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reading the model; steps are bytes.
    Load,
    /// The content picture to latents.
    EncodeContent,
    /// The style picture to latents.
    EncodeStyle,
    /// The network's first step at a size, in which a GPU's shaders are compiled; over when another phase reports.
    WarmUp,
    /// DDIM inversion of the content.
    InvertContent,
    /// DDIM inversion of the style.
    InvertStyle,
    /// DDIM inversion of both pictures at once, in one batch.
    InvertBoth,
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
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
}

/// A run's line to its caller.
pub struct Control<'a> {
    on_progress: &'a dyn Fn(Progress),
    cancelled: &'a dyn Fn() -> bool,
    on_notice: &'a dyn Fn(&str),
}

impl<'a> Control<'a> {
    /// `on_progress` hears of every step; `cancelled` is asked between blocks.
    pub fn new(on_progress: &'a dyn Fn(Progress), cancelled: &'a dyn Fn() -> bool) -> Self {
        Self { on_progress, cancelled, on_notice: &|_| () }
    }

    /// The same line, on which `on_notice` hears sentences about what is unusual but no failure.
    #[must_use]
    pub fn with_notices(self, on_notice: &'a dyn Fn(&str)) -> Self {
        Self { on_notice, ..self }
    }

    /// Says something to the person in one sentence.
    pub fn notice(&self, sentence: &str) {
        (self.on_notice)(sentence);
    }

    /// Reports that `step` of `steps` are done.
    pub fn report(&self, phase: Phase, step: usize, steps: usize) {
        (self.on_progress)(Progress { phase, step: step as u64, steps: steps as u64 });
    }

    /// Reports that `done` of `total` bytes of a model are read.
    pub fn report_bytes(&self, done: u64, total: u64) {
        (self.on_progress)(Progress { phase: Phase::Load, step: done, steps: total });
    }

    /// Lets the event loop run, then goes on unless the run was cancelled or the GPU reported a fault meanwhile.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or the fault's sentence.
    pub async fn breathe(&self) -> Result<()> {
        // Natively each run has its own thread, and there is no event loop to starve.
        #[cfg(target_arch = "wasm32")]
        crate::web::event_loop::turn().await;
        crate::memory::sample();
        if (self.cancelled)() { Err(Error::Cancelled) } else { crate::fault::check() }
    }
}

/// A control that reports to nobody and never cancels.
pub fn silent() -> Control<'static> {
    Control::new(&|_| (), &|| false)
}
