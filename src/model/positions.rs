//! Position tables resampled from the grid a model was trained on to the grid of a frame.
//!
//! timm resamples with PyTorch's `interpolate(mode="bicubic", antialias=True, align_corners=False)`: a separable
//! filter, a = -0.5, widened by the scale where it shrinks. Done once at load, in f64.

use crate::bicubic::cubic;

/// For each of `output` samples, the first of the `input` samples it reads and their weights, which add up to 1.
fn filter(input: usize, output: usize) -> Vec<(usize, Vec<f64>)> {
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0);
    let support = 2.0 * stretch;
    (0..output)
        .map(|i| {
            let centre = scale * (i as f64 + 0.5);
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let mut weights: Vec<f64> =
                (first..end).map(|j| cubic((j as f64 - centre + 0.5) / stretch)).collect();
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w /= sum);
            (first, weights)
        })
        .collect()
}

/// Resamples a position table of `from x from` rows of `width` numbers to `to x to` rows, all row-major.
///
/// `table` has `from² · width` numbers, the answer `to² · width`. An equal grid comes back as it is, like timm's.
pub fn resample(table: &[f32], width: usize, from: usize, to: usize) -> Vec<f32> {
    if from == to {
        return table.to_vec();
    }
    let taps = filter(from, to);
    // Columns first, then rows, as PyTorch orders the two passes.
    let mut wide = vec![0f64; from * to * width];
    for y in 0..from {
        for (x, (first, weights)) in taps.iter().enumerate() {
            let out = &mut wide[(y * to + x) * width..][..width];
            for (k, w) in weights.iter().enumerate() {
                let row = &table[(y * from + first + k) * width..][..width];
                out.iter_mut().zip(row).for_each(|(o, v)| *o += w * f64::from(*v));
            }
        }
    }
    let mut out = Vec::with_capacity(to * to * width);
    let mut sum = vec![0f64; width];
    for (first, weights) in &taps {
        for x in 0..to {
            sum.fill(0.0);
            for (k, w) in weights.iter().enumerate() {
                let row = &wide[((first + k) * to + x) * width..][..width];
                sum.iter_mut().zip(row).for_each(|(o, v)| *o += w * v);
            }
            out.extend(sum.iter().map(|v| *v as f32));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_table_stays_constant() {
        for (from, to) in [(37, 16), (16, 37), (5, 3), (1, 4)] {
            let out = resample(&vec![0.25; from * from * 3], 3, from, to);
            assert_eq!(out.len(), to * to * 3);
            assert!(out.iter().all(|v| (v - 0.25).abs() < 1e-6), "{from} to {to}");
        }
    }

    #[test]
    fn an_equal_grid_is_untouched() {
        let table: Vec<f32> = (0..64).map(|i| i as f32).collect();
        assert_eq!(resample(&table, 4, 4, 4), table);
    }
}
