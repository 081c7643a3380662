//! t-SNE (van der Maaten & Hinton 2008), the exact method, step for step as scikit-learn's `TSNE` does it.
//!
//! It is written here because the crates refuse the setting of the authors' figure: they require that three times the
//! perplexity is below the number of points, and a clip of 16 frames is 32 points at perplexity 30. At that setting the
//! descent is chaotic (a change in the last bit can end at a hundred times the divergence), so several seeded starts are run
//! and the one of lowest Kullback-Leibler divergence is kept; scikit-learn runs one. All
//! arithmetic is f64 in a fixed order, so on one machine a seed gives one result whatever the number of threads.

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Iterations in all, and of them those with exaggerated affinities.
const ITERATIONS: usize = 1000;
const EXPLORATION: usize = 250;
const EXAGGERATION: f64 = 12.0;
/// The descent checks its progress after this many iterations, and stops if nothing moves or improves any more.
const CHECK_EVERY: usize = 50;
const PATIENCE: usize = 300;
const SMALLEST_GRADIENT: f64 = 1e-7;
/// Standard deviation of the start's first coordinate.
const START_DEVIATION: f64 = 1e-4;
/// Relative size of the noise that is added to the second and later starts.
const START_NOISE: f64 = 0.1;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct TsneSettings {
    /// Effective number of neighbours, in `1.0..n - 1`.
    pub perplexity: f64,
    /// Seeds the starts after the first, which is the principal components as they are.
    pub seed: u64,
    /// Number of starts, at least 1.
    pub starts: usize,
}

/// The result of the best start.
#[derive(Debug, Clone)]
pub struct TsneResult {
    /// Coordinates, `(n, 2)`.
    pub points: Vec<[f64; 2]>,
    /// Kullback-Leibler divergence of the picture's affinities from the features', in nats.
    pub divergence: f64,
}

/// Affinities `P` of `points` (`n` rows): symmetric, of sum 1, zero on the diagonal, `(n, n)` row-major.
///
/// The affinities of each point ([`conditional`]) are made symmetric and normalised.
pub fn affinities(points: &[Vec<f64>], perplexity: f64) -> Vec<f64> {
    let n = points.len();
    let mut conditional = vec![0.0; n * n];
    for (i, row) in conditional.chunks_exact_mut(n).enumerate() {
        let others = (0..n).filter(|j| *j != i);
        let distances: Vec<f64> = others.clone().map(|j| squared_distance(&points[i], &points[j])).collect();
        for (j, value) in others.zip(self::conditional(&distances, perplexity)) {
            row[j] = value;
        }
    }
    let mut joint = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            joint[i * n + j] = conditional[i * n + j] + conditional[j * n + i];
        }
    }
    let sum: f64 = joint.iter().sum::<f64>().max(f64::EPSILON);
    joint.iter_mut().for_each(|value| *value /= sum);
    joint
}

/// Affinities of a point to others at these squared distances, of sum 1: those of a Gaussian with the bandwidth that gives the wanted
/// perplexity, found by scikit-learn's bisection (at most 100 halvings, entropy within 1e-5).
pub fn conditional(distances: &[f64], perplexity: f64) -> Vec<f64> {
    let (mut beta, mut low, mut high) = (1.0_f64, f64::NEG_INFINITY, f64::INFINITY);
    let mut values = vec![0.0; distances.len()];
    for _ in 0..100 {
        let mut sum = 0.0;
        for (value, distance) in values.iter_mut().zip(distances) {
            *value = (-distance * beta).exp();
            sum += *value;
        }
        let sum = if sum == 0.0 { 1e-8 } else { sum };
        let mut weighted = 0.0;
        for (value, distance) in values.iter_mut().zip(distances) {
            *value /= sum;
            weighted += distance * *value;
        }
        let excess = sum.ln() + beta * weighted - perplexity.ln();
        if excess.abs() <= 1e-5 {
            break;
        }
        if excess > 0.0 {
            low = beta;
            beta = if high.is_infinite() { beta * 2.0 } else { (beta + high) / 2.0 };
        } else {
            high = beta;
            beta = if low.is_infinite() { beta / 2.0 } else { (beta + low) / 2.0 };
        }
    }
    values
}

