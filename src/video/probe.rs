//! One pass over a file's packets, without decoding: how many frames there are, when each is shown, where decoding can
//! start, and whether something is missing.
//!
//! The counts that headers declare are often wrong (106 for an AVI of 53 frames, 0 for many WebM), the count of the packets
//! is not. A frame is a packet that is not marked to be discarded (edit lists) and that holds a picture to show (VP8 stores
//! hidden reference frames as packets of their own; some AVI hold empty packets, some H.264 delimiters alone). Frame `i` is
//! the `i`-th of them in presentation order.

use std::path::Path;

use ffmpeg_next::packet::Ref as _;
use ffmpeg_next::{Error as FfError, Packet, codec, ffi};
use serde::Serialize;

use super::clock::{Clock, Shown};
use super::damage::declared_sizes;
use super::demux::{Demuxer, Read};
use super::error::VideoError;
use super::flv::only_zeros_behind_tags;
use super::gif;
use super::log_lines::{self, Condition, Notes};
use super::names::{Colour, pixel_format_name};
use super::riff;
use super::sizes::Sizes;

/// What the program sees in a video file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VideoInfo {
    /// FFmpeg's short name(s) of the container, found by looking inside, not by the extension.
    pub container: String,
    /// The codec's name.
    pub codec: String,
    /// Pixels across, as shown (after the rotation).
    pub width: usize,
    /// Pixels down, as shown.
    pub height: usize,
    /// Degrees clockwise by which the stored pictures are turned for showing: 0, 90, 180 or 270.
    pub rotation: u16,
    /// FFmpeg's name of the stored pixel format.
    pub pixel_format: String,
    /// Tag of the YUV matrix; absent where the file has none (BT.601 is then used).
    pub color_space: Option<String>,
    /// Tag of the range, `tv` (limited) or `pc` (full); absent where the file has none.
    pub color_range: Option<String>,
    /// Tag of the primaries.
    pub color_primaries: Option<String>,
    /// Tag of the transfer curve.
    pub color_transfer: Option<String>,
    /// Frames, counted over the packets.
    pub frames: usize,
    /// Frames that decoding can start at.
    pub key_frames: usize,
    /// Frames per second on average, as the container has it.
    pub fps: f64,
    /// Seconds from the first frame's appearance to the last one's end.
    pub duration: f64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Signs that a part is missing or broken; empty for a healthy file.
    pub damage: Vec<String>,
    /// What is approximated when this file is read.
    pub notes: Vec<String>,
}

/// The packets of the video stream, as a demux-only pass saw them.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// Presentation time of each packet with data, in decode order and the stream's time base; `NO_TIME` if it has none.
    pub pts: Vec<i64>,
    /// Decode positions by presentation time, of all but the packets without a picture to show (which may borrow the time of
    /// the next).
    pub by_time: Vec<u32>,
    /// Decode positions of the frames, in presentation order.
    pub frames: Vec<u32>,
    /// Decode positions of the key frames, ascending.
    pub keys: Vec<u32>,
    /// Decode positions of packets that are cut or damaged, ascending: they are never decoded.
    pub corrupt: Vec<usize>,
    /// Decode positions of packets that hold no picture to show, ascending.
    pub without_picture: Vec<usize>,
    /// The stream has several B-pictures; only looked for in MPEG-4 Part 2.
    pub b_pictures: bool,
    /// Every packet has a presentation time of its own, by which frames can be identified.
    pub timed: bool,
    /// A packet brings what the decoder needs for all that follow (a palette, new parameters). A demuxer gives it once, not
    /// again after a seek: such a stream is decoded from the start of a newly opened file.
    pub carries_state: bool,
    /// The time of decoding falls somewhere, as it never does in one recording.
    pub falls: bool,
    /// Where other recordings than the first may begin, ascending by position.
    pub recordings: Vec<Recording>,
    /// The codec may reorder pictures, but the packets' times never do: they may be times of decoding, not of showing.
    pub never_reorders: bool,
}

