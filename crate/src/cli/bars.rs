//! Progress bars on the terminal: phase, step, time left.

use std::cell::RefCell;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use styleid::{Phase, Progress};

/// One progress bar for all phases of a run. It prints nothing if standard error is no terminal.
pub struct Bars {
    current: RefCell<Option<(Phase, ProgressBar)>>,
}

fn title(phase: Phase) -> &'static str {
    match phase {
        Phase::Load => "Loading the model",
        Phase::EncodeContent => "Encoding the content",
        Phase::EncodeStyle => "Encoding the style",
        Phase::WarmUp => "Warming up the GPU",
        Phase::InvertContent => "Inverting the content",
        Phase::InvertStyle => "Inverting the style",
        Phase::InvertBoth => "Inverting both",
        Phase::Stylize => "Stylizing",
        Phase::Decode => "Decoding the result",
    }
}

impl Bars {
    /// There is no bar before the first report.
    pub fn new() -> Self {
        Self { current: RefCell::new(None) }
    }

    /// Prints a sentence above the bar.
    pub fn say(&self, sentence: &str) {
        match self.current.borrow().as_ref() {
            Some((_, bar)) if !bar.is_hidden() => bar.println(sentence),
            _ => eprintln!("{sentence}"),
        }
    }

    /// Shows one report.
    pub fn show(&self, Progress { phase, step, steps }: Progress) {
        let mut current = self.current.borrow_mut();
        if current.as_ref().is_none_or(|(shown, _)| *shown != phase) {
            if let Some((_, bar)) = current.take() {
                bar.finish();
            }
            *current = Some((phase, start(phase, steps)));
        }
        if let Some((_, bar)) = current.as_ref() {
            bar.set_length(steps);
            bar.set_position(step);
            if step == steps && steps > 0 {
                bar.finish();
            }
        }
    }
}

const STEPS: &str = "{prefix:<22} {bar:28} {pos:>2}/{len} {elapsed:>4} {msg}{eta} left";
const BYTES: &str = "{prefix:<22} {bar:28} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";

fn start(phase: Phase, steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    // The template is a constant. If it were invalid, the default bar would do.
    if let Ok(style) = ProgressStyle::with_template(if phase == Phase::Load { BYTES } else { STEPS }) {
        bar.set_style(style);
    }
    bar.set_prefix(title(phase));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
