//! t-SNE of many points: affinities to the nearest neighbours alone, and the forces of all others by a [`Tree`] (van der Maaten,
//! Accelerating t-SNE using tree-based algorithms, 2014). Step for step as scikit-learn's `TSNE(method="barnes_hut")`: its
//! neighbours, bandwidths, rate, momentum, gains and rules for stopping. Coordinates are f32 as there.
//!
//! [`crate::plot::tsne`] is the exact method, for the frames of one clip.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::tree::Tree;
use crate::kernels::{Backend, Bodies, attraction};

/// Iterations in all, and of them those with exaggerated affinities.
pub(super) const ITERATIONS: usize = 1000;
const EXPLORATION: usize = 250;
const EXAGGERATION: f32 = 12.0;
/// The descent checks its progress after this many iterations, and stops if nothing moves or improves any more.
const CHECK_EVERY: usize = 50;
const PATIENCE: usize = 300;
const SMALLEST_GRADIENT: f64 = 1e-7;
/// Standard deviation of the start's first coordinate.
const START_DEVIATION: f64 = 1e-4;
/// A cell of the tree counts as one body if its side is less than this share of its distance.
const THETA: f32 = 0.5;

/// A point of the map and its squared distance.
pub(super) type Neighbour = (u32, f32);

/// Where the points lie.
#[derive(Debug, Clone)]
pub(super) struct Embedded {
    /// `(N, 2)`.
    pub(super) points: Vec<[f32; 2]>,
    /// Kullback-Leibler divergence of the map's affinities from the rows', in nats.
    pub(super) divergence: f64,
}

/// How many neighbours of `points` points are needed at this perplexity.
pub(super) fn neighbours_needed(perplexity: f64, points: usize) -> usize {
    ((3.0 * perplexity) as usize + 1).min(points.saturating_sub(1))
}

/// Embeds points in the plane: by the nearest neighbours of each, from the start `pca` `(N, 2)`. `done` grows by `weight` with each
/// iteration.
pub(super) fn tsne(
    neighbours: &[Vec<Neighbour>],
    pca: &[[f64; 2]],
    perplexity: f64,
    (done, weight): (&AtomicUsize, usize),
) -> Embedded {
    let affinities = Affinities::new(neighbours, perplexity);
    let mut points = begin(pca);
    let mut tree = Tree::default();
    for (exaggeration, iterations, momentum) in
        [(EXAGGERATION, 0..EXPLORATION, 0.5), (1.0, EXPLORATION..ITERATIONS, 0.8)]
    {
        let mut state = Descent::new(points.len());
        let (mut best, mut best_at) = (f64::INFINITY, iterations.start);
        for iteration in iterations {
            let check = (iteration + 1) % CHECK_EVERY == 0;
            let before = check.then(|| points.clone());
            let (sum, slope) = state.step(&affinities, exaggeration, &mut tree, &mut points, momentum);
            done.fetch_add(weight, Ordering::Relaxed);
            if let Some(before) = before {
                let now = affinities.divergence(exaggeration, &before, sum);
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
    let sum = tree.forces(&points, THETA, &mut vec![[0.0; 2]; points.len()]);
    let divergence = affinities.divergence(1.0, &points, sum);
    Embedded { points, divergence }
}

/// The principal components scaled to a standard deviation of 1e-4.
fn begin(pca: &[[f64; 2]]) -> Vec<[f32; 2]> {
    let n = pca.len().max(1) as f64;
    let mean = pca.iter().map(|point| point[0]).sum::<f64>() / n;
    let deviation = (pca.iter().map(|point| (point[0] - mean).powi(2)).sum::<f64>() / n).sqrt();
    let scale = if deviation > 0.0 { START_DEVIATION / deviation } else { 0.0 };
    pca.iter().map(|point| point.map(|value| (value * scale) as f32)).collect()
}

/// Symmetric affinities of sum 1, of each point those that are not zero.
struct Affinities {
    /// Where each point's begin; one more at the end.
    rows: Vec<usize>,
    /// The other point, and the affinity.
    entries: Vec<(u32, f32)>,
}

impl Affinities {
    fn new(neighbours: &[Vec<Neighbour>], perplexity: f64) -> Self {
        let conditional: Vec<Vec<f32>> =
            neighbours.par_iter().map(|row| conditional(row, perplexity)).collect();
        let mut sides: Vec<Vec<(u32, f32)>> = vec![vec![]; neighbours.len()];
        for (i, (row, affinities)) in (0u32..).zip(neighbours.iter().zip(&conditional)) {
            for ((j, _), p) in row.iter().zip(affinities) {
                sides[i as usize].push((*j, *p));
                sides[*j as usize].push((i, *p));
            }
        }
        drop(conditional);
        sides.par_iter_mut().for_each(|row| {
            row.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            row.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                }
                same
            });
        });
        let sum: f64 = sides.iter().flatten().map(|(_, p)| f64::from(*p)).sum();
        let scale = 1.0 / sum.max(f64::EPSILON);
        let mut rows = vec![0];
        let mut entries = Vec::with_capacity(sides.iter().map(Vec::len).sum());
        for row in sides {
            entries.extend(row.into_iter().map(|(j, p)| (j, (f64::from(p) * scale) as f32)));
            rows.push(entries.len());
        }
        Self { rows, entries }
    }

    fn of(&self, point: usize) -> &[(u32, f32)] {
        &self.entries[self.rows[point]..self.rows[point + 1]]
    }

    /// `KL(P || Q)` in nats, where `P` is multiplied by `exaggeration` and `sum` is that of the kernel over all pairs.
    fn divergence(&self, exaggeration: f32, points: &[[f32; 2]], sum: f64) -> f64 {
        let of_point = |i: usize| {
            let of_pair = |(j, p): &(u32, f32)| {
                let p = f64::from(exaggeration * p);
                let q = f64::from(kernel(points[i], points[*j as usize])) / sum;
                if p > 0.0 { p * (p / q.max(f64::from(f32::EPSILON).powi(3))).ln() } else { 0.0 }
            };
            self.of(i).iter().map(of_pair).sum::<f64>()
        };
        // The sums are added in the order of the points.
        (0..points.len()).into_par_iter().map(of_point).collect::<Vec<f64>>().iter().sum()
    }
}

