//! Decoding: the wanted frames out of a stream, by the shortest way that gives the same frames as the longest.
//!
//! A frame is told by its presentation time, so it does not matter where decoding began, as long as it began at a key
//! frame that is both decoded and shown no later than the frame (in an open GOP the frames shown before the key frame
//! refer to the group before it). A **pass** walks the packets from the start and, where the next wanted frame's key
//! frame lies ahead by more than a seek costs, jumps to it. After a jump every packet must be the one that the index has
//! at that place, or the pass gives up and the caller walks from the start: seeking can cost time, never a frame.
//!
//! Nothing is held but the decoder's own pictures: each wanted frame is handed on as it comes out.

use ffmpeg_next::{Error as FfError, Packet, decoder, ffi, frame};

use super::demux::{Demuxer, Read};
use super::error::VideoError;
use super::probe::{Index, NO_TIME, Recording};
use crate::video::ffmpeg_log::Ear;

/// How a pass moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Whichever costs less.
    Auto,
    /// From the first packet on, never a jump.
    Sequential,
    /// A jump whenever a later key frame serves.
    Seek,
}

/// What a jump costs, counted in decoded frames: the container's seek, the emptied pipeline, and reading up to the key
/// frame. Where skipping saves fewer frames than this, decoding on is cheaper.
const SEEK_COST: usize = 24;

/// A frame that is wanted.
#[derive(Debug, Clone)]
pub struct Want {
    /// What tells it: its presentation time, or its number among the whole frames that come out.
    pub key: i64,
    /// Its index in presentation order.
    pub index: usize,
    /// Where it goes in the output, more than once if a short clip repeats it.
    pub slots: Vec<usize>,
    /// Handed on.
    pub done: bool,
}

/// How frames are told from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// By presentation time.
    Time,
    /// By their number among the whole frames that come out, for streams without times of their own.
    Number,
}

/// What a pass saw beside the frames it handed on.
#[derive(Debug, Default)]
pub struct Report {
    /// A jump ended at packets that are not those of the index.
    pub lost: bool,
    /// The pass left frames out by a jump.
    pub sought: bool,
    /// The first failure: the packet (in decode order) fed last, and what happened.
    pub failure: Option<(usize, String)>,
    /// How many whole frames came out.
    pub frames: usize,
    /// Their times, where the pass was to list them.
    pub times: Vec<i64>,
    /// How often a frame's time was earlier than that of the frame before it.
    pub falls: usize,
    /// The numbers of the frames at which time fell because another recording began.
    pub begins: Vec<usize>,
}

/// A decoder on its way through a stream.
pub struct Pass<'a> {
    pub demuxer: &'a mut Demuxer,
    pub index: &'a Index,
    pub by: By,
    pub strategy: Strategy,
    pub threads: usize,
    /// The most pixels that the decoder makes pictures of.
    pub max_pixels: Option<u64>,
    /// Write every frame's time into the report.
    pub list_times: bool,
    /// The demuxer is newly opened and repeats the packets of the index; one that sought has to show that it does.
    pub reopened: bool,
}

/// Where the walk is.
struct Walk {
    /// Decode position of the next packet.
    position: usize,
    /// Time of the key frame the walk began at: what is shown earlier does not count.
    since: i64,
    /// Key (time or number, as frames are told) of the last frame that came out.
    shown: i64,
    /// Time of the last frame that came out since the last seek.
    before: Option<i64>,
    /// The recording that begins in the packets, until a frame of it has come out.
    beginning: Option<Recording>,
    /// Of the recording that comes out, where it is not the first one: the time of the key frame that it begins with.
    recording: i64,
    /// The key frame last jumped to; the container may have landed before it, and would again.
    aim: usize,
    /// The frame that a jump landed at has yet to prove that it is a key frame: an AVI without its index calls all so.
    unproven: bool,
    /// Hears the decoder.
    ear: Ear,
    report: Report,
}

