//! Decoding: the wanted frames out of a stream, by the shortest way that gives the same frames as the longest.
//!
//! A frame is identified by its presentation time, so it does not matter where decoding began, as long as it began at a key
//! frame that is both decoded and shown no later than the frame (in an open GOP the frames shown before the key frame
//! refer to the group before it). A **pass** walks the packets from the start and, where the next wanted frame's key
//! frame lies so far ahead that a seek costs less ([`super::costs`]), jumps to it. After a jump every packet must be the one that the
//! index has at that place, or the pass gives up and the caller walks from the start: seeking can cost time, never a frame.
//!
//! A pass that skips does not have a picture decoded that is not wanted and that no other picture refers to. What such a
//! picture's bytes hold is then not looked at. A pass that does not end as expected is followed by one that skips nothing.
//!
//! Nothing is held but the decoder's own pictures: each wanted frame is handed on as it comes out.

use ffmpeg_next::{Error as FfError, Packet, decoder, frame};

use super::bitstream::Syntax;
use super::costs::Costs;
use super::decoder::{is_intra, judge, memory, skip_unreferenced};
use super::demux::{Demuxer, Read};
use super::error::VideoError;
use super::ffmpeg_log::{ContextLog, FRAME_GAP};
use super::index::{Index, NO_TIME, Recording};
use super::log_lines::{self, Condition, Notes};

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

/// The most reference pictures that H.264 keeps (A.3.1): after so many packets those from before a cut are forgotten.
const MOST_REFERENCES: usize = 16;

/// A frame that is wanted.
#[derive(Debug, Clone)]
pub struct Want {
    /// What identifies it: its presentation time, or its number among the whole frames that come out.
    pub key: i64,
    /// Its index in presentation order.
    pub index: usize,
    /// Where it goes in the output, more than once if a short clip repeats it.
    pub slots: Vec<usize>,
    /// Handed on.
    pub done: bool,
}

/// How frames are identified.
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
    /// The pass left frames out by a jump, so the decoder may ask for pictures that were not decoded.
    pub jumped: bool,
    /// Packets that were given to the decoder.
    pub fed: usize,
    /// Packets among them whose picture it was told not to decode, because it is not wanted and no other picture refers to it.
    pub skipped: usize,
    /// The first failure: the packet (in decode order) fed last, and what happened.
    pub failure: Option<(usize, String)>,
    /// How many whole frames came out.
    pub frames: usize,
    /// Their times, where the pass was to list them.
    pub times: Vec<i64>,
    /// What the decoder reported that no picture depends on.
    pub notes: Notes,
    /// How often a frame's time was earlier than that of the frame before it.
    pub falls: usize,
    /// The numbers of the frames at which time fell because another recording began.
    pub begins: Vec<usize>,
}

impl Report {
    /// Whether the pass found every wanted frame and nothing went wrong.
    pub fn settled(&self, wants: &[Want]) -> bool {
        !self.lost && self.falls == 0 && self.failure.is_none() && wants.iter().all(|want| want.done)
    }
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
    /// Do not decode pictures that are not wanted and that no other picture refers to.
    pub skip: bool,
    /// The wanted frames are key frames, and each is to be decoded by itself ([`super::alone`]).
    pub alone: bool,
    /// What decoding and seeking cost.
    pub costs: Costs,
    /// Write every frame's time into the report.
    pub list_times: bool,
    /// The demuxer is newly opened and repeats the packets of the index; one that sought has to show that it does.
    pub reopened: bool,
}

/// Where the walk is.
pub(super) struct Walk {
    /// Decode position of the next packet.
    pub(super) position: usize,
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
    /// The packet that was fed last holds no picture.
    without_picture: bool,
    /// The stream may refer to pictures from before the start, or before a join: at a key frame, and for so many packets.
    cut: Option<usize>,
    /// The address of the picture that came out last.
    last_picture: *const u8,
    /// The decoder has been told that no packet follows.
    draining: bool,
    /// A packet held several pictures: the decoder gives them out with later packets, so all of these are needed.
    packed: bool,
    /// How the packets are to be read.
    syntax: Syntax,
    codec: String,
    /// The decoder's log.
    log: ContextLog,
    pub(super) report: Report,
}

