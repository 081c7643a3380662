//! Workers that decode and encode, and the order in which their results come out.
//!
//! On a device the workers only decode: its lanes gather frames into batches ([`Batches`]), and as many threads again run
//! LiFT on the clips that are complete, so that a lane never does.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::batch::Batches;
use super::work::{ClipWork, FrameWork, Queue, lock};
use super::{Engine, StageError};
use crate::inputs::Input;
use crate::model::cause;
use crate::rows::{Failure, Part, Row, display_path};
use crate::video::{ClipInfo, Request, Video, VideoInfo, transform::Transform};

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
}

/// What became of one input.
#[derive(Debug)]
pub enum Outcome {
    /// It was embedded; with what was approximated while reading it.
    Embedded(Row, Vec<String>),
    /// It was not.
    Failed(Failure),
}

/// Frames that wait for a free worker: enough that no worker idles while another opens a file.
const QUEUED_PER_THREAD: usize = 16;

/// How far the newest clip may run ahead of the oldest unfinished one: bounds what waits to be put in order.
const WINDOW: usize = 1024;

/// Decodes and embeds `inputs`, handing each outcome to `sink` in input order, on this thread.
///
/// Stops early, leaving the rest untouched, when `stop` becomes true or the sink errs.
///
/// # Errors
/// The sink's.
pub fn run<E>(
    inputs: &[Input],
    engine: &Engine,
    settings: &Settings,
    stop: &AtomicBool,
    mut sink: impl FnMut(Outcome) -> Result<(), E>,
) -> Result<(), E> {
    let threads = settings.threads.get().min(inputs.len().saturating_mul(64).max(1));
    let shared = Shared {
        inputs,
        engine,
        settings,
        stop,
        quit: AtomicBool::new(false),
        next: AtomicUsize::new(0),
        queue: Queue::new(threads * QUEUED_PER_THREAD),
        batches: engine.encoder().batched().map(Batches::of),
        decoding: AtomicUsize::new(threads),
        emitted: Mutex::new(0),
        busy: AtomicUsize::new(0),
        wake: Condvar::new(),
    };
    let (sender, receiver) = channel();
    let (encoded, complete) = channel();
    let complete = Mutex::new(complete);
    thread::scope(|scope| {
        if let (Some(encoder), Some(batches)) = (engine.encoder().batched(), &shared.batches) {
            for lane in encoder.lanes() {
                let (shared, encoded, sender) = (&shared, encoded.clone(), sender.clone());
                scope.spawn(move || {
                    batches.serve(lane, |work, feature| shared.encoded(&work, feature, &encoded, &sender));
                });
            }
            for _ in 0..threads {
                let (shared, complete, sender) = (&shared, &complete, sender.clone());
                scope.spawn(move || shared.finish_clips(complete, &sender));
            }
        }
        drop(encoded);
        for _ in 0..threads {
            let (shared, sender) = (&shared, sender.clone());
            scope.spawn(move || shared.work(&sender));
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        for (position, outcome) in receiver {
            waiting.insert(position, outcome);
            while let Some(outcome) = waiting.remove(&next) {
                if let Err(error) = sink(outcome) {
                    shared.quit.store(true, Ordering::Relaxed);
                    shared.wake.notify_all();
                    shared.batches.iter().for_each(Batches::abandon);
                    return Err(error);
                }
                next += 1;
                *lock(&shared.emitted) = next;
                shared.wake.notify_all();
            }
        }
        Ok(())
    })
}

struct Shared<'a> {
    inputs: &'a [Input],
    engine: &'a Engine,
    settings: &'a Settings,
    stop: &'a AtomicBool,
    quit: AtomicBool,
    /// Position of the next input to decode.
    next: AtomicUsize,
    queue: Queue<Item>,
    /// Where a device takes the frames instead.
    batches: Option<Batches<FrameWork<Item>>>,
    /// Workers that may still decode.
    decoding: AtomicUsize,
    /// How many outcomes the sink has taken.
    emitted: Mutex<usize>,
    /// Workers inside a clip's decoder, who may still queue frames.
    busy: AtomicUsize,
    wake: Condvar,
}

/// A clip on its way: its position, and what reading it told once it is read.
struct Item {
    position: usize,
    info: Mutex<Option<ClipInfo>>,
}

type Results = Sender<(usize, Outcome)>;

/// A clip and its features, on their way to LiFT.
type Complete = (Arc<ClipWork<Item>>, Vec<f32>);

/// Tells the device that no frame will come, when the last worker leaves, however it leaves.
struct Leaving<'a, 'b>(&'a Shared<'b>);

impl Drop for Leaving<'_, '_> {
    fn drop(&mut self) {
        if self.0.decoding.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.batches.iter().for_each(Batches::close);
        }
    }
}

