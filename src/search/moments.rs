//! Moments: hits that are parts of videos. Of hits that overlap in one file only the best is answered.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::SearchError;
use super::scan::Hit;
use crate::rows::ClipMeta;

/// A hit with what is said of its clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// The hit.
    pub hit: Hit,
    /// Its clip.
    pub clip: ClipMeta,
}

/// The first `top` of `hits` as moments. A hit is left out if it overlaps a better one in the same file, or if its file has
/// `per_file` better ones already. `None` if there could be more: the hits end before the answer is full, and `all` says that
/// they are not all that there are.
///
/// # Errors
/// If a clip cannot be read.
pub fn moments(
    hits: &[Hit],
    all: bool,
    (top, per_file): (usize, Option<usize>),
    clip: impl Fn(usize) -> Result<ClipMeta, SearchError>,
) -> Result<Option<Vec<Moment>>, SearchError> {
    let mut answer: Vec<Moment> = Vec::new();
    // The places in the answer of the moments of each file.
    let mut of_file: HashMap<PathBuf, Vec<usize>> = HashMap::new();
    for hit in hits {
        if answer.len() == top {
            break;
        }
        let clip = clip(hit.row)?;
        if clip.path != Path::new("") {
            let better = of_file.entry(clip.path.clone()).or_default();
            let covered = better.iter().any(|at| overlap(&answer[*at].clip, &clip));
            if covered || per_file.is_some_and(|most| better.len() >= most) {
                continue;
            }
            better.push(answer.len());
        }
        answer.push(Moment { hit: hit.clone(), clip });
    }
    Ok((all || answer.len() == top).then_some(answer))
}

/// Whether two clips of one file share a time. Clips without a range are whole videos, which a list may name twice on purpose.
pub(super) fn overlap(a: &ClipMeta, b: &ClipMeta) -> bool {
    let ranged = |clip: &ClipMeta| clip.start.is_some() || clip.end.is_some();
    let range = |clip: &ClipMeta| (clip.start.unwrap_or(0.0), clip.end.unwrap_or(f64::INFINITY));
    let ((from, to), (other_from, other_to)) = (range(a), range(b));
    ranged(a) && ranged(b) && from < other_to && other_from < to
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of 2-second windows every second: three of `a.mp4`, then three of `b.mp4`.
    fn window(row: usize) -> Result<ClipMeta, SearchError> {
        let start = (row % 3) as f64;
        let path = if row < 3 { "a.mp4" } else { "b.mp4" };
        Ok(ClipMeta { path: path.into(), start: Some(start), end: Some(start + 2.0), ..ClipMeta::default() })
    }

    fn hits(rows: &[usize]) -> Vec<Hit> {
        let hit = |(at, row): (usize, &usize)| Hit { row: *row, id: row.to_string(), score: -(at as f64) };
        rows.iter().enumerate().map(hit).collect()
    }

    #[test]
    fn of_overlapping_hits_the_best_is_answered() {
        let rows = |all, limits| {
            let moments = moments(&hits(&[1, 0, 4, 2, 5, 3]), all, limits, window).unwrap();
            moments.map(|moments| moments.iter().map(|moment| moment.hit.row).collect::<Vec<_>>())
        };
        // Windows 0 and 2 of a file touch and do not overlap.
        assert_eq!(rows(true, (6, None)), Some(vec![1, 4]));
        assert_eq!(rows(false, (6, None)), None);
        assert_eq!(rows(false, (1, None)), Some(vec![1]));
        let spread = |order: &[usize], limits| {
            let moments = moments(&hits(order), true, limits, window).unwrap().unwrap();
            moments.iter().map(|moment| moment.hit.row).collect::<Vec<_>>()
        };
        assert_eq!(spread(&[0, 2, 1, 3, 5], (6, None)), [0, 2, 3, 5]);
        assert_eq!(spread(&[0, 2, 1, 3, 5], (6, Some(1))), [0, 3]);
    }

    #[test]
    fn whole_videos_are_not_joined() {
        let whole = |_: usize| Ok(ClipMeta { path: "a.mp4".into(), ..ClipMeta::default() });
        assert_eq!(moments(&hits(&[0, 1]), true, (5, None), whole).unwrap().unwrap().len(), 2);
        assert_eq!(moments(&hits(&[0, 1]), true, (5, Some(1)), whole).unwrap().unwrap().len(), 1);
    }
}
