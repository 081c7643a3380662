//! The worker threads of a run and what they share. A worker encodes a frame if one waits, else it reads the next video,
//! else it ends. Where a device encodes the frames, workers only read ([`super::lanes`]).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::batch::Batches;
use super::finish::{failure, finish};
use super::picture::picture;
use super::slot::WorkerSlot;
use super::work::{ClipWork, FrameWork, Job, Queue};
use super::{EmbedSettings, Embedded, Engine, InputSource, Next, Outcome, OwnSettings};
use crate::files::{Stamp, display_path};
use crate::guard::{guarded, lock};
use crate::inputs::Input;
use crate::model::cause;
use crate::rows::Failure;
use crate::threads::IdleThreads;
use crate::video::{RgbFrame, Strategy, Video, VideoError, VideoInfo, Work, transform::Transform};

/// Frames that wait for a free worker: enough that no worker idles while another opens a file.
const QUEUED_PER_THREAD: usize = 16;

/// How far the newest clip may be ahead of the oldest unfinished one: this bounds what waits to be put in order.
const WINDOW: usize = 1024;

/// What the threads report to the thread that runs them.
pub(super) enum Message {
    /// What became of the input at this position of the run.
    Done(usize, Box<Outcome>),
    /// A thread has ended.
    ThreadEnded,
}

/// Why a run ends that cannot start even one thread.
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

/// Reports the end of a thread when it is dropped, so that a panic is reported too. The last worker also closes the
/// batches, since no frame will come any more. An abandoned worker reports nothing: the worker that replaced it does.
pub(super) struct ReportEnd<'a> {
    pub(super) shared: &'a Shared,
    /// The slot of a worker; absent for the threads of a device.
    pub(super) slot: Option<&'a Mutex<WorkerSlot>>,
}

impl Drop for ReportEnd<'_> {
    fn drop(&mut self) {
        match self.slot {
            Some(slot) if lock(slot).is_abandoned() => return,
            Some(_) if self.shared.reading.fetch_sub(1, Ordering::SeqCst) == 1 => {
                self.shared.batches.iter().for_each(Batches::close);
            }
            _ => {}
        }
        self.shared.send(Message::ThreadEnded);
    }
}

/// What all threads of a run share.
pub(super) struct Shared {
    pub(super) engine: Arc<Engine>,
    settings: EmbedSettings,
    /// The inputs that no worker has taken yet, and how many were taken.
    inputs: Mutex<(Box<dyn InputSource>, usize)>,
    stop: Arc<AtomicBool>,
    quit: AtomicBool,
    queue: Queue<Job>,
    /// The frames that wait for a device, where one encodes them; the queue then stays empty.
    pub(super) batches: Option<Batches<FrameWork<Job>>>,
    /// Workers that may still read.
    reading: AtomicUsize,
    /// How many outcomes the sink has taken.
    emitted: Mutex<usize>,
    /// Workers that are reading a video and may still queue frames.
    busy: AtomicUsize,
    /// Workers without work: each lends itself to those that encode a frame.
    idle: IdleThreads,
    wake: Condvar,
    results: Sender<Message>,
}

/// What a worker without a frame to encode does next.
enum Claim {
    Clip(usize, Input, OwnSettings),
    Wait,
    Done,
}

impl Shared {
    pub(super) fn new(
        inputs: Box<dyn InputSource>,
        engine: &Arc<Engine>,
        settings: &EmbedSettings,
        stop: &Arc<AtomicBool>,
        threads: usize,
        results: Sender<Message>,
    ) -> Self {
        let mut settings = settings.clone();
        // Fewer clips than threads: each clip is decoded by as many threads as it has to itself.
        let clips = inputs.most().unwrap_or(usize::MAX).max(1);
        settings.request.groups = (settings.threads.get() / clips).max(1);
        Self {
            engine: engine.clone(),
            settings,
            inputs: Mutex::new((inputs, 0)),
            stop: stop.clone(),
            quit: AtomicBool::new(false),
            queue: Queue::new(threads * QUEUED_PER_THREAD),
            batches: engine.encoder().batched().map(Batches::of),
            reading: AtomicUsize::new(threads),
            emitted: Mutex::new(0),
            busy: AtomicUsize::new(0),
            idle: IdleThreads::default(),
            wake: Condvar::new(),
            results,
        }
    }

