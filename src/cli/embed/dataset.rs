//! `lift embed -o DIR/`: a dataset in a folder. Only the inputs that it lacks are embedded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;

use super::args::{PartFormat, RunArgs, ShardArg};
use super::{EmbedArgs, check_any_exists, check_length, deciding, gather, settings, too_many};
use crate::cli::Verbosity;
use crate::cli::embed::run_report::RunReport;
use crate::cli::report::{self, count};
use crate::cli::signals::Signals;
use crate::dataset::{
    Change, Changes, Dataset, DatasetCounts, DatasetPlan, DatasetWriter, FAILURES, InputsDigest, Manifest,
    Rules, ShardOf, Update, changes, kept_inputs,
};
use crate::embed::{self, Embedded, Engine, ModelChoice, Outcome};
use crate::exit::{Exit, Fatal};
use crate::files;
use crate::files::{FileError, display_path, display_text};
use crate::inputs::{Input, InputList, Shard};
use crate::rows::{Format, Part, Wanted};
use crate::search::{self, Collection};

/// Gathers the inputs, compares them with the dataset, embeds those that it lacks, and reports.
pub(super) fn run(args: &EmbedArgs, folder: &Path, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let quiet = verbosity.quiet;
    check_parts(args)?;
    if args.output.overwrite {
        let text = "a dataset is resumed, updated (--update) or refused, never overwritten; remove the folder to start again";
        return Err(Fatal::usage(anyhow!("{}: {text}", display_path(folder))));
    }
    let shard = shard(args)?;
    check_folder(folder, shard.is_some())?;
    let folder = shard.map_or_else(|| folder.to_path_buf(), |shard| shard.folder(folder));
    let inputs = gather(args)?;
    let members = inputs.iter().filter(move |input| shard.is_none_or(|shard| shard.holds(&input.id)));
    let compute = args.compute.settle(quiet)?;
    let choice = args.models.choice(&compute, quiet);
    let manifest = manifest(args, &inputs, shard.map(|s| (s, members.clone().count())), &choice)?;
    let there = Dataset::is_at(&folder);
    if there && !args.runs.update {
        check_same_inputs(&folder, &manifest, members.clone())?;
    }
    if args.runs.dry_run {
        return match there && args.runs.update {
            true => dry_update(args, &folder, &manifest, members),
            false => dry_run(args, &folder, &manifest, members),
        };
    }
    if !there || args.runs.update {
        check_any_exists(&inputs)?;
    }
    let opened = open(args, &folder, manifest, members.clone())?;
    let Opened { dataset, update, kept } = opened;
    let members = members.chain(kept);
    let retry = update.as_ref().map_or(args.runs.retry_failed, Update::retries_in_place);
    let mut plan = DatasetPlan::new(&dataset, files(members.clone()), retry)?;
    plan.by_content = args.runs.by_content;
    if let Some(update) = &update {
        update.complete(&mut plan);
    }
    let mut report = RunReport::new(plan.wanted, quiet);
    report.notes(&inputs.notes);
    report.notes(
        &update
            .as_ref()
            .map(|update| said(&update.changes(), args.runs.prune))
            .into_iter()
            .collect::<Vec<_>>(),
    );
    if plan.absent == plan.done && plan.absent > 0 && plan.wanted > 0 {
        check_any_exists(&inputs)?;
    }
    // Of an update it is told already.
    if plan.absent > 0 && update.is_none() {
        let videos = count(plan.absent, "video");
        report.notes(&[format!("not there now, but done before: {videos}; what was made of them is kept")]);
    }
    let signals = Signals::listen()?;
    let (wanted, done) = (plan.wanted, plan.done);
    let selected = plan.select(members, |input| input.index);
    let mut writer = DatasetWriter::new(dataset, plan)?;
    let mut ended = Ok(());
    if wanted > 0 {
        let engine = Arc::new(Engine::load(&choice, &args.output.parts)?);
        check_length(&engine, args)?;
        let settings = settings(args, &compute, engine.max_frames());
        note_space(args, wanted, &engine, &folder, quiet);
        let limit = args.runs.max_failures;
        ended = embed::run(selected, &engine, &settings, &signals.stop, |outcome| {
            take(&mut writer, &mut report, outcome)?;
            match limit.filter(|&limit| report.failed() > limit) {
                Some(limit) => {
                    let kept = format!("what is embedded is kept in {}", display_path(&folder));
                    Err(too_many(limit, &kept))
                }
                None => Ok(()),
            }
        });
    }
    if let Err(fatal) = &ended
        && fatal.exit != Exit::SomeFailed
    {
        // A full disk cannot take the last part either; the finished parts are kept.
        return ended.map(|()| Exit::Success);
    }
    let counts = writer.finish()?;
    let complete = update.map_or(Ok(false), Update::finish)?;
    finish_report(report, &counts, done, &folder);
    if complete && counts.rows > 0 {
        follow(&folder, quiet);
    }
    ended?;
    if let Some(exit) = signals.received() {
        let error = anyhow!("stopped; rerun the same command to resume {}", display_path(&folder));
        return Err(Fatal { exit, error: Some(error) });
    }
    Ok(if counts.failed > 0 { Exit::SomeFailed } else { Exit::Success })
}

