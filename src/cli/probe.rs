//! `lift probe`: a linear probe for labels of any number of classes, and what the order of the frames matters.

mod args;

use std::path::Path;

use anyhow::anyhow;

use super::{Verbosity, features, report};
use crate::cia::formats::ReportFormat;
use crate::cia::published;
use crate::cia::report::FlagValues;
use crate::cia::representations::{Matrix, Representation, StoredParts, reads_lift};
use crate::cia::stored;
use crate::exit::{Exit, Fatal};
use crate::files::{self, AtomicFile, display_text};
use crate::plot::picture::PictureFormat;
use crate::probe::measure::{self, Matched, MeasureError, OrderPlan};
use crate::probe::report::ProbeReport;
use crate::probe::{figure, labels, predictions, tables};
use crate::rows::Provenance;
use crate::threads;

pub(super) use args::ProbeArgs;

/// Flags that are left out of the report: they say where it is written, and do not change its content.
const NO_PART: [&str; 4] = ["output", "figure", "predictions", "overwrite"];

/// What is measured under --order unless representations are named.
const ORDERED: [&str; 4] = ["lift", "odd", "frames-mean", "frames-concat"];

impl From<MeasureError> for Fatal {
    fn from(error: MeasureError) -> Self {
        match error {
            MeasureError::Representation(_) => Self::usage(error),
            _ => Self::input(error),
        }
    }
}

/// Runs the command. The tables go to standard output, everything else to standard error.
pub(super) fn run(args: &ProbeArgs, verbosity: &Verbosity, mut settings: FlagValues) -> Result<Exit, Fatal> {
    settings.retain(|name, _| !NO_PART.contains(&name.as_str()));
    let note = |line: &str| {
        if !verbosity.quiet {
            report::note(line);
        }
    };
    let outputs = Outputs::claim(args)?;
    let labels = args.labels().map(|files| labels::read(&files)).transpose().map_err(Fatal::input)?;
    let parts = parts(args)?;
    let pool = threads::pool(args.compute.threads()).map_err(Fatal::input)?;
    let plan = args.plan();
    let mut report = ProbeReport { settings, seed: plan.seed, ..ProbeReport::default() };
    let mut predicted = Vec::new();
    let mut probed = None;
    if let Some(labels) = labels {
        let representations = representations(args, &parts)?;
        let matched = measure::matched(labels, &representations, args.allow_missing, &note)?;
        predicted = measure::measure(&mut report, &matched, &representations, &plan, &pool)?;
        probed = Some(matched);
    }
    if args.order {
        let plan = OrderPlan {
            frames: frames(&parts)?,
            names: ordered(args, verbosity, &note)?,
            draws: args.order_draws.get(),
            seed: plan.seed,
            scaling: parts.scaling,
            probe: None,
        };
        report.order = order(args, verbosity, plan, (probed.as_ref(), parts.provenance.as_ref()), &pool)?;
    }
    if let Some(set) = args.published {
        report.published = published::probe().into_iter().filter(|row| row.data_set == set.name()).collect();
    }
    let complete = probed.as_ref().is_none_or(|matched| matched.complete);
    let rows = probed.map(|matched| predictions::csv(&matched.labels, &predicted));
    outputs.write(&report, rows)?;
    // What --allow-missing asked for is no failure.
    Ok(if complete || args.allow_missing { Exit::Success } else { Exit::SomeFailed })
}

fn parts(args: &ProbeArgs) -> Result<StoredParts, Fatal> {
    args.ids.check(&args.features, args.embeddings.is_some())?;
    let mut parts = match &args.embeddings {
        Some(path) => stored::embeddings(path, args.ids.wanted(&args.features, None))?,
        None if args.features.is_empty() => {
            return Err(Fatal::usage(anyhow!("give --embeddings, what lift embed wrote, or --features")));
        }
        None => StoredParts::default(),
    };
    parts.external = features::external(&args.features, &args.ids, !parts.own.is_empty())?;
    parts.scaling = args.scale.scale;
    Ok(parts)
}

fn representations(args: &ProbeArgs, parts: &StoredParts) -> Result<Vec<Representation>, Fatal> {
    let all = match args.representation.is_empty() {
        true => parts.all(),
        false => args.representation.iter().map(|name| parts.representation(name)).collect(),
    };
    let all = all.map_err(Fatal::usage)?;
    match all.is_empty() {
        true => Err(Fatal::usage(anyhow!(
            "the embeddings hold no representation to probe; the help of --representation lists them"
        ))),
        false => Ok(all),
    }
}

