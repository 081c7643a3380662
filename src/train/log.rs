//! The log of a run: one JSON object per line, flushed at once, so that it can be read during the run.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::AtomicFile;

use super::{LossValues, TrainError, TrainProgress, TrainSettings};

/// The log's name in a run's folder.
pub const LOG: &str = "log.jsonl";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum LogRecord {
    /// The first line.
    Begin {
        /// The program's version.
        lift: String,
        /// The settings that decide the result.
        settings: Box<TrainSettings>,
        /// The flags in force, by their names.
        flags: BTreeMap<String, serde_json::Value>,
    },
    /// Where the run was resumed with other flags, a larger number of epochs for example.
    Resume {
        /// The flags in force from there on, by their names.
        flags: BTreeMap<String, serde_json::Value>,
    },
    /// After every `--log-every` steps.
    Step {
        /// Steps done.
        step: u64,
        /// The epoch of the step, from 1.
        epoch: u64,
        /// The losses of the step's batch.
        loss: LossValues,
        /// The learning rate of the step.
        lr: f64,
    },
    /// After each epoch.
    Epoch {
        /// Epochs done.
        epoch: u64,
        /// Steps done.
        step: u64,
        /// Mean losses over the epoch's batches, with dropout.
        train: LossValues,
        /// Mean losses over the held-out clips, without dropout.
        validation: Option<LossValues>,
        /// Accuracy of the linear probe, percent.
        probe: Option<f64>,
        /// The learning rate of the epoch.
        lr: f64,
        /// Seconds since the run was started or resumed.
        seconds: f64,
    },
}

impl LogRecord {
    /// Whether a run at `progress` has done the step or epoch of this line.
    fn is_before(&self, progress: &TrainProgress) -> bool {
        match self {
            Self::Begin { .. } | Self::Resume { .. } => true,
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

    /// Opens the log of a resumed run, and drops the lines that are later than the state it is resumed from.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn resume(path: &Path, progress: &TrainProgress) -> Result<Self, TrainError> {
        // Lines are copied as text: a number that is read and written again may end in another digit.
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
    pub fn add(&mut self, record: &LogRecord) -> Result<(), TrainError> {
        let mut line = serde_json::to_vec(record).map_err(|e| TrainError::write(&self.path)(e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(TrainError::write(&self.path))
    }
}

/// The flags that are in force at the end of a log, by their names; none of a log without its first line.
pub fn flags_in_force(log: &[LogRecord]) -> BTreeMap<String, serde_json::Value> {
    let flags = log.iter().rev().find_map(|record| match record {
        LogRecord::Begin { flags, .. } | LogRecord::Resume { flags } => Some(flags.clone()),
        _ => None,
    });
    flags.unwrap_or_default()
}

/// Reads a log; an incomplete last line is left out.
///
/// # Errors
/// If it cannot be read, or another line is not a record.
pub fn read(path: &Path) -> Result<Vec<LogRecord>, TrainError> {
    Ok(lines(path)?.into_iter().map(|(_, record)| record).collect())
}

/// The complete lines of a log, each as text and as a record.
fn lines(path: &Path) -> Result<Vec<(String, LogRecord)>, TrainError> {
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
