//! The tags of an FLV file, and what lies behind the last one.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Whether the FLV at `path` is a run of whole tags, each with its size behind it as the format wants, and then zeros to the
/// end: recorders reserve space that they do not fill.
pub fn only_zeros_behind_tags(path: &Path) -> bool {
    let read = || -> std::io::Result<bool> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut reader = BufReader::new(file);
        let mut head = [0; 9];
        reader.read_exact(&mut head)?;
        // Behind the header stands the size of the tag before the first one.
        let mut at = u64::from(u32::from_be_bytes([head[5], head[6], head[7], head[8]])) + 4;
        let first = at;
        reader.seek(SeekFrom::Start(at))?;
        while at + 15 <= length {
            let mut tag = [0; 11];
            reader.read_exact(&mut tag)?;
            // Sound, pictures, metadata.
            if !matches!(tag[0] & 0x1f, 8 | 9 | 18) {
                reader.seek_relative(-11)?;
                break;
            }
            let size = u32::from_be_bytes([0, tag[1], tag[2], tag[3]]);
            let mut again = [0; 4];
            reader.seek_relative(i64::from(size))?;
            reader.read_exact(&mut again)?;
            if u32::from_be_bytes(again) != size + 11 {
                return Ok(false);
            }
            at += u64::from(size) + 15;
        }
        let mut rest = reader.bytes();
        Ok(&head[..3] == b"FLV" && at > first && rest.all(|byte| byte.is_ok_and(|byte| byte == 0)))
    };
    read().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn zeros_count_behind_whole_tags_alone() {
        let ask = |bytes: &[u8]| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(bytes).unwrap();
            only_zeros_behind_tags(file.path())
        };
        let head = b"FLV\x01\x01\0\0\0\x09\0\0\0\0";
        let tag = b"\x09\0\0\x02\0\0\0\0\0\0\0\x17\x01\0\0\0\x0d";
        let zeros = [0; 40];
        assert!(ask(&[&head[..], tag, tag, &zeros].concat()));
        assert!(ask(&[&head[..], tag, tag].concat()));
        // A tag whose end was overwritten, one behind the zeros, no tag at all.
        assert!(!ask(&[&head[..], tag, &tag[..13], &zeros].concat()));
        assert!(!ask(&[&head[..], tag, &zeros, tag].concat()));
        assert!(!ask(&[&head[..], &zeros].concat()));
        assert!(!ask(b"FLV"));
    }
}
