//! Principal components by scikit-learn's conventions, so that figures can be compared with those made there.
//!
//! `sklearn.decomposition.PCA` with the full solver: columns centred, thin SVD, each component's sign chosen so that
//! its entry of largest magnitude is positive, explained variance `s^2 / (n - 1)`. Computed in f64 from f32 features, on one
//! thread: t-SNE starts from these numbers and is chaotic, so a last bit that depended on the number of threads would change
//! the whole figure.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::svd::{self, ComputeSvdVectors};
use faer::{Mat, Par};

/// The two leading principal components of `n` points.
#[derive(Debug, Clone)]
pub struct Pca {
    /// The points' coordinates on them, `(n, 2)`.
    pub scores: Vec<[f64; 2]>,
    /// Share of the total variance each explains, in `0..=1`; zero where nothing varies.
    pub explained: [f64; 2],
}

/// Why the decomposition failed.
#[derive(Debug, thiserror::Error)]
#[error("the singular value decomposition of the features did not converge")]
pub struct NoConvergence;

/// Projects `points` (`n` rows of one width) on their two leading principal components.
///
/// # Errors
/// [`NoConvergence`] if the singular value decomposition does not converge.
pub fn pca(points: &[Vec<f64>]) -> Result<Pca, NoConvergence> {
    let width = points.first().map_or(0, Vec::len);
    let flat = Pca { scores: vec![[0.0; 2]; points.len()], explained: [0.0; 2] };
    if points.len() < 2 || width == 0 {
        return Ok(flat);
    }
    let mean: Vec<f64> = (0..width)
        .map(|column| points.iter().map(|row| row[column]).sum::<f64>() / points.len() as f64)
        .collect();
    let centred = Mat::<f64>::from_fn(points.len(), width, |row, column| points[row][column] - mean[column]);
    let total = centred.squared_norm_l2();
    // Variance below the rounding of f32 features counts as none: its directions would be those of the rounding.
    let size: f64 = points.iter().flatten().map(|value| value * value).sum();
    if total <= size * 1e-13 || total == 0.0 {
        return Ok(flat);
    }
    let (left, singular, right) = thin_svd(&centred)?;
    let mut result = flat;
    for component in 0..2.min(points.len()).min(width) {
        let value = singular.column_vector()[component];
        let largest = (0..width)
            .map(|row| right[(row, component)])
            .fold(0.0_f64, |best, entry| if entry.abs() > best.abs() { entry } else { best });
        let signed = if largest < 0.0 { -value } else { value };
        for (row, score) in result.scores.iter_mut().enumerate() {
            score[component] = left[(row, component)] * signed;
        }
        result.explained[component] = value * value / total;
    }
    Ok(result)
}

/// `U`, `S` and `V`.
type Svd = (Mat<f64>, Diag<f64>, Mat<f64>);

/// The thin decomposition of `matrix`, the same bits whatever pool of threads it is called in.
fn thin_svd(matrix: &Mat<f64>) -> Result<Svd, NoConvergence> {
    let (rows, columns) = matrix.shape();
    let size = rows.min(columns);
    let (mut left, mut singular, mut right) =
        (Mat::zeros(rows, size), Diag::zeros(size), Mat::zeros(columns, size));
    let thin = ComputeSvdVectors::Thin;
    let scratch = svd::svd_scratch::<f64>(rows, columns, thin, thin, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    svd::svd(
        matrix.as_ref(),
        singular.as_mut(),
        Some(left.as_mut()),
        Some(right.as_mut()),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .map_err(|_| NoConvergence)?;
    Ok((left, singular, right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::goldens::Dimred;

    #[test]
    fn golden_is_scikit_learns_to_1e4_up_to_sign() {
        let golden = Dimred::load();
        let ours = pca(&golden.points).unwrap();
        for component in 0..2 {
            let distance = |sign: f64| {
                ours.scores
                    .iter()
                    .zip(&golden.pca)
                    .map(|(a, b)| (a[component] - sign * b[component]).abs())
                    .fold(0.0, f64::max)
            };
            let worst = distance(1.0).min(distance(-1.0));
            assert!(worst < 1e-4, "component {component} is off by {worst}");
        }
        // The sums of squares of the golden's scores against the total variance of its points.
        let total: f64 = golden.points.iter().flatten().map(|value| value * value).sum();
        for component in 0..2 {
            let expected: f64 = golden.pca.iter().map(|row| row[component].powi(2)).sum::<f64>() / total;
            assert!((ours.explained[component] - expected).abs() < 1e-6);
        }
    }

    /// The golden's bits do not differ by threads, those of a full-size clip did.
    #[test]
    fn the_bits_are_the_same_whatever_the_threads() {
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
        };
        let points: Vec<Vec<f64>> = (0..32).map(|_| (0..384).map(|_| noise()).collect()).collect();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| pca(&points)).unwrap().scores
        };
        let one = on(1);
        for threads in [2, 3, 4] {
            assert_eq!(on(threads), one, "{threads} threads");
        }
    }

    #[test]
    fn a_line_is_explained_by_one_component() {
        let points: Vec<Vec<f64>> = (0..5).map(|t| vec![3.0 * t as f64, 4.0 * t as f64, 1.0]).collect();
        let found = pca(&points).unwrap();
        assert!((found.explained[0] - 1.0).abs() < 1e-12 && found.explained[1] < 1e-12);
        for (t, score) in found.scores.iter().enumerate() {
            assert!((score[0] - 5.0 * (t as f64 - 2.0)).abs() < 1e-12, "{score:?}");
        }
    }

    #[test]
    fn points_that_do_not_move_stay_at_the_origin() {
        let found = pca(&vec![vec![0.1, 0.2, 0.3]; 6]).unwrap();
        assert!(found.scores.iter().all(|score| *score == [0.0; 2]) && found.explained == [0.0; 2]);
        let pair = pca(&[vec![1.0], vec![3.0]]).unwrap().scores;
        assert!((pair[0][0] + 1.0).abs() < 1e-12 && (pair[1][0] - 1.0).abs() < 1e-12, "{pair:?}");
    }
}
