//! Attention over packed queries, keys and values, for sequences so short that a head's scores stay in cache.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::super::isa::Backend;
use super::super::math;
use super::super::simd::{MAX_LANES, Op, Simd};
use super::{Factors, load, read, store, tensor, values};

/// `softmax(q kᵀ / sqrt(d)) v` head by head for the first `M` frames, with gradients: `qkv (B, N, 3·H·d)` to
/// `(B, M, H·d)`.
///
/// `factors` multiply the weights behind the softmax, by their positions in `(B, H, M, N)`: the dropout.
///
/// # Errors
/// If the last axis is not three times a multiple of `heads`, or `queries`, `M`, exceeds `N`.
pub fn attention(
    qkv: &Tensor,
    heads: usize,
    queries: usize,
    factors: Option<Arc<dyn Factors>>,
) -> Result<Tensor> {
    qkv.contiguous()?.apply_op1(Attention { heads, queries, factors })
}

struct Attention {
    heads: usize,
    queries: usize,
    factors: Option<Arc<dyn Factors>>,
}

impl Attention {
    /// Clips, frames, and the width of one head.
    fn dims(&self, shape: &Shape) -> Result<[usize; 3]> {
        let (clips, frames, packed) = shape.dims3()?;
        if self.heads == 0 || packed == 0 || packed % (3 * self.heads) != 0 {
            bail!("packed queries, keys and values of width {packed} do not split into {} heads", self.heads);
        }
        if self.queries > frames {
            bail!("{} queries of {frames} frames", self.queries);
        }
        Ok([clips, frames, packed / 3 / self.heads])
    }

    fn head<'a>(&'a self, qkv: &'a [f32], [_, frames, width]: [usize; 3]) -> Head<'a> {
        let padded = frames.next_multiple_of(MAX_LANES);
        let square = || vec![0.0; self.queries * padded];
        let turned = vec![0.0; width * padded];
        Head {
            op: self,
            qkv,
            frames,
            width,
            padded,
            turned,
            weights: square(),
            dropped: square(),
            factors: square(),
        }
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let dims @ [clips, _, width] = self.dims(layout.shape())?;
        let mut out = vec![0.0; clips * self.queries * self.heads * width];
        let head = self.head(values(storage, layout)?, dims);
        Backend::best().run(Forward { head, clips, out: &mut out });
        Ok((CpuStorage::F32(out), (clips, self.queries, self.heads * width).into()))
    }

    fn bwd(&self, qkv: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let dims @ [clips, ..] = self.dims(qkv.shape())?;
        let d_qkv = read([qkv, &grad.contiguous()?], |[qkv, grad]| {
            let mut d_qkv = vec![0.0; qkv.len()];
            let head = self.head(qkv, dims);
            let d_weights = vec![0.0; head.weights.len()];
            Backend::best().run(Backward { head, clips, grad, d_weights, d_qkv: &mut d_qkv });
            d_qkv
        })?;
        Ok(Some(tensor(d_qkv, qkv.shape())?))
    }
}

/// What forward and backward pass do for one head of one clip, with room for weights and the like: `(M, N)`, their rows padded
/// to whole vectors with zeros.
struct Head<'a> {
    op: &'a Attention,
    qkv: &'a [f32],
    frames: usize,
    width: usize,
    /// Values per row of a square.
    padded: usize,
    /// Keys or values with the frames along the row, `(d, N)`.
    turned: Vec<f32>,
    /// Behind the softmax.
    weights: Vec<f32>,
    /// Times the factors.
    dropped: Vec<f32>,
    factors: Vec<f32>,
}

/// Queries, keys, values: their places in a packed row.
const Q: usize = 0;
const K: usize = 1;
const V: usize = 2;

/// A matrix in memory: its values, and the steps from row to row and from column to column.
type Matrix<'a> = (&'a [f32], usize, usize);

/// Rows of a product made at a time.
const BLOCK: usize = 6;

/// `out (m, n) = a (m, k) b (k, n)`; the columns of `out` and `b` lie side by side.
#[inline(always)]
fn product<S: Simd>(
    s: S,
    [m, n, k]: [usize; 3],
    a: Matrix<'_>,
    b: (&[f32], usize),
    out: (&mut [f32], usize),
) {
    let mut first = 0;
    while first < m {
        let rows = BLOCK.min(m - first);
        let mut column = 0;
        while column < n {
            let end = n.min(column + S::LANES);
            let mut sums = [s.splat(0.0); BLOCK];
            let mut step = 0;
            while step < k {
                let b = s.load_part(&b.0[step * b.1 + column..step * b.1 + end], 0.0);
                // All of a full block without a branch, so that its sums stay in registers.
                if rows == BLOCK {
                    let mut r = 0;
                    while r < BLOCK {
                        sums[r] = s.mul_add(s.splat(a.0[(first + r) * a.1 + step * a.2]), b, sums[r]);
                        r += 1;
                    }
                } else {
                    let mut r = 0;
                    while r < rows {
                        sums[r] = s.mul_add(s.splat(a.0[(first + r) * a.1 + step * a.2]), b, sums[r]);
                        r += 1;
                    }
                }
                step += 1;
            }
            let mut r = 0;
            while r < rows {
                let at = (first + r) * out.1;
                s.store_part(sums[r], &mut out.0[at + column..at + end]);
                r += 1;
            }
            column += S::LANES;
        }
        first += rows;
    }
}

