//! The packets of a video stream in memory: when each is shown, and where decoding can start.

use ffmpeg_next::ffi;

use super::demux::Demuxer;

/// The packets of the video stream, as a demux-only pass saw them.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// Presentation time of each packet with data, in decode order and the stream's time base; `NO_TIME` if it has none.
    pub pts: Vec<i64>,
    /// Bytes of each packet, in decode order.
    pub sizes: Vec<u32>,
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
    /// The container's index lies in fragments, of which a demuxer knows those that it has passed.
    pub fragmented: bool,
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

    /// The last key frame that is decoded and shown no later than the frame at `pts`.
    pub fn key_before(&self, pts: i64) -> Option<usize> {
        let position = self.position(pts)? as u32;
        let candidates = &self.keys[..self.keys.partition_point(|&key| key <= position)];
        candidates.iter().rev().map(|&key| key as usize).find(|&key| self.pts[key] <= pts)
    }

    /// Brings a demuxer to the first packet, if it can.
    pub fn rewind(&self, demuxer: &mut Demuxer) -> bool {
        let start = self.by_time.first().map_or(0, |&at| self.pts[at as usize]);
        demuxer.seek(start).is_ok()
    }

    /// Whether pictures that nothing refers to can be left out of the decoding: each packet is one frame, found by its time, and
    /// nothing about the stream is unusual.
    pub fn can_skip(&self) -> bool {
        self.timed
            && !self.falls
            && !self.carries_state
            && !self.never_reorders
            && self.recordings.is_empty()
            && self.corrupt.is_empty()
            && self.without_picture.is_empty()
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
