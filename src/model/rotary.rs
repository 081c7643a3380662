//! Rotary positions in two dimensions, as DINOv3 has them (Siméoni et al. 2025, arXiv 2508.10104; Su et al. 2021, arXiv
//! 2104.09864).
//!
//! A head's numbers are pairs `(i, i + d/2)`; each pair is turned by an angle. A quarter of the head's numbers is turned by the
//! patch's row, a quarter by its column (and their partners with them): `2π c / 100^(4k/d)`, where `c` is the middle of the patch in a
//! picture that reaches from -1 to 1, and `k` counts to `d/4`. Class and register tokens are not turned. The formula has no
//! table, so pictures of any size will do.

use std::f64::consts::TAU;

/// What the periods are powers of.
pub const BASE: f64 = 100.0;

/// Cosines and sines of the angles of a grid of patches.
#[derive(Debug, Clone, PartialEq)]
pub struct Angles {
    /// `(grid², head_dim / 2)`.
    pub cos: Vec<f32>,
    /// `(grid², head_dim / 2)`.
    pub sin: Vec<f32>,
}

impl Angles {
    /// Of `grid x grid` patches, for heads of `head_dim` numbers, a multiple of 4.
    pub fn new(grid: usize, head_dim: usize) -> Self {
        let periods: Vec<f64> =
            (0..head_dim / 4).map(|k| BASE.powf(4.0 * k as f64 / head_dim as f64)).collect();
        let middle = |i: usize| 2.0 * (i as f64 + 0.5) / grid as f64 - 1.0;
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for patch in 0..grid * grid {
            for coordinate in [middle(patch / grid), middle(patch % grid)] {
                for period in &periods {
                    let angle = TAU * coordinate / period;
                    cos.push(angle.cos() as f32);
                    sin.push(angle.sin() as f32);
                }
            }
        }
        Self { cos, sin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_before_columns_and_opposite_patches_turn_against_each_other() {
        let Angles { cos, sin } = Angles::new(2, 8);
        assert_eq!((cos.len(), sin.len()), (4 * 4, 4 * 4));
        // Middles are at -1/2 and 1/2; the first period is 1, so the angle is half a turn; the second one is 10.
        let close = |a: f32, b: f64| assert!((f64::from(a) - b).abs() < 1e-6, "{a}, not {b}");
        close(cos[0], -1.0);
        close(sin[1], (TAU * -0.05).sin());
        // The patch to the right has the same row.
        assert_eq!(sin[4..6], sin[..2]);
        close(sin[7], (TAU * 0.05).sin());
    }
}
