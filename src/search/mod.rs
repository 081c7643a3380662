//! Search: the rows of a collection that are most similar to a query, by cosine. Every row is compared; nothing is approximate.
//!
//! A collection is what `lift embed` writes, or any matrix with ids, opened as [`StoredParts`]. What is compared is a
//! [`Representation`](crate::cia::representations::Representation) of its parts, as in `lift eval-cia`: [`row_of`] gives the
//! query's row, [`clip_parts`] the parts of a video that was just embedded, and [`best`] compares.

mod query;
mod scan;

pub use query::{QueryError, clip_parts, row_of, unit_mean};
pub use scan::{Hit, Limits, best};

use crate::cia::representations::StoredParts;

/// The ids of a collection, in the order of its rows; empty for a collection without a part.
pub fn ids(collection: &StoredParts) -> Vec<String> {
    let Some(matrix) = collection.own.values().next() else { return vec![] };
    let mut ids: Vec<(&String, &usize)> = matrix.index.iter().collect();
    ids.sort_unstable_by_key(|(_, row)| **row);
    ids.into_iter().map(|(id, _)| id.clone()).collect()
}
