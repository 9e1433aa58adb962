//! A run's interface to its caller: progress out, cancel in, and turns of the event loop in between.

use std::pin::Pin;
use std::time::Duration;

use image::RgbImage;
use serde::Serialize;

use crate::{Error, Result};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Phase {
    /// Reading the model; steps are bytes.
    Load,
    /// The content picture to latents.
    EncodeContent,
    /// The style pictures to latents.
    EncodeStyle,
    /// The network's first step at a size, in which a GPU's shaders are compiled; over when another phase reports.
    WarmUp,
    /// DDIM inversion of the content.
    InvertContent,
    /// DDIM inversion of the styles, one after the other.
    InvertStyle,
    /// DDIM inversion of the content and a style at once, in one batch.
    InvertBoth,
    /// The reverse pass with injection.
    Stylize,
    /// Latents to the result.
    Decode,
}

impl Phase {
    /// All of them, in the order of a run.
    pub const ALL: [Self; 9] = [
        Self::Load,
        Self::EncodeContent,
        Self::EncodeStyle,
        Self::WarmUp,
        Self::InvertContent,
        Self::InvertStyle,
        Self::InvertBoth,
        Self::Stylize,
        Self::Decode,
    ];
}

/// One report: `step` of `steps` of a phase are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "ProgressEvent"))]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Steps done, from 0 to `steps`.
    pub step: u64,
    /// Steps in all; while a model is loaded these are bytes, and 0 until they are known.
    pub steps: u64,
}

/// What the result looks like so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// One pixel per latent.
    pub picture: RgbImage,
    /// Steps of the reverse pass that are done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
}

/// Interval at which a paused run checks whether it may go on.
const PAUSE: Duration = Duration::from_millis(50);

/// Which of several pictures a phase is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Index of the picture, from 0.
    pub index: usize,
    /// How many there are.
    pub of: usize,
}

impl Turn {
    /// The only one.
    pub const ONLY: Self = Self { index: 0, of: 1 };
}

/// Platform-specific work between two blocks of a network, in addition to the caller's callbacks.
pub trait Between {
    /// Yields to the event loop, and samples the memory in use.
    fn turn(&self) -> Pin<Box<dyn Future<Output = ()> + '_>>;

    /// Waits for `time`.
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>>;

    /// Fails if the GPU reported a fault since the last check.
    ///
    /// # Errors
    /// The fault's sentence.
    fn check(&self) -> Result<()>;
}

/// A run's callbacks to its caller.
pub struct Control<'a> {
    between: &'a dyn Between,
    on_progress: &'a dyn Fn(Progress),
    cancelled: &'a dyn Fn() -> bool,
    paused: &'a dyn Fn() -> bool,
    on_notice: &'a dyn Fn(&str),
    on_preview: &'a dyn Fn(Preview),
}

impl<'a> Control<'a> {
    /// `on_progress` is called at every step, `cancelled` between blocks, after `between`.
    pub fn new(between: &'a dyn Between, on_progress: &'a dyn Fn(Progress), cancelled: &'a dyn Fn() -> bool) -> Self {
        Self { between, on_progress, cancelled, paused: &|| false, on_notice: &|_| (), on_preview: &|_| () }
    }

    /// Adds a pause: the run waits between blocks as long as `paused` returns true.
    #[must_use]
    pub fn with_pause(self, paused: &'a dyn Fn() -> bool) -> Self {
        Self { paused, ..self }
    }

    /// Adds a callback for previews of the result.
    #[must_use]
    pub fn with_previews(self, on_preview: &'a dyn Fn(Preview)) -> Self {
        Self { on_preview, ..self }
    }

    /// Adds a callback for notices: sentences about what is unusual but no failure.
    #[must_use]
    pub fn with_notices(self, on_notice: &'a dyn Fn(&str)) -> Self {
        Self { on_notice, ..self }
    }

    /// Sends the person a notice of one sentence.
    pub fn notice(&self, sentence: &str) {
        (self.on_notice)(sentence);
    }

    /// Sends a preview of the result so far.
    pub fn preview(&self, preview: Preview) {
        (self.on_preview)(preview);
    }

    /// Reports that `step` of `steps` are done.
    pub fn report(&self, phase: Phase, step: usize, steps: usize) {
        (self.on_progress)(Progress { phase, step: step as u64, steps: steps as u64 });
    }

    /// As [`Control::report`] for one of a phase's turns (one picture of several); all turns are reported as one phase.
    pub fn report_turn(&self, phase: Phase, turn: Turn, step: usize, steps: usize) {
        // A turn begins where the previous one ended, which was reported already.
        if step > 0 || turn.index == 0 {
            self.report(phase, turn.index * steps + step, turn.of * steps);
        }
    }

    /// Reports that `done` of `total` bytes of a model are read.
    pub fn report_bytes(&self, done: u64, total: u64) {
        (self.on_progress)(Progress { phase: Phase::Load, step: done, steps: total });
    }

    /// Yields to the event loop, and waits while the run is paused. Fails if it was cancelled or the GPU reported a
    /// fault meanwhile.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or the fault's sentence.
    pub async fn yield_and_check(&self) -> Result<()> {
        self.between.turn().await;
        while (self.paused)() && !(self.cancelled)() {
            self.between.check()?;
            self.between.sleep(PAUSE).await;
        }
        if (self.cancelled)() { Err(Error::Cancelled) } else { self.between.check() }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use super::*;

    /// As on the native platform, without a GPU.
    struct Sleeps;

    impl Between for Sleeps {
        fn turn(&self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
            Box::pin(async {})
        }

        fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
            std::thread::sleep(time);
            Box::pin(async {})
        }

        fn check(&self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_paused_run_holds_until_it_may_go_on() {
        let looked = Cell::new(0);
        let paused = || {
            looked.set(looked.get() + 1);
            looked.get() <= 3
        };
        let began = Instant::now();
        let control = Control::new(&Sleeps, &|_| (), &|| false).with_pause(&paused);
        pollster::block_on(control.yield_and_check()).expect("nothing was cancelled");
        assert_eq!(looked.get(), 4);
        assert!(began.elapsed() >= 3 * PAUSE);
    }

    #[test]
    fn a_paused_run_can_be_cancelled() {
        let looked = Cell::new(0);
        let cancelled = || {
            looked.set(looked.get() + 1);
            looked.get() > 2
        };
        let control = Control::new(&Sleeps, &|_| (), &cancelled).with_pause(&|| true);
        assert!(matches!(pollster::block_on(control.yield_and_check()), Err(Error::Cancelled)));
    }
}
