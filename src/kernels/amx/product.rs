//! Products of operand rows with a packed operand: block by block, a block's sums finished while the next is multiplied.

use std::mem::swap;

use super::super::precision::Precision;
use super::super::simd::Simd;
use super::super::tile::LINE;
use super::super::x86::Avx512Bf16;
use super::unit::{Amx, Registers, Tiles};
use super::{BLOCK, STEP, STEP_VALUES, TILE, packed_words, step_words};

/// Words of the panels that one block of rows meets before the next one does: rows and outputs stay near, and four panels of
/// 384 values in bf16 leave the second cache level to them. Measured, 5 to 10 % better than one panel.
const GROUP: usize = 4 * 12 * step_words(Precision::Bf16);

/// The sums of a block, on cache lines.
#[repr(align(64))]
struct Held([[f32; BLOCK]; BLOCK]);

/// What becomes of finished sums.
pub(in super::super) trait Sums {
    /// Takes the sums of `row` for the 32 columns from `first` on, of which the last panel's may not all exist.
    /// Implementations are `#[inline(always)]`, so that they are compiled for the vectors of `s`.
    fn take<const SPLIT: bool>(
        &mut self,
        s: Avx512Bf16<SPLIT>,
        row: usize,
        first: usize,
        sums: &[f32; BLOCK],
    );
}

/// What is multiplied: `rows` operand rows of `words` words, one after another, and panels of `steps` steps.
struct Operands<'a> {
    x: &'a [f32],
    rows: usize,
    words: usize,
    b: &'a [f32],
    steps: usize,
}

/// What is left for the vector units between two steps: the sums of the block before, and the panel after this one.
struct Between<'a, F, const SPLIT: bool> {
    s: Avx512Bf16<SPLIT>,
    sums: &'a mut F,
    /// The first row of the block before, and its panel's first column.
    row: usize,
    column: usize,
    /// Its rows that nobody finished yet.
    from: usize,
    to: usize,
    /// Rows to finish per step.
    per_step: usize,
    /// What to ask for next.
    next: *const f32,
    /// Lines to ask for per step.
    lines: usize,
}

impl<F: Sums, const SPLIT: bool> Between<'_, F, SPLIT> {
    #[inline(always)]
    fn step(&mut self, done: &Held) {
        for _ in 0..self.lines {
            self.s.prefetch(self.next);
            self.next = self.next.wrapping_add(LINE);
        }
        self.finish(done, self.per_step);
    }

    #[inline(always)]
    fn finish(&mut self, done: &Held, rows: usize) {
        let end = self.to.min(self.from + rows);
        for i in self.from..end {
            self.sums.take(self.s, self.row + i, self.column, &done.0[i]);
        }
        self.from = end;
    }
}

/// `x (rows, inner) b (inner, columns)` for operand rows `x` and a packed `b`; every sum goes to `sums` once.
///
/// # Panics
/// If an operand has another length.
pub(in super::super) fn product<const SPLIT: bool>(
    unit: Amx,
    x: &[f32],
    rows: usize,
    b: (&[f32], usize, usize),
    sums: &mut impl Sums,
) {
    if rows > 0 {
        let tiles = Tiles::configure(unit, TILE.min(rows));
        product_on(&tiles, unit.vectors::<SPLIT>(), x, rows, b, sums);
    }
}

