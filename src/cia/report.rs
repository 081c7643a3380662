//! The results of an evaluation as plain data: per data set and representation, and over the data sets.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bootstrap::interval;
use super::evaluate::GroupScore;
use super::published::{self, Published};
use super::shots::ShotPoint;

/// One representation on one data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RepresentationScore {
    /// The data set.
    pub dataset: String,
    /// The representation.
    pub representation: String,
    /// Numbers per video.
    pub width: usize,
    /// The plain mean of the groups' accuracies, percent.
    pub accuracy: f64,
    /// The mean's 95 % interval, percent.
    pub interval: [f64; 2],
    /// Groups that were probed.
    pub groups: usize,
    /// Groups that the files list.
    pub groups_listed: usize,
    /// Videos that were used, each counted once.
    pub videos: usize,
    /// Videos that the files list, each counted once.
    pub videos_listed: usize,
    /// Mean accuracy in reversed time, percent; absent unless asked for, and for features that cannot be reversed.
    pub reversed: Option<f64>,
    /// Mean of the groups' retrieval scores, percent; absent unless asked for.
    pub retrieval: Option<f64>,
    /// Accuracy against training videos per class; empty unless asked for.
    pub shots: Vec<ShotPoint>,
    /// The groups, by triplet id.
    pub per_group: Vec<GroupScore>,
}

/// How many groups and videos were listed, and how many videos were used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    /// Groups that the files list.
    pub groups_listed: usize,
    /// Videos that were used.
    pub videos: usize,
    /// Videos that the files list.
    pub videos_listed: usize,
}

/// One representation over all data sets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overall {
    /// The representation.
    pub representation: String,
    /// Numbers per video.
    pub width: usize,
    /// The plain mean of the data sets' accuracies, percent.
    pub accuracy: f64,
    /// Its 95 % interval, percent; groups are drawn within their data sets.
    pub interval: [f64; 2],
    /// The plain mean of the accuracies of all groups, percent: a data set counts as much as it has groups.
    pub over_groups: f64,
    /// Its 95 % interval, percent; groups are drawn from all data sets together.
    pub over_groups_interval: [f64; 2],
}

/// Values of flags by the flags' names.
pub type FlagValues = BTreeMap<String, serde_json::Value>;

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchmarkReport {
    /// The probe and its setting.
    pub probe: String,
    /// The seed of the interval and of the draws.
    pub seed: u64,
    /// The title of figures and of tables for reading; none for the tables' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The flags in force, by their names.
    pub settings: FlagValues,
    /// Per data set, and within it per representation.
    pub results: Vec<RepresentationScore>,
    /// Over the data sets; empty if there is one.
    pub overall: Vec<Overall>,
    /// The paper's results; empty unless asked for.
    pub published: Vec<Published>,
}

impl RepresentationScore {
    /// Sums up the groups of a representation; `shots` is its curve over training videos.
    pub fn new(
        dataset: &str,
        representation: &str,
        width: usize,
        counts: Coverage,
        per_group: Vec<GroupScore>,
        shots: Vec<ShotPoint>,
        seed: u64,
    ) -> Self {
        let accuracies: Vec<f64> = per_group.iter().map(|group| group.accuracy).collect();
        let some = |of: fn(&GroupScore) -> Option<f64>| {
            let values: Vec<f64> = per_group.iter().filter_map(of).collect();
            (!values.is_empty()).then(|| mean(&values))
        };
        Self {
            dataset: dataset.to_owned(),
            representation: representation.to_owned(),
            width,
            accuracy: mean(&accuracies),
            interval: interval(&[&accuracies], seed),
            groups: per_group.len(),
            groups_listed: counts.groups_listed,
            videos: counts.videos,
            videos_listed: counts.videos_listed,
            reversed: some(|group| group.reversed),
            retrieval: some(|group| group.retrieval),
            shots,
            per_group,
        }
    }
}

impl BenchmarkReport {
    /// Adds the means over data sets to the results. A representation is averaged only if every data set has it: a mean
    /// over fewer would not be comparable.
    pub fn new(probe: String, seed: u64, settings: FlagValues, results: Vec<RepresentationScore>) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let mut datasets: Vec<&str> = Vec::new();
        for outcome in &results {
            if !names.contains(&outcome.representation.as_str()) {
                names.push(&outcome.representation);
            }
            if !datasets.contains(&outcome.dataset.as_str()) {
                datasets.push(&outcome.dataset);
            }
        }
        let over = |name: &&str| {
            let of: Vec<&RepresentationScore> =
                results.iter().filter(|outcome| outcome.representation == **name).collect();
            if datasets.len() < 2 || of.len() != datasets.len() {
                return None;
            }
            let accuracies: Vec<Vec<f64>> = of
                .iter()
                .map(|outcome| outcome.per_group.iter().map(|group| group.accuracy).collect())
                .collect();
            let borrowed: Vec<&[f64]> = accuracies.iter().map(Vec::as_slice).collect();
            let all = accuracies.concat();
            Some(Overall {
                representation: (*name).to_owned(),
                width: of[0].width,
                accuracy: mean(&of.iter().map(|outcome| outcome.accuracy).collect::<Vec<_>>()),
                interval: interval(&borrowed, seed),
                over_groups: mean(&all),
                over_groups_interval: interval(&[&all], seed),
            })
        };
        let overall = names.iter().filter_map(over).collect();
        Self { probe, seed, title: None, settings, results, overall, published: Vec::new() }
    }

    /// The report with the paper's results.
    #[must_use]
    pub fn with_published(self) -> Self {
        Self { published: published::cia(), ..self }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A small report for the tests of formats and figure.
    pub fn sample() -> BenchmarkReport {
        let group = |triplet: &str, verbs: [&str; 2], accuracy| GroupScore {
            triplet: triplet.into(),
            verb_forward: verbs[0].into(),
            verb_reverse: verbs[1].into(),
            noun: "door_&_box".into(),
            train: 40,
            train_forward: 20,
            valid: 10,
            valid_forward: 5,
            accuracy,
            reversed: Some(100.0 - accuracy),
            retrieval: None,
        };
        let counts = Coverage { groups_listed: 3, videos: 96, videos_listed: 100 };
        let outcome = |dataset: &str, name: &str, shift: f64| {
            let groups = vec![
                group("t1", ["open", "close"], 80.0 + shift),
                group("t2", ["fold, twice", "unfold"], 60.0),
            ];
            RepresentationScore::new(dataset, name, 768, counts, groups, Vec::new(), 0)
        };
        let mut results =
            vec![outcome("a", "lift", 0.0), outcome("a", "static", -20.0), outcome("ssv2", "lift", 10.0)];
        results[0].shots = vec![ShotPoint { shots: 5, groups: 2, accuracy: Some(61.5), interval: None }];
        BenchmarkReport::new("ridge (alpha 1)".into(), 0, FlagValues::new(), results).with_published()
    }

    #[test]
    fn means_are_over_groups_then_over_data_sets() {
        let report = sample();
        assert_eq!(report.results[0].accuracy, 70.0);
        assert_eq!(report.results[0].reversed, Some(30.0));
        assert_eq!(report.overall.len(), 1, "`static` is missing in one data set");
        assert_eq!((report.overall[0].accuracy, report.overall[0].over_groups), (72.5, 72.5));
        let mut results = report.results;
        results[2].per_group.pop();
        results[2].accuracy = 90.0;
        let report = BenchmarkReport::new(String::new(), 0, FlagValues::new(), results);
        let overall = &report.overall[0];
        assert_eq!((overall.accuracy, overall.over_groups), (80.0, (80.0 + 60.0 + 90.0) / 3.0));
    }
}
