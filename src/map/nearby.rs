//! The neighbours that a page shows of each clip: by look, by motion, and by the opposite motion.

use std::sync::atomic::AtomicUsize;

use super::neighbours::{Found, most_similar};
use super::vectors::Vectors;
use crate::cia::representations::{RepresentationError, StoredParts};
use crate::rows::ClipMeta;
use crate::search::SearchError;

/// Neighbours of each kind.
pub const NEAREST: usize = 8;

/// What neighbours have in common with a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NearbyKind {
    /// They look alike.
    Look,
    /// They move alike.
    Motion,
    /// They move the other way.
    Opposite,
}

/// Neighbours of one kind of every clip.
#[derive(Debug, Clone)]
pub struct Nearby {
    /// What they have in common.
    pub kind: NearbyKind,
    /// The representation that was compared, by its name on the command line.
    pub by: &'static str,
    /// Of each clip, the best first.
    pub of: Vec<Vec<Found>>,
}

/// What [`nearby`] counts until it is done, at most.
pub fn nearby_steps(clips: usize) -> usize {
    3 * clips
}

/// The neighbours that the parts give: by look those of `even`, or of the whole embedding where there is no `even`; by motion and
/// the opposite those of `odd` and of its negation, or none. `done` counts up to [`nearby_steps`].
///
/// # Errors
/// If a row cannot be read or is not finite.
pub fn nearby(
    parts: &StoredParts,
    ids: &[String],
    clips: &[ClipMeta],
    done: &AtomicUsize,
) -> Result<Vec<Nearby>, SearchError> {
    let mut all = Vec::new();
    let look = [("even", "even"), ("lift", "all"), ("mean", "mean"), ("frames-mean", "frames-mean")];
    for (name, by) in look {
        if let Some(rows) = given(parts, name, ids)? {
            let of = most_similar(&rows, clips, NEAREST, false, done)?;
            all.push(Nearby { kind: NearbyKind::Look, by, of });
            break;
        }
    }
    if let Some(rows) = given(parts, "odd", ids)? {
        for (kind, opposite) in [(NearbyKind::Motion, false), (NearbyKind::Opposite, true)] {
            all.push(Nearby { kind, by: "odd", of: most_similar(&rows, clips, NEAREST, opposite, done)? });
        }
    }
    Ok(all)
}

/// The rows of a representation; `None` if the parts do not give it.
fn given(parts: &StoredParts, name: &str, ids: &[String]) -> Result<Option<Vectors>, SearchError> {
    match Vectors::read(parts, name, ids) {
        Err(SearchError::Representation(RepresentationError::Absent { .. })) => Ok(None),
        rows => rows.map(Some),
    }
}
