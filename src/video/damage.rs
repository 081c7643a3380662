//! Whether the end of a file is missing, from the sizes its own headers declare.
//!
//! FFmpeg reads a cut file to a plain end of file and reports no error. Some containers declare their own length up front:
//! Matroska and WebM (the segment), MP4 and MOV (the top boxes), AVI (the RIFF chunks). A file shorter than that has lost its
//! end, or its writer declared a few bytes too many. The content decides: if every part of it lies inside the file, the
//! file is whole. A size of zero or "unknown", as live recordings write, declares nothing.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::riff;
use super::sizes::{Sizes, too_long};

/// Boxes that an MP4 or a QuickTime movie may begin with.
const TOP_BOXES: [&[u8; 4]; 6] = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"];

/// Boxes without which pictures are missing: the index, and the parts of it in a fragmented file.
const INDEX_BOXES: [&[u8; 4]; 2] = [b"moov", b"moof"];

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
            [b'R', b'I', b'F', b'F', ..] => riff::declared_sizes(&mut file, length),
            [_, _, _, _, kind @ ..] if TOP_BOXES.iter().any(|name| kind.starts_with(name.as_slice())) => {
                boxes(&mut file, length).map(|top| top.sizes)
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
    if let Some(sign) = declared_sizes(path).missing() {
        return Some(sign);
    }
    let top = top_boxes(path)?;
    (!top.index).then(|| "its index (moov) is missing".to_owned())
}

/// The format of a still picture in boxes like those of an MP4 (HEIF, AVIF), if the file is one: it has no index of samples
/// and needs none.
#[must_use]
pub fn still_picture(path: &Path) -> Option<&'static str> {
    top_boxes(path).filter(|top| top.items && !top.index)?;
    let mut head = Vec::new();
    File::open(path).ok()?.take(1024).read_to_end(&mut head).ok()?;
    // The brands stand in the first box, a version among them.
    let (size, kind) = (head.first_chunk::<4>()?, head.get(4..8)?);
    let end = head.len().min(u32::from_be_bytes(*size) as usize);
    let brands: Vec<&[u8]> = head.get(8..end)?.chunks(4).collect();
    let any = |names: &[&[u8; 4]]| names.iter().any(|name| brands.contains(&name.as_slice()));
    // Sequences of pictures have an index.
    let sequence = any(&[b"avis", b"msf1", b"hevc", b"hevx"]);
    match () {
        () if kind != b"ftyp" || sequence => None,
        () if any(&[b"avif"]) => Some("AVIF"),
        () if any(&[b"mif1", b"heic", b"heix", b"heim", b"heis", b"jpeg", b"avci"]) => Some("HEIF"),
        () => None,
    }
}

/// Where the data of the pictures and sounds (`mdat`) of an MP4 lie, if it has an index (`moov`) and every box at the top is whole.
#[must_use]
pub fn media_data(path: &Path) -> Option<Vec<Range<u64>>> {
    top_boxes(path).filter(|top| top.sizes == Sizes::Whole && top.index).map(|top| top.data)
}

/// Whether parts of the index of an MP4 lie beside its samples (`moof`).
#[must_use]
pub fn is_fragmented(path: &Path) -> bool {
    top_boxes(path).is_some_and(|top| top.fragmented)
}

/// What the boxes at the top of an MP4 show.
struct Top {
    sizes: Sizes,
    /// Contents of the boxes that hold the samples (`mdat`).
    data: Vec<Range<u64>>,
    /// There are parts of an index beside the samples (`moof`).
    fragmented: bool,
    /// There is an index of samples (`moov`).
    index: bool,
    /// There are items outside any track (`meta`), as in a still picture.
    items: bool,
}

fn top_boxes(path: &Path) -> Option<Top> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut head = [0; 8];
    file.read_exact(&mut head).ok()?;
    let is_mp4 = TOP_BOXES.iter().any(|name| &head[4..] == name.as_slice());
    is_mp4.then(|| boxes(&mut file, length).ok())?
}

/// Walks the boxes at the top of an MP4.
fn boxes(file: &mut File, length: u64) -> std::io::Result<Top> {
    let mut top = Top { sizes: Sizes::Whole, data: vec![], fragmented: false, index: false, items: false };
    let mut at = 0u64;
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
        top.index |= &kind == b"moov";
        top.items |= &kind == b"meta";
        top.fragmented |= &kind == b"moof";
        let end = at.saturating_add(size);
        if end > length {
            let name = String::from_utf8_lossy(&kind).into_owned();
            let sign = too_long(&format!("'{name}' box"), end, length);
            // A fragment that was cut away takes its own part of the index with it.
            let known = !top.fragmented && !INDEX_BOXES.contains(&&kind);
            top.sizes = if known { Sizes::AskIndex(sign) } else { Sizes::Cut(sign) };
            return Ok(top);
        }
        // The head of a box has 16 bytes at most.
        if &kind == b"mdat" && size > 16 {
            top.data.push(at + 16..end);
        }
        at = end;
    }
    Ok(top)
}

