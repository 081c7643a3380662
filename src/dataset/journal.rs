//! The journal of the part that is being written: the results of its inputs, as they come.
//!
//! A part file is complete or absent, and takes a quarter of an hour. So that a run that is killed loses seconds of work, each result
//! also goes to `_journal-00012` at once, and the bytes to the disk every few seconds. The next run makes a partial part of it.
//!
//! | bytes | content |
//! | --- | --- |
//! | 15 | `lift journal 1\n` |
//! | | one record per input: |
//! | 4, 4 | u32: the bytes of the head, the number of values |
//! | | the head: JSON, [`Head`] |
//! | 4 each | f32: the values of the rows, part by part |
//! | 8 | the first bytes of the SHA-256 of all of the record before |
//!
//! Numbers are little-endian. The last record of a killed run may be cut: reading ends at the first record that is not whole.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dataset::ledger::{FailedInput, InputRecord, LedgerEntry};
use crate::files::FileError;
use crate::rows::{ClipMeta, Dims, Part, Row};

const MAGIC: &[u8; 15] = b"lift journal 1\n";

/// Results that are younger than this may be lost if the machine stops; if the process is killed, none is.
const SYNC_AFTER: Duration = Duration::from_secs(3);

/// The bytes of a record's digest.
const DIGEST: usize = 8;

/// What a record says besides the values.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    entry: LedgerEntry,
    rows: Vec<RowHead>,
    failure: Option<(FailedInput, Times)>,
}

/// A row without its values.
#[derive(Debug, Serialize, Deserialize)]
struct RowHead {
    clip: ClipMeta,
    times: Times,
    frames: usize,
}

/// Start, end, frame rate and duration of a clip, as the bits of f64: text would lose the last one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Times([Option<u64>; 4]);

impl Times {
    fn of(clip: &ClipMeta) -> Self {
        Self([clip.start, clip.end, clip.fps, clip.duration].map(|time| time.map(f64::to_bits)))
    }

    fn put_into(self, clip: &mut ClipMeta) {
        let [start, end, fps, duration] = self.0.map(|bits| bits.map(f64::from_bits));
        (clip.start, clip.end, clip.fps, clip.duration) = (start, end, fps, duration);
    }
}

/// A journal that is being written.
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    synced: Instant,
}

impl Journal {
    /// Begins a journal.
    ///
    /// # Errors
    /// `Write` if the disk refuses.
    pub(super) fn create(path: PathBuf) -> Result<Self, FileError> {
        let created = File::create(&path).and_then(|mut file| file.write_all(MAGIC).map(|()| file));
        let file = created.map_err(|e| FileError::write(&path, e))?;
        Ok(Self { file, path, synced: Instant::now() })
    }

    /// Adds the rows of an input.
    ///
    /// # Errors
    /// `Write` if the disk refuses.
    pub(super) fn rows(&mut self, entry: LedgerEntry, rows: &[Row]) -> Result<(), FileError> {
        let head =
            |row: &Row| RowHead { clip: row.clip.clone(), times: Times::of(&row.clip), frames: row.frames };
        let values = rows.iter().flat_map(|row| &row.parts).flat_map(|(_, values)| values.iter().copied());
        self.push(&Head { entry, rows: rows.iter().map(head).collect(), failure: None }, values)
    }

    /// Adds an input that failed.
    ///
    /// # Errors
    /// `Write` if the disk refuses.
    pub(super) fn failure(&mut self, entry: LedgerEntry, failure: &FailedInput) -> Result<(), FileError> {
        let failure = Some((failure.clone(), Times::of(&failure.failure.clip)));
        self.push(&Head { entry, rows: vec![], failure }, std::iter::empty())
    }

    fn push(&mut self, head: &Head, values: impl Iterator<Item = f32>) -> Result<(), FileError> {
        let head = serde_json::to_vec(head).map_err(|e| FileError::write(&self.path, e.into()))?;
        let mut record = (head.len() as u32).to_le_bytes().to_vec();
        record.extend([0; 4]);
        record.extend(head);
        let start = record.len();
        record.extend(values.flat_map(f32::to_le_bytes));
        let count = ((record.len() - start) / size_of::<f32>()) as u32;
        record[4..8].copy_from_slice(&count.to_le_bytes());
        let digest = Sha256::digest(&record);
        record.extend(&digest[..DIGEST]);
        // One call: a process that is killed leaves the record whole, or cut at its end.
        let written = self.file.write_all(&record).and_then(|()| self.sync());
        written.map_err(|e| FileError::write(&self.path, e))
    }

    fn sync(&mut self) -> std::io::Result<()> {
        if self.synced.elapsed() >= SYNC_AFTER {
            self.file.sync_data()?;
            self.synced = Instant::now();
        }
        Ok(())
    }

    /// Removes the journal, whose results are in a part now.
    pub(super) fn remove(self) {
        // Best effort: the next run makes the same of it.
        let _ = fs::remove_file(&self.path);
    }
}

