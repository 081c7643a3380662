//! The tracks of an MP4 that accompany another one: alpha planes, depth maps, thumbnails.
//!
//! They are video to a decoder, and FFmpeg ranks them with the pictures that they belong to. The file says what they are in
//! its movie box (`moov`): by the track's handler (`auxv`: auxiliary video, ISO/IEC 23008-12) or by the kind of its reference to
//! the other track (`tref`, ISO/IEC 14496-12 8.3.3). Only the heads of boxes are read, never the tables of samples.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// The reference from a track to the one that it accompanies: an alpha plane or the like, thumbnails, depth, parallax.
const REFERENCES: [&[u8; 4]; 4] = [b"auxl", b"thmb", b"vdep", b"vplx"];

/// More boxes than any movie has beside each other: where a damaged file is given up.
const MOST_BOXES: usize = 1 << 16;

/// The ids of the tracks that accompany another one; none where the file cannot be read so.
#[must_use]
pub fn accompanying(path: &Path) -> Vec<i64> {
    let read = || -> io::Result<Vec<i64>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut found = Vec::new();
        for (_, movie) in boxes(&mut file, 0..length, &[b"moov"])? {
            for (_, track) in boxes(&mut file, movie, &[b"trak"])? {
                found.extend(accompanies(&mut file, track)?);
            }
        }
        Ok(found)
    };
    read().unwrap_or_default()
}

/// The id of the track in these bytes, if it accompanies another.
fn accompanies(file: &mut File, track: Range<u64>) -> io::Result<Option<i64>> {
    let (mut id, mut second) = (None, false);
    for (kind, inner) in boxes(file, track, &[b"tkhd", b"tref", b"mdia"])? {
        match &kind {
            b"tkhd" => {
                // The version decides how wide the two times before the id are.
                let wide = field(file, inner.start)?[0] == 1;
                let at = inner.start + if wide { 20 } else { 12 };
                id = Some(i64::from(u32::from_be_bytes(field(file, at)?)));
            }
            b"tref" => second |= !boxes(file, inner, &REFERENCES)?.is_empty(),
            _ => {
                for (_, handler) in boxes(file, inner, &[b"hdlr"])? {
                    second |= &field(file, handler.start + 8)? == b"auxv";
                }
            }
        }
    }
    Ok(id.filter(|_| second))
}

/// Four bytes of the file.
fn field(file: &mut File, at: u64) -> io::Result<[u8; 4]> {
    let mut bytes = [0; 4];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The boxes of these kinds directly within a part of the file: the kind, and where the content lies.
fn boxes(file: &mut File, part: Range<u64>, kinds: &[&[u8; 4]]) -> io::Result<Vec<([u8; 4], Range<u64>)>> {
    let (mut at, mut found) = (part.start, Vec::new());
    for _ in 0..MOST_BOXES {
        if at + 8 > part.end {
            break;
        }
        let (size, kind) = (u32::from_be_bytes(field(file, at)?), field(file, at + 4)?);
        let (head, size) = match size {
            0 => (8, part.end - at),
            1 => {
                let mut bytes = [0; 8];
                file.seek(SeekFrom::Start(at + 8))?;
                file.read_exact(&mut bytes)?;
                (16, u64::from_be_bytes(bytes))
            }
            size => (8, u64::from(size)),
        };
        let end = at.saturating_add(size);
        if size < head || end > part.end {
            break;
        }
        if kinds.contains(&&kind) {
            found.push((kind, at + head..end));
        }
        at = end;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn one(kind: &[u8; 4], content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        [&(content.len() as u32 + 8).to_be_bytes()[..], kind, &content].concat()
    }

    fn track(id: u8, handler: &[u8; 4], reference: Option<&[u8; 4]>) -> Vec<u8> {
        let header = one(b"tkhd", &[&[0; 12], &[0, 0, 0, id], &[0; 8]]);
        let reference = reference.map_or(vec![], |kind| one(b"tref", &[&one(kind, &[&[0, 0, 0, 1]])]));
        let media = one(b"mdia", &[&one(b"hdlr", &[&[0; 8], handler, &[0; 13]])]);
        one(b"trak", &[&header, &reference, &media])
    }

    fn found(bytes: &[u8]) -> Vec<i64> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        accompanying(file.path())
    }

    #[test]
    fn alpha_thumbnails_and_depth_accompany_and_chapters_do_not() {
        let tracks = [
            track(1, b"pict", None),
            track(2, b"auxv", Some(b"auxl")),
            track(3, b"vide", Some(b"thmb")),
            track(4, b"vide", Some(b"vdep")),
            track(5, b"vide", Some(b"chap")),
            track(6, b"auxv", None),
        ];
        let movie = one(b"moov", &[&one(b"mvhd", &[&[0; 100]]), &tracks.concat()]);
        let file = [one(b"ftyp", &[b"avis"]), movie.clone(), one(b"mdat", &[&[0; 9]])].concat();
        assert_eq!(found(&file), [2, 3, 4, 6]);
        // Wherever it is cut, it gives what is there or nothing.
        for cut in 0..file.len() {
            assert!([vec![], vec![2, 3, 4, 6]].contains(&found(&file[..cut])), "{cut}");
        }
    }

    #[test]
    fn a_track_header_with_wide_times_is_read() {
        let header = one(b"tkhd", &[&[1, 0, 0, 0], &[0; 16], &[0, 0, 0, 7], &[0; 8]]);
        let media = one(b"mdia", &[&one(b"hdlr", &[&[0; 8], b"auxv", &[0; 13]])]);
        assert_eq!(found(&one(b"moov", &[&one(b"trak", &[&header, &media])])), [7]);
    }

    #[test]
    fn what_is_no_movie_has_no_tracks() {
        assert_eq!(found(b""), [0_i64; 0]);
        assert_eq!(found(b"just text"), [0_i64; 0]);
        assert_eq!(found(&[0; 64]), [0_i64; 0]);
        assert_eq!(found(&[0xff; 64]), [0_i64; 0]);
    }
}
