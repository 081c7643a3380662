//! The 95 % interval of a mean, by bootstrap over groups.
//!
//! The interval shows how much the mean would vary with other groups of the same kind. It does not show how much it would
//! vary with other videos of the same groups.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 10_000;

/// The 95 % percentile interval of the mean of data sets' means, groups drawn with replacement within each data set.
/// NaN where a data set has no group.
pub fn interval(datasets: &[&[f64]], seed: u64) -> [f64; 2] {
    if datasets.iter().any(|groups| groups.is_empty()) {
        return [f64::NAN; 2];
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut resample = || {
        let means = datasets.iter().map(|groups| {
            let drawn = (0..groups.len()).map(|_| groups[random.random_range(0..groups.len())]);
            drawn.sum::<f64>() / groups.len() as f64
        });
        means.sum::<f64>() / datasets.len() as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
    means.sort_unstable_by(f64::total_cmp);
    // Quantiles are interpolated linearly, as numpy does by default.
    [0.025, 0.975].map(|quantile| {
        let at = quantile * (RESAMPLES - 1) as f64;
        let low = means[at as usize];
        low + at.fract() * (means[at as usize + 1] - low)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_seeded_covers_the_mean_and_shrinks_with_groups() {
        let few: Vec<f64> = (0..12).map(|at| 50.0 + f64::from(at * 17 % 41)).collect();
        let many: Vec<f64> = few.iter().cycle().take(120).copied().collect();
        let [low, high] = interval(&[&few], 3);
        assert_eq!([low, high], interval(&[&few], 3));
        assert_ne!([low, high], interval(&[&few], 4));
        let middle = few.iter().sum::<f64>() / few.len() as f64;
        assert!(low < middle && middle < high);
        // The width should be near twice 1.96 standard errors of the mean.
        let variance = few.iter().map(|x| (x - middle).powi(2)).sum::<f64>() / few.len() as f64;
        let expected = 2.0 * 1.96 * (variance / few.len() as f64).sqrt();
        assert!(((high - low) / expected - 1.0).abs() < 0.05);
        let [low_many, high_many] = interval(&[&many], 3);
        assert!(high_many - low_many < 0.4 * (high - low));
        assert!(interval(&[&few, &[]], 3)[0].is_nan());
    }
}