/// Says so where the rows will not fit on the disk: the finished parts are kept, so it is no reason to refuse.
fn note_space(args: &EmbedArgs, wanted: usize, engine: &Engine, folder: &Path, quiet: bool) {
    let row = args.sampling.dims(engine).row_bytes(&args.output.parts);
    let needed =
        row.filter(|_| args.sampling.window.is_none() && !quiet).map(|row| row.saturating_mul(wanted as u64));
    if let (Some(needed), Some(free)) = (needed, files::free_space(folder))
        && free < needed
    {
        report::note(&format!(
            "{}: the rows need about {}, and the disk has {} free; what fits is kept, and the same command goes on when there is space",
            display_path(folder),
            files::size_text(needed),
            files::size_text(free)
        ));
    }
}

/// The dataset to fill, and what it has behind the inputs of the list.
struct Opened {
    dataset: Dataset,
    update: Option<Update>,
    kept: Vec<Input>,
}

/// Opens the dataset, or begins its update.
fn open(
    args: &EmbedArgs,
    folder: &Path,
    manifest: Manifest,
    members: impl Iterator<Item = Input> + Clone,
) -> Result<Opened, Fatal> {
    if !args.runs.update || !Dataset::is_at(folder) {
        let dataset = Dataset::open(folder, manifest)?;
        return Ok(Opened { dataset, update: None, kept: kept_inputs(folder)? });
    }
    let (update, dataset) = Update::begin(folder, &manifest, members, rules(args))?;
    let kept = update.kept().to_vec();
    Ok(Opened { dataset, update: Some(update), kept })
}

/// Makes the files follow that `lift search --prepare` put into the dataset, which are of its last state. The dataset is complete without
/// them, so what goes wrong is told and ends nothing: searches refuse such a file, and say what to do.
fn follow(folder: &Path, quiet: bool) {
    let remade = |by: &str| Collection::open_stored(folder, by, Wanted::default())?.prepare(&mut |_| {});
    for by in search::outdated(folder).unwrap_or_default() {
        let path = display_path(&search::prepared_path(folder, &by));
        match remade(&by) {
            Ok(_) if quiet => {}
            Ok((_, 0)) => report::note(&format!("{path}: made anew for searches of the updated dataset")),
            Ok((_, taken)) => report::note(&format!(
                "{path}: follows the update for searches; {} of it were there already",
                count(taken, "row")
            )),
            Err(e) => {
                report::error(&format!("{path}: not made anew: {e}; run lift search --prepare, or remove it"))
            }
        }
    }
}

fn rules(args: &EmbedArgs) -> Rules {
    let RunArgs { prune, by_content, retry_failed, .. } = args.runs;
    Rules { prune, by_content, retry_failed }
}

