//! Layer normalisation over rows, and the steps of a softmax.

use super::isa::Backend;
use super::math::exp_below;
use super::simd::{MAX_PANEL, Op, Simd};

/// The mean and `1/sqrt(variance + eps)` of a row (biased variance, two passes).
#[inline(always)]
fn moments<S: Simd>(s: S, row: &[f32], eps: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let whole = row.len() / S::LANES * S::LANES;
    let (mut total, mut i) = (s.splat(0.0), 0);
    while i < whole {
        total = s.add(total, s.load(&row[i..]));
        i += S::LANES;
    }
    let rest = &row[whole..];
    let mean = (s.sum(total) + rest.iter().sum::<f32>()) / n;
    let (mut squares, mut i) = (s.splat(0.0), 0);
    while i < whole {
        let centred = s.sub(s.load(&row[i..]), s.splat(mean));
        squares = s.mul_add(centred, centred, squares);
        i += S::LANES;
    }
    let variance = (s.sum(squares) + rest.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>()) / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

struct Standardize<'a> {
    x: &'a [f32],
    width: usize,
    eps: f32,
    out: &'a mut [f32],
}

impl Op for Standardize<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let words = S::PRECISION.words(self.width);
        for (row, out) in self.x.chunks_exact(self.width).zip(self.out.chunks_exact_mut(words)) {
            let (mean, scale) = moments(s, row, self.eps);
            let (mean, scale) = (s.splat(mean), s.splat(scale));
            let mut part = [0.0; MAX_PANEL];
            let mut first = 0;
            while first < self.width {
                let n = MAX_PANEL.min(self.width - first);
                let mut i = 0;
                while i < n {
                    let x = s.load_part(&row[first + i..], 0.0);
                    s.store(s.mul(s.sub(x, mean), scale), &mut part[i..]);
                    i += S::LANES;
                }
                s.pack_row(&part[..n], &mut out[S::PRECISION.words(first)..]);
                first += n;
            }
        }
    }
}

/// Rows of `x (N, width)` with mean 0 and variance 1, as operand rows `(N, words(width))` of the backend's precision:
/// a LayerNorm whose affine map is folded into the layer after it.
///
/// # Panics
/// If `x` is not whole rows, or `out` has not as many.
pub fn standardize(backend: Backend, x: &[f32], width: usize, eps: f32, out: &mut [f32]) {
    assert_eq!(x.len() % width, 0, "x is not rows of {width}");
    assert_eq!(out.len(), x.len() / width * backend.precision().words(width), "out is not as many rows as x");
    backend.run(Standardize { x, width, eps, out });
}

struct LayerNorm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Op for LayerNorm<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.weight.len();
        for (row, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let (mean, scale) = moments(s, row, self.eps);
            let (mean, scale) = (s.splat(mean), s.splat(scale));
            let mut i = 0;
            while i < width {
                let end = width.min(i + S::LANES);
                let normed = s.mul(s.sub(s.load_part(&row[i..end], 0.0), mean), scale);
                let (w, b) = (s.load_part(&self.weight[i..end], 0.0), s.load_part(&self.bias[i..end], 0.0));
                s.store_part(s.mul_add(normed, w, b), &mut out[i..end]);
                i = end;
            }
        }
    }
}

/// Layer normalisation of the rows of `x (N, D)` with `weight (D)` and `bias (D)` into `out (N, D)`, all f32.
///
/// # Panics
/// If the lengths do not agree.
pub fn layer_norm(backend: Backend, x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    assert_eq!(weight.len(), bias.len(), "weight and bias differ in length");
    assert_eq!(x.len(), out.len(), "x and out differ in length");
    assert_eq!(x.len() % weight.len(), 0, "x is not rows of {}", weight.len());
    backend.run(LayerNorm { x, weight, bias, eps, out });
}

/// The largest of a row of scores.
#[inline(always)]
pub(super) fn largest<S: Simd>(s: S, row: &[f32]) -> f32 {
    let whole = row.len() / S::LANES * S::LANES;
    let (mut largest, mut i) = (s.load_part(&row[whole..], f32::NEG_INFINITY), 0);
    while i < whole {
        largest = s.max(largest, s.load(&row[i..]));
        i += S::LANES;
    }
    s.largest(largest)
}

/// Turns a row of scores into `e^(scale (score - largest))` and returns their sum; `scale` is positive.
#[inline(always)]
pub(super) fn exp_row<S: Simd>(s: S, row: &mut [f32], largest: f32, scale: f32) -> f32 {
    // scale (x - largest) in one step.
    let (shift, scale) = (s.splat(-largest * scale), s.splat(scale));
    let (n, mut sum, mut i) = (row.len(), s.splat(0.0), 0);
    while i + S::LANES <= n {
        let e = exp_below(s, s.mul_add(s.load(&row[i..]), scale, shift));
        s.store(e, &mut row[i..]);
        sum = s.add(sum, e);
        i += S::LANES;
    }
    if i < n {
        let e = exp_below(s, s.mul_add(s.load_part(&row[i..], f32::NEG_INFINITY), scale, shift));
        s.store_part(e, &mut row[i..]);
        sum = s.add(sum, e);
    }
    s.sum(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::backends;
    use crate::kernels::precision::Precision;
    use crate::kernels::testing::{noise, unpack};

    const WIDTHS: [usize; 7] = [1, 5, 16, 17, 48, 261, 384];

    fn reference(row: &[f32], eps: f64) -> Vec<f64> {
        let n = row.len() as f64;
        let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        row.iter().map(|&x| (f64::from(x) - mean) / (variance + eps).sqrt()).collect()
    }

    #[test]
    fn norms_agree_with_f64_at_odd_widths() {
        for backend in backends() {
            for width in WIDTHS {
                let x: Vec<f32> = noise(3 * width, 1).iter().map(|x| 3.0 * x + 0.7).collect();
                let (weight, bias) = (noise(width, 2), noise(width, 3));
                let mut normed = vec![0.0; 3 * width];
                layer_norm(backend, &x, &weight, &bias, 1e-3, &mut normed);
                let words = backend.precision().words(width);
                let mut operand = vec![0.0; 3 * words];
                standardize(backend, &x, width, 1e-3, &mut operand);
                for r in 0..3 {
                    let want = reference(&x[r * width..][..width], 1e-3);
                    let plain = unpack(backend.precision(), &operand[r * words..][..words], width);
                    let tolerance = match backend.precision() {
                        Precision::F32 => 4e-6,
                        Precision::Bf16x3 => 5e-5,
                        Precision::Bf16 => 2e-2,
                    };
                    for i in 0..width {
                        assert!((f64::from(plain[i]) - want[i]).abs() < tolerance, "{backend:?} {width}");
                        let affine = want[i] * f64::from(weight[i]) + f64::from(bias[i]);
                        assert!((f64::from(normed[r * width + i]) - affine).abs() < 4e-6);
                    }
                }
            }
        }
    }
}
