//! Retrieval: whether the clips most similar to a clip have the same direction.
//!
//! Within a group every validation clip is a query. The other clips are ranked by cosine similarity; those of the same
//! direction are relevant. Average precision is the mean, over the relevant clips, of the precision down to their rank;
//! the group's score is the mean over its queries, in percent. Chance is about the share of relevant clips.

use faer::Par;

use super::linalg::{FeatureRows, gram};

/// Mean average precision in percent of `(M, D)` with `M` labels; `None` if no query has a relevant clip.
pub fn mean_average_precision(rows: FeatureRows, forward: &[bool]) -> Option<f64> {
    let products = gram(rows, &vec![0.0; rows.width()], Par::Seq);
    let norm: Vec<f64> = (0..rows.len()).map(|at| products[(at, at)].sqrt()).collect();
    let cosine = |i: usize, j: usize| {
        let scale = norm[i] * norm[j];
        // A zero vector has no direction; its similarity counts as 0.
        if scale > 0.0 { products[(i.max(j), i.min(j))] / scale } else { 0.0 }
    };
    let precisions: Vec<f64> = (0..rows.len())
        .filter_map(|query| {
            let mut ranked: Vec<(f64, bool)> = (0..rows.len())
                .filter(|&other| other != query)
                .map(|other| (cosine(query, other), forward[other] == forward[query]))
                .collect();
            // Among equal similarities the irrelevant clips come first, so that ties do not raise the score.
            ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            average_precision(ranked.into_iter().map(|(_, relevant)| relevant))
        })
        .collect();
    let mean = precisions.iter().sum::<f64>() / precisions.len() as f64;
    (!precisions.is_empty()).then_some(100.0 * mean)
}

/// Average precision of a ranking, best first; `None` if nothing is relevant.
fn average_precision(ranked: impl Iterator<Item = bool>) -> Option<f64> {
    let (mut found, mut sum) = (0.0, 0.0);
    for (at, relevant) in ranked.enumerate() {
        if relevant {
            found += 1.0;
            sum += found / (at + 1) as f64;
        }
    }
    (found > 0.0).then(|| sum / found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_by_hand() {
        assert_eq!(average_precision([true, false, true].into_iter()), Some((1.0 + 2.0 / 3.0) / 2.0));
        assert_eq!(average_precision([false, false].into_iter()), None);
    }

    #[test]
    fn directions_apart_are_found_and_lengths_do_not_matter() {
        let apart = [1.0, 0.1, 9.0, 1.0, -1.0, 0.2, -5.0, 0.3];
        let labels = [true, true, false, false];
        assert_eq!(mean_average_precision(FeatureRows::new(&apart, 2), &labels), Some(100.0));
        let crossed = [true, false, true, false];
        let value = mean_average_precision(FeatureRows::new(&apart, 2), &crossed).unwrap();
        assert!((value - 100.0 * (0.5 + 0.5 + 1.0 / 3.0 + 1.0 / 3.0) / 4.0).abs() < 1e-12);
    }

    #[test]
    fn equal_similarities_rank_in_the_worst_order() {
        let same = [1.0; 4];
        let worst = mean_average_precision(FeatureRows::new(&same, 1), &[true, true, false, false]).unwrap();
        assert!((worst - 100.0 / 3.0).abs() < 1e-12);
        assert_eq!(mean_average_precision(FeatureRows::new(&same[..2], 1), &[true, false]), None);
    }
}
