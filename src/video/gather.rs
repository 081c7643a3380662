//! The packets of a file, read one by one without decoding.

use ffmpeg_next::packet::Ref as _;
use ffmpeg_next::{Error as FfError, Packet, ffi};

use super::clock::Clock;
use super::decoder::memory;
use super::demux::{Demuxer, Read};
use super::error::VideoError;
use super::gif;
use super::index::{Index, NO_TIME, Recording};
use super::log_lines::Notes;

/// What the pass gathers.
#[derive(Default)]
pub struct Gathered {
    pub index: Index,
    /// Discarded, without a picture to show, or cut: not counted, by decode position.
    pub uncounted: Vec<bool>,
    pub last_duration: i64,
    /// The latest end of a packet of any stream, in seconds on the container's clock.
    pub end: f64,
    pub read_errors: Option<FfError>,
    /// Packets of a transport stream that are flagged corrupt.
    pub flagged: usize,
    /// What FFmpeg reported about the container that is a sign of damage.
    pub reported: Option<String>,
    /// What it reported that is none.
    pub notes: Notes,
    /// What a GIF's own blocks tell.
    pub gif: Option<gif::Fault>,
}

/// Reads every packet; those of an index hold no pictures.
pub fn gather(demuxer: &mut Demuxer, of_index: bool) -> Result<Gathered, VideoError> {
    /// Broken packets that a demuxer may step over before it counts as lost.
    const PATIENCE: usize = 1000;
    let mut gathered = Gathered { end: f64::NEG_INFINITY, ..Gathered::default() };
    let syntax = demuxer.syntax();
    let look_in_file = of_index && syntax.has_packets_without_picture();
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
                memory(error, "reading its packets")?;
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
        let in_file = if look_in_file { demuxer.small_data(&packet) } else { None };
        let hidden = syntax.lacks_picture(in_file.as_deref().unwrap_or(data));
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
        gathered.index.sizes.push(data.len().try_into().unwrap_or(u32::MAX));
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

/// The clock of a stream with so many frames per second.
pub fn clock(demuxer: &Demuxer, rate: f64) -> Clock {
    Clock::new(f64::from(demuxer.time_base()), rate, demuxer.clock_may_jump())
}

/// Frames per second where neither the container nor the times tell.
pub const USUAL_RATE: f64 = 25.0;
