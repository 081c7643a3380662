//! The joint projection of all paths of a figure on the plane.
//!
//! Each path is centred on its own mean, then all are projected together (as the authors do for the two paths of one clip),
//! so that paths are compared by shape and direction, not by position.

use super::palette::Half;
use super::pca::{NoConvergence, pca};
use super::tsne::{TsneSettings, tsne};
use super::{ClipPaths, Features};

/// How features become points of the plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// The two directions of largest variance: distances and angles keep their meaning.
    #[value(help = "Principal components: keeps distances")]
    Pca,
    /// t-SNE: keeps neighbours together, distances mean little. Below 4 frames the principal components instead.
    #[value(help = "t-SNE: keeps neighbours together")]
    Tsne,
}

/// How to project.
#[derive(Debug, Clone, Copy)]
pub struct ProjectionSettings {
    /// The method.
    pub method: Method,
    /// Seed of t-SNE's starts.
    pub seed: u64,
    /// t-SNE's perplexity, fitted to the number of points by [`fitted_perplexity`].
    pub perplexity: f64,
}

impl Default for ProjectionSettings {
    fn default() -> Self {
        Self { method: Method::Tsne, seed: 0, perplexity: 30.0 }
    }
}

/// How good a projection is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quality {
    /// Shares of the variance that the two components explain, in `0..=1`.
    Explained([f64; 2]),
    /// The perplexity used and the Kullback-Leibler divergence reached, in nats.
    Divergence {
        /// Perplexity after fitting.
        perplexity: f64,
        /// Divergence of the best start.
        divergence: f64,
    },
    /// No path moves: there is nothing to project.
    Still,
}

/// A clip's two paths in the plane, a point per frame.
#[derive(Debug, Clone)]
pub struct PlanePaths {
    /// Of the frame features.
    pub features: Vec<[f64; 2]>,
    /// Of LiFT's reconstruction.
    pub reconstructed: Vec<[f64; 2]>,
}

impl PlanePaths {
    /// The points of one of the two paths.
    pub fn half(&self, half: Half) -> &[[f64; 2]] {
        if half == Half::Features { &self.features } else { &self.reconstructed }
    }
}

/// All clips' paths in one plane.
#[derive(Debug, Clone)]
pub struct Projection {
    /// In the order of the clips.
    pub clips: Vec<PlanePaths>,
    /// How good it is.
    pub quality: Quality,
}

impl Quality {
    /// One line that names the method and states how good the projection is.
    pub fn caption(self) -> String {
        match self {
            Quality::Explained([first, second]) => format!(
                "PCA: the two axes explain {:.0} % + {:.0} % of the variance",
                100.0 * first,
                100.0 * second
            ),
            Quality::Divergence { perplexity, divergence } => format!(
                "t-SNE: perplexity {}, KL divergence {}",
                (perplexity * 10.0).round() / 10.0,
                significant(divergence)
            ),
            Quality::Still => "the features do not change over time".to_string(),
        }
    }
}

impl Projection {
    /// One line that names the method and states its quality.
    pub fn caption(&self) -> String {
        self.quality.caption()
    }
}

/// Two significant digits, without an exponent.
fn significant(value: f64) -> String {
    let digits = if value > 0.0 && value < 1.0 { (1.0 - value.log10().floor()).min(9.0) as usize } else { 1 };
    format!("{value:.digits$}")
}

/// The perplexity for `points` points: the wanted one, or where that is not valid the largest that is.
///
/// A perplexity is the effective number of neighbours, of which a point has `points - 1`; at that number all
/// affinities are equal and nothing is left to embed, so the largest sensible one is `points - 2`.
pub fn fitted_perplexity(wanted: f64, points: usize) -> f64 {
    wanted.min(points.saturating_sub(2) as f64).max(1.0)
}

/// Below this number of points t-SNE has no neighbourhoods to keep, and the principal components are drawn.
const FEWEST_POINTS: usize = 8;

/// Turns t-SNE's points so that their longer side is horizontal, where a page has room; t-SNE gives the rotation no meaning.
///
/// # Errors
/// [`NoConvergence`] if the decomposition does not converge.
pub fn upright(points: &[[f64; 2]]) -> Result<Vec<[f64; 2]>, NoConvergence> {
    let rows: Vec<Vec<f64>> = points.iter().map(|point| point.to_vec()).collect();
    Ok(pca(&rows)?.scores)
}

/// The number of t-SNE's starts: many for the few points of a clip, fewer where each start costs more.
fn starts(points: usize) -> usize {
    match points {
        0..=64 => 12,
        65..=128 => 8,
        129..=256 => 4,
        _ => 2,
    }
}

/// Projects the paths of all `clips` together.
///
/// # Errors
/// [`NoConvergence`] if the singular value decomposition does not converge.
pub fn project<'a>(
    clips: impl IntoIterator<Item = &'a ClipPaths>,
    settings: ProjectionSettings,
) -> Result<Projection, NoConvergence> {
    let clips: Vec<&ClipPaths> = clips.into_iter().collect();
    let points: Vec<Vec<f64>> =
        clips.iter().flat_map(|clip| [&clip.features, &clip.reconstructed]).flat_map(centred).collect();
    let components = pca(&points)?;
    let still = components.explained == [0.0; 2];
    let (mut plane, quality) = match settings.method {
        _ if still => (components.scores, Quality::Still),
        _ if settings.method == Method::Pca || points.len() < FEWEST_POINTS => {
            (components.scores, Quality::Explained(components.explained))
        }
        _ => {
            let perplexity = fitted_perplexity(settings.perplexity, points.len());
            let run = TsneSettings { perplexity, seed: settings.seed, starts: starts(points.len()) };
            let found = tsne(&points, &components.scores, run);
            (upright(&found.points)?, Quality::Divergence { perplexity, divergence: found.divergence })
        }
    };
    gather_still(&mut plane, &clips);
    let mut rest = plane.as_slice();
    let mut take = |count: usize| {
        let (path, after) = rest.split_at(count);
        rest = after;
        path.to_vec()
    };
    let clips = clips
        .iter()
        .map(|clip| PlanePaths { features: take(clip.len()), reconstructed: take(clip.len()) })
        .collect();
    Ok(Projection { clips, quality })
}

