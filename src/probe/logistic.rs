//! Multinomial logistic regression at its optimum: scikit-learn's `LogisticRegression` (L2 penalty, none on the intercepts).
//!
//! `min_{W,b} C Σ_i (log Σ_k exp z_ik - z_i,y(i)) + |W|^2 / 2` with `z = W^T x + b`; divided by `C N` here. For two classes,
//! scikit-learn has one vector `w` for their difference; that is the same optimum at half of `C`.
//!
//! The method is L-BFGS with a preconditioner: the Hessian is near `s Xc^T Xc / N + 1/(C N)` for every class, where `s` is the mean
//! of `p (1 - p)`. Its Cholesky factor turns long valleys into round bowls, so that tens of passes over the features are enough.
//! scikit-learn's default tolerance stops earlier; the reference here is its value at a tight tolerance.
//!
//! With fewer videos than numbers per video, the optimum lies in the span of the videos, and the problem is solved in the
//! coordinates of that span.

use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use rayon::prelude::*;

use super::features::Features;
use super::linear::{FitError, Linear};
use super::ridge::combine;
use crate::cia::linalg::{Cholesky, FeatureRows, add_product, gram};
use crate::cia::representations::RepresentationError;

/// The most steps; ten to a hundred are usual.
const STEPS: usize = 2000;
/// `g^T P^-1 g` at which the optimum counts as reached: twice the distance of the mean loss from its minimum, about.
const TOLERANCE: f64 = 1e-15;
/// Pairs of steps that the method remembers.
const MEMORY: usize = 20;
/// The preconditioner is made anew when `s` has changed by this factor.
const REFRESH: f64 = 2.0;

/// Fits on the videos `rows`, whose classes are `labels` (of all videos), for each `C`.
///
/// # Errors
/// [`FitError`] if the features cannot be read, the videos are of one class, or an optimum is not reached.
pub fn fit(
    features: &Features,
    rows: &[usize],
    labels: &[u32],
    classes: usize,
    costs: &[f64],
    par: Par,
) -> Result<Vec<Linear>, FitError> {
    // A class without a training video would have an intercept of minus infinity; it is left out of the problem.
    let mut present = vec![false; classes];
    rows.iter().for_each(|&row| present[labels[row] as usize] = true);
    let kept: Vec<usize> = (0..classes).filter(|&class| present[class]).collect();
    if kept.len() < 2 {
        return Err(FitError::OneClass);
    }
    let mut number = vec![0; classes];
    kept.iter().enumerate().for_each(|(at, &class)| number[class] = at);
    let labels: Vec<usize> = rows.iter().map(|&row| number[labels[row] as usize]).collect();
    let space = Space::of(features, rows, par)?;
    let mut problem = Problem { scatter: space.scatter(par)?, space, labels, classes: kept.len(), par };
    // The solution at one C is a good start for the next larger one.
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]));
    let mut start = vec![0.0; (problem.space.width() + 1) * kept.len()];
    let mut fitted: Vec<(usize, Linear)> = Vec::new();
    for at in order {
        start = problem.minimise(start, costs[at])?;
        fitted.push((at, spread(problem.space.weights(&start, kept.len(), par), &kept, classes)));
    }
    fitted.sort_by_key(|(at, _)| *at);
    Ok(fitted.into_iter().map(|(_, linear)| linear).collect())
}

/// The classifier with the classes that were left out, which never answer.
fn spread(linear: Linear, kept: &[usize], classes: usize) -> Linear {
    if kept.len() == classes {
        return linear;
    }
    let mut all = Linear {
        weights: Mat::zeros(linear.weights.nrows(), classes),
        intercepts: vec![f64::NEG_INFINITY; classes],
    };
    for (from, &to) in kept.iter().enumerate() {
        all.weights.col_mut(to).copy_from(linear.weights.col(from));
        all.intercepts[to] = linear.intercepts[from];
    }
    all
}

