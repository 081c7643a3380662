//! Which inputs a dataset still lacks, by its ledgers and by the size and time of the files now.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;

use crate::dataset::journal::read_journal;
use crate::dataset::{Dataset, InputRecord, InputResult, LedgerEntry, read_ledger};
use crate::files::{FileError, Stamp};

/// The parts that a run has to write.
#[derive(Debug, Clone, Default)]
pub struct DatasetPlan {
    /// The parts to write, ascending.
    pub tasks: VecDeque<PartTask>,
    /// Inputs to embed.
    pub wanted: usize,
    /// Inputs that are done and unchanged, embedded or failed.
    pub done: usize,
    /// Of those, the ones that failed (and are not tried again).
    pub failed: usize,
    /// Of those wanted, the ones whose file changed since it was read.
    pub changed: usize,
    /// Of those done, the ones whose file is not there any more; their rows are kept.
    pub absent: usize,
    /// How often inputs that are tried again were tried before.
    pub(super) attempts: HashMap<usize, usize>,
    /// Whether the ledgers get the digests of the files that are embedded.
    pub by_content: bool,
    base_size: usize,
}

/// A part to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartTask {
    /// Its number.
    pub(super) number: usize,
    /// How many inputs are to be embedded for it.
    pub(super) count: usize,
    /// Which.
    pub(super) inputs: TaskInputs,
}

/// The inputs that a part lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskInputs {
    /// All of them: the part does not exist.
    Whole,
    /// Those with these indices, ascending; the others are copied from the existing part.
    Some(Vec<usize>),
}

impl DatasetPlan {
    /// Compares the dataset with `members`, the index and file of each of its inputs in order. A file that is gone keeps its rows.
    ///
    /// # Errors
    /// `Read` if a part is damaged or another run's.
    pub fn new(
        dataset: &Dataset,
        members: impl Iterator<Item = (usize, PathBuf)>,
        retry_failed: bool,
    ) -> Result<Self, FileError> {
        Self::compared(dataset, members, retry_failed, true)
    }

    /// As [`new`](Self::new), for rows that stand for the files as they are now: a file that is gone fails, and loses its rows.
    ///
    /// # Errors
    /// As there.
    pub fn of_present_files(
        dataset: &Dataset,
        members: impl Iterator<Item = (usize, PathBuf)>,
        retry_failed: bool,
    ) -> Result<Self, FileError> {
        Self::compared(dataset, members, retry_failed, false)
    }

    fn compared(
        dataset: &Dataset,
        members: impl Iterator<Item = (usize, PathBuf)>,
        retry_failed: bool,
        keep_absent: bool,
    ) -> Result<Self, FileError> {
        let size = dataset.manifest().shard_size.max(1);
        let mut plan = Self { base_size: size, ..Self::default() };
        let later = Later::read(dataset)?;
        let mut stale: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut again = Vec::new();
        let mut members = members.peekable();
        let mut number = 0;
        while members.peek().is_some() {
            let chunk: Vec<_> = members.by_ref().take(size).collect();
            let known = known(dataset, number, &chunk)?;
            let mut wanted = Vec::new();
            for (index, path) in &chunk {
                let (owner, entry, attempts) = match (later.entries.get(index), known.get(index)) {
                    (Some((part, entry, attempts)), _) => (Some(*part), entry, *attempts),
                    (None, Some((entry, attempts))) => (None, entry, *attempts),
                    (None, None) => {
                        wanted.push(*index);
                        continue;
                    }
                };
                let stamp = Stamp::of(path);
                // A file that is gone tells nothing new: a disk may be away, or the videos removed after their run.
                let absent = keep_absent && stamp.is_none() && entry.stamp.is_some();
                plan.absent += usize::from(absent);
                if entry.stamp != stamp && !absent {
                    plan.changed += 1;
                    match owner {
                        Some(part) => stale.entry(part).or_default().push(*index),
                        None => wanted.push(*index),
                    }
                } else if entry.rows == 0 && retry_failed {
                    again.push(*index);
                    plan.attempts.insert(*index, attempts);
                } else {
                    plan.done += 1;
                    plan.failed += usize::from(entry.rows == 0);
                }
            }
            plan.base(dataset, number, chunk.len(), wanted, known.is_empty());
            number += 1;
        }
        for (part, indices) in stale {
            plan.push(part, TaskInputs::Some(indices.clone()), indices.len());
        }
        let first = dataset.parts()?.last().map_or(0, |last| last + 1).max(number);
        for (at, indices) in again.chunks(size).enumerate() {
            plan.push(first + at, TaskInputs::Some(indices.to_vec()), indices.len());
        }
        Ok(plan)
    }

