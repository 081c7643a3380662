//! What is trained on: files of features, or videos by way of the feature cache.

use std::cell::RefCell;
use std::path::Path;

use anyhow::anyhow;

use super::{TrainArgs, fatal};
use crate::cli::compute::Compute;
use crate::cli::progress::Progress;
use crate::cli::report;
use crate::cli::signals::Signals;
use crate::embed::cache;
use crate::exit::Fatal;
use crate::files::{display_path, display_text};
use crate::inputs;
use crate::rows;
use crate::rows::Opened;
use crate::train::Clips;
use crate::weights;

/// What training reads of a file.
const PART: Option<&str> = Some("frames");

/// The clips of the command line: files and datasets of features, or videos; and how many videos were left out.
pub(super) fn read(
    args: &TrainArgs,
    compute: &Compute,
    scratch: &Path,
    signals: &Signals,
    quiet: bool,
) -> Result<(Clips, usize), Fatal> {
    let features: Vec<_> = args.inputs.iter().filter(|path| rows::is_features(path)).collect();
    // The ids are the probe's; of these features only where it is scored on them.
    let ids = args.probe.ids.as_deref().filter(|_| args.probe.probe_features.is_none());
    match (&args.inputs[..], features.len()) {
        (_, 0) => videos(args, compute, scratch, signals, quiet),
        ([one], _) => Ok((file(one, ids, scratch)?, 0)),
        (all, count) if count == all.len() => {
            let mut files = Vec::new();
            for path in all {
                files.extend(rows::files(path)?);
            }
            Ok((opened(rows::open_all(&all[0], &files, ids, PART, scratch)?)?, 0))
        }
        _ => Err(Fatal::usage(anyhow!(
            "{} holds features and other inputs are videos; give the one or the other",
            display_path(features[0])
        ))),
    }
}

/// A file or dataset of frame features: in memory where it is small, else mapped.
pub(super) fn file(path: &Path, ids: Option<&Path>, scratch: &Path) -> Result<Clips, Fatal> {
    opened(rows::open(path, ids, PART, scratch)?)
}

fn opened(opened: Opened) -> Result<Clips, Fatal> {
    Clips::opened(opened).map_err(fatal)
}

fn videos(
    args: &TrainArgs,
    compute: &Compute,
    scratch: &Path,
    signals: &Signals,
    quiet: bool,
) -> Result<(Clips, usize), Fatal> {
    let inputs = inputs::gather(&args.inputs, &[], &mut std::io::stdin(), inputs::Range::default())?;
    if !quiet {
        inputs.notes.iter().for_each(|n| report::note(n));
    }
    let choice = args.models.choice(compute, quiet);
    let folder = args.cache.clone().unwrap_or_else(|| weights::lift_home().join("features"));
    let settings = cache::settings(compute.threads, args.limits.max_pixels, args.limits.timeout());
    let progress = RefCell::new(Progress::new(inputs.len(), quiet));
    let cached = cache::features::<Fatal>(
        &inputs.iter().collect::<Vec<_>>(),
        &folder,
        &choice,
        &settings,
        &signals.stop,
        |outcome| progress.borrow_mut().step(outcome.result.is_ok()),
    )?;
    progress.into_inner().finish();
    if let Some(exit) = signals.received() {
        return Err(Fatal {
            exit,
            error: Some(anyhow!("interrupted: the features so far are kept for the next run")),
        });
    }
    for failure in &cached.failures {
        report::error(&format!("{}: {}; left out", display_text(&failure.path), failure.error));
    }
    if cached.files.is_empty() {
        return Err(Fatal::input(anyhow!("none of {} videos could be embedded", inputs.len())));
    }
    let clips = opened(rows::open_all(&folder, &cached.files, None, PART, scratch)?)?;
    Ok((clips, cached.failures.len()))
}
