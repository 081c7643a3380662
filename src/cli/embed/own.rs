//! `lift embed FEATURES`: LiFT's parts of frame features that are in a file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;
use serde_json::json;

use super::run_report::RunReport;
use super::single::{Run, destination};
use super::{EmbedArgs, dataset_folder, too_many};
use crate::cli::signals::Signals;
use crate::cli::{Verbosity, features, report};
use crate::dataset::{self, Dataset};
use crate::embed::{Engine, ModelChoice, OwnFeatures, OwnParts};
use crate::exit::{Exit, Fatal};
use crate::files::display_path;
use crate::rows::{self, Destination, Format, ModelDigest, Prepared, Provenance, Wanted};
use crate::threads;
use crate::video::VideoError;
use crate::weights::{MINI_NOTE, WeightsSource};

/// The flags that matter where no video is read.
const READ: [&str; 15] = [
    "inputs",
    "ids",
    "id-column",
    "lift",
    "model",
    "offline",
    "output",
    "parts",
    "normalize",
    "overwrite",
    "threads",
    "max-failures",
    "encoder",
    "dinov2",
    "encoder-weights",
];

/// The file (or `FILE#ARRAY`, or a dataset's folder) of features, if that is what is to be embedded.
pub(super) fn named(args: &EmbedArgs) -> Option<&Path> {
    args.inputs.iter().map(|input| input.as_path()).find(|input| {
        let (path, array) = rows::split_array(input);
        match path.is_dir() {
            true => Dataset::is_at(path) || array.is_some(),
            false => Format::of(path).is_some(),
        }
    })
}

/// Reads the features, claims the output, loads LiFT, computes, and reports.
pub(super) fn run(
    args: &EmbedArgs,
    named: &Path,
    given: &[String],
    verbosity: &Verbosity,
) -> Result<Exit, Fatal> {
    let shown = display_path(named);
    if args.inputs.len() > 1 || !args.list.is_empty() {
        return Err(Fatal::usage(anyhow!(
            "{shown}: it holds features; they are embedded one file at a time, without videos"
        )));
    }
    if let Some(flag) = given.iter().find(|flag| !READ.contains(&flag.as_str())) {
        return Err(Fatal::usage(anyhow!(
            "{shown}: it holds features, and --{flag} is for videos; leave it out"
        )));
    }
    if let Some(folder) = dataset_folder(args) {
        let folder = display_path(&folder);
        return Err(Fatal::usage(anyhow!(
            "{folder}: the parts of stored features are written into one file; name it with -o, for example -o parts.parquet"
        )));
    }
    let quiet = verbosity.quiet;
    let (path, array) = rows::split_array(named);
    let files = rows::files(path)?;
    let array = match array {
        Some(array) => array.to_owned(),
        None => rows::shapes::of_frames(&files[0])?,
    };
    let wanted = Wanted { array: Some(&array), ..args.ids.wanted() };
    let told = wanted.ids.is_none() && wanted.id_column.is_none();
    let own = OwnFeatures::new(rows::open_all(path, &files, wanted, &std::env::temp_dir())?, told)?;
    let destination = destination(args, Some(path))?;
    let prepared =
        Prepared::new(&destination, &args.output.parts, args.output.overwrite)?.keeping(&own.kept_columns());
    let run_report = RunReport::new(own.len(), quiet);
    if !own.has_ids() && !quiet {
        report::note(&format!(
            "{shown}: its rows have no ids, so their numbers from 0 stand for them (--ids FILE names them)"
        ));
    }
    let compute = args.compute.settle(quiet)?;
    // Of the models that the flags name, LiFT alone is used.
    let choice = args.models.choice(&compute, true);
    if choice.lift == WeightsSource::Mini && !quiet {
        report::note(MINI_NOTE);
    }
    let made_by = features::encoder_of(path)?;
    let lift = Engine::load_lift_alone(&choice, own.width(), made_by.as_ref())?;
    let (frames, most) = (own.frames(), lift.max_frames());
    if frames > most {
        return Err(Fatal::input(anyhow!("{shown}: {}", VideoError::TooManyFrames { frames, most })));
    }
    let signals = Signals::listen()?;
    let pool = threads::pool(compute.threads).map_err(Fatal::input)?;
    destination.check_space(own.len(), &args.output.parts, own.dims(&lift))?;
    let mut run = Run::new(prepared.start(own.dims(&lift))?, run_report);
    let how = OwnParts { lift: &lift, parts: &args.output.parts, normalize: args.output.normalize };
    let kept = if destination == Destination::Stdout {
        "the lines printed so far are complete"
    } else {
        "nothing was written"
    };
    own.embed(&how, &pool, &signals.stop, |outcome| {
        run.take(outcome).map_err(Fatal::from)?;
        match args.runs.max_failures.filter(|&limit| run.failed() > limit) {
            Some(limit) => Err(too_many(limit, kept)),
            None => Ok(()),
        }
    })?;
    if let Some(exit) = signals.received() {
        return Err(Fatal { exit, error: Some(anyhow!("interrupted: {kept}")) });
    }
    if destination != Destination::Stdout {
        let made = provenance(args, &choice, &own, dataset::provenance(path)?)?;
        run.made_by(&made)?;
    }
    run.finish()
}

/// What makes the rows: what made the features, and LiFT.
fn provenance(
    args: &EmbedArgs,
    choice: &ModelChoice,
    own: &OwnFeatures,
    features: Option<Provenance>,
) -> Result<Provenance, Fatal> {
    let (mut settings, mut models) =
        features.map_or_else(Default::default, |made| (made.settings, made.models));
    if settings.get("normalize") == Some(&json!(true)) {
        settings.insert("normalize-features".into(), json!(true));
    }
    settings.insert("frames".into(), json!(own.frames()));
    settings.insert("normalize".into(), json!(args.output.normalize));
    models.retain(|name, _| name != "lift");
    if args.output.parts.iter().any(|part| part.needs_lift()) {
        models.insert("lift".into(), choice.lift_model()?);
    }
    let (settings, models): (BTreeMap<_, _>, BTreeMap<String, ModelDigest>) = (settings, models);
    Ok(Provenance::new(&args.output.parts, settings, models))
}
