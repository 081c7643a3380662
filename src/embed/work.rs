//! The queue of frames to encode, and the clips that the frames belong to.
//!
//! There is one pool of workers and no barrier: a worker encodes a frame if one waits, else it decodes the next clip. A
//! worker that decodes into a full queue encodes a frame instead of waiting. So the queue holds at most [`Queue::limit`]
//! frames however long a clip is, and no more threads run than were asked for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use image::RgbImage;

use super::OwnSettings;
use crate::files::Stamp;
use crate::guard::lock;
use crate::inputs::Input;
use crate::video::ClipInfo;

/// A clip of a run: its input, its position, and what reading it has given.
pub(super) struct Job {
    /// Its place among the inputs of the run, from 0.
    pub position: usize,
    /// What was asked for.
    pub input: Input,
    /// What it asks for instead of what the run does.
    pub own: OwnSettings,
    /// The file as it was before it was read.
    pub stamp: Option<Stamp>,
    /// What was read; absent until the video is read to the end.
    pub info: Mutex<Option<ClipInfo>>,
    /// The frames by slot, where the run keeps pictures.
    pub pictures: Mutex<Vec<RgbImage>>,
}

impl Job {
    /// A clip of which nothing is read yet.
    pub fn new(position: usize, input: Input, own: OwnSettings, stamp: Option<Stamp>) -> Self {
        Self { position, input, own, stamp, info: Mutex::default(), pictures: Mutex::default() }
    }
}

/// A clip whose frames are being encoded.
pub struct ClipWork<I> {
    /// The clip's job.
    pub item: I,
    state: Mutex<State>,
}

struct State {
    /// `(T, D)`, grown as slots arrive.
    features: Vec<f32>,
    /// The visit that wrote each slot: if a slot is visited twice, the later visit counts.
    stamps: Vec<u64>,
    visits: u64,
    pending: usize,
    decoded: bool,
    /// Its features were given out, or it failed.
    over: bool,
}

/// One frame of one clip, ready to encode.
pub struct FrameWork<I> {
    /// The clip it belongs to.
    pub clip: Arc<ClipWork<I>>,
    /// RGB bytes of the side that the frame encoder reads.
    pub frame: Vec<u8>,
    slots: Vec<usize>,
    visit: u64,
}

impl<I> ClipWork<I> {
    /// A clip with no frame yet.
    pub fn new(item: I) -> Arc<Self> {
        let state =
            State { features: vec![], stamps: vec![], visits: 0, pending: 0, decoded: false, over: false };
        Arc::new(Self { item, state: Mutex::new(state) })
    }

    /// A frame for `slots`, which any worker may encode.
    pub fn frame(self: &Arc<Self>, slots: &[usize], frame: Vec<u8>) -> FrameWork<I> {
        let mut state = lock(&self.state);
        state.visits += 1;
        state.pending += 1;
        FrameWork { clip: self.clone(), frame, slots: slots.to_vec(), visit: state.visits }
    }

    /// Says that the last frame was decoded; returns the features if all frames are encoded.
    pub fn decoded(&self) -> Option<Vec<f32>> {
        let mut state = lock(&self.state);
        state.decoded = true;
        state.take_if_done()
    }

    /// Says that the clip failed, so that its frames in the queue are not encoded; true unless the clip was over already.
    pub fn fail(&self) -> bool {
        !std::mem::replace(&mut lock(&self.state).over, true)
    }

    /// Whether the clip failed, or is complete.
    pub fn over(&self) -> bool {
        lock(&self.state).over
    }
}

impl State {
    fn take_if_done(&mut self) -> Option<Vec<f32>> {
        let done = self.decoded && self.pending == 0 && !self.over;
        self.over |= done;
        done.then(|| std::mem::take(&mut self.features))
    }
}

impl<I> FrameWork<I> {
    /// Stores the feature `(D)` of this frame; returns the clip's features `(T, D)` if this was the last one.
    pub fn store(&self, feature: &[f32]) -> Option<Vec<f32>> {
        let mut state = lock(&self.clip.state);
        state.pending -= 1;
        for &slot in &self.slots {
            if state.stamps.len() <= slot {
                state.stamps.resize(slot + 1, 0);
                state.features.resize((slot + 1) * feature.len(), f32::NAN);
            }
            if state.stamps[slot] < self.visit {
                state.stamps[slot] = self.visit;
                state.features[slot * feature.len()..][..feature.len()].copy_from_slice(feature);
            }
        }
        state.take_if_done()
    }
}

impl<I> super::batch::Frame for FrameWork<I> {
    fn pixels(&self) -> &[u8] {
        &self.frame
    }
}

/// The frames that wait, the oldest first.
pub struct Queue<I> {
    frames: Mutex<VecDeque<FrameWork<I>>>,
    limit: usize,
}

impl<I> Queue<I> {
    /// A queue of at most `limit` frames.
    pub fn new(limit: usize) -> Self {
        Self { frames: Mutex::new(VecDeque::new()), limit }
    }

    /// Adds a frame; if the queue is then over its limit, returns the oldest frame for the caller to encode.
    #[must_use]
    pub fn push(&self, work: FrameWork<I>) -> Option<FrameWork<I>> {
        let mut frames = lock(&self.frames);
        frames.push_back(work);
        if frames.len() > self.limit { frames.pop_front() } else { None }
    }

    /// The oldest frame.
    pub fn pop(&self) -> Option<FrameWork<I>> {
        lock(&self.frames).pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_done_when_decoded_and_every_frame_is_in_whatever_came_last() {
        let clip = ClipWork::new(());
        let (a, b) = (clip.frame(&[0], vec![]), clip.frame(&[1], vec![]));
        assert_eq!(b.store(&[3.0, 4.0]), None);
        assert_eq!(clip.decoded(), None);
        assert_eq!(a.store(&[1.0, 2.0]), Some(vec![1.0, 2.0, 3.0, 4.0]));
        let clip = ClipWork::new(());
        assert_eq!(clip.frame(&[0], vec![]).store(&[1.0]), None);
        assert_eq!(clip.decoded(), Some(vec![1.0]));
    }

    #[test]
    fn a_slot_visited_twice_keeps_the_later_visit_in_whatever_order_they_are_encoded() {
        let clip = ClipWork::new(());
        let (first, second) = (clip.frame(&[0], vec![]), clip.frame(&[0], vec![]));
        second.store(&[2.0]);
        first.store(&[1.0]);
        assert_eq!(clip.decoded(), Some(vec![2.0]));
    }

    #[test]
    fn a_full_queue_gives_the_oldest_back_and_a_failed_clip_is_never_done() {
        let queue = Queue::new(1);
        let clip = ClipWork::new(());
        assert!(queue.push(clip.frame(&[0], vec![])).is_none());
        assert_eq!(queue.push(clip.frame(&[1], vec![])).map(|w| w.slots), Some(vec![0]));
        assert_eq!(queue.pop().map(|w| w.slots), Some(vec![1]));
        assert!(clip.fail() && !clip.fail());
        assert_eq!(clip.decoded(), None);
        let whole = ClipWork::new(());
        whole.frame(&[0, 1], vec![]).store(&[5.0]);
        assert_eq!(whole.decoded(), Some(vec![5.0, 5.0]));
        assert!(!whole.fail(), "what is complete fails no more");
    }
}
