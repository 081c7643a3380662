//! The rows of a representation for some videos, read block by block.
//!
//! Small matrices are held in memory. Larger ones are read again in each pass, so that the memory needed does not depend on the
//! number of videos.

use std::sync::Arc;

use crate::cia::linalg::FeatureRows;
use crate::cia::representations::{Representation, RepresentationError};
use crate::cia::scaling::{Affine, ColumnMoments, LearnedScaling, Scaling};

/// Matrices of at most this many bytes are held.
const HELD: usize = 256 << 20;
/// Numbers in one block.
const BLOCK: usize = 1 << 21;

/// The features of some videos, `(N, D)` f32.
pub struct Features<'a> {
    representation: &'a Representation,
    ids: Arc<[&'a str]>,
    held: Option<Arc<Vec<f32>>>,
    /// What is done to every row that is read.
    scaling: LearnedScaling,
}

impl<'a> Features<'a> {
    /// The rows of `ids`, in their order.
    ///
    /// # Errors
    /// As [`Representation::rows`].
    pub fn open(representation: &'a Representation, ids: Vec<&'a str>) -> Result<Self, RepresentationError> {
        let small = ids.len() * representation.width() * size_of::<f32>() <= HELD;
        let held = small.then(|| representation.rows(ids.iter().copied())).transpose()?;
        Ok(Self { held: held.map(Arc::new), ..Self::lazy(representation, ids) })
    }

    /// The same, where nothing is read before it is needed.
    pub fn lazy(representation: &'a Representation, ids: Vec<&'a str>) -> Self {
        // Length 1 needs nothing to be learned.
        let scaling = match representation.scaling() {
            Scaling::Unit => LearnedScaling::Unit(representation.widths().to_vec()),
            Scaling::None | Scaling::Standardize => LearnedScaling::None,
        };
        Self { representation, ids: ids.into(), held: None, scaling }
    }

    /// The features with every number scaled to mean 0 and standard deviation 1 over the videos `rows`, and how; `None` unless the
    /// representation asks for it.
    ///
    /// # Errors
    /// As [`Representation::rows`].
    pub fn standardized(&self, rows: &[usize]) -> Result<Option<(Self, Affine)>, RepresentationError> {
        if self.representation.scaling() != Scaling::Standardize {
            return Ok(None);
        }
        let mut moments = ColumnMoments::default();
        self.blocks(rows, |_, block| moments.add(block))?;
        let affine = moments.affine();
        let scaling = LearnedScaling::Columns(affine.clone());
        let (representation, ids, held) = (self.representation, self.ids.clone(), self.held.clone());
        Ok(Some((Self { representation, ids, held, scaling }, affine)))
    }

    /// Numbers per video, `D`.
    pub fn width(&self) -> usize {
        self.representation.width()
    }

    /// Calls `work` with blocks of the videos `rows`, in their order: their numbers, and their features.
    ///
    /// # Errors
    /// As [`Representation::rows`].
    pub fn blocks(
        &self,
        rows: &[usize],
        mut work: impl FnMut(&[usize], FeatureRows),
    ) -> Result<(), RepresentationError> {
        for rows in rows.chunks((BLOCK / self.width()).clamp(64, 4096)) {
            let values = self.rows(rows)?;
            work(rows, FeatureRows::new(&values, self.width()));
        }
        Ok(())
    }

    /// The features of the videos `rows`, row-major.
    ///
    /// # Errors
    /// As [`Representation::rows`].
    pub fn rows(&self, rows: &[usize]) -> Result<Vec<f32>, RepresentationError> {
        let width = self.width();
        let mut values: Vec<f32> = match &self.held {
            Some(all) => rows.iter().flat_map(|&row| &all[row * width..(row + 1) * width]).copied().collect(),
            None => self.representation.rows(rows.iter().map(|&row| self.ids[row]))?,
        };
        self.scaling.apply(&mut values);
        Ok(values)
    }
}