impl<'a> Pass<'a> {
    /// A pass with one thread that skips nothing.
    pub fn new(demuxer: &'a mut Demuxer, index: &'a Index, by: By, strategy: Strategy, costs: Costs) -> Self {
        let (threads, max_pixels, skip, alone) = (1, None, false, false);
        let (list_times, reopened) = (false, false);
        Self { demuxer, index, by, strategy, threads, max_pixels, skip, alone, costs, list_times, reopened }
    }

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
        let log = ContextLog::of(unsafe { decoder.as_ptr() });
        let mut walk = Walk {
            without_picture: false,
            cut: None,
            packed: false,
            syntax: self.demuxer.syntax(),
            codec: self.demuxer.codec(),
            log,
            position: 0,
            since: self.index.first_key_time(),
            shown: i64::MIN,
            before: None,
            beginning: None,
            recording: i64::MIN,
            aim: 0,
            unproven: false,
            last_picture: std::ptr::null(),
            draining: false,
            report: Report::default(),
        };
        if self.alone {
            self.run_alone(&mut decoder, wants, &mut walk, deliver)?;
            return Ok(walk.report);
        }
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
                    walk.report.jumped = true;
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
        walk.draining = true;
        if decoder.send_eof().is_ok() {
            self.receive(&mut decoder, wants, &mut walk, deliver)?;
        }
        Ok(walk.report)
    }

    /// Sends one packet and takes what comes out; returns whether a frame came.
    pub(super) fn feed(
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
        walk.without_picture = self.index.without_picture.binary_search(&(walk.position - 1)).is_ok();
        let skipped = self.skip && self.may_skip(packet, wants, walk);
        walk.report.fed += 1;
        walk.report.skipped += usize::from(skipped);
        if skipped && !walk.syntax.decoder_skips() {
            return Ok(false);
        }
        skip_unreferenced(decoder, skipped);
        if let Err(error) = decoder.send_packet(packet) {
            memory(error, "decoding a picture")?;
            self.note_error(walk, error);
        }
        let any = self.receive(decoder, wants, walk, deliver);
        self.judge_log(packet, walk);
        any
    }

    /// Whether the picture in this packet, the last one read, need not be decoded.
    fn may_skip(&self, packet: &Packet, wants: &[Want], walk: &mut Walk) -> bool {
        let data = packet.data().unwrap_or_default();
        walk.syntax.follow(data);
        walk.packed |= walk.syntax.is_packed(data);
        !walk.packed && !self.is_near_wanted(wants, walk.position - 1) && walk.syntax.is_unreferenced(data)
    }

    /// Whether the packet at this decode position, or one beside it, holds a wanted frame. A frame's two fields may come as two
    /// packets, side by side; both are needed.
    fn is_near_wanted(&self, wants: &[Want], position: usize) -> bool {
        let time = |at: usize| self.index.pts.get(at);
        let near = [Some(position), position.checked_sub(1), position.checked_add(1)];
        let wanted = |time: &i64| wants.binary_search_by_key(time, |want| want.key).is_ok();
        near.into_iter().flatten().filter_map(time).any(wanted)
    }

    /// Decides what the decoder's log on this packet means.
    fn judge_log(&self, packet: &Packet, walk: &mut Walk) {
        let lines = walk.log.take();
        let at = walk.position - 1;
        let data = packet.data().unwrap_or_default();
        let first_key = self.index.keys.first().is_none_or(|&key| key as usize == at);
        let gap = lines.iter().any(|line| line.starts_with(FRAME_GAP));
        if packet.is_key() && (first_key || gap && !self.shows_before(at)) {
            // What an IDR picture forgets, nothing later asks for.
            walk.cut = (!walk.syntax.is_idr(data)).then_some(at);
        } else if gap || packet.is_key() {
            walk.cut = None;
        }
        // Of what is shown before the key frame, nothing else is to be expected.
        let leading = self.by == By::Time && packet.pts().is_some_and(|time| time < walk.since);
        if lines.is_empty() || leading {
            return;
        }
        // A jump makes a cut of its own: only the walk from the start shows whether the file has one.
        let after_cut = walk.cut.filter(|_| !walk.report.jumped).map(|cut| at - cut);
        let holds = |condition, line: &str| match condition {
            Condition::Always => true,
            Condition::AfterCut => after_cut.is_some_and(|packets| packets <= MOST_REFERENCES),
            Condition::OldestFromBeforeCut => {
                after_cut.zip(most_kept(line)).is_some_and(|(packets, most)| packets < most)
            }
            Condition::NoPicture => walk.without_picture,
            Condition::NoColourSegment => !walk.syntax.has_colour_segment(data),
            Condition::BPictures => self.index.b_pictures,
            Condition::DeclaredTooLarge | Condition::ZerosBehindTags | Condition::ChunksInside => false,
        };
        if let Some(line) = log_lines::judge(&walk.codec, &lines, holds, &mut walk.report.notes) {
            self.note_failure(walk, &line);
        }
    }

    /// Takes the frames that the decoder has ready; returns whether there were any.
    pub(super) fn receive(
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
                    memory(error, "decoding a picture")?;
                    self.note_error(walk, error);
                    failures += 1;
                    if failures > PATIENCE {
                        return Ok(any);
                    }
                    continue;
                }
            }
            any = true;
            if repeats_last(&picture, walk) {
                continue;
            }
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

    /// Whether pictures behind the key frame at this decode position may be shown before it. Where recordings were joined,
    /// they refer to pictures that are missing.
    fn shows_before(&self, key: usize) -> bool {
        let pts = self.index.pts.get(key..).unwrap_or_default();
        // Without a time, a picture may be shown anywhere.
        pts.iter().take(MOST_REFERENCES).any(|&time| time < pts[0] || time == NO_TIME)
    }

    /// Records the error that the decoder returned, unless it is that there is no picture where there is none to be had.
    fn note_error(&self, walk: &mut Walk, error: FfError) {
        if !(walk.without_picture && error == FfError::InvalidData) {
            self.note_failure(walk, &error.to_string());
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
        if self.strategy == Strategy::Sequential || self.by != By::Time || !self.index.timed {
            return None;
        }
        let next = wants.iter().find(|want| !want.done && want.key > walk.shown)?;
        let key = self.index.key_before(next.key)?;
        let worth = || self.strategy == Strategy::Seek || self.costs.jump(self.index, walk.position..key);
        (key > walk.position && key != walk.aim && worth()).then_some(key)
    }

    /// Moves the demuxer to `key` and reads the packet there, or a key frame before it, into `packet`; false if it cannot.
    pub(super) fn seek(&mut self, key: usize, packet: &mut Packet, walk: &mut Walk) -> bool {
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
            walk.aim = key;
            self.begin_at(at, walk);
            return true;
        }
        false
    }

    /// The walk goes on with the key frame at this decode position, and with an empty decoder.
    pub(super) fn begin_at(&self, key: usize, walk: &mut Walk) {
        walk.position = key;
        walk.unproven = true;
        (walk.before, walk.beginning, walk.recording) = (None, None, i64::MIN);
        walk.since = self.index.pts[key];
    }

    /// Reads the next video packet and finds its decode position.
    pub(super) fn next_position(&mut self, packet: &mut Packet) -> Option<usize> {
        loop {
            match self.demuxer.read(packet) {
                Ok(Read::Video) if packet.size() > 0 => return self.index.position(packet.pts()?),
                Ok(Read::Video | Read::Other) => {}
                Ok(Read::End) | Err(_) => return None,
            }
        }
    }
}

/// Whether this picture is the one before once more. At the end of MPEG-4 Part 2, FFmpeg 7 gives out the last picture a second time
/// if the last frame is not coded. The decoder keeps that picture, so another one cannot have its address.
fn repeats_last(picture: &frame::Video, walk: &mut Walk) -> bool {
    let address = picture.data(0).as_ptr();
    let repeated = walk.draining && walk.codec == "mpeg4" && address == walk.last_picture;
    walk.last_picture = address;
    repeated
}

/// How many reference pictures the stream lets a decoder keep, from FFmpeg's line about one more than that.
fn most_kept(line: &str) -> Option<usize> {
    let (_, after) = line.split_once("exceeds max (")?;
    after.split_once(';')?.0.parse().ok()
}
