//! What a run says while it goes: its progress, each failure, and each note once.

use std::collections::HashSet;
use std::path::Path;

use crate::cli::progress::Progress;
use crate::cli::report;
use crate::files::display_path;
use crate::rows::Failure;

/// The lines of a run.
pub(super) struct Teller {
    progress: Progress,
    quiet: bool,
    failed: usize,
    /// Notes are said with the first video they are true of.
    said: HashSet<String>,
}

impl Teller {
    /// Starts the clock over so many inputs.
    pub(super) fn new(inputs: usize, quiet: bool) -> Self {
        Self { progress: Progress::new(inputs, quiet), quiet, failed: 0, said: HashSet::new() }
    }

    /// Says what should be known beforehand.
    pub(super) fn notes(&self, notes: &[String]) {
        if !self.quiet {
            notes.iter().for_each(|n| report::note(n));
        }
    }

    /// Counts an input, and says what was approximated in it.
    pub(super) fn embedded(&mut self, path: Option<&Path>, notes: &[String]) {
        for note in notes {
            if !self.quiet && self.said.insert(note.clone()) {
                let path = path.map(display_path).unwrap_or_default();
                self.progress.aside(|| report::note(&format!("{path}: {note} (said once)")));
            }
        }
        self.progress.step(true);
    }

    /// Says why an input failed.
    pub(super) fn failure(&mut self, failure: &Failure) {
        // A request on a stream that names no file is known by its number alone.
        let of = match failure.clip.path.as_os_str().is_empty() {
            true => format!("request {}", failure.clip.index + 1),
            false => display_path(&failure.clip.path),
        };
        let line = format!("{of}: {}", failure.error);
        self.progress.aside(|| report::error(&line));
        self.failed += 1;
        self.progress.step(false);
    }

    /// Inputs that failed so far.
    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    /// Says the last line, made of the seconds that it took.
    pub(super) fn end(self, line: impl FnOnce(f64) -> String) {
        let seconds = self.progress.finish().as_secs_f64();
        if !self.quiet {
            report::say(&line(seconds));
        }
    }
}
