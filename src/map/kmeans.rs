//! Groups of rows by k-means: a seeded start by k-means++ (Arthur & Vassilvitskii 2007), then Lloyd's iteration.
//!
//! Rows count with length 1, as in a search. Sums are taken block by block in the order of the rows, so a seed gives one result
//! whatever the number of threads.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::vectors::Vectors;
use crate::kernels::{Backend, PackedLinear, linear};
use crate::search::SearchRows;

/// The iteration ends here even if rows still change their groups.
const ROUNDS: usize = 100;

/// The group of each row, from 0 for the largest; at most `count` groups.
pub fn groups(rows: &Vectors, count: usize, seed: u64) -> Vec<u32> {
    let mut centres = start(rows, count.min(rows.len()), seed);
    let mut group = nearest(rows, &centres);
    for _ in 0..ROUNDS {
        centres = means(rows, &group, &centres);
        let next = nearest(rows, &centres);
        if next == group {
            break;
        }
        group = next;
    }
    by_size(&group, centres.len())
}

/// Numbers the groups by their sizes, the largest first, and leaves no number out.
fn by_size(group: &[u32], count: usize) -> Vec<u32> {
    let mut sizes = vec![0usize; count];
    group.iter().for_each(|g| sizes[*g as usize] += 1);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|g| std::cmp::Reverse(sizes[*g]));
    let mut number = vec![0; count];
    order.iter().zip(0u32..).for_each(|(g, at)| number[*g] = at);
    group.iter().map(|g| number[*g as usize]).collect()
}

/// Rows as first centres: each next one with a probability that grows with the square of its distance from those before.
fn start(rows: &Vectors, count: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let as_centre = |row: usize| rows.unit_rows(row, 1).iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
    let mut centres = Vec::new();
    let mut distances = vec![f64::INFINITY; rows.len()];
    while centres.len() < count {
        let row = match centres.is_empty() {
            true => random.random_range(0..rows.len()),
            false => {
                let mut left = random.random_range(0.0..1.0) * distances.iter().sum::<f64>();
                let passed = |distance: &f64| {
                    left -= distance;
                    left < 0.0
                };
                // Where all rows are centres already, any row will do.
                distances.iter().position(passed).unwrap_or(centres.len() % rows.len())
            }
        };
        centres.push(as_centre(row));
        for (distance, new) in distances.iter_mut().zip(squared_distances(rows, &centres[centres.len() - 1]))
        {
            *distance = distance.min(new);
        }
    }
    centres
}

fn squared_distances(rows: &Vectors, centre: &[f64]) -> Vec<f64> {
    let block = |(first, count): (usize, usize)| {
        let units = rows.unit_rows(first, count);
        let distance = |row: &[f32]| row.iter().zip(centre).map(|(x, c)| (f64::from(*x) - c).powi(2)).sum();
        units.chunks_exact(rows.width().max(1)).map(distance).collect::<Vec<f64>>()
    };
    rows.blocks().into_par_iter().map(block).collect::<Vec<_>>().concat()
}

/// The nearest centre of each row; of equally near ones, the first.
fn nearest(rows: &Vectors, centres: &[Vec<f64>]) -> Vec<u32> {
    // The nearest centre has the largest product with the row, less half of its own square.
    let weight: Vec<f32> = centres.iter().flatten().map(|x| *x as f32).collect();
    let bias: Vec<f32> = centres.iter().map(|c| -0.5 * c.iter().map(|x| x * x).sum::<f64>() as f32).collect();
    let layer = PackedLinear::new(Backend::best(), &weight, &bias, rows.width());
    let block = |(first, count): (usize, usize)| {
        let mut scores = vec![0.0; count * centres.len()];
        linear(&layer, &rows.unit_rows(first, count), &mut scores);
        let best = |scores: &[f32]| {
            let larger = |best: usize, at: usize| if scores[at] > scores[best] { at } else { best };
            (1..scores.len()).fold(0, larger) as u32
        };
        scores.chunks_exact(centres.len()).map(best).collect::<Vec<u32>>()
    };
    rows.blocks().into_par_iter().map(block).collect::<Vec<_>>().concat()
}

/// The means of the groups; a group without rows keeps its centre.
fn means(rows: &Vectors, group: &[u32], before: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let width = rows.width();
    let block = |(first, count): (usize, usize)| {
        let mut sums = vec![0.0f64; before.len() * width];
        for (row, group) in rows.unit_rows(first, count).chunks_exact(width.max(1)).zip(&group[first..]) {
            let sum = &mut sums[*group as usize * width..][..width];
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        sums
    };
    let mut sums = vec![0.0; before.len() * width];
    // A few blocks at a time, so that memory does not grow with the rows.
    for blocks in rows.blocks().chunks(64) {
        for of_block in blocks.par_iter().map(|at| block(*at)).collect::<Vec<_>>() {
            sums.iter_mut().zip(of_block).for_each(|(sum, x)| *sum += x);
        }
    }
    let mut sizes = vec![0usize; before.len()];
    group.iter().for_each(|g| sizes[*g as usize] += 1);
    let mean = |((sum, size), before): ((&[f64], &usize), &Vec<f64>)| match size {
        0 => before.clone(),
        size => sum.iter().map(|x| x / *size as f64).collect(),
    };
    sums.chunks_exact(width.max(1)).zip(&sizes).zip(before).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::super::vectors::testing;
    use super::*;

    #[test]
    fn groups_that_are_apart_are_found_whatever_the_threads() {
        let rows = testing::groups(1300, 4, 0.05);
        let run = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| groups(&rows, 4, seed))
        };
        let found = run(1, 7);
        assert!((0..1300).all(|row| found[row] == found[row % 4]), "a group was torn apart");
        assert_eq!(found.iter().max(), Some(&3));
        assert_eq!(found, run(3, 7));
    }

    #[test]
    fn the_largest_group_comes_first() {
        assert_eq!(by_size(&[2, 2, 0, 2, 1, 1], 3), [0, 0, 2, 0, 1, 1]);
    }

    #[test]
    fn more_groups_than_different_rows_do_no_harm() {
        let rows =
            Vectors::new(vec!["a".into(), "b".into(), "c".into()], 2, vec![1.0, 0.0, 2.0, 0.0, 0.0, 0.0]);
        let found = groups(&rows, 9, 0);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], found[1]);
        assert!(found[2] != found[0] && found.iter().all(|g| *g < 3));
    }
}