/// Where the packets look as if another recording began.
#[derive(Debug, Clone, Copy)]
pub struct Recording {
    /// Decode position of its first packet.
    pub at: u32,
    /// Its clock is ahead of the one before by a jump; otherwise the times of decoding and of showing both fall.
    pub ahead: bool,
}

/// FFmpeg's value for a missing time.
pub const NO_TIME: i64 = ffi::AV_NOPTS_VALUE;

impl Index {
    /// Presentation time of the frame with this index.
    pub fn time(&self, frame: usize) -> i64 {
        self.pts[self.frames[frame] as usize]
    }

    /// The decode position of the packet shown at `pts`.
    pub fn position(&self, pts: i64) -> Option<usize> {
        let found = self.by_time.binary_search_by_key(&pts, |&at| self.pts[at as usize]);
        found.ok().map(|i| self.by_time[i] as usize)
    }

    /// Presentation time of the first key frame in decode order: what is shown earlier may refer to frames that a cut
    /// took away.
    pub fn first_key_time(&self) -> i64 {
        self.keys.first().map_or(NO_TIME, |&key| self.pts[key as usize])
    }
}

/// A finished pass.
pub struct Probed {
    pub info: VideoInfo,
    pub index: Index,
    /// The first sign of damage, as the error it becomes unless the caller takes what is there.
    pub damage: Option<VideoError>,
}

/// Looks at the file at `path` without decoding it.
///
/// # Errors
/// When it cannot be opened, is no media file, or has no video stream or no frame. Truncation and damage are not errors here:
/// they are listed in the answer.
pub fn probe(path: &Path) -> Result<VideoInfo, VideoError> {
    Ok(scan(&mut Demuxer::open(path)?, path)?.info)
}

/// What the pass gathers.
#[derive(Default)]
struct Gathered {
    index: Index,
    /// Discarded, without a picture to show, or cut: not counted, by decode position.
    uncounted: Vec<bool>,
    last_duration: i64,
    /// The latest end of a packet of any stream, in seconds on the container's clock.
    end: f64,
    read_errors: Option<FfError>,
    /// Packets of a transport stream that are flagged corrupt.
    flagged: usize,
    /// What FFmpeg reported about the container that is a sign of damage.
    reported: Option<String>,
    /// What it reported that is none.
    notes: Notes,
    /// What a GIF's own blocks tell.
    gif: Option<gif::Fault>,
}

/// Runs the pass; the demuxer is left at the end of the file.
pub fn scan(demuxer: &mut Demuxer, path: &Path) -> Result<Probed, VideoError> {
    let mut gathered = gather(demuxer)?;
    demuxer.watch().check()?;
    let lines = demuxer.log_lines();
    let pictures = gathered.index.pts.len();
    let holds = |condition, _: &str| match condition {
        Condition::ZerosBehindTags => only_zeros_behind_tags(path),
        Condition::DeclaredTooLarge => matches!(declared_sizes(path), Sizes::TooLarge(_)),
        Condition::ChunksInside => riff::index_has(path, pictures),
        condition => condition == Condition::Always,
    };
    gathered.reported = log_lines::judge(&demuxer.container(), &lines, holds, &mut gathered.notes);
    if demuxer.container() == gif::CONTAINER {
        gathered.gif = gif::fault(path, gathered.index.pts.len());
    }
    let index = &mut gathered.index;
    let shown = |at: &u32| index.without_picture.binary_search(&(*at as usize)).is_err();
    index.by_time = (0..index.pts.len() as u32).filter(shown).collect();
    index.by_time.sort_by_key(|&at| (index.pts[at as usize], at));
    index.timed = index.by_time.windows(2).all(|w| index.pts[w[0] as usize] < index.pts[w[1] as usize])
        && !index.pts.contains(&NO_TIME);
    // Where times are missing or doubled, the packets' own order is all there is.
    let order: Box<dyn Iterator<Item = u32>> = if index.timed {
        Box::new(index.by_time.iter().copied())
    } else {
        Box::new(0..index.pts.len() as u32)
    };
    index.never_reorders = index.timed
        && demuxer.may_reorder()
        && index.keys.len() < index.pts.len()
        && index.by_time.is_sorted();
    index.frames = order.filter(|&at| !gathered.uncounted[at as usize]).collect();
    let (truncated, too_large) = match ending(demuxer, path, &gathered) {
        Ending::There => (None, None),
        Ending::DeclaredTooLarge(sign) => (None, Some(sign)),
        Ending::Missing(sign) => (Some(sign), None),
    };
    if gathered.index.frames.is_empty() {
        return match truncated {
            Some(sign) => Err(VideoError::Truncated { sign, hopeless: true }),
            None => Err(VideoError::NoFrames),
        };
    }
    let damaged = damage(&gathered).filter(|_| truncated.is_none());
    let mut info = describe(demuxer, path, &gathered, truncated.iter().chain(&damaged).cloned().collect());
    info.notes.extend(gathered.notes.sentences());
    if let Some(sign) = too_large {
        info.notes.push(format!("{sign}, but everything that it holds is inside the file"));
    }
    if info.width == 0 || info.height == 0 {
        return Err(match truncated {
            Some(sign) => VideoError::Truncated { sign, hopeless: true },
            None => VideoError::Unsupported {
                what: format!("FFmpeg finds no picture size in its {} stream", info.codec),
            },
        });
    }
    let damage = truncated
        .map(|sign| VideoError::Truncated { sign, hopeless: false })
        .or(damaged.map(|what| VideoError::Damaged { what }));
    Ok(Probed { info, index: gathered.index, damage })
}

