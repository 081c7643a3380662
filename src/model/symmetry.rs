//! The parts of an embedding that keep and that change their sign when the clip runs backwards.
//!
//! The frames of the mirrored clip have the same features in reversed order, so its embedding needs one more pass of LiFT,
//! over the same features. With `e` the embedding of the clip and `r` that of its mirror, `even = (e + r)/2` and `odd = (e - r)/2`.
//! Halving and changing the sign are exact in f32, so `odd` of the mirror is `-odd` to the last bit, and `even` of the mirror
//! is `even`. `even + odd` is `e` within one rounding of the larger of `e` and `r`.

/// `(e + r)/2` of the embeddings of a clip and of its mirror, element by element.
pub fn even(e: &[f32], r: &[f32]) -> Vec<f32> {
    e.iter().zip(r).map(|(e, r)| (e + r) * 0.5).collect()
}

/// `(e - r)/2` of the embeddings of a clip and of its mirror, element by element.
pub fn odd(e: &[f32], r: &[f32]) -> Vec<f32> {
    e.iter().zip(r).map(|(e, r)| (e - r) * 0.5).collect()
}

/// The features `(T, width)`, row-major, of the mirrored clip: the rows in reversed order.
pub fn mirrored(features: &[f32], width: usize) -> Vec<f32> {
    features.chunks_exact(width).rev().flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of many magnitudes.
    fn values(seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..10_000).map(|_| next() * (next() * 20.0).exp2()).collect()
    }

    #[test]
    fn odd_changes_its_sign_with_the_clip_and_even_does_not() {
        let (e, r) = (values(1), values(2));
        let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(odd(&r, &e)), bits(odd(&e, &r).iter().map(|v| -v).collect()));
        assert_eq!(bits(even(&r, &e)), bits(even(&e, &r)));
        assert!(odd(&e, &e).iter().all(|v| *v == 0.0));
    }

    #[test]
    fn even_and_odd_add_up_within_one_rounding() {
        let (e, r) = (values(3), values(4));
        for ((even, odd), (e, r)) in even(&e, &r).iter().zip(odd(&e, &r)).zip(e.iter().zip(&r)) {
            let apart = (f64::from(even + odd) - f64::from(*e)).abs();
            assert!(apart <= f64::from(e.abs().max(r.abs()) * f32::EPSILON), "{e} {r}: {apart}");
        }
    }

    #[test]
    fn mirroring_twice_changes_nothing() {
        let features = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(mirrored(&features, 2), [4.0, 5.0, 2.0, 3.0, 0.0, 1.0]);
        assert_eq!(mirrored(&mirrored(&features, 2), 2), features);
    }
}
