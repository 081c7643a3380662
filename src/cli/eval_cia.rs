//! `lift eval-cia`: the Chirality in Action benchmark with the paper's protocol.
//!
//! A smaller benchmark is another number: videos without an embedding end the run with a list of them, unless
//! `--allow-missing` says that it may go on without. Data goes to standard output, everything else to standard error.

mod args;
mod pipeline;

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use clap::ValueEnum;

use crate::cia::clips::{Clip, Template};
use crate::cia::datasets::{Dataset, Form, HUB_DATASET};
use crate::cia::evaluate::{Plan, evaluate};
use crate::cia::formats::Format;
use crate::cia::report::{Counts, Outcome, Report, Settings};
use crate::cia::representations::{Matrix, Parts, Representation};
use crate::cia::splits::Splits;
use crate::cia::{figure, shots, stored};
use crate::files::{AtomicFile, FileError, display_text, stdout_error};
use crate::threads;

pub(super) use args::EvalCiaArgs;
use args::ReportArgs;
pub(super) use pipeline::main;

/// What this command needs of the rest of the program when the embeddings are not all there yet.
pub trait Embedder {
    /// A file of a data set on the hub, fetched or from the cache, by the offline rules.
    ///
    /// # Errors
    /// When it is neither there nor to be fetched; the message names what to do.
    fn hub_file(&mut self, repository: &str, name: &str) -> anyhow::Result<PathBuf>;

    /// The embeddings of clips, from the feature cache where they are there, with the parts `concat` and `frames`. Clips
    /// that cannot be embedded have no row; they have been told of on standard error.
    ///
    /// # Errors
    /// What ends the whole run: no model, no cache, an interruption.
    fn embed(&mut self, dataset: &str, clips: &[Clip]) -> anyhow::Result<Parts>;

    /// LiFT's embedding `[static, dynamic]` of stored frame features `(T, D)`, for the videos named.
    ///
    /// # Errors
    /// When the model is not there or does not fit the features.
    fn lift(&mut self, frames: &Matrix, ids: &[&str]) -> anyhow::Result<Matrix>;
}

/// Why the command ended early; each asks for its own exit code.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The command line cannot be carried out.
    #[error("{0:#}")]
    Usage(anyhow::Error),
    /// Something the run needs is missing or wrong.
    #[error("{0:#}")]
    Input(anyhow::Error),
    /// Reading or writing rows and files; its kind says which.
    #[error(transparent)]
    Rows(#[from] FileError),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// On the whole benchmark.
    Whole,
    /// Without some videos or groups, as was allowed.
    WithoutSome,
}

/// Runs the command. The tables go to `out` (standard output), the `settings` in force into a report that has a place for
/// them; `note` takes a line for people (standard error).
///
/// # Errors
/// [`Stop`] with the reason.
pub fn run(
    args: &EvalCiaArgs,
    settings: Settings,
    embedder: &mut dyn Embedder,
    out: &mut dyn Write,
    note: &dyn Fn(&str),
) -> Result<Ended, Stop> {
    let outputs = Outputs::claim(&args.report)?;
    let template = match &args.videos.template {
        Some(text) => Template::parse(text).map_err(|error| Stop::Usage(error.into()))?,
        None => Template::official(),
    };
    let pool = threads::pool(args.compute.threads()).map_err(|error| Stop::Input(error.into()))?;
    let mut ended = Ended::Whole;
    let mut results = Vec::new();
    for benchmark in benchmarks(args, embedder).map_err(Stop::Input)? {
        let listed =
            Splits::read(&benchmark.train, &benchmark.valid, &args.videos.columns(), args.allow_missing)
                .map_err(|error| Stop::Input(error.into()))?;
        listed.warnings.iter().for_each(|warning| note(warning));
        let parts = parts(args, &benchmark, &template, &listed, embedder)?;
        let representations = representations(args, &parts).map_err(Stop::Usage)?;
        let (splits, whole) = present(&benchmark.name, &listed, &representations, args.allow_missing, note)
            .map_err(Stop::Input)?;
        if !whole {
            ended = Ended::WithoutSome;
        }
        for shots in &args.probe.shots {
            let enough = |class: &[String]| class.len() >= shots.get();
            if !splits.groups.iter().any(|g| enough(&g.train.forward) && enough(&g.train.reverse)) {
                note(&format!("{}: no group has {shots} training videos of each direction", benchmark.name));
            }
        }
        let reversed = match args.probe.reverse_control {
            true => Some(reverse(&parts, &representations, &splits, embedder).map_err(Stop::Input)?),
            false => None,
        };
        let counts = Counts {
            groups_listed: listed.groups.len() + listed.left_out,
            videos: splits.ids().len(),
            videos_listed: listed.ids().len(),
        };
        for representation in &representations {
            let outcome = pool.install(|| measure(args, &splits, representation, reversed.as_ref()));
            let (groups, points) = outcome.map_err(Stop::Input)?;
            if reversed.is_some() && groups.iter().all(|group| group.reversed.is_none()) {
                note(&format!("{} cannot be reversed in time here; no control for it", representation.name));
            }
            let (name, width, seed) = (&representation.name, representation.width(), args.probe.seed);
            let mut outcome = Outcome::new(&benchmark.name, name, width, counts, groups, seed);
            outcome.shots = points;
            results.push(outcome);
        }
    }
    let report = Report::new(args.probe.probe().describe(), args.probe.seed, settings, results);
    outputs.write(&report, args.report.per_group, out)?;
    Ok(ended)
}

