//! Whether the end of a file is missing, from the sizes its own headers declare.
//!
//! FFmpeg reads a cut file to a plain end of file, so its return codes say nothing. These containers state their own
//! length up front, and a file shorter than that has lost its end: Matroska and WebM (the segment), MP4 and MOV (the top
//! boxes), AVI (the RIFF chunks). A size of zero or "unknown", as live recordings write, says nothing.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Boxes that an MP4 or a QuickTime movie may begin with.
const TOP_BOXES: [&[u8; 4]; 6] = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"];

/// What the declared sizes say of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Sizes {
    /// The headers declare no size, or the container is not one of those read here.
    Unknown,
    /// All that is declared is there.
    Whole,
    /// More is declared than there is: how, in words.
    Cut(String),
}

/// Compares the sizes a file declares with the size it has.
#[must_use]
pub fn declared_sizes(path: &Path) -> Sizes {
    let read = || -> std::io::Result<Sizes> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut head = [0; 12];
        let got = file.read(&mut head)?;
        match &head[..got] {
            [0x1a, 0x45, 0xdf, 0xa3, ..] => segment(&mut file, length),
            [b'R', b'I', b'F', b'F', ..] => riff(&mut file, length),
            [_, _, _, _, kind @ ..] if TOP_BOXES.iter().any(|name| kind.starts_with(name.as_slice())) => {
                boxes(&mut file, length).map(|(sizes, _)| sizes)
            }
            _ => Ok(Sizes::Unknown),
        }
    };
    read().unwrap_or(Sizes::Unknown)
}

/// Why a file that FFmpeg cannot open may have been whole once: its end is missing, and with it, as most MP4 are written,
/// the index (`moov`).
#[must_use]
pub fn lost_end(path: &Path) -> Option<String> {
    if let Sizes::Cut(sign) = declared_sizes(path) {
        return Some(sign);
    }
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut head = [0; 8];
    file.read_exact(&mut head).ok()?;
    let is_mp4 = TOP_BOXES.iter().any(|name| &head[4..] == name.as_slice());
    let (_, index) = is_mp4.then(|| boxes(&mut file, length))?.ok()?;
    (!index).then(|| "its index (moov) is missing".to_owned())
}

fn cut(what: &str, declared: u64, length: u64) -> Sizes {
    Sizes::Cut(format!("its {what} ends at byte {declared}, the file at {length}"))
}

/// Walks the boxes at the top of an MP4; the second value tells whether `moov` is among them.
fn boxes(file: &mut File, length: u64) -> std::io::Result<(Sizes, bool)> {
    let (mut at, mut index) = (0u64, false);
    while at + 8 <= length {
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head[..8])?;
        let kind = [head[4], head[5], head[6], head[7]];
        if !kind.iter().all(|c| c.is_ascii_graphic() || matches!(c, b' ' | 0xa9)) {
            // Something else follows the boxes (padding of zeros, a tag): no size to read.
            break;
        }
        let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => length - at,
            1 if at + 16 <= length => {
                file.read_exact(&mut head[8..])?;
                u64::from_be_bytes([
                    head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15],
                ])
            }
            size => u64::from(size),
        };
        if size < 8 {
            break;
        }
        index |= &kind == b"moov";
        let end = at.saturating_add(size);
        if end > length {
            let name = String::from_utf8_lossy(&kind).into_owned();
            return Ok((cut(&format!("'{name}' box"), end, length), index));
        }
        at = end;
    }
    Ok((Sizes::Whole, index))
}

/// The RIFF chunks of an AVI: one, or several of about a gigabyte each.
fn riff(file: &mut File, length: u64) -> std::io::Result<Sizes> {
    let mut at = 0u64;
    while at + 12 <= length {
        let mut head = [0; 12];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head)?;
        let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        if &head[..4] != b"RIFF" || &head[8..11] != b"AVI" {
            break;
        }
        if size == 0 || size >= u64::from(u32::MAX) - 8 {
            return Ok(Sizes::Unknown);
        }
        if at + 8 + size > length {
            return Ok(cut("RIFF chunk", at + 8 + size, length));
        }
        at += 8 + size + size % 2;
    }
    Ok(if at == 0 { Sizes::Unknown } else { Sizes::Whole })
}

