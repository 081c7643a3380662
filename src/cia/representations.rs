//! What is probed: views of the stored parts, alone or joined.
//!
//! | name | numbers | from |
//! | --- | --- | --- |
//! | `lift` | `2W` | `concat`, or `static` and `dynamic` |
//! | `static`, `dynamic` | `W` | the part, or its half of `concat` |
//! | `odd`, `even` | `2W` | the part, or `concat` and `reversed` |
//! | `frames-mean` | `D` | the frame features' mean over time |
//! | `mean` | `D` | the part: the mean of the frame features, each of length 1 |
//! | `frames-concat` | `T·D` | the frame features one after the other |
//! | a given name | its width | an external matrix |
//! | `frames-concat:odd`, `NAME:odd` | `T·D` | `(x - y)/2` of frames `x` and of the same frames `y` in reversed order, one after the other |
//! | `a+b` | their sum | both, one after the other (the paper's ⊕), scaled if that is asked for ([`Scaling`]) |
//!
//! Matrices are read one row at a time, so that what does not fit in memory can stay on disk ([`RowSource`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::scaling::Scaling;
use crate::rows::Provenance;

/// Where the numbers of a matrix are read from.
pub trait RowSource: Send + Sync {
    /// Copies row `row` into `out`, whose length is that of a row.
    ///
    /// # Errors
    /// If reading from disk fails, or there is no such row.
    fn copy_row(&self, row: usize, out: &mut [f32]) -> std::io::Result<()>;
}

impl RowSource for Vec<f32> {
    fn copy_row(&self, row: usize, out: &mut [f32]) -> std::io::Result<()> {
        let from = row * out.len();
        let values = self.get(from..from + out.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(values);
        Ok(())
    }
}

/// A stored matrix `(B, ...)` of f32, one row per video, found by id.
#[derive(Clone)]
pub struct Matrix {
    /// The file that it was read from, for messages.
    pub origin: String,
    /// Row number by id.
    pub index: Arc<HashMap<String, usize>>,
    /// The shape of one row: `[W]` or `[T, D]`.
    pub shape: Vec<usize>,
    /// The numbers.
    pub source: Arc<dyn RowSource>,
}

impl Matrix {
    /// Numbers per video.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// The ids, in the order of the rows.
    pub fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<(&String, &usize)> = self.index.iter().collect();
        ids.sort_unstable_by_key(|(_, row)| **row);
        ids.into_iter().map(|(id, _)| id.as_str()).collect()
    }
}

/// The parts that one run of `lift embed` wrote, and matrices of features from elsewhere.
#[derive(Clone, Default)]
pub struct StoredParts {
    /// By the part's name: `concat`, `static`, `dynamic`, `reversed`, `odd`, `even`, `frames`. All have the same rows.
    pub own: BTreeMap<String, Matrix>,
    /// By the names that --features gives.
    pub external: BTreeMap<String, Matrix>,
    /// What made the parts, if their file says so.
    pub provenance: Option<Provenance>,
    /// How the representations' parts are scaled before they are probed.
    pub scaling: Scaling,
}

/// Which numbers of a stored row a piece takes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum View {
    /// The numbers `from..from + width`.
    Span(usize, usize),
    /// The mean over `T` of `(T, D)`.
    Mean,
}

#[derive(Clone)]
struct Piece {
    matrix: Matrix,
    view: View,
}

impl Piece {
    fn width(&self) -> usize {
        match self.view {
            View::Span(_, width) => width,
            View::Mean => self.matrix.shape[1],
        }
    }
}

/// A representation that can be probed.
#[derive(Clone)]
pub struct Representation {
    /// Its name.
    pub name: String,
    pieces: Vec<Piece>,
    /// Numbers per video of each of the parts that its name joins.
    widths: Vec<usize>,
    scaling: Scaling,
}

/// Why a representation cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum RepresentationError {
    /// The stored parts do not give it.
    #[error("representation `{name}` needs {needs}; there {found}")]
    Absent {
        /// The name asked for.
        name: String,
        /// The parts that it needs.
        needs: &'static str,
        /// The parts that are there.
        found: String,
    },
    /// A part does not have the shape that its name stands for.
    #[error("`{name}` of {origin} holds {shape:?} per video, where frame features `(T, D)` are needed")]
    Shape {
        /// The part, or the name of the features.
        name: String,
        /// Its file.
        origin: String,
        /// Its shape per row.
        shape: Vec<usize>,
    },
    /// A video has no row.
    #[error("{origin} has no row for video {id}")]
    NoRow {
        /// The file.
        origin: String,
        /// The video.
        id: String,
    },
    /// A row holds numbers that are not finite.
    #[error("{origin}: the row of video {id} holds NaN or infinity; embed it again or leave the video out")]
    NotFinite {
        /// The file.
        origin: String,
        /// The video.
        id: String,
    },
    /// A row cannot be read.
    #[error("{origin}: the row of video {id} cannot be read: {cause}")]
    Read {
        /// The file.
        origin: String,
        /// The video.
        id: String,
        /// The system's error.
        cause: std::io::Error,
    },
}

