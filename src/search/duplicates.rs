//! Clips that are the same footage: all rows are compared with one another, block by block, exactly.
//!
//! Two clips are the *same* if the cosine of their embeddings reaches the threshold, and *mirrors* if the cosine of one's
//! embedding with that of the other, mirrored in time, reaches it and is the larger of the two. Clips that are the same are
//! joined into groups.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use super::moments::overlap;
use super::scan::SearchRows;
use super::table::{Cell, TableLine};
use super::{SearchError, StoredRows};
use crate::cia::representations::StoredParts;
use crate::cia::stored;
use crate::inputs::Columns;
use crate::kernels::{Backend, PackedLinear, linear};
use crate::rows::{ClipMeta, Part, Wanted, bare_clips, clips, split_array};
use crate::vector::cosine;

/// Rows that are compared with one another at a time: the product of two blocks stays in the cache.
const BLOCK: usize = 256;

/// How the clips of a group belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupKind {
    /// The same footage.
    Same,
    /// The same footage, one of both backwards.
    Mirror,
}

impl GroupKind {
    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Mirror => "mirror",
        }
    }
}

/// Clips that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// How.
    pub kind: GroupKind,
    /// The rows: first the one to keep, then the others in the order of their ids, each with its cosine with the first.
    pub rows: Vec<(usize, f64)>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Duplicates {
    /// The groups of clips that are the same, then the pairs that are mirrors; each in the order of the kept clips' ids.
    pub groups: Vec<Group>,
}

impl Duplicates {
    /// The groups of one kind.
    pub fn groups_of(&self, kind: GroupKind) -> Vec<&Group> {
        self.groups.iter().filter(|group| group.kind == kind).collect()
    }
}

/// A clip of a group as a line of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Duplicate {
    /// The group's number, from 1.
    pub group: usize,
    /// `same` or `mirror`.
    pub kind: &'static str,
    /// Whether this clip of the group is to be kept: the longest; both of a clip and its mirror.
    pub keep: bool,
    /// The cosine with the first clip of the group; of a mirror, with the first clip's mirror.
    pub score: f64,
    /// The row's id.
    pub id: String,
    /// The video; empty if the collection does not say.
    pub path: String,
    /// Where the clip starts, in seconds; `None` for the beginning.
    pub start: Option<f64>,
    /// Where it ends; `None` for the end.
    pub end: Option<f64>,
    /// What the collection keeps of the list of its clips; in tables, columns of their own.
    #[serde(skip)]
    pub columns: Columns,
}

impl TableLine for Duplicate {
    const COLUMNS: &'static [&'static str] =
        &["group", "kind", "keep", "score", "id", "path", "start", "end"];

    fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            Cell::Count(self.group),
            Cell::Text(self.kind),
            Cell::Flag(self.keep),
            Cell::Number(Some(self.score)),
            Cell::Text(&self.id),
            Cell::Text(&self.path),
            Cell::Number(self.start),
            Cell::Number(self.end),
        ]
    }

    fn kept(&self) -> &Columns {
        &self.columns
    }
}

/// A collection whose rows are compared with one another.
pub struct ComparedRows {
    straight: StoredRows,
    mirrored: Option<StoredRows>,
    clips: Vec<ClipMeta>,
}

impl ComparedRows {
    /// Opens the embeddings of a collection, and those of the mirrored clips where it has them.
    ///
    /// # Errors
    /// If it cannot be read, or has no embeddings.
    pub fn open(path: &Path, wanted: Wanted) -> Result<Self, SearchError> {
        let parts = stored::collection(path, wanted)?;
        let all = parts.ids();
        let rows = |parts: &StoredParts| -> Result<_, SearchError> {
            Ok(StoredRows::new(parts.representation("lift")?, all.clone()))
        };
        let straight = rows(&parts)?;
        let mirrored = parts.own.get(Part::Reversed.name()).cloned();
        let mirrored = mirrored.map(|reversed| rows(&parts.reversed(Some(reversed)))).transpose()?;
        let clips = match (wanted.ids, wanted.id_column) {
            (None, None) => clips(split_array(path).0, &all)?,
            _ => bare_clips(&all),
        };
        Ok(Self { straight, mirrored, clips })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.straight.rows()
    }

