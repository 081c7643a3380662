//! Writes the parts of a plan as the run's results come in.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use crate::dataset::failures::DatasetCounts;
use crate::dataset::journal::Journal;
use crate::dataset::part::read_inputs;
use crate::dataset::plan::{PartTask, TaskInputs};
use crate::dataset::progress::ProgressWriter;
use crate::dataset::{
    Dataset, DatasetPlan, FailedInput, InputRecord, LedgerEntry, PartWriter, write_failures,
};
use crate::files::{ContentDigest, FileError, Stamp};
use crate::rows::{Dims, Failure, Part, Row};

/// Writes a dataset. Dropped before [`finish`](Self::finish), it leaves the complete parts and nothing else.
pub struct DatasetWriter {
    dataset: Dataset,
    parts: Vec<Part>,
    dims: Dims,
    tasks: VecDeque<PartTask>,
    attempts: HashMap<usize, usize>,
    /// Whether the ledgers get the digests of the files.
    by_content: bool,
    open: Option<Open>,
    progress: ProgressWriter,
}

/// The part that is being written.
struct Open {
    task: PartTask,
    writer: PartWriter,
    /// The results that came in this run, for the case that it is killed.
    journal: Journal,
    /// The inputs that are copied from the existing part, in order.
    kept: VecDeque<InputRecord>,
    received: usize,
    /// Whether a complete part of this number exists, which is replaced once this one is complete.
    rewrites: bool,
}

impl Open {
    /// Copies the inputs of the existing part that come before `index`.
    fn write_kept(&mut self, index: usize) -> Result<(), FileError> {
        while self.kept.front().is_some_and(|done| done.entry.index < index) {
            let Some(done) = self.kept.pop_front() else { break };
            self.writer.input(done)?;
        }
        Ok(())
    }
}

impl DatasetWriter {
    /// Begins.
    ///
    /// # Errors
    /// `Read` if the manifest names an unknown part.
    pub fn new(dataset: Dataset, plan: DatasetPlan) -> Result<Self, FileError> {
        let (parts, dims) = dataset.layout()?;
        let whole = dataset.parts()?;
        for number in dataset.partials()? {
            if whole.binary_search(&number).is_ok() {
                // Best effort: readers ignore a partial file beside its complete part.
                let _ = std::fs::remove_file(dataset.partial(number));
            }
        }
        let DatasetPlan { tasks, attempts, by_content, wanted, .. } = plan;
        let progress = ProgressWriter::new(dataset.folder(), wanted);
        Ok(Self { dataset, parts, dims, tasks, attempts, by_content, open: None, progress })
    }

    /// Writes the rows of the next input of the plan.
    ///
    /// # Errors
    /// `Row` if one does not fit: the caller then records it as failed. Others end the run.
    pub fn embedded(&mut self, index: usize, stamp: Option<Stamp>, rows: &[Row]) -> Result<(), FileError> {
        let entry = self.entry(index, stamp, rows.len(), rows.first().map(|row| row.clip.path.as_path()));
        let open = self.open_for(index)?;
        open.writer.rows(entry, rows)?;
        open.journal.rows(entry, rows)?;
        self.received()
    }

    /// Records that the next input of the plan failed.
    ///
    /// # Errors
    /// Those that end the run.
    pub fn failed(&mut self, stamp: Option<Stamp>, failure: &Failure) -> Result<(), FileError> {
        let attempts = self.attempts.get(&failure.clip.index).copied().unwrap_or(0) + 1;
        let entry = self.entry(failure.clip.index, stamp, 0, Some(&failure.clip.path));
        let open = self.open_for(failure.clip.index)?;
        let failure = FailedInput { failure: failure.clone(), attempts };
        open.journal.failure(entry, &failure)?;
        open.writer.failure(entry, failure);
        self.received()
    }

    /// Ends the run, complete or stopped: names the last part if it is complete, else keeps it as a partial file for the next
    /// run, and writes the list of failures.
    ///
    /// # Errors
    /// `Write` if the disk refuses.
    pub fn finish(mut self) -> Result<DatasetCounts, FileError> {
        if self.open.is_none() {
            self.close_empty()?;
        }
        if let Some(mut open) = self.open.take() {
            let number = open.task.number;
            let path = if number >= self.dataset.base_parts() {
                // A part of later attempts may have any number of inputs.
                Some(self.dataset.part(number))
            } else {
                Some(self.dataset.partial(number))
            };
            // A complete part that is being rewritten stays as it is; what came for it is in its journal.
            if let Some(path) = path.filter(|_| !open.rewrites) {
                open.write_kept(usize::MAX)?;
                open.writer.commit(&path)?;
                open.journal.remove();
            }
        }
        let counts = write_failures(&self.dataset)?;
        self.progress.remove();
        Ok(counts)
    }

    fn entry(&self, index: usize, stamp: Option<Stamp>, rows: usize, path: Option<&Path>) -> LedgerEntry {
        let file = if self.by_content { stamp.zip(path) } else { None };
        let content = file.and_then(|(stamp, path)| ContentDigest::of(path, stamp));
        LedgerEntry { index, stamp, rows, content }
    }

    fn open_for(&mut self, index: usize) -> Result<&mut Open, FileError> {
        if self.open.is_none() {
            self.close_empty()?;
            self.open_next()?;
        }
        let Some(open) = &mut self.open else {
            let text = format!("input {index} was not asked for");
            return Err(FileError::Read { path: self.dataset.folder().into(), reason: text });
        };
        open.write_kept(index)?;
        Ok(open)
    }

    fn open_next(&mut self) -> Result<(), FileError> {
        let Some(task) = self.tasks.pop_front() else { return Ok(()) };
        let path = self.dataset.part(task.number);
        let rewrites = path.exists();
        let mut kept = VecDeque::new();
        if let TaskInputs::Some(wanted) = &task.inputs {
            let there = if rewrites { path.clone() } else { self.dataset.partial(task.number) };
            if there.exists() {
                kept = read_inputs(&there, &self.parts, self.dims)?.into();
                kept.retain(|done| wanted.binary_search(&done.entry.index).is_err());
            }
        }
        let writer = PartWriter::create(&self.dataset, &path)?;
        let journal = Journal::create(self.dataset.journal(task.number))?;
        self.open = Some(Open { task, writer, journal, kept, received: 0, rewrites });
        Ok(())
    }

    fn received(&mut self) -> Result<(), FileError> {
        self.progress.count();
        if let Some(open) = &mut self.open {
            open.received += 1;
            if open.received == open.task.count {
                return self.close();
            }
        }
        Ok(())
    }

    /// Writes the parts whose inputs are all in a partial file already.
    fn close_empty(&mut self) -> Result<(), FileError> {
        while self.tasks.front().is_some_and(|task| task.count == 0) {
            self.open_next()?;
            self.close()?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), FileError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.write_kept(usize::MAX)?;
        let number = open.task.number;
        open.writer.commit(&self.dataset.part(number))?;
        open.journal.remove();
        // Best effort: readers ignore a partial file beside its complete part, and the next run removes it.
        let _ = std::fs::remove_file(self.dataset.partial(number));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
