//! The log of a run: a JSON object per line, flushed as it is written, readable while the run goes on.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::AtomicFile;

use super::{LossValues, Progress, Settings, TrainError};

/// The log's name in a run's folder.
pub const LOG: &str = "log.jsonl";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum Record {
    /// First of all, once.
    Begin {
        /// The program's version.
        lift: String,
        /// What decides the numbers.
        settings: Box<Settings>,
        /// The flags in force, by their names.
        flags: BTreeMap<String, serde_json::Value>,
    },
    /// After some of the steps.
    Step {
        /// Steps done.
        step: u64,
        /// The epoch it belongs to, from 1.
        epoch: u64,
        /// Of this batch.
        loss: LossValues,
        /// The rate it was made with.
        lr: f64,
    },
    /// After each epoch.
    Epoch {
        /// Epochs done.
        epoch: u64,
        /// Steps done.
        step: u64,
        /// Mean over the epoch's batches, dropout on.
        train: LossValues,
        /// On the held-out clips, dropout off.
        validation: Option<LossValues>,
        /// Accuracy of the linear probe, percent.
        probe: Option<f64>,
        /// The rate of this epoch.
        lr: f64,
        /// Seconds since the run, or its continuation, began.
        seconds: f64,
    },
}

impl Record {
    /// Whether it tells of something that a run at `progress` has done.
    fn is_before(&self, progress: &Progress) -> bool {
        match self {
            Self::Begin { .. } => true,
            Self::Step { step, .. } => *step <= progress.steps,
            Self::Epoch { epoch, .. } => *epoch <= progress.epochs,
        }
    }
}

/// The open log.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// A new log.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(path: &Path) -> Result<Self, TrainError> {
        let file = File::create(path).map_err(TrainError::write(path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Goes on with a log, without the lines later than the state the run goes on from.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn resume(path: &Path, progress: &Progress) -> Result<Self, TrainError> {
        // Lines are kept as they stand: a number read and written again may end in another digit.
        let lines = if path.exists() { lines(path)? } else { Vec::new() };
        let kept = lines.iter().filter(|(_, record)| record.is_before(progress));
        let kept: String = kept.map(|(line, _)| line.as_str()).collect();
        let mut whole = AtomicFile::create(path, true)?;
        whole.write_all(kept.as_bytes()).map_err(TrainError::write(path))?;
        whole.commit()?;
        let file = OpenOptions::new().append(true).open(path).map_err(TrainError::write(path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, record: &Record) -> Result<(), TrainError> {
        let mut line = serde_json::to_vec(record).map_err(|e| TrainError::write(&self.path)(e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(TrainError::write(&self.path))
    }
}

/// Reads a log; a last line that was cut short is left out.
///
/// # Errors
/// If it cannot be read, or another line is not a record.
pub fn read(path: &Path) -> Result<Vec<Record>, TrainError> {
    Ok(lines(path)?.into_iter().map(|(_, record)| record).collect())
}

/// The whole lines of a log with what they say.
fn lines(path: &Path) -> Result<Vec<(String, Record)>, TrainError> {
    let fail = |cause: String| TrainError::Read { path: path.to_owned(), cause };
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    let mut lines = Vec::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        match serde_json::from_str(line) {
            Ok(record) => lines.push((line.to_owned(), record)),
            Err(_) if !line.ends_with('\n') => {}
            Err(e) => return Err(fail(format!("line {} is not from `lift train`: {e}", number + 1))),
        }
    }
    Ok(lines)
}