impl Pass<'_> {
    /// Walks from the demuxer's start and hands each of `wants` (ascending by key) to `deliver` as it comes out; stops when
    /// none can come any more. With no wants it walks to the end.
    ///
    /// # Errors
    /// Those of `deliver`, and of a stream that no decoder opens.
    pub fn run(
        &mut self,
        wants: &mut [Want],
        deliver: &mut dyn FnMut(&Want, &frame::Video) -> Result<(), VideoError>,
    ) -> Result<Report, VideoError> {
        let mut decoder = self.demuxer.decoder(self.threads, self.max_pixels)?;
        // SAFETY: the address alone is used.
        let ear = Ear::on(unsafe { decoder.as_ptr() });
        let mut walk = Walk {
            ear,
            position: 0,
            since: self.index.first_key_time(),
            shown: i64::MIN,
            before: None,
            beginning: None,
            recording: i64::MIN,
            aim: 0,
            unproven: false,
            report: Report::default(),
        };
        let mut packet = Packet::empty();
        let mut fresh = true;
        loop {
            // Times that fall do not tell frames.
            if walk.report.lost || (self.by == By::Time && walk.report.falls > 0) {
                return Ok(walk.report);
            }
            if fresh {
                // What is shown later than a wanted frame comes out after it.
                if !wants.is_empty() && wants.iter().all(|want| want.done || want.key < walk.shown) {
                    return Ok(walk.report);
                }
                if let Some(key) = self.jump(wants, &walk) {
                    walk.report.sought = true;
                    decoder.flush();
                    if !self.seek(key, &mut packet, &mut walk) {
                        walk.report.lost = true;
                        return Ok(walk.report);
                    }
                    // The packet at the key frame is read already.
                    self.feed(&mut decoder, &packet, wants, &mut walk, deliver)?;
                }
            }
            match self.demuxer.read(&mut packet) {
                Ok(Read::Video) if packet.size() > 0 => {}
                Ok(Read::Video | Read::Other) => {
                    fresh = false;
                    continue;
                }
                Ok(Read::End) => break,
                Err(FfError::InvalidData) if walk.position < self.index.pts.len() => continue,
                Err(_) => break,
            }
            if !self.reopened && self.index.pts.get(walk.position) != Some(&packet.pts().unwrap_or(NO_TIME)) {
                walk.report.lost = true;
                return Ok(walk.report);
            }
            fresh = self.feed(&mut decoder, &packet, wants, &mut walk, deliver)?;
        }
        if !self.reopened && walk.position < self.index.pts.len() {
            walk.report.lost = true;
            return Ok(walk.report);
        }
        if decoder.send_eof().is_ok() {
            self.receive(&mut decoder, wants, &mut walk, deliver)?;
        }
        Ok(walk.report)
    }

    /// Sends one packet and takes what comes out; tells whether something came.
    fn feed(
        &mut self,
        decoder: &mut decoder::Video,
        packet: &Packet,
        wants: &mut [Want],
        walk: &mut Walk,
        deliver: &mut dyn FnMut(&Want, &frame::Video) -> Result<(), VideoError>,
    ) -> Result<bool, VideoError> {
        let recordings = &self.index.recordings;
        if let Ok(i) = recordings.binary_search_by_key(&walk.position, |recording| recording.at as usize) {
            walk.beginning = Some(recordings[i]);
        }
        walk.position += 1;
        if self.index.corrupt.binary_search(&(walk.position - 1)).is_ok() {
            return Ok(false);
        }
        if let Err(error) = decoder.send_packet(packet) {
            memory(error)?;
            self.note_failure(walk, &error.to_string());
        }
        let any = self.receive(decoder, wants, walk, deliver);
        if let Some(words) = walk.ear.take() {
            // Of what is shown before the key frame, nothing else is to be expected.
            let leading = self.by == By::Time && packet.pts().is_some_and(|time| time < walk.since);
            if !leading {
                self.note_failure(walk, &words);
            }
        }
        any
    }

    /// Takes the frames that the decoder has ready; tells whether there were any.
    fn receive(
        &mut self,
        decoder: &mut decoder::Video,
        wants: &mut [Want],
        walk: &mut Walk,
        deliver: &mut dyn FnMut(&Want, &frame::Video) -> Result<(), VideoError>,
    ) -> Result<bool, VideoError> {
        /// Failures in a row after which a decoder is not asked again.
        const PATIENCE: usize = 64;
        let mut picture = frame::Video::empty();
        let (mut any, mut failures) = (false, 0);
        loop {
            match decoder.receive_frame(&mut picture) {
                Ok(()) => {}
                Err(FfError::Eof | FfError::Other { errno: libc::EAGAIN }) => return Ok(any),
                Err(error) => {
                    memory(error)?;
                    self.note_failure(walk, &error.to_string());
                    failures += 1;
                    if failures > PATIENCE {
                        return Ok(any);
                    }
                    continue;
                }
            }
            any = true;
            let (time, whole) = judge(&picture);
            if !whole {
                let leading = self.by == By::Time && time < walk.since;
                if !leading && walk.report.failure.is_none() {
                    let what = "the decoder could not restore a frame".to_owned();
                    walk.report.failure = Some((walk.position.saturating_sub(1), what));
                }
                continue;
            }
            if walk.unproven && time >= walk.since {
                if time > walk.since || !is_intra(&picture) {
                    walk.report.lost = true;
                    return Ok(any);
                }
                walk.unproven = false;
            }
            if time != NO_TIME {
                let falls = walk.before.is_some_and(|before| time < before);
                if let Some(begun) = walk.beginning.take_if(|begun| falls || self.is_past(*begun, time)) {
                    walk.recording = self.first_key_time(begun);
                    if falls {
                        walk.report.begins.push(walk.report.frames);
                    }
                }
                walk.report.falls += usize::from(falls);
                walk.before = Some(time);
                // It refers to frames that are not there, and the decoder took those of the recording before for them.
                if time < walk.recording {
                    continue;
                }
            }
            let key = if self.by == By::Time { time } else { walk.report.frames as i64 };
            walk.report.frames += 1;
            walk.shown = key;
            if self.list_times {
                walk.report.times.push(time);
            }
            if let Ok(i) = wants.binary_search_by_key(&key, |want| want.key)
                && !wants[i].done
            {
                deliver(&wants[i], &picture)?;
                wants[i].done = true;
            }
        }
    }

    /// Whether the frame at this time belongs to a recording whose clock is ahead of the one before.
    fn is_past(&self, recording: Recording, time: i64) -> bool {
        let position = recording.ahead.then(|| self.index.position(time)).flatten();
        position.is_some_and(|position| position >= recording.at as usize)
    }

    /// Time of the key frame that a recording begins with: what it shows earlier refers to frames that are not there. Where it
    /// begins otherwise, nothing tells such a frame from those after a clock that was set.
    fn first_key_time(&self, recording: Recording) -> i64 {
        let key = self.index.keys.binary_search(&recording.at);
        key.map_or(i64::MIN, |_| self.index.pts[recording.at as usize])
    }

    /// Records a decoder's error, unless it comes before the first key frame: what precedes it cannot be decoded by anyone.
    fn note_failure(&self, walk: &mut Walk, words: &str) {
        let fed = walk.position.saturating_sub(1);
        let begun = self.index.keys.first().is_none_or(|&key| fed >= key as usize);
        if begun && walk.report.failure.is_none() {
            walk.report.failure = Some((fed, format!("the decoder reports \"{words}\"")));
        }
    }

    /// The key frame to jump to for the next wanted frame, if that is worth it.
    fn jump(&self, wants: &[Want], walk: &Walk) -> Option<usize> {
        let worth = match self.strategy {
            Strategy::Sequential => return None,
            Strategy::Auto => SEEK_COST,
            Strategy::Seek => 0,
        };
        if self.by != By::Time || !self.index.timed {
            return None;
        }
        let next = wants.iter().find(|want| !want.done && want.key > walk.shown)?;
        let key = self.key_before(next.key)?;
        (key > walk.position + worth && key != walk.aim).then_some(key)
    }

    /// The last key frame that is decoded and shown no later than the frame at `pts`.
    fn key_before(&self, pts: i64) -> Option<usize> {
        let position = self.index.position(pts)? as u32;
        let keys = &self.index.keys;
        let candidates = &keys[..keys.partition_point(|&key| key <= position)];
        candidates.iter().rev().map(|&key| key as usize).find(|&key| self.index.pts[key] <= pts)
    }

    /// Moves the demuxer to `key` and reads the packet there, or a key frame before it, into `packet`; false if it cannot.
    fn seek(&mut self, key: usize, packet: &mut Packet, walk: &mut Walk) -> bool {
        /// Seconds to aim before the key frame, try by try: some containers seek by decoding time, which is earlier.
        const EARLIER: [f64; 3] = [0.0, 1.0, 5.0];
        let tick = f64::from(self.demuxer.time_base()).max(f64::MIN_POSITIVE);
        for seconds in EARLIER {
            let target = self.index.pts[key].saturating_sub((seconds / tick) as i64);
            if self.demuxer.seek(target).is_err() {
                return false;
            }
            let Some(landed) = self.next_position(packet) else { return false };
            if landed > key {
                continue;
            }
            // Containers may land between key frames: what lies before the next one cannot be decoded.
            let mut at = landed;
            while self.index.keys.binary_search(&(at as u32)).is_err() {
                match self.next_position(packet) {
                    Some(next) if next == at + 1 && next <= key => at = next,
                    _ => return false,
                }
            }
            walk.position = at;
            walk.aim = key;
            walk.unproven = true;
            (walk.before, walk.beginning, walk.recording) = (None, None, i64::MIN);
            walk.since = self.index.pts[at];
            return true;
        }
        false
    }

    /// Reads the next video packet and finds its decode position.
    fn next_position(&mut self, packet: &mut Packet) -> Option<usize> {
        loop {
            match self.demuxer.read(packet) {
                Ok(Read::Video) if packet.size() > 0 => return self.index.position(packet.pts()?),
                Ok(Read::Video | Read::Other) => {}
                Ok(Read::End) | Err(_) => return None,
            }
        }
    }
}

/// Fails where memory ran out: that is no fault of the file.
fn memory(error: FfError) -> Result<(), VideoError> {
    if error == (FfError::Other { errno: libc::ENOMEM }) {
        return Err(VideoError::Memory { what: "decoding a picture".into() });
    }
    Ok(())
}

/// Whether a decoded frame refers to no other.
fn is_intra(picture: &frame::Video) -> bool {
    // SAFETY: the frame was just filled by the decoder; the enum is read as the integer it is in C.
    let kind = unsafe { (&raw const (*picture.as_ptr()).pict_type).cast::<u32>().read() };
    kind == ffi::AVPictureType::AV_PICTURE_TYPE_I as u32
}

/// A decoded frame's time, and whether it is whole.
fn judge(picture: &frame::Video) -> (i64, bool) {
    // SAFETY: the frame was just filled by the decoder.
    unsafe {
        let raw = picture.as_ptr();
        let time = if (*raw).pts == NO_TIME { (*raw).best_effort_timestamp } else { (*raw).pts };
        let whole = (*raw).flags & ffi::AV_FRAME_FLAG_CORRUPT == 0 && (*raw).decode_error_flags == 0;
        (time, whole)
    }
}
