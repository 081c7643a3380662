//! The scan: every row is compared with every query.
//!
//! Two steps give the exact answer at the speed of memory. The first compares in f32 what [`SearchRows::units`] gives, rows of
//! length 1 that may be rounded, and keeps every row that can be among the best: by the inequality of Cauchy and Schwarz, the
//! score of a row errs by no more than the length of what was rounded away. The second computes the scores of those rows again,
//! in f64 over their f32 numbers. The order of the answer is total: the score, then the id. So the answer is that of a scan in
//! f64, whatever the rounding and the number of threads, and memory does not grow with the collection.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::SearchError;
use crate::kernels::{Backend, PackedLinear, dot, dot_i8, largest_i16, linear, widen};
use crate::vector::{cosine, scale_to_unit};

/// Numbers of rows that a thread reads and compares at a time: they stay in the second cache, and a call of the system brings
/// many.
const BLOCK: usize = 256 << 10;
/// The same where all are needed in f32.
const PRODUCT_BLOCK: usize = 64 << 10;

/// From this many queries on, they are compared by one matrix product.
const PRODUCT: usize = 3;

/// The rows that a query is compared with, `(N, W)`.
pub trait SearchRows: Sync {
    /// `N`.
    fn rows(&self) -> usize;

    /// `W`.
    fn width(&self) -> usize;

    /// `count` rows from `first` on, each scaled to length 1 and rounded, into `out`; a zero row stays zero.
    ///
    /// # Errors
    /// If a row cannot be read, or has a number that is not finite.
    fn units(&self, first: usize, count: usize, out: &mut Units) -> Result<(), SearchError>;

    /// What is taken off every row of length 1 before it is rounded, `(W)`; nothing if empty.
    fn centre(&self) -> &[f32] {
        &[]
    }

    /// The numbers of one row, not rounded.
    ///
    /// # Errors
    /// As [`units`](Self::units).
    fn exact(&self, row: usize) -> Result<Vec<f32>, SearchError>;

    /// The id of a row.
    ///
    /// # Errors
    /// If it cannot be read.
    fn id(&self, row: usize) -> Result<String, SearchError>;
}

/// Rows of length 1, `(n, W)`, as the first step compares them.
#[derive(Debug)]
pub enum Units {
    /// In f32.
    Plain(Vec<f32>),
    /// A row is the centre and `scale` times its codes, and differs from the row of length 1 by a vector that is no longer than
    /// `error`.
    Coded {
        /// `(n, W)`, from -127 to 127.
        codes: Vec<i8>,
        /// Each row's `[scale, error]`.
        bounds: Vec<[f32; 2]>,
    },
}

/// A row that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Its place in the collection.
    pub row: usize,
    /// Its id.
    pub id: String,
    /// Its cosine with the query, -1 to 1; 0 where one of both is a zero vector.
    pub score: f64,
}

/// How much is answered.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most hits of a query.
    pub top: usize,
    /// The least score of a hit.
    pub min_score: f64,
}

/// A query.
#[derive(Debug, Clone)]
pub struct Query {
    /// What is compared with the rows, `(W)`.
    pub vector: Vec<f32>,
    /// Rows that are left out of the answer, for example the query's own.
    pub without: HashSet<usize>,
}

/// The hits of every query, best first; hits of one score in the order of their ids. `done` counts the rows that were compared.
///
/// # Errors
/// If a row cannot be read, or has a number that is not finite.
pub fn best(
    collection: &dyn SearchRows,
    queries: &[Query],
    limits: Limits,
    done: &AtomicUsize,
) -> Result<Vec<Vec<Hit>>, SearchError> {
    let (rows, width) = (collection.rows(), collection.width());
    if width == 0 || rows == 0 {
        return Ok(vec![vec![]; queries.len()]);
    }
    let comparison = Comparison::new(queries, collection);
    let empty = || -> Vec<Candidates> {
        let each = |query: &Query| Candidates::new(limits.top + query.without.len(), limits.min_score);
        queries.iter().map(each).collect()
    };
    let numbers = if queries.len() < PRODUCT { BLOCK } else { PRODUCT_BLOCK };
    let step = (numbers / width).max(1);
    let blocks = rows.div_ceil(step);
    let candidates = (0..blocks)
        .into_par_iter()
        .with_min_len(blocks.div_ceil(8 * rayon::current_num_threads()))
        .try_fold(
            || (empty(), Buffers::default()),
            |(mut candidates, mut buffers), block| {
                let first = block * step;
                let count = step.min(rows - first);
                collection.units(first, count, &mut buffers.units)?;
                comparison.scores(count, &mut buffers);
                for (query, candidates) in candidates.iter_mut().enumerate() {
                    comparison.of_query(query, count, &buffers, |at, score, error| {
                        if score + error >= candidates.bound {
                            candidates.push(first + at, score, error);
                        }
                    });
                }
                done.fetch_add(count, Ordering::Relaxed);
                Ok((candidates, buffers))
            },
        )
        .map(|state: Result<_, SearchError>| state.map(|(candidates, ..)| candidates))
        .try_reduce(empty, |mut all, more| {
            all.iter_mut().zip(more).for_each(|(all, more)| all.join(more));
            Ok(all)
        })?;
    queries.iter().zip(candidates).map(|(query, found)| found.hits(collection, query, limits)).collect()
}

