//! Reads the shards of one run as one, in the order of the inputs.
//!
//! Before the first row it is checked that the shards are of one run, complete, and all there. A shard is read part by part, and
//! a .parquet part one batch of rows at a time. Where several parts have an input, the part with the highest number is valid.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::dataset::part::{PartRows, check_made, open_rows, read_inputs, rows_of};
use crate::dataset::sources::input_id;
use crate::dataset::{
    Dataset, FailedInput, InputRecord, InputsDigest, LedgerEntry, MANIFEST, Manifest, read_ledger,
};
use crate::files::{FileError, display_path, hexadecimal};
use crate::rows::{Dims, Part, Provenance};

/// Reads all shards of a run.
#[derive(Debug)]
pub struct ShardReader {
    /// At least one.
    datasets: Vec<Dataset>,
    /// Whether this is one shard of several, read without the others.
    alone: bool,
    whole: Manifest,
    parts: Vec<Part>,
    dims: Dims,
}

impl ShardReader {
    /// Opens datasets, or folders of the shards of one, and checks that they are the whole of one run.
    ///
    /// # Errors
    /// `Read` if one is no dataset, of another run, missing, there twice, or not complete.
    pub fn open(paths: &[PathBuf]) -> Result<Self, FileError> {
        let mut datasets = Vec::new();
        for path in paths {
            for folder in folders(path)? {
                datasets.push(Dataset::read(&folder)?);
            }
        }
        let Some(first) = datasets.first() else {
            return Err(FileError::Usage("nothing to read: name datasets or folders of shards".into()));
        };
        let whole = first.manifest().whole();
        for dataset in &datasets[1..] {
            let differences = whole.differences(&dataset.manifest().whole());
            if !differences.is_empty() {
                let reason = format!(
                    "it is of another run than {} ({})",
                    display_path(first.folder()),
                    differences.join("; ")
                );
                return Err(FileError::read(dataset.folder(), reason));
            }
        }
        check_shards(&datasets)?;
        Self::finished(datasets, false)
    }

    /// Opens the dataset at `path`, which may be one shard, or the folder of all shards.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_one(path: &Path) -> Result<Self, FileError> {
        if !Dataset::is_at(path) {
            return Self::open(&[path.to_path_buf()]);
        }
        let dataset = Dataset::read(path)?;
        let alone = dataset.manifest().shard.is_some();
        Self::finished(vec![dataset], alone)
    }

    fn finished(datasets: Vec<Dataset>, alone: bool) -> Result<Self, FileError> {
        datasets.iter().try_for_each(check_finished)?;
        let kept = datasets.iter().filter_map(|dataset| dataset.manifest().kept.clone());
        let kept = kept.reduce(|one, other| InputsDigest {
            count: one.count + other.count,
            sha256: hexadecimal(&Sha256::digest(one.sha256 + &other.sha256)),
            ..InputsDigest::default()
        });
        let whole = Manifest { kept, ..datasets[0].manifest().whole() };
        let (parts, dims) = datasets[0].layout()?;
        Ok(Self { datasets, alone, whole, parts, dims })
    }

    /// The manifest of the whole run.
    pub fn manifest(&self) -> &Manifest {
        &self.whole
    }

    /// The parts of a row and their sizes.
    pub fn layout(&self) -> (&[Part], Dims) {
        (&self.parts, self.dims)
    }

    /// Passes every input of the run to `each`, in order: those of the list, then those that are kept though they are in the list no more,
    /// in the order of their ids.
    ///
    /// # Errors
    /// `Read` if a part is damaged, an input is missing or there twice, or a dataset is updated meanwhile; else what `each` returns.
    pub fn each(&self, each: impl FnMut(InputRecord) -> Result<(), FileError>) -> Result<(), FileError> {
        let read = self.read_each(each);
        for dataset in &self.datasets {
            if Dataset::read(dataset.folder())?.manifest() != dataset.manifest() {
                let reason = "it was updated while it was read; run the command again";
                return Err(FileError::read(dataset.folder(), reason));
            }
        }
        read
    }

    fn read_each(&self, mut each: impl FnMut(InputRecord) -> Result<(), FileError>) -> Result<(), FileError> {
        let mut cursors = self
            .datasets
            .iter()
            .map(|dataset| Cursor::new(dataset, &self.parts, self.dims))
            .collect::<Result<Vec<_>, _>>()?;
        let (mut heads, listed) = (BTreeMap::new(), self.whole.inputs.count);
        for (at, cursor) in cursors.iter_mut().enumerate() {
            advance(cursor, at, listed, &mut heads)?;
        }
        let mut expected = 0;
        while let Some(((index, _), (at, mut done))) = heads.pop_first() {
            if index == listed {
                // Each shard numbers those that it keeps itself.
                done = if self.alone { done } else { done.at(expected) };
            } else if index != expected && !self.alone {
                let reason = format!("input {expected} is missing; run the same lift embed again");
                return Err(FileError::read(cursors[at].dataset.folder(), reason));
            }
            expected += 1;
            each(done)?;
            advance(&mut cursors[at], at, listed, &mut heads)?;
        }
        let count = if self.alone { self.datasets[0].manifest() } else { &self.whole }.own_inputs();
        if expected == count {
            return Ok(());
        }
        let reason = format!("it ends after {expected} of {count} inputs; run the same lift embed again");
        Err(FileError::read(self.datasets[0].folder(), reason))
    }
}

