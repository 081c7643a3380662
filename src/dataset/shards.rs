//! The datasets of one run, its shards, read as one in the order of the inputs.
//!
//! That they are one run's, all of them and complete, is checked before a row is given. A piece is walked part by part,
//! a .parquet part a batch of rows at a time; where a later part says something else of an input, that is what is given.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use crate::dataset::part::{Rows, open_rows, read_inputs, rows_of};
use crate::dataset::{Dataset, Done, Entry, FailedInput, MANIFEST, Manifest, read_ledger};
use crate::files::{FileError, display_path};
use crate::rows::{Dims, Part};

/// All pieces of a run.
#[derive(Debug)]
pub struct Pieces {
    /// At least one.
    pieces: Vec<Dataset>,
    /// One shard looked at by itself: the others' inputs are not missed.
    alone: bool,
    whole: Manifest,
    parts: Vec<Part>,
    dims: Dims,
}

impl Pieces {
    /// Opens datasets, or folders of the shards of one, and checks that they are the whole of one run.
    ///
    /// # Errors
    /// `Read` if one is no dataset, of another run, missing, twice there, or not finished.
    pub fn open(paths: &[PathBuf]) -> Result<Self, FileError> {
        let mut pieces = Vec::new();
        for path in paths {
            for folder in folders(path)? {
                pieces.push(Dataset::read(&folder)?);
            }
        }
        let Some(first) = pieces.first() else {
            return Err(FileError::Usage("nothing to read: name datasets or folders of shards".into()));
        };
        let whole = first.manifest().whole();
        for piece in &pieces[1..] {
            let differences = whole.differences(&piece.manifest().whole());
            if !differences.is_empty() {
                let reason = format!(
                    "it is of another run than {} ({})",
                    display_path(first.folder()),
                    differences.join("; ")
                );
                return Err(FileError::read(piece.folder(), reason));
            }
        }
        check_shards(&pieces)?;
        Self::finished(pieces, false)
    }

    /// Opens what is at `path`: a dataset, one shard too, or a folder of all shards.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_one(path: &Path) -> Result<Self, FileError> {
        if !Dataset::is_at(path) {
            return Self::open(&[path.to_path_buf()]);
        }
        let piece = Dataset::read(path)?;
        let alone = piece.manifest().shard.is_some();
        Self::finished(vec![piece], alone)
    }

    fn finished(pieces: Vec<Dataset>, alone: bool) -> Result<Self, FileError> {
        pieces.iter().try_for_each(check_finished)?;
        let whole = pieces[0].manifest().whole();
        let (parts, dims) = pieces[0].layout()?;
        Ok(Self { pieces, alone, whole, parts, dims })
    }

    /// The manifest of the whole run.
    pub fn manifest(&self) -> &Manifest {
        &self.whole
    }

    /// The parts of a row and their sizes.
    pub fn layout(&self) -> (&[Part], Dims) {
        (&self.parts, self.dims)
    }

    /// Hands on every input of the run, in order.
    ///
    /// # Errors
    /// `Read` if a part is damaged or an input is missing or there twice; else what `each` returns.
    pub fn each(&self, mut each: impl FnMut(Done) -> Result<(), FileError>) -> Result<(), FileError> {
        let mut cursors = self
            .pieces
            .iter()
            .map(|piece| Cursor::new(piece, &self.parts, self.dims))
            .collect::<Result<Vec<_>, _>>()?;
        // The next index of each piece, and whose it is.
        let mut heads = BTreeMap::new();
        for (at, cursor) in cursors.iter_mut().enumerate() {
            advance(cursor, at, &mut heads)?;
        }
        let mut expected = 0;
        while let Some((index, (at, done))) = heads.pop_first() {
            if index != expected && !self.alone {
                let reason = format!("input {expected} is missing; run the same lift embed again");
                return Err(FileError::read(cursors[at].dataset.folder(), reason));
            }
            expected += 1;
            each(done)?;
            advance(&mut cursors[at], at, &mut heads)?;
        }
        let count = if self.alone { self.pieces[0].manifest().own_inputs() } else { self.whole.inputs.count };
        if expected == count {
            return Ok(());
        }
        let reason = format!("it ends after {expected} of {count} inputs; run the same lift embed again");
        Err(FileError::read(self.pieces[0].folder(), reason))
    }
}

fn advance(
    cursor: &mut Cursor,
    at: usize,
    heads: &mut BTreeMap<usize, (usize, Done)>,
) -> Result<(), FileError> {
    if let Some(done) = cursor.next()? {
        let index = done.entry.index;
        if heads.insert(index, (at, done)).is_some() {
            let reason = format!("input {index} is in another piece too");
            return Err(FileError::read(cursor.dataset.folder(), reason));
        }
    }
    Ok(())
}

