//! Several groups of pictures at once: wanted frames that lie behind different key frames are decoded by several threads, each with
//! a demuxer and a decoder of its own.
//!
//! The frames come out as the same bits, because each group is decoded from its own key frame by one pass ([`super::decode`]), and they
//! are handed on in presentation order on the caller's thread. FFmpeg's own threads for pictures would hide errors; these do not.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use ffmpeg_next::{ffi, frame};

use super::costs::Costs;
use super::decode::{By, Pass, Report, Strategy, Want};
use super::demux::Demuxer;
use super::error::VideoError;
use super::index::Index;

/// Bytes that the pictures of all decoders may take, as estimated.
const MEMORY: u64 = 1 << 30;

/// Bytes of a pixel, as an estimate: 4:2:0 of 8 bits has 1.5, of 10 bits 3.
const PIXEL: u64 = 2;

/// Pictures that a decoder holds: sixteen references, and some on their way.
const HELD: u64 = 20;

/// Nanoseconds of decoding below which another demuxer does not pay: about fifty pictures of 1080p. The tests' clips are small.
const LEAST_WORK: u64 = if cfg!(test) { 1 } else { 50_000_000 };

/// What the groups have in common.
pub struct Groups<'a> {
    /// The file.
    pub path: &'a Path,
    /// Its packets.
    pub index: &'a Index,
    /// Pixels of a picture.
    pub pixels: u64,
    /// The most pixels that a decoder makes pictures of.
    pub max_pixels: Option<u64>,
    /// What decoding costs.
    pub costs: Costs,
    /// The wanted frames are key frames, each decoded by itself.
    pub alone: bool,
    /// The most threads.
    pub threads: usize,
}

/// What a thread sends to the caller's.
enum Message {
    /// The wanted frame at this place among those of the clip.
    Frame(usize, frame::Video),
    /// A group, by its number, came to an end.
    Done(usize, Report),
}