/// Reads every packet.
fn gather(demuxer: &mut Demuxer) -> Result<Gathered, VideoError> {
    /// Broken packets that a demuxer may step over before it counts as lost.
    const PATIENCE: usize = 1000;
    let mut gathered = Gathered { end: f64::NEG_INFINITY, ..Gathered::default() };
    let syntax = demuxer.syntax();
    let mut b_pictures = 0;
    if demuxer.encryption_key().is_some() {
        return Err(VideoError::Encrypted { how: "it names a key" });
    }
    // A transport stream is flagged corrupt wherever its counters jump, as they do where healthy recordings were joined;
    // there the decoder is the judge.
    let flags_mean_damage = !demuxer.container().starts_with("mpegts");
    let mut packet = Packet::empty();
    let mut broken = 0;
    let clock = clock(demuxer, demuxer.average_rate().unwrap_or(USUAL_RATE));
    let (mut decoded, mut latest) = (None, i64::MIN);
    loop {
        let video = match demuxer.read(&mut packet) {
            Ok(Read::End) => return Ok(gathered),
            Ok(Read::Video) => true,
            Ok(Read::Other) => false,
            Err(error) => {
                if error == (FfError::Other { errno: libc::ENOMEM }) {
                    return Err(VideoError::Memory { what: "reading its packets".into() });
                }
                gathered.read_errors = Some(error);
                broken += 1;
                if error != FfError::InvalidData || broken > PATIENCE {
                    return Ok(gathered);
                }
                continue;
            }
        };
        if let Some(time) = packet.pts().or(packet.dts()) {
            gathered.end =
                gathered.end.max(demuxer.packet_seconds(&packet, time.saturating_add(packet.duration())));
        }
        let Some(data) = packet.data().filter(|data| video && !data.is_empty()) else { continue };
        let at = gathered.index.pts.len();
        if at == u32::MAX as usize {
            return Err(VideoError::Unsupported {
                what: "it has more than four thousand million packets".into(),
            });
        }
        // SAFETY: the packet is alive; its flags are read as the integer they are.
        let flags = unsafe { (*packet.as_ptr()).flags };
        if is_encrypted(&packet) {
            return Err(VideoError::Encrypted { how: "its packets say so" });
        }
        let hidden = syntax.lacks_picture(data);
        // Two are enough, and looking for them costs time.
        if b_pictures < 2 {
            b_pictures += syntax.b_pictures(data);
            gathered.index.b_pictures = b_pictures >= 2;
        }
        let corrupt = packet.is_corrupt() && flags_mean_damage;
        gathered.flagged += usize::from(packet.is_corrupt() && !flags_mean_damage);
        gathered.uncounted.push(hidden || corrupt || flags & ffi::AV_PKT_FLAG_DISCARD != 0);
        if hidden {
            gathered.index.without_picture.push(at);
        }
        gathered.index.pts.push(packet.pts().unwrap_or(NO_TIME));
        if packet.is_key() {
            gathered.index.keys.push(at as u32);
        }
        gathered.index.carries_state |= demuxer.changes_decoder(&packet);
        let time = packet.pts().unwrap_or(NO_TIME);
        if let Some(dts) = packet.dts() {
            let falls = decoded.is_some_and(|before| dts < before);
            let jumps = decoded.is_some_and(|before| clock.jumps(before, dts));
            gathered.index.falls |= falls;
            if jumps && time != NO_TIME && (!falls || time < latest) {
                gathered.index.recordings.push(Recording { at: at as u32, ahead: !falls });
                latest = time;
            }
            decoded = Some(dts);
        }
        latest = latest.max(time);
        if corrupt {
            gathered.index.corrupt.push(at);
        }
        gathered.last_duration = packet.duration();
    }
}

