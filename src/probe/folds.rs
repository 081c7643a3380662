//! Parts videos into folds: every class spread evenly over them, and groups kept together.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The fold of each of the videos `rows`, from 0 to `folds - 1`.
///
/// `labels` and `groups` are of all videos; without groups every video is one of its own. The videos of each class are shuffled
/// by `seed` and dealt out in turn. Groups are dealt out from the largest to the smallest, each to the fold that has the
/// fewest of the group's classes.
pub fn parted(rows: &[usize], labels: &[u32], groups: Option<&[u32]>, folds: usize, seed: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut fold = vec![0; rows.len()];
    let Some(groups) = groups else {
        let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        rows.iter().enumerate().for_each(|(at, &row)| classes.entry(labels[row]).or_default().push(at));
        // The deal goes on from class to class, so that the folds differ by one video at most.
        let mut next = 0;
        for videos in classes.values_mut() {
            videos.shuffle(&mut random);
            for &video in videos.iter() {
                fold[video] = next % folds;
                next += 1;
            }
        }
        return fold;
    };
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    rows.iter().enumerate().for_each(|(at, &row)| members.entry(groups[row]).or_default().push(at));
    let mut members: Vec<Vec<usize>> = members.into_values().collect();
    members.shuffle(&mut random);
    members.sort_by_key(|videos| std::cmp::Reverse(videos.len()));
    let mut held: Vec<BTreeMap<u32, usize>> = vec![BTreeMap::new(); folds];
    let mut sizes = vec![0; folds];
    for videos in members {
        let same = |fold: &BTreeMap<u32, usize>| -> usize {
            videos.iter().filter_map(|&at| fold.get(&labels[rows[at]])).sum()
        };
        let least = (0..folds).min_by_key(|&fold| (same(&held[fold]), sizes[fold])).unwrap_or(0);
        sizes[least] += videos.len();
        for at in videos {
            fold[at] = least;
            *held[least].entry(labels[rows[at]]).or_default() += 1;
        }
    }
    fold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_spread_and_the_seed_decides() {
        let labels: Vec<u32> = (0..103).map(|at| at % 4).collect();
        let rows: Vec<usize> = (0..103).rev().collect();
        let folds = parted(&rows, &labels, None, 5, 1);
        for fold in 0..5 {
            assert!((20..=21).contains(&folds.iter().filter(|f| **f == fold).count()));
            for class in 0..4 {
                let of = rows.iter().zip(&folds).filter(|(row, f)| **f == fold && labels[**row] == class);
                assert!((5..=6).contains(&of.count()));
            }
        }
        assert_eq!(folds, parted(&rows, &labels, None, 5, 1));
        assert_ne!(folds, parted(&rows, &labels, None, 5, 2));
    }

    #[test]
    fn groups_stay_together_and_classes_are_still_spread() {
        let labels: Vec<u32> = (0..120).map(|at| at % 2).collect();
        let groups: Vec<u32> = (0..120).map(|at| at / 6).collect();
        let rows: Vec<usize> = (0..120).collect();
        let folds = parted(&rows, &labels, Some(&groups), 4, 0);
        for group in folds.chunks(6) {
            assert!(group.iter().all(|fold| *fold == group[0]));
        }
        for fold in 0..4 {
            assert_eq!(folds.iter().filter(|f| **f == fold).count(), 30);
        }
    }
}
