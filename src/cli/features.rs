//! Frame features of videos for `lift train` and `lift eval-cia`: read from the feature cache, and computed into it first.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::progress::Progress;
use super::signals::Signals;
use crate::embed::cache::{self, Cached};
use crate::embed::{ModelChoice, Settings};
use crate::exit::Fatal;
use crate::inputs::Input;
use crate::rows::Part;
use crate::video::Request;
use crate::weights;

/// Where the features of videos are kept, and how they are computed.
pub(super) struct FeatureCache<'a> {
    /// The folder of the cache.
    pub(super) folder: PathBuf,
    /// Worker threads.
    pub(super) threads: NonZeroUsize,
    /// Ends the work early.
    pub(super) signals: &'a Signals,
    /// Whether to show no progress.
    pub(super) quiet: bool,
}

impl<'a> FeatureCache<'a> {
    /// The cache in `folder` (`--cache`), by default `features/` in LIFT_HOME.
    pub(super) fn new(
        folder: Option<&Path>,
        threads: NonZeroUsize,
        signals: &'a Signals,
        quiet: bool,
    ) -> Self {
        let folder = folder.map_or_else(|| weights::lift_home().join("features"), Path::to_owned);
        Self { folder, threads, signals, quiet }
    }

    /// The features `(T, D)` of 16 frames of each input. After a signal, what is done is kept in the cache and the answer
    /// covers it alone.
    ///
    /// # Errors
    /// As [`cache::features`].
    pub(super) fn features(&self, inputs: &[Input], choice: &ModelChoice) -> Result<Cached, Fatal> {
        let settings = Settings {
            request: Request::default(),
            parts: vec![Part::Frames],
            normalize: false,
            threads: self.threads,
            timeout: None,
        };
        let progress = RefCell::new(Progress::new(inputs.len(), self.quiet));
        let step = |outcome: &crate::embed::Outcome| progress.borrow_mut().step(outcome.result.is_ok());
        let cached =
            cache::features::<Fatal>(inputs, &self.folder, choice, &settings, &self.signals.stop, step)?;
        progress.into_inner().finish();
        Ok(cached)
    }
}
