//! The whole probe: which videos have rows, what each representation scores, what the frames' order does.
//!
//! A score on fewer videos is not comparable. So videos without a row and classes in one part only are errors, unless they may
//! be left out.

use std::collections::BTreeSet;

use faer::Par;
use rayon::ThreadPool;

use super::compare::Comparison;
use super::features::Features;
use super::labels::{LabelSet, LabelledVideo, Side};
use super::linear::FitError;
use super::matching::{MatchCounts, MatchError, rows_of};
use super::order::{Change, OrderScore, apart, changed, parts};
use super::report::ProbeReport;
use super::run::{Predictions, ProbePlan, Task};
use super::scores::ProbeScore;
use crate::cia::probe::percent;
use crate::cia::representations::{Matrix, Representation, RepresentationError, StoredParts};
use crate::cia::scaling::Scaling;
use crate::rows::likely_cause;

/// Names in one message.
const SHOWN: usize = 5;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The videos or classes of the labels do not fit the rows or each other.
    #[error("{0}")]
    Labels(String),
    /// Names cannot be matched.
    #[error("{0}: {1}")]
    Match(String, MatchError),
    /// A representation cannot be made or read.
    #[error(transparent)]
    Representation(#[from] RepresentationError),
    /// A classifier cannot be fitted.
    #[error("{0}: {1}")]
    Fit(String, FitError),
}

/// Labels whose videos all have rows.
pub struct Matched {
    /// The labels.
    pub labels: LabelSet,
    /// The rows' ids of the videos, for each representation.
    pub ids: Vec<Vec<String>>,
    /// Whether every video of the labels is there.
    pub complete: bool,
}

/// Finds the rows of the labelled videos; `note` takes a line for people.
///
/// # Errors
/// [`MeasureError`] if a name could be several rows, and, unless `allow_missing`, if a video has no row or a class has videos in
/// one part of the split only; in any case if fewer than two classes are left.
pub fn matched(
    mut labels: LabelSet,
    representations: &[Representation],
    allow_missing: bool,
    note: &dyn Fn(&str),
) -> Result<Matched, MeasureError> {
    let listed = labels.videos.len();
    let mut found: Vec<Vec<Option<String>>> = Vec::new();
    for representation in representations {
        let rows = representation.ids();
        let matched = rows_of(&labels.videos, &rows);
        let (ids, MatchCounts { exact, stem, base }) =
            matched.map_err(|error| MeasureError::Match(representation.name.clone(), error))?;
        if exact + stem + base == 0 {
            let names: Vec<&str> = labels.videos.iter().map(LabelledVideo::name).collect();
            let what = format!(
                "{}: no video of the labels has a row{}",
                representation.name,
                likely_cause(&names, &representation.origin(), &rows)
            );
            return Err(MeasureError::Labels(what));
        }
        if stem + base > 0 && found.is_empty() {
            note(&format!(
                "ids matched: {exact} as they are, {stem} without the extension, {base} without folder and extension"
            ));
        }
        found.push(ids.into_iter().map(|id| id.map(str::to_owned)).collect());
    }
    let has = |at: usize| found.iter().all(|ids| ids[at].is_some());
    let missing: Vec<&str> = (0..listed).filter(|at| !has(*at)).map(|at| labels.videos[at].name()).collect();
    if !missing.is_empty() {
        let lacking = (0..listed).find_map(|at| found.iter().position(|ids| ids[at].is_none()));
        let cause = lacking.and_then(|at| representations.get(at)).map(|one| {
            let mut there = one.ids();
            there.sort_unstable();
            likely_cause(&missing, &one.origin(), &there)
        });
        let what = format!(
            "{} of {listed} videos have no row: {}{}",
            missing.len(),
            some(&missing),
            cause.unwrap_or_default()
        );
        if !allow_missing {
            return Err(MeasureError::Labels(format!(
                "{what}; a score on fewer videos is not comparable: embed them, or leave them out with --allow-missing"
            )));
        }
        note(&what);
    }
    let mut kept: Vec<usize> = (0..listed).filter(|at| has(*at)).collect();
    labels.retain(|at, _| has(at));
    let lonely = lonely(&labels);
    if !lonely.is_empty() {
        let names: Vec<String> = lonely
            .iter()
            .map(|(class, why)| format!("{} ({why})", labels.classes[*class as usize]))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let what = format!("classes that cannot be both learned and scored: {}", some(&names));
        if !allow_missing {
            return Err(MeasureError::Labels(format!("{what}; --allow-missing leaves their videos out")));
        }
        note(&what);
        let keep: Vec<bool> = labels
            .videos
            .iter()
            .map(|video| !lonely.iter().any(|(class, _)| *class == video.class))
            .collect();
        let mut keeps = keep.iter();
        kept.retain(|_| *keeps.next().unwrap_or(&true));
        labels.retain(|at, _| keep[at]);
    }
    if labels.classes.len() < 2 {
        let what = match labels.classes.first() {
            Some(class) => format!("all videos are of one class, `{class}`; a probe needs two or more"),
            None => "no class is left to probe".to_owned(),
        };
        return Err(MeasureError::Labels(what));
    }
    let ids = found.into_iter().map(|ids| kept.iter().filter_map(|&at| ids[at].clone()).collect());
    Ok(Matched { ids: ids.collect(), complete: kept.len() == listed, labels })
}