/// What has changed, in words.
fn said(changes: &Changes, prune: bool) -> String {
    let &Changes { new, changed, gone, unchanged, again, absent, other_columns, .. } = changes;
    let gone_words = match (gone, prune) {
        (0, _) => String::new(),
        (_, true) => " (dropped)".to_owned(),
        (_, false) => " (kept; --prune drops them)".to_owned(),
    };
    let again = if again > 0 { format!(", {again} failed before and tried again") } else { String::new() };
    let absent =
        if absent > 0 { format!(" ({absent} of them not there now, and kept)") } else { String::new() };
    let others = other_values(other_columns);
    format!(
        "{new} new, {changed} changed, {gone} gone{gone_words}{again}, {unchanged} unchanged{absent}{others}"
    )
}

/// Refuses a list that is not that of the dataset, with what is different.
fn check_same_inputs(
    folder: &Path,
    now: &Manifest,
    members: impl Iterator<Item = Input>,
) -> Result<(), Fatal> {
    let dataset = Dataset::read(folder)?;
    if !dataset.manifest().has_other_inputs(now) {
        return Ok(());
    }
    let Changes { new, changed, gone, other_columns, .. } =
        changes(folder, now, members, Rules::default(), |_, _| Ok(()))?;
    let why = dataset.manifest().refusal(now).unwrap_or_default();
    let (folder, others) = (display_path(folder), other_values(other_columns));
    Err(Fatal::usage(anyhow!("{folder}: {new} new, {changed} changed, {gone} gone{others}: {why}")))
}

/// The last of the counts: how many inputs have other values in the kept columns of the list. Empty if none has.
fn other_values(count: usize) -> String {
    if count > 0 { format!(", {count} with other values in the columns of --keep") } else { String::new() }
}

fn take(writer: &mut DatasetWriter, report: &mut RunReport, outcome: Outcome) -> Result<(), FileError> {
    match outcome.fill(writer)? {
        Ok(Embedded { rows, notes, .. }) => {
            if let Some(first) = rows.first() {
                report.embedded(Some(&first.clip.path), &notes);
            }
        }
        Err(failure) => report.failure(&failure),
    }
    Ok(())
}

fn finish_report(report: RunReport, counts: &DatasetCounts, done: usize, folder: &Path) {
    let &DatasetCounts { embedded, rows, failed } = counts;
    report.end(|seconds| {
        let rows = if rows == embedded { String::new() } else { format!(" ({rows} rows)") };
        let failures = if failed > 0 { format!(", {failed} failed ({FAILURES})") } else { String::new() };
        let before = if done > 0 { format!("; {done} inputs were done before") } else { String::new() };
        format!("{}: {embedded} embedded{rows}{failures}{before}; {seconds:.2} s", display_path(folder))
    });
}

fn files(members: impl Iterator<Item = Input>) -> impl Iterator<Item = (usize, PathBuf)> {
    members.map(|input| (input.index, input.path))
}

/// Prints what would be done.
fn dry_run(
    args: &EmbedArgs,
    folder: &Path,
    manifest: &Manifest,
    members: impl Iterator<Item = Input>,
) -> Result<Exit, Fatal> {
    let mut text = String::new();
    if Dataset::is_at(folder) {
        let dataset = Dataset::read(folder)?;
        if let Some(why) = dataset.manifest().refusal(manifest) {
            return Err(Fatal::usage(anyhow!("{}: {why}", display_path(folder))));
        }
        let members = members.chain(kept_inputs(folder)?);
        let DatasetPlan { wanted, done, failed, changed, .. } =
            DatasetPlan::new(&dataset, files(members), args.runs.retry_failed)?;
        let of_them =
            |n: usize, what: &str| if n > 0 { format!(" ({n} of them {what})") } else { String::new() };
        let (changed, failed) = (of_them(changed, "changed"), of_them(failed, "failed"));
        text += &format!("{wanted} to embed{changed}, {done} done{failed}\n");
    } else {
        text += &format!("{} to embed, none done\n", manifest.own_inputs());
    }
    files::print(text.as_bytes())?;
    Ok(Exit::Success)
}