/// The results in a journal, of rows with these parts and sizes, in the order in which they came.
///
/// # Errors
/// `Read` if the file cannot be read. What is cut or damaged ends it.
pub(super) fn read_journal(path: &Path, parts: &[Part], dims: Dims) -> Result<Vec<InputRecord>, FileError> {
    let fail = |e: std::io::Error| FileError::read(path, e.to_string());
    let file = File::open(path).map_err(fail)?;
    let mut left = file.metadata().map_err(fail)?.len();
    let mut file = BufReader::new(file);
    let mut magic = [0; MAGIC.len()];
    let mut records = Vec::new();
    if file.read_exact(&mut magic).is_err() || magic != *MAGIC {
        return Ok(records);
    }
    left -= magic.len() as u64;
    while let Some(record) = next(&mut file, &mut left).map_err(fail)? {
        match parsed(&record, parts, dims) {
            Some(record) => records.push(record),
            None => break,
        }
    }
    Ok(records)
}

/// The next record without its digest, if it is whole; `left` are the bytes of the file that are not read.
fn next(file: &mut impl Read, left: &mut u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut sizes = [[0; 4]; 2];
    if *left < 8 {
        return Ok(None);
    }
    file.read_exact(sizes.as_flattened_mut())?;
    let [head, values] = sizes.map(|size| u64::from(u32::from_le_bytes(size)));
    let rest = head + 4 * values + DIGEST as u64;
    *left -= 8;
    if rest > *left {
        return Ok(None);
    }
    *left -= rest;
    let mut record = sizes.as_flattened().to_vec();
    record.resize(8 + rest as usize, 0);
    file.read_exact(&mut record[8..])?;
    let digest = record.split_off(record.len() - DIGEST);
    Ok((digest == Sha256::digest(&record)[..DIGEST]).then_some(record))
}

fn parsed(record: &[u8], parts: &[Part], dims: Dims) -> Option<InputRecord> {
    let head = u32::from_le_bytes(record.get(..4)?.try_into().ok()?) as usize;
    let (json, values) = record.get(8..)?.split_at_checked(head)?;
    let Head { entry, rows, failure } = serde_json::from_slice(json).ok()?;
    let mut values = values.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four));
    let mut row = |RowHead { mut clip, times, frames }: RowHead| {
        times.put_into(&mut clip);
        let part = |part: &Part| {
            let count: usize = part.shape(frames, dims).iter().product();
            let own: Vec<f32> = values.by_ref().take(count).collect();
            (own.len() == count).then_some((*part, own))
        };
        let parts = parts.iter().map(part).collect::<Option<Vec<_>>>()?;
        Some(Row { clip, window: None, frames, parts })
    };
    let rows = rows.into_iter().map(&mut row).collect::<Option<Vec<_>>>()?;
    let failure = failure.map(|(mut failure, times)| {
        times.put_into(&mut failure.failure.clip);
        failure
    });
    (values.next().is_none() && entry.rows == rows.len()).then(|| InputRecord::new(entry, rows, failure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::InputResult;
    use crate::files::Stamp;
    use crate::rows::testing::{DIMS, failure, row};

    const PARTS: [Part; 2] = [Part::Concat, Part::Frames];

    #[test]
    fn whole_records_come_back_to_the_bit_and_a_cut_one_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("_journal-00000");
        let mut journal = Journal::create(path.clone()).unwrap();
        let mut odd = row(4, 3, &PARTS);
        // One seventeenth has no short decimal text.
        (odd.clip.fps, odd.clip.start) = (Some(30000.0 / 1001.0), Some(1.0 / 17.0));
        let stamp = Some(Stamp { bytes: 9, modified: 1 << 60 });
        let failed = FailedInput { failure: failure(7), attempts: 2 };
        let first = LedgerEntry { index: 4, stamp, rows: 1, content: "0f".repeat(16).parse().ok() };
        journal.rows(first, std::slice::from_ref(&odd)).unwrap();
        journal.failure(LedgerEntry { index: 7, stamp: None, rows: 0, content: None }, &failed).unwrap();
        let last = LedgerEntry { index: 8, stamp: None, rows: 2, content: None };
        journal.rows(last, &[row(8, 3, &PARTS), row(8, 3, &PARTS)]).unwrap();
        let whole = fs::read(&path).unwrap();
        let read = || read_journal(&path, &PARTS, DIMS).unwrap();
        let records = read();
        assert_eq!(records[0].entry, first);
        assert_eq!(records[0].result, InputResult::Rows(vec![odd]));
        assert_eq!(records[1].result, InputResult::Failed(Box::new(failed)));
        assert!(matches!(&records[2].result, InputResult::Rows(rows) if rows.len() == 2));
        for cut in [whole.len() - 1, whole.len() - 100] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(read(), records[..2], "cut at {cut}");
        }
        for cut in [0, 3, MAGIC.len(), MAGIC.len() + 5] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(read(), [], "cut at {cut}");
        }
        let mut flipped = whole;
        flipped[MAGIC.len() + 40] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(read(), [], "the digest notices");
    }
}