impl Head<'_> {
    /// Where the row of a frame's queries, keys or values begins.
    #[inline(always)]
    fn at(&self, clip: usize, frame: usize, part: usize, head: usize) -> usize {
        (((clip * self.frames + frame) * 3 + part) * self.op.heads + head) * self.width
    }

    /// From one frame's row to the next.
    #[inline(always)]
    fn stride(&self) -> usize {
        3 * self.op.heads * self.width
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// Turns keys or values so that frames lie along the row.
    #[inline(always)]
    fn turn(&mut self, clip: usize, part: usize, head: usize) {
        let mut frame = 0;
        while frame < self.frames {
            let at = self.at(clip, frame, part, head);
            let row = &self.qkv[at..at + self.width];
            let mut i = 0;
            while i < row.len() {
                self.turned[i * self.padded + frame] = row[i];
                i += 1;
            }
            frame += 1;
        }
    }

    /// Fills `weights`, `factors` and `dropped`.
    #[inline(always)]
    fn attend<S: Simd>(&mut self, s: S, clip: usize, head: usize) {
        let (m, n, padded) = (self.op.queries, self.frames, self.padded);
        let scale = self.scale();
        self.turn(clip, K, head);
        let queries = (&self.qkv[self.at(clip, 0, Q, head)..], self.stride(), 1);
        product(s, [m, padded, self.width], queries, (&self.turned, padded), (&mut self.weights, padded));
        let mut row = 0;
        while row < m {
            let at = row * padded;
            softmax(s, &mut self.weights[at..at + n], scale);
            match &self.op.factors {
                Some(factors) => {
                    let position = ((clip * self.op.heads + head) * m + row) * n;
                    factors.fill(position, &mut self.factors[at..at + n]);
                    let mut i = at;
                    while i < at + padded {
                        let product = s.mul(s.load(&self.weights[i..]), s.load(&self.factors[i..]));
                        s.store(product, &mut self.dropped[i..]);
                        i += S::LANES;
                    }
                }
                None => self.dropped[at..at + n].copy_from_slice(&self.weights[at..at + n]),
            }
            row += 1;
        }
    }
}

/// Turns scores into `e^(scale score)` over their sum.
#[inline(always)]
fn softmax<S: Simd>(s: S, row: &mut [f32], scale: f32) {
    let mut largest = f32::NEG_INFINITY;
    let mut i = 0;
    while i < row.len() {
        largest = largest.max(row[i]);
        i += 1;
    }
    let (factor, shift) = (s.splat(scale), s.splat(-largest * scale));
    i = 0;
    while i < row.len() {
        let score = s.mul_add(load(s, row, i), factor, shift);
        store(s, math::exp(s, score), row, i);
        i += S::LANES;
    }
    let mut sum = 0.0;
    i = 0;
    while i < row.len() {
        sum += row[i];
        i += 1;
    }
    let inverse = s.splat(1.0 / sum);
    i = 0;
    while i < row.len() {
        store(s, s.mul(load(s, row, i), inverse), row, i);
        i += S::LANES;
    }
}

struct Forward<'a> {
    head: Head<'a>,
    clips: usize,
    out: &'a mut [f32],
}

impl Op for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (n, width) = (self.head.frames, self.head.width);
        let (m, heads) = (self.head.op.queries, self.head.op.heads);
        let mut place = 0;
        while place < self.clips * heads {
            let (clip, head) = (place / heads, place % heads);
            let of = &mut self.head;
            of.attend(s, clip, head);
            let values = (&of.qkv[of.at(clip, 0, V, head)..], of.stride());
            let out = &mut self.out[(clip * m * heads + head) * width..];
            product(s, [m, width, n], (&of.dropped, of.padded, 1), values, (out, heads * width));
            place += 1;
        }
    }
}

struct Backward<'a> {
    head: Head<'a>,
    clips: usize,
    grad: &'a [f32],
    d_weights: Vec<f32>,
    d_qkv: &'a mut [f32],
}

