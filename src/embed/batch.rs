//! Gathers the frames of many clips into batches for a device.
//!
//! The workers that decode put frames into a [`Batches`] and wait while it is full. Each lane of the device takes a batch of
//! frames, from whatever clips. A batch that does not fit the device's memory is halved, and the size stays halved for the
//! rest of the run; the frames are kept, so none is lost. A batch that fails for another reason fails its frames, and with
//! them their clips, but never the run.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use candle_core::{Error, Result};

use crate::guard::{guarded, lock};
use crate::model::composed::{ComposedEncoder, Lane};
use crate::model::{cause, device};

/// How long a lane waits for its batch to fill up after the first frame. If decoding is the bottleneck, small batches cost
/// nothing.
const PATIENCE: Duration = Duration::from_millis(10);

/// A frame of a batch, with whatever its owner needs to recognise it.
pub trait Frame {
    /// RGB bytes, row by row, of the side that the frame encoder reads.
    fn pixels(&self) -> &[u8];
}

impl Frame for &[u8] {
    fn pixels(&self) -> &[u8] {
        self
    }
}

/// Computes a batch, such as a lane of a device.
pub trait Computes {
    /// Features `(B, D)`, row-major, of `B` frames.
    ///
    /// # Errors
    /// If the device fails.
    fn compute(&self, frames: &[&[u8]]) -> Result<Vec<f32>>;

    /// Whether it failed for lack of memory, so that fewer frames may fit.
    fn is_out_of_memory(&self, error: &Error) -> bool {
        device::is_out_of_memory(error)
    }
}

impl Computes for Lane {
    fn compute(&self, frames: &[&[u8]]) -> Result<Vec<f32>> {
        self.encode(frames)
    }
}

/// The frames that wait for a device, and how many it takes at once.
pub struct Batches<T> {
    waiting: Mutex<Waiting<T>>,
    changed: Condvar,
    /// Frames that may wait.
    limit: usize,
    size: AtomicUsize,
}

struct Waiting<T> {
    frames: VecDeque<T>,
    /// Whether no frame will come any more.
    closed: bool,
}

impl<T: Frame> Batches<T> {
    /// For the lanes of this encoder: while they compute, the next batches are gathered.
    pub fn of(encoder: &ComposedEncoder) -> Self {
        Self::new(encoder.batch(), encoder.lanes().len())
    }

    /// Batches of `size` frames at first, for this number of lanes.
    pub fn new(size: usize, lanes: usize) -> Self {
        let size = size.max(1);
        let waiting = Mutex::new(Waiting { frames: VecDeque::new(), closed: false });
        Self { waiting, changed: Condvar::new(), limit: size * (lanes + 1), size: AtomicUsize::new(size) }
    }

