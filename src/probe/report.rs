//! The results of a probe as plain data.

use serde::Serialize;

use super::compare::Comparison;
use super::order::OrderScore;
use super::scores::ProbeScore;
use crate::cia::published::Published;
use crate::cia::report::FlagValues;

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct ProbeReport {
    /// The classifier.
    pub classifier: &'static str,
    /// The name of its setting: `alpha` or `C`.
    pub setting: &'static str,
    /// Classes.
    pub classes: usize,
    /// Training videos; with folds, all videos.
    pub train: usize,
    /// Videos that are scored.
    pub test: usize,
    /// Folds, where the labels have no split.
    pub folds: Option<usize>,
    /// Groups of videos that were kept together, where they are given.
    pub groups: Option<usize>,
    /// The seed of the folds, the intervals and the orders of frames.
    pub seed: u64,
    /// The flags in force, by their names.
    pub settings: FlagValues,
    /// Per representation; empty without labels.
    pub results: Vec<ProbeScore>,
    /// Every representation compared with the first.
    pub comparisons: Vec<Comparison>,
    /// What a change of the frames' order does; empty unless asked for.
    pub order: Vec<OrderScore>,
    /// The paper's results; empty unless asked for.
    pub published: Vec<Published>,
}

impl ProbeReport {
    /// What was measured, in one line.
    pub fn title(&self) -> String {
        let Self { classifier, classes, train, test, .. } = self;
        let videos = match self.folds {
            Some(folds) => format!("{test} videos in {folds} folds"),
            None => format!("{train} training and {test} test videos"),
        };
        let groups = self.groups.map(|groups| format!(", {groups} groups kept together")).unwrap_or_default();
        format!(
            "Accuracy in percent, {classifier}, {classes} classes, {videos}{groups}, 95 % interval over videos"
        )
    }
}