/// The datasets at a path: itself, or its shards.
fn folders(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    if Dataset::is_at(path) {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = std::fs::read_dir(path).map_err(|e| FileError::read(path, e.to_string()))?;
    let mut shards: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| Dataset::is_at(p)).collect();
    shards.sort();
    if shards.is_empty() {
        let reason =
            format!("it is no dataset and holds none (no {MANIFEST}); name what lift embed -o DIR/ filled");
        return Err(FileError::read(path, reason));
    }
    Ok(shards)
}

/// Checks that every shard is there once.
fn check_shards(pieces: &[Dataset]) -> Result<(), FileError> {
    let count = pieces[0].manifest().shard.map_or(1, |shard| shard.count);
    let mut seen: Vec<Option<&Path>> = vec![None; count];
    for piece in pieces {
        let shard = piece.manifest().shard;
        let (index, of) = shard.map_or((0, 1), |shard| (shard.index, shard.count));
        let reason = match seen.get(index) {
            _ if of != count => format!("it is one of {of} shards, the first piece one of {count}"),
            Some(Some(other)) => format!("shard {index} is {} already", display_path(other)),
            Some(None) => {
                seen[index] = Some(piece.folder());
                continue;
            }
            None => format!("there is no shard {index} of {count}"),
        };
        return Err(FileError::read(piece.folder(), reason));
    }
    let missing: Vec<String> =
        seen.iter().enumerate().filter(|(_, s)| s.is_none()).map(|(i, _)| i.to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "of {count} shards these are missing: {}; run them with --shard {}/{count} and so on",
        missing.join(", "),
        missing[0]
    );
    let beside = pieces[0].folder();
    let run = beside.parent().filter(|run| !run.as_os_str().is_empty()).unwrap_or(beside);
    Err(FileError::read(run, reason))
}

/// Checks that every part of the inputs is there.
fn check_finished(piece: &Dataset) -> Result<(), FileError> {
    let there = piece.parts()?;
    let base = piece.base_parts();
    let missing: Vec<usize> = (0..base).filter(|n| there.binary_search(n).is_err()).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let reason = format!(
        "it is not finished: {} of {base} parts are missing, the first is number {first}; run the same lift embed again",
        missing.len()
    );
    Err(FileError::read(piece.folder(), reason))
}

/// A walk over one piece.
struct Cursor<'a> {
    dataset: &'a Dataset,
    parts: &'a [Part],
    dims: Dims,
    /// Parts of the inputs not yet opened.
    numbers: std::ops::Range<usize>,
    open: Option<OpenPart>,
    /// The later part that has the last word on an input.
    later: HashMap<usize, usize>,
    /// The later part looked into last, by input.
    looked: Option<(usize, HashMap<usize, Done>)>,
}

struct OpenPart {
    path: PathBuf,
    entries: VecDeque<Entry>,
    failures: HashMap<usize, FailedInput>,
    rows: Rows,
}

impl<'a> Cursor<'a> {
    fn new(dataset: &'a Dataset, parts: &'a [Part], dims: Dims) -> Result<Self, FileError> {
        let base = dataset.base_parts();
        let mut later = HashMap::new();
        for number in dataset.later_parts()? {
            let ledger = read_ledger(&dataset.part(number))?;
            later.extend(ledger.entries.iter().map(|e| (e.index, number)));
        }
        Ok(Self { dataset, parts, dims, numbers: 0..base, open: None, later, looked: None })
    }

    fn next(&mut self) -> Result<Option<Done>, FileError> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(number) = self.numbers.next() else { return Ok(None) };
                let path = self.dataset.part(number);
                let ledger = read_ledger(&path)?;
                let rows = open_rows(&path, self.parts, self.dims)?;
                let failures = ledger.failures.into_iter().map(|f| (f.failure.clip.index, f)).collect();
                self.open = Some(OpenPart { path, entries: ledger.entries.into(), failures, rows });
                continue;
            };
            let Some(entry) = open.entries.pop_front() else {
                self.open = None;
                continue;
            };
            let rows = rows_of(&open.path, &entry, &mut open.rows)?;
            let failure = open.failures.remove(&entry.index);
            if let Some(&number) = self.later.get(&entry.index) {
                return self.look(number, entry.index).map(Some);
            }
            return Ok(Some(Done::new(entry, rows, failure)));
        }
    }

    /// What a later part says of an input.
    fn look(&mut self, number: usize, index: usize) -> Result<Done, FileError> {
        let path = self.dataset.part(number);
        if self.looked.as_ref().is_none_or(|(looked, _)| *looked != number) {
            let inputs = read_inputs(&path, self.parts, self.dims)?;
            self.looked = Some((number, inputs.into_iter().map(|done| (done.entry.index, done)).collect()));
        }
        let done = self.looked.as_mut().and_then(|(_, inputs)| inputs.remove(&index));
        done.ok_or_else(|| FileError::read(&path, format!("input {index} stands twice in the ledgers")))
    }
}
