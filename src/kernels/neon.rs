//! AArch64: NEON, which every such processor has.

use std::arch::aarch64::*;

use super::precision::Precision;
use super::simd::{Op, Simd};

/// NEON, operands in f32.
#[derive(Clone, Copy)]
pub(super) struct Neon;

impl Simd for Neon {
    type V = float32x4_t;
    const LANES: usize = 4;
    const PANEL: usize = 4;
    const PRECISION: Precision = Precision::F32;

    #[inline(always)]
    fn call<O: Op>(self, op: O) -> O::Output {
        #[inline(never)]
        fn call<O: Op>(op: O) -> O::Output {
            op.run(Neon)
        }
        call(op)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        // SAFETY: NEON is in the baseline.
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn load_ptr(self, from: *const f32) -> float32x4_t {
        // SAFETY: NEON is in the baseline; the caller answers for the pointer.
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn store_ptr(self, v: float32x4_t, to: *mut f32) {
        // SAFETY: NEON is in the baseline; the caller answers for the pointer.
        unsafe { vst1q_f32(to, v) }
    }
    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is in the baseline.
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is in the baseline.
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is in the baseline.
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    fn ratio(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is in the baseline.
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is in the baseline.
        unsafe { vmaxq_f32(a, b) }
    }
    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is in the baseline.
        unsafe { vminq_f32(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is in the baseline.
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    fn exp2(self, shifted: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is in the baseline.
        unsafe {
            let exponent = vshlq_n_s32::<23>(vreinterpretq_s32_f32(shifted));
            vreinterpretq_f32_s32(vaddq_s32(exponent, vdupq_n_s32(127 << 23)))
        }
    }
}
