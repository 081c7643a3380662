//! How much a representation depends on the order of the frames.
//!
//! The frames of each video are reversed, or cut into `K` chunks whose order is drawn anew (never the order they have). The
//! representation is computed again of the same frame features; no frame is decoded. A classifier that was fitted on videos in
//! their own order is scored on the changed ones: what it loses is what it read in the order.

use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::cia::representations::{
    Matrix, Representation, RepresentationError, RowSource, StoredParts, reads_lift, reads_mirror,
};
use crate::vector::length;

/// The numbers of chunks of the gradient.
pub const CHUNKS: [usize; 5] = [1, 2, 4, 8, 16];

/// A change of the frames' order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// From the last frame to the first.
    Reversed,
    /// This many chunks in another order, one draw per video.
    Shuffled(usize),
}

impl Change {
    /// The changes that videos of `frames` frames allow: reversed, and shuffled in 1, 2, 4, 8 and 16 chunks.
    pub fn all(frames: usize) -> Vec<Self> {
        let shuffled = CHUNKS.into_iter().filter(|chunks| *chunks <= frames).map(Self::Shuffled);
        std::iter::once(Self::Reversed).chain(shuffled).collect()
    }

    /// Its name in a report.
    pub fn name(self) -> String {
        match self {
            Self::Reversed => "reversed".to_owned(),
            Self::Shuffled(1) => "as they are".to_owned(),
            Self::Shuffled(chunks) => format!("shuffled in {chunks} chunks"),
        }
    }

    /// Whether other draws give another order.
    pub fn is_drawn(self) -> bool {
        matches!(self, Self::Shuffled(2..))
    }

    /// The order of `frames` frames: the old place of each new one.
    fn order(self, frames: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
        let Self::Shuffled(chunks) = self else { return (0..frames).rev().collect() };
        let mut order: Vec<usize> = (0..chunks).collect();
        while chunks > 1 && order.is_sorted() {
            order.shuffle(random);
        }
        let start = |chunk: usize| chunk * frames / chunks;
        order.into_iter().flat_map(|chunk| start(chunk)..start(chunk + 1)).collect()
    }
}

/// What a change of the order did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrderScore {
    /// The representation.
    pub representation: String,
    /// The change.
    pub frames: String,
    /// The mean cosine of a video's representation and the changed one's, over videos and draws.
    pub cosine: f64,
    /// The mean distance of the two, as a share of the first's length: 0 where not one bit changes.
    pub distance: f64,
    /// The accuracy on changed test videos, percent; absent without labels.
    pub accuracy: Option<f64>,
}

/// Frame features `(T, D)` in another order; `None` for rows of another shape.
pub fn changed(frames: &Matrix, change: Change, seed: u64) -> Option<Matrix> {
    let &[_, width] = frames.shape.as_slice() else { return None };
    let source = Reordered { source: frames.source.clone(), width, change, seed };
    Some(Matrix { source: Arc::new(source), ..frames.clone() })
}

struct Reordered {
    source: Arc<dyn RowSource>,
    width: usize,
    change: Change,
    seed: u64,
}

impl RowSource for Reordered {
    fn copy_row(&self, row: usize, out: &mut [f32]) -> std::io::Result<()> {
        let mut frames = vec![0.0; out.len()];
        self.source.copy_row(row, &mut frames)?;
        // A stream per row: each video has an order of its own, whatever is read before it.
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(row as u64);
        let order = self.change.order(out.len() / self.width, &mut random);
        for (out, from) in out.chunks_exact_mut(self.width).zip(order) {
            out.copy_from_slice(&frames[from * self.width..][..self.width]);
        }
        Ok(())
    }
}

/// The parts of videos whose frame features are `frames`: these, and what LiFT makes of them if `names` read it.
///
/// `lift` computes LiFT's embeddings `[static, dynamic]` of frame features.
///
/// # Errors
/// What `lift` says.
pub fn parts<E>(
    frames: &Matrix,
    names: &[String],
    lift: &mut dyn FnMut(&Matrix) -> Result<Matrix, E>,
) -> Result<StoredParts, E> {
    let mut parts = StoredParts::default();
    if names.iter().any(|name| reads_lift(name)) {
        parts.own.insert("concat".into(), lift(frames)?);
    }
    if let (true, Some(mirrored)) = (names.iter().any(|name| reads_mirror(name)), frames.reversed()) {
        parts.own.insert("reversed".into(), lift(&mirrored)?);
    }
    parts.own.insert("frames".into(), frames.clone());
    Ok(parts)
}

/// The mean cosine and the mean distance, as a share of the first's length, of two representations of the same videos.
///
/// # Errors
/// As [`Representation::rows`].
pub fn apart(
    one: &Representation,
    other: &Representation,
    ids: &[&str],
) -> Result<[f64; 2], RepresentationError> {
    let mut sums = [0.0; 2];
    for id in ids {
        let (a, b) = (one.rows(std::iter::once(*id))?, other.rows(std::iter::once(*id))?);
        if a == b {
            sums[0] += 1.0;
            continue;
        }
        let (long, other_long) = (length(&a).max(f64::MIN_POSITIVE), length(&b).max(f64::MIN_POSITIVE));
        let product: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let square: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        sums[0] += product / long / other_long;
        sums[1] += square.sqrt() / long;
    }
    Ok(sums.map(|sum| sum / ids.len().max(1) as f64))
}

#[cfg(test)]
mod tests {
    use super::super::goldens::noise;
    use super::*;
    use std::collections::HashMap;

    fn frames() -> Matrix {
        let values: Vec<f32> =
            (0..6 * 16 * 5).map(|at| (noise(at, 1, 2) * (noise(at, 3, 4) * 20.0).exp2()) as f32).collect();
        let index: HashMap<String, usize> = (0..6).map(|row| (row.to_string(), row)).collect();
        Matrix { origin: "f".into(), index: Arc::new(index), shape: vec![16, 5], source: Arc::new(values) }
    }

    #[test]
    fn the_mean_of_the_frames_does_not_change_by_one_bit_and_their_sequence_does() {
        let of = |frames: &Matrix, name: &str| {
            let none = &mut |_: &Matrix| Err(());
            parts(frames, &[name.to_owned()], none).unwrap().representation(name).unwrap()
        };
        let ids: Vec<String> = (0..6).map(|id| id.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert_eq!(Change::all(16).len(), 6);
        for change in Change::all(16) {
            for seed in 0..5 {
                let other = changed(&frames(), change, seed).unwrap();
                let mean = apart(&of(&frames(), "frames-mean"), &of(&other, "frames-mean"), &ids).unwrap();
                assert_eq!(mean, [1.0, 0.0], "{change:?}");
                let all = apart(&of(&frames(), "frames-concat"), &of(&other, "frames-concat"), &ids).unwrap();
                assert_eq!(all == [1.0, 0.0], change == Change::Shuffled(1), "{change:?} {all:?}");
            }
        }
    }

    #[test]
    fn chunks_keep_their_frames_and_never_their_order() {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        assert_eq!(Change::Shuffled(2).order(5, &mut random), [2, 3, 4, 0, 1]);
        assert_eq!(Change::Shuffled(1).order(3, &mut random), [0, 1, 2]);
        assert_eq!(Change::Reversed.order(3, &mut random), [2, 1, 0]);
        for _ in 0..100 {
            let order = Change::Shuffled(4).order(10, &mut random);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(!order.is_sorted() && sorted.is_sorted() && sorted.len() == 10, "{order:?}");
        }
    }
}
