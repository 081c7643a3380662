//! Chooses the penalty, fits and predicts.
//!
//! The penalty is chosen on training videos alone: of a list, the one with the best accuracy in cross-validation over them.
//! Where the labels have no split, this is done once for each fold, on the videos outside of it.

use faer::Par;

use super::features::Features;
use super::folds::parted;
use super::labels::{LabelSet, Side};
use super::linear::{Answer, FitError, Linear};
use super::{logistic, ridge};

/// Which classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classifier {
    /// Ridge; its penalty is `alpha`.
    Ridge,
    /// Multinomial logistic regression, converged; its inverse penalty is `C`.
    Logistic,
}

impl Classifier {
    /// The name of the setting.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Ridge => "alpha",
            Self::Logistic => "C",
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ridge => "ridge",
            Self::Logistic => "logistic",
        }
    }

    /// Fits on the videos `rows`, for each of the settings.
    ///
    /// # Errors
    /// As [`ridge::fit`] and [`logistic::fit`].
    pub fn fit(
        self,
        features: &Features,
        rows: &[usize],
        labels: &[u32],
        classes: usize,
        settings: &[f64],
        par: Par,
    ) -> Result<Vec<Linear>, FitError> {
        match self {
            Self::Ridge => ridge::fit(features, rows, labels, classes, settings, par),
            Self::Logistic => logistic::fit(features, rows, labels, classes, settings, par),
        }
    }
}

/// How a representation is probed.
#[derive(Debug, Clone)]
pub struct ProbePlan {
    /// The classifier.
    pub classifier: Classifier,
    /// Its settings to choose from; one is taken as it is. Not empty.
    pub settings: Vec<f64>,
    /// Folds of the cross-validation, 2 or more.
    pub folds: usize,
    /// Seed of the folds.
    pub seed: u64,
}

/// What the probe said of one video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The video, an index into [`LabelSet::videos`].
    pub video: usize,
    /// The fold in which it was scored; 0 with a split.
    pub fold: usize,
    /// The answer.
    pub answer: Answer,
}

/// The predictions for one representation.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// The setting chosen, once per fold.
    pub chosen: Vec<f64>,
    /// The videos that were scored, in their order.
    pub videos: Vec<Prediction>,
}

/// Labels as the probe reads them.
pub struct Task<'a> {
    /// The labels and their split.
    pub labels: &'a LabelSet,
    classes: Vec<u32>,
    groups: Option<Vec<u32>>,
}

