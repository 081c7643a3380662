//! The micro-kernel: up to six rows by one panel of columns, in registers from the first step to the last.
//!
//! Every matrix product here comes down to it. Six rows by four vectors of sixteen are 24 sums, four vectors of weights
//! and a broadcast value: 29 of AVX-512's 32 registers, and ten loads for 24 multiply-adds. A panel stays in the second
//! cache level while all rows are multiplied with it; meanwhile each call prefetches a part of the next panel.
//!
//! Split values take three products a step: of both first parts, of the row's second part with the panel's first, and the other
//! way round. They go to the same sums.

use super::precision::RUN;
use super::simd::{MAX_PANEL, Op, Simd};

/// Rows of a full tile.
pub(super) const ROWS: usize = 6;

/// Steps between two prefetches: 44 row blocks of a frame then cover a panel one and a half times.
const PREFETCH_EVERY: usize = 8;

/// Words per cache line.
pub(super) const LINE: usize = 16;

/// Room for the sums of a tile on the stack, on cache lines.
#[repr(align(64))]
pub(super) struct Held(pub [f32; ROWS * MAX_PANEL]);

/// `c (rows, vectors * LANES) = bias + a (rows, steps) * b (steps, vectors * LANES)`, `+=` if `add`.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Operand words, `steps * PARTS` a row, rows `a_stride` words apart.
    pub a: *const f32,
    pub a_stride: usize,
    /// At most `ROWS`.
    pub rows: usize,
    /// A panel: the words of all columns, step by step, part by part.
    pub b: *const f32,
    /// Whole runs where values are split.
    pub steps: usize,
    /// Vectors per step, at most `PANEL`.
    pub vectors: usize,
    /// One f32 per column, or null.
    pub bias: *const f32,
    pub c: *mut f32,
    pub c_stride: usize,
    /// Add to what `c` holds.
    pub add: bool,
    /// Where to start prefetching, one line every few steps, or null.
    pub next: *const f32,
}

impl Tile {
    /// Lines that one call prefetches.
    pub(super) fn prefetched(steps: usize) -> usize {
        steps / PREFETCH_EVERY
    }

    /// Computes the tile with the instructions of `s`.
    ///
    /// # Safety
    /// `a`, `b`, `bias` and `c` reach as far as the fields say, `c` is written by nobody else and overlaps no operand.
    #[inline(always)]
    pub(super) unsafe fn compute<S: Simd>(self, s: S) {
        debug_assert!(self.rows <= ROWS && self.vectors <= S::PANEL);
        debug_assert!(S::PARTS == 1 || self.steps.is_multiple_of(RUN));
        s.call(Vouched(self));
    }
}

/// Operand rows.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// From the first row's first word.
    pub words: &'a [f32],
    /// At most `ROWS`.
    pub rows: usize,
    /// Steps along the summed axis, of `PARTS` words each.
    pub steps: usize,
    /// Words from one row to the next.
    pub stride: usize,
}

/// `c (rows, vectors * LANES) = a b`, `b` the panel that the slice starts with, rows of `c` being `c_stride` apart.
#[inline(always)]
pub(super) fn multiply<S: Simd>(
    s: S,
    a: Rows<'_>,
    b: &[f32],
    vectors: usize,
    c: &mut [f32],
    c_stride: usize,
) {
    let Rows { words, rows, steps, stride } = a;
    let across = vectors * S::LANES;
    let row = steps * S::PARTS;
    assert!(rows > 0 && words.len() >= (rows - 1) * stride + row && b.len() >= row * across);
    assert!(c.len() >= (rows - 1) * c_stride + across);
    let tile = Tile {
        a: words.as_ptr(),
        a_stride: stride,
        rows,
        b: b.as_ptr(),
        steps,
        vectors,
        bias: std::ptr::null(),
        c: c.as_mut_ptr(),
        c_stride,
        add: false,
        next: std::ptr::null(),
    };
    // SAFETY: the lengths were just checked, and `c` is borrowed mutably while the operands are borrowed shared.
    unsafe { tile.compute(s) }
}

/// A tile whose pointers the caller of [`Tile::compute`] answers for.
struct Vouched(Tile);