/// `1 / (1 + d²)` for two points.
fn kernel(a: [f32; 2], b: [f32; 2]) -> f32 {
    let d = [a[0] - b[0], a[1] - b[1]];
    1.0 / (1.0 + d[0] * d[0] + d[1] * d[1])
}

/// Affinities of a point to its neighbours, as of the exact method.
fn conditional(row: &[Neighbour], perplexity: f64) -> Vec<f32> {
    let distances: Vec<f64> = row.iter().map(|(_, distance)| f64::from(*distance)).collect();
    crate::plot::tsne::conditional(&distances, perplexity).into_iter().map(|value| value as f32).collect()
}

/// The state of a descent from step to step.
struct Descent {
    rate: f32,
    update: Vec<[f32; 2]>,
    gains: Vec<[f32; 2]>,
    pushed: Vec<[f32; 2]>,
    gradient: Vec<[f32; 2]>,
}

/// Points that a thread takes at a time.
const CHUNK: usize = 256;

impl Descent {
    fn new(n: usize) -> Self {
        Self {
            rate: (n as f32 / EXAGGERATION / 4.0).max(50.0),
            update: vec![[0.0; 2]; n],
            gains: vec![[1.0; 2]; n],
            pushed: vec![[0.0; 2]; n],
            gradient: vec![[0.0; 2]; n],
        }
    }

