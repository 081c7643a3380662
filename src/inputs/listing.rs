//! The inputs of a run, numbered, on disk: a million of them take no more memory than a hundred.
//!
//! They are written to a file without a name as they are found, mapped, and read from there as often as wanted. That no id
//! stands twice is checked by their digests, a slice of all at a time.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use memmap2::Mmap;
use sha2::{Digest, Sha256};

use super::error::InputsError;
use super::expand::is_absent;
use super::input::{Columns, Found, Input, Range, Sink};
use super::list::{bytes_of, path_of};
use crate::files::display_path;

/// Digests of ids compared at a time: 32 MB.
const SLICE: usize = 1 << 21;

/// The first bytes of an id's SHA-256: two ids that share them are one id, for all anyone will ever see.
pub(crate) type IdDigest = [u8; 16];

/// The videos of a run, and what should be said about the arguments.
#[derive(Debug, Clone)]
pub struct InputList {
    records: Arc<Mmap>,
    count: usize,
    digest: String,
    absolute_digest: String,
    ranges: bool,
    kept_columns: Arc<[String]>,
    /// Lines for standard error: folders without videos, folders that could not be read.
    pub notes: Vec<String>,
}

impl InputList {
    /// How many there are; at least one.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Never: an empty one is an error where it would be made.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// SHA-256 over ids, paths, ranges and the values of kept columns in their order, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// As [`digest`](Self::digest), with absolute paths: the same for `./clips` and its absolute path.
    pub fn absolute_digest(&self) -> &str {
        &self.absolute_digest
    }

    /// Whether an input has a start or an end.
    pub fn has_ranges(&self) -> bool {
        self.ranges
    }

    /// Whether any of the files is there.
    pub fn any_exists(&self) -> bool {
        self.iter().any(|input| !is_absent(&input.path))
    }

    /// The inputs in order.
    pub fn iter(&self) -> InputIter {
        InputIter {
            records: self.records.clone(),
            kept_columns: self.kept_columns.clone(),
            at: 0,
            index: 0,
            count: self.count,
        }
    }
}

impl IntoIterator for &InputList {
    type Item = Input;
    type IntoIter = InputIter;

    fn into_iter(self) -> InputIter {
        self.iter()
    }
}

/// The inputs of a [`InputList`], one after the other.
#[derive(Debug, Clone)]
pub struct InputIter {
    records: Arc<Mmap>,
    kept_columns: Arc<[String]>,
    at: usize,
    index: usize,
    count: usize,
}

impl Iterator for InputIter {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        if self.index == self.count {
            return None;
        }
        let mut record = self.records.get(self.at..)?;
        let before = record.len();
        let Found { id, path, start, end, columns } = decode(&mut record, &self.kept_columns)?;
        self.at += before - record.len();
        self.index += 1;
        Some(Input { index: self.index - 1, id, path, start, end, columns })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count - self.index, Some(self.count - self.index))
    }
}

impl ExactSizeIterator for InputIter {}

/// A listing being made.
pub(super) struct Collector {
    records: BufWriter<File>,
    ids: BufWriter<File>,
    digest: Sha256,
    absolute: Sha256,
    /// What relative paths start at; empty if the system does not know it.
    working: PathBuf,
    count: usize,
    range: Range,
    kept_columns: Arc<[String]>,
    /// Whether a clip has a start or an end.
    ranges: bool,
    /// The first thing that went wrong: whoever finds videos cannot be stopped in the middle.
    error: Option<InputsError>,
}

impl Collector {
    /// An empty one; `range` is taken by the clips without a range of their own, and of lists the columns `keep` are kept.
    pub(super) fn new(range: Range, keep: &[String]) -> Result<Self, InputsError> {
        let file = || tempfile::tempfile().map(BufWriter::new).map_err(InputsError::Spool);
        let (digest, absolute) = (Sha256::new(), Sha256::new());
        let working = std::env::current_dir().unwrap_or_default();
        let (records, ids) = (file()?, file()?);
        let kept_columns = keep.into();
        let (count, ranges, error) = (0, false, None);
        Ok(Self { records, ids, digest, absolute, working, count, range, kept_columns, ranges, error })
    }

    fn write(&mut self, found: &Found) -> io::Result<()> {
        let record = encode(found, &self.kept_columns);
        self.digest.update(&record);
        let path = self.working.join(&found.path);
        let path = std::path::absolute(&path).unwrap_or(path);
        self.absolute.update(encode(&Found { path, ..found.clone() }, &self.kept_columns));
        self.records.write_all(&record)?;
        self.ids.write_all(&id_digest(&found.id))
    }