/// The centred videos, in coordinates that the problem is solved in.
enum Space<'a> {
    /// Their own numbers, read in each pass.
    Own { features: &'a Features<'a>, rows: &'a [usize], mean: Vec<f64> },
    /// The span of few videos: `coordinates` `(R, N)` and the basis' dual coefficients `(N, R)`.
    Span { values: Vec<f32>, mean: Vec<f64>, coordinates: Mat<f64>, basis: Mat<f64> },
}

impl<'a> Space<'a> {
    fn of(features: &'a Features<'a>, rows: &'a [usize], par: Par) -> Result<Self, FitError> {
        if rows.len() >= features.width() {
            let mut sum = vec![0.0; features.width()];
            features.blocks(rows, |_, block| {
                sum.iter_mut().zip(block.mean()).for_each(|(sum, mean)| *sum += mean * block.len() as f64);
            })?;
            sum.iter_mut().for_each(|sum| *sum /= rows.len() as f64);
            return Ok(Self::Own { features, rows, mean: sum });
        }
        let values = features.rows(rows)?;
        let matrix = FeatureRows::new(&values, features.width());
        let mean = matrix.mean();
        // Xc Xc^T = U L U^T, so the rows of U L^1/2 have the same products as the videos.
        let eigen = gram(matrix, &mean, par).self_adjoint_eigen(Side::Lower);
        let eigen = eigen.map_err(|_| FitError::NotConverged(f64::NAN))?;
        let values_of = eigen.S().column_vector();
        let largest = values_of.iter().fold(0.0, |max: f64, &value| max.max(value));
        let kept: Vec<usize> = (0..rows.len()).filter(|&at| values_of[at] > 1e-12 * largest).collect();
        let (u, root) = (eigen.U(), |at: usize| values_of[kept[at]].sqrt());
        let coordinates = Mat::from_fn(kept.len(), rows.len(), |at, video| u[(video, kept[at])] * root(at));
        let basis = Mat::from_fn(rows.len(), kept.len(), |video, at| u[(video, kept[at])] / root(at));
        Ok(Self::Span { values, mean, coordinates, basis })
    }

    fn width(&self) -> usize {
        match self {
            Self::Own { mean, .. } => mean.len(),
            Self::Span { coordinates, .. } => coordinates.nrows(),
        }
    }

    /// Calls `work` with blocks of videos `(R, n)` and the number of the block's first video.
    fn blocks(&self, mut work: impl FnMut(usize, MatRef<f64>)) -> Result<(), RepresentationError> {
        match self {
            Self::Own { features, rows, mean } => {
                let mut from = 0;
                features.blocks(rows, |_, block| {
                    work(from, block.block(0..block.len(), 0, mean).as_ref());
                    from += block.len();
                })
            }
            Self::Span { coordinates, .. } => {
                work(0, coordinates.as_ref());
                Ok(())
            }
        }
    }

    /// The lower triangle of `Xc^T Xc / N`, `(R, R)`.
    fn scatter(&self, par: Par) -> Result<Mat<f64>, RepresentationError> {
        let mut scatter = Mat::zeros(self.width(), self.width());
        let mut videos = 0;
        self.blocks(|_, block| {
            add_product(&mut scatter, block, block.transpose(), par);
            videos += block.ncols();
        })?;
        scatter *= faer::Scale(1.0 / videos as f64);
        Ok(scatter)
    }

    /// The classifier of a point `[W, b]`.
    fn weights(&self, point: &[f64], classes: usize, par: Par) -> Linear {
        let (weights, intercepts) = point.split_at(self.width() * classes);
        let weights = MatRef::from_column_major_slice(weights, self.width(), classes);
        let (weights, mean) = match self {
            Self::Own { mean, .. } => (weights.to_owned(), mean),
            Self::Span { values, mean, basis, .. } => {
                (combine(FeatureRows::new(values, mean.len()), mean, &(basis * weights), par), mean)
            }
        };
        let intercepts = intercepts
            .iter()
            .enumerate()
            .map(|(class, b)| b - weights.col(class).iter().zip(mean).map(|(w, m)| w * m).sum::<f64>());
        Linear { intercepts: intercepts.collect(), weights }
    }
}

