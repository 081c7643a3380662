//! What a run prints while it goes: its progress, each failure, and each note once.

use std::collections::HashSet;
use std::path::Path;

use serde_json::json;

use crate::cli::progress::Progress;
use crate::cli::report::{self, Level};
use crate::files::display_path;
use crate::rows::Failure;

/// Prints the lines of a run and counts its failures.
pub(super) struct RunReport {
    progress: Progress,
    quiet: bool,
    failed: usize,
    /// The notes that were printed, each with the first video that it applies to.
    said: HashSet<String>,
}

impl RunReport {
    /// Starts the clock of a run over `inputs` inputs.
    pub(super) fn new(inputs: usize, quiet: bool) -> Self {
        Self { progress: Progress::new(inputs, quiet), quiet, failed: 0, said: HashSet::new() }
    }

    /// Prints notes about the inputs as a whole.
    pub(super) fn notes(&self, notes: &[String]) {
        if !self.quiet {
            notes.iter().for_each(|n| report::note(n));
        }
    }

    /// Counts an input that was embedded, and prints what was approximated in it.
    pub(super) fn embedded(&mut self, path: Option<&Path>, notes: &[String]) {
        for note in notes {
            if !self.quiet && self.said.insert(note.clone()) {
                let path = path.map(display_path).unwrap_or_default();
                self.progress.aside(|| report::note_of(&path, &format!("{note} (said once)")));
            }
        }
        self.progress.step(true);
    }

    /// Counts an input that failed, and prints why.
    pub(super) fn failure(&mut self, failure: &Failure) {
        self.failure_of(&display_path(&failure.clip.path), failure);
    }

    /// Counts a request on a stream that failed, and prints why. It is named by its index, which its answer has too.
    pub(super) fn failed_request(&mut self, failure: &Failure) {
        let index = failure.clip.index;
        let of = match failure.clip.path.as_os_str().is_empty() {
            true => format!("request {index}"),
            false => format!("request {index} ({})", display_path(&failure.clip.path)),
        };
        self.failure_of(&of, failure);
    }

    fn failure_of(&mut self, of: &str, failure: &Failure) {
        self.progress.aside(|| report::failed(of, failure));
        self.count_failure();
    }

    /// Counts an input that failed, of which something else tells.
    pub(super) fn count_failure(&mut self) {
        self.failed += 1;
        self.progress.step(false);
    }

    /// The number of inputs that have failed so far.
    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    /// Prints the last line, which `line` makes from the seconds that the run took.
    pub(super) fn end(self, line: impl FnOnce(f64) -> String) {
        let (done, failed) = (self.progress.done(), self.failed);
        let seconds = self.progress.finish().as_secs_f64();
        if !self.quiet {
            let fields = json!({ "done": done, "failed": failed, "seconds": seconds });
            report::event(Level::Info, "finished", &line(seconds), fields);
        }
    }
}