/// Whether the packet's data is encrypted, as the container marks it (MP4 with common encryption).
fn is_encrypted(packet: &Packet) -> bool {
    let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_ENCRYPTION_INFO;
    // SAFETY: the packet is alive; only whether there is such data is asked.
    unsafe { !ffi::av_packet_get_side_data(packet.as_ptr(), kind, std::ptr::null_mut()).is_null() }
}

/// What is known of the end of the file.
enum Ending {
    /// Nothing shows that it is missing.
    There,
    /// A size is declared that the file does not have, in these words, but no part of the content is missing.
    DeclaredTooLarge(String),
    /// It is missing, as these words say.
    Missing(String),
}

/// Finds out whether the end of the file is missing.
fn ending(demuxer: &Demuxer, path: &Path, gathered: &Gathered) -> Ending {
    match &gathered.gif {
        Some(gif::Fault::Cut(sign)) => return Ending::Missing(sign.clone()),
        Some(gif::Fault::Damaged(_)) => return Ending::There,
        None => {}
    }
    // Parsers may still hold the packet before the cut one back and hand it on after it.
    let near_end = |&at: &usize| at + 3 >= gathered.index.pts.len();
    if gathered.index.corrupt.last().is_some_and(near_end) {
        return Ending::Missing("its last packet is cut".into());
    }
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    match declared_sizes(path) {
        Sizes::Cut(sign) => Ending::Missing(sign),
        Sizes::AskIndex(sign) => {
            let inside = demuxer.index_end() > 0 && demuxer.whole_index_end() <= bytes as i64;
            if inside { Ending::DeclaredTooLarge(sign) } else { Ending::Missing(sign) }
        }
        Sizes::TooLarge(sign) => Ending::DeclaredTooLarge(sign),
        Sizes::Whole => {
            let end = demuxer.index_end();
            if demuxer.container().starts_with("mov,") && end > bytes as i64 {
                return Ending::Missing(format!(
                    "its index names data up to byte {end}, the file ends at {bytes}"
                ));
            }
            Ending::There
        }
        Sizes::Unknown => by_duration(demuxer, gathered).map_or(Ending::There, Ending::Missing),
    }
}

/// How the declared duration shows that the end is missing, if it does.
fn by_duration(demuxer: &Demuxer, gathered: &Gathered) -> Option<String> {
    let declared = demuxer.declared_duration()?;
    let found = gathered.end - demuxer.start_time();
    let missing = declared - found;
    // "Well past": headers round, and a last frame's own duration is often unknown.
    (missing > f64::max(1.0, 0.05 * declared))
        .then(|| format!("its header declares {declared:.2} s, its last packet ends at {found:.2} s"))
}

/// What shows that something before the end is broken.
fn damage(gathered: &Gathered) -> Option<String> {
    if let Some(gif::Fault::Damaged(what)) = &gathered.gif {
        return Some(what.clone());
    }
    let corrupt = gathered.index.corrupt.first().map(|at| {
        format!(
            "{} of its packets are flagged corrupt, the first is number {at}",
            gathered.index.corrupt.len()
        )
    });
    let unread = || gathered.read_errors.map(|error| format!("its packets cannot all be read ({error})"));
    let reported =
        || gathered.reported.as_ref().map(|line| format!("FFmpeg reports of its container: {line}"));
    corrupt.or_else(unread).or_else(reported)
}