/// A data set to evaluate: its name, its CSVs, its clips' extension.
struct Benchmark {
    name: String,
    train: PathBuf,
    valid: PathBuf,
    extension: &'static str,
}

fn benchmarks(args: &EvalCiaArgs, embedder: &mut dyn Embedder) -> anyhow::Result<Vec<Benchmark>> {
    if let (Some(train), Some(valid)) = (&args.train, &args.valid) {
        let stem = train.file_stem().unwrap_or_default().to_string_lossy();
        let stem = stem.trim_end_matches("-train").trim_end_matches("_train");
        let name = stem.trim_start_matches("chiral_groups-").trim_start_matches("cia-").to_owned();
        return Ok(vec![Benchmark { name, train: train.clone(), valid: valid.clone(), extension: "mp4" }]);
    }
    let columns = args.videos.columns();
    let form = if columns.names().next().is_some() { Form::Videos } else { Form::Groups };
    let mut benchmarks: Vec<Benchmark> = Vec::new();
    for &dataset in &args.dataset {
        let [train, valid] = match &args.splits {
            Some(folder) => dataset.find(folder, form).with_context(|| {
                let [train, valid] = dataset.files(form);
                format!("{}: there is no pair {train} and {valid}", folder.display())
            })?,
            None => {
                let [train, valid] = dataset.files(form);
                [embedder.hub_file(HUB_DATASET, &train)?, embedder.hub_file(HUB_DATASET, &valid)?]
            }
        };
        let name = dataset.name().to_owned();
        ensure!(benchmarks.iter().all(|other| other.name != name), "--dataset names {name} twice");
        benchmarks.push(Benchmark { name, train, valid, extension: dataset.extension() });
    }
    Ok(benchmarks)
}

/// The value of a repeated `[NAME=]VALUE` flag for one data set: its own, else the one without a name.
fn given<'a>(values: &'a [String], name: &str) -> Option<&'a str> {
    let own = values.iter().find_map(|value| value.strip_prefix(name)?.strip_prefix('='));
    let named =
        |value: &str| value.split_once('=').is_some_and(|(name, _)| Dataset::from_str(name, true).is_ok());
    own.or_else(|| values.iter().map(String::as_str).find(|value| !named(value)))
}

/// The file of ids for a data set's embeddings, or for a matrix of --features by its name.
fn ids_of<'a>(args: &'a EvalCiaArgs, matrix: Option<&str>) -> Option<&'a Path> {
    let names: Vec<&str> = args.features.iter().filter_map(|value| Some(value.split_once('=')?.0)).collect();
    let named = |value: &'a String| {
        let (name, file) = value.split_once('=')?;
        names.contains(&name).then_some((name, file))
    };
    let found = args.ids.iter().find_map(|value| match (named(value), matrix) {
        (Some((name, file)), Some(matrix)) => (name == matrix).then_some(file),
        (None, None) => Some(value.as_str()),
        _ => None,
    });
    found.map(Path::new)
}

