//! `lift eval-cia`: the Chirality in Action benchmark with the paper's protocol.
//!
//! This module turns the flags into data (which CSVs, which embeddings, which files to write), and
//! [`Protocol`](crate::cia::benchmark::Protocol) measures. The tables go to standard output, everything else to standard
//! error.

mod args;
mod pipeline;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::ValueEnum;

use crate::cia::benchmark::BenchmarkError;
use crate::cia::clips::Template;
use crate::cia::datasets::{BenchmarkDataset, Form, HUB_DATASET};
use crate::cia::formats::ReportFormat;
use crate::cia::report::{BenchmarkReport, FlagValues};
use crate::cia::representations::{Matrix, StoredParts};
use crate::cia::splits::Splits;
use crate::cia::{figure, shots_figure, stored};
use crate::cli::features;
use crate::exit::{Exit, Fatal};
use crate::files::{AtomicFile, display_text, stdout_error};
use crate::inputs::Input;
use crate::plot::picture::{PictureError, PictureFormat};
use crate::rows::Provenance;

pub(super) use args::EvalCiaArgs;
use args::ReportArgs;
pub(super) use pipeline::main;

/// What this command needs of the rest of the program where the embeddings are not all in files.
trait Embedder {
    /// A file of a data set on the hub: from the cache, or downloaded unless that is forbidden.
    ///
    /// # Errors
    /// If it is not in the cache and cannot be downloaded; the message names what to do.
    fn hub_file(&mut self, repository: &str, name: &str) -> Result<PathBuf, Fatal>;

    /// The embeddings of clips, from the feature cache where they are there, with the parts `concat`, `frames` and, where a
    /// representation reads it, `reversed`. A clip that cannot be embedded has no row; a line on standard error says why.
    ///
    /// # Errors
    /// What ends the whole run: no model, no cache, an interruption.
    fn embed(&mut self, dataset: &str, clips: &[Input]) -> Result<StoredParts, Fatal>;

    /// LiFT's embedding `[static, dynamic]` of stored frame features `(T, D)`, for the videos named.
    ///
    /// # Errors
    /// If the model cannot be loaded, does not fit the features, or is not the one that made the embeddings beside them.
    fn lift(&mut self, frames: &Matrix, ids: &[&str], made: Option<&Provenance>) -> Result<Matrix, Fatal>;
}

impl From<BenchmarkError> for Fatal {
    fn from(error: BenchmarkError) -> Self {
        match error {
            BenchmarkError::NothingToProbe | BenchmarkError::Representation(_) => Self::usage(error),
            _ => Self::input(error),
        }
    }
}

/// Runs the command. The tables go to `out` (standard output), the `settings` in force into the report; `note` takes a line
/// for people (standard error).
fn run(
    args: &EvalCiaArgs,
    settings: FlagValues,
    embedder: &mut dyn Embedder,
    out: &mut dyn Write,
    note: &dyn Fn(&str),
) -> Result<Exit, Fatal> {
    let outputs = Outputs::claim(&args.report)?;
    let template = match &args.videos.template {
        Some(text) => Template::parse(text).map_err(Fatal::usage)?,
        None => Template::official(),
    };
    let protocol = args.protocol()?;
    let mut complete = true;
    let mut made = None;
    let mut results = Vec::new();
    for benchmark in benchmarks(args, embedder)? {
        let columns = args.videos.columns();
        let (train, valid) = (&benchmark.train, &benchmark.valid);
        let splits = Splits::read_directed(train, valid, &columns, &args.forward, args.allow_missing);
        let splits = splits.map_err(Fatal::input)?;
        splits.warnings.iter().for_each(|warning| note(warning));
        let parts = parts(args, &benchmark, &template, &splits, embedder)?;
        alike(&mut made, &benchmark.name, &parts, note)?;
        let made = parts.provenance.as_ref();
        let lift = |frames: &Matrix, ids: &[&str]| {
            embedder.lift(frames, ids, made).map_err(|fatal| fatal.context("the control in reversed time"))
        };
        let result = protocol.measure(&benchmark.name, &splits, &parts, lift, note)?;
        complete &= result.complete;
        results.extend(result.outcomes);
    }
    let scaled = args.probe.scale.scale.named().map(|how| format!(", --scale {how}")).unwrap_or_default();
    let described = protocol.probe.describe() + &scaled;
    let mut report = BenchmarkReport::new(described, protocol.draws.seed, settings, results);
    report.title.clone_from(&args.report.title);
    if args.report.published {
        report = report.with_published();
    }
    outputs.write(&report, args.report.per_group, out)?;
    // What --allow-missing asked for is no failure.
    Ok(if complete || args.allow_missing { Exit::Success } else { Exit::SomeFailed })
}

