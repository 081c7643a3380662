//! Counting by the index of an MP4 or MOV, without reading its pictures.
//!
//! The index (`moov`) has the place, size, time and flags of every packet. FFmpeg gives them only with the packets. So FFmpeg reads the
//! packets here, but gets zeros in place of the data (`mdat`): none of the data is read, and FFmpeg's own rules (edit lists, discarded
//! packets) give the same times and flags. A file in fragments has a part of the index (`moof`) in front of each part of the data, and
//! those parts are read.

use std::path::Path;

use ffmpeg_next::codec::Id;
use ffmpeg_next::{Packet, ffi};

use super::damage::media_data;
use super::demux::{Demuxer, Read};
use super::gather::{self, Gathered};
use super::open::open_context;
use super::source;

/// Reads the container's index in place of the packets. `None` where it has none, or anything about it is unusual: then the
/// packets are the judge. The demuxer that read it is returned too.
pub fn gather(demuxer: &Demuxer, path: &Path, seen: &[String]) -> Option<(Gathered, Demuxer)> {
    let mut of_index = demuxer.of_index(path)?;
    let gathered = gather::gather(&mut of_index, true).ok()?;
    let known = of_index.log_lines().iter().all(|line| seen.contains(line));
    let usual = gathered.read_errors.is_none() && gathered.index.corrupt.is_empty();
    let whole = !gathered.index.pts.is_empty() && of_index.watch().check().is_ok();
    (known && usual && whole).then_some((gathered, of_index))
}

impl Demuxer {
    /// Opens the same stream of the same file anew to read its packets' times, sizes and flags from the container's index alone: the
    /// packets hold zeros in place of pictures. `None` where there is no such index.
    pub fn of_index(&self, path: &Path) -> Option<Self> {
        // No parser: it would look for pictures in the zeros.
        const FLAGS: i32 = ffi::AVFMT_FLAG_NOPARSE;
        let by_index = matches!(self.parameters().id(), Id::H264 | Id::HEVC | Id::AV1 | Id::VP9);
        if !by_index || !self.container().starts_with("mov,") {
            return None;
        }
        let data = media_data(path)?;
        let (reader, watch) = source::open(path).ok()?;
        watch.same_as(&self.watch).ok()?;
        let (input, log) = open_context(reader.blank(data), path, FLAGS).ok()?;
        if input.nb_streams() <= self.stream as u32 {
            return None;
        }
        let mut demuxer = Self { input, stream: self.stream, watch, log };
        demuxer.drop_other_streams(true);
        (demuxer.parameters().id() == self.parameters().id()).then_some(demuxer)
    }

    /// Reads the index of every fragment that lies ahead, and none of the data, so that [`Demuxer::seek`] finds all key frames. The
    /// demuxer is left at the end.
    pub fn learn_fragments(&mut self) {
        let stream = self.stream;
        let discard = |demuxer: &mut Self, discard| {
            if let Some(mut stream) = demuxer.input.stream_mut(stream) {
                // SAFETY: the stream belongs to the open input.
                unsafe { (*stream.as_mut_ptr()).discard = discard };
            }
        };
        self.drop_other_streams(true);
        discard(self, ffi::AVDiscard::AVDISCARD_ALL);
        let mut packet = Packet::empty();
        // Nothing is given of streams that are discarded, so the first answer is the end. An error leaves what is known as it is.
        while matches!(self.read(&mut packet), Ok(Read::Video | Read::Other)) {}
        discard(self, ffi::AVDiscard::AVDISCARD_DEFAULT);
    }

    /// What a packet of an index ([`Demuxer::of_index`]) holds in the file, if that is little: a packet without a picture is small.
    pub fn small_data(&self, packet: &Packet) -> Option<Vec<u8>> {
        const SMALL: usize = 4096;
        let place = u64::try_from(packet.position()).ok()?;
        (packet.size() <= SMALL).then(|| self.watch.bytes_at(place, packet.size()))?
    }
}
