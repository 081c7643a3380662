//! Ctrl-C and its siblings: the first asks, the second insists.
//!
//! A thread of its own waits for them: unlike a handler it may take a lock, and so remove the temporary files that a process
//! leaves behind when it does not unwind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::exit::{Exit, Fatal};
use crate::rows::remove_unfinished;

/// The first SIGINT or SIGTERM stops the run in order; a second one ends the process at once.
pub(super) struct Signals {
    /// True from the first signal on.
    pub(super) stop: Arc<AtomicBool>,
    /// The first signal.
    which: Arc<AtomicI32>,
}

impl Signals {
    /// Starts listening.
    pub(super) fn listen() -> Result<Self, Fatal> {
        let signals = Self { stop: Arc::default(), which: Arc::default() };
        let (stop, which) = (signals.stop.clone(), signals.which.clone());
        let caught = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).and_then(|mut caught| {
            std::thread::Builder::new().name("signals".into()).spawn(move || {
                for signal in caught.forever() {
                    if stop.load(Ordering::Acquire) {
                        remove_unfinished();
                        signal_hook::low_level::exit(i32::from(meaning(signal).code()));
                    }
                    which.store(signal, Ordering::Relaxed);
                    stop.store(true, Ordering::Release);
                }
            })
        });
        caught.context("signals cannot be caught").map_err(Fatal::input)?;
        crate::weights::stop_downloads_on(signals.which.clone());
        Ok(signals)
    }

    /// How the run ends if a signal came.
    pub(super) fn received(&self) -> Option<Exit> {
        self.stop.load(Ordering::Acquire).then(|| meaning(self.which.load(Ordering::Relaxed)))
    }
}

fn meaning(signal: i32) -> Exit {
    if signal == SIGTERM { Exit::Terminated } else { Exit::Interrupted }
}
