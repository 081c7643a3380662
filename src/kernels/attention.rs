//! Attention, head by head and a few queries at a time: the N x N scores are never in memory as a whole.
//!
//! A head's keys and values are packed like weights, once; then each block of queries makes its scores, their softmax
//! and its share of the output while all of it is in the first two cache levels. The division by the softmax's sum
//! waits until the output, where there is less to divide.
//!
//! With bf16x3 it runs in f32, and its output is split: its products are a tenth of those of a frame.

use super::isa::Backend;
use super::linear::to_operand;
use super::norm::{exp_row, largest};
use super::pack::{pack_columns, pack_rows, padded, panels};
use super::precision::Precision;
use super::simd::{MAX_PANEL, Op, Simd};
use super::tile::{Held, ROWS, Rows, multiply};

/// Queries per block, full tiles: the scores of 24 x 261 take 25 KB.
const QUERIES: usize = 4 * ROWS;

#[cfg(target_arch = "x86_64")]
mod tiles;

mod input;
pub use input::{Attention, AttentionScratch};
use input::{ROOM, fit};

/// `softmax(q kᵀ scale) v` per head, heads side by side: operand rows `(queries, words(heads * head_dim))` into `out`.
///
/// # Panics
/// If a slice is too short for the numbers in `input`, or `head_dim` is odd in bf16.
pub fn attention(backend: Backend, input: &Attention<'_>, scratch: &mut AttentionScratch, out: &mut [f32]) {
    let width = input.heads * input.head_dim;
    let precision = backend.precision();
    if precision == Precision::Bf16x3 {
        let mut plain = std::mem::take(&mut scratch.plain);
        fit(&mut plain, input.queries * width);
        let rows = &mut plain[..input.queries * width];
        attention(backend.in_f32(), input, scratch, rows);
        to_operand(backend, rows, width, out);
        scratch.plain = plain;
        return;
    }
    assert!(
        precision == Precision::F32 || input.head_dim.is_multiple_of(2),
        "bf16 attention needs even heads"
    );
    assert!(input.keys > 0 && input.head_dim > 0 && input.scale > 0.0, "attention over nothing");
    assert_eq!(out.len(), input.queries * precision.words(width), "out is not one row per query");
    scratch.fit(precision, input.keys, input.head_dim);
    #[cfg(target_arch = "x86_64")]
    if let Some(unit) = backend.amx() {
        return tiles::attention(unit, input, scratch, out);
    }
    backend.run(Heads { input, scratch, out });
}

const _: () = assert!(QUERIES <= ROOM);

struct Heads<'a> {
    input: &'a Attention<'a>,
    scratch: &'a mut AttentionScratch,
    out: &'a mut [f32],
}

impl Op for Heads<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { input, scratch, out } = self;
        let d = input.head_dim;
        for h in 0..input.heads {
            pack_columns(s, &input.k[h * d..], input.kv_stride, input.keys, d, &mut scratch.keys);
            pack_rows(s, &input.v[h * d..], input.kv_stride, input.keys, d, &mut scratch.values);
            for first in (0..input.queries).step_by(QUERIES) {
                let n = QUERIES.min(input.queries - first);
                let q = &input.q[first * input.q_stride + h * d..];
                s.call(Block { input, q, n, scratch, out, first, head: h });
            }
        }
    }
}

/// One block of queries of one head, whose keys and values are packed.
struct Block<'a> {
    input: &'a Attention<'a>,
    q: &'a [f32],
    n: usize,
    scratch: &'a mut AttentionScratch,
    out: &'a mut [f32],
    first: usize,
    head: usize,
}

