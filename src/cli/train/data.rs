//! What is trained on: files of features, or videos by way of the feature cache.

use std::cell::RefCell;
use std::path::Path;

use anyhow::anyhow;

use super::{TrainArgs, fatal};
use crate::cli::compute::Compute;
use crate::cli::progress::Progress;
use crate::cli::report;
use crate::cli::signals::Signals;
use crate::embed::{Engine, Outcome, Settings, cache};
use crate::exit::Fatal;
use crate::inputs;
use crate::rows::{self, Format, Part, display_path};
use crate::train::Clips;
use crate::video::Request;
use crate::weights;

/// The clips of the command line: one file of features, or videos.
pub(super) fn read(
    args: &TrainArgs,
    compute: &Compute,
    signals: &Signals,
    quiet: bool,
) -> Result<Clips, Fatal> {
    match &args.inputs[..] {
        [one] if Format::of(one).is_some() => file(one),
        several if several.iter().any(|path| Format::of(path).is_some()) => {
            Err(Fatal::usage(anyhow!("give one file of features, or videos; lift merge joins files")))
        }
        _ => videos(args, compute, signals, quiet),
    }
}

/// A file of frame features: mapped where its format allows, else read.
pub(super) fn file(path: &Path) -> Result<Clips, Fatal> {
    if let Some(clips) = Clips::map(path).map_err(fatal)? {
        return Ok(clips);
    }
    let table = rows::read(path, None, Some(Part::Frames.name()))?;
    let array = table.array(Part::Frames.name())?;
    let &[count, frames, width] = &array.shape[..] else {
        return Err(Fatal::input(anyhow!(
            "{}: its rows are of shape {:?}, expected frame features (B, T, D) from lift embed --parts frames",
            display_path(path),
            &array.shape[1..]
        )));
    };
    Clips::in_memory(path, array.data.clone(), [count, frames, width]).map_err(fatal)
}

fn videos(args: &TrainArgs, compute: &Compute, signals: &Signals, quiet: bool) -> Result<Clips, Fatal> {
    let inputs = inputs::gather(&args.inputs, &[], &mut std::io::stdin()).map_err(Fatal::input)?;
    if !quiet {
        inputs.notes.iter().for_each(|n| report::note(n));
    }
    let choice = args.models.choice(compute, quiet);
    let folder = args.cache.clone().unwrap_or_else(|| weights::lift_home().join("features"));
    let settings = Settings {
        request: Request::default(),
        parts: vec![Part::Frames],
        normalize: false,
        threads: compute.threads,
    };
    let model = weights::dinov2_digest(&choice.dinov2, choice.offline)?;
    let model = format!("{model} {:?} {}", choice.heads, choice.arithmetic());
    let progress = RefCell::new(Progress::new(inputs.items.len(), quiet));
    let cached = cache::features::<Fatal>(
        &inputs.items,
        &folder,
        &model,
        &settings,
        &signals.stop,
        || Ok(Engine::load(&choice, &[Part::Frames])?),
        |outcome| progress.borrow_mut().step(matches!(outcome, Outcome::Embedded(..))),
    )?;
    progress.into_inner().finish();
    if let Some(exit) = signals.received() {
        return Err(Fatal {
            exit,
            error: Some(anyhow!("interrupted: the features so far are kept for the next run")),
        });
    }
    for failure in &cached.failures {
        report::error(&format!("{}: {}; left out", display_path(&failure.path), failure.error));
    }
    let mut values = Vec::new();
    let (mut count, mut shape) = (0, [0, 0]);
    for path in &cached.files {
        let table = rows::read(path, None, Some(Part::Frames.name()))?;
        let array = table.array(Part::Frames.name())?;
        if let &[rows, frames, width] = &array.shape[..] {
            (count, shape) = (count + rows, [frames, width]);
            values.extend_from_slice(&array.data);
        }
    }
    Clips::in_memory(&folder, values, [count, shape[0], shape[1]]).map_err(fatal)
}
