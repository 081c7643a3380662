//! Measures of how straight a path is: distance from the line's decoding, curvature, similarity between frames.

use super::{ClipPaths, Features};
use serde::Serialize;

/// The measures of one clip, as `--json` prints them.
#[derive(Debug, Clone, Serialize)]
pub struct Measures {
    /// The clip's title.
    pub title: String,
    /// Number of frames, `T`.
    pub frames: usize,
    /// Per frame, `|x_t - decoder(z_s + t z_d)|`, Euclidean, in the features' units.
    pub distance: Vec<f64>,
    /// The same as a share of `|x_t|`; null where the feature is zero.
    pub relative_distance: Vec<Option<f64>>,
    /// Curvature of the three paths.
    pub curvature: Curvatures,
}

/// Curvature of the same clip in three spaces.
#[derive(Debug, Clone, Serialize)]
pub struct Curvatures {
    /// Of the pixels of the frames as they were given; null without pictures, or with pictures of several sizes.
    pub pixels: Option<Curvature>,
    /// Of the frame encoder's features.
    pub features: Curvature,
    /// Of LiFT's reconstruction.
    pub reconstruction: Curvature,
}

/// Curvature of a path, after Hénaff, Goris & Simoncelli, "Perceptual straightening of natural videos" (2019).
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct Curvature {
    /// Mean of the angles in degrees, `0..=180`; null if there is no angle.
    pub mean: Option<f64>,
    /// Angle between the steps into and out of each inner frame, `(T - 2)`; null where one of the steps has no length.
    pub angles: Vec<Option<f64>>,
}

/// All measures of a clip.
pub fn measure(clip: &ClipPaths) -> Measures {
    let rows = || clip.features.rows().zip(clip.reconstructed.rows());
    let distance: Vec<f64> = rows().map(|(feature, line)| norm(&difference(feature, line))).collect();
    let relative_distance = clip
        .features
        .rows()
        .zip(&distance)
        .map(|(feature, distance)| {
            let length = norm(&feature.iter().map(|value| f64::from(*value)).collect::<Vec<_>>());
            (length > 0.0).then(|| distance / length)
        })
        .collect();
    Measures {
        title: clip.title.clone(),
        frames: clip.len(),
        distance,
        relative_distance,
        curvature: Curvatures {
            pixels: pixel_curvature(clip),
            features: curvature(clip.features.rows()),
            reconstruction: curvature(clip.reconstructed.rows()),
        },
    }
}

fn pixel_curvature(clip: &ClipPaths) -> Option<Curvature> {
    let first = clip.frames.first()?;
    if clip.frames.iter().any(|frame| frame.dimensions() != first.dimensions()) {
        return None;
    }
    Some(curvature(clip.frames.iter().map(|frame| frame.as_raw().as_slice())))
}

/// Curvature of the path through `rows`: the mean angle between successive steps.
///
/// `c_t = arccos(v_t . v_{t+1} / (|v_t| |v_{t+1}|))` with `v_t = x_{t+1} - x_t`: 0 for a straight line at any speed,
/// 90 for steps that are independent of each other, 180 for going back and forth.
pub fn curvature<'a, V>(rows: impl IntoIterator<Item = &'a [V]>) -> Curvature
where
    V: Copy + Into<f64> + 'a,
{
    let mut angles = Vec::new();
    let mut before: Option<&[V]> = None;
    let mut step: Option<Vec<f64>> = None;
    for row in rows {
        if let Some(before) = before {
            let next = difference(row, before);
            if let Some(step) = &step {
                angles.push(angle(step, &next));
            }
            step = Some(next);
        }
        before = Some(row);
    }
    let known: Vec<f64> = angles.iter().copied().flatten().collect();
    let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
    Curvature { mean, angles }
}