    /// Whether clips are told from their mirrors.
    pub fn tells_mirrors(&self) -> bool {
        self.mirrored.is_some()
    }

    /// What is said of the clips, in the order of the rows.
    pub fn clips(&self) -> &[ClipMeta] {
        &self.clips
    }

    /// The groups of rows whose cosine is at least `min_score`. `done` counts pairs of blocks, of [`block_pairs`] in all.
    ///
    /// # Errors
    /// If a row cannot be read or is not finite.
    pub fn duplicates(&self, min_score: f64, done: &AtomicUsize) -> Result<Duplicates, SearchError> {
        duplicates(&self.straight, self.mirrored.as_ref(), &self.clips, min_score, done)
    }
}

/// The groups as lines of a table.
pub fn lines_of(found: &Duplicates, clips: &[ClipMeta]) -> Vec<Duplicate> {
    let mut lines = Vec::new();
    for (at, group) in found.groups.iter().enumerate() {
        for (place, (row, score)) in group.rows.iter().enumerate() {
            let clip = &clips[*row];
            lines.push(Duplicate {
                group: at + 1,
                kind: group.kind.name(),
                keep: place == 0 || group.kind == GroupKind::Mirror,
                score: *score,
                id: clip.id.clone(),
                path: clip.path.to_string_lossy().into_owned(),
                start: clip.start,
                end: clip.end,
                columns: clip.columns.clone(),
            });
        }
    }
    lines
}

/// A pair of rows whose cosine reaches the threshold.
struct Pair {
    rows: (usize, usize),
    kind: GroupKind,
    score: f64,
}

