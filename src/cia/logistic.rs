//! Logistic regression at its optimum: scikit-learn's `LogisticRegression` (L2 penalty, none on the intercept).
//!
//! `min_{w,b} C Σ log(1 + exp(-y_i (w·x_i + b))) + |w|^2 / 2`. The optimum lies in the span of the videos, `w = Xᵀ a`, so
//! Newton's method runs over the `N` values `f = K a + b` with `K = X Xᵀ`, in a form that is numerically stable where
//! probabilities are near 0 or 1 (Rasmussen & Williams, *Gaussian Processes for Machine Learning*, algorithm 3.1), with the
//! intercept eliminated by its condition `Σ a = 0`. scikit-learn's default tolerance stops its quasi-Newton method
//! before the optimum; the reference here is its value at a tight tolerance.
//!
//! Features are centred first: that changes only the intercept and improves the condition of `K`.

use faer::{Mat, Par};

use super::linalg::LinearDecision;
use super::linalg::{Cholesky, FeatureRows, NoSolution, gram};

/// The most Newton steps; about ten are usual.
const STEPS: usize = 200;
/// The gradient's norm, relative to `C N`, at which the optimum counts as reached.
const TOLERANCE: f64 = 1e-10;

/// Fits on `(N, D)` with `N` labels, `true` for the class 1; `c` is the inverse of the penalty, scikit-learn's `C`.
///
/// # Errors
/// [`NoSolution`] if the features are out of range, or the optimum is not reached.
pub fn fit(rows: FeatureRows, forward: &[bool], c: f64, par: Par) -> Result<LinearDecision, NoSolution> {
    let mean = rows.mean();
    let kernel = mirrored(gram(rows, &mean, par));
    let problem = Problem { kernel, forward, c };
    let (dual, bias) = problem.solve(par)?;
    let weights = rows.combine(&dual, &mean);
    let intercept = bias - weights.iter().zip(&mean).map(|(w, m)| w * m).sum::<f64>();
    Ok(LinearDecision { weights, intercept })
}

/// A lower triangle as the full symmetric matrix.
fn mirrored(mut matrix: Mat<f64>) -> Mat<f64> {
    for column in 0..matrix.ncols() {
        for row in 0..column {
            matrix[(row, column)] = matrix[(column, row)];
        }
    }
    matrix
}

struct Problem<'a> {
    kernel: Mat<f64>,
    forward: &'a [bool],
    c: f64,
}

/// A point of the search: dual coefficients `a` `(N,)`, intercept, `K a`, and the objective.
#[derive(Clone)]
struct Point {
    dual: Vec<f64>,
    bias: f64,
    product: Vec<f64>,
    objective: f64,
}

