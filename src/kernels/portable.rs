//! Every other processor: arrays of eight that the compiler turns into what vectors there are.
//!
//! Products and sums are rounded one by one, and the order of sums is fixed, so every x86-64 processor gets the same bits here
//! from the same pixels. Pixels can differ: `video::convert` says on which processors.
//!
//! bf16x3 is here too, so that tests of what AMX computes run on any machine. It is slower than f32.

use half::bf16;

use super::precision::{Precision, RUN};
use super::simd::{Op, Simd};

/// Plain Rust, operands in f32, or with `SPLIT` as sums of two bf16.
#[derive(Clone, Copy)]
pub(super) struct Portable<const SPLIT: bool>;

type V = [f32; 8];

/// Lane by lane, as a counted loop: what the compiler turns into vectors most readily.
macro_rules! lanes {
    ($a:ident, $i:ident => $value:expr) => {{
        let mut out = $a;
        for $i in 0..8 {
            out[$i] = $value;
        }
        out
    }};
}

impl<const SPLIT: bool> Simd for Portable<SPLIT> {
    type V = V;
    const LANES: usize = 8;
    // Packed rows are written panel by panel, so a panel has whole runs.
    const PANEL: usize = if SPLIT { 2 * RUN / 8 } else { 1 };
    const PRECISION: Precision = if SPLIT { Precision::Bf16x3 } else { Precision::F32 };

    #[inline(always)]
    fn call<O: Op>(self, op: O) -> O::Output {
        #[inline(never)]
        fn call<const SPLIT: bool, O: Op>(op: O) -> O::Output {
            op.run(Portable::<SPLIT>)
        }
        call::<SPLIT, O>(op)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> V {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn load_ptr(self, from: *const f32) -> V {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_ptr(self, v: V, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<V>().write_unaligned(v) }
    }
    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        lanes!(a, i => a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        lanes!(a, i => a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        lanes!(a, i => a[i] * b[i])
    }
    #[inline(always)]
    fn ratio(self, a: V, b: V) -> V {
        lanes!(a, i => a[i] / b[i])
    }
    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        lanes!(a, i => if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn min(self, a: V, b: V) -> V {
        lanes!(a, i => if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn mul_add(self, a: V, b: V, c: V) -> V {
        // Not `f32::mul_add`: without the instruction that is a library call per number.
        lanes!(a, i => a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn mac(self, acc: V, a: V, b: V) -> V {
        if !SPLIT {
            return self.mul_add(a, b, acc);
        }
        // A bf16 is the upper half of the f32 of the same value; products of two are exact in f32.
        let first = |word: f32| f32::from_bits(word.to_bits() << 16);
        let second = |word: f32| f32::from_bits(word.to_bits() & 0xffff_0000);
        lanes!(acc, i => acc[i] + first(a[i]) * first(b[i]) + second(a[i]) * second(b[i]))
    }
    #[inline(always)]
    fn words(self, from: &[f32], part: usize) -> V {
        if !SPLIT {
            return self.load_part(from, 0.0);
        }
        let half = |i: usize| {
            let value = from.get(i).copied().unwrap_or(0.0);
            let rounded = bf16::from_f32(value);
            let part = if part == 0 { rounded } else { bf16::from_f32(value - rounded.to_f32()) };
            u32::from(part.to_bits())
        };
        std::array::from_fn(|i| f32::from_bits(half(2 * i) | half(2 * i + 1) << 16))
    }
    #[inline(always)]
    fn exp2(self, shifted: V) -> V {
        lanes!(shifted, i => f32::from_bits((shifted[i].to_bits() << 23).wrapping_add(127 << 23)))
    }
}
