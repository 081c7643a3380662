//! The two leading principal components of many wide rows, without a decomposition of all of them.
//!
//! The rows are projected on a few directions that hold nearly all of the leading variance, found by subspace iteration from a
//! seeded start (Halko, Martinsson & Tropp 2011; scikit-learn's `randomized` solver has the same numbers of directions and
//! rounds), and [`pca()`] decomposes what is left exactly. Sums are taken block by block in the order of the rows, so the result
//! does not depend on the number of threads.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::vectors::Vectors;
use crate::kernels::{Backend, PackedLinear, linear};
use crate::plot::pca::{NoConvergence, Pca, pca};

/// Directions: two, and ten more that make the rounds converge.
const DIRECTIONS: usize = 12;
/// Rounds of the iteration.
const ROUNDS: usize = 7;

/// The two leading principal components of the rows, each scaled to length 1.
///
/// # Errors
/// [`NoConvergence`] if the final decomposition does not converge.
pub(super) fn components(rows: &Vectors, seed: u64) -> Result<Pca, NoConvergence> {
    let width = crate::search::SearchRows::width(rows);
    let (mean, spread) = mean_and_spread(rows, width);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let start = |_| (0..width).map(|_| random.random_range(-1.0..1.0)).collect::<Vec<f64>>();
    let mut directions: Vec<Vec<f64>> = (0..DIRECTIONS.min(width)).map(start).collect();
    orthonormalise(&mut directions);
    for _ in 0..ROUNDS {
        directions = turned(rows, &mean, &directions);
        orthonormalise(&mut directions);
    }
    let reduced = projected(rows, &mean, &directions);
    let points: Vec<Vec<f64>> = reduced
        .chunks_exact(directions.len().max(1))
        .map(|row| row.iter().map(|x| f64::from(*x)).collect())
        .collect();
    let kept: f64 = points.iter().flatten().map(|x| x * x).sum();
    let mut found = pca(&points)?;
    if spread > 0.0 {
        found.explained = found.explained.map(|share| (share * kept / spread).min(1.0));
    }
    Ok(found)
}

/// The mean row, and the sum of squared distances from it.
fn mean_and_spread(rows: &Vectors, width: usize) -> (Vec<f64>, f64) {
    let sums = rows.blocks().into_par_iter().map(|(first, count)| {
        let (mut sum, mut squares) = (vec![0.0; width], 0.0);
        for row in rows.unit_rows(first, count).chunks_exact(width.max(1)) {
            for (sum, x) in sum.iter_mut().zip(row) {
                *sum += f64::from(*x);
                squares += f64::from(*x).powi(2);
            }
        }
        (sum, squares)
    });
    let (mut mean, mut squares) = (vec![0.0; width], 0.0);
    for (sum, of_block) in sums.collect::<Vec<_>>() {
        mean.iter_mut().zip(sum).for_each(|(all, sum)| *all += sum);
        squares += of_block;
    }
    let n = rows.len().max(1) as f64;
    mean.iter_mut().for_each(|x| *x /= n);
    let spread = squares - n * mean.iter().map(|x| x * x).sum::<f64>();
    (mean, spread.max(0.0))
}

/// The directions as a layer that gives the coordinates of a row, less those of the mean.
fn layer(mean: &[f64], directions: &[Vec<f64>]) -> PackedLinear {
    let weight: Vec<f32> = directions.iter().flatten().map(|x| *x as f32).collect();
    let bias = |direction: &Vec<f64>| -direction.iter().zip(mean).map(|(x, m)| x * m).sum::<f64>() as f32;
    let bias: Vec<f32> = directions.iter().map(bias).collect();
    PackedLinear::new(Backend::best(), &weight, &bias, mean.len())
}

/// Coordinates of all rows on the directions, `(N, P)`.
fn projected(rows: &Vectors, mean: &[f64], directions: &[Vec<f64>]) -> Vec<f32> {
    let layer = layer(mean, directions);
    let block = |(first, count): (usize, usize)| {
        let mut out = vec![0.0; count * directions.len()];
        linear(&layer, &rows.unit_rows(first, count), &mut out);
        out
    };
    rows.blocks().into_par_iter().map(block).collect::<Vec<_>>().concat()
}

