//! The right-hand operand tile by tile: a tile is 16 columns by 16 words of two neighbouring values, a step two tiles
//! side by side, a panel of 32 columns step after step. Where values are split, a step is four tiles: two of first parts, two of
//! second ones. Columns and values that do not exist are zeros.

use super::super::precision::Precision;
use super::super::simd::{MAX_LANES, Simd};
use super::super::x86::Avx512Bf16;
use super::{BLOCK, STEP, STEP_VALUES, TILE, TILE_WORDS, step_words};

/// Words of a packed operand of `inner` values by `columns`.
pub(in super::super) fn packed_words(precision: Precision, inner: usize, columns: usize) -> usize {
    columns.div_ceil(BLOCK) * inner.div_ceil(STEP_VALUES) * step_words(precision)
}

/// Where a tile's columns and values start in the operand, and their part, tile after tile in packed order.
fn tiles(inner: usize, columns: usize, parts: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let of_step = move |panel: usize, value: usize| {
        (0..parts).flat_map(move |part| [(panel, value, part), (panel + TILE, value, part)])
    };
    let of_panel = move |panel| (0..inner).step_by(STEP_VALUES).flat_map(move |value| of_step(panel, value));
    (0..columns).step_by(BLOCK).flat_map(of_panel)
}

/// Packs an operand whose **columns** lie in memory: column `j` is `inner` values from `from[j * stride]`.
pub(in super::super) fn pack_columns<const SPLIT: bool>(
    s: Avx512Bf16<SPLIT>,
    from: &[f32],
    stride: usize,
    columns: usize,
    inner: usize,
    to: &mut [f32],
) {
    // SAFETY: `s` proves the features.
    unsafe { columns_into_tiles(s, from, stride, columns, inner, to) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn columns_into_tiles<const SPLIT: bool>(
    s: Avx512Bf16<SPLIT>,
    from: &[f32],
    stride: usize,
    columns: usize,
    inner: usize,
    to: &mut [f32],
) {
    let (precision, parts) = (Avx512Bf16::<SPLIT>::PRECISION, Avx512Bf16::<SPLIT>::PARTS);
    let to = &mut to[..packed_words(precision, inner, columns)];
    for ((first, value, part), to) in tiles(inner, columns, parts).zip(to.chunks_exact_mut(TILE_WORDS)) {
        let values = value..inner.min(value + STEP_VALUES);
        let mut square = [s.splat(0.0); MAX_LANES];
        for j in 0..TILE.min(columns.saturating_sub(first)) {
            square[j] = s.words(&from[(first + j) * stride..][values.clone()], part);
        }
        s.transpose(&mut square);
        for k in 0..TILE {
            s.store(square[k], &mut to[k * STEP..]);
        }
    }
}

/// Packs an operand whose **rows** lie in memory: row `k` is `columns` values from `from[k * stride]`;
/// not split.
pub(in super::super) fn pack_rows(
    s: Avx512Bf16,
    from: &[f32],
    stride: usize,
    inner: usize,
    columns: usize,
    to: &mut [f32],
) {
    // SAFETY: `s` proves the features.
    unsafe { rows_into_tiles(s, from, stride, inner, columns, to) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn rows_into_tiles(s: Avx512Bf16, from: &[f32], stride: usize, inner: usize, columns: usize, to: &mut [f32]) {
    let to = &mut to[..packed_words(Precision::Bf16, inner, columns)];
    for ((first, value, _), to) in tiles(inner, columns, 1).zip(to.chunks_exact_mut(TILE_WORDS)) {
        let width = TILE.min(columns.saturating_sub(first));
        for k in 0..TILE {
            let row =
                |k: usize| if k < inner && width > 0 { &from[k * stride + first..][..width] } else { &[] };
            let (lo, hi) = (row(value + 2 * k), row(value + 2 * k + 1));
            s.store(s.pair(s.load_part(lo, 0.0), s.load_part(hi, 0.0)), &mut to[k * STEP..]);
        }
    }
}