/// The first names of a list, and how many more there are.
fn some(names: &[&str]) -> String {
    match names.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

/// The classes that are in one part of the split, or can be in one fold, only, and why.
fn lonely(labels: &LabelSet) -> Vec<(u32, &'static str)> {
    if labels.has_split {
        let why = |side| if side == Side::Test { "no training video" } else { "no test video" };
        return labels.one_sided().into_iter().map(|(class, side)| (class, why(side))).collect();
    }
    let mut units: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); labels.classes.len()];
    for video in &labels.videos {
        units[video.class as usize].insert(video.group.as_deref().unwrap_or(video.name()));
    }
    let grouped = labels.videos.iter().any(|video| video.group.is_some());
    let why = if grouped { "one group" } else { "one video" };
    (0..).zip(units).filter(|(_, units)| units.len() < 2).map(|(class, _)| (class, why)).collect()
}

/// Measures the representations; fills a report's results and comparisons, and returns the predictions of each.
///
/// # Errors
/// [`MeasureError`] if the features cannot be read or a classifier cannot be fitted.
pub fn measure(
    report: &mut ProbeReport,
    matched: &Matched,
    representations: &[Representation],
    plan: &ProbePlan,
    pool: &ThreadPool,
) -> Result<Vec<(String, Predictions)>, MeasureError> {
    let task = Task::new(&matched.labels);
    report.classes = matched.labels.classes.len();
    (report.classifier, report.setting) = (plan.classifier.name(), plan.classifier.setting());
    (report.groups, report.seed) = (task.groups(), plan.seed);
    let all = matched.labels.videos.len();
    (report.train, report.test, report.folds) = match matched.labels.has_split {
        true => (task.side(Side::Train).len(), task.side(Side::Test).len(), None),
        false => (all, all, Some(plan.folds)),
    };
    let units = report.groups.unwrap_or(all);
    if units < plan.folds && (report.folds.is_some() || plan.settings.len() > 1) {
        let what = if report.groups.is_some() { "groups" } else { "videos" };
        return Err(MeasureError::Labels(format!(
            "{} folds of {units} {what}; give a smaller --folds",
            plan.folds
        )));
    }
    let mut predicted: Vec<(String, Predictions)> = Vec::new();
    for (representation, ids) in representations.iter().zip(&matched.ids) {
        let name = &representation.name;
        let features = Features::open(representation, ids.iter().map(String::as_str).collect())?;
        let predictions = pool.install(|| task.predictions(&features, plan, Par::rayon(0)));
        let predictions = predictions.map_err(|error| MeasureError::Fit(name.clone(), error))?;
        let width = representation.width();
        report.results.push(ProbeScore::new(name, width, &matched.labels, &predictions, plan.seed));
        predicted.push((name.clone(), predictions));
    }
    if let Some(((name, first), others)) = predicted.split_first() {
        let compare =
            |(other, second): &(String, Predictions)| Comparison::new((name, first), (other, second));
        report.comparisons = others.iter().map(compare).collect();
    }
    Ok(predicted)
}

