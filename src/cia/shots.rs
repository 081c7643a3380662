//! Accuracy against the number of training videos per class.
//!
//! For every `K` the probe is fitted on `K` videos of each direction, drawn with a seed; the result is the mean over several
//! draws. A draw shuffles a group's videos once and takes the first `K`, so that the points of a curve share their videos.
//! A group with fewer than `K` videos of a direction is left out at that `K`; the point counts the groups that are in it.

use std::borrow::Cow;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::bootstrap::interval;
use super::evaluate::{EvaluateError, each_group, gather, probe_error};
use super::linalg::FeatureRows;
use super::probe::ProbeMethod;
use super::representations::Representation;
use super::scaling::LearnedScaling;
use super::splits::Splits;

/// How to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct ShotDraws {
    /// The numbers of training videos per class.
    pub shots: Vec<usize>,
    /// Draws per group and number.
    pub draws: usize,
    /// The seed.
    pub seed: u64,
}

/// A point of the curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShotPoint {
    /// Training videos per class.
    pub shots: usize,
    /// Groups that have that many.
    pub groups: usize,
    /// Mean accuracy over groups and draws, percent; absent if no group has that many.
    pub accuracy: Option<f64>,
    /// 95 % interval over groups, percent.
    pub interval: Option<[f64; 2]>,
}

/// The curve of one representation.
///
/// # Errors
/// [`EvaluateError`], as for [`evaluate`](super::evaluate::evaluate).
pub fn curve(
    splits: &Splits,
    representation: &Representation,
    probe: ProbeMethod,
    draws: &ShotDraws,
) -> Result<Vec<ShotPoint>, EvaluateError> {
    let per_group: Vec<Vec<Option<f64>>> = each_group(splits, representation, probe, |group, par| {
        let width = representation.width();
        let train = gather(group, representation, group.train.ids())?;
        let valid = gather(group, representation, group.valid.ids())?;
        let valid_labels = group.valid.labels();
        let (forward, reverse) = (group.train.forward.len(), group.train.reverse.len());
        let mut sums = vec![0.0; draws.shots.len()];
        for draw in 0..draws.draws {
            let mut random = ChaCha8Rng::seed_from_u64(draws.seed);
            // Every group and draw has its own random stream, which does not depend on the other groups.
            random.set_stream(stable_hash(&group.triplet).wrapping_add(draw as u64));
            let mut order = [(0..forward).collect::<Vec<_>>(), (forward..forward + reverse).collect()];
            order.iter_mut().for_each(|class| class.shuffle(&mut random));
            for (sum, &shots) in sums.iter_mut().zip(&draws.shots) {
                if shots > forward.min(reverse) {
                    continue;
                }
                let picked = order.iter().flat_map(|class| &class[..shots]);
                let mut rows: Vec<f32> =
                    picked.flat_map(|&row| &train[row * width..][..width]).copied().collect();
                let scaling = representation.scaling().learn(&rows, representation.widths());
                scaling.apply(&mut rows);
                let labels: Vec<bool> = (0..2 * shots).map(|at| at < shots).collect();
                let fitted = probe
                    .fit(FeatureRows::new(&rows, width), &labels, par)
                    .map_err(|cause| probe_error(group, representation, cause))?;
                let mut scaled = Cow::from(&valid);
                if scaling != LearnedScaling::None {
                    scaling.apply(scaled.to_mut());
                }
                *sum += fitted.accuracy(FeatureRows::new(&scaled, width), &valid_labels);
            }
        }
        let has = |shots: usize| shots <= forward.min(reverse);
        let means = sums.iter().zip(&draws.shots);
        Ok(means.map(|(sum, &shots)| has(shots).then(|| sum / draws.draws as f64)).collect())
    })?;
    let point = |(at, &shots): (usize, &usize)| {
        let accuracies: Vec<f64> = per_group.iter().filter_map(|group| group[at]).collect();
        let any = !accuracies.is_empty();
        ShotPoint {
            shots,
            groups: accuracies.len(),
            accuracy: any.then(|| accuracies.iter().sum::<f64>() / accuracies.len() as f64),
            interval: any.then(|| interval(&[&accuracies], draws.seed)),
        }
    };
    Ok(draws.shots.iter().enumerate().map(point).collect())
}

/// FNV-1a over the bytes: the hash is the same on every machine and in every version.
fn stable_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::super::representations::{Matrix, StoredParts};
    use super::super::splits::{ChiralGroup, Side};
    use super::*;

    /// A group whose directions differ in their mean, with noise.
    fn noisy(videos: usize) -> (Splits, Representation) {
        let (mut index, mut numbers) = (HashMap::new(), Vec::new());
        let mut side = |name: &str| {
            let mut ids = |class: f32| -> Vec<String> {
                let one = |at: usize| {
                    let id = format!("{name}{class}{at:03}");
                    let noise = |column: usize| ((at * 31 + column * 17 + 7) * 113 % 97) as f32 / 48.5 - 1.0;
                    numbers.extend((0..8).map(|column| 0.25 * class + noise(column)));
                    index.insert(id.clone(), index.len());
                    id
                };
                (0..videos).map(one).collect()
            };
            Side { forward: ids(1.0), reverse: ids(-1.0) }
        };
        let group = ChiralGroup {
            triplet: "t".into(),
            verb_forward: String::new(),
            verb_reverse: String::new(),
            noun: String::new(),
            train: side("a"),
            valid: side("b"),
        };
        let splits = Splits { groups: vec![group], ..Splits::default() };
        let source = Arc::new(numbers);
        let matrix = Matrix { origin: String::new(), index: Arc::new(index), shape: vec![8], source };
        let mut parts = StoredParts::default();
        parts.own.insert("concat".into(), matrix);
        let lift = parts.representation("lift").unwrap();
        (splits, lift)
    }

    #[test]
    fn more_videos_help_and_the_seed_decides() {
        let (splits, lift) = noisy(40);
        let curve = |seed: u64| {
            let draws = ShotDraws { shots: vec![1, 20, 40, 41], draws: 8, seed };
            super::curve(&splits, &lift, ProbeMethod::Ridge(1.0), &draws).unwrap()
        };
        let points = curve(1);
        assert_eq!(points, curve(1));
        assert_ne!(points[0], curve(2)[0]);
        assert!(points[0].accuracy < points[1].accuracy, "{points:?}");
        let all = [curve(1), curve(2)].map(|points| points[2].accuracy);
        assert_eq!(all[0], all[1], "all videos are all videos whatever the seed");
        assert_eq!((points[3].groups, points[3].accuracy), (0, None));
    }
}