/// The stored and the computed parts of a data set.
fn parts(
    args: &EvalCiaArgs,
    benchmark: &Benchmark,
    template: &Template,
    splits: &Splits,
    embedder: &mut dyn Embedder,
) -> Result<Parts, Stop> {
    let stored = given(&args.embeddings, &benchmark.name);
    let folder = given(&args.videos.videos, &benchmark.name);
    let mut parts = match (stored, folder) {
        (Some(_), Some(_)) => {
            let name = &benchmark.name;
            return Err(Stop::Usage(anyhow!(
                "{name}: both --embeddings and --videos are given; leave one out, or name the data set that each is for, \
                 as in --videos {name}=DIR"
            )));
        }
        (Some(path), None) => stored::embeddings(Path::new(path), ids_of(args, None))?,
        (None, Some(folder)) => {
            let clip =
                |id: &str| template.clip(Path::new(folder), benchmark.extension, id, splits.sources.get(id));
            let clips: Vec<Clip> = splits.ids().into_iter().map(clip).collect();
            embedder.embed(&benchmark.name, &clips).map_err(Stop::Input)?
        }
        (None, None) if !args.features.is_empty() => Parts::default(),
        (None, None) => {
            let name = &benchmark.name;
            return Err(Stop::Usage(anyhow!("{name}: give --embeddings, --videos or --features")));
        }
    };
    let mut external = BTreeMap::new();
    for value in &args.features {
        let Some((name, file)) = value.split_once('=').filter(|(name, _)| !name.contains('+')) else {
            return Err(Stop::Usage(anyhow!("--features {value}: expected NAME=FILE, the name without `+`")));
        };
        external.insert(name.to_owned(), stored::external(Path::new(file), ids_of(args, Some(name)))?);
    }
    parts.external = external;
    Ok(parts)
}

fn representations(args: &EvalCiaArgs, parts: &Parts) -> anyhow::Result<Vec<Representation>> {
    if args.probe.representation.is_empty() {
        let all = parts.all()?;
        ensure!(
            !all.is_empty(),
            "the embeddings hold nothing to probe; --representation names what there could be"
        );
        return Ok(all);
    }
    Ok(args.probe.representation.iter().map(|name| parts.representation(name)).collect::<Result<_, _>>()?)
}

/// The part of the benchmark that every representation has embeddings for, and whether that is the whole.
fn present(
    name: &str,
    listed: &Splits,
    representations: &[Representation],
    allow_missing: bool,
    note: &dyn Fn(&str),
) -> anyhow::Result<(Splits, bool)> {
    /// Ids in one line.
    const NAMED: usize = 10;
    let ids = listed.ids();
    let has = |id: &str| representations.iter().all(|representation| representation.has(id));
    let missing: Vec<&str> = ids.iter().copied().filter(|id| !has(id)).collect();
    if missing.is_empty() {
        return Ok((listed.clone(), listed.left_out == 0));
    }
    let more =
        if missing.len() > NAMED { format!(" and {} more", missing.len() - NAMED) } else { String::new() };
    let some = missing[..missing.len().min(NAMED)].join(", ");
    let lacking = representations.iter().filter(|one| !ids.iter().all(|id| one.has(id)));
    let lacking: Vec<&str> = lacking.map(|one| one.name.as_str()).collect();
    let of = match lacking.len() < representations.len() {
        true => format!(" ({})", lacking.join(", ")),
        false => String::new(),
    };
    let what =
        format!("{name}: {} of {} videos have no embedding{of}: {some}{more}", missing.len(), ids.len());
    if missing.len() > NAMED {
        missing.chunks(NAMED).for_each(|some| note(&format!("{name}: no embedding of {}", some.join(", "))));
    }
    if !allow_missing {
        bail!(
            "{what}; a smaller benchmark is another number: embed them, or accept that with --allow-missing"
        );
    }
    note(&what);
    let (splits, left_out) = listed.without(&missing.into_iter().collect::<HashSet<_>>());
    if !left_out.groups.is_empty() {
        note(&format!("{name}: groups left out for want of videos: {}", left_out.groups.join(", ")));
    }
    ensure!(!splits.groups.is_empty(), "{name}: no group has embeddings to probe");
    Ok((splits, false))
}

