//! The answer to queries: the scan, and what follows from it where rows are parts of videos, or words count beside a query.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::collection::Collection;
use super::moments::{Moment, moments};
use super::scan::{Hit, Limits, Query, SearchRows, all_scores, best, first};
use super::{QueryError, SearchError};
use crate::rows::ClipMeta;

/// How much is answered, where rows may be parts of videos.
#[derive(Debug, Clone, Copy)]
pub struct MomentLimits {
    /// The most moments of a query, and the least score.
    pub hits: Limits,
    /// The most moments of one video; any number if absent.
    pub per_file: Option<usize>,
}

/// The moments of every query, best first. `done` counts the rows that were compared; it starts anew with every scan.
///
/// # Errors
/// If a row cannot be read, or has a number that is not finite.
pub fn find(
    collection: &Collection,
    queries: &[Query],
    limits: MomentLimits,
    done: &AtomicUsize,
) -> Result<Vec<Vec<Moment>>, SearchError> {
    let begun = Instant::now();
    let found = find_in(collection.rows(), |row| collection.clip(row), queries, limits, done)?;
    log_speed(collection, queries.len(), begun);
    Ok(found)
}

/// As [`find`], in any rows, of which `clip` says which clip a row is.
///
/// # Errors
/// As there.
pub fn find_in(
    rows: &dyn SearchRows,
    clip: impl Fn(usize) -> Result<ClipMeta, SearchError>,
    queries: &[Query],
    limits: MomentLimits,
    done: &AtomicUsize,
) -> Result<Vec<Vec<Moment>>, SearchError> {
    let mut top = limits.hits.top;
    loop {
        done.store(0, Ordering::Relaxed);
        let hits = best(rows, queries, Limits { top, ..limits.hits }, done)?;
        let found = hits.iter().map(|hits| {
            let all = top >= rows.rows() || hits.len() < top;
            moments(hits, all, (limits.hits.top, limits.per_file), &clip)
        });
        if let Some(found) = found.collect::<Result<Option<Vec<_>>, SearchError>>()? {
            return Ok(found);
        }
        // Overlapping hits were joined, and there may be more.
        top = top.saturating_mul(8).min(rows.rows());
    }
}

fn log_speed(collection: &Collection, queries: usize, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    let rows = collection.rows().rows();
    match collection.prepared_bytes() {
        Some(bytes) => tracing::info!(
            "compared {rows} rows with {queries} queries in {seconds:.4} s, {:.2} GB/s",
            bytes as f64 / seconds / 1e9
        ),
        None => tracing::info!(
            "compared {rows} rows with {queries} queries in {seconds:.4} s; --prepare makes it faster"
        ),
    }
}

/// The moments of every query, best first, by the sum of two scores: that of the query in `collection`, and `weight` times that of
/// the words `text` in the collection `words`, which has rows of the same ids. Each score is taken in units of its standard deviation
/// over all rows. `done` counts the rows that were compared; it starts anew with every scan.
///
/// # Errors
/// As [`find`], and if the ids of both differ.
pub fn find_beside_words(
    collection: &Collection,
    queries: &[Query],
    (words, text, weight): (&Collection, &[f32], f64),
    limits: MomentLimits,
    done: &AtomicUsize,
) -> Result<Vec<Vec<Moment>>, SearchError> {
    let rows = collection.rows();
    let mut places = Vec::with_capacity(rows.rows());
    for row in 0..rows.rows() {
        let id = rows.id(row)?;
        let Ok(place) = words.row_of(&id) else { return Err(different_ids(collection, words, Some(id))) };
        places.push(place);
    }
    if words.rows().rows() != places.len() {
        return Err(different_ids(collection, words, None));
    }
    let scores = |collection: &Collection, vector: &[f32]| {
        done.store(0, Ordering::Relaxed);
        all_scores(collection.rows(), vector, done)
    };
    let text = scores(words, text)?;
    let text: Vec<f64> = places.iter().map(|place| text[*place]).collect();
    let of_query = |query: &Query| {
        let own = scores(collection, &query.vector)?;
        let added = added((&own, &text), (1.0, weight), rows.rows(), |row| rows.id(row))?;
        let kept = |hit: &Hit| !query.without.contains(&hit.row) && hit.score >= limits.hits.min_score;
        let kept: Vec<Hit> = added.into_iter().filter(kept).collect();
        let moments = moments(&kept, true, (limits.hits.top, limits.per_file), |row| collection.clip(row))?;
        Ok(moments.unwrap_or_default())
    };
    queries.iter().map(of_query).collect()
}

fn different_ids(collection: &Collection, words: &Collection, alone: Option<String>) -> SearchError {
    let (words, alone) = (words.path().to_owned(), alone);
    QueryError::Ids { collection: collection.path().to_owned(), words, alone }.into()
}

/// The sum of two standardised scores per row, best first: each is taken in units of its standard deviation from its mean, and
/// multiplied by its weight. The rows of both are the same clips in the same order.
fn added(
    (a, b): (&[f64], &[f64]),
    (weight_a, weight_b): (f64, f64),
    top: usize,
    id: impl Fn(usize) -> Result<String, SearchError>,
) -> Result<Vec<Hit>, SearchError> {
    let (a, b) = (standardised(a), standardised(b));
    let sum: Vec<f64> = a.iter().zip(&b).map(|(a, b)| weight_a * a + weight_b * b).collect();
    let mut order: Vec<usize> = (0..sum.len()).collect();
    order.sort_unstable_by(|x, y| sum[*y].total_cmp(&sum[*x]));
    // All rows of the last score that is answered, so that ids decide among them.
    let last = order.get(top.saturating_sub(1)).map(|row| sum[*row]);
    let within = order.into_iter().take_while(|row| last.is_none_or(|last| sum[*row] >= last));
    let hit = |row: usize| Ok(Hit { row, id: id(row)?, score: sum[row] });
    Ok(first(within.map(hit).collect::<Result<_, SearchError>>()?, top))
}

fn standardised(scores: &[f64]) -> Vec<f64> {
    let count = scores.len().max(1) as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let deviation = (scores.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
    let scale = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
    scores.iter().map(|x| (x - mean) * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_added_in_units_of_their_deviation() {
        let id = |row: usize| Ok(format!("{row}"));
        let (a, b) = ([0.0, 1.0, 2.0], [200.0, 0.0, 100.0]);
        let hits = added((&a, &b), (1.0, 1.0), 3, id).unwrap();
        assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), [2, 0, 1]);
        assert!((hits[0].score - 1.5f64.sqrt()).abs() < 1e-12, "{hits:?}");
        let hits = added((&a, &b), (0.0, 1.0), 1, id).unwrap();
        assert_eq!(hits[0].row, 0);
        // A score that is the same for all says nothing, and then ids decide.
        let hits = added((&[1.0; 3], &[1.0; 3]), (1.0, 1.0), 2, id).unwrap();
        assert_eq!(hits.iter().map(|hit| hit.id.as_str()).collect::<Vec<_>>(), ["0", "1"]);
    }
}
