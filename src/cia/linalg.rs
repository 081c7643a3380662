//! The dense matrix products and linear systems of the probes, on `faer`: features in f32, arithmetic in f64.
//!
//! Features stay in f32, as they are stored, and are converted to f64 and centred one block at a time. So the largest array
//! in memory is the smaller of the two Gram matrices. Only lower triangles are computed.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatMut, Par};

/// A linear decision function `w·x + b`; a positive value means forward.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearDecision {
    /// `w`, `(D,)`.
    pub weights: Vec<f64>,
    /// `b`.
    pub intercept: f64,
}

impl LinearDecision {
    /// The decision value of one video `(D,)`.
    pub fn decision(&self, row: &[f32]) -> f64 {
        dot(&self.weights, row) + self.intercept
    }
}

/// A borrowed row-major matrix `(N, D)` of f32, one row per video.
#[derive(Debug, Clone, Copy)]
pub struct FeatureRows<'a> {
    data: &'a [f32],
    width: usize,
}

impl<'a> FeatureRows<'a> {
    /// Takes `data` as rows of `width` numbers; an incomplete last row is left out.
    pub fn new(data: &'a [f32], width: usize) -> Self {
        Self { data, width: width.max(1) }
    }

    /// Videos, `N`.
    pub fn len(self) -> usize {
        self.data.len() / self.width
    }

    /// Whether there is no video.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Numbers per video, `D`.
    pub fn width(self) -> usize {
        self.width
    }

    /// The videos, each `D` numbers.
    pub fn iter(self) -> impl Iterator<Item = &'a [f32]> {
        self.data.chunks_exact(self.width)
    }

    /// The mean video `(D,)`.
    pub fn mean(self) -> Vec<f64> {
        let mut mean = vec![0.0; self.width];
        for row in self.iter() {
            for (sum, &x) in mean.iter_mut().zip(row) {
                *sum += f64::from(x);
            }
        }
        let scale = 1.0 / self.len().max(1) as f64;
        mean.iter_mut().for_each(|sum| *sum *= scale);
        mean
    }

    /// `Σ_i a_i (x_i - mean)`, `(D,)`: the primal weights of dual coefficients `(N,)`.
    pub fn combine(self, coefficients: &[f64], mean: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; self.width];
        for (row, &a) in self.iter().zip(coefficients) {
            for ((sum, &x), &m) in sum.iter_mut().zip(row).zip(mean) {
                *sum += a * (f64::from(x) - m);
            }
        }
        sum
    }

    /// The columns `at..at + mean.len()` of some videos, minus `mean`, as f64 `(columns, videos)`: transposed, so that both
    /// the row that is read and the column that is written are contiguous.
    pub fn block(self, videos: std::ops::Range<usize>, at: usize, mean: &[f64]) -> Mat<f64> {
        let mut block = Mat::zeros(mean.len(), videos.len());
        for (to, row) in videos.enumerate() {
            let row = &self.data[row * self.width + at..][..mean.len()];
            let column = block.col_mut(to).try_as_col_major_mut();
            if let Some(column) = column {
                for ((x64, &x), &m) in column.as_slice_mut().iter_mut().zip(row).zip(mean) {
                    *x64 = f64::from(x) - m;
                }
            }
        }
        block
    }
}

/// `w·x`, both `(D,)`, summed in f64.
pub fn dot(weights: &[f64], row: &[f32]) -> f64 {
    // Eight running sums: the order of the additions is fixed, and the compiler can vectorise them.
    let mut sums = [0.0; 8];
    let (mut w8, mut x8) = (weights.chunks_exact(8), row.chunks_exact(8));
    for (w, x) in w8.by_ref().zip(x8.by_ref()) {
        for ((sum, &w), &x) in sums.iter_mut().zip(w).zip(x) {
            *sum += w * f64::from(x);
        }
    }
    let rest: f64 = w8.remainder().iter().zip(x8.remainder()).map(|(&w, &x)| w * f64::from(x)).sum();
    sums.iter().sum::<f64>() + rest
}

/// The largest size of a block along the dimension that is summed over.
const BLOCK: usize = 512;

/// The lower triangle of `(X - mean)(X - mean)^T`, `(N, N)`.
pub fn gram(rows: FeatureRows, mean: &[f64], par: Par) -> Mat<f64> {
    let mut gram = Mat::zeros(rows.len(), rows.len());
    for (at, mean) in mean.chunks(BLOCK).enumerate() {
        let block = rows.block(0..rows.len(), at * BLOCK, mean);
        add_product(&mut gram, block.transpose(), block.as_ref(), par);
    }
    gram
}

/// The lower triangle of `(X - mean)^T (X - mean)`, `(D, D)`.
pub fn scatter(rows: FeatureRows, mean: &[f64], par: Par) -> Mat<f64> {
    let mut scatter = Mat::zeros(rows.width(), rows.width());
    for from in (0..rows.len()).step_by(BLOCK) {
        let block = rows.block(from..rows.len().min(from + BLOCK), 0, mean);
        add_product(&mut scatter, block.as_ref(), block.transpose(), par);
    }
    scatter
}

