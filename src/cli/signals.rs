//! Ctrl-C and its siblings: the first asks, the second insists.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::exit::{Exit, Fatal};

/// The first SIGINT or SIGTERM stops the run in order; a second one ends the process at once.
pub(super) struct Signals {
    /// True from the first signal on.
    pub(super) stop: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
}

impl Signals {
    /// Starts listening.
    pub(super) fn listen() -> Result<Self, Fatal> {
        let signals = Self { stop: Arc::default(), which: Arc::default() };
        for (number, exit) in [(SIGINT, Exit::Interrupted), (SIGTERM, Exit::Terminated)] {
            // In this order: the second signal finds the flag set and exits before it could be set again.
            signal_hook::flag::register_conditional_shutdown(
                number,
                i32::from(exit.code()),
                signals.stop.clone(),
            )
            .and_then(|_| signal_hook::flag::register_usize(number, signals.which.clone(), number as usize))
            .and_then(|_| signal_hook::flag::register(number, signals.stop.clone()))
            .context("signals cannot be caught")
            .map_err(Fatal::input)?;
        }
        crate::weights::stop_downloads_on(signals.which.clone());
        Ok(signals)
    }

    /// How the run ends if a signal came.
    pub(super) fn received(&self) -> Option<Exit> {
        self.stop.load(Ordering::Relaxed).then(|| {
            if self.which.load(Ordering::Relaxed) == SIGTERM as usize {
                Exit::Terminated
            } else {
                Exit::Interrupted
            }
        })
    }
}
