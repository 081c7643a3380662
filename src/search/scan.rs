//! The scan: every row is compared with the query.
//!
//! A row's score is computed by itself, in f64 over its f32 numbers, and the order of the answer is total: the score, then the
//! id. So the answer does not depend on the number of threads. Rows are read in blocks, and no more than the best so far are
//! kept, so memory does not grow with the collection.

use rayon::prelude::*;

use crate::cia::representations::{Representation, RepresentationError};
use crate::vector::length;

/// Rows that a thread reads at a time.
const BLOCK: usize = 256;

/// A row that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Its id.
    pub id: String,
    /// Its cosine with the query, -1 to 1; 0 where one of both is a zero vector.
    pub score: f64,
}

/// How much is answered.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most hits.
    pub top: usize,
    /// The least score of a hit.
    pub min_score: f64,
}

/// The rows `ids` of `collection` that are most similar to the query `(W)`, best first; rows of one score in the order of their
/// ids.
///
/// # Errors
/// If a row cannot be read, or has a number that is not finite; the message has its id.
pub fn best(
    collection: &Representation,
    ids: &[String],
    query: &[f32],
    limits: Limits,
) -> Result<Vec<Hit>, RepresentationError> {
    let own = length(query);
    let score = |row: &[f32]| {
        let product: f64 = row.iter().zip(query).map(|(x, q)| f64::from(*x) * f64::from(*q)).sum();
        let scale = own * length(row);
        if scale > 0.0 { product / scale } else { 0.0 }
    };
    let block = |ids: &[String]| {
        let rows = collection.rows(ids.iter().map(String::as_str))?;
        let scores = rows.chunks_exact(query.len().max(1)).map(score);
        let hits = ids.iter().zip(scores).filter(|(_, score)| *score >= limits.min_score);
        Ok(first(hits.map(|(id, score)| Hit { id: id.clone(), score }).collect(), limits.top))
    };
    let join = |mut hits: Vec<Hit>, more| {
        hits.extend(more);
        Ok(first(hits, limits.top))
    };
    ids.par_chunks(BLOCK).map(block).try_reduce(Vec::new, join)
}

/// The first `top` hits in the order of an answer.
fn first(mut hits: Vec<Hit>, top: usize) -> Vec<Hit> {
    hits.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    hits.truncate(top);
    hits
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::cia::representations::{Matrix, StoredParts};

    const WIDTH: usize = 5;

    /// Rows of whole numbers from -4 to 4, so that equal scores occur.
    fn collection(rows: usize) -> (StoredParts, Vec<String>) {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 24) % 9) as f32 - 4.0
        };
        let values: Vec<f32> = (0..rows * WIDTH).map(|_| next()).collect();
        let ids: Vec<String> = (0..rows).map(|row| format!("clip-{row:05}")).collect();
        let index = ids.iter().cloned().zip(0..).collect::<HashMap<_, _>>();
        let matrix = Matrix {
            origin: "x".into(),
            index: Arc::new(index),
            shape: vec![WIDTH],
            source: Arc::new(values),
        };
        let mut parts = StoredParts::default();
        parts.own.insert("concat".into(), matrix);
        (parts, ids)
    }

    #[test]
    fn the_answer_is_that_of_a_plain_sort_whatever_the_threads() {
        let (parts, ids) = collection(3000);
        let lift = parts.representation("lift").unwrap();
        let query = [1.0, -2.0, 3.0, 0.5, 0.0];
        let norm = |v: &[f32]| v.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
        let mut plain: Vec<(f64, String)> = ids
            .iter()
            .map(|id| {
                let row = lift.rows(std::iter::once(id.as_str())).unwrap();
                let dot: f64 = row.iter().zip(&query).map(|(a, b)| f64::from(a * b)).sum();
                let scale = norm(&row) * norm(&query);
                (if scale > 0.0 { dot / scale } else { 0.0 }, id.clone())
            })
            .collect();
        plain.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for (top, min_score) in [(10, -1.0), (3000, 0.25), (5000, -1.0), (1, 0.9)] {
                let limits = Limits { top, min_score };
                let hits = pool.install(|| best(&lift, &ids, &query, limits)).unwrap();
                let want = plain.iter().filter(|(score, _)| *score >= min_score).take(top);
                let want: Vec<Hit> = want.map(|(score, id)| Hit { id: id.clone(), score: *score }).collect();
                assert_eq!(hits, want, "{threads} threads, {limits:?}");
            }
        }
    }

    #[test]
    fn a_row_that_is_not_finite_is_named() {
        let (mut parts, ids) = collection(3);
        let matrix = parts.own.get_mut("concat").unwrap();
        let mut values = vec![1.0; 3 * WIDTH];
        values[WIDTH] = f32::NAN;
        matrix.source = Arc::new(values);
        let lift = parts.representation("lift").unwrap();
        let error = best(&lift, &ids, &[1.0; WIDTH], Limits { top: 3, min_score: -1.0 }).unwrap_err();
        assert!(error.to_string().contains("clip-00001"), "{error}");
    }
}
