//! The clips to train on: from files of features, or from videos through the feature cache.

use std::path::Path;

use anyhow::anyhow;

use super::{TrainArgs, fatal};
use crate::cli::compute::Compute;
use crate::cli::features;
use crate::cli::report;
use crate::cli::signals::Signals;
use crate::exit::Fatal;
use crate::files::display_path;
use crate::inputs;
use crate::rows;
use crate::rows::{Part, StoredTable};
use crate::train::Clips;
use crate::weights::EncoderRecord;

/// The array of a file that training reads: `frames`, else the only one with frames, whatever its name.
fn part(file: &Path) -> Result<String, Fatal> {
    let own = Part::Frames.name();
    if !file.is_file() {
        // The reader says what is wrong with it.
        return Ok(own.to_owned());
    }
    let there = rows::shapes::shapes(file)?;
    let of_frames: Vec<&String> =
        there.iter().filter(|(_, shape)| shape.len() == 2).map(|(name, _)| name).collect();
    match of_frames[..] {
        _ if of_frames.iter().any(|name| *name == own) => Ok(own.to_owned()),
        [one] => Ok(one.clone()),
        // The reader says what is wrong with a file without an array.
        [] if there.is_empty() => Ok(own.to_owned()),
        _ => {
            let what = match of_frames.len() {
                0 => {
                    "none is the features of frames, (clips, frames, width): make them with `lift embed --parts frames`"
                }
                _ => "several have frames, and none is called frames: keep the one to train on",
            };
            Err(Fatal::input(anyhow!(
                "{}: it has {}; {what}",
                display_path(file),
                rows::shapes::said(&there)
            )))
        }
    }
}

/// The clips of the inputs (files and datasets of features, or videos), how many videos were left out, and the frame encoder that
/// the features are of, if it is known.
pub(super) fn read(
    args: &TrainArgs,
    compute: &Compute,
    scratch: &Path,
    signals: &Signals,
    quiet: bool,
) -> Result<(Clips, usize, Option<EncoderRecord>), Fatal> {
    args.inputs.iter().try_for_each(|path| rows::check_not_foreign(path))?;
    let features: Vec<_> = args.inputs.iter().filter(|path| rows::is_features(path)).collect();
    // The ids belong to the features that the probe is scored on: these ones, unless --probe-features names others.
    let ids = args.probe.ids.as_deref().filter(|_| args.probe.probe_features.is_none());
    match (&args.inputs[..], features.len()) {
        (_, 0) => videos(args, compute, scratch, signals, quiet),
        ([one], _) => Ok((file(one, ids, scratch)?, 0, features::encoder_of(one)?)),
        (all, count) if count == all.len() => {
            let mut files = Vec::new();
            for path in all {
                files.extend(rows::files(path)?);
            }
            let encoders: Vec<_> =
                all.iter().map(|path| features::encoder_of(path)).collect::<Result<_, _>>()?;
            let encoder = encoders[0].clone().filter(|_| encoders.iter().all(|other| *other == encoders[0]));
            let part = part(&files[0])?;
            Ok((opened(rows::open_all(&all[0], &files, ids, Some(&part), scratch)?)?, 0, encoder))
        }
        _ => Err(Fatal::usage(anyhow!(
            "{} holds features and other inputs are videos; give features only, or videos only",
            display_path(features[0])
        ))),
    }
}

/// Opens a file or dataset of frame features: in memory if it is small, else mapped.
pub(super) fn file(path: &Path, ids: Option<&Path>, scratch: &Path) -> Result<Clips, Fatal> {
    let files = rows::files(path)?;
    let part = part(&files[0])?;
    opened(rows::open_all(path, &files, ids, Some(&part), scratch)?)
}

fn opened(opened: StoredTable) -> Result<Clips, Fatal> {
    Clips::opened(opened).map_err(fatal)
}

fn videos(
    args: &TrainArgs,
    compute: &Compute,
    scratch: &Path,
    signals: &Signals,
    quiet: bool,
) -> Result<(Clips, usize, Option<EncoderRecord>), Fatal> {
    let inputs = inputs::gather(&args.inputs, &[], &mut std::io::stdin(), inputs::Range::default())?;
    if !quiet {
        inputs.notes.iter().for_each(|n| report::note(n));
    }
    let choice = args.models.choice(compute, quiet);
    let all: Vec<_> = inputs.iter().collect();
    let (folder, cached) = features::cached(
        &all,
        args.cache.as_deref(),
        &choice,
        compute.threads,
        &args.limits,
        signals,
        quiet,
    )?;
    if let Some(exit) = signals.received() {
        return Err(Fatal {
            exit,
            error: Some(anyhow!("interrupted: the features so far are kept for the next run")),
        });
    }
    for failure in &cached.failures {
        report::error(&format!("{}: {}; left out", display_path(&failure.clip.path), failure.error));
    }
    if cached.files.is_empty() {
        return Err(Fatal::input(anyhow!("none of {} videos could be embedded", inputs.len())));
    }
    let clips = opened(rows::open_all(&folder, &cached.files, None, Some(Part::Frames.name()), scratch)?)?;
    Ok((clips, cached.failures.len(), Some(choice.encoder_record()?)))
}