/// Cosine similarity of every frame with every other, `(T, T)` row-major, in `-1..=1`; 0 where a feature is zero.
pub fn similarity(part: &Features) -> Vec<f64> {
    let unit: Vec<Vec<f64>> = part
        .rows()
        .map(|row| {
            let row: Vec<f64> = row.iter().map(|value| f64::from(*value)).collect();
            let length = norm(&row);
            row.into_iter().map(|value| if length > 0.0 { value / length } else { 0.0 }).collect()
        })
        .collect();
    unit.iter().flat_map(|a| unit.iter().map(move |b| dot(a, b).clamp(-1.0, 1.0))).collect()
}

fn difference<V: Copy + Into<f64>>(a: &[V], b: &[V]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| (*a).into() - (*b).into()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// Angle between two steps in degrees.
fn angle(a: &[f64], b: &[f64]) -> Option<f64> {
    let lengths = norm(a) * norm(b);
    (lengths > 0.0).then(|| (dot(a, b) / lengths).clamp(-1.0, 1.0).acos().to_degrees())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(points: &[[f64; 2]]) -> Curvature {
        curvature(points.iter().map(|point| point.as_slice()))
    }

    #[test]
    fn known_shapes_have_their_known_curvature() {
        let line: Vec<[f64; 2]> = (0..5).map(|t| [f64::from(t * t), 2.0 * f64::from(t * t)]).collect();
        assert!(of(&line).mean.unwrap() < 1e-5, "a straight line at growing speed");
        let square = [[0., 0.], [1., 0.], [1., 1.], [0., 1.], [0., 0.]];
        assert!((of(&square).mean.unwrap() - 90.0).abs() < 1e-9);
        // A regular 12-gon turns by 360 / 12 at each corner.
        let ring: Vec<[f64; 2]> =
            (0..12).map(|t| (f64::from(t) * std::f64::consts::TAU / 12.0).sin_cos().into()).collect();
        assert!((of(&ring).mean.unwrap() - 30.0).abs() < 1e-9);
        assert!((of(&[[0., 0.], [1., 0.], [0., 0.]]).mean.unwrap() - 180.0).abs() < 1e-9);
    }

    /// Expected: NumPy in double precision on the same points, `degrees(arccos(sum(n[1:] * n[:-1])))` of the unit steps.
    #[test]
    fn the_golden_clip_is_as_curved_as_numpy_says() {
        let golden = crate::plot::goldens::Dimred::load();
        let (features, reconstruction) = golden.points.split_at(16);
        for (path, mean, first) in
            [(features, 109.47726054452782, 118.99840435), (reconstruction, 6.274858484744624, 7.37658945)]
        {
            let found = curvature(path.iter().map(Vec::as_slice));
            assert!((found.mean.unwrap() - mean).abs() < 1e-9);
            assert!((found.angles[0].unwrap() - first).abs() < 1e-6 && found.angles.len() == 14);
        }
    }

    #[test]
    fn steps_without_length_have_no_angle() {
        let paused = of(&[[0., 0.], [1., 0.], [1., 0.], [1., 1.], [1., 2.]]);
        assert_eq!(paused.angles, vec![None, None, Some(0.0)]);
        assert_eq!(of(&[[1., 1.]; 4]).mean, None);
        assert_eq!(of(&[[1., 1.], [2., 2.]]), Curvature { mean: None, angles: vec![] });
    }

    #[test]
    fn bytes_do_not_wrap() {
        let frames: [[u8; 2]; 3] = [[0, 0], [255, 0], [0, 0]];
        assert!((curvature(frames.iter().map(<[u8; 2]>::as_slice)).mean.unwrap() - 180.0).abs() < 1e-9);
    }

    #[test]
    fn distances_are_those_between_the_two_paths() {
        let part = |values: Vec<f32>| Features::new(2, values).unwrap();
        let clip = ClipPaths {
            title: "t".into(),
            frames: vec![],
            features: part(vec![3., 4., 0., 0.]),
            reconstructed: part(vec![0., 0., 0., 2.]),
        };
        let found = measure(&clip);
        assert_eq!(found.distance, vec![5.0, 2.0]);
        assert_eq!(found.relative_distance, vec![Some(1.0), None]);
        assert_eq!(similarity(&clip.features), vec![1.0, 0.0, 0.0, 0.0]);
    }
}