/// The frame features that --order puts into another order.
fn frames(parts: &StoredParts) -> Result<&Matrix, Fatal> {
    let frames = parts.own.get("frames").filter(|frames| frames.shape.len() == 2);
    frames.ok_or_else(|| {
        Fatal::usage(anyhow!(
            "--order needs the frame features: embed with --parts concat,frames and give that file with --embeddings"
        ))
    })
}

/// The representations whose frames are put into another order.
fn ordered(args: &ProbeArgs, verbosity: &Verbosity, note: &dyn Fn(&str)) -> Result<Vec<String>, Fatal> {
    if args.representation.is_empty() {
        let choice = args.models.choice(&args.compute.settle(true)?, true);
        let there = |name: &&&str| choice.has_lift() || !reads_lift(name);
        return Ok(ORDERED.iter().filter(there).map(ToString::to_string).collect());
    }
    let of_frames = |name: &&String| {
        let views = ["frames-mean", "frames-concat", "frames-concat:odd"];
        name.split('+').all(|one| reads_lift(one) || views.contains(&one.trim()))
    };
    let (kept, left): (Vec<&String>, Vec<&String>) = args.representation.iter().partition(of_frames);
    if kept.is_empty() {
        return Err(Fatal::usage(anyhow!(
            "--order: none of the representations is made of the frame features; give lift, odd, even, static, dynamic, \
             frames-mean or frames-concat"
        )));
    }
    if !left.is_empty() && !verbosity.quiet {
        let left: Vec<&str> = left.into_iter().map(String::as_str).collect();
        note(&format!("--order leaves out {}: not made of the frame features", left.join(", ")));
    }
    Ok(kept.into_iter().cloned().collect())
}

fn order(
    args: &ProbeArgs,
    verbosity: &Verbosity,
    plan: OrderPlan,
    (probed, made): (Option<&Matched>, Option<&Provenance>),
    pool: &rayon::ThreadPool,
) -> Result<Vec<crate::probe::order::OrderScore>, Fatal> {
    let choice = args.models.choice(&args.compute.settle(verbosity.quiet)?, verbosity.quiet);
    features::same_lift(
        &choice,
        made.filter(|_| plan.names.iter().any(|name| reads_lift(name))),
        &plan.frames.origin,
    )?;
    let ids = plan.frames.ids();
    let probe_plan = args.plan();
    let plan = OrderPlan { probe: probed.map(|matched| (matched, &probe_plan)), ..plan };
    measure::order(&plan, pool, &mut |frames: &Matrix| features::lift(&choice, frames, &ids, false))
}

/// The files to write; they are created before the work, so that a wrong path is found at once.
struct Outputs {
    reports: Vec<(ReportFormat, AtomicFile)>,
    figure: Option<(PictureFormat, AtomicFile)>,
    predictions: Option<AtomicFile>,
}

impl Outputs {
    fn claim(args: &ProbeArgs) -> Result<Self, Fatal> {
        let create = |path: &Path| AtomicFile::create(path, args.overwrite);
        let mut reports = Vec::new();
        for path in &args.output {
            reports.push((ReportFormat::of(path).map_err(Fatal::usage)?, create(path)?));
        }
        let figure = match &args.figure {
            Some(path) => Some((PictureFormat::of(path).map_err(Fatal::usage)?, create(path)?)),
            None => None,
        };
        let predictions = args.predictions.as_deref().map(create).transpose()?;
        Ok(Self { reports, figure, predictions })
    }

    /// Writes the files and prints the tables.
    fn write(self, report: &ProbeReport, predictions: Option<Vec<u8>>) -> Result<(), Fatal> {
        let render = |format: ReportFormat| tables::render(report, format).map_err(Fatal::input);
        for (format, file) in self.reports {
            file.commit_bytes(render(format)?.as_bytes())?;
        }
        if let Some((format, file)) = self.figure {
            file.commit_bytes(&figure::draw(report, format).map_err(Fatal::input)?)?;
        }
        if let (Some(file), Some(rows)) = (self.predictions, predictions) {
            file.commit_bytes(&rows)?;
        }
        let table = render(ReportFormat::Markdown)?;
        let lines: Vec<String> = table.lines().map(display_text).map(|line| line + "\n").collect();
        Ok(files::print(lines.concat().as_bytes())?)
    }
}