/// The cosine of every row with one query, in f64, in the order of the rows.
///
/// # Errors
/// As [`best`].
pub fn all_scores(
    collection: &dyn SearchRows,
    query: &[f32],
    done: &AtomicUsize,
) -> Result<Vec<f64>, SearchError> {
    (0..collection.rows())
        .into_par_iter()
        .map(|row| {
            done.fetch_add(1, Ordering::Relaxed);
            Ok(cosine(&collection.exact(row)?, query))
        })
        .collect()
}

/// What a thread needs for a block of rows.
struct Buffers {
    units: Units,
    /// Codes as f32, for the matrix product.
    widened: Vec<f32>,
    /// The products of the rows with the queries: `(n, Q)` by the matrix product, else `(Q, n)`.
    products: Vec<f32>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { units: Units::Plain(vec![]), widened: vec![], products: vec![] }
    }
}

/// A query of length 1 in whole numbers, for codes.
struct WholeQuery {
    numbers: Vec<i16>,
    /// What a number stands for.
    unit: f32,
    /// By how much a score can err for it: the part of a row that is coded is no longer than 2.
    rounding: f32,
}

impl WholeQuery {
    fn new(query: &[f32]) -> Self {
        let largest = query.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let unit = (largest / f32::from(largest_i16(query.len()))).max(f32::MIN_POSITIVE);
        let most = largest_i16(query.len());
        let number = |x: &f32| ((x / unit).round() as i16).clamp(-most, most);
        let numbers: Vec<i16> = query.iter().map(number).collect();
        let rests = query.iter().zip(&numbers).map(|(x, n)| f64::from(*x) - f64::from(*n) * f64::from(unit));
        let rounding = 2.1 * rests.map(|rest| rest.powi(2)).sum::<f64>().sqrt();
        Self { numbers, unit, rounding: (rounding as f32).next_up() }
    }
}

/// Queries of length 1, laid out for the comparison.
struct Comparison {
    backend: Backend,
    units: Vec<Vec<f32>>,
    whole: Vec<WholeQuery>,
    /// Their products with the centre of the rows.
    offsets: Vec<f32>,
    /// For several queries.
    product: Option<PackedLinear>,
    /// What rounding in f32 adds to the error of a score.
    rounding: f32,
}

impl Comparison {
    fn new(queries: &[Query], collection: &dyn SearchRows) -> Self {
        let backend = Backend::best();
        let (width, centre) = (collection.width(), collection.centre());
        let unit = |query: &Query| {
            let mut unit = query.vector.clone();
            scale_to_unit(&mut unit);
            unit
        };
        let units: Vec<Vec<f32>> = queries.iter().map(unit).collect();
        let offset = |unit: &Vec<f32>| {
            centre.iter().zip(unit).map(|(c, x)| f64::from(*c) * f64::from(*x)).sum::<f64>() as f32
        };
        let offsets = units.iter().map(offset).collect();
        let product = (units.len() >= PRODUCT)
            .then(|| PackedLinear::new(backend, &units.concat(), &vec![0.0; units.len()], width));
        let whole: Vec<WholeQuery> = match (centre.is_empty(), &product) {
            (false, None) => units.iter().map(|unit| WholeQuery::new(unit)).collect(),
            _ => vec![],
        };
        // Half a unit in the last place per product and sum, of vectors that are no longer than 2, and some more for the rest.
        let rounding = (2 * width + 32) as f32 * f32::EPSILON / 2.0;
        Self { backend, units, whole, offsets, product, rounding }
    }