    /// Ends it.
    ///
    /// # Errors
    /// If there is no video, an id stands twice, a clip ends before it starts, or the temporary folder is full.
    pub(super) fn finish(self, notes: Vec<String>) -> Result<InputList, InputsError> {
        let (listing, ids) = self.end(notes)?;
        match repeated(ids, listing.count).map_err(InputsError::Spool)? {
            None => Ok(listing),
            Some(digest) => Err(same_id(&listing, digest)),
        }
    }

    /// Ends it where ids may stand twice.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub(super) fn finish_with_any_ids(self, notes: Vec<String>) -> Result<InputList, InputsError> {
        self.end(notes).map(|(listing, _)| listing)
    }

    /// The listing, and the digests of its ids.
    fn end(self, notes: Vec<String>) -> Result<(InputList, File), InputsError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.count == 0 {
            return Err(InputsError::NoVideos(notes));
        }
        let into_file = |w: BufWriter<File>| w.into_inner().map_err(|e| InputsError::Spool(e.into_error()));
        let records = into_file(self.records)?;
        // SAFETY: the file has no name and is ours alone, so nobody shortens it while it is mapped.
        let records = unsafe { Mmap::map(&records) }.map_err(InputsError::Spool)?;
        let digest = crate::files::hexadecimal(&self.digest.finalize());
        let absolute_digest = crate::files::hexadecimal(&self.absolute.finalize());
        let (records, count, ranges, kept_columns) =
            (Arc::new(records), self.count, self.ranges, self.kept_columns);
        let listing = InputList { records, count, digest, absolute_digest, ranges, kept_columns, notes };
        Ok((listing, into_file(self.ids)?))
    }
}

impl Sink for Collector {
    fn take(&mut self, mut found: Found) {
        if self.error.is_some() {
            return;
        }
        found.start = found.start.or(self.range.start);
        found.end = found.end.or(self.range.end);
        self.ranges |= found.start.is_some() || found.end.is_some();
        if let (Some(start), Some(end)) = (found.start, found.end)
            && end < start
        {
            self.error = Some(InputsError::EndBeforeStart { path: display_path(&found.path), start, end });
        } else if let Err(e) = self.write(&found) {
            self.error = Some(InputsError::Spool(e));
        }
        self.count += 1;
    }

    fn count(&self) -> usize {
        self.count
    }

    fn kept_columns(&self) -> &[String] {
        &self.kept_columns
    }
}

/// The digest of an id.
pub(crate) fn id_digest(id: &str) -> IdDigest {
    let mut short = IdDigest::default();
    short.copy_from_slice(&Sha256::digest(id)[..size_of::<IdDigest>()]);
    short
}

/// An id's digest that stands twice among `count`, if one does.
fn repeated(mut ids: File, count: usize) -> io::Result<Option<IdDigest>> {
    let slices = count.div_ceil(SLICE) as u32;
    let slice_of = |d: &IdDigest| u32::from_le_bytes([d[0], d[1], d[2], d[3]]) % slices;
    for slice in 0..slices {
        ids.rewind()?;
        let mut reader = BufReader::with_capacity(1 << 16, &ids);
        let mut seen = HashSet::new();
        let mut digest = IdDigest::default();
        for _ in 0..count {
            reader.read_exact(&mut digest)?;
            if slice_of(&digest) == slice && !seen.insert(digest) {
                return Ok(Some(digest));
            }
        }
    }
    Ok(None)
}

fn same_id(listing: &InputList, digest: IdDigest) -> InputsError {
    let mut twins = listing.iter().filter(|input| id_digest(&input.id) == digest);
    let (first, second) = (twins.next(), twins.next());
    if let (Some(first), Some(second)) = (&first, &second)
        && first.path == second.path
    {
        let path = display_path(&first.path);
        let Input { start, end, .. } = *first;
        return match (start, end) == (second.start, second.end) {
            true => InputsError::Twice { path, start, end },
            false => InputsError::SameIdOfClips { id: first.id.clone(), path },
        };
    }
    let shown = |input: &Option<Input>| input.as_ref().map_or(String::new(), |i| display_path(&i.path));
    InputsError::SameId {
        first: shown(&first),
        second: shown(&second),
        id: first.map(|i| i.id).unwrap_or_default(),
    }
}

