//! Attention on the matrix unit: the same blocks, of two tiles of queries.

use super::super::amx::{
    Amx, BLOCK, Left, Registers, STEP, STEP_VALUES, TILE, Tiles, multiply, pack_columns, pack_rows,
};
use super::super::math::polynomial;
use super::super::norm::largest;
use super::super::simd::{ROUND, Simd};
use super::super::x86::Avx512Bf16;
use super::input::{Attention, AttentionScratch};

/// What [`super::attention`] does, its arguments checked and `scratch` large enough.
pub(super) fn attention(unit: Amx, input: &Attention<'_>, scratch: &mut AttentionScratch, out: &mut [f32]) {
    heads(&Tiles::configure(unit, TILE), unit.vectors(), input, scratch, out);
}

/// The same on registers that are configured for whole tiles.
pub(super) fn heads(
    tiles: &impl Registers,
    s: Avx512Bf16,
    input: &Attention<'_>,
    scratch: &mut AttentionScratch,
    out: &mut [f32],
) {
    let d = input.head_dim;
    for head in 0..input.heads {
        pack_columns(s, &input.k[head * d..], input.kv_stride, input.keys, d, &mut scratch.keys);
        pack_rows(s, &input.v[head * d..], input.kv_stride, input.keys, d, &mut scratch.values);
        for first in (0..input.queries).step_by(BLOCK) {
            let block = Block { input, first, head };
            // SAFETY: `s` proves the features.
            unsafe {
                if input.queries - first > TILE {
                    block.compute::<2>(s, tiles, scratch, out);
                } else {
                    block.compute::<1>(s, tiles, scratch, out);
                }
            }
        }
    }
}

/// One block of queries of one head, whose keys and values are packed.
struct Block<'a> {
    input: &'a Attention<'a>,
    first: usize,
    head: usize,
}

impl Block<'_> {
    /// With `T` tiles of queries; those that do not exist are computed from what `scratch` holds, and read by nobody.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn compute<const T: usize>(
        &self,
        s: Avx512Bf16,
        tiles: &impl Registers,
        scratch: &mut AttentionScratch,
        out: &mut [f32],
    ) {
        let Attention { keys, heads, head_dim, q_stride, scale, .. } = *self.input;
        let AttentionScratch { keys: packed_keys, values, queries, scores, weights, .. } = scratch;
        let n = (T * TILE).min(self.input.queries - self.first);
        let (steps, key_steps) = (head_dim.div_ceil(STEP_VALUES), keys.div_ceil(STEP_VALUES));
        let (words, wide) = (head_dim.div_ceil(2), key_steps * STEP_VALUES);

        let q = &self.input.q[self.first * q_stride + self.head * head_dim..];
        for (row, to) in queries.chunks_exact_mut(steps * STEP).take(n).enumerate() {
            s.pack_row(&q[row * q_stride..][..head_dim], to);
            to[words..].fill(0.0);
        }
        let a = Left { words: queries, stride: steps * STEP, steps };
        for panel in 0..keys.div_ceil(BLOCK) {
            let keys = &packed_keys[panel * steps * STEP * BLOCK..];
            multiply::<T, false>(tiles, a, keys, &mut scores[panel * BLOCK..], wide);
        }

        // All maxima first: a row's exponentials then need not wait for its own.
        let mut tops = [0.0; BLOCK];
        for (row, top) in scores.chunks_exact_mut(wide).take(n).zip(&mut tops) {
            // Columns without a key weigh nothing.
            row[keys..].fill(f32::NEG_INFINITY);
            *top = largest(s, row);
        }
        let mut sums = [0.0; BLOCK];
        for row in 0..n {
            let weights = &mut weights[row * (wide / 2)..][..wide / 2];
            sums[row] = weigh(s, &scores[row * wide..][..wide], tops[row], scale, weights);
        }

        let mut held = [[0.0; BLOCK]; BLOCK];
        let a = Left { words: weights, stride: key_steps * STEP, steps: key_steps };
        for panel in 0..head_dim.div_ceil(BLOCK) {
            let values = &values[panel * key_steps * STEP * BLOCK..];
            multiply::<T, false>(tiles, a, values, held.as_flattened_mut(), BLOCK);
            let columns = BLOCK.min(head_dim - panel * BLOCK);
            for row in 0..n {
                let (held, scale) = (&mut held[row], s.splat(1.0 / sums[row]));
                let mut i = 0;
                while i < BLOCK {
                    s.store(s.mul(s.load(&held[i..]), scale), &mut held[i..]);
                    i += <Avx512Bf16>::LANES;
                }
                let at = (self.first + row) * (heads * words) + self.head * words + panel * BLOCK / 2;
                s.pack_row(&held[..columns], &mut out[at..]);
            }
        }
    }
}

/// `2^r` for `|r| <= 1/2`, our own fit: relative error 1e-4, where rounding to bf16 makes one of 2e-3.
const EXP2: [f32; 4] = [0.999_928_06, 0.693_261, 0.242_611_14, 0.055_171_635];

/// Turns a row of scores, whole steps, into the operand words of `e^(scale (score - top))` and returns their sum.
#[inline(always)]
fn weigh(s: Avx512Bf16, scores: &[f32], top: f32, scale: f32, words: &mut [f32]) -> f32 {
    let scale = scale * std::f32::consts::LOG2_E;
    let (shift, scale) = (s.splat(-top * scale), s.splat(scale));
    let mut sum = s.splat(0.0);
    let n = scores.len();
    assert!(n.is_multiple_of(STEP_VALUES) && words.len() >= n / 2);
    let mut first = 0;
    while first < n {
        let mut pair = [0.0; STEP_VALUES];
        let mut i = 0;
        while i < STEP_VALUES {
            // Far from the smallest normal number: below that, the processor takes its time.
            let x = s.max(s.mul_add(s.load(&scores[first + i..]), scale, shift), s.splat(-100.0));
            let shifted = s.add(x, s.splat(ROUND));
            let r = s.sub(x, s.sub(shifted, s.splat(ROUND)));
            let weight = s.mul(polynomial(s, r, EXP2), s.exp2(shifted));
            sum = s.add(sum, weight);
            s.store(weight, &mut pair[i..]);
            i += <Avx512Bf16>::LANES;
        }
        s.store(s.words(&pair, 0), &mut words[first / 2..]);
        first += STEP_VALUES;
    }
    s.sum(sum)
}