    fn scores(&self, count: usize, buffers: &mut Buffers) {
        let Buffers { units, widened, products } = buffers;
        products.resize(count * self.units.len(), 0.0);
        if let Some(product) = &self.product {
            let rows = match units {
                Units::Plain(rows) => rows,
                Units::Coded { codes, .. } => {
                    widened.resize(codes.len(), 0.0);
                    widen(self.backend, codes, widened);
                    widened
                }
            };
            return linear(product, rows, products);
        }
        for (query, out) in products.chunks_exact_mut(count).enumerate() {
            match units {
                Units::Plain(rows) => dot(self.backend, rows, &self.units[query], out),
                Units::Coded { codes, .. } => dot_i8(self.backend, codes, &self.whole[query].numbers, out),
            }
        }
    }

    /// Calls `each` with every row of a block of `count`, its score, and the most by which it can err.
    #[inline]
    fn of_query(&self, query: usize, count: usize, buffers: &Buffers, mut each: impl FnMut(usize, f32, f32)) {
        let (first, step) =
            if self.product.is_some() { (query, self.units.len()) } else { (query * count, 1) };
        let products = buffers.products[first..].iter().step_by(step).take(count);
        let offset = self.offsets[query];
        match &buffers.units {
            Units::Plain(_) => {
                products.enumerate().for_each(|(at, score)| each(at, *score, self.rounding));
            }
            Units::Coded { bounds, .. } => {
                let (unit, rounding) = self.whole.get(query).map_or((1.0, 0.0), |w| (w.unit, w.rounding));
                let rounding = rounding + self.rounding;
                for (at, (product, [scale, error])) in products.zip(bounds).enumerate() {
                    each(at, offset + scale * unit * product, error + rounding);
                }
            }
        }
    }
}

/// The rows that may be among the best of a query.
struct Candidates {
    top: usize,
    /// A row whose score cannot reach this is not among the best.
    bound: f32,
    /// Rows with the least and the largest score that they can have.
    found: Vec<(f32, f32, usize)>,
    /// The list is thinned out at this length.
    full: usize,
}

impl Candidates {
    fn new(top: usize, min_score: f64) -> Self {
        Self { top, bound: (min_score as f32).next_down(), found: vec![], full: (4 * top).max(64) }
    }

    fn push(&mut self, row: usize, score: f32, error: f32) {
        self.found.push((score - error, score + error, row));
        if self.found.len() >= self.full {
            self.thin_out();
        }
    }

    fn join(&mut self, more: Self) {
        self.bound = self.bound.max(more.bound);
        self.found.extend(more.found);
        self.thin_out();
    }

    /// Drops the rows that cannot be among the best any more: as many others have scores that are larger for certain.
    fn thin_out(&mut self) {
        if self.top == 0 {
            self.found.clear();
        } else if self.found.len() > self.top {
            let (_, (least, ..), _) =
                self.found.select_nth_unstable_by(self.top - 1, |a, b| b.0.total_cmp(&a.0));
            self.bound = self.bound.max(*least);
        }
        let bound = self.bound;
        self.found.retain(|(_, largest, _)| *largest >= bound);
        self.full = (2 * self.found.len()).max(4 * self.top).max(64);
    }

    /// The second step: the exact scores of the rows that are left.
    fn hits(
        mut self,
        collection: &dyn SearchRows,
        query: &Query,
        limits: Limits,
    ) -> Result<Vec<Hit>, SearchError> {
        self.thin_out();
        // In the order of the rows, which is that of the file.
        self.found.sort_unstable_by_key(|(_, _, row)| *row);
        let exact = |(_, _, row): &(f32, f32, usize)| {
            if query.without.contains(row) {
                return Ok(None);
            }
            let score = cosine(&collection.exact(*row)?, &query.vector);
            let id = collection.id(*row)?;
            Ok((score >= limits.min_score).then_some(Hit { row: *row, id, score }))
        };
        let hits = self.found.par_iter().map(exact).collect::<Result<Vec<_>, SearchError>>()?;
        Ok(first(hits.into_iter().flatten().collect(), limits.top))
    }
}

/// The first `top` hits in the order of an answer.
pub(super) fn first(mut hits: Vec<Hit>, top: usize) -> Vec<Hit> {
    hits.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    hits.truncate(top);
    hits
}

#[cfg(test)]
mod tests {
    use super::super::prepared::coded;
    use super::*;

    const WIDTH: usize = 37;