/// The parts in reversed time; LiFT runs again only where a representation needs it.
fn reverse(
    parts: &Parts,
    representations: &[Representation],
    splits: &Splits,
    embedder: &mut dyn Embedder,
) -> anyhow::Result<Parts> {
    let latent = |name: &str| name.split('+').any(|one| ["lift", "static", "dynamic"].contains(&one.trim()));
    let frames = parts.own.get("frames").and_then(Matrix::reversed);
    let lift = match frames {
        Some(frames) if representations.iter().any(|all| latent(&all.name)) => {
            let ids: Vec<&str> = splits.valid_ids().into_iter().collect();
            Some(embedder.lift(&frames, &ids).context("the control in reversed time")?)
        }
        _ => None,
    };
    ensure!(
        parts.own.contains_key("frames"),
        "--reverse-control needs the frame features: embed with --parts concat,frames"
    );
    Ok(parts.reversed(lift))
}

type Measured = (Vec<crate::cia::evaluate::GroupScore>, Vec<shots::Point>);

fn measure(
    args: &EvalCiaArgs,
    splits: &Splits,
    representation: &Representation,
    reversed: Option<&Parts>,
) -> anyhow::Result<Measured> {
    let reversed = reversed.and_then(|parts| parts.representation(&representation.name).ok());
    let probe = args.probe.probe();
    let plan = Plan { probe, reversed: reversed.as_ref(), retrieval: args.probe.retrieval };
    let groups = evaluate(splits, representation, plan)?;
    let draws = shots::Draws {
        shots: args.probe.shots.iter().map(|shots| shots.get()).collect(),
        draws: args.probe.shot_draws.get(),
        seed: args.probe.seed,
    };
    let points = if draws.shots.is_empty() {
        Vec::new()
    } else {
        shots::curve(splits, representation, probe, &draws)?
    };
    Ok((groups, points))
}

/// The files that will be written, claimed before the work.
struct Outputs {
    reports: Vec<(Format, AtomicFile)>,
    figure: Option<(figure::Kind, AtomicFile)>,
}

impl Outputs {
    fn claim(args: &ReportArgs) -> Result<Self, Stop> {
        let mut reports = Vec::new();
        for path in &args.output {
            let format = Format::of(path).map_err(|error| Stop::Usage(error.into()))?;
            reports.push((format, AtomicFile::create(path, args.overwrite)?));
        }
        let figure = match &args.figure {
            Some(path) => {
                let kind = figure::Kind::of(path).map_err(|error| Stop::Usage(error.into()))?;
                Some((kind, AtomicFile::create(path, args.overwrite)?))
            }
            None => None,
        };
        Ok(Self { reports, figure })
    }

    /// Writes the files and prints the tables.
    fn write(self, report: &Report, per_group: bool, out: &mut dyn Write) -> Result<(), Stop> {
        let render =
            |format: Format| format.render(report, per_group).map_err(|error| Stop::Input(error.into()));
        for (format, file) in self.reports {
            put(file, render(format)?.as_bytes())?;
        }
        if let Some((kind, file)) = self.figure {
            let picture = figure::draw(report, kind).map_err(|error| Stop::Input(error.into()))?;
            put(file, &picture)?;
        }
        let table = render(Format::Markdown)?;
        let table: Vec<String> = table.lines().map(display_text).map(|line| line + "\n").collect();
        let written = out.write_all(table.concat().as_bytes());
        written.map_err(|error| stdout_error(error).into())
    }
}

fn put(mut file: AtomicFile, bytes: &[u8]) -> Result<(), Stop> {
    let written = file.write_all(bytes);
    written.map_err(|error| FileError::write(file.target(), error))?;
    Ok(file.commit()?)
}

#[cfg(test)]
mod tests;