/// Prints every input that an update would add, embed again or find gone, and how many they are.
fn dry_update(
    args: &EmbedArgs,
    folder: &Path,
    manifest: &Manifest,
    members: impl Iterator<Item = Input>,
) -> Result<Exit, Fatal> {
    let prune = args.runs.prune;
    let changes = changes(folder, manifest, members, rules(args), |change, input| {
        let what = match change {
            Change::New => "new",
            Change::Changed => "changed",
            Change::Gone if prune => "gone, dropped",
            Change::Gone => "gone, kept",
        };
        files::print(
            format!("{what}: {} ({})\n", display_text(&input.id), display_path(&input.path)).as_bytes(),
        )
    })?;
    files::print(format!("{}\n", said(&changes, prune)).as_bytes())?;
    Ok(Exit::Success)
}

/// Refuses a folder that would hold both a dataset and shards of it: a reader of both would find every row twice.
fn check_folder(folder: &Path, sharded: bool) -> Result<(), Fatal> {
    let entries = || std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_shard = |entry: std::fs::DirEntry| {
        entry.file_name().to_string_lossy().starts_with("shard-") && Dataset::is_at(&entry.path())
    };
    let why = match sharded {
        true if Dataset::is_at(folder) => {
            "it holds a dataset of all inputs; write shards into another folder"
        }
        false if entries().any(is_shard) => "it holds shards; give --shard, or another folder",
        _ => return Ok(()),
    };
    Err(Fatal::usage(anyhow!("{}: {why}", display_path(folder))))
}

/// Refuses parts whose rows would differ in shape, because a dataset holds rows of one shape.
fn check_parts(args: &EmbedArgs) -> Result<(), Fatal> {
    let parts = &args.output.parts;
    Part::check_single(parts)?;
    match parts.iter().find(|p| p.per_frame()) {
        Some(part) if args.sampling.fixed().is_none() => Err(Fatal::usage(anyhow!(
            "the part {part} has a row per frame, and a dataset holds one shape for all clips; fix the number with \
             --frames N, or write .jsonl"
        ))),
        _ => Ok(()),
    }
}

fn shard(args: &EmbedArgs) -> Result<Option<Shard>, Fatal> {
    match args.runs.shard {
        None => Ok(None),
        Some(ShardArg::Of(shard)) => Ok(Some(shard)),
        Some(ShardArg::Auto) => {
            let variable = |name: &str| std::env::var(name).ok();
            Shard::from_environment(variable).map(Some).map_err(|e| Fatal::usage(anyhow!(e)))
        }
    }
}

/// The manifest: everything that decides the run's numbers.
fn manifest(
    args: &EmbedArgs,
    inputs: &InputList,
    shard: Option<(Shard, usize)>,
    choice: &ModelChoice,
) -> Result<Manifest, Fatal> {
    let digest = InputsDigest {
        count: inputs.len(),
        sha256: inputs.digest().into(),
        absolute_sha256: Some(inputs.absolute_digest().into()),
        ranges: Some(inputs.has_ranges()),
    };
    let shard = shard.map(|(s, inputs)| ShardOf { index: s.index, count: s.count, inputs });
    let kind = match args.runs.format {
        PartFormat::Parquet => Format::PARQUET,
        PartFormat::Safetensors => Format::SAFETENSORS,
    };
    let (dims, models) = choice.describe(&args.output.parts, args.sampling.fixed())?;
    let manifest = Manifest::new(digest, shard, args.runs.shard_size.get(), kind);
    let parts: &[Part] = &args.output.parts;
    let (settings, keep) = (deciding(args, choice), args.keep.clone());
    Ok(Manifest { settings, models, keep, ..manifest.with_parts(parts, dims) })
}