/// The next input of each dataset, and whose it is: by its index, and by its id behind the `listed` inputs of the list.
type Heads = BTreeMap<(usize, String), (usize, InputRecord)>;

fn advance(cursor: &mut Cursor, at: usize, listed: usize, heads: &mut Heads) -> Result<(), FileError> {
    if let Some(done) = cursor.next()? {
        let index = done.entry.index;
        let kept = done.clip().filter(|_| index >= listed);
        let id = kept.map(|clip| input_id(cursor.dataset, &done.entry, clip).to_owned()).unwrap_or_default();
        if heads.insert((index.min(listed), id), (at, done)).is_some() {
            let reason = format!("input {index} is in another dataset too");
            return Err(FileError::read(cursor.dataset.folder(), reason));
        }
    }
    Ok(())
}

/// The datasets at a path: itself, or its shards.
pub(super) fn folders(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    if Dataset::is_at(path) {
        return Ok(vec![path.to_path_buf()]);
    }
    if path.is_file() {
        return Err(FileError::read(path, "it is a file; name the folder of a dataset"));
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
fn check_shards(datasets: &[Dataset]) -> Result<(), FileError> {
    let count = datasets[0].manifest().shard.map_or(1, |shard| shard.count);
    let mut seen: Vec<Option<&Path>> = vec![None; count];
    for dataset in datasets {
        let shard = dataset.manifest().shard;
        let (index, of) = shard.map_or((0, 1), |shard| (shard.index, shard.count));
        let reason = match seen.get(index) {
            _ if of != count => format!("it is one of {of} shards, the first one is one of {count}"),
            Some(Some(other)) => format!("shard {index} is {} already", display_path(other)),
            Some(None) => {
                seen[index] = Some(dataset.folder());
                continue;
            }
            None => format!("there is no shard {index} of {count}"),
        };
        return Err(FileError::read(dataset.folder(), reason));
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
    let beside = datasets[0].folder();
    let run = beside.parent().filter(|run| !run.as_os_str().is_empty()).unwrap_or(beside);
    Err(FileError::read(run, reason))
}

/// Checks that every part of the inputs is there.
pub(super) fn check_finished(dataset: &Dataset) -> Result<(), FileError> {
    let there = dataset.parts()?;
    let base = dataset.base_parts();
    let missing: Vec<usize> = (0..base).filter(|n| there.binary_search(n).is_err()).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let reason = format!(
        "it is not finished: {} of {base} parts are missing, the first is number {first}; run the same lift embed again",
        missing.len()
    );
    Err(FileError::read(dataset.folder(), reason))
}

/// A cursor over the inputs of one dataset.
struct Cursor<'a> {
    dataset: &'a Dataset,
    made: Provenance,
    parts: &'a [Part],
    dims: Dims,
    /// Parts of the inputs not yet opened.
    numbers: std::ops::Range<usize>,
    open: Option<OpenPart>,
    /// The number of the part that has the last attempt, for inputs with several attempts.
    later: HashMap<usize, usize>,
    /// The part of later attempts that was read last, by input.
    last_read: Option<(usize, HashMap<usize, InputRecord>)>,
}

struct OpenPart {
    path: PathBuf,
    entries: VecDeque<LedgerEntry>,
    failures: HashMap<usize, FailedInput>,
    rows: PartRows,
}

impl<'a> Cursor<'a> {
    fn new(dataset: &'a Dataset, parts: &'a [Part], dims: Dims) -> Result<Self, FileError> {
        let base = dataset.base_parts();
        let mut later = HashMap::new();
        for number in dataset.later_parts()? {
            let ledger = read_ledger(&dataset.part(number))?;
            later.extend(ledger.entries.iter().map(|e| (e.index, number)));
        }
        let made = dataset.manifest().provenance();
        Ok(Self { dataset, made, parts, dims, numbers: 0..base, open: None, later, last_read: None })
    }

    fn next(&mut self) -> Result<Option<InputRecord>, FileError> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(number) = self.numbers.next() else { return Ok(None) };
                let path = self.dataset.part(number);
                check_made(&path, &self.made)?;
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
            return Ok(Some(InputRecord::new(entry, rows, failure)));
        }
    }

    /// An input as the part `number` of later attempts has it.
    fn look(&mut self, number: usize, index: usize) -> Result<InputRecord, FileError> {
        let path = self.dataset.part(number);
        if self.last_read.as_ref().is_none_or(|(last_read, _)| *last_read != number) {
            check_made(&path, &self.made)?;
            let inputs = read_inputs(&path, self.parts, self.dims)?;
            self.last_read =
                Some((number, inputs.into_iter().map(|done| (done.entry.index, done)).collect()));
        }
        let done = self.last_read.as_mut().and_then(|(_, inputs)| inputs.remove(&index));
        done.ok_or_else(|| FileError::read(&path, format!("input {index} stands twice in the ledgers")))
    }
}
