//! The frames of a stream as they come out of the decoder, where its packets do not tell them.

use super::clock::{self, Clock};
use super::decode::Report;
use super::index::{Index, NO_TIME};
use super::probe::{self, VideoInfo};

/// The frames that come out of the decoder, counted by decoding the whole stream.
#[derive(Debug, Clone)]
pub struct Counted {
    /// When each is shown, in seconds from the first, ascending.
    pub seconds: Vec<f64>,
    /// The first failure: the packet fed last, and what happened.
    pub failure: Option<(usize, String)>,
    /// How often a frame's time was earlier than that of the frame before it, where the packets have times.
    pub falls: usize,
    /// The limit of pixels under which they were decoded.
    pub max_pixels: Option<u64>,
    /// What the user is told of this count.
    notes: Vec<String>,
}

impl Counted {
    /// What a pass by number over the stream of `index` found; `fps` is the stream's average rate.
    pub fn new(report: Report, index: &Index, clock: &Clock, fps: f64, max_pixels: Option<u64>) -> Self {
        let Report { frames, mut times, begins, failure, .. } = report;
        // FFmpeg guesses the times of packets that have none: where these fall, it means nothing.
        let timed = index.timed || !index.recordings.is_empty();
        let falls = if timed { report.falls } else { 0 };
        let mut notes = Vec::new();
        let seconds = if times.contains(&NO_TIME) || (!timed && report.falls > 0) {
            (0..frames).map(|i| i as f64 / fps).collect()
        } else {
            clock::sort_recordings(&mut times, &begins);
            let shown = clock.shown(times);
            notes.extend(probe::jumps_note(&shown));
            shown.seconds
        };
        if falls > 0 {
            notes.push(format!(
                "its times fall back {} where its pictures go on (recordings were joined, or the times are those of decoding): \
                 frames are counted in the decoder's order",
                probe::times(falls)
            ));
        }
        let packets = index.frames.len();
        if frames != packets {
            notes.push(format!("{packets} packets give {frames} frames; these are counted"));
        }
        Self { seconds, failure, falls, max_pixels, notes }
    }

    /// Corrects what the packets alone said of the video.
    pub fn apply(&self, info: &mut VideoInfo) {
        if self.falls > 0 {
            info.duration = self.seconds.last().map_or(0.0, |last| last + 1.0 / info.fps);
            info.notes.retain(|note| !note.starts_with(probe::JUMPS));
        }
        info.frames = self.seconds.len();
        for note in &self.notes {
            if !info.notes.contains(note) {
                info.notes.push(note.clone());
            }
        }
    }
}