/// The segment of a Matroska or WebM file.
fn segment(file: &mut File, length: u64) -> std::io::Result<Sizes> {
    const SEGMENT: u32 = 0x1853_8067;
    file.seek(SeekFrom::Start(4))?;
    let Some(header) = variable_size(file)? else { return Ok(Sizes::Unknown) };
    let at = file.stream_position()? + header;
    file.seek(SeekFrom::Start(at))?;
    let mut id = [0; 4];
    file.read_exact(&mut id)?;
    if u32::from_be_bytes(id) != SEGMENT {
        return Ok(Sizes::Unknown);
    }
    let Some(size) = variable_size(file)? else { return Ok(Sizes::Unknown) };
    let end = file.stream_position()?.saturating_add(size);
    Ok(match size {
        0 => Sizes::Unknown,
        _ if end > length => cut("Matroska segment", end, length),
        _ => Sizes::Whole,
    })
}

/// An EBML variable-length size; `None` for the reserved "unknown" (all ones).
fn variable_size(file: &mut File) -> std::io::Result<Option<u64>> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes[..1])?;
    let more = bytes[0].leading_zeros() as usize;
    if more > 7 {
        return Ok(None);
    }
    file.read_exact(&mut bytes[1..=more])?;
    let marked = bytes[..=more].iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    let ones = (1u64 << (7 * (more + 1))) - 1;
    let value = marked & ones;
    Ok((value != ones).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn sizes(bytes: &[u8]) -> Sizes {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        declared_sizes(file.path())
    }

    /// A Matroska file of an empty EBML header and a segment that declares `size` and holds `held` bytes.
    fn matroska(size: &[u8], held: usize) -> Vec<u8> {
        [&[0x1a, 0x45, 0xdf, 0xa3, 0x80, 0x18, 0x53, 0x80, 0x67], size, &vec![0; held][..]].concat()
    }

    #[test]
    fn a_matroska_segment_longer_than_the_file_is_a_cut() {
        assert_eq!(sizes(&matroska(&[0x84], 4)), Sizes::Whole);
        assert!(matches!(sizes(&matroska(&[0x84], 3)), Sizes::Cut(_)));
        assert!(matches!(sizes(&matroska(&[0x01, 0, 0, 0, 0, 0, 0x10, 0], 3)), Sizes::Cut(_)));
        assert_eq!(sizes(&matroska(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 3)), Sizes::Unknown);
    }

    #[test]
    fn an_mp4_box_longer_than_the_file_is_a_cut() {
        let whole = [&[0, 0, 0, 8][..], b"ftyp", &[0, 0, 0, 12], b"mdat", &[0; 4]].concat();
        assert_eq!(sizes(&whole), Sizes::Whole);
        assert!(matches!(sizes(&whole[..19]), Sizes::Cut(_)));
        let to_the_end = [&[0, 0, 0, 8][..], b"ftyp", &[0, 0, 0, 0], b"mdat", &[0; 4]].concat();
        assert_eq!(sizes(&to_the_end), Sizes::Whole);
        let padded = [&whole[..], &[0; 64]].concat();
        assert_eq!(sizes(&padded), Sizes::Whole);
    }

    #[test]
    fn an_avi_shorter_than_its_riff_chunk_is_a_cut() {
        let riff = |size: u32| [b"RIFF", &size.to_le_bytes()[..], b"AVI ", &[0; 8]].concat();
        assert_eq!(sizes(&riff(12)), Sizes::Whole);
        assert!(matches!(sizes(&riff(13)), Sizes::Cut(_)));
        assert_eq!(sizes(&riff(0)), Sizes::Unknown);
        let second = [b"RIFF", &99u32.to_le_bytes()[..], b"AVIX"].concat();
        assert!(matches!(sizes(&[riff(12), second].concat()), Sizes::Cut(_)));
    }

    #[test]
    fn other_files_say_nothing() {
        assert_eq!(sizes(b"just text"), Sizes::Unknown);
        assert_eq!(sizes(b""), Sizes::Unknown);
    }
}
