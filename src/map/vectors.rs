//! The rows of a representation in memory: what is laid out, grouped and compared.

use crate::cia::representations::StoredParts;
use crate::search::{SearchError, SearchRows, Units};
use crate::vector::unit_scale;

/// Rows that are read at a time where all are gone through.
pub(super) const BLOCK: usize = 512;

/// Rows of a representation, `(N, W)` f32, with their ids.
#[derive(Debug, Clone)]
pub struct Vectors {
    ids: Vec<String>,
    width: usize,
    values: Vec<f32>,
    /// What each row is multiplied by to have length 1; 0 for a row of zeros.
    scales: Vec<f32>,
}

impl Vectors {
    /// The rows `ids` of the representation `name`.
    ///
    /// # Errors
    /// If the parts do not give it, or a row cannot be read or is not finite.
    pub fn read(parts: &StoredParts, name: &str, ids: &[String]) -> Result<Self, SearchError> {
        let representation = parts.representation(name)?;
        let values = representation.rows(ids.iter().map(String::as_str))?;
        Ok(Self::new(ids.to_vec(), representation.width(), values))
    }

    /// Rows `values (N, W)` with their ids.
    pub(super) fn new(ids: Vec<String>, width: usize, values: Vec<f32>) -> Self {
        let scales = values.chunks_exact(width.max(1)).map(|row| unit_scale(row) as f32).collect();
        Self { ids, width, values, scales }
    }

    /// The ids, in the order of the rows.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// `N`.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Row `row` as it is stored, `(W)`.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..][..self.width]
    }

    /// `count` rows from `first` on, each of length 1, `(count, W)`.
    pub(super) fn unit_rows(&self, first: usize, count: usize) -> Vec<f32> {
        let mut rows = Vec::new();
        self.copy_units(first, count, &mut rows);
        rows
    }

    fn copy_units(&self, first: usize, count: usize, rows: &mut Vec<f32>) {
        rows.clear();
        rows.extend_from_slice(&self.values[first * self.width..][..count * self.width]);
        for (row, scale) in rows.chunks_exact_mut(self.width.max(1)).zip(&self.scales[first..]) {
            row.iter_mut().for_each(|x| *x *= scale);
        }
    }

    /// The first rows of all blocks, with the lengths of the blocks.
    pub(super) fn blocks(&self) -> Vec<(usize, usize)> {
        (0..self.len()).step_by(BLOCK).map(|first| (first, BLOCK.min(self.len() - first))).collect()
    }
}

impl SearchRows for Vectors {
    fn rows(&self) -> usize {
        self.len()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn units(&self, first: usize, count: usize, out: &mut Units) -> Result<(), SearchError> {
        match out {
            Units::Plain(rows) => self.copy_units(first, count, rows),
            Units::Coded { .. } => *out = Units::Plain(self.unit_rows(first, count)),
        }
        Ok(())
    }

    fn exact(&self, row: usize) -> Result<Vec<f32>, SearchError> {
        Ok(self.row(row).to_vec())
    }

    fn id(&self, row: usize) -> Result<String, SearchError> {
        Ok(self.ids[row].clone())
    }
}

#[cfg(test)]
pub(super) mod testing {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// `groups` groups of rows around random directions of 24 numbers; row `i` is of the group `i % groups`.
    pub(crate) fn groups(count: usize, groups: usize, spread: f32) -> Vectors {
        const WIDTH: usize = 24;
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut vector =
            |size: f32| (0..WIDTH).map(|_| random.random_range(-size..size)).collect::<Vec<f32>>();
        let centres: Vec<Vec<f32>> = (0..groups).map(|_| vector(1.0)).collect();
        let mut values = Vec::new();
        for row in 0..count {
            values.extend(centres[row % groups].iter().zip(vector(spread)).map(|(c, x)| 3.0 * (c + x)));
        }
        Vectors::new((0..count).map(|row| format!("clip {row:05}")).collect(), WIDTH, values)
    }
}
