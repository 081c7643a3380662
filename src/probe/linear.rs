//! A linear classifier of several classes.

use faer::{Accum, Mat, MatMut, Par};

use super::features::Features;
use crate::cia::linalg::FeatureRows;
use crate::cia::representations::RepresentationError;
use crate::cia::scaling::Affine;

/// Decision values `W^T x + b`, the largest of which is the answer.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `W`, `(D, K)`.
    pub weights: Mat<f64>,
    /// `b`, `(K,)`; minus infinity for a class that had no training video.
    pub intercepts: Vec<f64>,
}

/// What a classifier says of one video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The class of the largest decision value; of equal ones, the first.
    pub class: u32,
    /// The place of the true class among the decision values, from 1; behind those that are equal.
    pub rank: u32,
}

/// Why a classifier could not be fitted.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The features cannot be read.
    #[error(transparent)]
    Features(#[from] RepresentationError),
    /// The ridge system has no unique solution.
    #[error("the ridge system is singular at alpha {0}; give a larger --alpha")]
    Singular(f64),
    /// The optimum was not reached.
    #[error("logistic regression did not converge at C {0}; give a smaller --cost, or scale the features")]
    NotConverged(f64),
    /// There is nothing to tell apart.
    #[error("the training videos are all of one class")]
    OneClass,
}

impl Linear {
    /// The decision values of `(N, D)`, row-major `(N, K)`.
    pub fn decisions(&self, rows: FeatureRows, par: Par) -> Vec<f64> {
        let classes = self.intercepts.len();
        let block = rows.block(0..rows.len(), 0, &vec![0.0; rows.width()]);
        let mut values = self.intercepts.repeat(rows.len());
        let to = MatMut::from_column_major_slice_mut(&mut values, classes, rows.len());
        faer::linalg::matmul::matmul(to, Accum::Add, self.weights.transpose(), &block, 1.0, par);
        values
    }

    /// The classifier of the features as they are, from this one of the features that `scaling` gives.
    #[must_use]
    pub fn of_unscaled(mut self, scaling: &Affine) -> Self {
        for (class, intercept) in self.intercepts.iter_mut().enumerate() {
            for (at, (mean, scale)) in scaling.iter().enumerate() {
                let weight = self.weights[(at, class)] * scale;
                self.weights[(at, class)] = weight;
                *intercept -= weight * mean;
            }
        }
        self
    }

    /// The answers for the videos `rows`, whose true classes are `labels` (of all videos).
    ///
    /// # Errors
    /// If the features cannot be read.
    pub fn answers(
        &self,
        features: &Features,
        rows: &[usize],
        labels: &[u32],
        par: Par,
    ) -> Result<Vec<Answer>, RepresentationError> {
        let mut answers = Vec::with_capacity(rows.len());
        features.blocks(rows, |rows, block| {
            let values = self.decisions(block, par);
            let each = rows.iter().zip(values.chunks_exact(self.intercepts.len()));
            answers.extend(each.map(|(&row, values)| answer(values, labels[row])));
        })?;
        Ok(answers)
    }
}

fn answer(values: &[f64], label: u32) -> Answer {
    let mut best = 0;
    for (class, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = class;
        }
    }
    let own = values[label as usize];
    // Equal values count as larger, so that a classifier that says nothing has no good rank; the answer itself is first.
    let before =
        values.iter().enumerate().filter(|(class, value)| *class != label as usize && **value >= own);
    let rank = if best == label as usize { 1 } else { 1 + before.count() };
    Answer { class: best as u32, rank: rank as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_answers_and_ranks_count_from_one() {
        let of = |values: &[f64], label| {
            let Answer { class, rank } = answer(values, label);
            (class, rank)
        };
        assert_eq!(of(&[0.5, 2.0, 1.0], 1), (1, 1));
        assert_eq!(of(&[0.5, 2.0, 1.0], 0), (1, 3));
        assert_eq!(of(&[1.0, 1.0, f64::NEG_INFINITY], 1), (0, 2));
        assert_eq!(of(&[1.0, 1.0], 0), (0, 1));
    }

    #[test]
    fn a_classifier_of_scaled_features_is_one_of_the_features() {
        let linear = Linear { weights: Mat::from_fn(2, 1, |i, _| 2.0 + i as f64), intercepts: vec![1.0] };
        // 2 (5 - 1) 0.5 + 3 (7 - 4) 2 + 1
        let unscaled = linear.of_unscaled(&vec![(1.0, 0.5), (4.0, 2.0)]);
        assert_eq!(unscaled.decisions(FeatureRows::new(&[5.0, 7.0], 2), Par::Seq), [23.0]);
    }

    #[test]
    fn decisions_are_the_plain_sums() {
        let linear = Linear {
            weights: Mat::from_fn(2, 3, |i, j| (i * 3 + j) as f64),
            intercepts: vec![1.0, 0.0, -1.0],
        };
        let values = linear.decisions(FeatureRows::new(&[1.0, 2.0, -1.0, 0.0], 2), Par::Seq);
        assert_eq!(values, [7.0, 9.0, 11.0, 1.0, -1.0, -3.0]);
    }
}
