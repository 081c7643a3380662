//! `lift embed`: turns videos into embeddings.

mod args;
mod dataset;
mod own;
mod run_report;
mod single;
mod stream;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::anyhow;
use serde_json::{Value, json};

use super::compute::Compute;
use super::{Verbosity, is_folder, report};
use crate::embed::{EmbedSettings, Engine, ModelChoice};
use crate::exit::{Exit, Fatal};
use crate::files::display_path;
use crate::inputs::{self, InputList};
use crate::rows::check_kept_columns;
use crate::video::{Sampling, VideoError};

pub(super) use args::EmbedArgs;

/// Runs the form of the command that the flags ask for: answers on a stream, a dataset in a folder, or one file.
///
/// `given` has the names of the flags that the command line, or its file of settings, gives.
pub(super) fn run(args: &EmbedArgs, verbosity: &Verbosity, given: &[String]) -> Result<Exit, Fatal> {
    if let Some(format) = args.runs.stream {
        return stream::run(args, format, verbosity);
    }
    if let Some(features) = own::named(args) {
        return own::run(args, features, given, verbosity);
    }
    let for_features = ["ids", "id-column"].into_iter().find(|flag| given.iter().any(|name| name == flag));
    if let Some(flag) = for_features {
        return Err(Fatal::usage(anyhow!(
            "--{flag} is for a file of features; the ids of videos are their names, or those of --list"
        )));
    }
    if let Some(folder) = dataset_folder(args) {
        return dataset::run(args, &folder, verbosity);
    }
    // These two have defaults, so that only the command line tells whether they were asked for.
    let no_effect = ["shard-size", "format"].into_iter().find(|flag| given.iter().any(|name| name == flag));
    if let Some(flag) = no_effect {
        return Err(Fatal::usage(anyhow!(
            "--{flag} is for the parts of a dataset and does nothing for one file; name a folder with -o DIR/, or leave it out"
        )));
    }
    let wants_dataset = [
        (args.runs.shard.is_some(), "--shard"),
        (args.runs.retry_failed, "--retry-failed"),
        (args.runs.update, "--update"),
    ];
    if let Some((_, flag)) = wants_dataset.into_iter().find(|(given, _)| *given) {
        return Err(Fatal::usage(anyhow!("{flag} is for datasets; name a folder with -o DIR/")));
    }
    single::run(args, verbosity)
}

/// The folder of a dataset, if the output is one.
fn dataset_folder(args: &EmbedArgs) -> Option<PathBuf> {
    args.output.output.clone().filter(|output| is_folder(output))
}

fn gather(args: &EmbedArgs) -> Result<InputList, Fatal> {
    check_kept_columns(&args.keep)?;
    let range = args.sampling.range.range();
    Ok(inputs::gather(&args.inputs, &args.list, &mut std::io::stdin(), range, &args.keep)?)
}

/// Refuses inputs of which no file is there, before anything is written: a list that was made elsewhere, a disk that is away.
fn check_any_exists(inputs: &InputList) -> Result<(), Fatal> {
    if inputs.any_exists() {
        return Ok(());
    }
    let first = inputs.iter().next().map(|input| display_path(&input.path)).unwrap_or_default();
    Err(Fatal::input(anyhow!(
        "no file of {} is there; the first is {first} (relative paths start at the working directory, those of a list also at its folder); is a disk not mounted?",
        report::count(inputs.len(), "input")
    )))
}

/// What the pipeline does with every input.
fn settings(args: &EmbedArgs, compute: &Compute, most: Option<usize>) -> EmbedSettings {
    EmbedSettings {
        request: args.sampling.request(most, args.limits.max_pixels),
        parts: args.output.parts.clone(),
        normalize: args.output.normalize,
        threads: compute.threads,
        timeout: args.limits.timeout(),
        pictures: None,
    }
}

/// The settings that decide the numbers, by the names of their flags, without those that were not given.
fn deciding(args: &EmbedArgs, choice: &ModelChoice) -> BTreeMap<String, Value> {
    let sampling = &args.sampling;
    let frames = match sampling.frames {
        Sampling::Count(n) if sampling.fps.is_none() => json!(n),
        Sampling::All if sampling.fps.is_none() => json!("all"),
        _ => Value::Null,
    };
    let all = [
        ("frames", frames),
        ("fps", json!(sampling.fps)),
        ("range-by", json!(sampling.range.range_by)),
        ("keyframes", if sampling.key.keyframes { json!(true) } else { Value::Null }),
        ("reverse", json!(sampling.reverse)),
        ("allow-truncated", json!(sampling.allow_truncated)),
        ("window", json!(sampling.window)),
        ("stride", json!(sampling.stride.or(sampling.window))),
        ("max-pixels", json!(args.limits.max_pixels)),
        ("normalize", json!(args.output.normalize)),
        ("precision", json!(choice.precision())),
        ("heads", json!(choice.heads)),
    ];
    all.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.to_string(), v)).collect()
}

/// Refuses a number of frames that LiFT cannot read of any clip, before any work.
fn check_length(engine: &Engine, args: &EmbedArgs) -> Result<(), Fatal> {
    match (engine.max_frames(), args.sampling.fixed()) {
        (Some(most), Some(frames)) if frames > most => {
            Err(Fatal::usage(anyhow!("{}", VideoError::TooManyFrames { frames, most })))
        }
        _ => Ok(()),
    }
}

/// The error that ends a run with too many failures; `kept` says what remains of the run.
fn too_many(limit: usize, kept: &str) -> Fatal {
    let inputs = report::count(limit, "input");
    let error = anyhow!("stopped: more than {inputs} failed (--max-failures); {kept}");
    Fatal { exit: Exit::SomeFailed, error: Some(error) }
}
