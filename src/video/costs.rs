//! Whether to seek or to decode on: estimates of both, in nanoseconds of one core.
//!
//! Decoding a packet costs by the pixels of its picture and by its bytes, which have to be read too. A seek costs little where the
//! container has an index in memory, and much where FFmpeg searches the file for a time. The estimates decide how long reading takes and
//! never what is read, so they need not be exact.

use std::ops::Range;

use super::index::Index;

/// Picoseconds of decoding a pixel. Measured: 16 frames of ten minutes of 1080p H.264 (x264 `veryfast`, 23 kB a packet) took 1.3 ms a
/// packet on a Zen 4 core.
const PIXEL_PS: u64 = 400;

/// Nanoseconds of reading and decoding a byte: 20 of decoding, by the same measurement, and 10 of a disk with 100 MB/s.
const BYTE_NS: u64 = 30;

/// Nanoseconds of a seek by an index in memory: about the delay of a network's disk.
const INDEXED: u64 = 1_000_000;

/// Nanoseconds of a search in the file: some twenty reads at places far apart.
const SEARCHED: u64 = 20_000_000;

/// What decoding and seeking cost in one video.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    /// Nanoseconds of decoding a picture, without its bytes.
    picture: u64,
    /// Nanoseconds of a seek.
    seek: u64,
}

impl Costs {
    /// The costs of pictures with so many pixels in a container of this name.
    pub fn new(pixels: u64, container: &str) -> Self {
        let indexed = ["mov,", "matroska", "avi"].iter().any(|name| container.starts_with(name));
        let picture = pixels.saturating_mul(PIXEL_PS) / 1000;
        Self { picture, seek: if indexed { INDEXED } else { SEARCHED } }
    }

    /// Nanoseconds of decoding these packets (decode positions), or any number above `most` where it is more than that.
    pub fn decoding(&self, index: &Index, packets: Range<usize>, most: u64) -> u64 {
        let mut sum = 0u64;
        for at in packets {
            let bytes = index.sizes.get(at).map_or(0, |&size| u64::from(size));
            sum = sum.saturating_add(self.picture.saturating_add(bytes.saturating_mul(BYTE_NS)));
            if sum > most {
                break;
            }
        }
        sum
    }

    /// Whether a jump over these packets costs less than decoding them.
    pub fn jump(&self, index: &Index, packets: Range<usize>) -> bool {
        self.decoding(index, packets, self.seek) > self.seek
    }

    /// Whether a jump over these packets costs less than reading them.
    pub fn jump_unread(&self, index: &Index, packets: Range<usize>) -> bool {
        Self { picture: 0, ..*self }.jump(index, packets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_small_pictures_are_walked_over_and_many_or_large_ones_are_not() {
        let index = Index { sizes: vec![1000; 300], ..Index::default() };
        let small = Costs::new(320 * 240, "matroska,webm");
        assert!(!small.jump(&index, 0..10) && small.jump(&index, 0..30));
        let searched = Costs::new(320 * 240, "mpegts");
        assert!(!searched.jump(&index, 0..250));
        let large = Costs::new(3840 * 2160, "mov,mp4,m4a,3gp,3g2,mj2");
        assert!(large.jump(&index, 5..6) && !large.jump(&index, 5..5));
        assert!(!large.jump_unread(&index, 5..25) && large.jump_unread(&index, 0..40));
        assert!(large.decoding(&index, 0..300, u64::MAX) > 300 * large.decoding(&index, 0..1, 0) - 1);
    }
}