    /// Says that so many workers could not be started.
    pub(super) fn workers_missing(&self, workers: usize) {
        if self.reading.fetch_sub(workers, Ordering::SeqCst) == workers {
            self.batches.iter().for_each(Batches::close);
        }
    }

    /// Tells all threads to end at once.
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

    /// Fails a clip that was not read within `limit`, in place of its worker.
    pub(super) fn time_out(&self, clip: &ClipWork<Job>, limit: Duration) {
        let error = VideoError::TimedOut { seconds: limit.as_secs_f64() };
        self.fail(clip, None, error.stage(), error.to_string());
        self.video_left();
    }

    /// The life of a worker.
    pub(super) fn work(&self, slot: &Mutex<WorkerSlot>) {
        let _end = ReportEnd { shared: self, slot: Some(slot) };
        loop {
            if self.quit.load(Ordering::Relaxed) {
                return;
            }
            if let Some(frame) = self.queue.pop() {
                self.encode(&frame);
                continue;
            }
            match self.claim() {
                Claim::Clip(position, input, own) => {
                    let stamp = Stamp::of(&input.path);
                    self.read(Job::new(position, input, own, stamp), slot);
                    if lock(slot).is_abandoned() {
                        return;
                    }
                    self.video_left();
                }
                Claim::Wait => {
                    self.idle.lend(1);
                    self.wait();
                    while !self.idle.take_back() {
                        self.wait();
                    }
                }
                Claim::Done => return self.idle.lend(1),
            }
        }
    }

    /// Waits for news. The wait is short, because frames may be queued without a signal.
    fn wait(&self) {
        let guard = lock(&self.emitted);
        drop(self.wake.wait_timeout(guard, Duration::from_millis(1)));
    }

    /// Says that a worker has left its video and will queue no more frames of it.
    fn video_left(&self) {
        self.busy.fetch_sub(1, Ordering::SeqCst);
        self.wake.notify_all();
    }

    fn send(&self, message: Message) {
        // The receiver is only gone when the run is over.
        let _ = self.results.send(message);
    }

    fn claim(&self) -> Claim {
        let mut inputs = lock(&self.inputs);
        let (items, taken) = &mut *inputs;
        if *taken >= *lock(&self.emitted) + WINDOW {
            return Claim::Wait;
        }
        let next = if self.stop.load(Ordering::Relaxed) { Next::End } else { items.next() };
        let (input, own) = match next {
            Next::Input(input) => (input, OwnSettings::default()),
            Next::Own(input, own) => (input, own),
            Next::End if self.busy.load(Ordering::SeqCst) == 0 => return Claim::Done,
            Next::End | Next::Later => return Claim::Wait,
        };
        *taken += 1;
        // Counted under the lock, so that a worker that finds no more input sees that frames may still come.
        self.busy.fetch_add(1, Ordering::SeqCst);
        Claim::Clip(*taken - 1, input, own)
    }

