//! Every other processor: arrays of eight that the compiler turns into what vectors there are.
//!
//! Products and sums are rounded one by one, and the order of sums is fixed, so every x86-64 processor gets the same bits here
//! from the same pixels. Pixels can differ: `video::convert` says on which processors.

use super::simd::{Op, Simd};

/// Plain Rust, operands in f32.
#[derive(Clone, Copy)]
pub(super) struct Portable;

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

impl Simd for Portable {
    type V = V;
    const LANES: usize = 8;
    const PANEL: usize = 1;
    const PACK: usize = 1;

    #[inline(always)]
    fn call<O: Op>(self, op: O) -> O::Output {
        #[inline(never)]
        fn call<O: Op>(op: O) -> O::Output {
            op.run(Portable)
        }
        call(op)
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
    fn exp2(self, shifted: V) -> V {
        lanes!(shifted, i => f32::from_bits((shifted[i].to_bits() << 23).wrapping_add(127 << 23)))
    }
}