/// The segment of a Matroska or WebM file.
fn segment(file: &mut File, length: u64) -> std::io::Result<Sizes> {
    const SEGMENT: u32 = 0x1853_8067;
    /// Bytes that a cluster with one frame has at least: its own head, a time, and a block with a byte of data.
    const SMALLEST_CLUSTER: u64 = 14;
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
    let start = file.stream_position()?;
    let end = start.saturating_add(size);
    if size == 0 || end <= length {
        return Ok(if size == 0 { Sizes::Unknown } else { Sizes::Whole });
    }
    let sign = too_long("Matroska segment", end, length);
    let whole = end - length < SMALLEST_CLUSTER && elements_end_at(file, start, length).unwrap_or(false);
    Ok(if whole { Sizes::TooLarge(sign) } else { Sizes::Cut(sign) })
}

/// Whether the elements from `at` on, one behind the other, end exactly at `length`.
fn elements_end_at(file: &mut File, mut at: u64, length: u64) -> std::io::Result<bool> {
    while at < length {
        file.seek(SeekFrom::Start(at))?;
        let mut id = [0; 1];
        file.read_exact(&mut id)?;
        let more = i64::from(id[0].leading_zeros());
        if more > 3 {
            return Ok(false);
        }
        file.seek_relative(more)?;
        let Some(size) = variable_size(file)? else { return Ok(false) };
        at = file.stream_position()?.saturating_add(size);
    }
    Ok(at == length)
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
    fn a_matroska_segment_declared_too_large_is_whole_if_its_last_element_is() {
        let void = |held| [&[0xec, 0x82][..], &vec![7; held]].concat();
        let file = |size: u8, body: &[u8]| [matroska(&[0x80 | size], 0), body.to_vec()].concat();
        assert_eq!(sizes(&file(4, &void(2))), Sizes::Whole);
        assert!(matches!(sizes(&file(12, &void(2))), Sizes::TooLarge(_)));
        assert!(matches!(sizes(&file(12, &void(1))), Sizes::Cut(_)));
        assert!(matches!(sizes(&file(4 + 14, &void(2))), Sizes::Cut(_)));
    }

    #[test]
    fn a_still_picture_in_boxes_is_no_movie_without_its_index() {
        let ask = |brand: &[u8; 4], rest: &[u8]| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&[&[0, 0, 0, 20][..], b"ftyp", brand, &[0; 4], b"mif1", rest].concat()).unwrap();
            still_picture(file.path())
        };
        let (items, index) = ([&[0, 0, 0, 8][..], b"meta"].concat(), [&[0, 0, 0, 8][..], b"moov"].concat());
        assert_eq!(ask(b"avif", &items), Some("AVIF"));
        assert_eq!(ask(b"heic", &items), Some("HEIF"));
        assert_eq!(ask(b"avif", &[&items[..], &index].concat()), None);
        assert_eq!(ask(b"avis", &items), None);
        assert_eq!(ask(b"isom", &[]), None);
    }

    #[test]
    fn an_mp4_box_longer_than_the_file_is_a_cut() {
        let whole = [&[0, 0, 0, 8][..], b"ftyp", &[0, 0, 0, 12], b"mdat", &[0; 4]].concat();
        assert_eq!(sizes(&whole), Sizes::Whole);
        assert!(matches!(sizes(&whole[..19]), Sizes::AskIndex(_)));
        let fragmented = [&[0, 0, 0, 8][..], b"moof", &whole[8..]].concat();
        assert!(matches!(sizes(&[&whole[..8], &fragmented[..19]].concat()), Sizes::Cut(_)));
        let index = [&whole[..8], &[0, 0, 0, 99], b"moov"].concat();
        assert!(matches!(sizes(&index), Sizes::Cut(_)));
        let to_the_end = [&[0, 0, 0, 8][..], b"ftyp", &[0, 0, 0, 0], b"mdat", &[0; 4]].concat();
        assert_eq!(sizes(&to_the_end), Sizes::Whole);
        let padded = [&whole[..], &[0; 64]].concat();
        assert_eq!(sizes(&padded), Sizes::Whole);
    }

    #[test]
    fn other_files_declare_nothing() {
        assert_eq!(sizes(b"just text"), Sizes::Unknown);
        assert_eq!(sizes(b""), Sizes::Unknown);
    }
}