/// Embeds `points` in the plane, starting from their principal components `pca` (`(n, 2)`).
pub fn tsne(points: &[Vec<f64>], pca: &[[f64; 2]], settings: TsneSettings) -> TsneResult {
    let wanted = affinities(points, settings.perplexity);
    (0..settings.starts.max(1) as u64)
        .into_par_iter()
        .map(|start| descend(&wanted, begin(pca, settings.seed, start)))
        .collect::<Vec<_>>()
        .into_iter()
        .min_by(|a, b| a.divergence.total_cmp(&b.divergence))
        .unwrap_or_else(|| TsneResult { points: pca.to_vec(), divergence: f64::INFINITY })
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The principal components scaled to a standard deviation of 1e-4, with seeded noise for every start but the first.
fn begin(pca: &[[f64; 2]], seed: u64, start: u64) -> Vec<[f64; 2]> {
    let n = pca.len() as f64;
    let mean = pca.iter().map(|point| point[0]).sum::<f64>() / n;
    let deviation = (pca.iter().map(|point| (point[0] - mean).powi(2)).sum::<f64>() / n).sqrt();
    let scale = if deviation > 0.0 { START_DEVIATION / deviation } else { 0.0 };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(start);
    let noise = if start == 0 { 0.0 } else { START_DEVIATION * START_NOISE };
    pca.iter()
        .map(|point| point.map(|value| value * scale + noise * random.random_range(-1.0..1.0)))
        .collect()
}

/// Gradient descent with momentum and per-coordinate gains, first on exaggerated affinities, then on the true ones.
fn descend(wanted: &[f64], mut points: Vec<[f64; 2]>) -> TsneResult {
    let exaggerated: Vec<f64> = wanted.iter().map(|value| value * EXAGGERATION).collect();
    for (affinity, iterations, momentum) in
        [(exaggerated.as_slice(), 0..EXPLORATION, 0.5), (wanted, EXPLORATION..ITERATIONS, 0.8)]
    {
        let mut state = Momentum::new(points.len());
        let (mut best, mut best_at) = (f64::INFINITY, iterations.start);
        for iteration in iterations {
            let slope = state.step(affinity, &mut points, momentum);
            if (iteration + 1) % CHECK_EVERY == 0 {
                let now = divergence(affinity, &points);
                if now < best {
                    (best, best_at) = (now, iteration);
                } else if iteration - best_at > PATIENCE {
                    break;
                }
                if slope <= SMALLEST_GRADIENT {
                    break;
                }
            }
        }
    }
    let divergence = divergence(wanted, &points);
    TsneResult { points, divergence: if divergence.is_finite() { divergence } else { f64::INFINITY } }
}

/// The state of a descent from step to step.
struct Momentum {
    rate: f64,
    update: Vec<[f64; 2]>,
    gains: Vec<[f64; 2]>,
    gradient: Vec<[f64; 2]>,
    kernel: Vec<f64>,
}

impl Momentum {
    fn new(n: usize) -> Self {
        Self {
            rate: (n as f64 / EXAGGERATION / 4.0).max(50.0),
            update: vec![[0.0; 2]; n],
            gains: vec![[1.0; 2]; n],
            gradient: vec![[0.0; 2]; n],
            kernel: vec![0.0; n * n],
        }
    }

    /// One step. A coordinate's gain grows while it keeps its direction and shrinks when it turns. Returns the norm of the
    /// gradient times the gains.
    fn step(&mut self, affinity: &[f64], points: &mut [[f64; 2]], momentum: f64) -> f64 {
        step_gradient(affinity, points, &mut self.kernel, &mut self.gradient);
        let mut squared = 0.0;
        for (i, point) in points.iter_mut().enumerate() {
            for (axis, coordinate) in point.iter_mut().enumerate() {
                let (update, gain) = (&mut self.update[i][axis], &mut self.gains[i][axis]);
                let slope = self.gradient[i][axis];
                *gain = if *update * slope < 0.0 { *gain + 0.2 } else { (*gain * 0.8).max(0.01) };
                let slope = slope * *gain;
                squared += slope * slope;
                *update = momentum * *update - self.rate * slope;
                *coordinate += *update;
            }
        }
        squared.sqrt()
    }
}

/// Fills `kernel` with `1 / (1 + |y_i - y_j|^2)` (zero on the diagonal) and returns its sum.
fn student_kernel(points: &[[f64; 2]], kernel: &mut [f64]) -> f64 {
    let n = points.len();
    let mut sum = 0.0;
    for (i, row) in kernel.chunks_exact_mut(n).enumerate() {
        let [x, y] = points[i];
        for (value, other) in row.iter_mut().zip(points) {
            let (dx, dy) = (x - other[0], y - other[1]);
            *value = 1.0 / (1.0 + dx * dx + dy * dy);
        }
        row[i] = 0.0;
        sum += row.iter().sum::<f64>();
    }
    sum
}

/// `dC/dy_i = 4 sum_j (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|^2)`.
fn step_gradient(affinity: &[f64], points: &[[f64; 2]], kernel: &mut [f64], gradient: &mut [[f64; 2]]) {
    let n = points.len();
    let inverse = 1.0 / student_kernel(points, kernel);
    for (i, slope) in gradient.iter_mut().enumerate() {
        let row = i * n..(i + 1) * n;
        let [x, y] = points[i];
        *slope = [0.0; 2];
        for ((p, k), other) in affinity[row.clone()].iter().zip(&kernel[row]).zip(points) {
            let pull = 4.0 * (p - k * inverse) * k;
            slope[0] += pull * (x - other[0]);
            slope[1] += pull * (y - other[1]);
        }
    }
}

/// `KL(P || Q)` in nats.
fn divergence(affinity: &[f64], points: &[[f64; 2]]) -> f64 {
    let mut kernel = vec![0.0; points.len() * points.len()];
    let inverse = 1.0 / student_kernel(points, &mut kernel);
    affinity
        .iter()
        .zip(&kernel)
        .filter(|(p, _)| **p > 0.0)
        .map(|(p, k)| p * (p / (k * inverse).max(f64::EPSILON)).ln())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::goldens::Dimred;
    use crate::plot::pca::pca;

    fn settings(seed: u64, starts: usize) -> TsneSettings {
        TsneSettings { perplexity: 30.0, seed, starts }
    }

    #[test]
    fn affinities_are_scikit_learns() {
        let golden = Dimred::load();
        let ours = affinities(&golden.points, 30.0);
        let worst = ours.iter().zip(&golden.affinities).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-9, "affinities of about 1e-3 are off by {worst}");
        assert!((ours.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_gradient_at_the_start_is_scikit_learns() {
        let golden = Dimred::load();
        let n = golden.points.len();
        let wanted = affinities(&golden.points, 30.0);
        for (exaggeration, expected) in
            [(1.0, &golden.gradient), (EXAGGERATION, &golden.exaggerated_gradient)]
        {
            let affinity: Vec<f64> = wanted.iter().map(|value| value * exaggeration).collect();
            let (mut kernel, mut gradient) = (vec![0.0; n * n], vec![[0.0; 2]; n]);
            step_gradient(&affinity, &golden.start, &mut kernel, &mut gradient);
            let size = expected.iter().flatten().map(|value| value.abs()).fold(0.0, f64::max);
            for (ours, theirs) in gradient.iter().flatten().zip(expected.iter().flatten()) {
                assert!((ours - theirs).abs() < 1e-5 * size, "{ours} {theirs}");
            }
        }
    }

    /// The descent itself, as far as it is not chaotic yet: 10 steps from the golden's own start.
    #[test]
    fn the_first_steps_are_scikit_learns() {
        let golden = Dimred::load();
        let affinity: Vec<f64> =
            affinities(&golden.points, 30.0).iter().map(|value| value * EXAGGERATION).collect();
        let mut points = golden.start.clone();
        let mut state = Momentum::new(points.len());
        let mut compared = 0;
        for step in 0..10 {
            state.step(&affinity, &mut points, 0.5);
            if let Some((_, expected)) = golden.descent.iter().find(|(at, _)| *at == step) {
                let size = expected.iter().flatten().map(|value| value.abs()).fold(0.0, f64::max);
                for (ours, theirs) in points.iter().flatten().zip(expected.iter().flatten()) {
                    assert!((ours - theirs).abs() < 1e-4 * size, "step {step}: {ours} {theirs}");
                }
                compared += 1;
            }
        }
        assert_eq!(compared, 4);
    }

    #[test]
    fn the_start_is_scikit_learns_up_to_sign() {
        let golden = Dimred::load();
        let start = begin(&pca(&golden.points).unwrap().scores, 0, 0);
        for axis in 0..2 {
            let distance = |sign: f64| {
                start
                    .iter()
                    .zip(&golden.start)
                    .map(|(a, b)| (a[axis] - sign * b[axis]).abs())
                    .fold(0.0, f64::max)
            };
            assert!(distance(1.0).min(distance(-1.0)) < 1e-8);
        }
    }

    #[test]
    fn the_golden_clip_ends_below_the_authors_divergence_whatever_the_seed() {
        let golden = Dimred::load();
        let start = pca(&golden.points).unwrap().scores;
        for seed in 0..4 {
            let found = tsne(&golden.points, &start, settings(seed, 8));
            assert!(found.divergence <= 0.0015, "seed {seed}: {}", found.divergence);
        }
    }

    #[test]
    fn one_seed_is_one_picture_whatever_the_threads() {
        let golden = Dimred::load();
        let start = pca(&golden.points).unwrap().scores;
        let first = tsne(&golden.points, &start, settings(3, 6));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let again = pool.install(|| tsne(&golden.points, &start, settings(3, 6)));
        assert_eq!(first.points, again.points);
        assert_eq!(first.divergence, again.divergence);
    }

    #[test]
    fn equal_points_and_four_points_give_finite_pictures() {
        for points in [vec![vec![1.0, 2.0]; 6], (0..4).map(|i| vec![f64::from(i), 0.0]).collect()] {
            let start = pca(&points).unwrap().scores;
            let found = tsne(&points, &start, TsneSettings { perplexity: 2.0, seed: 0, starts: 3 });
            assert!(found.points.iter().flatten().all(|value| value.is_finite()), "{found:?}");
        }
    }
}
