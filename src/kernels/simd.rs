//! The vector operations that kernels use: one trait, implemented once per instruction set.
//!
//! A kernel is an [`Op`], written once over [`Simd`]; each instruction set's `call` compiles it again with its own
//! target features. A value of a `Simd` type is the proof that the processor has those features (only
//! [`super::isa::Backend`] makes one, after asking), so the methods are safe; what stays unsafe are raw pointers.
//!
//! **Words.** Matrix operands are handled in 4-byte words: one `f32`, or two neighbouring `bf16` along the summed axis
//! (`PACK` = 2). Both therefore share layouts, loops and buffers; only [`Simd::mac`] and the packing differ. A buffer of
//! words is an `[f32]` whose bits mean what its kernel says.
//!
//! **Parts.** With bf16x3 each value is split (`PARTS` = 2): the value rounded to bf16, and what that leaves of it, rounded. A row
//! holds [`RUN`] words of first parts, then the words of the same values' second parts, and so on; zeros fill the last
//! run. A packed operand holds for each step the words of all columns' first parts, then those of their second ones.
//!
//! **Plain loops.** The hot loops count an index and call functions marked `#[inline(always)]`. Closures over vectors and
//! zipped iterators look better but may be left as calls, each passing its vectors through memory.

use super::precision::{Precision, RUN};

/// Lanes of the widest vector here.
pub(super) const MAX_LANES: usize = 16;

/// Columns of the widest panel of packed weights.
pub(super) const MAX_PANEL: usize = 64;

/// Adding this to `|x| < 2^22` rounds to the nearest integer, which is then in the low bits: `1.5 * 2^23`.
pub(super) const ROUND: f32 = 12_582_912.0;

/// A computation compiled anew for each instruction set.
pub(super) trait Op {
    type Output;
    /// Implementations are `#[inline(always)]`, so that the code lands where the target features are enabled.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// Vectors of f32, and the matrix step on words.
pub(super) trait Simd: Copy {
    type V: Copy;
    /// f32 per vector.
    const LANES: usize;
    /// Vectors per panel of packed weights: with six rows they fill the registers.
    const PANEL: usize;
    /// What the words of operands hold.
    const PRECISION: Precision;
    /// Neighbouring values along the summed axis in one word.
    const PACK: usize = Self::PRECISION.pack();
    /// Words that hold a value.
    const PARTS: usize = Self::PRECISION.parts();

    /// Runs `op` compiled for this instruction set, as a call of its own.
    fn call<O: Op>(self, op: O) -> O::Output;

