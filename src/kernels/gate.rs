//! The gate of a gated MLP: the activation of one half of its hidden numbers times the other half.

use super::isa::Backend;
use super::math::Activation;
use super::simd::{Op, Simd};

struct Gate<'a> {
    activation: Activation,
    halves: &'a mut [f32],
    width: usize,
    out: &'a mut [f32],
}

impl Op for Gate<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { activation, halves, width, out } = self;
        let words = S::PRECISION.words(width);
        for (row, out) in halves.chunks_exact_mut(2 * width).zip(out.chunks_exact_mut(words)) {
            let (gate, other) = row.split_at_mut(width);
            let mut i = 0;
            while i < width {
                let end = width.min(i + S::LANES);
                let active = activation.apply(s, s.load_part(&gate[i..end], 0.0));
                s.store_part(s.mul(active, s.load_part(&other[i..end], 0.0)), &mut gate[i..end]);
                i = end;
            }
            s.pack_row(gate, out);
        }
    }
}

/// `out = activation(first half) * second half` as operand rows `(N, words(width))`, for `halves (N, 2 width)`, which are used up.
///
/// # Panics
/// If the lengths do not agree.
pub fn gate(backend: Backend, activation: Activation, halves: &mut [f32], width: usize, out: &mut [f32]) {
    assert_eq!(halves.len() % (2 * width), 0, "the halves are not rows of two times {width}");
    let rows = halves.len() / (2 * width);
    assert_eq!(out.len(), rows * backend.precision().words(width), "out is not as many rows as the halves");
    backend.run(Gate { activation, halves, width, out });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::backends;
    use crate::kernels::precision::Precision;
    use crate::kernels::testing::{noise, unpack};

    #[test]
    fn agrees_with_f64_at_odd_widths() {
        for backend in backends() {
            for width in [1, 6, 16, 33, 128] {
                let halves: Vec<f32> = noise(3 * 2 * width, 1).iter().map(|x| 4.0 * x).collect();
                let words = backend.precision().words(width);
                let mut out = vec![f32::NAN; 3 * words];
                gate(backend, Activation::Silu, &mut halves.clone(), width, &mut out);
                let tolerance = match backend.precision() {
                    Precision::F32 => 1e-5,
                    Precision::Bf16x3 => 2e-4,
                    Precision::Bf16 => 8e-2,
                };
                for (row, out) in halves.chunks_exact(2 * width).zip(out.chunks_exact(words)) {
                    for (i, got) in unpack(backend.precision(), out, width).into_iter().enumerate() {
                        let (x, other) = (f64::from(row[i]), f64::from(row[width + i]));
                        let want = x / (1.0 + (-x).exp()) * other;
                        assert!(
                            (f64::from(got) - want).abs() < tolerance,
                            "{backend:?} {width}: {got}, not {want}"
                        );
                    }
                }
            }
        }
    }
}
