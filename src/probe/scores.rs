//! What predictions come to: top-1, top-5, per class, confusions.

use std::collections::BTreeMap;

use serde::Serialize;

use super::labels::LabelSet;
use super::run::Predictions;
use crate::cia::bootstrap::interval;
use crate::cia::probe::percent;

/// A class's videos and how many of them were recognised.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassScore {
    /// The class.
    pub class: String,
    /// Its videos that were scored.
    pub videos: usize,
    /// Those that were given their class.
    pub right: usize,
    /// Their share, percent; absent for a class without a video.
    pub accuracy: Option<f64>,
}

/// How often the videos of a class were taken for another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusion {
    /// The true class.
    pub class: String,
    /// The answer.
    pub taken_for: String,
    /// The class's videos with this answer.
    pub videos: usize,
    /// The class's videos.
    pub of: usize,
}

/// A representation's result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeScore {
    /// The representation.
    pub representation: String,
    /// Numbers per video.
    pub width: usize,
    /// The penalties chosen, one per fold.
    pub chosen: Vec<f64>,
    /// Videos that were scored.
    pub videos: usize,
    /// The videos that were given their class, percent.
    pub top1: f64,
    /// Its 95 % interval, percent, by bootstrap over videos.
    pub interval: [f64; 2],
    /// The videos whose class is among the five largest decision values, percent; absent with five classes or fewer.
    pub top5: Option<f64>,
    /// The plain mean of the classes' accuracies, percent.
    pub class_mean: f64,
    /// By class, in the order of their names.
    pub per_class: Vec<ClassScore>,
    /// Every wrong pair that occurs, the most frequent first.
    pub confused: Vec<Confusion>,
}

impl ProbeScore {
    /// Measures predictions.
    pub fn new(
        representation: &str,
        width: usize,
        labels: &LabelSet,
        predictions: &Predictions,
        seed: u64,
    ) -> Self {
        let count = predictions.videos.len();
        let name = |class: u32| labels.classes[class as usize].clone();
        let within = |rank: u32| predictions.videos.iter().filter(|one| one.answer.rank <= rank).count();
        let mut per_class: Vec<ClassScore> = labels
            .classes
            .iter()
            .map(|class| ClassScore { class: class.clone(), videos: 0, right: 0, accuracy: None })
            .collect();
        let mut pairs: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        for one in &predictions.videos {
            let class = labels.videos[one.video].class;
            let score = &mut per_class[class as usize];
            score.videos += 1;
            match one.answer.class == class {
                true => score.right += 1,
                false => *pairs.entry((class, one.answer.class)).or_default() += 1,
            }
        }
        for score in per_class.iter_mut().filter(|score| score.videos > 0) {
            score.accuracy = Some(percent(score.right, score.videos));
        }
        let means: Vec<f64> = per_class.iter().filter_map(|score| score.accuracy).collect();
        let mut confused: Vec<Confusion> = pairs
            .into_iter()
            .map(|((class, other), videos)| Confusion {
                class: name(class),
                taken_for: name(other),
                videos,
                of: per_class[class as usize].videos,
            })
            .collect();
        // The sort is stable: of equal counts, the first by name stays first.
        confused.sort_by_key(|pair| std::cmp::Reverse(pair.videos));
        let right = |one: &super::run::Prediction| if one.answer.rank == 1 { 100.0 } else { 0.0 };
        let each: Vec<f64> = predictions.videos.iter().map(right).collect();
        Self {
            representation: representation.to_owned(),
            width,
            chosen: predictions.chosen.clone(),
            videos: count,
            top1: percent(within(1), count),
            interval: interval(&[&each], seed),
            top5: (labels.classes.len() > 5).then(|| percent(within(5), count)),
            class_mean: means.iter().sum::<f64>() / means.len() as f64,
            per_class,
            confused,
        }
    }
}