    /// The task of a part of the inputs, if there is anything to do for it.
    fn base(&mut self, dataset: &Dataset, number: usize, size: usize, wanted: Vec<usize>, empty: bool) {
        let count = wanted.len();
        if empty {
            self.push(number, TaskInputs::Whole, size);
        } else if count > 0 || !dataset.part(number).exists() {
            // A part without wanted inputs whose inputs are all in a partial file has to be written too.
            self.push(number, TaskInputs::Some(wanted), count);
        }
    }

    fn push(&mut self, number: usize, inputs: TaskInputs, count: usize) {
        self.wanted += count;
        self.tasks.push_back(PartTask { number, count, inputs });
    }

    /// The inputs to embed, in the order in which they are written. `members` as in [`new`](Self::new).
    pub fn select<T, I, F>(&self, members: I, index: F) -> Selected<I, F>
    where
        I: Iterator<Item = T> + Clone,
        F: Fn(&T) -> usize,
    {
        let tasks = self.tasks.iter().filter(|task| task.count > 0).cloned().collect();
        let base_size = self.base_size;
        Selected {
            rest: members.clone().enumerate(),
            members,
            tasks,
            taken: 0,
            at: 0,
            index,
            base_size,
            left: self.wanted,
        }
    }
}

/// The wanted inputs of a run; see [`DatasetPlan::select`].
#[derive(Clone)]
pub struct Selected<I, F> {
    members: I,
    rest: std::iter::Enumerate<I>,
    tasks: VecDeque<PartTask>,
    /// Inputs given of the first task.
    taken: usize,
    /// The index after the last one given. A task that wants an earlier index iterates over the members again.
    at: usize,
    index: F,
    base_size: usize,
    left: usize,
}

impl<T, I: Iterator<Item = T> + Clone, F: Fn(&T) -> usize> Iterator for Selected<I, F> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let task = self.tasks.front()?;
        if let (0, TaskInputs::Some(indices)) = (self.taken, &task.inputs)
            && indices.first().is_some_and(|first| *first < self.at)
        {
            self.rest = self.members.clone().enumerate();
        }
        let wants = |position: usize, index: usize| match &task.inputs {
            TaskInputs::Whole => position / self.base_size == task.number,
            TaskInputs::Some(indices) => indices.binary_search(&index).is_ok(),
        };
        let (_, item) = self.rest.find(|(position, item)| wants(*position, (self.index)(item)))?;
        self.at = (self.index)(&item) + 1;
        self.taken += 1;
        if self.taken == task.count {
            self.tasks.pop_front();
            self.taken = 0;
        }
        self.left = self.left.saturating_sub(1);
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

/// The last attempt at each input: the part that has it, its entry, and how often the input was tried.
struct Later {
    entries: HashMap<usize, (usize, LedgerEntry, usize)>,
}

impl Later {
    fn read(dataset: &Dataset) -> Result<Self, FileError> {
        let mut entries = HashMap::new();
        for number in dataset.later_parts()? {
            let ledger = read_ledger(&dataset.part(number))?;
            let attempts = attempts(&ledger.failures);
            for entry in ledger.entries {
                let tried = attempts.get(&entry.index).copied().unwrap_or(1);
                entries.insert(entry.index, (number, entry, tried));
            }
        }
        Ok(Self { entries })
    }
}

fn attempts(failures: &[super::FailedInput]) -> HashMap<usize, usize> {
    failures.iter().map(|f| (f.failure.clip.index, f.attempts)).collect()
}

/// The entries of part `number`, or of its partial file, and of its journal, and how often each input was tried.
fn known(
    dataset: &Dataset,
    number: usize,
    chunk: &[(usize, PathBuf)],
) -> Result<HashMap<usize, (LedgerEntry, usize)>, FileError> {
    let files = [dataset.part(number), dataset.partial(number)];
    let mut known = HashMap::new();
    if let Some(path) = files.iter().find(|path| path.exists()) {
        let ledger = read_ledger(path)?;
        let attempts = attempts(&ledger.failures);
        let tried = |index: usize| attempts.get(&index).copied().unwrap_or(1);
        known.extend(ledger.entries.iter().map(|e| (e.index, (*e, tried(e.index)))));
        if ledger.entries.iter().any(|e| chunk.binary_search_by_key(&e.index, |(index, _)| *index).is_err()) {
            return Err(FileError::read(path, "it holds inputs of another part; remove it and run again"));
        }
    }
    // A journal is left only where the dataset is looked at and not written: before a run, it becomes a partial part.
    let journal = dataset.journal(number);
    if journal.exists() {
        let (parts, dims) = dataset.layout()?;
        for InputRecord { entry, result } in read_journal(&journal, &parts, dims)? {
            let attempts = if let InputResult::Failed(failed) = result { failed.attempts } else { 1 };
            known.insert(entry.index, (entry, attempts));
        }
    }
    Ok(known)
}