impl Op for Block<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { input, q, n, scratch, out, first, head } = self;
        let Attention { keys, head_dim, q_stride, .. } = *input;
        let AttentionScratch { keys: packed_keys, values, queries, scores, weights, .. } = scratch;
        let (wide, steps) = (padded::<S>(keys), head_dim.div_ceil(S::PACK));
        // Where a word is one value, queries are read in place.
        let (q, q_stride) = if S::PACK == 1 {
            (q, q_stride)
        } else {
            for (row, to) in queries.chunks_exact_mut(steps).take(n).enumerate() {
                s.pack_row(&q[row * q_stride..][..head_dim], to);
            }
            (&queries[..], steps)
        };
        let scores = &mut scores[..n * wide];
        for panel in panels::<S>(keys, steps) {
            for row in (0..n).step_by(ROWS) {
                let rows = ROWS.min(n - row);
                let a = Rows { words: &q[row * q_stride..], rows, steps, stride: q_stride };
                let c = &mut scores[row * wide + panel.first..];
                multiply(s, a, &packed_keys[panel.start..], panel.vectors, c, wide);
            }
        }

        let key_words = keys.div_ceil(S::PACK);
        // All maxima first: a row's exponentials then need not wait for its own.
        let mut tops = [0.0; QUERIES];
        for (row, top) in scores.chunks_exact_mut(wide).zip(&mut tops) {
            // Whole vectors from here on: columns without a key weigh nothing.
            row[keys..].fill(f32::NEG_INFINITY);
            *top = largest(s, row);
        }
        let mut sums = [0.0; QUERIES];
        for ((row, top), sum) in scores.chunks_exact_mut(wide).zip(tops).zip(&mut sums) {
            *sum = exp_row(s, row, top, input.scale);
        }
        let (weights, stride) = if S::PACK == 1 {
            (&*scores, wide)
        } else {
            let words = wide / S::PACK;
            for (row, to) in scores.chunks_exact(wide).zip(weights.chunks_exact_mut(words)) {
                s.pack_row(row, to);
            }
            (&weights[..], words)
        };

        let (words, row_words) = (head_dim.div_ceil(S::PACK), (input.heads * head_dim).div_ceil(S::PACK));
        let Held(held) = &mut Held([0.0; ROWS * MAX_PANEL]);
        for panel in panels::<S>(head_dim, key_words) {
            let across = panel.vectors * S::LANES;
            for row in (0..n).step_by(ROWS) {
                let rows = ROWS.min(n - row);
                let a = Rows { words: &weights[row * stride..], rows, steps: key_words, stride };
                multiply(s, a, &values[panel.start..], panel.vectors, held, across);
                for (r, sum) in held.chunks_exact_mut(across).take(rows).enumerate() {
                    let scale = s.splat(1.0 / sums[row + r]);
                    let mut i = 0;
                    while i < across {
                        s.store(s.mul(s.load(&sum[i..]), scale), &mut sum[i..]);
                        i += S::LANES;
                    }
                    let at = (first + row + r) * row_words + head * words + panel.first / S::PACK;
                    s.pack_row(&sum[..panel.columns], &mut out[at..]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::backends;
    use crate::kernels::testing::{noise, unpack};

    fn reference(input: &Attention<'_>) -> Vec<f64> {
        let Attention { queries, keys, heads, head_dim: d, .. } = *input;
        let mut out = vec![0.0; queries * heads * d];
        for h in 0..heads {
            for i in 0..queries {
                let q = &input.q[i * input.q_stride + h * d..][..d];
                let at = |x: &[f32], j: usize, c: usize| f64::from(x[j * input.kv_stride + h * d + c]);
                let scores: Vec<f64> = (0..keys)
                    .map(|j| {
                        let dot: f64 = (0..d).map(|c| f64::from(q[c]) * at(input.k, j, c)).sum();
                        (dot * f64::from(input.scale)).exp()
                    })
                    .collect();
                let sum: f64 = scores.iter().sum();
                for c in 0..d {
                    out[(i * heads + h) * d + c] =
                        (0..keys).map(|j| scores[j] * at(input.v, j, c)).sum::<f64>() / sum;
                }
            }
        }
        out
    }

    /// Compares what `compute` makes with f64 at odd sizes.
    fn check(
        what: &str,
        precision: Precision,
        mut compute: impl FnMut(&Attention<'_>, &mut AttentionScratch, &mut [f32]),
    ) {
        let mut scratch = AttentionScratch::default();
        for tokens in [1, 5, 6, 7, 16, 17, 25, 66, 261] {
            for (heads, head_dim) in [(3, 16), (2, 64), (1, 6), (2, 72)] {
                let width = heads * head_dim;
                let qkv = noise(tokens * 3 * width, 5);
                let input = Attention {
                    q: &qkv,
                    k: &qkv[width..],
                    v: &qkv[2 * width..],
                    q_stride: 3 * width,
                    kv_stride: 3 * width,
                    queries: tokens.min(49),
                    keys: tokens,
                    heads,
                    head_dim,
                    scale: 1.5,
                };
                let words = precision.words(width);
                let mut out = vec![f32::NAN; input.queries * words];
                compute(&input, &mut scratch, &mut out);
                let out: Vec<f32> =
                    out.chunks_exact(words).flat_map(|row| unpack(precision, row, width)).collect();
                let tolerance = match precision {
                    Precision::F32 => 4e-6,
                    Precision::Bf16x3 => 2e-5,
                    Precision::Bf16 => 4e-2,
                };
                for (got, want) in out.iter().zip(reference(&input)) {
                    let error = (f64::from(*got) - want).abs();
                    assert!(error < tolerance, "{what} {tokens} {heads}x{head_dim}: {error}");
                }
            }
        }
    }

    #[test]
    fn agrees_with_f64_at_odd_sizes() {
        for backend in backends() {
            check(&format!("{backend:?}"), backend.precision(), |input, scratch, out| {
                attention(backend, input, scratch, out);
            });
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn agrees_with_f64_on_tiles_in_memory() {
        use crate::kernels::amx::{Emulated, TILE};
        let Some(s) = Emulated::vectors() else { return };
        check("tiles in memory", Precision::Bf16, |input, scratch, out| {
            scratch.fit(Precision::Bf16, input.keys, input.head_dim);
            tiles::heads(&Emulated::configure(TILE), s, input, scratch, out);
        });
    }
}
