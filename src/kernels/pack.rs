//! Panels: the right-hand operand of a matrix product, laid out in the order the micro-kernel reads it.
//!
//! Panel after panel of `PANEL * LANES` columns; within one, step by step, the words of all its columns, part by part where
//! values are split. The last panel is as narrow as whole vectors allow, zeros in the columns that do not exist.

use super::simd::{MAX_LANES, Simd};

/// Words of a vector-aligned row of `columns`.
pub(super) fn padded<S: Simd>(columns: usize) -> usize {
    columns.next_multiple_of(S::LANES)
}

/// Panels of `words` a column by `columns`: where each starts, its first column, how many columns, how many vectors.
pub(super) fn panels<S: Simd>(columns: usize, words: usize) -> impl Iterator<Item = Panel> {
    let wide = S::PANEL * S::LANES;
    (0..columns.div_ceil(wide)).map(move |p| {
        let first = p * wide;
        let columns = wide.min(columns - first);
        Panel { start: first * words, first, columns, vectors: columns.div_ceil(S::LANES) }
    })
}

/// One panel within a packed operand.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    /// Its first word.
    pub start: usize,
    /// Its first column.
    pub first: usize,
    /// Its columns.
    pub columns: usize,
    /// Its vectors per step.
    pub vectors: usize,
}

/// Packs an operand whose **columns** lie in memory: column `j` is `inner` values from `from[j * stride]` (a weight
/// `(out, in)`, the keys of attention). It goes square by square, each transposed in registers.
#[inline(always)]
pub(super) fn pack_columns<S: Simd>(
    s: S,
    from: &[f32],
    stride: usize,
    columns: usize,
    inner: usize,
    to: &mut [f32],
) {
    let words = S::PRECISION.words(inner);
    let steps = words / S::PARTS;
    for panel in panels::<S>(columns, words) {
        let wide = panel.vectors * S::LANES;
        let to = &mut to[panel.start..][..words * wide];
        for vector in 0..panel.vectors {
            let first = vector * S::LANES;
            let here = S::LANES.min(panel.columns - first);
            for step in (0..steps).step_by(S::LANES) {
                let values = (step * S::PACK).min(inner)..((step + S::LANES) * S::PACK).min(inner);
                for part in 0..S::PARTS {
                    let mut square = [s.splat(0.0); MAX_LANES];
                    for j in 0..here {
                        let column = &from[(panel.first + first + j) * stride..];
                        square[j] = s.words(&column[values.start..values.end], part);
                    }
                    s.transpose(&mut square);
                    for k in 0..S::LANES.min(steps - step) {
                        s.store(square[k], &mut to[((step + k) * S::PARTS + part) * wide + first..]);
                    }
                }
            }
        }
    }
}

/// Packs an operand whose **rows** lie in memory: row `k` is `columns` values from `from[k * stride]` (the values of
/// attention, which are never split).
#[inline(always)]
pub(super) fn pack_rows<S: Simd>(
    s: S,
    from: &[f32],
    stride: usize,
    inner: usize,
    columns: usize,
    to: &mut [f32],
) {
    let steps = inner.div_ceil(S::PACK);
    for panel in panels::<S>(columns, steps) {
        let wide = panel.vectors * S::LANES;
        let to = &mut to[panel.start..][..steps * wide];
        for step in 0..steps {
            let k = step * S::PACK;
            let lo = &from[k * stride + panel.first..][..panel.columns];
            // A last row without a partner is paired with zeros.
            let pair = S::PACK == 2 && k + 1 < inner;
            let hi = if pair { &from[(k + 1) * stride + panel.first..][..panel.columns] } else { &[] };
            let mut i = 0;
            while i < panel.columns {
                let hi = s.load_part(&hi[i.min(hi.len())..], 0.0);
                s.store(s.pair(s.load_part(&lo[i..], 0.0), hi), &mut to[step * wide + i..]);
                i += S::LANES;
            }
        }
    }
}
