//! The ridge classifier, scikit-learn's `RidgeClassifier` in closed form.
//!
//! `min_w |y - Xw - b|^2 + alpha |w|^2` with targets ±1; the intercept follows from centring both sides. The
//! smaller of the two equivalent systems is solved, of `D` or of `N` unknowns:
//! `(Xc^T Xc + alpha I) w = Xc^T yc`, or `w = Xc^T (Xc Xc^T + alpha I)^-1 yc`.

use faer::Par;

use super::linalg::LinearDecision;
use super::linalg::{Cholesky, FeatureRows, NoSolution, gram, scatter};

/// Fits on `(N, D)` with `N` labels, `true` for the class +1.
///
/// # Errors
/// [`NoSolution`] if `alpha` is too small for the data (0 with dependent columns).
pub fn fit(rows: FeatureRows, forward: &[bool], alpha: f64, par: Par) -> Result<LinearDecision, NoSolution> {
    let targets: Vec<f64> = forward.iter().map(|&forward| if forward { 1.0 } else { -1.0 }).collect();
    let target_mean = targets.iter().sum::<f64>() / targets.len().max(1) as f64;
    let centred: Vec<f64> = targets.iter().map(|target| target - target_mean).collect();
    let mean = rows.mean();
    let dual = rows.len() < rows.width();
    let mut system = if dual { gram(rows, &mean, par) } else { scatter(rows, &mean, par) };
    for at in 0..system.nrows() {
        system[(at, at)] += alpha;
    }
    let system = Cholesky::new(system, par)?;
    let weights = if dual {
        rows.combine(&system.solve(&centred), &mean)
    } else {
        system.solve(&rows.combine(&centred, &mean))
    };
    let intercept = target_mean - weights.iter().zip(&mean).map(|(w, m)| w * m).sum::<f64>();
    Ok(LinearDecision { weights, intercept })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dimensions_give_the_same_answer() {
        // 6 videos of 9 numbers; the 9 are 3 numbers spread out, so the primal system on the 3 is the same problem.
        let small: Vec<f32> = (0..18).map(|at| ((at * 29 + 7) % 17) as f32 / 8.0 - 1.0).collect();
        let wide: Vec<f32> =
            small.chunks(3).flat_map(|row| [row[0], 0.0, row[1], 0.0, 0.0, row[2], 0.0, 0.0, 0.0]).collect();
        let forward = [true, false, true, true, false, false];
        let primal = fit(FeatureRows::new(&small, 3), &forward, 0.5, Par::Seq).unwrap();
        let dual = fit(FeatureRows::new(&wide, 9), &forward, 0.5, Par::Seq).unwrap();
        assert!((primal.intercept - dual.intercept).abs() < 1e-12);
        for (at, spread) in [0, 2, 5].into_iter().enumerate() {
            assert!((primal.weights[at] - dual.weights[spread]).abs() < 1e-12);
        }
    }

    #[test]
    fn without_a_penalty_a_flat_system_is_refused() {
        let rows = [1.0, 2.0, 3.0, 1.0, 2.0, 3.0];
        assert!(fit(FeatureRows::new(&rows, 3), &[true, false], 0.0, Par::Seq).is_err());
    }
}