    /// Frames per batch now.
    pub fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// Adds a frame, and waits for room if need be. After the end the frame is dropped.
    pub fn push(&self, frame: T) {
        let mut waiting = lock(&self.waiting);
        while waiting.frames.len() >= self.limit && !waiting.closed {
            waiting = self.changed.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        if !waiting.closed {
            waiting.frames.push_back(frame);
            self.changed.notify_all();
        }
    }

    /// Says that no frame will come any more; the frames that wait are still computed.
    pub fn close(&self) {
        lock(&self.waiting).closed = true;
        self.changed.notify_all();
    }

    /// Ends at once; the frames that wait are dropped.
    pub fn abandon(&self) {
        lock(&self.waiting).frames.clear();
        self.close();
    }

    /// The next batch, the oldest frames first; none when no frame is left and none will come.
    fn take(&self) -> Option<Vec<T>> {
        let mut waiting = lock(&self.waiting);
        // The clock runs from the first frame.
        let mut since = None;
        while waiting.frames.len() < self.size() && !waiting.closed {
            if waiting.frames.is_empty() {
                since = None;
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let rest = PATIENCE.saturating_sub(since.get_or_insert_with(Instant::now).elapsed());
            if rest.is_zero() {
                break;
            }
            let woken = self.changed.wait_timeout(waiting, rest);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = self.size().min(waiting.frames.len());
        let batch: Vec<T> = waiting.frames.drain(..count).collect();
        self.changed.notify_all();
        (!batch.is_empty()).then_some(batch)
    }

    /// The life of a lane: takes batches until there are none, and calls `done` with every frame and its feature `(D)`, or with
    /// the reason why it has none.
    pub fn serve(&self, lane: &impl Computes, mut done: impl FnMut(T, std::result::Result<&[f32], &str>)) {
        // If the lane panics, no worker may wait for it to make room.
        let _guard = AbandonOnPanic(self);
        while let Some(frames) = self.take() {
            self.compute(lane, frames, &mut done);
        }
    }

    /// Computes these frames in as many pieces as the device's memory requires.
    fn compute(
        &self,
        lane: &impl Computes,
        mut frames: Vec<T>,
        done: &mut impl FnMut(T, std::result::Result<&[f32], &str>),
    ) {
        while !frames.is_empty() {
            let count = self.size().min(frames.len());
            let pixels: Vec<&[u8]> = frames[..count].iter().map(Frame::pixels).collect();
            match guarded(|| lane.compute(&pixels)).unwrap_or_else(|bug| Err(Error::Msg(bug))) {
                Ok(features) => {
                    let width = features.len() / count;
                    frames.drain(..count).zip(features.chunks_exact(width)).for_each(|(f, x)| done(f, Ok(x)));
                }
                Err(error) if count > 1 && lane.is_out_of_memory(&error) => self.shrink(count),
                Err(error) => {
                    let mut text = cause(&error);
                    if lane.is_out_of_memory(&error) {
                        text = format!(
                            "the GPU's memory has no room for a single frame ({text}); free some of it"
                        );
                    }
                    frames.drain(..count).for_each(|frame| done(frame, Err(&text)));
                }
            }
        }
    }

    /// Halves the batch after `count` frames did not fit, unless another lane has set a smaller size.
    fn shrink(&self, count: usize) {
        let half = (count / 2).max(1);
        let before = self.size.fetch_min(half, Ordering::Relaxed);
        if half < before {
            tracing::warn!("the GPU's memory has no room for {count} frames; going on with {half} at a time");
        }
    }
}

struct AbandonOnPanic<'a, T: Frame>(&'a Batches<T>);

impl<T: Frame> Drop for AbandonOnPanic<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abandon();
        }
    }
}