impl Shared<'_> {
    /// The life of a worker: encode what waits, else decode the next clip, else leave.
    fn work(&self, results: &Results) {
        let _leaving = Leaving(self);
        loop {
            if self.quit.load(Ordering::Relaxed) {
                return;
            }
            if let Some(frame) = self.queue.pop() {
                self.encode(frame, results);
                continue;
            }
            match self.claim() {
                Claim::Clip(position) => {
                    self.decode(position, results);
                    self.busy.fetch_sub(1, Ordering::SeqCst);
                    self.wake.notify_all();
                }
                Claim::Wait => {
                    // A short nap: frames may be queued without a signal.
                    let guard = lock(&self.emitted);
                    drop(self.wake.wait_timeout(guard, std::time::Duration::from_millis(1)));
                }
                Claim::Done => return,
            }
        }
    }

    fn claim(&self) -> Claim {
        let taken = self.next.load(Ordering::SeqCst);
        let stopped = self.stop.load(Ordering::Relaxed);
        if stopped || taken >= self.inputs.len() {
            let idle = self.busy.load(Ordering::SeqCst) == 0;
            return if idle { Claim::Done } else { Claim::Wait };
        }
        if taken >= *lock(&self.emitted) + WINDOW {
            return Claim::Wait;
        }
        // Busy first: whoever sees the input taken must also see that frames may still come.
        self.busy.fetch_add(1, Ordering::SeqCst);
        if self.next.compare_exchange(taken, taken + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            return Claim::Clip(taken);
        }
        self.busy.fetch_sub(1, Ordering::SeqCst);
        Claim::Wait
    }

    fn decode(&self, position: usize, results: &Results) {
        let clip = ClipWork::new(Item { position, info: Mutex::new(None) });
        let input = &self.inputs[position];
        let mut request = self.settings.request.clone();
        (request.start, request.end) = (input.start, input.end);
        let mut transform = Transform::default();
        let mut video = match Video::open(&input.path) {
            Ok(video) => video,
            Err(e) => return self.fail(&clip, None, e.stage(), e.to_string(), results),
        };
        tracing::debug!("{}: {:?}", display_path(&input.path), video.info());
        let read = video.read(&request, |slot, frame| {
            if clip.failed() {
                return;
            }
            let frame = clip.frame(slot, transform.apply(frame));
            if let Some(batches) = &self.batches {
                return batches.push(frame);
            }
            let overflow = self.queue.push(frame);
            self.wake.notify_one();
            if let Some(frame) = overflow {
                self.encode(frame, results);
            }
        });
        match read {
            Ok(info) => {
                *lock(&clip.item.info) = Some(info);
                if let Some(features) = clip.decoded() {
                    self.finish(&clip, features, results);
                }
            }
            Err(e) => self.fail(&clip, Some(video.info()), e.stage(), e.to_string(), results),
        }
    }

    fn encode(&self, work: FrameWork<Item>, results: &Results) {
        if work.clip.failed() || self.quit.load(Ordering::Relaxed) {
            return;
        }
        match self.engine.encoder().encode(&work.frame) {
            Ok(feature) => {
                if let Some(features) = work.store(&feature) {
                    self.finish(&work.clip, features, results);
                }
            }
            Err(e) => self.fail_frames(&work, cause(&e), results),
        }
    }

    fn fail_frames(&self, work: &FrameWork<Item>, error: String, results: &Results) {
        let info = lock(&work.clip.item.info).as_ref().map(|i| i.video.clone());
        self.fail(&work.clip, info.as_ref(), "frames", error, results);
    }

    /// A lane has this frame's feature, or none.
    fn encoded(
        &self,
        work: &FrameWork<Item>,
        feature: Result<&[f32], &str>,
        complete: &Sender<Complete>,
        results: &Results,
    ) {
        match feature {
            Ok(feature) => {
                if let Some(features) = work.store(feature) {
                    // The receivers only go when the run is over anyway.
                    let _ = complete.send((work.clip.clone(), features));
                }
            }
            Err(why) => self.fail_frames(work, why.to_string(), results),
        }
    }

    /// The life of a thread that runs LiFT on what the lanes have completed.
    fn finish_clips(&self, complete: &Mutex<Receiver<Complete>>, results: &Results) {
        loop {
            let next = lock(complete).recv();
            let Ok((clip, features)) = next else { return };
            self.finish(&clip, features, results);
        }
    }

    fn finish(&self, clip: &Arc<ClipWork<Item>>, features: Vec<f32>, results: &Results) {
        let Some(info) = lock(&clip.item.info).take() else { return };
        let frames = info.indices.len();
        match self.engine.finish(features, &self.settings.parts, self.settings.normalize) {
            Ok(parts) => {
                let input = &self.inputs[clip.item.position];
                let row = Row {
                    index: input.index,
                    id: input.id.clone(),
                    path: input.path.clone(),
                    start: input.start,
                    end: input.end,
                    frames,
                    fps: Some(info.video.fps),
                    duration: Some(info.video.duration),
                    parts,
                };
                // The receiver only goes when the run is over anyway.
                let _ = results.send((clip.item.position, Outcome::Embedded(row, info.video.notes)));
            }
            Err(StageError { stage, cause }) => self.fail(clip, Some(&info.video), stage, cause, results),
        }
    }

    fn fail(
        &self,
        clip: &ClipWork<Item>,
        info: Option<&VideoInfo>,
        stage: &str,
        error: String,
        results: &Results,
    ) {
        if !clip.fail() {
            return;
        }
        let input = &self.inputs[clip.item.position];
        let failure = Failure {
            index: input.index,
            id: input.id.clone(),
            path: input.path.clone(),
            start: input.start,
            end: input.end,
            fps: info.map(|i| i.fps),
            duration: info.map(|i| i.duration),
            stage: stage.into(),
            error,
        };
        let _ = results.send((clip.item.position, Outcome::Failed(failure)));
    }
}

enum Claim {
    Clip(usize),
    Wait,
    Done,
}
