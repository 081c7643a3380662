//! The pipeline: inputs go in, outcomes come out, in input order.
//!
//! [`Engine`] holds the two networks. [`run`] shares the work among threads and hands on the [`Outcome`] of a clip as soon
//! as all clips before it are done; a bad video is an outcome too and never ends a run. [`clip()`] gives one video's
//! pictures, features and embedding as plain data.

pub mod batch;
pub mod cache;
mod clip;
mod engine;
mod filmstrip;
mod finish;
mod lanes;
mod own;
mod parts;
mod picture;
mod pipeline;
mod settings;
mod slot;
mod words;
mod work;
mod worker;

use image::RgbImage;

pub use clip::{EmbeddedClip, clip, reconstruct};
pub use engine::{Engine, LiftAlone, ModelChoice};
pub use filmstrip::filmstrip;
pub use own::{OwnFeatures, OwnParts};
pub use parts::Embedding;
pub use pipeline::run;
pub use settings::{EmbedSettings, OwnSettings};
pub use words::{WordVectors, word_vectors};

use crate::dataset::DatasetWriter;
use crate::files::{FileError, Stamp};
use crate::inputs::Input;
use crate::rows::{Failure, Row};

/// What became of one input.
#[derive(Debug)]
pub struct Outcome {
    /// The file as it was before it was read; `None` if the system knows no such file.
    pub stamp: Option<Stamp>,
    /// Its rows, or why there are none.
    pub result: Result<Embedded, Failure>,
}

impl Outcome {
    /// Records the outcome in a dataset. Rows that do not fit become a failure of the input, which is returned.
    ///
    /// # Errors
    /// Errors that end the run: the dataset cannot be written.
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
    /// When each frame is shown, in seconds from the first frame of the file, `(T)`; window by window.
    pub seconds: Vec<f64>,
    /// The frames, upright, `(T)`; empty unless [`EmbedSettings::pictures`] asks for them.
    pub pictures: Vec<RgbImage>,
}

impl Embedded {
    /// Turns the result of writing its rows into the failure of the video, where a row does not fit (it has another number of
    /// frames, for example).
    ///
    /// # Errors
    /// Errors that end the run: the output cannot be written.
    pub fn written(&self, written: Result<(), FileError>) -> Result<Option<Failure>, FileError> {
        match (written, self.rows.first()) {
            (Err(FileError::Row(error)), Some(row)) => Ok(Some(Failure::unfit(row, error))),
            (written, _) => written.map(|()| None),
        }
    }
}

/// The answer of an [`InputSource`].
#[derive(Debug)]
pub enum Next {
    /// The next input.
    Input(Input),
    /// The next input, with settings of its own.
    Own(Input, OwnSettings),
    /// No input yet: ask again.
    Later,
    /// No more inputs.
    End,
}

/// Gives the inputs of a run one at a time. It never waits, because the worker that asks has other work to do.
pub trait InputSource: Send + 'static {
    /// The next input, if there is one.
    fn next(&mut self) -> Next;

    /// The most inputs that will come, if that is known.
    fn most(&self) -> Option<usize> {
        None
    }
}

impl<I: Iterator<Item = Input> + Send + 'static> InputSource for I {
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