/// Features `(T, D)`, row-major, of the frames of one clip, by one lane of the encoder.
///
/// # Errors
/// If a frame has another number of bytes, or the device fails.
pub fn encode_clip(encoder: &ComposedEncoder, frames: &[Vec<u8>]) -> std::result::Result<Vec<f32>, String> {
    let batches = Batches::new(encoder.batch(), 1);
    let (mut features, mut failed) = (Vec::new(), None);
    let frames = frames.iter().map(Vec::as_slice).collect();
    batches.compute(&encoder.lanes()[0], frames, &mut |_, feature| match feature {
        Ok(feature) => features.extend_from_slice(feature),
        Err(why) => failed = Some(why.to_string()),
    });
    failed.map_or(Ok(features), Err)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A frame is its number; its feature is that number, twice.
    struct Numbered([u8; 1]);

    impl Frame for Numbered {
        fn pixels(&self) -> &[u8] {
            &self.0
        }
    }

    /// Holds `room` frames at once, and counts what it was asked for.
    struct Device {
        room: usize,
        broken: bool,
        asked: Mutex<Vec<usize>>,
    }

    impl Device {
        fn new(room: usize) -> Self {
            Self { room, broken: false, asked: Mutex::new(vec![]) }
        }
    }

    impl Computes for Device {
        fn compute(&self, frames: &[&[u8]]) -> Result<Vec<f32>> {
            lock(&self.asked).push(frames.len());
            if self.broken {
                candle_core::bail!("the device has gone");
            }
            if frames.len() > self.room {
                candle_core::bail!("full");
            }
            Ok(frames.iter().flat_map(|f| [f32::from(f[0]); 2]).collect())
        }

        fn is_out_of_memory(&self, error: &Error) -> bool {
            cause(error) == "full"
        }
    }

    /// What became of `count` frames that several threads sent through lanes of one device.
    fn run(batches: &Batches<Numbered>, device: &Device, count: u8) -> Vec<(u8, Option<Vec<f32>>)> {
        let done = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    batches.serve(device, |frame, feature| {
                        lock(&done).push((frame.0[0], feature.ok().map(<[f32]>::to_vec)));
                    });
                });
            }
            let senders: Vec<_> = (0..3)
                .map(|sender| {
                    scope.spawn(move || {
                        (sender..count).step_by(3).for_each(|n| batches.push(Numbered([n])));
                    })
                })
                .collect();
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            batches.close();
        });
        let mut done = done.into_inner().unwrap();
        done.sort_by_key(|(number, _)| *number);
        done
    }

    fn each(count: u8) -> Vec<(u8, Option<Vec<f32>>)> {
        (0..count).map(|n| (n, Some(vec![f32::from(n); 2]))).collect()
    }

    #[test]
    fn every_frame_comes_back_once_with_its_own_feature_whatever_the_batch() {
        for (size, count) in [(1, 7), (3, 100), (16, 100), (64, 5), (7, 0)] {
            let (batches, device) = (Batches::new(size, 2), Device::new(usize::MAX));
            assert_eq!(run(&batches, &device, count), each(count), "batches of {size}");
            assert!(lock(&device.asked).iter().all(|n| (1..=size).contains(n)));
        }
    }

    #[test]
    fn full_memory_halves_the_batch_for_good_and_loses_no_frame() {
        let (batches, device) = (Batches::new(64, 2), Device::new(5));
        assert_eq!(run(&batches, &device, 200), each(200));
        assert!(batches.size() <= 5, "{}", batches.size());
        // A frame that does not fit even alone fails, with the others.
        let (batches, device) = (Batches::new(4, 2), Device::new(0));
        let done = run(&batches, &device, 9);
        assert!(done.len() == 9 && done.iter().all(|(_, feature)| feature.is_none()));
    }

    #[test]
    fn a_broken_device_fails_each_frame_with_the_cause() {
        let (batches, mut device) = (Batches::new(4, 2), Device::new(9));
        device.broken = true;
        let mut why = Vec::new();
        (0..6).for_each(|n| batches.push(Numbered([n])));
        batches.close();
        batches.serve(&device, |_, feature| why.push(feature.unwrap_err().to_string()));
        assert_eq!(why, ["the device has gone"; 6]);
    }

    #[test]
    fn a_bug_that_a_batch_meets_fails_its_frames_and_no_others() {
        /// Cannot bear one frame.
        struct Touchy;
        impl Computes for Touchy {
            fn compute(&self, frames: &[&[u8]]) -> Result<Vec<f32>> {
                assert!(!frames.contains(&&[3][..]), "not that one");
                Ok(vec![0.0; frames.len()])
            }
        }
        let batches = Batches::new(2, 2);
        (0..6).for_each(|n| batches.push(Numbered([n])));
        batches.close();
        let mut failed = Vec::new();
        batches.serve(&Touchy, |frame, feature| {
            if feature.is_err_and(|why| why.contains("a bug of lift's own")) {
                failed.push(frame.0[0]);
            }
        });
        assert_eq!(failed, [2, 3]);
    }

    #[test]
    fn after_the_end_nobody_waits() {
        let batches = Batches::new(1, 0);
        batches.push(Numbered([0]));
        batches.abandon();
        // There would be no room for these, and nobody to make some.
        (0..3).for_each(|n| batches.push(Numbered([n])));
        assert!(batches.take().is_none());
    }
}