    fn splat(self, x: f32) -> Self::V;
    /// # Safety
    /// `from` points to `LANES` readable f32.
    unsafe fn load_ptr(self, from: *const f32) -> Self::V;
    /// # Safety
    /// `to` points to `LANES` writable f32.
    unsafe fn store_ptr(self, v: Self::V, to: *mut f32);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b` within two units in the last place, for `b` between 1 and 1e6.
    fn ratio(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger; `b` where either is not a number, or (NEON) not a number.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller; where either is not a number as [`Simd::max`].
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `2^n` where `shifted` is `n + ROUND` for an integer `-127 < n < 128`.
    fn exp2(self, shifted: Self::V) -> Self::V;

    /// `acc + a * b` on words: the step of every matrix product.
    #[inline(always)]
    fn mac(self, acc: Self::V, a: Self::V, b: Self::V) -> Self::V {
        self.mul_add(a, b, acc)
    }

    /// Asks for the cache line at `at`; any address will do.
    #[inline(always)]
    fn prefetch(self, _at: *const f32) {}

    /// Words of `src.len()` values, as many as [`Precision::words`] says, into the front of `dst`.
    #[inline(always)]
    fn pack_row(self, src: &[f32], dst: &mut [f32]) {
        if Self::PARTS == 2 {
            return self.split_row(src, dst);
        }
        // Rows are short: vectors in line beat a call that copies.
        let (n, dst) = (src.len(), &mut dst[..src.len()]);
        let mut i = 0;
        while i + Self::LANES <= n {
            self.store(self.load(&src[i..]), &mut dst[i..]);
            i += Self::LANES;
        }
        dst[i..].copy_from_slice(&src[i..]);
    }

    /// Turns `LANES` vectors, the rows of a square, into its columns.
    #[inline(always)]
    fn transpose(self, square: &mut [Self::V; MAX_LANES]) {
        let mut from = [[0.0; MAX_LANES]; MAX_LANES];
        for r in 0..Self::LANES {
            self.store(square[r], &mut from[r]);
        }
        for c in 0..Self::LANES {
            let mut column = [0.0; MAX_LANES];
            for r in 0..Self::LANES {
                column[r] = from[r][c];
            }
            square[c] = self.load(&column);
        }
    }

    /// [`Simd::pack_row`] where values are split.
    #[inline(always)]
    fn split_row(self, src: &[f32], dst: &mut [f32]) {
        let (n, dst) = (src.len(), &mut dst[..Precision::Bf16x3.words(src.len())]);
        let mut first = 0;
        while first < n {
            for part in 0..2 {
                let mut word = 0;
                while word < RUN {
                    let from = n.min(first + 2 * word);
                    let to = n.min(from + 2 * Self::LANES);
                    self.store(self.words(&src[from..to], part), &mut dst[first + part * RUN + word..]);
                    word += Self::LANES;
                }
            }
            first += 2 * RUN;
        }
    }

    /// A vector of words from at most `PACK * LANES` values, then zeros: of their part number `part`, which is below `PARTS`.
    #[inline(always)]
    fn words(self, from: &[f32], _part: usize) -> Self::V {
        self.load_part(from, 0.0)
    }

    /// Words that pair the values of two vectors; with `PACK` = 1 there is nothing to pair and `hi` is ignored.
    #[inline(always)]
    fn pair(self, lo: Self::V, _hi: Self::V) -> Self::V {
        lo
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::V {
        assert!(from.len() >= Self::LANES);
        // SAFETY: the length was just checked.
        unsafe { self.load_ptr(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, v: Self::V, to: &mut [f32]) {
        assert!(to.len() >= Self::LANES);
        // SAFETY: the length was just checked.
        unsafe { self.store_ptr(v, to.as_mut_ptr()) }
    }

    /// `LANES` whole numbers of 8 bits, as f32.
    #[inline(always)]
    fn load_i8(self, from: &[i8]) -> Self::V {
        let mut lanes = [0.0; MAX_LANES];
        for i in 0..Self::LANES {
            lanes[i] = f32::from(from[i]);
        }
        self.load(&lanes)
    }

    /// The inner product of whole numbers. The caller makes sure that its absolute terms add up to less than `2^31`.
    #[inline(always)]
    fn dot_i8(self, codes: &[i8], vector: &[i16]) -> i32 {
        let mut sum = 0;
        for i in 0..codes.len() {
            sum += i32::from(codes[i]) * i32::from(vector[i]);
        }
        sum
    }

    /// Loads at most `LANES` values, with `rest` in the remaining lanes.
    #[inline(always)]
    fn load_part(self, from: &[f32], rest: f32) -> Self::V {
        if from.len() >= Self::LANES {
            return self.load(from);
        }
        let mut lanes = [rest; MAX_LANES];
        lanes[..from.len()].copy_from_slice(from);
        self.load(&lanes)
    }

    /// Stores as many lanes as `to` holds.
    #[inline(always)]
    fn store_part(self, v: Self::V, to: &mut [f32]) {
        if to.len() >= Self::LANES {
            return self.store(v, to);
        }
        let mut lanes = [0.0; MAX_LANES];
        self.store(v, &mut lanes);
        let n = to.len();
        to.copy_from_slice(&lanes[..n]);
    }

    /// The sum of the lanes, by halves.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        let mut lanes = [0.0; MAX_LANES];
        self.store(v, &mut lanes);
        let mut n = Self::LANES;
        while n > 1 {
            n /= 2;
            for i in 0..n {
                lanes[i] += lanes[i + n];
            }
        }
        lanes[0]
    }

    /// The largest lane.
    #[inline(always)]
    fn largest(self, v: Self::V) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; MAX_LANES];
        self.store(v, &mut lanes);
        lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}
