//! One pass over a file's packets, without decoding: how many frames there are, when each is shown, where decoding can
//! start, and whether something is missing.
//!
//! The counts that headers declare are often wrong (106 for an AVI of 53 frames, 0 for many WebM), the count of the packets
//! is not. A frame is a packet that is not marked to be discarded (edit lists) and that holds a picture to show (VP8 stores
//! hidden reference frames as packets of their own; some AVI hold empty packets, some H.264 delimiters alone). Frame `i` is
//! the `i`-th of them in presentation order.

use std::path::Path;

use ffmpeg_next::codec;
use serde::Serialize;

use super::clock::Shown;
use super::damage::{declared_sizes, is_fragmented};
use super::demux::Demuxer;
use super::error::VideoError;
use super::flv::only_zeros_behind_tags;
use super::gather::{Gathered, USUAL_RATE, clock, gather};
use super::gif;
use super::index::{Index, NO_TIME};
use super::index_only;
use super::log_lines::{self, Condition};
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

/// A finished pass.
pub struct Probed {
    pub info: VideoInfo,
    pub index: Index,
    /// The first sign of damage, as the error it becomes unless the caller takes what is there.
    pub damage: Option<VideoError>,
    /// Bytes that were read of the file beside those that the demuxer read.
    pub bytes_read: u64,
}

/// Looks at the file at `path` without decoding it.
///
/// # Errors
/// When it cannot be opened, is no media file, or has no video stream or no frame. Truncation and damage are not errors here:
/// they are listed in the answer.
pub fn probe(path: &Path) -> Result<VideoInfo, VideoError> {
    Ok(scan(&mut Demuxer::open(path)?, path)?.info)
}

/// Runs the pass, over the container's index where that tells as much; the demuxer is left anywhere.
pub fn scan(demuxer: &mut Demuxer, path: &Path) -> Result<Probed, VideoError> {
    scan_by(demuxer, path, true)
}

/// [`scan`]; over the packets where the index is not to be used.
pub fn scan_by(demuxer: &mut Demuxer, path: &Path, use_index: bool) -> Result<Probed, VideoError> {
    let mut lines = demuxer.log_lines();
    let (mut gathered, of_index) =
        match use_index.then(|| index_only::gather(demuxer, path, &lines)).flatten() {
            Some((gathered, of_index)) => (gathered, Some(of_index)),
            None => (gather(demuxer, false)?, None),
        };
    gathered.index.fragmented = demuxer.container().starts_with("mov,") && is_fragmented(path);
    if gathered.index.fragmented && of_index.is_some() {
        demuxer.learn_fragments();
    }
    demuxer.watch().check()?;
    lines.extend(demuxer.log_lines());
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
    let (truncated, too_large) = match ending(of_index.as_ref().unwrap_or(demuxer), path, &gathered) {
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
    let bytes_read = of_index.map_or(0, |of_index| of_index.watch().bytes_read());
    Ok(Probed { info, index: gathered.index, damage, bytes_read })
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