/// Refuses the embeddings of a data set that were made otherwise than those of the one before: a mean over both would mean nothing.
/// Says what cannot be trusted in them.
fn alike(
    before: &mut Option<(String, Provenance)>,
    name: &str,
    parts: &StoredParts,
    note: &dyn Fn(&str),
) -> Result<(), Fatal> {
    let Some(made) = &parts.provenance else { return Ok(()) };
    if !made.unchecked.is_empty() {
        note(&format!(
            "{name}: the embeddings were joined with lift merge --unchecked ({})",
            made.unchecked.join("; ")
        ));
    }
    let Some((first, first_made)) = before else {
        *before = Some((name.to_owned(), made.clone()));
        return Ok(());
    };
    let differences = first_made.differences(made);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Fatal::input(anyhow!(
        "the embeddings of {name} were made otherwise than those of {first} ({}), so a mean over both would mean nothing; evaluate \
         each by itself, or embed both alike",
        differences.join("; ")
    )))
}

/// A data set to evaluate: its name, its CSVs, and the extension of its clips.
struct Benchmark {
    name: String,
    train: PathBuf,
    valid: PathBuf,
    extension: &'static str,
}

fn benchmarks(args: &EvalCiaArgs, embedder: &mut dyn Embedder) -> Result<Vec<Benchmark>, Fatal> {
    if let (Some(train), Some(valid)) = (&args.train, &args.valid) {
        let stem = train.file_stem().unwrap_or_default().to_string_lossy();
        let stem = stem.trim_end_matches("-train").trim_end_matches("_train");
        let name = stem.trim_start_matches("chiral_groups-").trim_start_matches("cia-");
        let name = args.name.clone().unwrap_or_else(|| name.to_owned());
        return Ok(vec![Benchmark { name, train: train.clone(), valid: valid.clone(), extension: "mp4" }]);
    }
    let columns = args.videos.columns();
    let form = if columns.names().next().is_some() { Form::Videos } else { Form::Groups };
    let mut benchmarks: Vec<Benchmark> = Vec::new();
    for &dataset in &args.dataset {
        let [train, valid] = match &args.splits {
            Some(folder) => dataset.find(folder, form).ok_or_else(|| {
                let [train, valid] = dataset.files(form);
                Fatal::input(anyhow!("{}: there is no pair {train} and {valid}", folder.display()))
            })?,
            None => {
                let [train, valid] = dataset.files(form);
                [embedder.hub_file(HUB_DATASET, &train)?, embedder.hub_file(HUB_DATASET, &valid)?]
            }
        };
        let name = dataset.name().to_owned();
        if benchmarks.iter().any(|other| other.name == name) {
            return Err(Fatal::input(anyhow!("--dataset names {name} twice")));
        }
        benchmarks.push(Benchmark { name, train, valid, extension: dataset.extension() });
    }
    Ok(benchmarks)
}