/// The representations that the parts of `lift embed` give; features of other programs have other names.
pub const OWN_NAMES: [&str; 8] =
    ["lift", "odd", "even", "static", "dynamic", "mean", "frames-mean", "frames-concat"];

/// What is probed unless other representations are named, in the order of reports: of these, what the parts give, and then
/// every external matrix.
const DEFAULT: [&str; 5] = ["lift", "odd", "lift+odd", "frames-mean", "frames-concat"];

/// What stands for `lift` where the parts do not give it.
const HALVES: [&str; 2] = ["static", "dynamic"];

/// The end of a name that stands for the odd part of features in time.
const ODD: &str = ":odd";

/// Whether a representation of this name is made by LiFT.
pub fn reads_lift(name: &str) -> bool {
    name.split('+').any(|one| ["lift", "odd", "even", "static", "dynamic"].contains(&one.trim()))
}

/// Whether a representation of this name reads LiFT's embedding of the mirrored videos, unless that is stored.
pub fn reads_mirror(name: &str) -> bool {
    name.split('+').any(|one| ["odd", "even"].contains(&one.trim()))
}

impl StoredParts {
    /// The ids of the parts, which have the same rows, in the order of the rows; without a part, those of the first features.
    pub fn ids(&self) -> Vec<String> {
        let first = self.own.values().chain(self.external.values()).next();
        let ids = first.map(Matrix::ids).unwrap_or_default();
        ids.into_iter().map(str::to_owned).collect()
    }

    /// The representation of a name; `a+b` joins several.
    ///
    /// # Errors
    /// [`RepresentationError::Absent`] if the parts for it are not there, [`RepresentationError::Shape`] if they have
    /// another shape.
    pub fn representation(&self, name: &str) -> Result<Representation, RepresentationError> {
        let pieces = name.split('+').map(|one| self.pieces(one.trim())).collect::<Result<Vec<_>, _>>()?;
        let widths = pieces.iter().map(|one| one.iter().map(Piece::width).sum()).collect();
        Ok(Representation { name: name.to_owned(), pieces: pieces.concat(), widths, scaling: self.scaling })
    }

    /// The parts of the same videos in reversed time: the frame features from the last to the first, LiFT's embedding of
    /// those if it is given, and the two halves of the embedding. Features from elsewhere cannot be reversed.
    pub fn reversed(&self, lift: Option<Matrix>) -> Self {
        let frames = self.own.get("frames").and_then(Matrix::reversed);
        let odd = self.odd().map(|odd| odd.negated());
        let own = [("frames", frames), ("concat", lift), ("odd", odd), ("even", self.even())];
        let own = own.into_iter().filter_map(|(name, matrix)| Some((name.to_owned(), matrix?)));
        Self { own: own.collect(), scaling: self.scaling, ..Self::default() }
    }

    /// What the embedding keeps its sign of when time runs backwards.
    fn even(&self) -> Option<Matrix> {
        let halves = || self.own.get("concat")?.even(self.own.get("reversed")?);
        self.own.get("even").cloned().or_else(halves)
    }

    /// What changes its sign.
    fn odd(&self) -> Option<Matrix> {
        let halves = || self.own.get("concat")?.odd(self.own.get("reversed")?);
        self.own.get("odd").cloned().or_else(halves)
    }

    /// What is probed where no representation is named: the embedding, its odd part, both together, the frames' baselines,
    /// and the features from elsewhere; the embedding's halves where only those are stored.
    ///
    /// # Errors
    /// As [`StoredParts::representation`], for parts of a wrong shape.
    pub fn all(&self) -> Result<Vec<Representation>, RepresentationError> {
        let names = match self.representation("lift") {
            Err(RepresentationError::Absent { .. }) => [&HALVES[..], &DEFAULT[..]].concat(),
            _ => DEFAULT.to_vec(),
        };
        let names = names.into_iter().chain(self.external.keys().map(String::as_str));
        let found = names.map(|name| self.representation(name));
        found.filter(|found| !matches!(found, Err(RepresentationError::Absent { .. }))).collect()
    }

