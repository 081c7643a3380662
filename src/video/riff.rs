//! The chunks of an AVI file (RIFF): whether they lie inside it, whatever size the file declares.
//!
//! Some writers declare a few bytes too many, or leave zeros between the chunks, which FFmpeg reports as an error. Neither
//! takes a picture away.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::sizes::{Sizes, too_long};

/// A chunk, or a list of chunks.
struct Chunk {
    /// Its four letters; of a list those of its kind.
    name: [u8; 4],
    /// First byte behind its size and, of a list, behind its kind.
    start: u64,
    /// First byte behind it, by its declared size.
    end: u64,
}

/// Compares the sizes that the RIFF chunks of an AVI declare with the file's: one, or several of about a gigabyte each.
pub fn declared_sizes(file: &mut File, length: u64) -> std::io::Result<Sizes> {
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
        let end = at + 8 + size;
        if end > length {
            let sign = too_long("RIFF chunk", end, length);
            let chunks = chunks(file, at + 12, length)?;
            let pictures = chunks.iter().any(|chunk| &chunk.name == b"movi" && chunk.end > chunk.start);
            let inside =
                chunks.last().is_some_and(|last| last.end + last.end % 2 >= length && last.end <= length);
            return Ok(if pictures && inside { Sizes::TooLarge(sign) } else { Sizes::Cut(sign) });
        }
        at = end + size % 2;
    }
    Ok(if at == 0 { Sizes::Unknown } else { Sizes::Whole })
}

/// The chunks from `at` on, up to one that ends at `limit` or behind it, or to what is no chunk.
fn chunks(file: &mut File, mut at: u64, limit: u64) -> std::io::Result<Vec<Chunk>> {
    let mut reader = BufReader::new(file);
    let mut found = Vec::new();
    reader.seek(SeekFrom::Start(at))?;
    while at + 8 <= limit {
        let mut first = [0; 1];
        reader.read_exact(&mut first)?;
        if first[0] == 0 {
            // Zeros between chunks.
            at += 1;
            continue;
        }
        let mut head = [first[0], 0, 0, 0, 0, 0, 0, 0];
        reader.read_exact(&mut head[1..])?;
        let mut name = [head[0], head[1], head[2], head[3]];
        if !name.iter().all(|c| c.is_ascii_graphic() || *c == b' ') {
            break;
        }
        let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let (mut start, end) = (at + 8, at + 8 + size);
        if &name == b"LIST" && size >= 4 && start + 4 <= limit {
            reader.read_exact(&mut name)?;
            start += 4;
        }
        found.push(Chunk { name, start, end });
        at = end + size % 2;
        reader.seek(SeekFrom::Start(at))?;
    }
    Ok(found)
}

/// Whether the index of the AVI at `path` names exactly so many pictures, each with a chunk of its size inside the file.
pub fn index_has(path: &Path, pictures: usize) -> bool {
    let read = || -> std::io::Result<bool> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let chunks = chunks(&mut file, 12, length)?;
        let named = |name: &[u8; 4]| chunks.iter().find(|chunk| &chunk.name == name && chunk.end <= length);
        let (Some(movi), Some(index)) = (named(b"movi"), named(b"idx1")) else { return Ok(false) };
        let mut entries = vec![0; (index.end - index.start) as usize];
        file.seek(SeekFrom::Start(index.start))?;
        file.read_exact(&mut entries)?;
        let mut found = 0;
        for entry in entries.chunks_exact(16) {
            let word =
                |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
            let (offset, size) = (u64::from(word(8)), u64::from(word(12)));
            if !matches!(&entry[2..4], b"dc" | b"db") || size == 0 {
                continue;
            }
            // Offsets count from the letters "movi", or from the start of the file.
            let mut is_at = |at: u64| -> std::io::Result<bool> {
                let mut head = [0; 8];
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(&mut head)?;
                Ok(head[..4] == entry[..4] && head[4..] == entry[12..] && at + 8 + size <= movi.end)
            };
            if !is_at(movi.start - 4 + offset).unwrap_or(false) && !is_at(offset).unwrap_or(false) {
                return Ok(false);
            }
            found += 1;
        }
        Ok(found == pictures)
    };
    read().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn on_disk(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn sizes(bytes: &[u8]) -> Sizes {
        super::super::damage::declared_sizes(on_disk(bytes).path())
    }

    fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&name[..], &(body.len() as u32).to_le_bytes(), body].concat()
    }

    /// An AVI of one picture of four bytes, `gap` between the chunks, whose RIFF declares `more` bytes than there are.
    fn avi(gap: &[u8], more: u32) -> Vec<u8> {
        let movi = chunk(b"LIST", &[&b"movi"[..], &chunk(b"00dc", &[1, 2, 3, 4])].concat());
        let entry = [&b"00dc"[..], &[0; 4], &4u32.to_le_bytes(), &4u32.to_le_bytes()].concat();
        let body = [&b"AVI "[..], gap, &movi, gap, &chunk(b"idx1", &entry)].concat();
        [&b"RIFF"[..], &(body.len() as u32 + more).to_le_bytes(), &body].concat()
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
    fn a_riff_chunk_declared_too_large_is_whole_if_its_chunks_are() {
        assert_eq!(sizes(&avi(&[], 0)), Sizes::Whole);
        assert!(matches!(sizes(&avi(&[], 8)), Sizes::TooLarge(_)));
        assert!(matches!(sizes(&avi(&[0; 3], 1)), Sizes::TooLarge(_)));
        let whole = avi(&[], 0);
        for missing in 1..whole.len() - 12 {
            // Between the pictures and the index nothing of a picture is missing.
            let index_gone = missing == 24;
            let cut = sizes(&whole[..whole.len() - missing]);
            assert_eq!(matches!(cut, Sizes::Cut(_)), !index_gone, "{missing}: {cut:?}");
        }
    }

    #[test]
    fn an_index_is_held_against_the_chunks() {
        for gap in [&[][..], &[0; 5]] {
            let bytes = avi(gap, 0);
            assert!(index_has(on_disk(&bytes).path(), 1));
            assert!(!index_has(on_disk(&bytes).path(), 2));
            assert!(!index_has(on_disk(&bytes[..bytes.len() - 1]).path(), 1));
            let mut other = bytes.clone();
            let at = bytes.windows(4).position(|four| four == b"00dc").unwrap();
            other[at + 4] = 5;
            assert!(!index_has(on_disk(&other).path(), 1));
        }
    }
}
