//! SIGINT (Ctrl-C) and SIGTERM: the first stops the run in order, the second ends the process at once.
//!
//! A thread waits for the signals. Unlike a signal handler it may take a lock, and so it can remove the temporary files that
//! a process leaves when it ends without unwinding.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::report;
use crate::exit::{Exit, Fatal};
use crate::files::remove_unfinished;

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
        on_each(move |signal| {
            if stop.load(Ordering::Acquire) {
                end(signal);
            }
            which.store(signal, Ordering::Relaxed);
            stop.store(true, Ordering::Release);
        })?;
        crate::weights::stop_downloads_on(signals.which.clone());
        Ok(signals)
    }

    /// Lets the first signal end the process: for commands with one output, which is complete at the end or not there.
    pub(super) fn end_at_once() -> Result<(), Fatal> {
        on_each(|signal| {
            report::error("interrupted: what was not finished is removed");
            end(signal);
        })
    }

    /// The exit code, if a signal has come.
    pub(super) fn received(&self) -> Option<Exit> {
        self.stop.load(Ordering::Acquire).then(|| meaning(self.which.load(Ordering::Relaxed)))
    }
}

/// Starts a thread that calls `act` with each signal.
fn on_each(act: impl Fn(i32) + Send + 'static) -> Result<(), Fatal> {
    let caught = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).and_then(|mut caught| {
        std::thread::Builder::new().name("signals".into()).spawn(move || caught.forever().for_each(act))
    });
    caught.context("signals cannot be caught").map(drop).map_err(Fatal::input)
}

/// Ends the process and removes its unfinished files.
fn end(signal: i32) {
    remove_unfinished();
    signal_hook::low_level::exit(i32::from(meaning(signal).code()));
}

fn meaning(signal: i32) -> Exit {
    if signal == SIGTERM { Exit::Terminated } else { Exit::Interrupted }
}