/// Puts the points of all paths that stand still at one place. Centred they are all zero, but a projection gives equal rows
/// points that differ by rounding, and a panel that shows nothing else would enlarge that difference to its full size.
fn gather_still(plane: &mut [[f64; 2]], clips: &[&ClipPaths]) {
    let still: Vec<bool> = clips
        .iter()
        .flat_map(|clip| [&clip.features, &clip.reconstructed])
        .flat_map(|part| vec![stands_still(part); part.frames()])
        .collect();
    let points = || plane.iter().zip(&still).filter(|(_, still)| **still).map(|(point, _)| *point);
    let count = points().count().max(1) as f64;
    let middle = [0, 1].map(|axis| points().map(|point| point[axis]).sum::<f64>() / count);
    plane.iter_mut().zip(&still).filter(|(_, still)| **still).for_each(|(point, _)| *point = middle);
}

/// Whether all rows are equal: the clip is a still, or one frame was taken again and again.
fn stands_still(part: &Features) -> bool {
    part.rows().next().is_none_or(|first| part.rows().all(|row| row == first))
}

/// A path's rows in f64 less their mean.
fn centred(part: &Features) -> Vec<Vec<f64>> {
    let count = part.frames() as f64;
    let mut mean = vec![0.0; part.width()];
    for row in part.rows() {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value) / count);
    }
    part.rows()
        .map(|row| row.iter().zip(&mean).map(|(value, mean)| f64::from(*value) - mean).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(path: impl Fn(usize) -> [f32; 3], offset: f32) -> ClipPaths {
        let rows = |shift: f32| {
            Features::new(3, (0..8).flat_map(|t| path(t).map(|value| value + shift)).collect()).unwrap()
        };
        ClipPaths { title: String::new(), frames: vec![], features: rows(0.0), reconstructed: rows(offset) }
    }

    #[test]
    fn where_a_path_lies_does_not_matter() {
        let pca = ProjectionSettings { method: Method::Pca, ..Default::default() };
        let found = project(&[clip(|t| [t as f32, (t * t) as f32, 0.0], 100.0)], pca).unwrap();
        for (a, b) in found.clips[0].features.iter().zip(&found.clips[0].reconstructed) {
            assert!((a[0] - b[0]).abs() < 1e-4 && (a[1] - b[1]).abs() < 1e-4);
        }
    }

    #[test]
    fn a_mirrored_path_is_the_same_one_backwards() {
        let forward = clip(|t| [t as f32, (t * t) as f32, 1.0], 1.0);
        let mut mirror = forward.clone();
        mirror.features = mirror.features.reversed();
        let pca = ProjectionSettings { method: Method::Pca, ..Default::default() };
        let found = project(&[forward, mirror], pca).unwrap();
        let backwards = found.clips[1].features.iter().rev();
        assert!(found.clips[0].features.iter().zip(backwards).all(|(a, b)| (a[0] - b[0]).abs() < 1e-9));
    }

    #[test]
    fn a_still_is_one_point_by_either_method() {
        for method in [Method::Pca, Method::Tsne] {
            let settings = ProjectionSettings { method, ..Default::default() };
            let found = project(&[clip(|_| [0.3, 0.1, 7.0], 0.5)], settings).unwrap();
            assert_eq!(found.quality, Quality::Still);
            assert!(found.clips[0].features.iter().all(|point| *point == [0.0; 2]));
        }
    }

    #[test]
    fn features_that_stand_still_beside_a_line_that_moves_are_one_point() {
        let mut clip = clip(|t| [t as f32 * 0.37, (t * t) as f32 * 0.11, 0.3], 0.0);
        clip.features = Features::new(3, [0.123, 4.56, 7.89].repeat(8)).unwrap();
        for method in [Method::Pca, Method::Tsne] {
            let settings = ProjectionSettings { method, ..Default::default() };
            let clips = [clip.clone(), clip.mirrored(clip.reconstructed.reversed())];
            let found = project(&clips, settings).unwrap();
            let mut features = found.clips.iter().flat_map(|paths| &paths.features);
            let first = found.clips[0].features[0];
            assert!(features.all(|point| *point == first), "{found:?}");
            assert_ne!(found.clips[0].reconstructed[0], found.clips[0].reconstructed[7]);
        }
    }

    #[test]
    fn turning_keeps_distances() {
        let points = [[0.0, 1.0], [0.5, 9.0], [1.0, -3.0], [0.7, 2.0]];
        let turned = upright(&points).unwrap();
        for i in 0..4 {
            for j in 0..4 {
                let apart = |p: &[[f64; 2]]| (p[i][0] - p[j][0]).hypot(p[i][1] - p[j][1]);
                assert!((apart(&points) - apart(&turned)).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn perplexity_fits_the_points() {
        assert_eq!(fitted_perplexity(30.0, 32), 30.0);
        assert_eq!(fitted_perplexity(30.0, 128), 30.0);
        assert_eq!(fitted_perplexity(30.0, 16), 14.0);
        assert_eq!(fitted_perplexity(30.0, 4), 2.0);
        assert_eq!(fitted_perplexity(0.1, 32), 1.0);
        assert_eq!(
            (significant(0.000396), significant(0.48), significant(1.23)),
            ("0.00040".into(), "0.48".into(), "1.2".into())
        );
    }
}