/// `A B^T` of two sets of videos, `(N, M)`.
pub fn cross(a: FeatureRows, b: FeatureRows, par: Par) -> Mat<f64> {
    let mut cross = Mat::zeros(a.len(), b.len());
    let zeros = vec![0.0; a.width()];
    for (at, zeros) in zeros.chunks(BLOCK).enumerate() {
        let left = a.block(0..a.len(), at * BLOCK, zeros);
        let right = b.block(0..b.len(), at * BLOCK, zeros);
        faer::linalg::matmul::matmul(&mut cross, Accum::Add, left.transpose(), &right, 1.0, par);
    }
    cross
}

/// Adds the lower triangle of `left right` to `to`.
pub fn add_product(to: &mut Mat<f64>, left: faer::MatRef<f64>, right: faer::MatRef<f64>, par: Par) {
    triangular::matmul(
        to,
        BlockStructure::TriangularLower,
        Accum::Add,
        left,
        BlockStructure::Rectangular,
        right,
        BlockStructure::Rectangular,
        1.0,
        par,
    );
}

/// The error of a problem that has no finite solution: a matrix is not positive definite, or numbers are out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSolution;

/// The Cholesky factor of a symmetric positive definite matrix.
pub struct Cholesky {
    factor: Mat<f64>,
    par: Par,
}

impl Cholesky {
    /// Factors a matrix given by its lower triangle.
    ///
    /// # Errors
    /// [`NoSolution`] if a pivot is not positive.
    pub fn new(mut matrix: Mat<f64>, par: Par) -> Result<Self, NoSolution> {
        let params = Default::default();
        let scratch = llt::factor::cholesky_in_place_scratch::<f64>(matrix.nrows(), par, params);
        let mut memory = MemBuffer::new(scratch);
        let stack = MemStack::new(&mut memory);
        llt::factor::cholesky_in_place(matrix.as_mut(), Default::default(), par, stack, params)
            .map_err(|_| NoSolution)?;
        Ok(Self { factor: matrix, par })
    }

    /// Solves for one right-hand side.
    pub fn solve(&self, right: &[f64]) -> Vec<f64> {
        let mut solution = Mat::from_fn(right.len(), 1, |row, _| right[row]);
        let mut memory = MemBuffer::new(llt::solve::solve_in_place_scratch::<f64>(right.len(), 1, self.par));
        let stack = MemStack::new(&mut memory);
        llt::solve::solve_in_place(self.factor.as_ref(), solution.as_mut(), self.par, stack);
        (0..right.len()).map(|row| solution[(row, 0)]).collect()
    }

    /// Solves for several right-hand sides, the columns of `right`, in their place.
    pub fn solve_in_place(&self, mut right: MatMut<f64>) {
        let scratch = llt::solve::solve_in_place_scratch::<f64>(right.nrows(), right.ncols(), self.par);
        let mut memory = MemBuffer::new(scratch);
        let stack = MemStack::new(&mut memory);
        llt::solve::solve_in_place(self.factor.as_ref(), right.as_mut(), self.par, stack);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_equal_the_plain_sums() {
        // Wider and longer than a block, so that the sum has several blocks.
        let (videos, width) = (7, 2 * BLOCK + 3);
        for (videos, width) in [(videos, width), (width, videos)] {
            let data: Vec<f32> = (0..videos * width).map(|at| (at * 37 % 101) as f32 / 50.0 - 1.0).collect();
            let rows = FeatureRows::new(&data, width);
            let mean = rows.mean();
            let at = |row: usize, column: usize| f64::from(data[row * width + column]) - mean[column];
            let gram = gram(rows, &mean, Par::Seq);
            let scatter = scatter(rows, &mean, Par::Seq);
            let cross = cross(rows, rows, Par::Seq);
            for (i, j) in [(0, 0), (3, 1), (6, 6)] {
                let plain: f64 = (0..width).map(|column| at(i, column) * at(j, column)).sum();
                assert!((gram[(i, j)] - plain).abs() < 1e-9);
                let plain: f64 = (0..videos).map(|row| at(row, i) * at(row, j)).sum();
                assert!((scatter[(i, j)] - plain).abs() < 1e-9);
                let row: Vec<f64> = data[j * width..][..width].iter().map(|&x| f64::from(x)).collect();
                assert!((cross[(i, j)] - dot(&row, &data[i * width..][..width])).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn solves_and_refuses() {
        let matrix = Mat::from_fn(2, 2, |i, j| [[4.0, f64::NAN], [2.0, 3.0]][i][j]);
        let solution = Cholesky::new(matrix, Par::Seq).ok().unwrap().solve(&[10.0, 8.0]);
        assert!((solution[0] - 1.75).abs() < 1e-12 && (solution[1] - 1.5).abs() < 1e-12);
        let flat = Mat::from_fn(2, 2, |_, _| 1.0);
        assert!(Cholesky::new(flat, Par::Seq).is_err());
    }
}
