//! The ridge classifier for several classes, scikit-learn's `RidgeClassifier` in closed form.
//!
//! One target per class, +1 for its videos and -1 for the others; `min_W |Y - XW - b|^2 + alpha |W|^2`, where the intercepts
//! follow from centring. With more videos than numbers per video, the normal equations `(Xc^T Xc + alpha I) W = Xc^T Yc` are
//! summed in one pass over the features, in f64: the memory depends on `D` and `K` alone. Otherwise the system of the videos is
//! solved, `W = Xc^T (Xc Xc^T + alpha I)^-1 Yc`.

use faer::{Accum, Mat, Par};

use super::features::Features;
use super::linear::{FitError, Linear};
use crate::cia::linalg::{Cholesky, FeatureRows, add_product, gram};
use crate::cia::representations::RepresentationError;

/// Fits on the videos `rows`, whose classes are `labels` (of all videos), for each penalty.
///
/// # Errors
/// [`FitError`] if the features cannot be read, or a system is singular.
pub fn fit(
    features: &Features,
    rows: &[usize],
    labels: &[u32],
    classes: usize,
    alphas: &[f64],
    par: Par,
) -> Result<Vec<Linear>, FitError> {
    let mut counts = vec![0.0; classes];
    rows.iter().for_each(|&row| counts[labels[row] as usize] += 1.0);
    let system = match rows.len() < features.width() {
        true => dual(features, rows, labels, &counts, par)?,
        false => primal(features, rows, labels, &counts, par)?,
    };
    alphas.iter().map(|&alpha| system.solve(alpha, &counts, par)).collect()
}

/// What is solved for every penalty.
struct System {
    /// The mean video, `(D,)`.
    mean: Vec<f64>,
    /// The lower triangle of `Xc^T Xc` or `Xc Xc^T`.
    matrix: Mat<f64>,
    /// `Xc^T Yc` or `Yc`.
    right: Mat<f64>,
    /// The features, for the system of the videos.
    rows: Option<Vec<f32>>,
}

/// The mean target of a class.
fn target_mean(count: f64, videos: f64) -> f64 {
    2.0 * count / videos - 1.0
}

/// The sums of one pass.
fn primal(
    features: &Features,
    rows: &[usize],
    labels: &[u32],
    counts: &[f64],
    par: Par,
) -> Result<System, RepresentationError> {
    let width = features.width();
    // Sums about a point near the mean lose no digits; the first block's mean is near enough.
    let mut shift: Option<Vec<f64>> = None;
    let mut matrix = Mat::<f64>::zeros(width, width);
    let mut sums = Mat::<f64>::zeros(width, counts.len());
    features.blocks(rows, |rows, block| {
        let shift = shift.get_or_insert_with(|| block.mean());
        let block = block.block(0..rows.len(), 0, shift);
        for (at, &row) in rows.iter().enumerate() {
            let mut sum = sums.col_mut(labels[row] as usize);
            sum += block.col(at);
        }
        add_product(&mut matrix, block.as_ref(), block.transpose(), par);
    })?;
    let shift = shift.unwrap_or_else(|| vec![0.0; width]);
    let videos = rows.len() as f64;
    let beside: Vec<f64> = (0..width).map(|at| sums.row(at).iter().sum::<f64>() / videos).collect();
    for column in 0..width {
        for row in column..width {
            matrix[(row, column)] -= videos * beside[row] * beside[column];
        }
    }
    // Xc^T Yc: the constant part of the targets drops out, since the columns of Xc sum to 0.
    let right = Mat::from_fn(width, counts.len(), |row, class| {
        2.0 * (sums[(row, class)] - counts[class] * beside[row])
    });
    let mean = shift.iter().zip(&beside).map(|(shift, beside)| shift + beside).collect();
    Ok(System { mean, matrix, right, rows: None })
}

fn dual(
    features: &Features,
    rows: &[usize],
    labels: &[u32],
    counts: &[f64],
    par: Par,
) -> Result<System, RepresentationError> {
    let values = features.rows(rows)?;
    let matrix = FeatureRows::new(&values, features.width());
    let mean = matrix.mean();
    let right = Mat::from_fn(rows.len(), counts.len(), |row, class| {
        let target = if labels[rows[row]] as usize == class { 1.0 } else { -1.0 };
        target - target_mean(counts[class], rows.len() as f64)
    });
    Ok(System { matrix: gram(matrix, &mean, par), mean, right, rows: Some(values) })
}

impl System {
    fn solve(&self, alpha: f64, counts: &[f64], par: Par) -> Result<Linear, FitError> {
        let mut matrix = self.matrix.clone();
        (0..matrix.nrows()).for_each(|at| matrix[(at, at)] += alpha);
        let system = Cholesky::new(matrix, par).map_err(|_| FitError::Singular(alpha))?;
        let mut weights = self.right.clone();
        system.solve_in_place(weights.as_mut());
        if let Some(rows) = &self.rows {
            weights = combine(FeatureRows::new(rows, self.mean.len()), &self.mean, &weights, par);
        }
        let videos: f64 = counts.iter().sum();
        let intercepts = counts.iter().enumerate().map(|(class, &count)| {
            let along: f64 = weights.col(class).iter().zip(&self.mean).map(|(w, m)| w * m).sum();
            target_mean(count, videos) - along
        });
        Ok(Linear { intercepts: intercepts.collect(), weights })
    }
}

/// `Xc^T A` of dual coefficients `A` `(N, K)`: weights `(D, K)`.
pub(super) fn combine(rows: FeatureRows, mean: &[f64], dual: &Mat<f64>, par: Par) -> Mat<f64> {
    const BLOCK: usize = 512;
    let mut weights = Mat::zeros(rows.width(), dual.ncols());
    for from in (0..rows.len()).step_by(BLOCK) {
        let count = BLOCK.min(rows.len() - from);
        let block = rows.block(from..from + count, 0, mean);
        let dual = dual.subrows(from, count);
        faer::linalg::matmul::matmul(&mut weights, Accum::Add, &block, dual, 1.0, par);
    }
    weights
}
