//! The nearest clips of each clip, computed for all of them by the scan of `lift search`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::tsne::Neighbour;
use super::vectors::Vectors;
use crate::rows::ClipMeta;
use crate::search::{Limits, MomentLimits, Query, SearchError, best, find_in};

/// Queries of one scan: their vectors are laid out for one matrix product.
const BATCH: usize = 1024;

/// A clip that was found: its row, and its cosine.
pub type Found = (u32, f32);

/// The queries of the rows `first..`, each without the row itself; `opposite`: the negated rows.
fn queries(rows: &Vectors, first: usize, opposite: bool) -> Vec<Query> {
    let query = |row: usize| {
        let mut vector = rows.row(row).to_vec();
        if opposite {
            vector.iter_mut().for_each(|x| *x = -*x);
        }
        Query { vector, without: HashSet::from([row]) }
    };
    (first..rows.len().min(first + BATCH)).map(query).collect()
}

/// The `top` most similar other clips of each clip, best first: the answers of `lift search --id`. With `opposite`, the rows are
/// negated first: of the odd part, these are the clips that run backwards. `done` counts the clips.
///
/// # Errors
/// If a row cannot be compared; rows in memory always can.
pub fn most_similar(
    rows: &Vectors,
    clips: &[ClipMeta],
    top: usize,
    opposite: bool,
    done: &AtomicUsize,
) -> Result<Vec<Vec<Found>>, SearchError> {
    let hits = Limits { top: top.min(rows.len().saturating_sub(1)), min_score: f64::NEG_INFINITY };
    let limits = MomentLimits { hits, per_file: None };
    let mut all = Vec::with_capacity(rows.len());
    for first in (0..rows.len()).step_by(BATCH) {
        let queries = queries(rows, first, opposite);
        let clip = |row: usize| Ok(clips[row].clone());
        let found = find_in(rows, clip, &queries, limits, &AtomicUsize::new(0))?;
        let of_clip = |moments: Vec<crate::search::Moment>| {
            moments.into_iter().map(|moment| (moment.hit.row as u32, moment.hit.score as f32)).collect()
        };
        all.extend(found.into_iter().map(of_clip));
        done.fetch_add(queries.len(), Ordering::Relaxed);
    }
    Ok(all)
}

/// The `count` nearest other rows of each row with their squared distances, rows counting with length 1. `done` counts the rows.
///
/// # Errors
/// As [`most_similar`].
pub(super) fn nearest(
    rows: &Vectors,
    count: usize,
    done: &AtomicUsize,
) -> Result<Vec<Vec<Neighbour>>, SearchError> {
    let limits = Limits { top: count, min_score: f64::NEG_INFINITY };
    let is_zero: Vec<bool> = (0..rows.len()).map(|row| rows.row(row).iter().all(|x| *x == 0.0)).collect();
    let squared = |a: usize, b: usize, cosine: f64| match (is_zero[a], is_zero[b]) {
        (true, true) => 0.0,
        (false, false) => (2.0 - 2.0 * cosine).max(0.0) as f32,
        // One of both has no length.
        _ => 1.0,
    };
    let mut all = Vec::with_capacity(rows.len());
    for first in (0..rows.len()).step_by(BATCH) {
        let queries = queries(rows, first, false);
        let found = best(rows, &queries, limits, &AtomicUsize::new(0))?;
        for (row, hits) in (first..).zip(found) {
            all.push(hits.iter().map(|hit| (hit.row as u32, squared(row, hit.row, hit.score))).collect());
        }
        done.fetch_add(queries.len(), Ordering::Relaxed);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::vectors::testing::groups;
    use super::*;
    use crate::vector::cosine;

    fn clips(count: usize) -> Vec<ClipMeta> {
        (0..count).map(|index| ClipMeta { index, ..ClipMeta::default() }).collect()
    }

    #[test]
    fn the_nearest_are_those_of_all_pairs_and_the_opposite_have_the_least_cosines() {
        let rows = groups(1100, 9, 0.6);
        let done = AtomicUsize::new(0);
        let found = most_similar(&rows, &clips(1100), 5, false, &done).unwrap();
        let opposite = most_similar(&rows, &clips(1100), 5, true, &done).unwrap();
        assert_eq!(done.into_inner(), 2200);
        for row in [0, 600, 1099] {
            let mut scores: Vec<(f64, usize)> = (0..1100)
                .filter(|other| *other != row)
                .map(|other| (cosine(rows.row(row), rows.row(other)), other))
                .collect();
            scores.sort_by(|a, b| b.0.total_cmp(&a.0));
            let wanted: Vec<u32> = scores[..5].iter().map(|(_, other)| *other as u32).collect();
            assert_eq!(found[row].iter().map(|(other, _)| *other).collect::<Vec<_>>(), wanted);
            scores.reverse();
            let wanted: Vec<u32> = scores[..5].iter().map(|(_, other)| *other as u32).collect();
            assert_eq!(opposite[row].iter().map(|(other, _)| *other).collect::<Vec<_>>(), wanted);
            assert!((f64::from(opposite[row][0].1) + scores[0].0).abs() < 1e-6);
        }
        let near = nearest(&rows, 7, &AtomicUsize::new(0)).unwrap();
        assert_eq!(
            near[600][..5].iter().map(|(other, _)| *other).collect::<Vec<_>>(),
            found[600].iter().map(|(o, _)| *o).collect::<Vec<_>>()
        );
        assert!(near.iter().all(|row| row.len() == 7 && row.windows(2).all(|pair| pair[0].1 <= pair[1].1)));
    }

    #[test]
    fn overlapping_parts_of_a_video_are_one_neighbour() {
        let rows = groups(4, 1, 0.01);
        let part = |index: usize| ClipMeta {
            index,
            path: if index == 0 { "a.mp4".into() } else { "b.mp4".into() },
            start: Some(index as f64),
            end: Some(index as f64 + 1.5),
            ..ClipMeta::default()
        };
        let clips: Vec<ClipMeta> = (0..4).map(part).collect();
        let found = most_similar(&rows, &clips, 3, false, &AtomicUsize::new(0)).unwrap();
        // Of the parts 1, 2, 3 of b.mp4, 1 and 3 do not overlap.
        assert!(found[0].len() <= 2, "{found:?}");
    }
}
