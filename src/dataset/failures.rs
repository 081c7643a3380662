//! `_failures.csv`: the inputs of a dataset that have no row, read from its ledgers.

use std::collections::HashMap;
use std::io::BufWriter;
use std::path::PathBuf;

use crate::dataset::{Dataset, FailedInput, read_ledger};
use crate::files::{AtomicFile, FileError};
use crate::rows::Failure;

/// The list's name.
pub const FAILURES: &str = "_failures.csv";

/// Its name in older datasets.
pub(super) const OLD_FAILURES: &str = "failures.csv";

/// What a dataset holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DatasetCounts {
    /// Inputs with rows.
    pub embedded: usize,
    /// Rows.
    pub rows: usize,
    /// Inputs that failed.
    pub failed: usize,
}

/// The result of the last attempt at an input: how many rows it has, or the number of the part that has its failure.
enum Latest {
    Rows(usize),
    Failed(usize),
}

/// The failures of the part that was read last, so that one part at a time is in memory.
struct LastRead<'a> {
    dataset: &'a Dataset,
    part: Option<(usize, HashMap<usize, FailedInput>)>,
}

impl LastRead<'_> {
    fn failure(&mut self, number: usize, index: usize) -> Result<Option<FailedInput>, FileError> {
        if self.part.as_ref().is_none_or(|(last_read, _)| *last_read != number) {
            let ledger = read_ledger(&self.dataset.part(number))?;
            self.part =
                Some((number, ledger.failures.into_iter().map(|f| (f.failure.clip.index, f)).collect()));
        }
        Ok(self.part.as_mut().and_then(|(_, failures)| failures.remove(&index)))
    }
}

/// Reads all ledgers and passes the failures to `each`, in the order of the parts. Where several ledgers name an input, the
/// part with the highest number is valid.
pub(super) fn walk(
    dataset: &Dataset,
    mut each: impl FnMut(&FailedInput) -> Result<(), FileError>,
) -> Result<DatasetCounts, FileError> {
    let base = dataset.base_parts();
    let mut later: HashMap<usize, Latest> = HashMap::new();
    let numbers = dataset.parts()?;
    for number in dataset.later_parts()? {
        let ledger = read_ledger(&dataset.part(number))?;
        let last = |rows| if rows > 0 { Latest::Rows(rows) } else { Latest::Failed(number) };
        later.extend(ledger.entries.iter().map(|e| (e.index, last(e.rows))));
    }
    let mut last_read = LastRead { dataset, part: None };
    let mut files: Vec<(usize, PathBuf)> = numbers.iter().map(|&n| (n, dataset.part(n))).collect();
    files.retain(|(n, _)| *n < base);
    let partials = dataset.partials()?.into_iter().filter(|n| !numbers.contains(n));
    files.extend(partials.map(|n| (n, dataset.partial(n))));
    files.sort();
    let mut counts = DatasetCounts::default();
    for (_, path) in files {
        let ledger = read_ledger(&path)?;
        let mut failures =
            ledger.failures.into_iter().map(|f| (f.failure.clip.index, f)).collect::<HashMap<_, _>>();
        for entry in &ledger.entries {
            let (rows, failure) = match later.get(&entry.index) {
                Some(Latest::Rows(rows)) => (*rows, None),
                Some(Latest::Failed(number)) => (0, last_read.failure(*number, entry.index)?),
                None => (entry.rows, failures.remove(&entry.index)),
            };
            counts.rows += rows;
            match failure {
                Some(failure) => {
                    counts.failed += 1;
                    each(&failure)?;
                }
                None => counts.embedded += 1,
            }
        }
    }
    Ok(counts)
}

/// The inputs that have no row, in the order of the parts.
///
/// # Errors
/// `Read` if a part is damaged.
pub fn failures(dataset: &Dataset) -> Result<Vec<Failure>, FileError> {
    let mut all = Vec::new();
    walk(dataset, |failure| {
        all.push(failure.failure.clone());
        Ok(())
    })?;
    Ok(all)
}

/// Writes the list anew, whole or not at all, and counts what the dataset holds.
///
/// # Errors
/// `Write` if the disk refuses, `Read` if a part is damaged.
pub fn write_failures(dataset: &Dataset) -> Result<DatasetCounts, FileError> {
    let path = dataset.folder().join(FAILURES);
    let file = BufWriter::new(AtomicFile::create(&path, true)?);
    let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(file);
    let fail = |e: csv::Error| FileError::write(&path, e.into());
    csv.write_record(["index", "id", "path", "stage", "error", "attempts"]).map_err(fail)?;
    let counts = walk(dataset, |f| {
        let Failure { clip, stage, error } = &f.failure;
        csv.serialize((clip.index, &clip.id, clip.path_text(), stage, error, f.attempts)).map_err(fail)
    })?;
    let buffer = csv.into_inner().map_err(|e| FileError::write(&path, e.into_error()))?;
    AtomicFile::from_buffer(buffer)?.commit()?;
    // Best effort: the list of an older version, which is out of date now.
    let _ = std::fs::remove_file(dataset.folder().join(OLD_FAILURES));
    Ok(counts)
}
