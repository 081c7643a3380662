//! The clips to train on: from files of features, or from videos through the feature cache.

use std::path::{Path, PathBuf};

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
use crate::rows::{Part, StoredTable, Wanted};
use crate::train::Clips;
use crate::weights::EncoderRecord;

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
    let wanted = match args.probe.probe_features {
        None => args.probe.wanted(),
        Some(_) => Wanted::default(),
    };
    match (&args.inputs[..], features.len()) {
        (_, 0) => videos(args, compute, scratch, signals, quiet),
        ([one], _) => Ok((file(one, wanted, scratch)?, 0, features::encoder_of(rows::split_array(one).0)?)),
        (all, count) if count == all.len() => {
            let mut files = Vec::new();
            let (first, array) = rows::split_array(&all[0]);
            for named in all {
                let (path, other) = rows::split_array(named);
                if other != array {
                    return Err(Fatal::usage(anyhow!(
                        "{} and {} name different arrays; train on arrays of one name",
                        display_path(&all[0]),
                        display_path(named)
                    )));
                }
                files.extend(rows::files(path)?);
            }
            let encoders: Vec<_> = all
                .iter()
                .map(|path| features::encoder_of(rows::split_array(path).0))
                .collect::<Result<_, _>>()?;
            let encoder = encoders[0].clone().filter(|_| encoders.iter().all(|other| *other == encoders[0]));
            Ok((opened_files(first, &files, wanted.or_array(array), scratch)?, 0, encoder))
        }
        _ => Err(Fatal::usage(anyhow!(
            "{} holds features and other inputs are videos; give features only, or videos only",
            display_path(features[0])
        ))),
    }
}

/// Opens a file or dataset of frame features: in memory if it is small, else mapped.
pub(super) fn file(named: &Path, wanted: Wanted, scratch: &Path) -> Result<Clips, Fatal> {
    let (path, array) = rows::split_array(named);
    opened_files(path, &rows::files(path)?, wanted.or_array(array), scratch)
}

/// Opens files of one array: the one that is wanted, else the one that training reads.
fn opened_files(origin: &Path, files: &[PathBuf], wanted: Wanted, scratch: &Path) -> Result<Clips, Fatal> {
    let part = match wanted.array {
        Some(array) => array.to_owned(),
        None => rows::shapes::of_frames(&files[0])?,
    };
    opened(rows::open_all(origin, files, Wanted { array: Some(&part), ..wanted }, scratch)?)
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
    let inputs = inputs::gather(&args.inputs, &[], &mut std::io::stdin(), inputs::Range::default(), &[])?;
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
        report::failed(&format!("{} is left out", display_path(&failure.clip.path)), failure);
    }
    if cached.files.is_empty() {
        return Err(Fatal::input(anyhow!("none of {} videos could be embedded", inputs.len())));
    }
    let clips = opened(rows::open_all(&folder, &cached.files, Wanted::one(Part::Frames.name()), scratch)?)?;
    Ok((clips, cached.failures.len(), Some(choice.encoder_record()?)))
}