    /// One step. A coordinate's gain grows while it keeps its direction and shrinks when it turns. Returns the sum of the kernel
    /// before the step, and the norm of the gradient times the gains.
    fn step(
        &mut self,
        affinities: &Affinities,
        exaggeration: f32,
        tree: &mut Tree,
        points: &mut [[f32; 2]],
        momentum: f32,
    ) -> (f64, f64) {
        let sum = tree.forces(points, THETA, &mut self.pushed);
        let inverse = (1.0 / sum.max(f64::MIN_POSITIVE)) as f32;
        let (pushed, now) = (&self.pushed, &*points);
        let backend = Backend::best();
        let slope = |i: usize, bodies: &mut Bodies| {
            bodies.clear();
            bodies.extend(affinities.of(i).iter().map(|(j, p)| (now[*j as usize], *p)));
            let pull = attraction(backend, now[i], bodies);
            [0, 1].map(|axis| 4.0 * (exaggeration * pull[axis] - inverse * pushed[i][axis]))
        };
        let points_of_thread = self.gradient.par_iter_mut().with_min_len(CHUNK).enumerate();
        points_of_thread.for_each_init(Bodies::default, |bodies, (i, out)| *out = slope(i, bodies));
        let mut squared = 0.0;
        for (i, point) in points.iter_mut().enumerate() {
            for (axis, coordinate) in point.iter_mut().enumerate() {
                let (update, gain) = (&mut self.update[i][axis], &mut self.gains[i][axis]);
                let slope = self.gradient[i][axis];
                *gain = if *update * slope < 0.0 { *gain + 0.2 } else { (*gain * 0.8).max(0.01) };
                let slope = slope * *gain;
                squared += f64::from(slope).powi(2);
                *update = momentum * *update - self.rate * slope;
                *coordinate += *update;
            }
        }
        (sum, squared.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::goldens::Dimred;

    fn all_neighbours(points: &[Vec<f64>]) -> Vec<Vec<Neighbour>> {
        let of = |i: usize| {
            let squared =
                |j: usize| points[i].iter().zip(&points[j]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            (0..points.len()).filter(|j| *j != i).map(|j| (j as u32, squared(j) as f32)).collect()
        };
        (0..points.len()).map(of).collect()
    }

    #[test]
    fn affinities_are_those_of_the_exact_method_where_all_are_neighbours() {
        let golden = Dimred::load();
        let n = golden.points.len();
        let ours = Affinities::new(&all_neighbours(&golden.points), 10.0);
        let exact = crate::plot::tsne::affinities(&golden.points, 10.0);
        for i in 0..n {
            for (j, p) in ours.of(i) {
                let wanted = exact[i * n + *j as usize];
                assert!((f64::from(*p) - wanted).abs() < 1e-6, "{i} {j}: {p}, not {wanted}");
            }
        }
    }

    /// Three clusters of 40 points in 6 dimensions.
    fn clusters() -> Vec<Vec<f64>> {
        let value = |i: usize, d: usize| {
            let (cluster, wave) = (i / 40, ((i * 37 + d * 61) % 97) as f64 / 97.0);
            if d == cluster { 9.0 + wave } else { wave }
        };
        (0..120).map(|i| (0..6).map(|d| value(i, d)).collect()).collect()
    }

    #[test]
    fn clusters_stay_apart_and_the_divergence_is_that_of_the_exact_method() {
        let points = clusters();
        let pca = crate::plot::pca::pca(&points).unwrap().scores;
        let done = AtomicUsize::new(0);
        let found = tsne(&all_neighbours(&points), &pca, 15.0, (&done, 1));
        assert!(done.load(Ordering::Relaxed) >= 300);
        let apart = |a: usize, b: usize| {
            let [p, q] = [a, b].map(|i| found.points[i]);
            (p[0] - q[0]).hypot(p[1] - q[1])
        };
        let largest =
            (0..40).flat_map(|a| (0..40).map(move |b| (a, b))).map(|(a, b)| apart(a, b)).fold(0.0, f32::max);
        assert!(apart(0, 50) > largest && apart(0, 100) > largest, "{largest}");
        let settings = crate::plot::tsne::TsneSettings { perplexity: 15.0, seed: 0, starts: 1 };
        let exact = crate::plot::tsne::tsne(&points, &pca, settings).divergence;
        assert!((found.divergence / exact - 1.0).abs() < 0.02, "{} beside {exact}", found.divergence);
    }

    #[test]
    fn identical_points_do_no_harm() {
        let found = tsne(
            &all_neighbours(&vec![vec![1.0, 2.0]; 60]),
            &[[0.0; 2]; 60],
            10.0,
            (&AtomicUsize::new(0), 1),
        );
        assert!(found.divergence.is_finite() && found.points.iter().flatten().all(|x| x.is_finite()));
    }

    #[test]
    fn the_number_of_neighbours_is_scikit_learns() {
        assert_eq!(
            (neighbours_needed(30.0, 5000), neighbours_needed(30.0, 50), neighbours_needed(2.5, 90)),
            (91, 49, 8)
        );
    }
}
