//! Where the program runs: what is done between two blocks of a network, natively and in a browser's worker.

#[cfg(target_arch = "wasm32")]
mod event_loop;

use std::pin::Pin;
use std::time::Duration;

use crate::control::{Between, Control};
use crate::{Result, fault, memory};

/// The machine or the browser's worker that the program runs on.
#[derive(Debug, Clone, Copy)]
pub struct Here;

impl Between for Here {
    fn turn(&self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async {
            // Natively each run has its own thread, and there is no event loop to starve.
            #[cfg(target_arch = "wasm32")]
            event_loop::turn().await;
            memory::sample();
        })
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async move {
            #[cfg(target_arch = "wasm32")]
            event_loop::sleep(time).await;
            #[cfg(not(target_arch = "wasm32"))]
            std::thread::sleep(time);
        })
    }

    fn check(&self) -> Result<()> {
        fault::check()
    }
}

/// A control that reports to nobody and never cancels.
pub fn silent() -> Control<'static> {
    Control::new(&Here, &|_| (), &|| false)
}