/// The clock of a stream with so many frames per second.
pub fn clock(demuxer: &Demuxer, rate: f64) -> Clock {
    Clock::new(f64::from(demuxer.time_base()), rate, demuxer.clock_may_jump())
}

/// Frames per second where neither the container nor the times tell.
const USUAL_RATE: f64 = 25.0;

/// What is said of a clock that jumped.
pub fn jumps_note(shown: &Shown) -> Option<String> {
    let Shown { jumps, largest, .. } = *shown;
    (jumps > 0).then(|| {
        format!("{JUMPS} {}, by {largest:.1} s at most: a jump is not counted as time", times(jumps))
    })
}

/// How [`jumps_note`] begins.
pub const JUMPS: &str = "its clock jumps";

/// How often, in words.
pub fn times(count: usize) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

/// Puts the answer together.
fn describe(demuxer: &Demuxer, path: &Path, gathered: &Gathered, damage: Vec<String>) -> VideoInfo {
    let index = &gathered.index;
    let parameters = demuxer.parameters();
    let (orientation, slanted) = demuxer.orientation();
    // SAFETY: the parameters are alive.
    let (width, height, format, colour) = unsafe {
        let raw = parameters.as_ptr();
        let (width, height) = ((*raw).width.max(0) as usize, (*raw).height.max(0) as usize);
        (width, height, (*raw).format, Colour::of(raw))
    };
    let mut notes = Vec::new();
    if let Some(curve) =
        colour.transfer.as_deref().filter(|&name| name == "smpte2084" || name == "arib-std-b67")
    {
        let name = if curve == "smpte2084" { "PQ" } else { "HLG" };
        notes.push(format!("{name} video is not tone mapped: only its colour matrix is applied"));
    }
    if gathered.flagged > 0 {
        let count = gathered.flagged;
        notes.push(format!(
            "{count} of its packets are flagged corrupt: bytes were lost, or recordings joined"
        ));
    }
    if demuxer.parameters().id() == codec::Id::H264 && !index.without_picture.is_empty() {
        let count = index.without_picture.len();
        notes.push(format!("{count} of its packets hold no picture and are not counted"));
    }
    if slanted {
        notes.push("its display matrix is no multiple of a right angle and is ignored".into());
    }
    let tick = f64::from(demuxer.time_base());
    let frames = index.frames.len();
    let rate = demuxer.average_rate();
    let shown = index.timed.then(|| {
        let clock = clock(demuxer, rate.unwrap_or(USUAL_RATE));
        clock.shown(index.frames.iter().map(|&at| index.pts[at as usize]))
    });
    notes.extend(shown.as_ref().and_then(jumps_note));
    let span = shown.and_then(|shown| shown.seconds.last().copied());
    let measured = span.filter(|&s| s > 0.0).map(|s| (frames - 1) as f64 / s);
    // FFmpeg's versions guess the rate of a GIF differently (12.5 or 11.988); its pauses say it.
    let fps = if demuxer.container() == gif::CONTAINER { measured.or(rate) } else { rate.or(measured) }
        .unwrap_or(USUAL_RATE);
    let last = if gathered.last_duration > 0 { gathered.last_duration as f64 * tick } else { 1.0 / fps };
    let duration = span.map_or(frames as f64 / fps, |span| span + last);
    let swapped = orientation.swaps_sides();
    VideoInfo {
        container: demuxer.container(),
        codec: demuxer.codec(),
        width: if swapped { height } else { width },
        height: if swapped { width } else { height },
        rotation: orientation.degrees(),
        pixel_format: pixel_format_name(format),
        color_space: colour.space,
        color_range: colour.range,
        color_primaries: colour.primaries,
        color_transfer: colour.transfer,
        frames,
        key_frames: index.keys.len(),
        fps,
        duration,
        bytes: std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
        damage,
        notes,
    }
}