/// A record: id and path, each behind its length, the two ends of the range, absent ones as NaN, and the values of the columns `kept`,
/// each behind its length, absent ones as empty.
fn encode(found: &Found, kept: &[String]) -> Vec<u8> {
    let path = bytes_of(&found.path);
    let mut record = Vec::with_capacity(24 + found.id.len() + path.len());
    let put = |record: &mut Vec<u8>, bytes: &[u8]| {
        record.extend((bytes.len() as u32).to_le_bytes());
        record.extend(bytes);
    };
    put(&mut record, found.id.as_bytes());
    put(&mut record, &path);
    for bound in [found.start, found.end] {
        record.extend(bound.unwrap_or(f64::NAN).to_le_bytes());
    }
    for name in kept {
        put(&mut record, found.columns.get(name).map_or(&[], |value| value.as_bytes()));
    }
    record
}

fn decode(record: &mut &[u8], kept: &[String]) -> Option<Found> {
    let bytes = |record: &mut &[u8]| {
        let (length, rest) = record.split_first_chunk::<4>()?;
        let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        *record = rest;
        Some(bytes.to_vec())
    };
    let text = |record: &mut &[u8]| String::from_utf8(bytes(record)?).ok();
    let id = text(record)?;
    let path: PathBuf = path_of(&bytes(record)?);
    let bound = |record: &mut &[u8]| {
        let (number, rest) = record.split_first_chunk::<8>()?;
        *record = rest;
        Some(Some(f64::from_le_bytes(*number)).filter(|b| !b.is_nan()))
    };
    let (start, end) = (bound(record)?, bound(record)?);
    let mut columns = Columns::new();
    for name in kept {
        let value = text(record)?;
        if !value.is_empty() {
            columns.insert(name.clone(), value);
        }
    }
    Some(Found { id, path, start, end, columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: &str, start: Option<f64>) -> Found {
        let path = format!("{id}.mp4").into();
        Found { id: id.into(), path, start, end: None, columns: Columns::new() }
    }

    fn listing(items: &[Found]) -> Result<InputList, InputsError> {
        let mut collector = Collector::new(Range::default(), &[]).unwrap();
        items.iter().for_each(|f| collector.take(f.clone()));
        collector.finish(vec![])
    }

    #[test]
    fn what_goes_in_comes_out_numbered_as_often_as_wanted() {
        let items = [found("a", Some(0.0)), found("", None), found("b\nü", Some(2.5))];
        let listing = listing(&items).unwrap();
        for _ in 0..2 {
            let back: Vec<_> = listing.iter().collect();
            assert_eq!(back.len(), 3);
            for (i, (input, found)) in back.iter().zip(&items).enumerate() {
                assert_eq!((input.index, &input.id, &input.path), (i, &found.id, &found.path));
                assert_eq!((input.start, input.end), (found.start, found.end));
            }
        }
    }

    #[test]
    fn the_digest_tells_ids_paths_ranges_and_order() {
        let digest = |items: &[Found]| listing(items).unwrap().digest().to_string();
        let base = digest(&[found("a", None), found("b", None)]);
        assert_eq!(base, digest(&[found("a", None), found("b", None)]));
        assert_ne!(base, digest(&[found("b", None), found("a", None)]));
        assert_ne!(base, digest(&[found("a", Some(0.0)), found("b", None)]));
    }

    #[test]
    fn one_clip_twice_and_two_clips_of_one_file_have_advice_of_their_own() {
        let said = |items: &[Found]| listing(items).unwrap_err().to_string();
        let twice = said(&[found("a", None), found("b", None), found("a", None)]);
        assert_eq!(twice, "a.mp4 stands twice among the inputs; leave one out");
        let twice = said(&[found("a", Some(1.5)), found("a", Some(1.5))]);
        assert_eq!(twice, "a.mp4 stands twice among the inputs (from 1.5 s); leave one out");
        let clips = said(&[found("a", Some(1.5)), found("a", Some(2.5))]);
        assert!(
            clips.starts_with("two clips of a.mp4 have the id 'a'; give each an id of its own"),
            "{clips}"
        );
    }

    #[test]
    fn an_id_twice_is_found_in_whatever_slice_it_lies() {
        let many: Vec<_> = (0..1000).map(|i| found(&i.to_string(), None)).collect();
        assert_eq!(listing(&many).unwrap().len(), 1000);
        for twin in [0, 999] {
            let mut twins = many.clone();
            twins.push(Found { path: "other.mp4".into(), ..found(&twin.to_string(), None) });
            let error = listing(&twins).unwrap_err().to_string();
            assert!(error.contains(&format!("{twin}.mp4")) && error.contains("other.mp4"), "{error}");
        }
    }
}
