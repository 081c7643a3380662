//! The probe: the small classifier that is fitted per group, by one of three methods.

use faer::Par;

use super::linalg::{FeatureRows, LinearDecision};
use super::{logistic, ridge, svm};

/// Which classifier, with its one setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ProbeMethod {
    /// Ridge, the paper's: the penalty `alpha`.
    Ridge(f64),
    /// Logistic regression, converged: the inverse penalty `C`.
    Logistic(f64),
    /// SVM with an RBF kernel: the cost `C`.
    Svm(f64),
}

/// A fitted probe.
#[derive(Debug, Clone, PartialEq)]
pub enum FittedProbe {
    /// Ridge and logistic.
    Linear(LinearDecision),
    /// The SVM.
    Svm(svm::FittedSvm),
}

/// Why a probe could not be fitted.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ProbeError {
    /// The ridge system has no unique solution.
    #[error("the ridge system is singular at alpha {0}; give a larger --alpha")]
    Singular(f64),
    /// Newton's method found no optimum.
    #[error("the logistic probe did not converge; the features are out of range, try them scaled")]
    Logistic,
    /// The fitted SVM holds numbers that are not finite.
    #[error("the SVM has no finite solution; the features are out of range, try them scaled")]
    Svm,
}

impl ProbeMethod {
    /// About how many bytes fitting holds at once for `videos` training videos of `width` numbers: the features in f32, and
    /// the solver's matrices in f64. Ridge has a few of the smaller dimension, Newton's method two of all videos by all, and
    /// the SVM its Gram matrix and the list of nodes of its solver.
    pub fn held(self, videos: usize, width: usize) -> usize {
        let solver = match self {
            Self::Ridge(_) => 24 * videos.min(width).pow(2),
            Self::Logistic(_) => 16 * videos.pow(2),
            Self::Svm(_) => 24 * videos.pow(2),
        };
        4 * videos * width + solver
    }

    /// The name and setting, for a report.
    pub fn describe(self) -> String {
        match self {
            Self::Ridge(alpha) => format!("ridge (alpha {alpha})"),
            Self::Logistic(c) => format!("logistic (C {c}, converged)"),
            Self::Svm(c) => format!("SVM (RBF, C {c}, gamma scale)"),
        }
    }

    /// Fits on `(N, D)` with `N` labels, `true` for forward. Both classes must occur.
    ///
    /// # Errors
    /// [`ProbeError`] if there is no solution.
    pub fn fit(self, rows: FeatureRows, forward: &[bool], par: Par) -> Result<FittedProbe, ProbeError> {
        match self {
            Self::Ridge(alpha) => ridge::fit(rows, forward, alpha, par)
                .map(FittedProbe::Linear)
                .map_err(|_| ProbeError::Singular(alpha)),
            Self::Logistic(c) => logistic::fit(rows, forward, c, par)
                .map(FittedProbe::Linear)
                .map_err(|_| ProbeError::Logistic),
            Self::Svm(c) => {
                svm::fit(rows, forward, c, par).map(FittedProbe::Svm).map_err(|_| ProbeError::Svm)
            }
        }
    }
}

impl FittedProbe {
    /// The decision values of `(M, D)`, positive for forward.
    pub fn decisions(&self, rows: FeatureRows) -> Vec<f64> {
        match self {
            Self::Linear(linear) => rows.iter().map(|row| linear.decision(row)).collect(),
            Self::Svm(machine) => machine.decisions(rows),
        }
    }

    /// The accuracy on `(M, D)` with `M` labels, in percent, rounded as the authors do.
    pub fn accuracy(&self, rows: FeatureRows, forward: &[bool]) -> f64 {
        let decisions = self.decisions(rows);
        let right = decisions.iter().zip(forward).filter(|(value, forward)| (**value > 0.0) == **forward);
        percent(right.count(), forward.len())
    }
}

/// `part` of `whole` in percent, rounded to 3 decimals, as the authors round the groups' accuracies before averaging.
pub fn percent(part: usize, whole: usize) -> f64 {
    (100_000.0 * part as f64 / whole as f64).round_ties_even() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_to_three_decimals() {
        assert_eq!(percent(10, 17), 58.824);
        assert_eq!(percent(2, 3), 66.667);
        assert_eq!(percent(1, 1), 100.0);
    }
}