    fn pieces(&self, name: &str) -> Result<Vec<Piece>, RepresentationError> {
        if let Some(matrix) = self.external.get(name) {
            return Ok(vec![whole(matrix)]);
        }
        if let Some(base) = name.strip_suffix(ODD) {
            return self.odd_in_time(name, base);
        }
        let half = |part: &str, second: bool| -> Option<Piece> {
            if let Some(matrix) = self.own.get(part) {
                return Some(whole(matrix));
            }
            let concat = self.own.get("concat")?;
            let width = concat.width() / 2;
            Some(Piece { matrix: concat.clone(), view: View::Span(if second { width } else { 0 }, width) })
        };
        let (found, needs) = match name {
            "lift" => {
                let concat = self.own.get("concat").map(|matrix| vec![whole(matrix)]);
                let joined = || Some(vec![half("static", false)?, half("dynamic", true)?]);
                (concat.or_else(joined), "part `concat`, or `static` and `dynamic`")
            }
            "odd" => (
                self.odd().as_ref().map(|matrix| vec![whole(matrix)]),
                "part `odd`, or `concat` and `reversed` (lift embed --parts concat,reversed)",
            ),
            "even" => (
                self.even().as_ref().map(|matrix| vec![whole(matrix)]),
                "part `even`, or `concat` and `reversed` (lift embed --parts concat,reversed)",
            ),
            "static" => (half(name, false).map(|piece| vec![piece]), "part `static` or `concat`"),
            "dynamic" => (half(name, true).map(|piece| vec![piece]), "part `dynamic` or `concat`"),
            "mean" => (
                self.own.get(name).map(|matrix| vec![whole(matrix)]),
                "part `mean` (lift embed --parts mean)",
            ),
            "frames-concat" | "frames-mean" => {
                let piece = self.own.get("frames").map(|matrix| match name {
                    "frames-mean" => Piece { matrix: matrix.clone(), view: View::Mean },
                    _ => whole(matrix),
                });
                if let Some(Piece { matrix, .. }) = &piece
                    && matrix.shape.len() != 2
                {
                    return Err(RepresentationError::Shape {
                        name: "frames".to_owned(),
                        origin: matrix.origin.clone(),
                        shape: matrix.shape.clone(),
                    });
                }
                (piece.map(|piece| vec![piece]), "part `frames` (lift embed --parts frames)")
            }
            _ => (
                None,
                "features of that name (--features NAME=FILE of eval-cia and probe), since of embeddings only lift, static, \
                 dynamic, odd, even, mean, frames-mean and frames-concat are representations",
            ),
        };
        found.ok_or_else(|| self.absent(name, needs))
    }

    /// The odd part in time of the frames of `base`: `frames-concat`, or features from elsewhere.
    fn odd_in_time(&self, name: &str, base: &str) -> Result<Vec<Piece>, RepresentationError> {
        let matrix = if base == "frames-concat" { self.own.get("frames") } else { self.external.get(base) };
        let Some(matrix) = matrix else {
            let needs =
                "frame features (T, D): frames-concat, or a name given with --features, stands before `:odd`";
            return Err(self.absent(name, needs));
        };
        let odd = matrix.reversed().and_then(|reversed| matrix.odd(&reversed));
        odd.map(|odd| vec![whole(&odd)]).ok_or_else(|| RepresentationError::Shape {
            name: base.to_owned(),
            origin: matrix.origin.clone(),
            shape: matrix.shape.clone(),
        })
    }

    fn absent(&self, name: &str, needs: &'static str) -> RepresentationError {
        let names: Vec<&str> = self.own.keys().chain(self.external.keys()).map(String::as_str).collect();
        let found = match names.as_slice() {
            [] => "is nothing".to_owned(),
            names => format!("is {}", names.join(", ")),
        };
        RepresentationError::Absent { name: name.to_owned(), needs, found }
    }
}

fn whole(matrix: &Matrix) -> Piece {
    Piece { view: View::Span(0, matrix.width()), matrix: matrix.clone() }
}

impl Representation {
    /// Numbers per video.
    pub fn width(&self) -> usize {
        self.pieces.iter().map(Piece::width).sum()
    }

    /// Numbers per video of each of the parts that its name joins.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// How its parts are scaled before it is probed; [`rows`](Self::rows) gives them as they are.
    pub fn scaling(&self) -> Scaling {
        self.scaling
    }