    /// Reads a video and queues its frames.
    fn read(&self, job: Job, slot: &Mutex<WorkerSlot>) {
        let clip = ClipWork::new(job);
        let job = &clip.item;
        lock(slot).start_clock(&clip, self.settings.timeout);
        let mut video = None;
        let read = guarded(|| {
            let video = video.insert(Video::open(&job.input.path)?);
            tracing::debug!("{}: {:?}", display_path(&job.input.path), video.info());
            let mut request = self.settings.request.clone();
            (request.start, request.end) = (job.input.start, job.input.end);
            request.sampling = job.own.sampling.unwrap_or(request.sampling);
            let mut transform = Transform::new(self.engine.framing());
            video.read_once(&request, Strategy::Auto, |slots, frame| {
                if clip.over() {
                    return;
                }
                self.keep_picture(job, slots, frame);
                let frame = clip.frame(slots, transform.apply(frame));
                // The clock stands still while the network works: that time is not the video's.
                if let Some(batches) = &self.batches {
                    let left = lock(slot).stop_clock();
                    batches.push(frame);
                    lock(slot).start_clock(&clip, left);
                    return;
                }
                let overflow = self.queue.push(frame);
                self.wake.notify_one();
                if let Some(frame) = overflow {
                    let left = lock(slot).stop_clock();
                    self.encode(&frame);
                    lock(slot).start_clock(&clip, left);
                }
            })
        });
        lock(slot).stop_clock();
        match read {
            Ok(Ok(info)) => {
                if let Some(Work { bytes, packets, skipped }) = video.as_ref().map(Video::work) {
                    let path = display_path(&job.input.path);
                    tracing::info!(
                        "{path}: read {bytes} of {} bytes, decoded {} pictures, skipped {skipped}",
                        info.video.bytes,
                        packets - skipped
                    );
                }
                *lock(&job.info) = Some(info);
                if let Some(features) = clip.decoded() {
                    self.finish(job, features);
                }
            }
            Ok(Err(e)) => {
                let info = video.as_ref().map(Video::info);
                self.fail(&clip, info, e.stage(), e.to_string());
            }
            Err(what) => self.fail(&clip, None, "internal", what),
        }
    }

    /// Keeps a frame for whoever wants the clip's pictures.
    fn keep_picture(&self, job: &Job, slots: &[usize], frame: &RgbFrame<'_>) {
        let (Some(longest), Some(&last)) = (self.settings.pictures, slots.iter().max()) else { return };
        let picture = picture(frame, longest);
        let mut pictures = lock(&job.pictures);
        if pictures.len() <= last {
            pictures.resize_with(last + 1, Default::default);
        }
        slots.iter().for_each(|&slot| pictures[slot].clone_from(&picture));
    }

    fn encode(&self, work: &FrameWork<Job>) {
        if work.clip.over() || self.quit.load(Ordering::Relaxed) {
            return;
        }
        let encoded = guarded(|| self.engine.encoder().encode(&work.frame, &self.idle));
        match encoded.and_then(|feature| feature.map_err(|e| cause(&e))) {
            Ok(feature) => {
                if let Some(features) = work.store(&feature) {
                    self.finish(&work.clip.item, features);
                }
            }
            Err(cause) => self.fail_frames(work, cause),
        }
    }

    /// Fails a clip of which a frame could not be encoded.
    pub(super) fn fail_frames(&self, work: &FrameWork<Job>, error: String) {
        let info = lock(&work.clip.item.info).as_ref().map(|i| i.video.clone());
        self.fail(&work.clip, info.as_ref(), "frames", error);
    }

    /// Runs LiFT on a clip whose features `(T, D)` are complete, and sends what came of it.
    pub(super) fn finish(&self, job: &Job, features: Vec<f32>) {
        let Some(info) = lock(&job.info).take() else { return };
        let pictures = std::mem::take(&mut *lock(&job.pictures));
        let parts = job.own.parts.as_deref().unwrap_or(&self.settings.parts);
        let how = (parts, self.settings.normalize);
        let result = finish(&self.engine, how, &job.input, info, features, pictures);
        self.done(job, result.map_err(|failure| *failure));
    }

    fn fail(&self, clip: &ClipWork<Job>, info: Option<&VideoInfo>, stage: &str, error: String) {
        if clip.fail() {
            self.done(&clip.item, Err(failure(&clip.item.input, info, stage, error)));
        }
    }

    fn done(&self, job: &Job, result: Result<Embedded, Failure>) {
        self.send(Message::Done(job.position, Box::new(Outcome { stamp: job.stamp, result })));
    }
}
