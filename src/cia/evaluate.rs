//! The protocol: per group, fit on the training videos, score on the validation videos.
//!
//! Groups are independent and run in parallel, as far as they fit in memory together. Groups that are too large for that
//! run one after the other, each with its matrix products spread over the threads.

use faer::Par;
use rayon::prelude::*;
use serde::Serialize;

use super::linalg::FeatureRows;
use super::probe::{FittedProbe, ProbeError, ProbeMethod};
use super::representations::{Representation, RepresentationError};
use super::retrieval::mean_average_precision;
use super::scaling::LearnedScaling;
use super::splits::{ChiralGroup, Splits};

/// Bytes that the groups running in parallel may hold together.
const BUDGET: usize = 1 << 30;

/// What to measure.
#[derive(Clone, Copy)]
pub struct EvaluationPlan<'a> {
    /// The classifier.
    pub probe: ProbeMethod,
    /// The same representation of the time-reversed videos; the probes are scored on it as well.
    pub reversed: Option<&'a Representation>,
    /// Whether to measure retrieval.
    pub retrieval: bool,
}

/// A group's result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupScore {
    /// The triplet id.
    pub triplet: String,
    /// The verb of the forward direction; may be empty.
    pub verb_forward: String,
    /// The verb of the reverse direction; may be empty.
    pub verb_reverse: String,
    /// The noun; may be empty.
    pub noun: String,
    /// Training videos.
    pub train: usize,
    /// Training videos of the forward direction.
    pub train_forward: usize,
    /// Validation videos.
    pub valid: usize,
    /// Validation videos of the forward direction.
    pub valid_forward: usize,
    /// Accuracy on the validation videos, percent, 3 decimals.
    pub accuracy: f64,
    /// Accuracy on the validation videos in reversed time with unchanged labels, percent; absent unless asked for.
    pub reversed: Option<f64>,
    /// Mean average precision among the validation videos, percent; absent unless asked for, and if no direction has two
    /// videos.
    pub retrieval: Option<f64>,
}

/// Why a group has no result.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Its features cannot be read.
    #[error("group {triplet}: {cause}")]
    Features {
        /// The group.
        triplet: String,
        /// Why.
        cause: RepresentationError,
    },
    /// The probe failed.
    #[error("group {triplet}, {representation}: {cause}")]
    Probe {
        /// The group.
        triplet: String,
        /// What was probed.
        representation: String,
        /// Why.
        cause: ProbeError,
    },
}

/// Scores every group, in the order of the splits.
///
/// # Errors
/// [`EvaluateError`] for the first group whose features cannot be read or whose probe fails.
pub fn evaluate(
    splits: &Splits,
    representation: &Representation,
    plan: EvaluationPlan,
) -> Result<Vec<GroupScore>, EvaluateError> {
    each_group(splits, representation, plan.probe, |group, par| {
        let (fitted, scaling) = fit(group, representation, plan.probe, par)?;
        let scaled = |representation| {
            let mut rows = gather(group, representation, group.valid.ids())?;
            scaling.apply(&mut rows);
            Ok(rows)
        };
        let rows = scaled(representation)?;
        let rows = FeatureRows::new(&rows, representation.width());
        let labels = group.valid.labels();
        let reversed = match plan.reversed {
            None => None,
            Some(reversed) => {
                let rows = scaled(reversed)?;
                Some(fitted.accuracy(FeatureRows::new(&rows, reversed.width()), &labels))
            }
        };
        Ok(GroupScore {
            triplet: group.triplet.clone(),
            verb_forward: group.verb_forward.clone(),
            verb_reverse: group.verb_reverse.clone(),
            noun: group.noun.clone(),
            train: group.train.len(),
            train_forward: group.train.forward.len(),
            valid: group.valid.len(),
            valid_forward: group.valid.forward.len(),
            accuracy: fitted.accuracy(rows, &labels),
            reversed,
            retrieval: plan.retrieval.then(|| mean_average_precision(rows, &labels)).flatten(),
        })
    })
}

/// Scales and fits on a group's training videos. Their features are dropped before those of the validation videos are read.
fn fit(
    group: &ChiralGroup,
    representation: &Representation,
    probe: ProbeMethod,
    par: Par,
) -> Result<(FittedProbe, LearnedScaling), EvaluateError> {
    let mut rows = gather(group, representation, group.train.ids())?;
    let scaling = representation.scaling().learn(&rows, representation.widths());
    scaling.apply(&mut rows);
    let fitted = probe
        .fit(FeatureRows::new(&rows, representation.width()), &group.train.labels(), par)
        .map_err(|cause| probe_error(group, representation, cause))?;
    Ok((fitted, scaling))
}

pub(super) fn probe_error(
    group: &ChiralGroup,
    representation: &Representation,
    cause: ProbeError,
) -> EvaluateError {
    EvaluateError::Probe {
        triplet: group.triplet.clone(),
        representation: representation.name.clone(),
        cause,
    }
}

/// The features of some of a group's videos.
pub(super) fn gather<'a>(
    group: &ChiralGroup,
    representation: &Representation,
    ids: impl Iterator<Item = &'a str>,
) -> Result<Vec<f32>, EvaluateError> {
    representation
        .rows(ids)
        .map_err(|cause| EvaluateError::Features { triplet: group.triplet.clone(), cause })
}

/// Runs `work` on every group, in parallel as far as memory allows; results are in the order of the groups.
pub(super) fn each_group<T: Send>(
    splits: &Splits,
    representation: &Representation,
    probe: ProbeMethod,
    work: impl Fn(&ChiralGroup, Par) -> Result<T, EvaluateError> + Sync,
) -> Result<Vec<T>, EvaluateError> {
    let threads = rayon::current_num_threads();
    let large =
        |group: &ChiralGroup| probe.held(group.train.len(), representation.width()) > BUDGET / threads;
    let mut done: Vec<Option<Result<T, EvaluateError>>> =
        splits.groups.par_iter().map(|group| (!large(group)).then(|| work(group, Par::Seq))).collect();
    for (group, done) in splits.groups.iter().zip(&mut done) {
        if done.is_none() {
            *done = Some(work(group, Par::rayon(0)));
        }
    }
    done.into_iter().flatten().collect()
}
