//! How far a run is, over all its shards, while it runs or after.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::Path;

use serde::Serialize;

use crate::dataset::failures::walk;
use crate::dataset::journal::read_journal;
use crate::dataset::progress::RunProgress;
use crate::dataset::shards::folders;
use crate::dataset::{Dataset, InputResult, LOCK};
use crate::files::{FileError, display_path};
use crate::rows::UPDATE;

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunStatus {
    /// Inputs of the run.
    pub inputs: usize,
    /// Those that are done, embedded or failed.
    pub done: usize,
    /// Those with rows.
    pub embedded: usize,
    /// Their rows.
    pub rows: usize,
    /// Those that failed.
    pub failed: usize,
    /// Those that are not done yet. Inputs of shards that have not begun are not counted: how many they are is not known.
    pub missing: usize,
    /// How many shards the run has; 1 without shards.
    pub shards: usize,
    /// The numbers of the shards that have not begun.
    pub not_begun: Vec<usize>,
    /// The folders that have a run now, and those that do not and lack inputs.
    pub unfinished: Vec<FolderStatus>,
    /// Inputs per second of the runs that are there now; none if none is, or if it has only begun.
    pub rate: Option<f64>,
    /// Seconds until the last of these runs has done its inputs; none if an input is left that no run does.
    pub seconds_left: Option<f64>,
    /// Why inputs failed, the most frequent cause first.
    pub causes: Vec<FailureCause>,
}

/// A folder that is not finished.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FolderStatus {
    /// Its path.
    pub path: String,
    /// Whether a run writes to it now.
    pub running: bool,
    /// Whether an update of it (`lift embed --update`) was begun and is not complete. The counts are then those of its next state.
    pub update: bool,
    /// Inputs that are not done.
    pub missing: usize,
    /// Inputs per second, if it is known.
    pub rate: Option<f64>,
}

/// Why inputs failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureCause {
    /// Where: `open`, `decode`, ...
    pub stage: String,
    /// What went wrong.
    pub error: String,
    /// How many inputs.
    pub count: usize,
}

/// Looks at a dataset, one shard, or a folder of the shards of a run. Nothing is changed, and a run that writes is not disturbed.
///
/// # Errors
/// `Read` if it is no dataset, or a part is damaged.
pub fn status(path: &Path) -> Result<RunStatus, FileError> {
    let mut status = RunStatus {
        inputs: 0,
        done: 0,
        embedded: 0,
        rows: 0,
        failed: 0,
        missing: 0,
        shards: 1,
        not_begun: Vec::new(),
        unfinished: Vec::new(),
        rate: None,
        seconds_left: Some(0.0),
        causes: Vec::new(),
    };
    let mut causes: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut begun = Vec::new();
    for folder in folders(path)? {
        // A folder whose update is not complete is judged by what is to be.
        let next = folder.join(UPDATE);
        let update = Dataset::is_at(&next);
        let dataset = Dataset::read(if update { &next } else { &folder })?;
        if let Some(shard) = dataset.manifest().shard {
            begun.push(shard.index);
            status.shards = shard.count;
        }
        let (done, failed) = count(&dataset, &mut status, &mut causes)?;
        let inputs = dataset.manifest().own_inputs();
        let missing = inputs.saturating_sub(done);
        status.inputs += inputs;
        status.done += done;
        status.failed += failed;
        status.missing += missing;
        let running = is_locked(&folder);
        if running || missing > 0 || update {
            let progress = RunProgress::read(dataset.folder()).filter(|_| running);
            let rate = progress.and_then(|progress| progress.rate());
            status.rate = rate.map(|rate| rate + status.rate.unwrap_or(0.0)).or(status.rate);
            let left = match (missing, rate) {
                (0, _) => Some(0.0),
                (missing, rate) => rate.map(|rate| missing as f64 / rate),
            };
            status.seconds_left = status.seconds_left.zip(left).map(|(one, other)| one.max(other));
            status.unfinished.push(FolderStatus {
                path: display_path(&folder),
                running,
                update,
                missing,
                rate,
            });
        }
    }
    if !Dataset::is_at(path) && !begun.is_empty() {
        status.not_begun = (0..status.shards).filter(|shard| !begun.contains(shard)).collect();
    }
    if !status.not_begun.is_empty() {
        status.seconds_left = None;
    }
    let all = causes.into_iter().map(|((stage, error), count)| FailureCause { stage, error, count });
    status.causes = all.collect();
    status.causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
    Ok(status)
}

/// Counts what is done in a dataset, and what of it failed: in its parts, and in the journal of the part that is being written.
fn count(
    dataset: &Dataset,
    status: &mut RunStatus,
    causes: &mut BTreeMap<(String, String), usize>,
) -> Result<(usize, usize), FileError> {
    let mut failed = |stage: &str, error: &str| *causes.entry((stage.into(), error.into())).or_default() += 1;
    let counts = walk(dataset, |input| {
        failed(&input.failure.stage, &input.failure.error);
        Ok(())
    })?;
    let (mut done, mut failures) = (counts.embedded + counts.failed, counts.failed);
    status.embedded += counts.embedded;
    status.rows += counts.rows;
    let (parts, dims) = dataset.layout()?;
    let whole = dataset.parts()?;
    for number in dataset.journals()? {
        // Of a part that is there already, a run tries some inputs again, which are counted above.
        if number >= dataset.base_parts() || whole.binary_search(&number).is_ok() {
            continue;
        }
        for record in read_journal(&dataset.journal(number), &parts, dims)? {
            done += 1;
            match record.result {
                InputResult::Rows(rows) => {
                    status.embedded += 1;
                    status.rows += rows.len();
                }
                InputResult::Failed(input) => {
                    failures += 1;
                    failed(&input.failure.stage, &input.failure.error);
                }
            }
        }
    }
    Ok((done, failures))
}

/// Whether a run holds the lock of a folder. It is taken for a moment to know.
fn is_locked(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}