impl Problem<'_> {
    /// `K v`.
    fn times(&self, vector: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; vector.len()];
        for (column, &v) in self.kernel.col_iter().zip(vector) {
            for (sum, &k) in product.iter_mut().zip(column.iter()) {
                *sum += k * v;
            }
        }
        product
    }

    fn point(&self, dual: Vec<f64>, bias: f64, product: Vec<f64>) -> Point {
        let penalty: f64 = dual.iter().zip(&product).map(|(a, k)| a * k).sum();
        let loss: f64 = product
            .iter()
            .zip(self.forward)
            .map(|(&k, &forward)| {
                let margin = if forward { k + bias } else { -(k + bias) };
                // log(1 + exp(-m)) without overflow.
                (-margin).max(0.0) + (-margin.abs()).exp().ln_1p()
            })
            .sum();
        Point { dual, bias, product, objective: self.c * loss + 0.5 * penalty }
    }

    fn solve(&self, par: Par) -> Result<(Vec<f64>, f64), NoSolution> {
        let videos = self.forward.len();
        let mut point = self.point(vec![0.0; videos], 0.0, vec![0.0; videos]);
        for _ in 0..STEPS {
            let (slope, curvature): (Vec<f64>, Vec<f64>) = point
                .product
                .iter()
                .zip(self.forward)
                .map(|(&k, &forward)| {
                    let value = k + point.bias;
                    // p - t and p (1 - p), both from the smaller tail so that neither loses its digits.
                    let tail = (-value.abs()).exp() / (1.0 + (-value.abs()).exp());
                    let slope = match (forward, value > 0.0) {
                        (true, true) => -tail,
                        (true, false) => tail - 1.0,
                        (false, true) => 1.0 - tail,
                        (false, false) => tail,
                    };
                    (self.c * slope, self.c * tail * (1.0 - tail))
                })
                .unzip();
            if self.settled(&point, &slope) {
                return Ok((point.dual, point.bias));
            }
            point = self.step(&point, &slope, &curvature, par)?;
        }
        Err(NoSolution)
    }

    /// The gradient is `Xᵀ(g + a)` for the weights and `Σ g` for the intercept.
    fn settled(&self, point: &Point, slope: &[f64]) -> bool {
        let rest: Vec<f64> = slope.iter().zip(&point.dual).map(|(g, a)| g + a).collect();
        let weights: f64 = self.times(&rest).iter().zip(&rest).map(|(k, r)| k * r).sum();
        let bias: f64 = slope.iter().sum();
        let scale = self.kernel.diagonal().column_vector().iter().fold(1.0, |max: f64, &k| max.max(k)).sqrt();
        let bound = TOLERANCE * self.c * slope.len() as f64;
        weights.max(0.0).sqrt() <= bound * scale && bias.abs() <= bound
    }

    /// One Newton step, halved until the objective does not rise.
    fn step(&self, point: &Point, slope: &[f64], curvature: &[f64], par: Par) -> Result<Point, NoSolution> {
        let root: Vec<f64> = curvature.iter().map(|w| w.sqrt()).collect();
        let mut system = Mat::from_fn(root.len(), root.len(), |row, column| {
            root[row] * self.kernel[(row, column)] * root[column]
        });
        for at in 0..root.len() {
            system[(at, at)] += 1.0;
        }
        let system = Cholesky::new(system, par)?;
        // (I + W K)^-1 r = r - S B^-1 S K r, and (I + W K)^-1 W 1 = S B^-1 S 1, with S = W^1/2, B = I + S K S.
        let right: Vec<f64> =
            (0..root.len()).map(|at| curvature[at] * (point.product[at] + point.bias) - slope[at]).collect();
        let scaled: Vec<f64> = self.times(&right).iter().zip(&root).map(|(k, s)| k * s).collect();
        let scaled = system.solve(&scaled);
        let free: Vec<f64> = (0..root.len()).map(|at| right[at] - root[at] * scaled[at]).collect();
        let ones = system.solve(&root);
        let along: Vec<f64> = ones.iter().zip(&root).map(|(one, s)| one * s).collect();
        let total: f64 = along.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            return Err(NoSolution);
        }
        let bias = free.iter().sum::<f64>() / total;
        let dual: Vec<f64> = free.iter().zip(&along).map(|(free, along)| free - bias * along).collect();
        let product = self.times(&dual);
        let mut share = 1.0;
        loop {
            let blend = |from: &[f64], to: &[f64]| -> Vec<f64> {
                from.iter().zip(to).map(|(from, to)| from + share * (to - from)).collect()
            };
            let next = self.point(
                blend(&point.dual, &dual),
                point.bias + share * (bias - point.bias),
                blend(&point.product, &product),
            );
            // Near the optimum the objective changes only by rounding, which must not refuse a full step.
            if next.objective <= point.objective + 1e-12 * point.objective.abs() {
                return Ok(next);
            }
            share *= 0.5;
            if share < 1e-10 {
                return Err(NoSolution);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_vanishes() {
        let data: Vec<f32> = (0..60).map(|at| ((at * 31 + at / 3) % 23) as f32 / 3.0 - 3.0).collect();
        let rows = FeatureRows::new(&data, 3);
        let forward: Vec<bool> = rows.iter().map(|row| row[0] + 0.5 * row[1] > 0.3).collect();
        let c = 2.0;
        let fitted = fit(rows, &forward, c, Par::Seq).unwrap();
        let mut gradient = [fitted.weights[0], fitted.weights[1], fitted.weights[2], 0.0];
        for (row, &forward) in rows.iter().zip(&forward) {
            let value = fitted.decision(row);
            let slope = c * (1.0 / (1.0 + (-value).exp()) - f64::from(u8::from(forward)));
            for (sum, &x) in gradient.iter_mut().zip(row) {
                *sum += slope * f64::from(x);
            }
            gradient[3] += slope;
        }
        assert!(gradient.iter().all(|g| g.abs() < 1e-6), "{gradient:?}");
    }
}
