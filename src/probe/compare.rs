//! Two representations on the same videos: McNemar's test.

use serde::Serialize;

use super::run::Predictions;

/// A paired comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// One representation.
    pub first: String,
    /// The other.
    pub second: String,
    /// Videos that the first alone gets right.
    pub first_only: usize,
    /// Videos that the second alone gets right.
    pub second_only: usize,
    /// The second's accuracy minus the first's, percent of all videos.
    pub difference: f64,
    /// How probable a difference at least as large is if both are equally good: two-sided, exact.
    pub p: f64,
}

impl Comparison {
    /// Compares predictions for the same videos, in the same order.
    pub fn new(first: (&str, &Predictions), second: (&str, &Predictions)) -> Self {
        let right = |of: &Predictions, at: usize| of.videos[at].answer.rank == 1;
        let count = first.1.videos.len().min(second.1.videos.len());
        let only =
            |a: &Predictions, b: &Predictions| (0..count).filter(|&at| right(a, at) && !right(b, at)).count();
        let (first_only, second_only) = (only(first.1, second.1), only(second.1, first.1));
        Self {
            first: first.0.to_owned(),
            second: second.0.to_owned(),
            first_only,
            second_only,
            difference: 100.0 * (second_only as f64 - first_only as f64) / count.max(1) as f64,
            p: mcnemar(first_only, second_only),
        }
    }
}

/// McNemar's exact test (1947; the binomial form): of `a + b` videos that one of the two alone gets right, how probable is a split
/// at least as uneven as `a` to `b` if each side is equally likely?
pub fn mcnemar(a: usize, b: usize) -> f64 {
    let all = (a + b) as f64;
    // The terms of the binomial sum by their logarithms: they are too small as numbers.
    let mut term = -all * std::f64::consts::LN_2;
    let mut terms = vec![term];
    for at in 0..a.min(b) {
        term += ((all - at as f64) / (at as f64 + 1.0)).ln();
        terms.push(term);
    }
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = terms.iter().map(|term| (term - largest).exp()).sum();
    (2.0 * sum * largest.exp()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_test_has_the_known_values() {
        // scipy.stats.binomtest(min(a, b), a + b).pvalue
        for (a, b, p) in [
            (0, 0, 1.0),
            (5, 5, 1.0),
            (1, 9, 0.021_484_375),
            (9, 1, 0.021_484_375),
            (30, 50, 0.032_992_618_42),
            (4_800, 5_200, 6.593_515_599e-5),
        ] {
            let found = mcnemar(a, b);
            assert!((found / p - 1.0).abs() < 1e-6, "{a} {b}: {found}");
        }
    }
}
