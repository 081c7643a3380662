//! Where the clips of a collection lie in the plane.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use super::components::components;
use super::neighbours::nearest;
use super::tsne::{ITERATIONS, neighbours_needed, tsne};
use super::vectors::Vectors;
use crate::plot::pca::NoConvergence;
use crate::plot::{Method, Quality, fitted_perplexity, upright};
use crate::search::SearchError;

/// Below this number of clips t-SNE has no neighbourhoods to keep, and the principal components are drawn.
const FEWEST: usize = 8;

/// How a collection is laid out.
#[derive(Debug, Clone, Copy)]
pub struct LayoutSettings {
    /// The method.
    pub method: Method,
    /// t-SNE's perplexity, lowered if there are few clips.
    pub perplexity: f64,
    /// Seed of the iteration that finds the principal components, where t-SNE starts.
    pub seed: u64,
}

/// The clips in the plane.
#[derive(Debug, Clone)]
pub struct Layout {
    /// `(N, 2)`.
    pub points: Vec<[f64; 2]>,
    /// How good it is.
    pub quality: Quality,
}

/// Why a collection cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The rows cannot be compared.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The principal components were not found.
    #[error(transparent)]
    Components(#[from] NoConvergence),
}

/// What [`layout()`] counts until it is done.
pub fn layout_steps(rows: usize) -> usize {
    rows + ITERATIONS * iteration_weight(rows)
}

/// What an iteration counts beside a row whose neighbours are found.
fn iteration_weight(rows: usize) -> usize {
    (rows / 1000).max(1)
}

/// Lays out rows, which count with length 1, so that distances order clips as cosines do. The same rows and seed give the same
/// bits on one machine, whatever the number of threads. `done` counts up to [`layout_steps`].
///
/// # Errors
/// [`LayoutError`]; neither happens to finite rows in practice.
pub fn layout(rows: &Vectors, settings: LayoutSettings, done: &AtomicUsize) -> Result<Layout, LayoutError> {
    let begun = Instant::now();
    let pca = components(rows, settings.seed)?;
    let components = begun.elapsed();
    if settings.method == Method::Pca || rows.len() < FEWEST {
        return Ok(Layout { points: pca.scores, quality: Quality::Explained(pca.explained) });
    }
    // The affinities reach to three times as many neighbours: with more than there are, every clip would be near every other.
    let most = ((rows.len() - 1) / 3) as f64;
    let perplexity = fitted_perplexity(settings.perplexity.min(most), rows.len());
    let neighbours = nearest(rows, neighbours_needed(perplexity, rows.len()), done)?;
    let neighbours_found = begun.elapsed();
    let found = tsne(&neighbours, &pca.scores, perplexity, (done, iteration_weight(rows.len())));
    tracing::info!(
        "t-SNE of {} rows: KL divergence {:.5}; {:.1} s for the principal components, {:.1} s for the neighbours, {:.1} s for the descent",
        rows.len(),
        found.divergence,
        components.as_secs_f64(),
        (neighbours_found - components).as_secs_f64(),
        (begun.elapsed() - neighbours_found).as_secs_f64()
    );
    let points: Vec<[f64; 2]> = found.points.iter().map(|point| point.map(f64::from)).collect();
    let quality = Quality::Divergence { perplexity, divergence: found.divergence };
    Ok(Layout { points: upright(&points)?, quality })
}

#[cfg(test)]
mod tests {
    use super::super::vectors::testing::groups;
    use super::*;

    fn run(method: Method, count: usize, threads: usize) -> Layout {
        let rows = groups(count, 3, 0.1);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let settings = LayoutSettings { method, perplexity: 30.0, seed: 4 };
        pool.install(|| layout(&rows, settings, &AtomicUsize::new(0)).unwrap())
    }

    #[test]
    fn one_seed_is_one_map_whatever_the_threads() {
        for method in [Method::Pca, Method::Tsne] {
            assert_eq!(run(method, 900, 1).points, run(method, 900, 3).points, "{method:?}");
        }
    }

    #[test]
    fn few_clips_are_laid_out_by_their_components() {
        assert!(matches!(run(Method::Tsne, 7, 1).quality, Quality::Explained(_)));
        let few = run(Method::Tsne, 9, 1);
        let Quality::Divergence { perplexity, .. } = few.quality else { panic!("{:?}", few.quality) };
        assert_eq!(perplexity, 2.0);
        assert!(few.points.iter().flatten().all(|x| x.is_finite()));
        assert_eq!(run(Method::Tsne, 1, 1).points, [[0.0; 2]]);
    }
}
