//! The run: inputs in as they are listed, outcomes out in the same order, whatever happens to a video.
//!
//! This thread hands the outcomes on and keeps watch over the workers (`worker`). On a device these only read: its lanes
//! gather frames into batches ([`super::batch`]), and as many threads again run LiFT on the clips that are complete, so that a
//! lane never does. A worker whose video is not read in time is
//! left to itself and replaced: FFmpeg cannot be interrupted in the middle of a picture, so a codec that hangs costs a thread
//! for the rest of the process, and never the run.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::worker::{Desk, Message, NO_THREAD, Shared, start};
use super::{Engine, Outcome, Source};
use crate::guard::lock;
use crate::rows::Part;
use crate::video::Request;

/// What a run does with every input.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which frames, and how they are decoded; the range is each input's own.
    pub request: Request,
    /// The parts to compute.
    pub parts: Vec<Part>,
    /// Scale every vector to unit length.
    pub normalize: bool,
    /// Worker threads.
    pub threads: NonZeroUsize,
    /// How long reading one video may take, the network's time not counted; any time if absent.
    pub timeout: Option<Duration>,
}

/// How often the watch looks at the clocks.
const WATCH: Duration = Duration::from_millis(50);

/// Threads beyond this many per input find no work.
const FRAMES_TO_SHARE: usize = 64;

/// Decodes and embeds `inputs`, handing each outcome to `sink` in input order, on this thread.
///
/// Stops early when `stop` becomes true (the clips in hand are finished) or the sink errs (at once).
///
/// # Errors
/// The sink's.
pub fn run<E>(
    inputs: impl Source,
    engine: &Arc<Engine>,
    settings: &Settings,
    stop: &Arc<AtomicBool>,
    mut sink: impl FnMut(Outcome) -> Result<(), E>,
) -> Result<(), E> {
    let most = inputs.most().map_or(usize::MAX, |n| n.saturating_mul(FRAMES_TO_SHARE).max(1));
    let threads = settings.threads.get().min(most);
    let (sender, receiver) = channel();
    let shared = Arc::new(Shared::new(Box::new(inputs), engine, settings, stop, threads, sender));
    let mut crew = Crew {
        shared: shared.clone(),
        desks: Vec::new(),
        lost: 0,
        limit: settings.timeout,
        watched: Instant::now(),
    };
    // Where the system gives no more threads, fewer do the work; one is needed.
    assert!(crew.try_hire(), "{NO_THREAD}");
    let wanted = threads;
    let threads = 1 + (1..wanted).take_while(|_| crew.try_hire()).count();
    shared.missing(wanted - threads);
    let crowd = threads + shared.serve_device(threads);
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    let mut left = 0;
    while left + crew.lost < crowd {
        match crew.next(&receiver) {
            Some(Message::Left) => left += 1,
            Some(Message::Done(position, outcome)) => {
                waiting.insert(position, outcome);
            }
            None => {}
        }
        while let Some(outcome) = waiting.remove(&next) {
            if let Err(error) = sink(outcome) {
                shared.quit();
                return Err(error);
            }
            next += 1;
            shared.emitted(next);
        }
    }
    // A thread that died with an input in hand must not pass for a run that is complete.
    assert_eq!(next, shared.taken(), "inputs that were begun have no outcome");
    Ok(())
}

/// The workers at their desks.
struct Crew {
    shared: Arc<Shared>,
    desks: Vec<Arc<Mutex<Desk>>>,
    /// Workers whose place nobody took.
    lost: usize,
    limit: Option<Duration>,
    watched: Instant,
}

impl Crew {
    /// False if the system gives no thread.
    fn try_hire(&mut self) -> bool {
        let desk = Arc::new(Mutex::new(Desk::default()));
        let (shared, at) = (self.shared.clone(), desk.clone());
        let started = start(move || shared.work(&at));
        if started {
            self.desks.push(desk);
        }
        started
    }

    /// The next message; `None` where there was time to look around instead.
    fn next(&mut self, messages: &Receiver<Message>) -> Option<Message> {
        if self.limit.is_none() {
            return messages.recv().ok();
        }
        if self.watched.elapsed() >= WATCH {
            self.watch();
            self.watched = Instant::now();
        }
        messages.recv_timeout(WATCH).ok()
    }

    /// Gives up on the videos whose time is over and puts new workers in the place of theirs.
    fn watch(&mut self) {
        let now = Instant::now();
        let late: Vec<_> = self.desks.iter().filter_map(|desk| lock(desk).abandon(now)).collect();
        self.desks.retain(|desk| !lock(desk).is_abandoned());
        for clip in late {
            self.shared.give_up(&clip, self.limit.unwrap_or_default());
            if !self.try_hire() {
                self.shared.missing(1);
                self.lost += 1;
            }
        }
        assert!(!self.desks.is_empty(), "{NO_THREAD}");
    }
}