/// The directions multiplied by the covariance of the rows (not divided by their number).
fn turned(rows: &Vectors, mean: &[f64], directions: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (layer, count) = (layer(mean, directions), directions.len());
    let width = mean.len();
    let sums = rows.blocks().into_par_iter().map(|(first, n)| {
        let units = rows.unit_rows(first, n);
        let mut coordinates = vec![0.0; n * count];
        linear(&layer, &units, &mut coordinates);
        let (mut sums, mut weights) = (vec![0.0f32; count * width], vec![0.0f64; count]);
        for (row, coordinates) in units.chunks_exact(width).zip(coordinates.chunks_exact(count)) {
            for ((sum, weight), c) in sums.chunks_exact_mut(width).zip(&mut weights).zip(coordinates) {
                sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += c * x);
                *weight += f64::from(*c);
            }
        }
        (sums, weights)
    });
    let (mut all, mut weights) = (vec![vec![0.0; width]; count], vec![0.0; count]);
    for (sums, of_block) in sums.collect::<Vec<_>>() {
        for (all, sum) in all.iter_mut().zip(sums.chunks_exact(width)) {
            all.iter_mut().zip(sum).for_each(|(all, sum)| *all += f64::from(*sum));
        }
        weights.iter_mut().zip(of_block).for_each(|(all, weight)| *all += weight);
    }
    for (direction, weight) in all.iter_mut().zip(&weights) {
        direction.iter_mut().zip(mean).for_each(|(x, m)| *x -= weight * m);
    }
    all
}

/// Makes the vectors orthonormal, one after the other; what the others hold already becomes zero.
fn orthonormalise(vectors: &mut [Vec<f64>]) {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for at in 0..vectors.len() {
        let (before, rest) = vectors.split_at_mut(at);
        let vector = &mut rest[0];
        let whole = product(vector, vector).sqrt();
        // Twice, because the first pass leaves what was rounded.
        for _ in 0..2 {
            for other in before.iter() {
                let share = product(vector, other);
                vector.iter_mut().zip(other).for_each(|(x, o)| *x -= share * o);
            }
        }
        let length = product(vector, vector).sqrt();
        let scale = if length > 1e-9 * whole { 1.0 / length } else { 0.0 };
        vector.iter_mut().for_each(|x| *x *= scale);
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors::testing::groups;
    use super::*;

    #[test]
    fn the_components_are_those_of_the_whole_decomposition() {
        let rows = groups(700, 5, 0.2);
        let found = components(&rows, 0).unwrap();
        let units: Vec<Vec<f64>> =
            (0..700).map(|row| rows.unit_rows(row, 1).iter().map(|x| f64::from(*x)).collect()).collect();
        let wanted = pca(&units).unwrap();
        for axis in 0..2 {
            let off = |sign: f64| {
                let pairs = found.scores.iter().zip(&wanted.scores);
                pairs.map(|(a, b)| (a[axis] - sign * b[axis]).abs()).fold(0.0, f64::max)
            };
            assert!(off(1.0).min(off(-1.0)) < 1e-3, "axis {axis}: {} {}", off(1.0), off(-1.0));
            assert!((found.explained[axis] - wanted.explained[axis]).abs() < 1e-3);
        }
    }

    #[test]
    fn rows_that_do_not_vary_have_no_components() {
        let still = Vectors::new(vec!["a".into(), "b".into()], 3, vec![1.0, 2.0, 3.0, 2.0, 4.0, 6.0]);
        let found = components(&still, 1).unwrap();
        assert!(found.scores.iter().flatten().all(|x| x.abs() < 1e-6), "{found:?}");
        let zero = Vectors::new(vec!["a".into()], 2, vec![0.0; 2]);
        assert_eq!(components(&zero, 1).unwrap().scores, [[0.0; 2]]);
    }
}