impl Groups<'_> {
    /// Decodes `wants` group by group and hands them to `deliver` in order. `None` where more threads would not be faster, or where a group
    /// did not end as expected: then one pass over the whole decides. The second number is how many bytes the further demuxers read.
    ///
    /// # Errors
    /// Those of `deliver`.
    pub fn run(
        &self,
        demuxer: &mut Demuxer,
        wants: &mut [Want],
        deliver: &mut dyn FnMut(&Want, &frame::Video) -> Result<(), VideoError>,
    ) -> Result<Option<(Vec<Report>, u64)>, VideoError> {
        let groups = self.split(wants);
        let threads = self.affordable(&groups, wants);
        if threads < 2 {
            return Ok(None);
        }
        let next = AtomicUsize::new(0);
        let (bytes, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (sender, receiver) = channel();
        let asked = wants.to_vec();
        let shared = &Shared { groups: &groups, wants: &asked, next: &next, stop: &stop };
        let earlier = demuxer.watch().clone();
        let mut reports = BTreeMap::new();
        let mut waiting = BTreeMap::new();
        let mut result = Ok(());
        std::thread::scope(|scope| {
            let mut own = Some(demuxer);
            for _ in 0..threads {
                let (own, sender, earlier, bytes) = (own.take(), sender.clone(), &earlier, &bytes);
                let work = move || match own {
                    Some(demuxer) => self.work(demuxer, shared, &sender),
                    None => {
                        let opened = Demuxer::open(self.path);
                        let same = opened.and_then(|d| d.watch().same_as(earlier).map(|()| d));
                        let Ok(mut demuxer) = same else { return };
                        demuxer.drop_other_streams(true);
                        if self.index.fragmented {
                            demuxer.learn_fragments();
                        }
                        self.work(&mut demuxer, shared, &sender);
                        bytes.fetch_add(demuxer.watch().bytes_read() as usize, Ordering::Relaxed);
                    }
                };
                if let Err(error) = std::thread::Builder::new().spawn_scoped(scope, work) {
                    tracing::debug!("no further thread to decode with: {error}");
                }
            }
            drop(sender);
            let mut first = 0;
            for message in receiver {
                match message {
                    Message::Frame(at, picture) => drop(waiting.insert(at, picture)),
                    Message::Done(group, report) => drop(reports.insert(group, report)),
                }
                while let Some(picture) = waiting.remove(&first) {
                    if result.is_ok() {
                        result = deliver(&wants[first], &picture);
                    }
                    wants[first].done = true;
                    first += 1;
                }
                if result.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        });
        result?;
        let whole = reports.len() == groups.len() && wants.iter().all(|want| want.done);
        Ok(whole.then(|| (reports.into_values().collect(), bytes.into_inner() as u64)))
    }

    /// What each thread does: decodes one group after another, until there is none or one does not end as expected.
    fn work(&self, demuxer: &mut Demuxer, shared: &Shared, sender: &Sender<Message>) {
        while !shared.stop.load(Ordering::Relaxed) {
            let group = shared.next.fetch_add(1, Ordering::Relaxed);
            let Some(range) = shared.groups.get(group) else { return };
            let mut wants = shared.wants[range.clone()].to_vec();
            let mut hand_on = |want: &Want, picture: &frame::Video| {
                let at = shared.wants.partition_point(|other| other.key < want.key);
                // The receiver is gone only when the caller's thread panics.
                let _ = sender.send(Message::Frame(at, another(picture)?));
                Ok(())
            };
            let report = self.pass(demuxer, &mut wants, &mut hand_on);
            match report {
                Ok(report) if report.settled(&wants) => drop(sender.send(Message::Done(group, report))),
                _ => return shared.stop.store(true, Ordering::Relaxed),
            }
        }
    }

    fn pass(
        &self,
        demuxer: &mut Demuxer,
        wants: &mut [Want],
        deliver: &mut dyn FnMut(&Want, &frame::Video) -> Result<(), VideoError>,
    ) -> Result<Report, VideoError> {
        if !self.index.rewind(demuxer) {
            return Ok(Report { lost: true, ..Report::default() });
        }
        let Self { index, max_pixels, costs, alone, .. } = *self;
        Pass { max_pixels, skip: true, alone, ..Pass::new(demuxer, index, By::Time, Strategy::Seek, costs) }
            .run(wants, deliver)
    }

    /// The wanted frames by the key frame that they are decoded from.
    fn split(&self, wants: &[Want]) -> Vec<Range<usize>> {
        let mut groups: Vec<Range<usize>> = Vec::new();
        for of_one in wants.chunk_by(|a, b| self.index.key_before(a.key) == self.index.key_before(b.key)) {
            let start = groups.last().map_or(0, |group| group.end);
            groups.push(start..start + of_one.len());
        }
        groups
    }

    /// How many threads the memory and the work are enough for.
    fn affordable(&self, groups: &[Range<usize>], wants: &[Want]) -> usize {
        let work = groups.iter().map(|group| {
            let key = self.index.key_before(wants[group.start].key).unwrap_or(0);
            let last = self.index.position(wants[group.end - 1].key);
            last.map_or(0, |last| self.costs.decoding(self.index, key..last + 1, LEAST_WORK))
        });
        if work.fold(0, u64::saturating_add) < LEAST_WORK {
            return 1;
        }
        let picture = self.pixels.saturating_mul(PIXEL).max(1);
        let rest = MEMORY.saturating_sub(picture.saturating_mul(wants.len() as u64));
        let decoders = usize::try_from(rest / picture.saturating_mul(HELD)).unwrap_or(usize::MAX);
        self.threads.min(groups.len()).min(decoders)
    }
}

/// What the threads share.
struct Shared<'a> {
    groups: &'a [Range<usize>],
    wants: &'a [Want],
    next: &'a AtomicUsize,
    stop: &'a AtomicBool,
}

/// Another reference to a picture, which the decoder does not write to any more.
fn another(picture: &frame::Video) -> Result<frame::Video, VideoError> {
    let mut other = frame::Video::empty();
    // SAFETY: both are valid frames, and the new one is empty.
    let result = unsafe { ffi::av_frame_ref(other.as_mut_ptr(), picture.as_ptr()) };
    if result < 0 { Err(VideoError::Memory { what: "holding a picture".into() }) } else { Ok(other) }
}