struct Problem<'a> {
    space: Space<'a>,
    /// Of the videos, in their order.
    labels: Vec<usize>,
    classes: usize,
    scatter: Mat<f64>,
    par: Par,
}

/// The value at a point, its gradient, and the mean of `p (1 - p)` there.
struct Slope {
    value: f64,
    gradient: Vec<f64>,
    curvature: f64,
}

/// The factor of `s Xc^T Xc / N + penalty`, and `s`.
struct Preconditioner {
    factor: Cholesky,
    scale: f64,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], scale: f64, vector: &[f64]) {
    to.iter_mut().zip(vector).for_each(|(to, x)| *to += scale * x);
}

impl Problem<'_> {
    /// The point `[W, b]` of the minimum, from the point `at`.
    fn minimise(&mut self, mut at: Vec<f64>, cost: f64) -> Result<Vec<f64>, FitError> {
        let own = if self.classes == 2 { cost / 2.0 } else { cost };
        let penalty = 1.0 / (own * self.labels.len() as f64);
        let fail = FitError::NotConverged;
        let mut here = self.slope(&at, penalty)?;
        let mut near = self.preconditioner(here.curvature, penalty).ok_or(fail(cost))?;
        let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
        for step in 0..STEPS {
            let ratio = here.curvature / near.scale;
            if !(1.0 / REFRESH..=REFRESH).contains(&ratio) {
                near = self.preconditioner(here.curvature, penalty).ok_or(fail(cost))?;
            }
            let steepest = self.divide(&near, &here.gradient);
            let rest = dot(&here.gradient, &steepest);
            tracing::debug!("logistic step {step}: {:.12}, {rest:.3e} from the optimum", here.value);
            if rest <= TOLERANCE {
                return Ok(at);
            }
            let mut direction = self.direction(&near, &here.gradient, &pairs);
            let mut along = dot(&here.gradient, &direction);
            if along >= 0.0 || !along.is_finite() {
                pairs.clear();
                direction = steepest.iter().map(|x| -x).collect();
                along = -rest;
            }
            let mut size = 1.0;
            let (next, there) = loop {
                let mut next = at.clone();
                add(&mut next, size, &direction);
                let there = self.slope(&next, penalty)?;
                // Near the optimum the value's last digits are noise; there the slope along the direction must have fallen.
                let falls = there.value <= here.value + 1e-4 * size * along;
                let same = there.value <= here.value + 1e-13 * here.value.abs();
                if falls || (same && dot(&there.gradient, &direction).abs() <= 0.8 * along.abs()) {
                    break (next, there);
                }
                size *= 0.4;
                if size < 1e-9 {
                    return Err(fail(cost));
                }
            };
            let moved: Vec<f64> = next.iter().zip(&at).map(|(next, at)| next - at).collect();
            let turned: Vec<f64> =
                there.gradient.iter().zip(&here.gradient).map(|(there, here)| there - here).collect();
            if dot(&moved, &turned) > 0.0 {
                if pairs.len() == MEMORY {
                    pairs.remove(0);
                }
                pairs.push((moved, turned));
            }
            (at, here) = (next, there);
        }
        Err(fail(cost))
    }

    /// The quasi-Newton direction (Nocedal & Wright, *Numerical Optimization*, algorithm 7.4).
    fn direction(&self, near: &Preconditioner, gradient: &[f64], pairs: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
        let mut rest = gradient.to_vec();
        let mut shares = Vec::new();
        for (moved, turned) in pairs.iter().rev() {
            let share = dot(moved, &rest) / dot(moved, turned);
            add(&mut rest, -share, turned);
            shares.push(share);
        }
        let mut direction = self.divide(near, &rest);
        if let Some((moved, turned)) = pairs.last() {
            let scale = dot(moved, turned) / dot(turned, &self.divide(near, turned));
            direction.iter_mut().for_each(|x| *x *= scale);
        }
        for ((moved, turned), share) in pairs.iter().zip(shares.iter().rev()) {
            let back = dot(turned, &direction) / dot(moved, turned);
            add(&mut direction, share - back, moved);
        }
        direction.iter_mut().for_each(|x| *x = -*x);
        direction
    }

    fn preconditioner(&self, curvature: f64, penalty: f64) -> Option<Preconditioner> {
        // On differences of classes, at equal probabilities, this is the Hessian itself.
        let classes = self.classes as f64;
        let scale = (curvature * classes / (classes - 1.0)).max(1e-12);
        let mut matrix = self.scatter.clone();
        matrix *= faer::Scale(scale);
        (0..matrix.nrows()).for_each(|at| matrix[(at, at)] += penalty);
        let factor = Cholesky::new(matrix, self.par).ok()?;
        Some(Preconditioner { factor, scale: curvature.max(1e-12) })
    }

    /// The preconditioner's inverse times a vector `[W, b]`.
    fn divide(&self, near: &Preconditioner, vector: &[f64]) -> Vec<f64> {
        let width = self.space.width();
        let mut divided = vector.to_vec();
        let (weights, intercepts) = divided.split_at_mut(width * self.classes);
        near.factor.solve_in_place(MatMut::from_column_major_slice_mut(weights, width, self.classes));
        intercepts.iter_mut().for_each(|b| *b /= near.scale);
        divided
    }

    fn slope(&self, point: &[f64], penalty: f64) -> Result<Slope, RepresentationError> {
        let (width, classes, videos) = (self.space.width(), self.classes, self.labels.len() as f64);
        let (weights, intercepts) = point.split_at(width * classes);
        let matrix = MatRef::from_column_major_slice(weights, width, classes);
        let mut gradient = vec![0.0; point.len()];
        let (to, to_intercepts) = gradient.split_at_mut(width * classes);
        let (mut loss, mut curvature) = (0.0, 0.0);
        let mut values = Vec::new();
        self.space.blocks(|from, block| {
            values.clear();
            values.resize(classes * block.ncols(), 0.0);
            let z = MatMut::from_column_major_slice_mut(&mut values, classes, block.ncols());
            faer::linalg::matmul::matmul(z, Accum::Replace, matrix.transpose(), block, 1.0, self.par);
            let labels = &self.labels[from..from + block.ncols()];
            let each: Vec<[f64; 2]> = values
                .par_chunks_exact_mut(classes)
                .zip(labels)
                .map(|(values, &label)| residual(values, intercepts, label, 1.0 / videos))
                .collect();
            for [own, bend] in each {
                loss += own;
                curvature += bend;
            }
            for values in values.chunks_exact(classes) {
                add(to_intercepts, 1.0, values);
            }
            let r = MatRef::from_column_major_slice(&values, classes, block.ncols());
            let to = MatMut::from_column_major_slice_mut(to, width, classes);
            faer::linalg::matmul::matmul(to, Accum::Add, block, r.transpose(), 1.0, self.par);
        })?;
        add(to, penalty, weights);
        let value = loss / videos + 0.5 * penalty * dot(weights, weights);
        Ok(Slope { value, gradient, curvature: curvature / (videos * classes as f64) })
    }
}

/// Turns a video's `z` without intercepts into its share of the gradient, `(p - y) * scale`. Returns its loss and the sum of `p (1 - p)`.
fn residual(values: &mut [f64], intercepts: &[f64], label: usize, scale: f64) -> [f64; 2] {
    values.iter_mut().zip(intercepts).for_each(|(z, b)| *z += b);
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let own = values[label];
    let mut sum = 0.0;
    for z in values.iter_mut() {
        *z = (*z - largest).exp();
        sum += *z;
    }
    let mut bend = 0.0;
    for p in values.iter_mut() {
        *p /= sum;
        bend += *p * (1.0 - *p);
        *p *= scale;
    }
    values[label] -= scale;
    [sum.ln() + largest - own, bend]
}