impl Op for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (n, width) = (self.head.frames, self.head.width);
        let (m, heads) = (self.head.op.queries, self.head.op.heads);
        let mut place = 0;
        while place < self.clips * heads {
            let (clip, head) = (place / heads, place % heads);
            let of = &mut self.head;
            let (stride, padded) = (of.stride(), of.padded);
            let grad = &self.grad[(clip * m * heads + head) * width..];
            of.attend(s, clip, head);
            let d_values = &mut self.d_qkv[of.at(clip, 0, V, head)..];
            product(s, [n, width, m], (&of.dropped, 1, padded), (grad, heads * width), (d_values, stride));
            of.turn(clip, V, head);
            let turned = (&of.turned[..], padded);
            product(s, [m, padded, width], (grad, heads * width, 1), turned, (&mut self.d_weights, padded));
            let mut row = 0;
            while row < m {
                let at = row * padded;
                let (d, weights) = (&mut self.d_weights[at..at + n], &of.weights[at..at + n]);
                let factors = of.op.factors.is_some().then_some(&of.factors[at..at + n]);
                through_softmax(d, weights, factors, of.scale());
                row += 1;
            }
            let keys = (&of.qkv[of.at(clip, 0, K, head)..], stride);
            let d_queries = &mut self.d_qkv[of.at(clip, 0, Q, head)..];
            product(s, [m, width, n], (&self.d_weights, padded, 1), keys, (d_queries, stride));
            let queries = (&of.qkv[of.at(clip, 0, Q, head)..], stride);
            let d_keys = &mut self.d_qkv[of.at(clip, 0, K, head)..];
            product(s, [n, width, m], (&self.d_weights, 1, padded), queries, (d_keys, stride));
            place += 1;
        }
    }
}

/// Gradients of the dropped weights of a row to those of its scores: `weight · (d - Σ weight · d) · scale`, where
/// `d` is the gradient times the factor.
#[inline(always)]
fn through_softmax(d: &mut [f32], weights: &[f32], factors: Option<&[f32]>, scale: f32) {
    let (mut along, mut i) = (0.0, 0);
    while i < d.len() {
        d[i] *= factors.map_or(1.0, |factors| factors[i]);
        along += d[i] * weights[i];
        i += 1;
    }
    i = 0;
    while i < d.len() {
        d[i] = weights[i] * (d[i] - along) * scale;
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use candle_core::D;

    use super::super::testing::{agree, var};
    use super::*;

    /// Keeps two of three.
    struct Thirds;
    impl Factors for Thirds {
        fn fill(&self, start: usize, factors: &mut [f32]) {
            for (i, factor) in factors.iter_mut().enumerate() {
                *factor = if (start + i).is_multiple_of(3) { 0.0 } else { 1.5 };
            }
        }
    }

    fn composed(qkv: &Tensor, heads: usize, queries: usize, factors: Option<&dyn Factors>) -> Result<Tensor> {
        let (b, n, packed) = qkv.dims3()?;
        let d = packed / 3 / heads;
        let parts = qkv.reshape((b, n, 3, heads, d))?.permute((2, 0, 3, 1, 4))?;
        let (q, k, v) =
            (parts.get(0)?.contiguous()?, parts.get(1)?.contiguous()?, parts.get(2)?.contiguous()?);
        let q = q.narrow(2, 0, queries)?.contiguous()?;
        let scores = (q.matmul(&k.t()?.contiguous()?)? * (1.0 / (d as f64).sqrt()))?.exp()?;
        let mut weights = scores.broadcast_div(&scores.sum_keepdim(D::Minus1)?)?;
        if let Some(factors) = factors {
            let mut all = vec![0.0; weights.elem_count()];
            factors.fill(0, &mut all);
            weights = (&weights * Tensor::from_vec(all, weights.shape(), weights.device())?)?;
        }
        weights.matmul(&v)?.transpose(1, 2)?.contiguous()?.reshape((b, queries, heads * d))
    }

    #[test]
    fn values_and_gradients_are_those_of_the_composed_expression() {
        for (n, m, heads, d) in [(18, 18, 2, 48), (18, 2, 3, 16), (5, 5, 3, 6), (7, 1, 1, 20)] {
            let qkv = var((2, n, 3 * heads * d), 1);
            let wide = (qkv.as_tensor() * 2.0).unwrap();
            agree(&[&qkv], attention(&wide, heads, m, None), composed(&wide, heads, m, None));
            let dropped = attention(&wide, heads, m, Some(Arc::new(Thirds)));
            agree(&[&qkv], dropped, composed(&wide, heads, m, Some(&Thirds)));
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert!(attention(&var((1, 2, 10), 1), 2, 2, None).is_err());
        assert!(attention(&var((1, 2, 12), 1), 2, 3, None).is_err());
    }
}
