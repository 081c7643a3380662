//! Matrices of the mirrored videos, and the halves of a matrix that keep and that change their sign under mirroring.
//!
//! The rows are computed when they are read, so that what does not fit in memory can stay on disk. The arithmetic is that
//! of [`crate::model::symmetry`].

use std::sync::Arc;

use super::representations::{Matrix, RowSource};
use crate::model::symmetry;

impl Matrix {
    /// Frame features `(T, D)` from the last frame to the first; `None` for rows of another shape.
    pub fn reversed(&self) -> Option<Self> {
        let &[_, width] = self.shape.as_slice() else { return None };
        Some(Self { source: Arc::new(Reversed { source: self.source.clone(), width }), ..self.clone() })
    }

    /// `(self - mirror)/2`, where `mirror` holds the mirrored videos in the same rows; `None` if its rows are others.
    pub(super) fn odd(&self, mirror: &Self) -> Option<Self> {
        self.half(mirror, symmetry::odd)
    }

    /// `(self + mirror)/2`, as [`Matrix::odd`].
    pub(super) fn even(&self, mirror: &Self) -> Option<Self> {
        self.half(mirror, symmetry::even)
    }

    fn half(&self, mirror: &Self, of: fn(&[f32], &[f32]) -> Vec<f32>) -> Option<Self> {
        let same_rows = Arc::ptr_eq(&self.index, &mirror.index) || self.index == mirror.index;
        if !same_rows || self.shape != mirror.shape {
            return None;
        }
        let (clip, mirror) = (self.source.clone(), mirror.source.clone());
        Some(Self { source: Arc::new(Half { clip, mirror, of }), ..self.clone() })
    }

    /// Every number with the other sign.
    pub(super) fn negated(&self) -> Self {
        Self { source: Arc::new(Negated(self.source.clone())), ..self.clone() }
    }
}

/// Frames of `width` numbers each, in reversed order.
struct Reversed {
    source: Arc<dyn RowSource>,
    width: usize,
}

impl RowSource for Reversed {
    fn copy_row(&self, row: usize, out: &mut [f32]) -> std::io::Result<()> {
        self.source.copy_row(row, out)?;
        // Reversing all numbers reverses the frames and the numbers in each; the second step undoes the latter.
        out.reverse();
        out.chunks_exact_mut(self.width).for_each(<[f32]>::reverse);
        Ok(())
    }
}

/// The even or the odd half.
struct Half {
    clip: Arc<dyn RowSource>,
    mirror: Arc<dyn RowSource>,
    of: fn(&[f32], &[f32]) -> Vec<f32>,
}

impl RowSource for Half {
    fn copy_row(&self, row: usize, out: &mut [f32]) -> std::io::Result<()> {
        let mut mirror = vec![0.0; out.len()];
        self.mirror.copy_row(row, &mut mirror)?;
        self.clip.copy_row(row, out)?;
        let half = (self.of)(out, &mirror);
        out.copy_from_slice(&half);
        Ok(())
    }
}

struct Negated(Arc<dyn RowSource>);

impl RowSource for Negated {
    fn copy_row(&self, row: usize, out: &mut [f32]) -> std::io::Result<()> {
        self.0.copy_row(row, out)?;
        out.iter_mut().for_each(|value| *value = -*value);
        Ok(())
    }
}
