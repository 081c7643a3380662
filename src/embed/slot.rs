//! What one worker is doing, as the watchdog sees it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::work::{ClipWork, Job};

/// The slot of one worker: the clip that it reads, and until when it may.
#[derive(Default)]
pub(super) struct WorkerSlot {
    reading: Option<(Instant, Arc<ClipWork<Job>>)>,
    abandoned: bool,
}

impl WorkerSlot {
    /// Starts the clock of a clip that may be read for `allowed`; without a limit there is no clock.
    pub(super) fn start_clock(&mut self, clip: &Arc<ClipWork<Job>>, allowed: Option<Duration>) {
        if let Some(until) = allowed.and_then(|allowed| Instant::now().checked_add(allowed)) {
            self.reading = Some((until, clip.clone()));
        }
    }

    /// Stops the clock and returns the time that is left.
    pub(super) fn stop_clock(&mut self) -> Option<Duration> {
        let (until, _) = self.reading.take()?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Returns the clip if its time is over; its worker then counts as abandoned.
    pub(super) fn abandon(&mut self, now: Instant) -> Option<Arc<ClipWork<Job>>> {
        let (_, clip) = self.reading.take_if(|(until, _)| *until <= now)?;
        self.abandoned = true;
        Some(clip)
    }

    /// Whether the watchdog has given up on this worker.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned
    }
}
