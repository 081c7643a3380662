//! Queries: a row of the collection, or a video that was just embedded; as it is, or mirrored in time.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cia::representations::{Matrix, RepresentationError, StoredParts};
use crate::embed::EmbeddedClip;
use crate::rows::Part;
use crate::vector::length;

/// Why there is no query.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The collection does not have what is to be compared, or no row of that id.
    #[error(transparent)]
    Representation(#[from] RepresentationError),
    /// Nothing in the collection tells what the mirrored clip looks like.
    #[error(
        "the opposite of `{by}` needs the embeddings of the mirrored clips: embed the collection with --parts concat,reversed, or \
         with --parts odd and search --by odd"
    )]
    NoMirror {
        /// What is compared.
        by: String,
    },
    /// The collection was made by other networks, or with other settings.
    #[error(
        "`{part}` of the query is {query} numbers, and of the collection {collection}: embed the query with the models and the \
         number of frames that made the collection"
    )]
    Width {
        /// The part.
        part: String,
        /// Numbers of the query's row.
        query: usize,
        /// Numbers of a row of the collection.
        collection: usize,
    },
}

/// What is compared of the clip `id` of `parts`: its row of the representation `by`, `(W)`. With `opposite`, the row of the clip
/// mirrored in time: the odd part has the other sign, frames come in reversed order.
///
/// # Errors
/// If `parts` lack what `by` needs, or the id; with `opposite`, if they lack the embeddings of the mirrored clips.
pub fn row_of(parts: &StoredParts, by: &str, id: &str, opposite: bool) -> Result<Vec<f32>, QueryError> {
    let one = std::iter::once(id);
    // What is wrong with the representation itself is told first.
    let straight = parts.representation(by)?;
    if !opposite {
        return Ok(straight.rows(one)?);
    }
    let mirrored = parts.reversed(parts.own.get(Part::Reversed.name()).cloned());
    match mirrored.representation(by) {
        Err(RepresentationError::Absent { .. }) => Err(QueryError::NoMirror { by: by.to_owned() }),
        mirrored => Ok(mirrored?.rows(one)?),
    }
}

/// The parts of a video that was just embedded, one row each, under the id `id`: those that the collection has.
///
/// # Errors
/// If a part has another width than the collection's.
pub fn clip_parts(
    clip: &EmbeddedClip,
    collection: &StoredParts,
    id: &str,
) -> Result<StoredParts, QueryError> {
    let index = Arc::new(HashMap::from([(id.to_owned(), 0)]));
    let mut parts = StoredParts::default();
    for (name, matrix) in &collection.own {
        let Some(values) = name.parse().ok().map(|part: Part| clip.part(part)).filter(|v| !v.is_empty())
        else {
            continue;
        };
        if values.len() != matrix.width() {
            let (query, collection) = (values.len(), matrix.width());
            return Err(QueryError::Width { part: name.clone(), query, collection });
        }
        let (shape, source) = (matrix.shape.clone(), Arc::new(values.to_vec()));
        let matrix = Matrix { origin: id.to_owned(), index: Arc::clone(&index), shape, source };
        parts.own.insert(name.clone(), matrix);
    }
    Ok(parts)
}

/// The mean of several queries `(W)`, each scaled to length 1; a zero vector counts as it is.
pub fn unit_mean(queries: &[Vec<f32>]) -> Vec<f32> {
    let mut mean = vec![0.0; queries.first().map_or(0, Vec::len)];
    for query in queries {
        let length = length(query);
        let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
        mean.iter_mut().zip(query).for_each(|(mean, x)| *mean += f64::from(*x) * scale);
    }
    mean.into_iter().map(|x| (x / queries.len() as f64) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(parts: &[(&str, &[f32])]) -> StoredParts {
        let index = Arc::new(HashMap::from([("a".to_owned(), 0), ("b".to_owned(), 1)]));
        let mut collection = StoredParts::default();
        for (name, values) in parts {
            let (shape, source) = (vec![values.len() / 2], Arc::new(values.to_vec()));
            let matrix = Matrix { origin: "x.npz".into(), index: Arc::clone(&index), shape, source };
            collection.own.insert((*name).to_owned(), matrix);
        }
        collection
    }

    #[test]
    fn the_opposite_is_the_row_of_the_mirrored_clip() {
        let both = collection(&[("concat", &[1., 2., 3., 4.]), ("reversed", &[5., 6., 7., 8.])]);
        assert_eq!(row_of(&both, "lift", "b", false).unwrap(), [3., 4.]);
        assert_eq!(row_of(&both, "lift", "b", true).unwrap(), [7., 8.]);
        assert_eq!(row_of(&both, "odd", "a", false).unwrap(), [-2., -2.]);
        assert_eq!(row_of(&both, "odd", "a", true).unwrap(), [2., 2.]);
        assert_eq!(row_of(&both, "dynamic", "a", true).unwrap(), [6.]);
        let odd = collection(&[("odd", &[1., 2., 3., 4.])]);
        assert_eq!(row_of(&odd, "odd", "b", true).unwrap(), [-3., -4.]);
    }

    #[test]
    fn what_is_missing_is_told_with_its_remedy() {
        let plain = collection(&[("concat", &[1., 2., 3., 4.])]);
        let error = row_of(&plain, "lift", "a", true).unwrap_err().to_string();
        assert!(error.contains("--parts concat,reversed"), "{error}");
        let error = row_of(&plain, "odd", "a", false).unwrap_err().to_string();
        assert!(error.contains("--parts concat,reversed"), "{error}");
        let error = row_of(&plain, "lift", "c", false).unwrap_err().to_string();
        assert!(error.contains('c') && error.contains("x.npz"), "{error}");
    }

    #[test]
    fn several_queries_weigh_alike() {
        assert_eq!(unit_mean(&[vec![2.0, 0.0], vec![0.0, 8.0]]), [0.5, 0.5]);
        assert_eq!(unit_mean(&[vec![0.0, 0.0]]), [0.0, 0.0]);
    }
}