/// The same on registers that are configured for the smaller of `rows`, at least one, and a tile's.
#[inline(always)]
pub(in super::super) fn product_on<const SPLIT: bool>(
    tiles: &impl Registers,
    s: Avx512Bf16<SPLIT>,
    x: &[f32],
    rows: usize,
    (b, inner, columns): (&[f32], usize, usize),
    sums: &mut impl Sums,
) {
    let precision = Avx512Bf16::<SPLIT>::PRECISION;
    let words = precision.words(inner);
    assert!(inner > 0 && x.len() == rows * words && b.len() == packed_words(precision, inner, columns));
    let operands = Operands { x, rows, words, b, steps: inner.div_ceil(STEP_VALUES) };
    // SAFETY: `s` proves the features.
    unsafe { blocks(tiles, s, &operands, sums) };
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn blocks<const SPLIT: bool, F: Sums>(
    tiles: &impl Registers,
    s: Avx512Bf16<SPLIT>,
    operands: &Operands<'_>,
    sums: &mut F,
) {
    let &Operands { rows, steps, b, .. } = operands;
    let (tile, step_words) = (tiles.rows(), step_words(Avx512Bf16::<SPLIT>::PRECISION));
    let [current, done] = &mut [const { Held([[0.0; BLOCK]; BLOCK]) }; 2];
    let (mut current, mut done) = (current, done);
    let mut between = Between {
        s,
        sums,
        row: 0,
        column: 0,
        from: 0,
        to: 0,
        per_step: BLOCK.div_ceil(steps),
        next: b.as_ptr(),
        lines: (step_words / LINE).div_ceil(rows.div_ceil(BLOCK)),
    };
    let panel = steps * step_words;
    let group = (GROUP / panel).max(1);
    for (g, b) in b.chunks(group * panel).enumerate() {
        // The groups follow one another.
        between.next = b.as_ptr_range().end;
        let mut row = 0;
        while row < rows {
            // The last block reaches back to be whole: what it shares with the one before it is computed twice.
            let two = rows - row > TILE && rows >= BLOCK;
            let height = if two { BLOCK } else { tile };
            let first = row.min(rows - height);
            for (p, b) in b.chunks_exact(panel).enumerate() {
                if two {
                    block::<2, SPLIT, F>(tiles, operands, first, b, current, done, &mut between);
                } else {
                    block::<1, SPLIT, F>(tiles, operands, first, b, current, done, &mut between);
                }
                debug_assert_eq!(between.from, between.to, "a block was left unfinished");
                (between.row, between.column) = (first, (g * group + p) * BLOCK);
                (between.from, between.to) = (row - first, height);
                swap(&mut current, &mut done);
            }
            row = first + height;
        }
    }
    between.finish(done, BLOCK);
}

/// The sums of `T` row tiles from row `first` on by one panel `b`, doing a part of `between` after each step.
#[inline(always)]
fn block<const T: usize, const SPLIT: bool, F: Sums>(
    tiles: &impl Registers,
    operands: &Operands<'_>,
    first: usize,
    b: &[f32],
    to: &mut Held,
    done: &Held,
    between: &mut Between<'_, F, SPLIT>,
) {
    let &Operands { x, rows, words, steps, .. } = operands;
    let height = tiles.rows() * T;
    let (parts, step_words) = (Avx512Bf16::<SPLIT>::PARTS, step_words(Avx512Bf16::<SPLIT>::PRECISION));
    assert!(first + height <= rows && x.len() == rows * words && b.len() == steps * step_words);
    let a = x[first * words..].as_ptr();
    tiles.clear_sums();
    let whole = words / (STEP * parts);
    for step in 0..whole {
        // SAFETY: the rows of `a` lie in `x` and have `whole` steps, the panel has `steps` of them.
        unsafe {
            tiles.step::<T, SPLIT>(a.add(step * STEP * parts), words, b.as_ptr().add(step * step_words));
        }
        between.step(done);
    }
    if !SPLIT && whole < steps {
        // The rows end within the last step: it reads a copy with zeros behind their ends. Split rows have them.
        let mut end = [[[0.0; STEP]; TILE]; T];
        for (row, end) in end.as_flattened_mut().iter_mut().take(height).enumerate() {
            let from = &x[(first + row) * words..][whole * STEP..words];
            end[..from.len()].copy_from_slice(from);
        }
        // SAFETY: `end` has a tile of words for each of `T`, the panel a last step.
        unsafe { tiles.step::<T, false>(end.as_ptr().cast(), STEP, b[whole * step_words..].as_ptr()) };
        between.step(done);
    }
    // SAFETY: `to` has two tiles of rows.
    unsafe { tiles.store_sums::<T>(to.0.as_mut_ptr().cast(), BLOCK) };
}

/// Rows of the left operand that need no finishing: `T` tiles of them, from the first row's first word.
#[derive(Clone, Copy)]
pub(in super::super) struct Left<'a> {
    pub words: &'a [f32],
    /// Words from one row to the next, at least those of its steps.
    pub stride: usize,
    /// Steps along the summed axis.
    pub steps: usize,
}

/// `c = a b`, both split or not, for `T` (1 or 2) full tiles of rows by the panel that `b` starts with, rows of `c` being
/// `c_stride` apart.
///
/// # Panics
/// If an operand is too short, or the tiles are configured for fewer rows.
#[inline(always)]
pub(in super::super) fn multiply<const T: usize, const SPLIT: bool>(
    tiles: &impl Registers,
    a: Left<'_>,
    b: &[f32],
    c: &mut [f32],
    c_stride: usize,
) {
    let Left { words, stride, steps } = a;
    assert!(tiles.rows() == TILE && (T == 1 || T == 2));
    let (step, step_words) = (STEP * Avx512Bf16::<SPLIT>::PARTS, step_words(Avx512Bf16::<SPLIT>::PRECISION));
    assert!(words.len() >= (T * TILE - 1) * stride + steps * step && b.len() >= steps * step_words);
    assert!(c.len() >= (T * TILE - 1) * c_stride + BLOCK);
    tiles.clear_sums();
    // SAFETY: the lengths were just checked.
    unsafe {
        for i in 0..steps {
            tiles.step::<T, SPLIT>(words.as_ptr().add(i * step), stride, b.as_ptr().add(i * step_words));
        }
        tiles.store_sums::<T>(c.as_mut_ptr(), c_stride);
    }
}
