//! `_progress.json`: how far the run is that fills a dataset, for `lift status`. It is written whole, every ten seconds, and removed
//! when the run ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::files::AtomicFile;

/// The file's name.
const PROGRESS: &str = "_progress.json";

/// The time between two writings.
const EVERY: Duration = Duration::from_secs(10);

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct RunProgress {
    /// When it began, in seconds since 1970.
    started: f64,
    /// When this was written.
    updated: f64,
    /// Inputs that it has done, embedded or failed.
    pub(super) done: usize,
    /// Inputs that it has to do, those done included.
    pub(super) wanted: usize,
}

impl RunProgress {
    /// What the run in this folder wrote last; none if it wrote nothing that can be read.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(PROGRESS)).ok()?).ok()
    }

    /// Inputs per second; none before the first one is done.
    pub(super) fn rate(&self) -> Option<f64> {
        let seconds = self.updated - self.started;
        (self.done > 0 && seconds > 0.0).then(|| self.done as f64 / seconds)
    }
}

/// Writes how far a run is.
pub(super) struct ProgressWriter {
    path: PathBuf,
    now: RunProgress,
    written: Instant,
}

impl ProgressWriter {
    /// Begins, for a run that has to do `wanted` inputs.
    pub(super) fn new(folder: &Path, wanted: usize) -> Self {
        let now = seconds();
        let now = RunProgress { started: now, updated: now, done: 0, wanted };
        let writer = Self { path: folder.join(PROGRESS), now, written: Instant::now() };
        writer.write();
        writer
    }

    /// Counts an input that is done.
    pub(super) fn count(&mut self) {
        self.now.done += 1;
        if self.written.elapsed() >= EVERY {
            self.now.updated = seconds();
            self.written = Instant::now();
            self.write();
        }
    }

    /// Removes the file: the run has ended.
    pub(super) fn remove(&self) {
        // Best effort, as all here: a run does not end because nobody can see how far it is.
        let _ = fs::remove_file(&self.path);
    }

    fn write(&self) {
        let Ok(text) = serde_json::to_vec(&self.now) else { return };
        let _ = AtomicFile::create(&self.path, true).and_then(|file| file.commit_bytes(&text));
    }
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_says_how_far_it_is_and_nothing_once_it_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ProgressWriter::new(dir.path(), 40);
        let first = RunProgress::read(dir.path()).unwrap();
        assert_eq!((first.done, first.wanted, first.rate()), (0, 40, None));
        // As if the last writing were long ago.
        writer.written = Instant::now().checked_sub(EVERY).unwrap();
        writer.now.started -= 5.0;
        writer.count();
        writer.count();
        let next = RunProgress::read(dir.path()).unwrap();
        assert_eq!(next.done, 1);
        assert!(next.rate().is_some_and(|rate| rate > 0.0 && rate <= 0.2), "{next:?}");
        writer.remove();
        assert_eq!(RunProgress::read(dir.path()), None);
    }
}