/// What changes of the frames' order are measured on.
pub struct OrderPlan<'a> {
    /// Frame features `(T, D)`.
    pub frames: &'a Matrix,
    /// The representations to measure; each can be made of the frame features.
    pub names: Vec<String>,
    /// Draws of each order.
    pub draws: u64,
    /// Seed of the draws.
    pub seed: u64,
    /// How the representations' parts are scaled.
    pub scaling: Scaling,
    /// The labels, with the plan of the probe; `None` for the cosine alone.
    pub probe: Option<(&'a Matched, &'a ProbePlan)>,
}

/// Measures what changes of the frames' order do.
///
/// `lift` computes LiFT's embeddings `[static, dynamic]` of frame features.
///
/// # Errors
/// [`MeasureError`] if the features cannot be read or a classifier cannot be fitted, and what `lift` says.
pub fn order<E: From<MeasureError>>(
    plan: &OrderPlan,
    pool: &ThreadPool,
    lift: &mut dyn FnMut(&Matrix) -> Result<Matrix, E>,
) -> Result<Vec<OrderScore>, E> {
    let frames = plan.frames.shape.first().copied().unwrap_or(0);
    let scaling = plan.scaling;
    let original = StoredParts { scaling, ..parts(plan.frames, &plan.names, lift)? };
    let own = |name: &String| original.representation(name).map_err(|error| E::from(error.into()));
    let representations = plan.names.iter().map(own).collect::<Result<Vec<_>, _>>()?;
    let fail = |name: &str, error| E::from(MeasureError::Fit(name.to_owned(), error));
    let task = plan.probe.map(|(matched, _)| Task::new(&matched.labels));
    // The rows of the frames are those of the first representation that was matched.
    let known: Option<Vec<&str>> =
        plan.probe.and_then(|(matched, _)| Some(matched.ids.first()?.iter().map(String::as_str).collect()));
    let mut fitted = Vec::new();
    for representation in &representations {
        if let (Some(task), Some((_, probe)), Some(ids)) = (&task, plan.probe, &known) {
            let features = Features::open(representation, ids.clone()).map_err(MeasureError::from)?;
            let done = pool.install(|| task.fitted(&features, probe, Par::rayon(0)));
            fitted.push(done.map_err(|error| fail(&representation.name, error))?);
        }
    }
    // Measured is what the classifiers are scored on; without labels, everything.
    let all = representations.first().map(Representation::ids).unwrap_or_default();
    let measured: Vec<&str> = match (&known, fitted.first()) {
        (Some(ids), Some(folds)) => folds.iter().flat_map(|(_, test, _)| test).map(|&at| ids[at]).collect(),
        _ => all,
    };
    let mut scores: Vec<Vec<OrderScore>> = vec![Vec::new(); representations.len()];
    for change in Change::all(frames) {
        let mut sums = vec![([0.0; 2], 0usize, 0usize); representations.len()];
        let draws = if change.is_drawn() { plan.draws } else { 1 };
        for draw in 0..draws {
            let Some(other) = changed(plan.frames, change, plan.seed + draw) else { continue };
            let other = StoredParts { scaling, ..parts(&other, &plan.names, lift)? };
            for (at, representation) in representations.iter().enumerate() {
                let other = other.representation(&representation.name).map_err(MeasureError::from)?;
                let [cosine, distance] =
                    apart(representation, &other, &measured).map_err(MeasureError::from)?;
                sums[at].0[0] += cosine;
                sums[at].0[1] += distance;
                if let (Some(task), Some(ids), Some(folds)) = (&task, &known, fitted.get(at)) {
                    for (linear, test, _) in folds {
                        // The training videos keep their order; only the scored ones are read.
                        let features = Features::lazy(&other, ids.clone());
                        let answers = pool.install(|| task.answers(linear, &features, test, Par::rayon(0)));
                        let answers = answers.map_err(|error| fail(&other.name, error))?;
                        sums[at].1 += answers.iter().filter(|answer| answer.rank == 1).count();
                        sums[at].2 += answers.len();
                    }
                }
            }
        }
        for (at, ([cosine, distance], right, of)) in sums.into_iter().enumerate() {
            scores[at].push(OrderScore {
                representation: representations[at].name.clone(),
                frames: change.name(),
                cosine: cosine / draws as f64,
                distance: distance / draws as f64,
                accuracy: (of > 0).then(|| percent(right, of)),
            });
        }
    }
    Ok(scores.concat())
}
