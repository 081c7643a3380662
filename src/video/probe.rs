//! One pass over a file's packets, without decoding: how many frames there are, when each is shown, where decoding can
//! start, and whether something is missing.
//!
//! The headers' own counts lie (106 for an AVI of 53 frames, 0 for many WebM), the packets do not. A frame is a packet
//! that is not marked to be discarded (edit lists) and that shows a picture (VP8 stores hidden reference frames as
//! packets of their own; some AVI hold empty ones). Frame `i` is the `i`-th of them in presentation order.

use std::path::Path;

use ffmpeg_next::packet::Ref as _;
use ffmpeg_next::{Error as FfError, Packet, codec, ffi};
use serde::Serialize;

use super::damage::{Sizes, declared_sizes};
use super::demux::{Demuxer, Read};
use super::error::VideoError;
use super::gif;
use super::names::{Colour, pixel_format_name};

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
    /// Decode positions by presentation time, of all but the hidden ones (which borrow the time of the next).
    pub by_time: Vec<u32>,
    /// Decode positions of the frames, in presentation order.
    pub frames: Vec<u32>,
    /// Decode positions of the key frames, ascending.
    pub keys: Vec<u32>,
    /// Decode positions of packets that are cut or damaged, ascending: they are never decoded.
    pub corrupt: Vec<usize>,
    /// Every packet has a presentation time of its own: frames can be told by it.
    pub timed: bool,
}

/// FFmpeg's value for a missing time.
pub const NO_TIME: i64 = ffi::AV_NOPTS_VALUE;

impl Index {
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
    /// Decode positions of VP8's hidden frames, ascending.
    hidden: Vec<usize>,
    /// Discarded, hidden or cut: not counted, by decode position.
    uncounted: Vec<bool>,
    last_duration: i64,
    /// The latest end of a packet of any stream, in seconds on the container's clock.
    end: f64,
    read_errors: Option<FfError>,
    /// Packets of a transport stream that are flagged corrupt.
    flagged: usize,
    /// What FFmpeg told of the container, in its words.
    heard: Option<String>,
    /// What a GIF's own blocks tell.
    gif: Option<gif::Fault>,
}

/// Runs the pass; the demuxer is left at the end of the file.
pub fn scan(demuxer: &mut Demuxer, path: &Path) -> Result<Probed, VideoError> {
    let mut gathered = gather(demuxer)?;
    demuxer.watch().check()?;
    gathered.heard = demuxer.heard();
    if demuxer.container() == gif::CONTAINER {
        gathered.gif = gif::fault(path, gathered.index.pts.len());
    }
    let index = &mut gathered.index;
    let shown = |at: &u32| gathered.hidden.binary_search(&(*at as usize)).is_err();
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
    index.frames = order.filter(|&at| !gathered.uncounted[at as usize]).collect();
    if index.frames.is_empty() {
        return match truncation(demuxer, path, &gathered) {
            Some(sign) => Err(VideoError::Truncated { sign, hopeless: true }),
            None => Err(VideoError::NoFrames),
        };
    }
    let truncated = truncation(demuxer, path, &gathered);
    let damaged = damage(&gathered).filter(|_| truncated.is_none());
    let info = describe(demuxer, path, &gathered, truncated.iter().chain(&damaged).cloned().collect());
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
    let is_vp8 = demuxer.parameters().id() == codec::Id::VP8;
    // A transport stream is flagged corrupt wherever its counters jump, as they do where healthy recordings were joined;
    // there the decoder is the judge.
    let flags_mean_damage = !demuxer.container().starts_with("mpegts");
    let mut packet = Packet::empty();
    let mut broken = 0;
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
        let hidden = is_vp8 && data[0] & 0x10 == 0;
        let corrupt = packet.is_corrupt() && flags_mean_damage;
        gathered.flagged += usize::from(packet.is_corrupt() && !flags_mean_damage);
        gathered.uncounted.push(hidden || corrupt || flags & ffi::AV_PKT_FLAG_DISCARD != 0);
        if hidden {
            gathered.hidden.push(at);
        }
        gathered.index.pts.push(packet.pts().unwrap_or(NO_TIME));
        if packet.is_key() {
            gathered.index.keys.push(at as u32);
        }
        if corrupt {
            gathered.index.corrupt.push(at);
        }
        gathered.last_duration = packet.duration();
    }
}

/// What shows that the end of the file is missing, if anything does.
fn truncation(demuxer: &Demuxer, path: &Path, gathered: &Gathered) -> Option<String> {
    match &gathered.gif {
        Some(gif::Fault::Cut(sign)) => return Some(sign.clone()),
        Some(gif::Fault::Damaged(_)) => return None,
        None => {}
    }
    // Parsers may still hold the packet before the cut one back and hand it on after it.
    let near_end = |&at: &usize| at + 3 >= gathered.index.pts.len();
    if gathered.index.corrupt.last().is_some_and(near_end) {
        return Some("its last packet is cut".into());
    }
    match declared_sizes(path) {
        Sizes::Cut(sign) => return Some(sign),
        Sizes::Whole => {
            let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
            let end = demuxer.index_end();
            let indexed = demuxer.container().starts_with("mov,");
            return (indexed && end > bytes as i64)
                .then(|| format!("its index names data up to byte {end}, the file ends at {bytes}"));
        }
        Sizes::Unknown => {}
    }
    // "Well past": headers round, and a last frame's own duration is often unknown.
    let declared = demuxer.declared_duration()?;
    let found = gathered.end - demuxer.start_time();
    let missing = declared - found;
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
    let heard = || gathered.heard.as_ref().map(|words| format!("FFmpeg says of its container: {words}"));
    corrupt.or_else(unread).or_else(heard)
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
    if slanted {
        notes.push("its display matrix is no multiple of a right angle and is ignored".into());
    }
    let tick = f64::from(demuxer.time_base());
    let span = match (index.timed, index.frames.first(), index.frames.last()) {
        (true, Some(&first), Some(&last)) => {
            let time = |at: u32| i128::from(index.pts[at as usize]);
            Some((time(last) - time(first)) as f64 * tick)
        }
        _ => None,
    };
    let frames = index.frames.len();
    let measured = span.filter(|&s| s > 0.0).map(|s| (frames - 1) as f64 / s);
    let stated = demuxer.average_rate();
    // FFmpeg's versions guess a GIF's rate differently (12.5 or 11.988), and its pauses tell it.
    let fps = if demuxer.container() == gif::CONTAINER { measured.or(stated) } else { stated.or(measured) }
        .unwrap_or(25.0);
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