/// The value of a repeated `[NAME=]VALUE` flag for one data set: the one with its name, else the one without a name.
fn given<'a>(values: &'a [String], name: &str) -> Option<&'a str> {
    let own = values.iter().find_map(|value| value.strip_prefix(name)?.strip_prefix('='));
    let named = |value: &str| {
        value.split_once('=').is_some_and(|(name, _)| BenchmarkDataset::from_str(name, true).is_ok())
    };
    own.or_else(|| values.iter().map(String::as_str).find(|value| !named(value)))
}

/// The parts of a data set, from files or computed.
fn parts(
    args: &EvalCiaArgs,
    benchmark: &Benchmark,
    template: &Template,
    splits: &Splits,
    embedder: &mut dyn Embedder,
) -> Result<StoredParts, Fatal> {
    let stored = given(&args.embeddings, &benchmark.name);
    let folder = given(&args.videos.videos, &benchmark.name);
    args.ids.check(&args.features, stored.is_some())?;
    let mut parts = match (stored, folder) {
        (Some(_), Some(_)) => {
            let name = &benchmark.name;
            return Err(Fatal::usage(anyhow!(
                "{name}: both --embeddings and --videos are given; leave one out, or name the data set that each is for, \
                 as in --videos {name}=DIR"
            )));
        }
        (Some(path), None) => stored::embeddings(Path::new(path), args.ids.wanted(&args.features, None))?,
        (None, Some(folder)) => {
            let clip = |(index, id)| {
                let source = splits.sources.get(id);
                template.clip(Path::new(folder), benchmark.extension, (index, id), source)
            };
            let clips: Vec<Input> = splits.ids().into_iter().enumerate().map(clip).collect();
            embedder.embed(&benchmark.name, &clips)?
        }
        (None, None) if !args.features.is_empty() => StoredParts::default(),
        (None, None) => {
            let name = &benchmark.name;
            return Err(Fatal::usage(anyhow!("{name}: give --embeddings, --videos or --features")));
        }
    };
    parts.external = features::external(&args.features, &args.ids, !parts.own.is_empty())?;
    parts.scaling = args.probe.scale.scale;
    Ok(parts)
}

/// The files to write; they are created before the work, so that a wrong path is found at once.
struct Outputs {
    reports: Vec<(ReportFormat, AtomicFile)>,
    figures: Vec<(FigureDraw, PictureFormat, AtomicFile)>,
}

/// Draws a report.
type FigureDraw = fn(&BenchmarkReport, PictureFormat) -> Result<Vec<u8>, PictureError>;

impl Outputs {
    fn claim(args: &ReportArgs) -> Result<Self, Fatal> {
        let mut reports = Vec::new();
        for path in &args.output {
            let format = ReportFormat::of(path).map_err(Fatal::usage)?;
            reports.push((format, AtomicFile::create(path, args.overwrite)?));
        }
        let mut figures = Vec::new();
        for (draw, path) in [
            (figure::draw as FigureDraw, &args.figure),
            (shots_figure::draw as FigureDraw, &args.shots_figure),
        ] {
            if let Some(path) = path {
                let format = PictureFormat::of(path).map_err(Fatal::usage)?;
                figures.push((draw, format, AtomicFile::create(path, args.overwrite)?));
            }
        }
        Ok(Self { reports, figures })
    }

    /// Writes the files and prints the tables.
    fn write(self, report: &BenchmarkReport, per_group: bool, out: &mut dyn Write) -> Result<(), Fatal> {
        let render = |format: ReportFormat| format.render(report, per_group).map_err(Fatal::input);
        for (format, file) in self.reports {
            file.commit_bytes(render(format)?.as_bytes())?;
        }
        for (draw, format, file) in self.figures {
            file.commit_bytes(&draw(report, format).map_err(Fatal::input)?)?;
        }
        let table = render(ReportFormat::Markdown)?;
        let table: Vec<String> = table.lines().map(display_text).map(|line| line + "\n").collect();
        let written = out.write_all(table.concat().as_bytes());
        written.map_err(|error| stdout_error(error).into())
    }
}

#[cfg(test)]
mod tests;
