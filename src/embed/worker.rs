//! What the threads of a run do. A worker encodes a frame that waits, else reads the next video, else leaves. On a device
//! workers only read, lanes encode in batches, and finishers run LiFT on what the lanes have completed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::batch::Batches;
use super::work::{ClipWork, FrameWork, Queue};
use super::{Embedded, Engine, Next, Outcome, Settings, Source, StageError};
use crate::files::{Stamp, display_path};
use crate::guard::{guarded, lock};
use crate::inputs::Input;
use crate::model::cause;
use crate::rows::{ClipMeta, Failure, Row};
use crate::video::{ClipInfo, Span, Strategy, Video, VideoError, VideoInfo, transform::Transform};

/// Frames that wait for a free worker: enough that no worker idles while another opens a file.
const QUEUED_PER_THREAD: usize = 16;

/// How far the newest clip may run ahead of the oldest unfinished one: bounds what waits to be put in order.
const WINDOW: usize = 1024;

/// What workers report.
pub(super) enum Message {
    /// What became of the input at this position of the run.
    Done(usize, Outcome),
    /// A thread found nothing more to do.
    Left,
}

/// Where a run cannot do without a thread.
pub(super) const NO_THREAD: &str =
    "the system gives no thread; free some memory or raise the limit of threads";

/// Starts a thread; false if the system gives none.
pub(super) fn start(life: impl FnOnce() + Send + 'static) -> bool {
    let started = thread::Builder::new().spawn(life);
    if let Err(error) = &started {
        tracing::warn!("no further thread: {error}");
    }
    started.is_ok()
}

/// A clip on its way: its input and place, and what reading it told once it is read.
pub(super) struct Item {
    position: usize,
    input: Input,
    /// The file as it was before it was read.
    stamp: Option<Stamp>,
    info: Mutex<Option<ClipInfo>>,
}

/// Where a worker sits, seen by whoever watches: the clip it reads, and until when it may.
#[derive(Default)]
pub(super) struct Desk {
    reading: Option<(Instant, Arc<ClipWork<Item>>)>,
    abandoned: bool,
}

impl Desk {
    /// The clip whose time is over, if it is: whoever reads it is on its own from now on.
    pub(super) fn abandon(&mut self, now: Instant) -> Option<Arc<ClipWork<Item>>> {
        let (_, clip) = self.reading.take_if(|(until, _)| *until <= now)?;
        self.abandoned = true;
        Some(clip)
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned
    }
}

/// A clip and its features, on their way to LiFT.
type Complete = (Arc<ClipWork<Item>>, Vec<f32>);

/// Says that a thread is gone, however it goes; the last worker also tells the device that no frame will come. Of an
/// abandoned worker another one says so, in its place.
struct Leaving<'a> {
    shared: &'a Shared,
    desk: Option<&'a Mutex<Desk>>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        match self.desk {
            Some(desk) if lock(desk).abandoned => return,
            Some(_) if self.shared.reading.fetch_sub(1, Ordering::SeqCst) == 1 => {
                self.shared.batches.iter().for_each(Batches::close);
            }
            _ => {}
        }
        self.shared.send(Message::Left);
    }
}

/// What all threads see.
pub(super) struct Shared {
    engine: Arc<Engine>,
    settings: Settings,
    /// The inputs not yet taken, and how many were.
    inputs: Mutex<(Box<dyn Source>, usize)>,
    stop: Arc<AtomicBool>,
    quit: AtomicBool,
    queue: Queue<Item>,
    /// Where a device takes the frames instead.
    batches: Option<Batches<FrameWork<Item>>>,
    /// Workers that may still read.
    reading: AtomicUsize,
    /// How many outcomes the sink has taken.
    emitted: Mutex<usize>,
    /// Workers inside a video, who may still queue frames.
    busy: AtomicUsize,
    wake: Condvar,
    results: Sender<Message>,
}

enum Claim {
    Clip(usize, Input),
    Wait,
    Done,
}

impl Shared {
    pub(super) fn new(
        inputs: Box<dyn Source>,
        engine: &Arc<Engine>,
        settings: &Settings,
        stop: &Arc<AtomicBool>,
        threads: usize,
        results: Sender<Message>,
    ) -> Self {
        Self {
            engine: engine.clone(),
            settings: settings.clone(),
            inputs: Mutex::new((inputs, 0)),
            stop: stop.clone(),
            quit: AtomicBool::new(false),
            queue: Queue::new(threads * QUEUED_PER_THREAD),
            batches: engine.encoder().batched().map(Batches::of),
            reading: AtomicUsize::new(threads),
            emitted: Mutex::new(0),
            busy: AtomicUsize::new(0),
            wake: Condvar::new(),
            results,
        }
    }

    /// Says that so many workers were not to be had.
    pub(super) fn missing(&self, workers: usize) {
        if self.reading.fetch_sub(workers, Ordering::SeqCst) == workers {
            self.batches.iter().for_each(Batches::close);
        }
    }

