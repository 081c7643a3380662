//! Position tables resampled from the grid a model was trained on to the grid of a frame: PyTorch's
//! `interpolate(mode="bicubic", align_corners=False)`, in the ways that model code calls it ([`Resampling`]). Done once at load, in f64.

use crate::bicubic::{ANTIALIASED, PLAIN, cubic};

/// How PyTorch is asked to resample. Each model's own code decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resampling {
    /// `antialias=True`: a = -0.5, widened by the scale where the table shrinks, weights that add up to 1. timm's; of DINOv2 with
    /// registers, everybody's.
    Antialiased,
    /// Without: a = -0.75 over four samples, the border repeated. transformers' for DINOv2 without registers.
    Plain,
    /// The same with `scale_factor=(output + 0.1) / input` in place of the output's size. facebookresearch's own for DINOv2 without
    /// registers.
    PlainByFactor,
}

/// What an output is made of: samples of the input with their weights.
type Taps = Vec<(usize, f64)>;

impl Resampling {
    /// The taps of each of `output` samples of a line of `input`.
    fn taps(self, input: usize, output: usize) -> Vec<Taps> {
        let scale = match self {
            Self::Antialiased | Self::Plain => input as f64 / output as f64,
            Self::PlainByFactor => input as f64 / (output as f64 + 0.1),
        };
        (0..output)
            .map(|i| match self {
                Self::Antialiased => antialiased(scale, input, i),
                Self::Plain | Self::PlainByFactor => plain(scale, input, i),
            })
            .collect()
    }
}

fn antialiased(scale: f64, input: usize, i: usize) -> Taps {
    let stretch = scale.max(1.0);
    let support = 2.0 * stretch;
    let centre = scale * (i as f64 + 0.5);
    let first = (centre - support + 0.5).max(0.0) as usize;
    let end = ((centre + support + 0.5) as usize).min(input);
    let mut taps: Taps =
        (first..end).map(|j| (j, cubic((j as f64 - centre + 0.5) / stretch, ANTIALIASED))).collect();
    let sum: f64 = taps.iter().map(|(_, w)| w).sum();
    taps.iter_mut().for_each(|(_, w)| *w /= sum);
    taps
}

fn plain(scale: f64, input: usize, i: usize) -> Taps {
    let at = scale * (i as f64 + 0.5) - 0.5;
    let first = at.floor() - 1.0;
    let inside = |j: f64| j.clamp(0.0, (input - 1) as f64) as usize;
    (0..4).map(|k| first + f64::from(k)).map(|j| (inside(j), cubic(j - at, PLAIN))).collect()
}

/// Resamples a position table of `from x from` rows of `width` numbers to `to x to` rows, all row-major.
///
/// `table` has `from² · width` numbers, the answer `to² · width`. An equal grid comes back as it is, like everybody's.
pub fn resample(table: &[f32], width: usize, from: usize, to: usize, how: Resampling) -> Vec<f32> {
    if from == to {
        return table.to_vec();
    }
    let taps = how.taps(from, to);
    // Columns first, then rows, as PyTorch orders the two passes.
    let mut wide = vec![0f64; from * to * width];
    for y in 0..from {
        for (x, taps) in taps.iter().enumerate() {
            let out = &mut wide[(y * to + x) * width..][..width];
            for (j, w) in taps {
                let row = &table[(y * from + j) * width..][..width];
                out.iter_mut().zip(row).for_each(|(o, v)| *o += w * f64::from(*v));
            }
        }
    }
    let mut out = Vec::with_capacity(to * to * width);
    let mut sum = vec![0f64; width];
    for taps in &taps {
        for x in 0..to {
            sum.fill(0.0);
            for (j, w) in taps {
                let row = &wide[(j * to + x) * width..][..width];
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

    const WAYS: [Resampling; 3] = [Resampling::Antialiased, Resampling::Plain, Resampling::PlainByFactor];

    #[test]
    fn a_constant_table_stays_constant() {
        for how in WAYS {
            for (from, to) in [(37, 16), (16, 37), (5, 3), (1, 4)] {
                let out = resample(&vec![0.25; from * from * 3], 3, from, to, how);
                assert_eq!(out.len(), to * to * 3);
                assert!(out.iter().all(|v| (v - 0.25).abs() < 1e-6), "{from} to {to}, {how:?}");
            }
        }
    }

    #[test]
    fn an_equal_grid_is_untouched() {
        let table: Vec<f32> = (0..64).map(|i| i as f32).collect();
        for how in WAYS {
            assert_eq!(resample(&table, 4, 4, 4, how), table);
        }
    }
}
