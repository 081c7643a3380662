//! A run: inputs in the order of the list go in, outcomes come out in the same order, whatever happens to a video.
//!
//! This thread hands the outcomes on and watches the workers ([`super::worker`]). Where a device encodes the frames, the
//! workers only read; the device's lanes gather frames into batches ([`super::batch`]), and as many threads as workers run
//! LiFT on the clips that are complete. A worker whose video is not read in time is abandoned and replaced: FFmpeg cannot be
//! interrupted in the middle of a picture, so a codec that hangs costs a thread for the rest of the process, and never the run.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::settings::EmbedSettings;
use super::slot::WorkerSlot;
use super::worker::{Message, NO_THREAD, Shared, start};
use super::{Engine, InputSource, Outcome};
use crate::guard::lock;

/// How often the watchdog looks at the clocks.
const WATCH_EVERY: Duration = Duration::from_millis(50);

/// Threads beyond this many per input find no work.
const FRAMES_TO_SHARE: usize = 64;

/// Decodes and embeds `inputs`, and hands each outcome to `sink` in input order, on this thread.
///
/// The run stops early when `stop` becomes true (the clips in progress are finished) or when the sink fails (at once).
///
/// # Errors
/// The sink's.
pub fn run<E>(
    inputs: impl InputSource,
    engine: &Arc<Engine>,
    settings: &EmbedSettings,
    stop: &Arc<AtomicBool>,
    mut sink: impl FnMut(Outcome) -> Result<(), E>,
) -> Result<(), E> {
    let most = inputs.most().map_or(usize::MAX, |n| n.saturating_mul(FRAMES_TO_SHARE).max(1));
    let wanted = settings.threads.get().min(most);
    let (sender, receiver) = channel();
    let shared = Arc::new(Shared::new(Box::new(inputs), engine, settings, stop, wanted, sender));
    let mut pool = WorkerPool {
        shared: shared.clone(),
        slots: Vec::new(),
        not_replaced: 0,
        limit: settings.timeout,
        watched: Instant::now(),
    };
    // Where the system gives no more threads, fewer do the work; one is needed.
    assert!(pool.start_worker(), "{NO_THREAD}");
    let workers = 1 + (1..wanted).take_while(|_| pool.start_worker()).count();
    shared.workers_missing(wanted - workers);
    let threads = workers + shared.serve_device(workers);
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    let mut ended = 0;
    while ended + pool.not_replaced < threads {
        match pool.next(&receiver) {
            Some(Message::ThreadEnded) => ended += 1,
            Some(Message::Done(position, outcome)) => {
                waiting.insert(position, outcome);
            }
            None => {}
        }
        while let Some(outcome) = waiting.remove(&next) {
            if let Err(error) = sink(*outcome) {
                shared.quit();
                return Err(error);
            }
            next += 1;
            shared.emitted(next);
        }
    }
    // A thread that died with an input in progress must not pass for a run that is complete.
    assert_eq!(next, shared.taken(), "inputs that were begun have no outcome");
    Ok(())
}

/// The workers of a run and their watchdog.
struct WorkerPool {
    shared: Arc<Shared>,
    slots: Vec<Arc<Mutex<WorkerSlot>>>,
    /// Abandoned workers that could not be replaced.
    not_replaced: usize,
    limit: Option<Duration>,
    watched: Instant,
}

impl WorkerPool {
    /// Starts a worker; false if the system gives no thread.
    fn start_worker(&mut self) -> bool {
        let slot = Arc::new(Mutex::new(WorkerSlot::default()));
        let (shared, of_worker) = (self.shared.clone(), slot.clone());
        let started = start(move || shared.work(&of_worker));
        if started {
            self.slots.push(slot);
        }
        started
    }

    /// The next message; `None` if none came until the watchdog is due again.
    fn next(&mut self, messages: &Receiver<Message>) -> Option<Message> {
        if self.limit.is_none() {
            return messages.recv().ok();
        }
        if self.watched.elapsed() >= WATCH_EVERY {
            self.watch();
            self.watched = Instant::now();
        }
        messages.recv_timeout(WATCH_EVERY).ok()
    }

    /// Fails the videos whose time is over and replaces their workers.
    fn watch(&mut self) {
        let now = Instant::now();
        let late: Vec<_> = self.slots.iter().filter_map(|slot| lock(slot).abandon(now)).collect();
        self.slots.retain(|slot| !lock(slot).is_abandoned());
        for clip in late {
            self.shared.time_out(&clip, self.limit.unwrap_or_default());
            if !self.start_worker() {
                self.shared.workers_missing(1);
                self.not_replaced += 1;
            }
        }
        assert!(!self.slots.is_empty(), "{NO_THREAD}");
    }
}