    /// The file of its first part, for messages.
    pub fn origin(&self) -> String {
        self.pieces.first().map_or_else(String::new, |piece| piece.matrix.origin.clone())
    }

    /// The ids of the videos that every piece has a row for, in the order of the first piece's rows.
    pub fn ids(&self) -> Vec<&str> {
        let Some(first) = self.pieces.first() else { return vec![] };
        first.matrix.ids().into_iter().filter(|id| self.has(id)).collect()
    }

    /// Whether every piece has a row for the video.
    pub fn has(&self, id: &str) -> bool {
        self.pieces.iter().all(|piece| piece.matrix.index.contains_key(id))
    }

    /// The rows of some videos, row-major `(N, width)` f32.
    ///
    /// # Errors
    /// [`RepresentationError`] for a video without a row, and for a row that cannot be read or is not finite.
    pub fn rows<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Result<Vec<f32>, RepresentationError> {
        let mut rows = Vec::with_capacity(ids.size_hint().0 * self.width());
        let mut stored = Vec::new();
        for id in ids {
            for piece in &self.pieces {
                let origin = || piece.matrix.origin.clone();
                let row = piece.matrix.index.get(id);
                let &row =
                    row.ok_or_else(|| RepresentationError::NoRow { origin: origin(), id: id.to_owned() })?;
                stored.resize(piece.matrix.width(), 0.0);
                piece.matrix.source.copy_row(row, &mut stored).map_err(|cause| {
                    RepresentationError::Read { origin: origin(), id: id.to_owned(), cause }
                })?;
                if !stored.iter().all(|x| x.is_finite()) {
                    return Err(RepresentationError::NotFinite { origin: origin(), id: id.to_owned() });
                }
                match piece.view {
                    View::Span(from, width) => rows.extend_from_slice(&stored[from..from + width]),
                    View::Mean => rows.extend(mean_over_time(&stored, piece.matrix.shape[1])),
                }
            }
        }
        Ok(rows)
    }
}

