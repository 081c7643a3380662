//! What stops a training run.

use std::path::{Path, PathBuf};

use crate::files::FileError;

/// Each message is complete in itself: place, cause and remedy.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "paths, causes and counts say what they are")]
pub enum TrainError {
    /// A file of features, or a log, cannot be used.
    #[error("{path}: {cause}")]
    Read { path: PathBuf, cause: String },
    /// The settings cannot be trained with.
    #[error("{0}")]
    Settings(String),
    /// The folder holds another run.
    #[error("{0} holds a training run already; continue it with --resume, or give another folder")]
    Exists(PathBuf),
    /// A checkpoint cannot be used.
    #[error("{path}: {cause}; the run cannot be resumed: give another folder to start a new one")]
    State { path: PathBuf, cause: String },
    /// The loss is not finite.
    #[error(
        "the loss is {loss} in step {step} (epoch {epoch}); the checkpoints are unchanged: lower --lr, or look \
         for values that are not finite in the features"
    )]
    NotFinite { loss: f64, step: u64, epoch: u64 },
    /// The weights are not finite after a step.
    #[error(
        "the weights are not finite after step {step} (epoch {epoch}); the checkpoints are unchanged: lower --lr"
    )]
    Weights { step: u64, epoch: u64 },
    /// A file of the run cannot be written, or a file of features cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// An error of candle.
    #[error("the network failed: {0}")]
    Network(#[from] candle_core::Error),
}

impl TrainError {
    /// For `map_err` where `path` is written.
    pub(super) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |cause| Self::File(FileError::write(&path, cause))
    }

    /// For `map_err` where the checkpoint `path` is read.
    pub(super) fn state<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_owned();
        move |cause| Self::State { path, cause: cause.to_string() }
    }
}