    /// Sends everyone away.
    pub(super) fn quit(&self) {
        self.quit.store(true, Ordering::Relaxed);
        self.wake.notify_all();
        self.batches.iter().for_each(Batches::abandon);
    }

    /// How many inputs were taken.
    pub(super) fn taken(&self) -> usize {
        lock(&self.inputs).1
    }

    /// Says how many outcomes the sink has taken.
    pub(super) fn emitted(&self, count: usize) {
        *lock(&self.emitted) = count;
        self.wake.notify_all();
    }

    /// Ends a clip whose time is over.
    pub(super) fn give_up(&self, clip: &ClipWork<Item>, limit: Duration) {
        let error = VideoError::TimedOut { seconds: limit.as_secs_f64() };
        self.fail(clip, None, error.stage(), error.to_string());
        self.leave();
    }

    /// Starts the threads that serve the device, if there is one, and says how many will leave beside the workers.
    pub(super) fn serve_device(self: &Arc<Self>, threads: usize) -> usize {
        let Some(encoder) = self.engine.encoder().batched() else { return 0 };
        let (complete, completed) = channel();
        let lane = |&lane: &usize| {
            let (shared, complete) = (self.clone(), complete.clone());
            start(move || shared.lane(lane, &complete))
        };
        let lanes = (0..encoder.lanes().len()).take_while(lane).count();
        let completed = Arc::new(Mutex::new(completed));
        let finisher = |_: &usize| {
            let (shared, completed) = (self.clone(), completed.clone());
            start(move || shared.finish_clips(&completed))
        };
        let finishers = (0..threads).take_while(finisher).count();
        assert!(lanes > 0 && finishers > 0, "{NO_THREAD}");
        lanes + finishers
    }

    /// The life of a lane of the device.
    fn lane(&self, lane: usize, complete: &Sender<Complete>) {
        let _leaving = Leaving { shared: self, desk: None };
        let lane = self.engine.encoder().batched().and_then(|encoder| encoder.lanes().get(lane));
        let (Some(lane), Some(batches)) = (lane, &self.batches) else { return };
        batches.serve(lane, |work, feature| match feature {
            Ok(feature) => {
                if let Some(features) = work.store(feature) {
                    // The receivers only go when the run is over anyway.
                    let _ = complete.send((work.clip.clone(), features));
                }
            }
            Err(why) => self.fail_frames(&work, why.to_string()),
        });
    }

    /// The life of a thread that runs LiFT on what the lanes have completed.
    fn finish_clips(&self, completed: &Mutex<Receiver<Complete>>) {
        let _leaving = Leaving { shared: self, desk: None };
        loop {
            let next = lock(completed).recv();
            let Ok((clip, features)) = next else { return };
            self.finish(&clip.item, features);
        }
    }

    /// The life of a worker.
    pub(super) fn work(&self, desk: &Mutex<Desk>) {
        let _leaving = Leaving { shared: self, desk: Some(desk) };
        loop {
            if self.quit.load(Ordering::Relaxed) {
                return;
            }
            if let Some(frame) = self.queue.pop() {
                self.encode(&frame);
                continue;
            }
            match self.claim() {
                Claim::Clip(position, input) => {
                    let stamp = Stamp::of(&input.path);
                    self.read(Item { position, input, stamp, info: Mutex::new(None) }, desk);
                    if lock(desk).abandoned {
                        return;
                    }
                    self.leave();
                }
                Claim::Wait => {
                    // A short nap: frames may be queued without a signal.
                    let guard = lock(&self.emitted);
                    drop(self.wake.wait_timeout(guard, Duration::from_millis(1)));
                }
                Claim::Done => return,
            }
        }
    }

    /// A worker is out of its video: it queues nothing more.
    fn leave(&self) {
        self.busy.fetch_sub(1, Ordering::SeqCst);
        self.wake.notify_all();
    }

    fn send(&self, message: Message) {
        // The receiver only goes when the run is over anyway.
        let _ = self.results.send(message);
    }

    fn claim(&self) -> Claim {
        let mut inputs = lock(&self.inputs);
        let (items, taken) = &mut *inputs;
        if *taken >= *lock(&self.emitted) + WINDOW {
            return Claim::Wait;
        }
        let next = if self.stop.load(Ordering::Relaxed) { Next::End } else { items.next() };
        match next {
            Next::Input(input) => {
                *taken += 1;
                // Still under the lock: whoever finds no input left sees that frames may come.
                self.busy.fetch_add(1, Ordering::SeqCst);
                Claim::Clip(*taken - 1, input)
            }
            Next::End if self.busy.load(Ordering::SeqCst) == 0 => Claim::Done,
            Next::End | Next::Later => Claim::Wait,
        }
    }