/// `(T, D)` to `(D,)`. A column is sorted before it is summed, so that the frames' order does not change one bit.
fn mean_over_time(frames: &[f32], width: usize) -> impl Iterator<Item = f32> {
    let count = (frames.len() / width) as f64;
    let mut column = Vec::new();
    (0..width).map(move |at| {
        column.clear();
        column.extend(frames.iter().skip(at).step_by(width));
        column.sort_unstable_by(f32::total_cmp);
        (column.iter().map(|&x| f64::from(x)).sum::<f64>() / count) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(shape: &[usize], rows: &[f32]) -> Matrix {
        let index = HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 0)]);
        Matrix {
            origin: "e.npz".into(),
            index: Arc::new(index),
            shape: shape.into(),
            source: Arc::new(rows.to_vec()),
        }
    }

    fn row(representation: &Representation, id: &str) -> Vec<f32> {
        let row = representation.rows(std::iter::once(id)).unwrap();
        assert_eq!(row.len(), representation.width());
        row
    }

    fn parts() -> StoredParts {
        let mut parts = StoredParts::default();
        parts.own.insert("concat".into(), matrix(&[4], &[0., 1., 2., 3., 4., 5., 6., 7.]));
        parts.own.insert("frames".into(), matrix(&[2, 2], &[0., 0., 0., 0., 1., 2., 3., 6.]));
        parts.external.insert("clip".into(), matrix(&[1], &[8., 9.]));
        parts
    }

    #[test]
    fn views_of_the_parts() {
        let of = |name: &str| row(&parts().representation(name).unwrap(), "a");
        assert_eq!(of("lift"), [4., 5., 6., 7.]);
        assert_eq!(of("static"), [4., 5.]);
        assert_eq!(of("dynamic"), [6., 7.]);
        assert_eq!(of("frames-mean"), [2., 4.]);
        assert_eq!(of("frames-concat"), [1., 2., 3., 6.]);
        assert_eq!(of("lift+clip"), [4., 5., 6., 7., 9.]);
        let names: Vec<String> = parts().all().unwrap().into_iter().map(|all| all.name).collect();
        assert_eq!(names, ["lift", "frames-mean", "frames-concat", "clip"]);
        let mut halves = parts();
        halves.own.remove("concat");
        halves.own.insert("static".into(), matrix(&[1], &[0., 1.]));
        let names: Vec<String> = halves.all().unwrap().into_iter().map(|all| all.name).collect();
        assert_eq!(names, ["static", "frames-mean", "frames-concat", "clip"]);
    }

    #[test]
    fn odd_and_even_come_from_the_part_or_from_both_directions_of_time() {
        let mut parts = parts();
        parts.own.insert("reversed".into(), matrix(&[4], &[0., 0., 0., 0., 2., 9., 6., 5.]));
        let of = |parts: &StoredParts, name: &str| row(&parts.representation(name).unwrap(), "a");
        assert_eq!(of(&parts, "odd"), [1., -2., 0., 1.]);
        assert_eq!(of(&parts, "even"), [3., 7., 6., 6.]);
        assert_eq!(of(&parts, "lift+odd"), [4., 5., 6., 7., 1., -2., 0., 1.]);
        let names: Vec<String> = parts.all().unwrap().into_iter().map(|all| all.name).collect();
        assert_eq!(names, ["lift", "odd", "lift+odd", "frames-mean", "frames-concat", "clip"]);
        let back = parts.reversed(None);
        assert_eq!((of(&back, "odd"), of(&back, "even")), (vec![-1., 2., 0., -1.], of(&parts, "even")));
        parts.own.insert("odd".into(), matrix(&[4], &[0.; 8]));
        assert_eq!(of(&parts, "odd"), [0.; 4]);
        assert!(reads_mirror("lift+odd") && reads_mirror("even") && !reads_mirror("lift+clip:odd"));
    }

    #[test]
    fn the_odd_part_of_frames_is_half_their_difference_from_the_reversed_frames() {
        let mut parts = parts();
        let of = |parts: &StoredParts, name: &str| row(&parts.representation(name).unwrap(), "a");
        assert_eq!(of(&parts, "frames-concat:odd"), [-1., -2., 1., 2.]);
        assert_eq!(of(&parts.reversed(None), "frames-concat:odd"), [1., 2., -1., -2.]);
        parts.external.insert("other".into(), matrix(&[3, 1], &[0., 0., 0., 1., 5., 4.]));
        assert_eq!(of(&parts, "other:odd"), [-1.5, 0., 1.5]);
        assert_eq!(of(&parts, "lift+other:odd"), [4., 5., 6., 7., -1.5, 0., 1.5]);
        let message = |name: &str| parts.representation(name).err().unwrap().to_string();
        assert!(
            message("clip:odd").contains("`clip` of e.npz holds [1] per video"),
            "{}",
            message("clip:odd")
        );
        assert!(message("lift:odd").contains("stands before `:odd`"), "{}", message("lift:odd"));
        assert!(message("odd").contains("--parts concat,reversed"), "{}", message("odd"));
    }

    #[test]
    fn static_and_dynamic_together_make_lift() {
        let mut parts = StoredParts::default();
        parts.own.insert("static".into(), matrix(&[2], &[0., 1., 2., 3.]));
        assert!(parts.representation("lift").is_err());
        parts.own.insert("dynamic".into(), matrix(&[1], &[7., 8.]));
        assert_eq!(row(&parts.representation("lift").unwrap(), "a"), [2., 3., 8.]);
    }

    #[test]
    fn reversed_time_reverses_the_frames_and_needs_lift_for_the_embedding() {
        let reversed = parts().reversed(None);
        let of = |name: &str| row(&reversed.representation(name).unwrap(), "a");
        assert_eq!(of("frames-concat"), [3., 6., 1., 2.]);
        assert_eq!(of("frames-mean"), [2., 4.]);
        assert!(reversed.representation("lift").is_err() && reversed.representation("clip").is_err());
        let lift = matrix(&[4], &[0., 0., 0., 0., 9., 8., 7., 6.]);
        assert_eq!(row(&parts().reversed(Some(lift)).representation("dynamic").unwrap(), "a"), [7., 6.]);
    }

    #[test]
    fn what_is_absent_is_named() {
        let message = |name: &str| parts().representation(name).err().unwrap().to_string();
        assert_eq!(
            message("lift+vjepa"),
            "representation `vjepa` needs features of that name (--features NAME=FILE of eval-cia and probe), since of embeddings only lift, static, \
             dynamic, odd, even, mean, frames-mean and frames-concat are representations; there is concat, frames, clip"
        );
        let lift = parts().representation("lift").unwrap();
        assert!(!lift.has("c"));
        assert_eq!(lift.rows(["c"].into_iter()).unwrap_err().to_string(), "e.npz has no row for video c");
        let mut parts = parts();
        parts.external.insert("bad".into(), matrix(&[1], &[0., f32::NAN]));
        let bad = parts.representation("bad").unwrap().rows(["a"].into_iter()).unwrap_err();
        assert!(bad.to_string().contains("row of video a holds NaN"));
    }
}
