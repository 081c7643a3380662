//! The forces that push points of the plane apart, by a tree of cells (Barnes & Hut 1986, van der Maaten 2014).
//!
//! Points are sorted along a Z-order curve, so that a cell is a range of them. Points that share a leaf are near each other:
//! they walk the tree together, and a cell that is far enough from all of them counts as one body. That is stricter than the
//! test of each point alone, and the bodies of a walk are summed in vectors for every point of the leaf.
//!
//! A leaf's forces depend on the points alone and are added in the order of the leaves, so the result is the same bits whatever
//! the number of threads. The crate `bhtsne` recentres the points by a sum whose order depends on which thread is
//! free, which is why it gives another map at each run of the same seed.

use rayon::prelude::*;

use crate::kernels::{Backend, Bodies, repulsion};

/// Bits of a Z-order code for each axis.
const BITS: u32 = 16;
/// The most points of a leaf, except where they cannot be told apart.
const LEAF: usize = 32;
/// The most points of one place that push each other one by one; more count as one body.
const CROWD: usize = 256;

/// A cell of the tree, in the order of a walk: a cell, then what is in it.
#[derive(Debug, Clone, Copy)]
struct Cell {
    centre: [f32; 2],
    mass: f32,
    /// The square of its side.
    side: f32,
    /// Where the walk goes on if the cell counts as one body.
    next: u32,
    /// Its points, if it is a leaf; empty otherwise.
    points: (u32, u32),
}

/// The tree of some points; its memory is kept for the next ones.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Code and index of every point, sorted.
    order: Vec<(u32, u32)>,
    /// The points in that order.
    sorted: Vec<[f32; 2]>,
    cells: Vec<Cell>,
    /// The cells that are leaves.
    leaves: Vec<u32>,
    /// Forces in the order of the sorted points.
    forces: Vec<[f32; 3]>,
}

/// The bits of a number with a zero before each.
fn spread(bits: u32) -> u32 {
    let mut x = bits & 0xffff;
    x = (x | x << 8) & 0x00ff_00ff;
    x = (x | x << 4) & 0x0f0f_0f0f;
    x = (x | x << 2) & 0x3333_3333;
    (x | x << 1) & 0x5555_5555
}

impl Tree {
    /// The forces on all points: into `forces[i]`, `sum q² (y_i - y_j)` over all other points `j`; returns `sum q` over all pairs.
    /// A cell counts as one body if its side is less than `theta` times its distance.
    pub(super) fn forces(&mut self, points: &[[f32; 2]], theta: f32, forces: &mut [[f32; 2]]) -> f64 {
        self.build(points);
        let Self { order, sorted, cells, leaves, forces: found } = self;
        found.resize(points.len(), [0.0; 3]);
        // The leaves hold all points, one after the other.
        let mut parts = Vec::with_capacity(leaves.len());
        let mut rest = found.as_mut_slice();
        for leaf in leaves.iter() {
            let (first, last) = cells[*leaf as usize].points;
            let (part, after) = rest.split_at_mut((last - first) as usize);
            parts.push((&sorted[first as usize..last as usize], part));
            rest = after;
        }
        let (cells, sorted) = (&cells[..], &sorted[..]);
        let backend = Backend::best();
        parts.par_iter_mut().with_min_len(16).for_each_init(Bodies::default, |bodies, (group, out)| {
            walk(cells, sorted, group, theta * theta, bodies);
            repulsion(backend, group, bodies, out);
        });
        let mut sum = 0.0;
        for ((_, index), [x, y, z]) in order.iter().zip(found.iter()) {
            forces[*index as usize] = [*x, *y];
            // A point is among its own bodies, with `q` = 1.
            sum += f64::from(*z) - 1.0;
        }
        sum
    }

    fn build(&mut self, points: &[[f32; 2]]) {
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for point in points {
            for axis in 0..2 {
                low[axis] = low[axis].min(point[axis]);
                high[axis] = high[axis].max(point[axis]);
            }
        }
        let side = (high[0] - low[0]).max(high[1] - low[1]).max(f32::MIN_POSITIVE);
        let scale = ((1u32 << BITS) - 1) as f32 / side;
        let code = |point: &[f32; 2]| {
            let [x, y] = [0, 1].map(|axis| spread(((point[axis] - low[axis]) * scale) as u32));
            x | y << 1
        };
        self.order.clear();
        self.order.extend(points.iter().zip(0..).map(|(point, index)| (code(point), index)));
        self.order.par_sort_unstable();
        self.sorted.clear();
        self.sorted.extend(self.order.iter().map(|(_, index)| points[*index as usize]));
        self.cells.clear();
        self.leaves.clear();
        if !points.is_empty() {
            self.cell((0, points.len()), 0, side);
        }
    }

