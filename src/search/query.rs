//! Queries: a row of the collection, or a video that was just embedded; as it is, or mirrored in time.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::collection::Collection;
use crate::cia::representations::{Matrix, RepresentationError, StoredParts};
use crate::embed::{self, EmbedSettings, Engine, ModelChoice};
use crate::files::display_path;
use crate::inputs::Input;
use crate::rows::{ModelDigest, Part, Provenance};
use crate::vector::unit_scale;
use crate::video::{Request, Sampling};
use crate::weights::WeightsError;

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
    /// The query is not of the collection's width.
    #[error(
        "{query} has {found} numbers, and a row of the collection {needed}: take the models, the number of frames and the part \
         that made the collection"
    )]
    Width {
        /// The query.
        query: String,
        /// Its numbers.
        found: usize,
        /// Numbers of a row of the collection.
        needed: usize,
    },
    /// The collection was made by other models.
    #[error(
        "it was made with the {name} of {from} (SHA-256 {digest:.12}...), and the flags name another, or its settings say \
         something else now: choose the same with --model, --dinov2, --encoder or --lift"
    )]
    Models {
        /// The network.
        name: String,
        /// Where the collection's weights came from.
        from: String,
        /// Their digest.
        digest: String,
    },
    /// Two collections that are searched together have other rows.
    #[error(
        "{} and {} must have rows of the same ids{}: embed the same list for both",
        display_path(collection),
        display_path(words),
        alone.as_ref().map(|id| format!("; {id} is in the first alone")).unwrap_or_default()
    )]
    Ids {
        /// The first.
        collection: PathBuf,
        /// The collection that words are compared with.
        words: PathBuf,
        /// An id that only the first has, if it is known.
        alone: Option<String>,
    },
    /// The models cannot be loaded.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A video cannot be embedded.
    #[error("{path}: {cause}")]
    Video {
        /// The file.
        path: String,
        /// What went wrong.
        cause: String,
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

/// Embeds videos for queries: the settings and the models are those that made the collection.
pub struct VideoQueries {
    engine: Arc<Engine>,
    settings: EmbedSettings,
    by: String,
}

impl VideoQueries {
    /// Loads the models of `choice` for queries to `collection`. As many frames are taken as its rows were made of; of `request`
    /// only the limits and the rule of ranges count.
    ///
    /// # Errors
    /// If the models cannot be loaded, or are not those that made the collection.
    pub fn new(
        collection: &Collection,
        choice: &ModelChoice,
        request: &Request,
        threads: NonZeroUsize,
        timeout: Option<Duration>,
    ) -> Result<Self, QueryError> {
        let parts = needed_parts(collection.by());
        let (request, normalize) = as_made(collection, request);
        if let Some(made) = collection.provenance() {
            let fixed = if let Sampling::Count(frames) = request.sampling { Some(frames) } else { None };
            let (_, models) = choice.describe(&parts, fixed)?;
            let other = |(name, made): &(&String, &ModelDigest)| {
                let differs =
                    |model: &ModelDigest| model.sha256 != made.sha256 || model.settings != made.settings;
                models.get(*name).is_some_and(differs)
            };
            let missing = |(name, _): &(&String, &ModelDigest)| {
                // LiFT is not read where frame features alone are compared.
                !models.contains_key(*name) && (*name != LIFT || parts.iter().any(|part| part.needs_lift()))
            };
            if let Some((name, made)) = made.models.iter().find(|model| other(model) || missing(model)) {
                let (name, from, digest) = (name.clone(), made.from.clone(), made.sha256.clone());
                return Err(QueryError::Models { name, from, digest });
            }
        }
        let engine = Arc::new(Engine::load(choice, &parts)?);
        let settings = EmbedSettings { request, parts, normalize, threads, timeout, pictures: None };
        Ok(Self { engine, settings, by: collection.by().to_owned() })
    }

    /// What is compared of a video, `(W)`, and what was approximated while it was read. With `opposite`, of the video mirrored
    /// in time.
    ///
    /// # Errors
    /// If the video cannot be embedded.
    pub fn row(&self, input: &Input, opposite: bool) -> Result<(Vec<f32>, Vec<String>), QueryError> {
        let clip = embed::clip(&self.engine, input, &self.settings)
            .map_err(|failure| QueryError::Video { path: display_path(&input.path), cause: failure.error })?;
        let index = Arc::new(HashMap::from([(input.id.clone(), 0)]));
        let width = self.engine.encoder().width();
        let mut parts = StoredParts::default();
        for &part in &self.settings.parts {
            let values = clip.part(part);
            let shape = if part.per_frame() { vec![values.len() / width, width] } else { vec![values.len()] };
            let (index, source) = (Arc::clone(&index), Arc::new(values.to_vec()));
            let matrix = Matrix { origin: display_path(&input.path), index, shape, source };
            parts.own.insert(part.name().to_owned(), matrix);
        }
        Ok((row_of(&parts, &self.by, &input.id, opposite)?, clip.notes))
    }
}

/// LiFT's name among the models of a provenance.
const LIFT: &str = "lift";

/// The parts of a video that give the representation `by`, straight and mirrored.
fn needed_parts(by: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for one in by.split('+').map(str::trim) {
        let of_one: &[Part] = match one {
            "mean" => &[Part::Mean],
            name if name.starts_with("frames") => &[Part::Frames],
            _ => &[Part::Concat, Part::Reversed],
        };
        parts.extend(of_one.iter().filter(|part| !parts.contains(*part)).collect::<Vec<_>>());
    }
    parts
}

/// The frames to take of a query, and whether its vectors are scaled, as it was done for the collection.
fn as_made(collection: &Collection, request: &Request) -> (Request, bool) {
    let mut request = request.clone();
    let Some(made) = collection.provenance() else {
        let frames = collection.parts().ok().and_then(|parts| parts.own.get(Part::Frames.name()));
        if let Some(frames) = frames.and_then(|frames| frames.shape.first()) {
            request.sampling = Sampling::Count(*frames);
        }
        return (request, false);
    };
    let setting = |name: &str| made.settings.get(name);
    let is_set = |name: &str| setting(name).and_then(|v| v.as_bool()).unwrap_or(false);
    request.sampling = match (setting("fps").and_then(|v| v.as_f64()), setting("frames")) {
        (Some(fps), _) => Sampling::Fps(fps),
        (None, Some(frames)) => frames.as_u64().map_or(Sampling::All, |n| Sampling::Count(n as usize)),
        (None, None) => request.sampling,
    };
    request.keyframes = is_set("keyframes");
    request.reverse = is_set("reverse");
    (request, is_set("normalize"))
}

/// What makes vectors that cannot be compared with a collection, in words: other models, other frames. A vector may be mirrored or
/// scaled, or that of a window.
pub fn differences(collection: &Provenance, vectors: &Provenance) -> Vec<String> {
    let deciding = |made: &Provenance| {
        let mut made = Provenance { unchecked: vec![], ..made.clone() };
        made.settings.retain(|name, _| ["frames", "fps", "keyframes"].contains(&name.as_str()));
        made
    };
    deciding(collection).differences(&deciding(vectors))
}

/// The query that is like `query` and unlike `others`: their mean is subtracted, each vector scaled to length 1.
pub fn away_from(query: &[f32], others: &[Vec<f32>]) -> Vec<f32> {
    if others.is_empty() {
        return query.to_vec();
    }
    let away = unit_mean(&[unit_mean(others)]);
    unit_mean(&[query.to_vec()]).iter().zip(away).map(|(x, y)| x - y).collect()
}

/// The mean of several queries `(W)`, each scaled to length 1; a zero vector counts as it is.
pub fn unit_mean(queries: &[Vec<f32>]) -> Vec<f32> {
    let mut mean = vec![0.0; queries.first().map_or(0, Vec::len)];
    for query in queries {
        let scale = unit_scale(query);
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
