//! The rows of a representation for some videos, read block by block.
//!
//! Small matrices are held in memory. Larger ones are read again in each pass, so that the memory needed does not depend on the
//! number of videos.

use crate::cia::linalg::FeatureRows;
use crate::cia::representations::{Representation, RepresentationError};

/// Matrices of at most this many bytes are held.
const HELD: usize = 256 << 20;
/// Numbers in one block.
const BLOCK: usize = 1 << 21;

/// The features of some videos, `(N, D)` f32.
pub struct Features<'a> {
    representation: &'a Representation,
    ids: Vec<&'a str>,
    held: Option<Vec<f32>>,
}

impl<'a> Features<'a> {
    /// The rows of `ids`, in their order.
    ///
    /// # Errors
    /// As [`Representation::rows`].
    pub fn open(representation: &'a Representation, ids: Vec<&'a str>) -> Result<Self, RepresentationError> {
        let small = ids.len() * representation.width() * size_of::<f32>() <= HELD;
        let held = small.then(|| representation.rows(ids.iter().copied())).transpose()?;
        Ok(Self { representation, ids, held })
    }

    /// The same, where nothing is read before it is needed.
    pub fn lazy(representation: &'a Representation, ids: Vec<&'a str>) -> Self {
        Self { representation, ids, held: None }
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
        match &self.held {
            Some(all) => {
                Ok(rows.iter().flat_map(|&row| &all[row * width..(row + 1) * width]).copied().collect())
            }
            None => self.representation.rows(rows.iter().map(|&row| self.ids[row])),
        }
    }
}
