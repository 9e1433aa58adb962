//! Ctrl-C, and the signal that a scheduler sends before it kills: the run ends between two steps, and no file stays half written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};

/// The exit status that shells expect of a program that Ctrl-C ended.
pub const STOPPED: u8 = 130;

/// Whether the run is to stop.
#[derive(Debug, Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens for signals from now on. The second one ends the program at once.
    pub fn listen() -> Self {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // If signals cannot be handled, they end the program as usual.
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
