//! Ctrl-C, and what a scheduler sends before it kills: the run ends between two steps, so that no file is left half written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};

/// What a shell expects of a program that Ctrl-C ended.
pub const STOPPED: u8 = 130;

/// Whether the run is to stop.
#[derive(Debug, Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens from now on. The second signal ends the program at once.
    pub fn listen() -> Self {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Where signals cannot be heard they end the program as they do without this.
            let _ = register_conditional_shutdown(signal, STOPPED.into(), asked.clone());
            let _ = register(signal, asked.clone());
        }
        Self(asked)
    }

    /// Whether a signal came.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
