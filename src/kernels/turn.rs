//! Rotary positions: pairs of a head's numbers turned by angles that depend on the token.

use super::isa::Backend;
use super::simd::{Op, Simd};

/// What is turned by what.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    /// f32 from one token to the next.
    pub stride: usize,
    /// Heads, one after the other from a token's first number.
    pub heads: usize,
    /// Cosines `(tokens, head_dim / 2)`.
    pub cos: &'a [f32],
    /// Sines `(tokens, head_dim / 2)`.
    pub sin: &'a [f32],
}

struct Tokens<'a> {
    input: &'a Turn<'a>,
    /// Half a head.
    half: usize,
    x: &'a mut [f32],
}

impl Op for Tokens<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { input: Turn { stride, heads, cos, sin }, half, x } = self;
        let angles = cos.chunks_exact(half).zip(sin.chunks_exact(half));
        for (row, (cos, sin)) in x.chunks_mut(*stride).zip(angles) {
            for head in row[..heads * 2 * half].chunks_exact_mut(2 * half) {
                let (first, second) = head.split_at_mut(half);
                let mut i = 0;
                while i < half {
                    let end = half.min(i + S::LANES);
                    let (c, n) = (s.load_part(&cos[i..end], 0.0), s.load_part(&sin[i..end], 0.0));
                    let (a, b) = (s.load_part(&first[i..end], 0.0), s.load_part(&second[i..end], 0.0));
                    s.store_part(s.sub(s.mul(a, c), s.mul(b, n)), &mut first[i..end]);
                    s.store_part(s.mul_add(b, c, s.mul(a, n)), &mut second[i..end]);
                    i = end;
                }
            }
        }
    }
}

/// Turns every pair `(a, b)`, half a head apart, to `(a cos - b sin, b cos + a sin)`, in place, in f32. `x` begins with the first
/// token's first head; there are as many tokens as rows of angles.
///
/// # Panics
/// If the lengths do not agree.
pub fn turn(backend: Backend, input: &Turn<'_>, x: &mut [f32]) {
    let tokens = x.len().div_ceil(input.stride);
    let half = input.cos.len() / tokens.max(1);
    assert_eq!(input.cos.len(), input.sin.len(), "cosines and sines differ in length");
    assert_eq!(input.cos.len(), tokens * half, "the angles are not rows of half a head");
    assert!(input.heads * 2 * half <= input.stride, "the heads do not fit a token");
    if half > 0 {
        backend.run(Tokens { input, half, x });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::backends;
    use crate::kernels::testing::noise;

    #[test]
    fn pairs_are_turned_and_what_is_no_head_stays() {
        for backend in backends() {
            for half in [1, 6, 8, 17, 32] {
                let (tokens, heads, stride) = (3, 2, 5 * half);
                let x = noise(tokens * stride, 1);
                let angles: Vec<f32> = noise(tokens * half, 2).iter().map(|a| a * 3.0).collect();
                let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
                let mut turned = x.clone();
                turn(backend, &Turn { stride, heads, cos: &cos, sin: &sin }, &mut turned);
                for (at, &got) in turned.iter().enumerate() {
                    let (token, place) = (at / stride, at % stride);
                    let (i, second) = (place % half, place / half % 2 == 1);
                    let angle = f64::from(angles[token * half + i]);
                    let number = |at: usize| f64::from(x[at]);
                    let want = match (place < heads * 2 * half, second) {
                        (false, _) => number(at),
                        (_, false) => number(at) * angle.cos() - number(at + half) * angle.sin(),
                        (_, true) => number(at) * angle.cos() + number(at - half) * angle.sin(),
                    };
                    assert!(
                        (f64::from(got) - want).abs() < 1e-6,
                        "{backend:?} {half} at {at}: {got}, not {want}"
                    );
                }
            }
        }
    }
}