    /// Rows of few whole numbers, so that equal scores occur; coded, or plain.
    struct Rows {
        rows: Vec<Vec<f32>>,
        coded: bool,
        centre: Vec<f32>,
    }

    impl SearchRows for Rows {
        fn rows(&self) -> usize {
            self.rows.len()
        }
        fn width(&self) -> usize {
            WIDTH
        }
        fn units(&self, first: usize, count: usize, out: &mut Units) -> Result<(), SearchError> {
            let mut units = self.rows[first..][..count].concat();
            units.chunks_exact_mut(WIDTH).for_each(scale_to_unit);
            *out = Units::Plain(units);
            if self.coded {
                let (mut codes, mut bounds) = (vec![], vec![]);
                for row in &self.rows[first..][..count] {
                    let (code, bound) = coded(row, &self.centre);
                    codes.extend(code);
                    bounds.push(bound);
                }
                *out = Units::Coded { codes, bounds };
            }
            Ok(())
        }
        fn centre(&self) -> &[f32] {
            if self.coded { &self.centre } else { &[] }
        }
        fn exact(&self, row: usize) -> Result<Vec<f32>, SearchError> {
            Ok(self.rows[row].clone())
        }
        fn id(&self, row: usize) -> Result<String, SearchError> {
            // The order of the ids is not that of the rows.
            Ok(format!("clip-{:05}", row * 7919 % self.rows.len()))
        }
    }

    fn rows(count: usize, levels: u32, coded: bool) -> Rows {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 24) % levels) as f32 - (levels / 2) as f32
        };
        let mut row = || (0..WIDTH).map(|_| next()).collect();
        let mut rows: Vec<Vec<f32>> = (0..count).map(|_| row()).collect();
        // Equal rows, a row twice as long, and a zero row.
        rows[count / 2] = rows[1].clone();
        rows[count - 1] = rows[1].iter().map(|x| 2.0 * x).collect();
        rows[count / 3] = vec![0.0; WIDTH];
        let centre = (0..WIDTH).map(|at| (at as f32 - 10.0) / 100.0).collect();
        Rows { rows, coded, centre }
    }

    #[test]
    fn the_answer_is_that_of_a_plain_sort_whatever_the_threads_and_the_rounding() {
        for (levels, coded) in [(2, true), (9, false), (9, true), (200, true)] {
            let rows = rows(5000, levels, coded);
            let query = |row: usize| {
                let without = if row.is_multiple_of(2) { HashSet::from([row]) } else { HashSet::new() };
                Query { vector: rows.rows[row].clone(), without }
            };
            let queries: Vec<Query> = (1..6).map(query).collect();
            let plain: Vec<Vec<Hit>> = queries
                .iter()
                .map(|query| {
                    let hit = |row: usize| {
                        let score = cosine(&rows.rows[row], &query.vector);
                        Hit { row, id: rows.id(row).unwrap(), score }
                    };
                    let all = (0..5000).filter(|row| !query.without.contains(row));
                    first(all.map(hit).collect(), 5000)
                })
                .collect();
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                for count in [1, 2, 5] {
                    for (top, min_score) in [(10, f64::NEG_INFINITY), (5000, 0.25), (1, 0.9), (0, -1.0)] {
                        let limits = Limits { top, min_score };
                        let done = AtomicUsize::new(0);
                        let found = pool.install(|| best(&rows, &queries[..count], limits, &done)).unwrap();
                        assert_eq!(done.into_inner(), 5000);
                        for (hits, plain) in found.iter().zip(&plain) {
                            let want = plain.iter().filter(|hit| hit.score >= min_score).take(top);
                            assert!(hits.iter().eq(want), "{levels} {coded} {threads} {count} {limits:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_zero_query_and_an_empty_collection_are_answered() {
        let rows = rows(30, 9, true);
        let zero = Query { vector: vec![0.0; WIDTH], without: HashSet::new() };
        let limits = Limits { top: 2, min_score: -1.0 };
        let hits = best(&rows, std::slice::from_ref(&zero), limits, &AtomicUsize::new(0)).unwrap();
        assert!(hits[0].len() == 2 && hits[0][0].id == "clip-00000" && hits[0][0].score == 0.0, "{hits:?}");
        let none = Rows { rows: vec![], coded: false, centre: vec![] };
        assert_eq!(best(&none, &[zero], limits, &AtomicUsize::new(0)).unwrap(), [vec![]]);
    }
}