/// Compares the rows of `straight` with one another, and with those of the mirrored clips where there are any. `clips` describe
/// the rows; parts of one video that overlap in time are not compared. `done` counts pairs of blocks, of
/// [`block_pairs`] in all.
///
/// # Errors
/// If a row cannot be read or is not finite.
fn duplicates(
    straight: &StoredRows,
    mirrored: Option<&StoredRows>,
    clips: &[ClipMeta],
    min_score: f64,
    done: &AtomicUsize,
) -> Result<Duplicates, SearchError> {
    let (rows, width) = (straight.rows(), straight.width());
    if rows == 0 || width == 0 {
        return Ok(Duplicates { groups: vec![] });
    }
    let backend = Backend::best();
    // Both rows of a product are rounded.
    let bound = (min_score - (2 * width + 32) as f64 * f64::from(f32::EPSILON)) as f32;
    let blocks = rows.div_ceil(BLOCK);
    let block = |of: &StoredRows, at: usize| {
        let first = at * BLOCK;
        Ok::<_, SearchError>((first, of.unit_rows(first, BLOCK.min(rows - first))?))
    };
    let pairs = (0..blocks).into_par_iter().map(|a| {
        let (first_a, units_a) = block(straight, a)?;
        let count_a = units_a.len() / width;
        let product = PackedLinear::new(backend, &units_a, &vec![0.0; count_a], width);
        let mut near = Vec::new();
        let mut scores = Vec::new();
        for b in a..blocks {
            for of in [Some(straight), mirrored].into_iter().flatten() {
                let (first_b, units_b) = block(of, b)?;
                scores.resize(units_b.len() / width * count_a, 0.0);
                linear(&product, &units_b, &mut scores);
                for (row_b, scores) in (first_b..).zip(scores.chunks_exact(count_a)) {
                    let found = scores.iter().zip(first_a..).filter(|(score, _)| **score >= bound);
                    near.extend(found.filter(|(_, row_a)| *row_a < row_b).map(|(_, row_a)| (row_a, row_b)));
                }
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
        near.sort_unstable();
        near.dedup();
        let same_file =
            |(a, b): &(usize, usize)| clips[*a].path == clips[*b].path && overlap(&clips[*a], &clips[*b]);
        near.retain(|pair| !same_file(pair));
        near.into_iter().filter_map(|pair| judged(pair, straight, mirrored, min_score).transpose()).collect()
    });
    let pairs: Vec<Vec<Pair>> = pairs.collect::<Result<_, SearchError>>()?;
    grouped(pairs.into_iter().flatten(), straight, clips)
}

/// How many pairs of blocks [`ComparedRows::duplicates`] compares of so many rows.
pub fn block_pairs(rows: usize) -> usize {
    let blocks = rows.div_ceil(BLOCK);
    blocks * (blocks + 1) / 2
}

/// The exact cosines of a pair, and what follows from them.
fn judged(
    rows: (usize, usize),
    straight: &StoredRows,
    mirrored: Option<&StoredRows>,
    min_score: f64,
) -> Result<Option<Pair>, SearchError> {
    let a = straight.exact(rows.0)?;
    let same = cosine(&a, &straight.exact(rows.1)?);
    let mirror = match mirrored {
        Some(mirrored) => cosine(&a, &mirrored.exact(rows.1)?),
        None => f64::NEG_INFINITY,
    };
    let (kind, score) = if mirror > same { (GroupKind::Mirror, mirror) } else { (GroupKind::Same, same) };
    Ok((score >= min_score).then_some(Pair { rows, kind, score }))
}

/// The pairs joined into groups.
fn grouped(
    pairs: impl Iterator<Item = Pair>,
    straight: &StoredRows,
    clips: &[ClipMeta],
) -> Result<Duplicates, SearchError> {
    // Each row that is the same as an earlier one points towards it.
    let mut earlier: BTreeMap<usize, usize> = BTreeMap::new();
    fn root(earlier: &BTreeMap<usize, usize>, mut row: usize) -> usize {
        while let Some(next) = earlier.get(&row) {
            row = *next;
        }
        row
    }
    let mut mirrors = Vec::new();
    for Pair { rows: (a, b), kind, score } in pairs {
        if kind == GroupKind::Mirror {
            mirrors.push((a, b, score));
            continue;
        }
        let (a, b) = (root(&earlier, a), root(&earlier, b));
        if a != b {
            earlier.insert(a.max(b), a.min(b));
        }
    }
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for row in earlier.keys() {
        members.entry(root(&earlier, *row)).or_default().push(*row);
    }
    // The longest is kept; of equally long ones, the first by its id.
    let length = |row: usize| {
        let clip = &clips[row];
        clip.end.or(clip.duration).unwrap_or(0.0) - clip.start.unwrap_or(0.0)
    };
    let keep_first = |rows: &mut Vec<usize>| {
        rows.sort_by(|a, b| clips[*a].id.cmp(&clips[*b].id));
        let kept =
            (0..rows.len()).reduce(|best, at| if length(rows[at]) > length(rows[best]) { at } else { best });
        if let Some(kept) = kept {
            rows[..=kept].rotate_right(1);
        }
    };
    let mut groups = Vec::new();
    for (first, mut rows) in members {
        rows.push(first);
        keep_first(&mut rows);
        let kept = straight.exact(rows[0])?;
        let others = rows[1..].iter().map(|row| Ok((*row, cosine(&kept, &straight.exact(*row)?))));
        let others = others.collect::<Result<Vec<_>, SearchError>>()?;
        let rows = std::iter::once((rows[0], 1.0)).chain(others).collect();
        groups.push(Group { kind: GroupKind::Same, rows });
    }
    for (a, b, score) in mirrors {
        let mut rows = vec![a, b];
        keep_first(&mut rows);
        groups.push(Group { kind: GroupKind::Mirror, rows: vec![(rows[0], 1.0), (rows[1], score)] });
    }
    groups.sort_by(|a, b| {
        let ids = |group: &Group| group.rows.iter().map(|(row, _)| &clips[*row].id).collect::<Vec<_>>();
        a.kind.cmp(&b.kind).then_with(|| ids(a).cmp(&ids(b)))
    });
    Ok(Duplicates { groups })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cia::representations::Matrix;

    /// Rows in memory.
    fn rows(rows: &[Vec<f32>]) -> StoredRows {
        let ids: Vec<String> = (0..rows.len()).map(|row| row.to_string()).collect();
        let index = ids.iter().cloned().zip(0..).collect();
        let (shape, source) = (vec![rows[0].len()], Arc::new(rows.concat()));
        let matrix = Matrix { origin: "x".into(), index: Arc::new(index), shape, source };
        let mut parts = StoredParts::default();
        parts.own.insert("concat".into(), matrix);
        StoredRows::new(parts.representation("lift").unwrap(), ids)
    }

    /// `even` and `odd` parts as the embedding and that of the mirrored clip.
    fn both(parts: &[([f32; 2], [f32; 2])]) -> (StoredRows, StoredRows) {
        let row = |sign: f32| {
            let of =
                |(even, odd): &([f32; 2], [f32; 2])| vec![even[0] + sign * odd[0], even[1] + sign * odd[1]];
            rows(&parts.iter().map(of).collect::<Vec<_>>())
        };
        (row(1.0), row(-1.0))
    }

    fn clip(at: usize, path: &str, range: Option<(f64, f64)>) -> ClipMeta {
        let (start, end) = (range.map(|r| r.0), range.map(|r| r.1));
        ClipMeta { index: at, id: format!("{at}"), path: path.into(), start, end, ..ClipMeta::default() }
    }

    #[test]
    fn a_clip_and_its_mirror_are_not_the_same() {
        let (straight, mirrored) = both(&[
            ([1.0, 0.0], [0.0, 0.1]),
            ([1.0, 0.0], [0.0, -0.1]),
            ([1.0, 0.0], [0.0, 0.1001]),
            ([0.0, 1.0], [0.1, 0.0]),
        ]);
        let clips: Vec<_> = (0..4).map(|at| clip(at, &format!("{at}.mp4"), None)).collect();
        let found = |mirrored: Option<&StoredRows>| {
            let found = duplicates(&straight, mirrored, &clips, 0.97, &AtomicUsize::new(0)).unwrap();
            let rows = |group: Group| {
                (group.kind.name(), group.rows.iter().map(|(row, _)| *row).collect::<Vec<_>>())
            };
            found.groups.into_iter().map(rows).collect::<Vec<_>>()
        };
        let want = vec![("same", vec![0, 2]), ("mirror", vec![0, 1]), ("mirror", vec![1, 2])];
        assert_eq!(found(Some(&mirrored)), want);
        // Without the mirrored clips nothing tells the two apart.
        assert_eq!(found(None), [("same", vec![0, 1, 2])]);
    }

    #[test]
    fn the_longest_is_kept_and_overlapping_parts_of_a_video_are_no_duplicates() {
        let all = rows(&vec![vec![1.0, 2.0]; 600]);
        let clips: Vec<_> = (0..600)
            .map(|at| match at {
                0 => clip(at, "a.mp4", Some((0.0, 2.0))),
                1 => clip(at, "a.mp4", Some((1.0, 3.0))),
                599 => ClipMeta { duration: Some(9.0), ..clip(at, "z.mp4", None) },
                _ => clip(at, &format!("{at}.mp4"), None),
            })
            .collect();
        let done = AtomicUsize::new(0);
        let found = duplicates(&all, None, &clips, 0.98, &done).unwrap();
        assert_eq!(done.into_inner(), block_pairs(600));
        assert_eq!(found.groups.len(), 1);
        assert_eq!(found.groups[0].rows.len(), 600);
        assert_eq!(found.groups[0].rows[0].0, 599);
        let found = duplicates(&rows(&[vec![1.0], vec![1.0]]), None, &clips[..2], 0.98, &AtomicUsize::new(0))
            .unwrap();
        assert_eq!(found.groups, []);
    }
}
