//! Writing what a plan lacks, part by part, as the run's outcomes come in.

use std::collections::{HashMap, VecDeque};

use crate::dataset::failures::Counts;
use crate::dataset::part::read_inputs;
use crate::dataset::plan::{Task, TaskInputs};
use crate::dataset::{Dataset, Done, FailedInput, PartWriter, Plan, write_failures};
use crate::files::{FileError, Stamp};
use crate::rows::{Dims, Failure, Part, Row};

/// A dataset being filled. Dropped before [`finish`](Self::finish), it leaves the finished parts and nothing else.
pub struct Filler {
    dataset: Dataset,
    parts: Vec<Part>,
    dims: Dims,
    tasks: VecDeque<Task>,
    attempts: HashMap<usize, usize>,
    open: Option<Open>,
}

/// The part under construction.
struct Open {
    task: Task,
    writer: PartWriter,
    /// What is taken over from the part that is there, in order.
    kept: VecDeque<Done>,
    received: usize,
    /// Rows are only kept aside where there is no such part yet.
    rewrites: bool,
}

impl Open {
    /// Writes what is kept of the inputs before `index`.
    fn write_kept(&mut self, index: usize) -> Result<(), FileError> {
        while self.kept.front().is_some_and(|done| done.entry.index < index) {
            let Some(done) = self.kept.pop_front() else { break };
            self.writer.input(done)?;
        }
        Ok(())
    }
}

impl Filler {
    /// Begins.
    ///
    /// # Errors
    /// `Read` if the manifest's parts are none.
    pub fn new(dataset: Dataset, plan: Plan) -> Result<Self, FileError> {
        let (parts, dims) = dataset.layout()?;
        let whole = dataset.parts()?;
        for number in dataset.partials()? {
            if whole.binary_search(&number).is_ok() {
                // The whole part says more; best effort, a reader passes by the partial one anyway.
                let _ = std::fs::remove_file(dataset.partial(number));
            }
        }
        Ok(Self { dataset, parts, dims, tasks: plan.tasks, attempts: plan.attempts, open: None })
    }

    /// Takes the rows of the next wanted input.
    ///
    /// # Errors
    /// `Row` if one does not fit: the caller then records it as failed. Others end the run.
    pub fn embedded(&mut self, index: usize, stamp: Option<Stamp>, rows: &[Row]) -> Result<(), FileError> {
        let open = self.open_for(index)?;
        open.writer.rows(index, stamp, rows)?;
        self.received()
    }

    /// Records that the next wanted input failed.
    ///
    /// # Errors
    /// Those that end the run.
    pub fn failed(&mut self, stamp: Option<Stamp>, failure: &Failure) -> Result<(), FileError> {
        let attempts = self.attempts.get(&failure.clip.index).copied().unwrap_or(0) + 1;
        let open = self.open_for(failure.clip.index)?;
        open.writer.failure(stamp, FailedInput { failure: failure.clone(), attempts });
        self.received()
    }

    /// Ends the run, complete or stopped: names the last part, or keeps what there is of it aside for the next run, and
    /// writes the list of failures.
    ///
    /// # Errors
    /// `Write` if the disk refuses.
    pub fn finish(mut self) -> Result<Counts, FileError> {
        if self.open.is_none() {
            self.close_empty()?;
        }
        if let Some(mut open) = self.open.take() {
            let number = open.task.number;
            let path = if number >= self.dataset.base_parts() {
                // A later attempt holds what it tried, however much that is.
                Some(self.dataset.part(number))
            } else {
                Some(self.dataset.partial(number))
            };
            if let Some(path) = path.filter(|_| !open.rewrites) {
                open.write_kept(usize::MAX)?;
                open.writer.commit(&path)?;
            }
        }
        write_failures(&self.dataset)
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
        let kind = self.dataset.kind();
        let writer = PartWriter::create(&path, kind, &self.parts, self.dims)?;
        self.open = Some(Open { task, writer, kept, received: 0, rewrites });
        Ok(())
    }

    fn received(&mut self) -> Result<(), FileError> {
        if let Some(open) = &mut self.open {
            open.received += 1;
            if open.received == open.task.count {
                return self.close();
            }
        }
        Ok(())
    }

    /// Names the parts that only lacked their name.
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
        // Best effort: beside its whole part a partial one is passed by, and removed by the next run.
        let _ = std::fs::remove_file(self.dataset.partial(number));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
