//! Frame features of videos for `lift train` and `lift eval-cia`: read from the feature cache, and computed into it first.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::limits::LimitArgs;
use super::progress::Progress;
use super::signals::Signals;
use crate::embed::cache::{self, Cached};
use crate::embed::{ModelChoice, Outcome};
use crate::exit::Fatal;
use crate::inputs::Input;
use crate::weights;

/// The features `(T, D)` of 16 frames of each input, and the folder of the cache: `folder` (`--cache`), by default `features/`
/// in LIFT_HOME. After a signal, what is done is kept in the cache and the answer covers it alone.
///
/// # Errors
/// As [`cache::features`].
pub(super) fn cached(
    inputs: &[Input],
    folder: Option<&Path>,
    choice: &ModelChoice,
    threads: NonZeroUsize,
    limits: &LimitArgs,
    signals: &Signals,
    quiet: bool,
) -> Result<(PathBuf, Cached), Fatal> {
    let folder = folder.map_or_else(|| weights::lift_home().join("features"), Path::to_owned);
    let settings = cache::settings(threads, limits.max_pixels, limits.timeout());
    let progress = RefCell::new(Progress::new(inputs.len(), quiet));
    let step = |outcome: &Outcome| progress.borrow_mut().step(outcome.result.is_ok());
    let cached = cache::features::<Fatal>(inputs, &folder, choice, &settings, &signals.stop, step)?;
    progress.into_inner().finish();
    Ok((folder, cached))
}