    /// Adds the cell of a range of sorted points at `depth`, and what is in it; returns the sum of the points.
    fn cell(&mut self, (first, last): (usize, usize), depth: u32, side: f32) -> [f64; 2] {
        let at = self.cells.len();
        let leaf = last - first <= LEAF || depth == BITS;
        let points = if leaf { (first as u32, last as u32) } else { (0, 0) };
        let mass = (last - first) as f32;
        self.cells.push(Cell { centre: [0.0; 2], mass, side: side * side, next: 0, points });
        let mut sum = [0.0; 2];
        if leaf {
            self.leaves.push(at as u32);
            for point in &self.sorted[first..last] {
                (0..2).for_each(|axis| sum[axis] += f64::from(point[axis]));
            }
        } else {
            let shift = 2 * (BITS - 1 - depth);
            let mut from = first;
            while from < last {
                let quarter = self.order[from].0 >> shift;
                let to = from + self.order[from..last].partition_point(|(code, _)| code >> shift == quarter);
                let part = self.cell((from, to), depth + 1, side / 2.0);
                (0..2).for_each(|axis| sum[axis] += part[axis]);
                from = to;
            }
        }
        let next = self.cells.len() as u32;
        let cell = &mut self.cells[at];
        cell.centre = sum.map(|sum| (sum / f64::from(mass)) as f32);
        cell.next = next;
        sum
    }
}

/// Collects the bodies that push the points of `group`.
fn walk(cells: &[Cell], sorted: &[[f32; 2]], group: &[[f32; 2]], theta: f32, bodies: &mut Bodies) {
    bodies.clear();
    let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
    for point in group {
        for axis in 0..2 {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    let mut at = 0;
    while let Some(cell) = cells.get(at) {
        // The distance of the cell's centre from the box around the group.
        let [dx, dy] =
            [0, 1].map(|axis| (low[axis] - cell.centre[axis]).max(cell.centre[axis] - high[axis]).max(0.0));
        let (first, last) = (cell.points.0 as usize, cell.points.1 as usize);
        if cell.side < theta * (dx * dx + dy * dy) || last - first > CROWD {
            bodies.push(cell.centre, cell.mass);
            at = cell.next as usize;
        } else if first < last {
            bodies.extend(sorted[first..last].iter().map(|point| (*point, 1.0)));
            at = cell.next as usize;
        } else {
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn cloud(count: usize) -> Vec<[f32; 2]> {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let centre = |i: usize| [(i % 7) as f32 * 9.0, (i % 3) as f32 * 11.0];
        (0..count).map(|i| centre(i).map(|c| c + random.random_range(-4.0..4.0))).collect()
    }

    /// The forces and their sum, by comparing all points with each other.
    fn exact(points: &[[f32; 2]]) -> (Vec<[f64; 2]>, f64) {
        let (mut forces, mut sum) = (vec![[0.0; 2]; points.len()], 0.0);
        for (i, a) in points.iter().enumerate() {
            for (_, b) in points.iter().enumerate().filter(|(j, _)| *j != i) {
                let d = [0, 1].map(|axis| f64::from(a[axis]) - f64::from(b[axis]));
                let q = 1.0 / (1.0 + d[0] * d[0] + d[1] * d[1]);
                (0..2).for_each(|axis| forces[i][axis] += q * q * d[axis]);
                sum += q;
            }
        }
        (forces, sum)
    }

    #[test]
    fn the_forces_are_those_of_all_pairs() {
        let points = cloud(900);
        let (wanted, wanted_sum) = exact(&points);
        let size = wanted.iter().flatten().map(|f| f * f).sum::<f64>().sqrt();
        for (theta, allowed) in [(1e-3, 1e-5), (0.5, 0.01)] {
            let mut forces = vec![[0.0; 2]; points.len()];
            let sum = Tree::default().forces(&points, theta, &mut forces);
            let pairs = forces.iter().flatten().zip(wanted.iter().flatten());
            let error = pairs.map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt() / size;
            assert!(error < allowed, "theta {theta}: the forces are off by {error}");
            assert!((sum / wanted_sum - 1.0).abs() < allowed, "theta {theta}: {sum}, not {wanted_sum}");
        }
    }

    #[test]
    fn the_result_is_the_same_bits_whatever_the_threads() {
        let points = cloud(5000);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut forces = vec![[0.0; 2]; points.len()];
            let sum = pool.install(|| Tree::default().forces(&points, 0.5, &mut forces));
            (forces, sum)
        };
        assert_eq!(run(1), run(4));
    }

    #[test]
    fn points_of_one_place_push_no_one_away() {
        let mut forces = vec![[1.0; 2]; 3000];
        let sum = Tree::default().forces(&[[2.5, -1.0]; 3000], 0.5, &mut forces);
        assert!(forces.iter().flatten().all(|f| *f == 0.0));
        assert!((sum - 3000.0 * 2999.0).abs() < 1.0, "{sum}");
        assert_eq!(Tree::default().forces(&[], 0.5, &mut []), 0.0);
    }
}
