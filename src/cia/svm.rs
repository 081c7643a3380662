//! The kernel SVM: C-SVC with an RBF kernel at scikit-learn's defaults (`SVC()`: C = 1, `gamma="scale"`, tolerance 1e-3).
//!
//! scikit-learn solves it with LIBSVM; `libsvm-rs` is LIBSVM's method in Rust, down to its working-set selection and
//! shrinking. It is given the whole kernel matrix: one blocked product is faster than a sparse dot product per pair.

use faer::Par;
use libsvm_rs::train::svm_train;
use libsvm_rs::{KernelType, SvmNode, SvmParameter, SvmProblem};

use super::linalg::{FeatureRows, NoSolution, cross, gram};

/// Megabytes of kernel rows the solver keeps, scikit-learn's `cache_size`.
const CACHE: f64 = 200.0;

/// A fitted SVM.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedSvm {
    /// The support vectors `(S, D)`, row-major.
    pub support: Vec<f32>,
    /// Their coefficients `(S,)`, positive towards the forward class.
    pub coefficients: Vec<f64>,
    /// What is added to the weighted kernel values.
    pub intercept: f64,
    /// The kernel is `exp(-gamma |x - s|^2)`.
    pub gamma: f64,
}

/// Fits on `(N, D)` with `N` labels, `true` for the class 1; `c` is the cost of a violation.
///
/// # Errors
/// [`NoSolution`] if the features are so large that the kernel is not a finite number.
pub fn fit(rows: FeatureRows, forward: &[bool], c: f64, par: Par) -> Result<FittedSvm, NoSolution> {
    let gamma = scale(rows);
    let products = gram(rows, &vec![0.0; rows.width()], par);
    let kernel = |i: usize, j: usize| {
        let (low, high) = (i.min(j), i.max(j));
        let distance = products[(i, i)] + products[(j, j)] - 2.0 * products[(high, low)];
        (-gamma * distance).exp()
    };
    // A row of a precomputed kernel is its own number, counted from 1, then one value per video.
    let instances = (0..rows.len())
        .map(|i| {
            let own = SvmNode { index: 0, value: (i + 1) as f64 };
            let row = (0..rows.len()).map(|j| SvmNode { index: j as i32 + 1, value: kernel(i, j) });
            std::iter::once(own).chain(row).collect()
        })
        .collect();
    let labels = forward.iter().map(|&forward| if forward { 1.0 } else { -1.0 }).collect();
    let problem = SvmProblem { labels, instances };
    let parameter =
        SvmParameter { kernel_type: KernelType::Precomputed, c, cache_size: CACHE, ..Default::default() };
    libsvm_rs::set_quiet(true);
    let model = svm_train(&problem, &parameter);
    // LIBSVM's decision value is positive for the class of the first video.
    let sign = if model.label.first() == Some(&1) { 1.0 } else { -1.0 };
    let coefficients: Vec<f64> = model.sv_coef.concat().iter().map(|a| sign * a).collect();
    let support = model.sv_indices.iter().filter_map(|&number| rows.iter().nth(number - 1)).flatten();
    let intercept = -sign * model.rho.first().copied().unwrap_or(f64::NAN);
    if !intercept.is_finite() || !coefficients.iter().all(|a| a.is_finite()) {
        return Err(NoSolution);
    }
    Ok(FittedSvm { support: support.copied().collect(), coefficients, intercept, gamma })
}

/// scikit-learn's `gamma="scale"`: one over the width times the variance of all numbers together, 1 where they are
/// all equal.
fn scale(rows: FeatureRows) -> f64 {
    let count = (rows.len() * rows.width()) as f64;
    let values = || rows.iter().flatten().map(|&x| f64::from(x));
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    if variance > 0.0 { 1.0 / (rows.width() as f64 * variance) } else { 1.0 }
}

impl FittedSvm {
    /// The decision values of `(M, D)`, positive for forward.
    pub fn decisions(&self, rows: FeatureRows) -> Vec<f64> {
        let support = FeatureRows::new(&self.support, rows.width());
        let products = cross(rows, support, Par::Seq);
        let square = |row: &[f32]| row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        let squares: Vec<f64> = support.iter().map(square).collect();
        rows.iter()
            .enumerate()
            .map(|(at, row)| {
                let own = square(row);
                let kernel =
                    |to: usize| (-self.gamma * (own + squares[to] - 2.0 * products[(at, to)]).max(0.0)).exp();
                let sum: f64 = self.coefficients.iter().enumerate().map(|(to, a)| a * kernel(to)).sum();
                sum + self.intercept
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_svm_separates_classes_that_no_line_separates() {
        let rows = [0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0];
        let rows = FeatureRows::new(&rows, 2);
        for forward in [[true, true, false, false], [false, false, true, true]] {
            let machine = fit(rows, &forward, 10.0, Par::Seq).unwrap();
            let sides: Vec<bool> = machine.decisions(rows).iter().map(|&value| value > 0.0).collect();
            assert_eq!(sides, forward, "whichever class comes first");
        }
    }

    #[test]
    fn equal_numbers_do_not_divide_by_zero() {
        assert_eq!(scale(FeatureRows::new(&[2.0; 6], 3)), 1.0);
        assert_eq!(scale(FeatureRows::new(&[1.0, -1.0], 1)), 1.0);
    }
}
