//! Scales the parts of a representation, so that none outweighs the others by the size of its numbers.
//!
//! The paper joins parts as they are. Then a part of large numbers decides alone, and a part of small ones counts for nothing. What is
//! learned for scaling is learned on the training rows alone.

use super::linalg::FeatureRows;
use crate::vector::scale_to_unit;

/// How each part is scaled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Scaling {
    /// Not at all
    // As in the paper.
    #[default]
    None,
    /// Every number to mean 0 and standard deviation 1 over the training videos
    // As scikit-learn's `StandardScaler`.
    Standardize,
    /// The part of every video to length 1
    Unit,
}

impl Scaling {
    /// Its name in reports; `None` for the paper's way.
    pub fn named(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Standardize => Some("standardize"),
            Self::Unit => Some("unit"),
        }
    }

    /// Learns the scaling on training rows `(N, D)` whose parts have `widths` numbers.
    pub fn learn(self, rows: &[f32], widths: &[usize]) -> LearnedScaling {
        match self {
            Self::None => LearnedScaling::None,
            Self::Unit => LearnedScaling::Unit(widths.to_vec()),
            Self::Standardize => {
                let mut columns = ColumnMoments::default();
                columns.add(FeatureRows::new(rows, widths.iter().sum()));
                LearnedScaling::Columns(columns.affine())
            }
        }
    }
}

/// What is subtracted from each number of a row and then multiplied with it, `(D)`.
pub type Affine = Vec<(f64, f64)>;

/// A scaling that training rows have decided.
#[derive(Debug, Clone, PartialEq)]
pub enum LearnedScaling {
    /// None.
    None,
    /// Of every number.
    Columns(Affine),
    /// The parts, of these widths, to length 1.
    Unit(Vec<usize>),
}

impl LearnedScaling {
    /// Scales rows `(M, D)`.
    pub fn apply(&self, rows: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Columns(columns) => {
                for row in rows.chunks_exact_mut(columns.len().max(1)) {
                    let each = row.iter_mut().zip(columns);
                    each.for_each(|(x, (mean, scale))| *x = ((f64::from(*x) - mean) * scale) as f32);
                }
            }
            Self::Unit(widths) => unit(rows, widths),
        }
    }
}

/// Scales the parts of rows, of these widths, to length 1; a part of zeros stays zero.
pub fn unit(rows: &mut [f32], widths: &[usize]) {
    for mut row in rows.chunks_exact_mut(widths.iter().sum::<usize>().max(1)) {
        for &width in widths {
            let (part, rest) = row.split_at_mut(width);
            scale_to_unit(part);
            row = rest;
        }
    }
}

/// The mean and the deviation of columns, summed in one pass (Welford), block by block.
#[derive(Debug, Default)]
pub struct ColumnMoments {
    rows: f64,
    /// The mean, and the sum of the squared distances from it.
    columns: Vec<(f64, f64)>,
}

impl ColumnMoments {
    /// Takes more rows.
    pub fn add(&mut self, rows: FeatureRows) {
        self.columns.resize(rows.width(), (0.0, 0.0));
        for row in rows.iter() {
            self.rows += 1.0;
            for ((mean, squares), &x) in self.columns.iter_mut().zip(row) {
                let apart = f64::from(x) - *mean;
                *mean += apart / self.rows;
                *squares += apart * (f64::from(x) - *mean);
            }
        }
    }

    /// What makes the mean of every column 0 and its standard deviation (over `N`) 1; a column that does not vary is only centred.
    pub fn affine(&self) -> Affine {
        let scale = |squares: f64| {
            let deviation = (squares / self.rows.max(1.0)).sqrt();
            if deviation > 0.0 { 1.0 / deviation } else { 1.0 }
        };
        self.columns.iter().map(|(mean, squares)| (*mean, scale(*squares))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_get_mean_0_and_deviation_1_by_the_training_rows_alone() {
        let learned = Scaling::Standardize.learn(&[1.0, 7.0, 3.0, 7.0], &[1, 1]);
        let mut rows = [1.0, 7.0, 3.0, 7.0, 5.0, 8.0];
        learned.apply(&mut rows);
        assert_eq!(rows, [-1.0, 0.0, 1.0, 0.0, 3.0, 1.0]);
    }

    #[test]
    fn each_part_of_a_row_gets_length_1() {
        let mut rows = [3.0, 4.0, -0.01, 0.0, 0.0, 5.0];
        Scaling::Unit.learn(&[], &[2, 1]).apply(&mut rows);
        assert_eq!(rows, [0.6, 0.8, -1.0, 0.0, 0.0, 1.0]);
        let mut same = rows;
        Scaling::None.learn(&rows, &[2, 1]).apply(&mut same);
        assert_eq!(same, rows);
    }
}