impl Op for Vouched {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let tile = self.0;
        // SAFETY: the promise made to `compute`; `vectors` and `rows` choose the matching kernel.
        unsafe {
            match tile.vectors {
                1 => rows::<S, 1>(s, tile),
                2 if S::PANEL >= 2 => rows::<S, 2>(s, tile),
                3 if S::PANEL >= 3 => rows::<S, 3>(s, tile),
                4 if S::PANEL >= 4 => rows::<S, 4>(s, tile),
                _ => {}
            }
        }
    }
}

#[inline(always)]
unsafe fn rows<S: Simd, const V: usize>(s: S, tile: Tile) {
    // SAFETY: passed on.
    unsafe {
        match tile.rows {
            1 => micro::<S, 1, V>(s, tile),
            2 => micro::<S, 2, V>(s, tile),
            3 => micro::<S, 3, V>(s, tile),
            4 => micro::<S, 4, V>(s, tile),
            5 => micro::<S, 5, V>(s, tile),
            ROWS => micro::<S, ROWS, V>(s, tile),
            _ => {}
        }
    }
}

#[inline(always)]
unsafe fn micro<S: Simd, const R: usize, const V: usize>(s: S, tile: Tile) {
    let mut acc = [[s.splat(0.0); V]; R];
    // SAFETY: every pointer moves within the extents that `Tile` documents; `next` is only prefetched.
    unsafe {
        if !tile.bias.is_null() {
            for v in 0..V {
                let bias = s.load_ptr(tile.bias.add(v * S::LANES));
                for row in &mut acc {
                    row[v] = bias;
                }
            }
        }
        let (mut a, mut b, mut next) = (tile.a, tile.b, tile.next);
        for group in 0..tile.steps / PREFETCH_EVERY {
            if !next.is_null() {
                s.prefetch(next);
                next = next.wrapping_add(LINE);
            }
            for _ in 0..PREFETCH_EVERY {
                step(s, &mut acc, a, tile.a_stride, b);
                a = a.add(1);
                b = b.add(V * S::LANES * S::PARTS);
            }
            if S::PARTS == 2 && ((group + 1) * PREFETCH_EVERY).is_multiple_of(RUN) {
                // Past the second parts.
                a = a.add(RUN);
            }
        }
        for _ in 0..tile.steps % PREFETCH_EVERY {
            step(s, &mut acc, a, tile.a_stride, b);
            a = a.add(1);
            b = b.add(V * S::LANES);
        }
        for (r, row) in acc.iter().enumerate() {
            for (v, &sum) in row.iter().enumerate() {
                let at = tile.c.add(r * tile.c_stride + v * S::LANES);
                s.store_ptr(if tile.add { s.add(s.load_ptr(at), sum) } else { sum }, at);
            }
        }
    }
}

/// One step along the summed axis: a word from each of `R` rows by `V` vectors of a panel, or the three products of split ones.
#[inline(always)]
unsafe fn step<S: Simd, const R: usize, const V: usize>(
    s: S,
    acc: &mut [[S::V; V]; R],
    a: *const f32,
    a_stride: usize,
    b: *const f32,
) {
    // SAFETY: the caller's pointers have another step in front of them, with both parts of split values.
    unsafe {
        products(s, acc, a, a_stride, b);
        if S::PARTS == 2 {
            products(s, acc, a.add(RUN), a_stride, b);
            products(s, acc, a, a_stride, b.add(V * S::LANES));
        }
    }
}

/// A word from each of `R` rows by `V` vectors of a panel. A function and not a closure, which the compiler would leave standing as
/// a call.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "counted loops unroll whole; iterators may not")]
unsafe fn products<S: Simd, const R: usize, const V: usize>(
    s: S,
    acc: &mut [[S::V; V]; R],
    a: *const f32,
    a_stride: usize,
    b: *const f32,
) {
    let mut weights = [s.splat(0.0); V];
    // SAFETY: the caller's pointers have these words in front of them.
    unsafe {
        for v in 0..V {
            weights[v] = s.load_ptr(b.add(v * S::LANES));
        }
        for r in 0..R {
            let x = s.splat(*a.add(r * a_stride));
            for v in 0..V {
                acc[r][v] = s.mac(acc[r][v], x, weights[v]);
            }
        }
    }
}
