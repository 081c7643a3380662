//! The rows of a collection as they are stored, for collections that are not prepared.

use super::SearchError;
use super::scan::{SearchRows, Units};
use crate::cia::representations::Representation;
use crate::vector::scale_to_unit;

/// A representation of a collection, `(N, W)`.
pub struct StoredRows {
    representation: Representation,
    ids: Vec<String>,
}

impl StoredRows {
    /// The rows `ids` of a representation.
    pub fn new(representation: Representation, ids: Vec<String>) -> Self {
        Self { representation, ids }
    }

    /// The ids, in the order of the rows.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }
}

impl StoredRows {
    /// `count` rows from `first` on, each scaled to length 1, `(count, W)`; a zero row stays zero.
    pub(super) fn unit_rows(&self, first: usize, count: usize) -> Result<Vec<f32>, SearchError> {
        let ids = self.ids[first..][..count].iter().map(String::as_str);
        let mut rows = self.representation.rows(ids)?;
        rows.chunks_exact_mut(self.width()).for_each(scale_to_unit);
        Ok(rows)
    }
}

impl SearchRows for StoredRows {
    fn rows(&self) -> usize {
        self.ids.len()
    }

    fn width(&self) -> usize {
        self.representation.width()
    }

    fn units(&self, first: usize, count: usize, out: &mut Units) -> Result<(), SearchError> {
        *out = Units::Plain(self.unit_rows(first, count)?);
        Ok(())
    }

    fn exact(&self, row: usize) -> Result<Vec<f32>, SearchError> {
        Ok(self.representation.rows(std::iter::once(self.ids[row].as_str()))?)
    }

    fn id(&self, row: usize) -> Result<String, SearchError> {
        Ok(self.ids[row].clone())
    }
}
