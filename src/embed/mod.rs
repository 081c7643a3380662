//! The pipeline: inputs in, outcomes out, in input order.
//!
//! [`Engine`] holds the two networks; [`run`] shares the work among threads and hands each clip's [`Outcome`] on as soon
//! as all before it are done. One bad video is an outcome like any other; it never ends a run.

pub mod batch;
pub mod cache;
mod engine;
mod pipeline;
mod work;
mod worker;

pub use engine::{Embedding, Engine, ModelChoice};
pub use pipeline::{Settings, run};

use crate::dataset::DatasetWriter;
use crate::files::{FileError, Stamp};
use crate::inputs::Input;
use crate::rows::{Failure, Row};

/// What became of one input.
#[derive(Debug)]
pub struct Outcome {
    /// The file as it was before it was read; `None` if the system knows no such file.
    pub stamp: Option<Stamp>,
    /// What came out.
    pub result: Result<Embedded, Failure>,
}

impl Outcome {
    /// Records what came out in a dataset. Rows that do not fit are the input's failure, and come back as that.
    ///
    /// # Errors
    /// Those that end the run.
    pub fn fill(self, writer: &mut DatasetWriter) -> Result<Result<Embedded, Failure>, FileError> {
        let Self { stamp, result } = self;
        let failure = match result {
            Ok(embedded) => {
                let Some(first) = embedded.rows.first() else { return Ok(Ok(embedded)) };
                match embedded.written(writer.embedded(first.clip.index, stamp, &embedded.rows))? {
                    None => return Ok(Ok(embedded)),
                    Some(failure) => failure,
                }
            }
            Err(failure) => failure,
        };
        writer.failed(stamp, &failure)?;
        Ok(Err(failure))
    }
}

/// An input that was embedded.
#[derive(Debug)]
pub struct Embedded {
    /// Its row, or one per window.
    pub rows: Vec<Row>,
    /// What was approximated while reading it.
    pub notes: Vec<String>,
}

impl Embedded {
    /// What came of writing its rows: one that does not fit (another number of frames, say) is that video's failure.
    ///
    /// # Errors
    /// What ends the run.
    pub fn written(&self, written: Result<(), FileError>) -> Result<Option<Failure>, FileError> {
        match (written, self.rows.first()) {
            (Err(FileError::Row(error)), Some(row)) => Ok(Some(Failure::unfit(row, error))),
            (written, _) => written.map(|()| None),
        }
    }
}

/// What a source answers.
#[derive(Debug)]
pub enum Next {
    /// The next input.
    Input(Input),
    /// None yet: ask again.
    Later,
    /// None any more.
    End,
}

/// Where inputs come from, one at a time. It never waits: whoever asks has other work to do meanwhile.
pub trait Source: Send + 'static {
    /// The next input, if there is one.
    fn next(&mut self) -> Next;

    /// At most how many will come, if that is known.
    fn most(&self) -> Option<usize> {
        None
    }
}

impl<I: Iterator<Item = Input> + Send + 'static> Source for I {
    fn next(&mut self) -> Next {
        Iterator::next(self).map_or(Next::End, Next::Input)
    }

    fn most(&self) -> Option<usize> {
        self.size_hint().1
    }
}

/// Where the embedding of a clip failed, for clips whose video was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct StageError {
    /// The step, as it stands in a run's table of failures.
    pub stage: &'static str,
    /// What went wrong, and what to try.
    pub cause: String,
}