    /// Reads a video, queueing its frames.
    fn read(&self, item: Item, desk: &Mutex<Desk>) {
        let clip = ClipWork::new(item);
        let limit = self.settings.timeout;
        let until = |allowed: Duration| Instant::now().checked_add(allowed);
        let sit = |allowed: Option<Duration>| {
            if let Some(until) = allowed.and_then(until) {
                lock(desk).reading = Some((until, clip.clone()));
            }
        };
        sit(limit);
        let mut video = None;
        let read = guarded(|| {
            let video = video.insert(Video::open(&clip.item.input.path)?);
            tracing::debug!("{}: {:?}", display_path(&clip.item.input.path), video.info());
            let mut request = self.settings.request.clone();
            (request.start, request.end) = (clip.item.input.start, clip.item.input.end);
            let mut transform = Transform::new(self.engine.framing());
            video.read_once(&request, Strategy::Auto, |slots, frame| {
                if clip.over() {
                    return;
                }
                let frame = clip.frame(slots, transform.apply(frame));
                // The network's time is not the video's.
                let pause = || {
                    let reading = lock(desk).reading.take();
                    reading.map(|(until, _)| until.saturating_duration_since(Instant::now()))
                };
                if let Some(batches) = &self.batches {
                    let left = pause();
                    batches.push(frame);
                    return sit(left);
                }
                let overflow = self.queue.push(frame);
                self.wake.notify_one();
                if let Some(frame) = overflow {
                    let left = pause();
                    self.encode(&frame);
                    sit(left);
                }
            })
        });
        lock(desk).reading = None;
        match read {
            Ok(Ok(info)) => {
                *lock(&clip.item.info) = Some(info);
                if let Some(features) = clip.decoded() {
                    self.finish(&clip.item, features);
                }
            }
            Ok(Err(e)) => {
                let info = video.as_ref().map(Video::info);
                self.fail(&clip, info, e.stage(), e.to_string());
            }
            Err(what) => self.fail(&clip, None, "internal", what),
        }
    }

    fn encode(&self, work: &FrameWork<Item>) {
        if work.clip.over() || self.quit.load(Ordering::Relaxed) {
            return;
        }
        let encoded = guarded(|| self.engine.encoder().encode(&work.frame));
        match encoded.and_then(|feature| feature.map_err(|e| cause(&e))) {
            Ok(feature) => {
                if let Some(features) = work.store(&feature) {
                    self.finish(&work.clip.item, features);
                }
            }
            Err(cause) => self.fail_frames(work, cause),
        }
    }

    fn fail_frames(&self, work: &FrameWork<Item>, error: String) {
        let info = lock(&work.clip.item.info).as_ref().map(|i| i.video.clone());
        self.fail(&work.clip, info.as_ref(), "frames", error);
    }

    /// Sends the rows of a clip whose features `(T, D)` are all there.
    fn finish(&self, item: &Item, mut features: Vec<f32>) {
        let Some(info) = lock(&item.info).take() else { return };
        // Where the frames had to be counted anew, slots of the first count may lie beyond the second one's.
        features.truncate(info.indices.len() * self.engine.encoder().width());
        let rows = guarded(|| self.rows(item, &info, features));
        let failed = |stage: &str, cause| failure(&item.input, Some(&info.video), stage, cause);
        let result = match rows {
            Ok(Ok(rows)) => Ok(Embedded { rows, notes: info.video.notes.clone() }),
            Ok(Err(StageError { stage, cause })) => Err(failed(stage, cause)),
            Err(what) => Err(failed("internal", what)),
        };
        self.done(item, result);
    }

    fn done(&self, item: &Item, result: Result<Embedded, Failure>) {
        self.send(Message::Done(item.position, Outcome { stamp: item.stamp, result }));
    }

    /// The row of a clip, or one per window.
    fn rows(&self, item: &Item, info: &ClipInfo, features: Vec<f32>) -> Result<Vec<Row>, StageError> {
        let Settings { parts, normalize, .. } = &self.settings;
        let input = &item.input;
        let row = |frames: usize, features: Vec<f32>| {
            let clip = ClipMeta::new(input, Some(info.video.fps), Some(info.video.duration));
            let parts = self.engine.finish(features, parts, *normalize)?;
            Ok(Row { clip, window: None, frames, parts })
        };
        if info.windows.is_empty() {
            return Ok(vec![row(info.indices.len(), features)?]);
        }
        let width = self.engine.encoder().width();
        let windows = info.windows.iter().enumerate();
        let window = |(number, Span { start, end, slots }): (usize, &Span)| {
            let part = features[slots.start * width..slots.end * width].to_vec();
            let mut row = row(slots.len(), part)?;
            row.clip.id = format!("{}#{number}", input.id);
            (row.clip.start, row.clip.end) = (Some(*start), Some(*end));
            Ok(Row { window: Some(number), ..row })
        };
        windows.map(window).collect()
    }

    fn fail(&self, clip: &ClipWork<Item>, info: Option<&VideoInfo>, stage: &str, error: String) {
        if clip.fail() {
            self.done(&clip.item, Err(failure(&clip.item.input, info, stage, error)));
        }
    }
}

fn failure(input: &Input, info: Option<&VideoInfo>, stage: &str, error: String) -> Failure {
    let clip = ClipMeta::new(input, info.map(|i| i.fps), info.map(|i| i.duration));
    Failure { clip, stage: stage.into(), error }
}