impl<'a> Task<'a> {
    /// The task of these labels.
    pub fn new(labels: &'a LabelSet) -> Self {
        let mut names: Vec<&str> = labels.videos.iter().filter_map(|video| video.group.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        let number = |name: &String| names.binary_search(&name.as_str()).unwrap_or_default() as u32;
        let groups = labels.videos.iter().map(|video| video.group.as_ref().map(number)).collect();
        Self { labels, classes: labels.videos.iter().map(|video| video.class).collect(), groups }
    }

    /// How many groups keep together; `None` without groups.
    pub fn groups(&self) -> Option<usize> {
        let groups = self.groups.as_ref()?;
        groups.iter().max().map(|last| *last as usize + 1)
    }

    /// The videos of a part of the split.
    pub fn side(&self, side: Side) -> Vec<usize> {
        let videos = self.labels.videos.iter().enumerate();
        videos.filter(|(_, video)| video.side == Some(side)).map(|(at, _)| at).collect()
    }

    /// The classifiers of the folds, or of the split: each with the videos that it was not fitted on and scores, and its setting.
    ///
    /// # Errors
    /// [`FitError`] if a classifier cannot be fitted.
    pub fn fitted(
        &self,
        features: &Features,
        plan: &ProbePlan,
        par: Par,
    ) -> Result<Vec<(Linear, Vec<usize>, f64)>, FitError> {
        let mut parts = Vec::new();
        if self.labels.has_split {
            parts.push((self.side(Side::Train), self.side(Side::Test)));
        } else {
            let all: Vec<usize> = (0..self.labels.videos.len()).collect();
            parts.extend(self.folds(&all, plan));
        }
        let one = |(train, test): (Vec<usize>, Vec<usize>)| {
            let setting = self.chosen(features, &train, plan, par)?;
            let mut fitted = self.fit(features, &train, plan.classifier, &[setting], par)?;
            let linear = fitted.pop().ok_or(FitError::OneClass)?;
            Ok((linear, test, setting))
        };
        parts.into_iter().map(one).collect()
    }

    /// What the classifiers say.
    ///
    /// # Errors
    /// As [`Task::fitted`].
    pub fn predictions(
        &self,
        features: &Features,
        plan: &ProbePlan,
        par: Par,
    ) -> Result<Predictions, FitError> {
        let mut found = Predictions { chosen: Vec::new(), videos: Vec::new() };
        for (fold, (linear, test, setting)) in self.fitted(features, plan, par)?.into_iter().enumerate() {
            found.chosen.push(setting);
            let answers = linear.answers(features, &test, &self.classes, par)?;
            let videos = test.into_iter().zip(answers);
            found.videos.extend(videos.map(|(video, answer)| Prediction { video, fold, answer }));
        }
        found.videos.sort_by_key(|prediction| prediction.video);
        Ok(found)
    }

    /// The answers for the videos `rows` of other features of the same videos.
    ///
    /// # Errors
    /// If the features cannot be read.
    pub fn answers(
        &self,
        linear: &Linear,
        features: &Features,
        rows: &[usize],
        par: Par,
    ) -> Result<Vec<Answer>, FitError> {
        Ok(linear.answers(features, rows, &self.classes, par)?)
    }

    fn fit(
        &self,
        features: &Features,
        rows: &[usize],
        classifier: Classifier,
        settings: &[f64],
        par: Par,
    ) -> Result<Vec<Linear>, FitError> {
        let first = rows.first().map(|&row| self.classes[row]);
        if rows.iter().all(|&row| Some(self.classes[row]) == first) {
            return Err(FitError::OneClass);
        }
        let classes = self.labels.classes.len();
        match features.standardized(rows)? {
            None => classifier.fit(features, rows, &self.classes, classes, settings, par),
            Some((scaled, scaling)) => {
                let fitted = classifier.fit(&scaled, rows, &self.classes, classes, settings, par)?;
                Ok(fitted.into_iter().map(|linear| linear.of_unscaled(&scaling)).collect())
            }
        }
    }

    /// The folds of some videos: those outside, those inside. Empty folds are left out.
    fn folds(&self, rows: &[usize], plan: &ProbePlan) -> Vec<(Vec<usize>, Vec<usize>)> {
        let fold = parted(rows, &self.classes, self.groups.as_deref(), plan.folds, plan.seed);
        let part = |number: usize| -> (Vec<usize>, Vec<usize>) {
            let (inside, outside): (Vec<_>, Vec<_>) =
                rows.iter().zip(&fold).partition(|(_, fold)| **fold == number);
            let rows = |pairs: Vec<(&usize, &usize)>| pairs.into_iter().map(|(row, _)| *row).collect();
            (rows(outside), rows(inside))
        };
        (0..plan.folds).map(part).filter(|(_, inside)| !inside.is_empty()).collect()
    }

    /// The setting with the best accuracy in cross-validation over `rows`; of equal ones, the stronger penalty.
    fn chosen(
        &self,
        features: &Features,
        rows: &[usize],
        plan: &ProbePlan,
        par: Par,
    ) -> Result<f64, FitError> {
        let mut settings = plan.settings.clone();
        settings.sort_by(f64::total_cmp);
        if plan.classifier == Classifier::Ridge {
            settings.reverse();
        }
        settings.dedup();
        if let &[setting] = settings.as_slice() {
            return Ok(setting);
        }
        let mut right = vec![0; settings.len()];
        for (train, test) in self.folds(rows, plan) {
            let fitted = self.fit(features, &train, plan.classifier, &settings, par)?;
            for (right, linear) in right.iter_mut().zip(fitted) {
                let answers = linear.answers(features, &test, &self.classes, par)?;
                *right += answers.iter().filter(|answer| answer.rank == 1).count();
            }
        }
        let most = right.iter().max().copied().unwrap_or_default();
        let best = right.iter().position(|right| *right == most).unwrap_or_default();
        Ok(settings[best])
    }
}
