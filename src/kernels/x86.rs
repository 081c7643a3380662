//! x86-64: AVX-512 in f32 and bf16, AVX2 with FMA.

use std::arch::x86_64::*;

use super::precision::Precision;
use super::simd::{Op, Simd};

/// AVX-512F, operands in f32. Made only where the processor has `avx512f` and `avx512bw`.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

/// AVX-512 with `avx512bf16`: operands in pairs of bf16, sums in f32. With `SPLIT`, operands are sums of two bf16.
#[derive(Clone, Copy)]
pub(super) struct Avx512Bf16<const SPLIT: bool = false>(());

/// AVX2 with FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx512 {
    /// # Safety
    /// The processor has `avx512f` and `avx512bw`.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

impl<const SPLIT: bool> Avx512Bf16<SPLIT> {
    /// # Safety
    /// The processor has `avx512f`, `avx512bw` and `avx512bf16`.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

impl<const SPLIT: bool> Avx512Bf16<SPLIT> {
    /// 32 values as words.
    #[inline(always)]
    fn rounded(self, lo: __m512, hi: __m512) -> __m512 {
        // SAFETY: `self` proves the features; the two types are the same 512 bits.
        unsafe { std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(hi, lo)) }
    }

    /// What [`Self::rounded`] leaves of 32 values, as words.
    #[inline(always)]
    fn left(self, lo: __m512, hi: __m512) -> __m512 {
        // A bf16 is the upper half of the f32 of the same value.
        // SAFETY: `self` proves the features.
        let (low, high) = unsafe {
            let rounded = _mm512_castps_si512(self.rounded(lo, hi));
            let low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(rounded));
            let high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64::<1>(rounded));
            (_mm512_slli_epi32::<16>(low), _mm512_slli_epi32::<16>(high))
        };
        // SAFETY: as above.
        let (low, high) = unsafe { (_mm512_castsi512_ps(low), _mm512_castsi512_ps(high)) };
        self.rounded(self.sub(lo, low), self.sub(hi, high))
    }
}

impl Avx2 {
    /// # Safety
    /// The processor has `avx2` and `fma`.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw")]
fn call_avx512<O: Op>(op: O) -> O::Output {
    op.run(Avx512(()))
}

#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn call_avx512_bf16<const SPLIT: bool, O: Op>(op: O) -> O::Output {
    op.run(Avx512Bf16::<SPLIT>(()))
}

#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn call_avx2<O: Op>(op: O) -> O::Output {
    op.run(Avx2(()))
}

/// A 16 x 16 transposition: pairs of rows, then quarters of them, then 128-bit blocks twice.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_16(x: &mut [__m512; 16]) {
    let mut y = *x;
    for i in (0..16).step_by(2) {
        y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
    }
    for i in (0..16).step_by(4) {
        // Column `4 b + j` of the four rows stands in block `b` of `x[i + j]`.
        x[i] = _mm512_shuffle_ps::<0x44>(y[i], y[i + 2]);
        x[i + 1] = _mm512_shuffle_ps::<0xee>(y[i], y[i + 2]);
        x[i + 2] = _mm512_shuffle_ps::<0x44>(y[i + 1], y[i + 3]);
        x[i + 3] = _mm512_shuffle_ps::<0xee>(y[i + 1], y[i + 3]);
    }
    for j in 0..4 {
        // Blocks 0 and 2, then 1 and 3, of rows 0-3 and 4-7, of rows 8-11 and 12-15.
        let [a, b, c, d] = [x[j], x[j + 4], x[j + 8], x[j + 12]];
        let (ab_even, ab_odd) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
        let (cd_even, cd_odd) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
        y[j] = _mm512_shuffle_f32x4::<0x88>(ab_even, cd_even);
        y[j + 4] = _mm512_shuffle_f32x4::<0x88>(ab_odd, cd_odd);
        y[j + 8] = _mm512_shuffle_f32x4::<0xdd>(ab_even, cd_even);
        y[j + 12] = _mm512_shuffle_f32x4::<0xdd>(ab_odd, cd_odd);
    }
    *x = y;
}

/// The methods that AVX-512 has in common with and without bf16.
macro_rules! vectors_of_sixteen {
    () => {
        type V = __m512;
        const LANES: usize = 16;
        const PANEL: usize = 4;

        #[inline(always)]
        fn splat(self, x: f32) -> __m512 {
            // SAFETY: `self` proves the features.
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load_ptr(self, from: *const f32) -> __m512 {
            // SAFETY: `self` proves the features, the caller the pointer.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        fn load_i8(self, from: &[i8]) -> __m512 {
            assert!(from.len() >= 16);
            // SAFETY: `self` proves the features; the length was just checked.
            unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.as_ptr().cast()))) }
        }
        #[inline(always)]
        fn dot_i8(self, codes: &[i8], vector: &[i16]) -> i32 {
            let (n, vector) = (codes.len(), &vector[..codes.len()]);
            let mut i = 0;
            // SAFETY: `self` proves the features; 32 numbers of each are read from `i` on while there are so many.
            let mut sum = unsafe {
                let mut sums = [_mm512_setzero_si512(); 2];
                while i + 64 <= n {
                    for (half, sum) in sums.iter_mut().enumerate() {
                        let at = i + 32 * half;
                        let wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256(codes.as_ptr().add(at).cast()));
                        let pairs =
                            _mm512_madd_epi16(wide, _mm512_loadu_si512(vector.as_ptr().add(at).cast()));
                        *sum = _mm512_add_epi32(*sum, pairs);
                    }
                    i += 64;
                }
                _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
            };
            while i < n {
                sum += i32::from(codes[i]) * i32::from(vector[i]);
                i += 1;
            }
            sum
        }
        #[inline(always)]
        unsafe fn store_ptr(self, v: __m512, to: *mut f32) {
            // SAFETY: `self` proves the features, the caller the pointer.
            unsafe { _mm512_storeu_ps(to, v) }
        }
        #[inline(always)]
        fn add(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: `self` proves the features.
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        fn sub(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: `self` proves the features.
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        fn mul(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: `self` proves the features.
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        fn ratio(self, a: __m512, b: __m512) -> __m512 {
            // One Newton step from 14 bits: a third of the division's time.
            // SAFETY: `self` proves the features.
            unsafe {
                let guess = _mm512_rcp14_ps(b);
                let error = _mm512_fnmadd_ps(b, guess, _mm512_set1_ps(1.0));
                _mm512_mul_ps(a, _mm512_fmadd_ps(guess, error, guess))
            }
        }
        #[inline(always)]
        fn max(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: `self` proves the features.
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        fn min(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: `self` proves the features.
            unsafe { _mm512_min_ps(a, b) }
        }
        #[inline(always)]
        fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
            // SAFETY: `self` proves the features.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn exp2(self, shifted: __m512) -> __m512 {
            // SAFETY: `self` proves the features.
            unsafe {
                let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(shifted));
                _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(127 << 23)))
            }
        }
        #[inline(always)]
        fn sum(self, v: __m512) -> f32 {
            // SAFETY: `self` proves the features.
            unsafe { _mm512_reduce_add_ps(v) }
        }
        #[inline(always)]
        fn largest(self, v: __m512) -> f32 {
            // SAFETY: `self` proves the features.
            unsafe { _mm512_reduce_max_ps(v) }
        }
        #[inline(always)]
        fn transpose(self, square: &mut [__m512; 16]) {
            // SAFETY: `self` proves the features.
            unsafe { transpose_16(square) }
        }
        #[inline(always)]
        fn prefetch(self, at: *const f32) {
            // SAFETY: a prefetch never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
        }
    };
}

impl Simd for Avx512 {
    const PRECISION: Precision = Precision::F32;
    vectors_of_sixteen!();

    #[inline(always)]
    fn call<O: Op>(self, op: O) -> O::Output {
        // SAFETY: `self` proves the features.
        unsafe { call_avx512(op) }
    }
}

impl<const SPLIT: bool> Simd for Avx512Bf16<SPLIT> {
    const PRECISION: Precision = if SPLIT { Precision::Bf16x3 } else { Precision::Bf16 };
    vectors_of_sixteen!();

    #[inline(always)]
    fn call<O: Op>(self, op: O) -> O::Output {
        // SAFETY: `self` proves the features.
        unsafe { call_avx512_bf16::<SPLIT, O>(op) }
    }

    #[inline(always)]
    fn mac(self, acc: __m512, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves the features; the two types are the same 512 bits.
        unsafe {
            _mm512_dpbf16_ps(
                acc,
                std::mem::transmute::<__m512, __m512bh>(a),
                std::mem::transmute::<__m512, __m512bh>(b),
            )
        }
    }

    #[inline(always)]
    fn words(self, from: &[f32], part: usize) -> __m512 {
        let lo = self.load_part(from, 0.0);
        let hi = if from.len() > 16 { self.load_part(&from[16..], 0.0) } else { self.splat(0.0) };
        if part == 0 { self.rounded(lo, hi) } else { self.left(lo, hi) }
    }

    #[inline(always)]
    fn pack_row(self, src: &[f32], dst: &mut [f32]) {
        if SPLIT {
            return self.split_row(src, dst);
        }
        let (n, dst) = (src.len(), &mut dst[..src.len().div_ceil(2)]);
        let mut i = 0;
        while i + 32 <= n {
            self.store(self.words(&src[i..i + 32], 0), &mut dst[i / 2..]);
            i += 32;
        }
        if i < n {
            self.store_part(self.words(&src[i..], 0), &mut dst[i / 2..]);
        }
    }

    #[inline(always)]
    fn pair(self, lo: __m512, hi: __m512) -> __m512 {
        // Takes halfwords 0, 16, 1, 17, ... : lane i of `lo` beside lane i of `hi`.
        const ORDER: [u16; 32] = {
            let mut order = [0; 32];
            let mut i = 0;
            while i < 16 {
                order[2 * i] = i as u16;
                order[2 * i + 1] = 16 + i as u16;
                i += 1;
            }
            order
        };
        // SAFETY: `self` proves the features; `ORDER` is 512 bits.
        unsafe {
            let order = _mm512_loadu_si512(ORDER.as_ptr().cast());
            let halves = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(hi, lo));
            _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, halves))
        }
    }
}

impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    const PANEL: usize = 2;
    const PRECISION: Precision = Precision::F32;

    #[inline(always)]
    fn call<O: Op>(self, op: O) -> O::Output {
        // SAFETY: `self` proves the features.
        unsafe { call_avx2(op) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load_ptr(self, from: *const f32) -> __m256 {
        // SAFETY: `self` proves the features, the caller the pointer.
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    fn load_i8(self, from: &[i8]) -> __m256 {
        assert!(from.len() >= 8);
        // SAFETY: `self` proves the features; the length was just checked, and eight bytes are read.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn dot_i8(self, codes: &[i8], vector: &[i16]) -> i32 {
        let (n, vector) = (codes.len(), &vector[..codes.len()]);
        let mut i = 0;
        let mut lanes = [0i32; 8];
        // SAFETY: `self` proves the features; 16 numbers of each are read from `i` on while there are so many.
        unsafe {
            let mut sums = [_mm256_setzero_si256(); 2];
            while i + 32 <= n {
                for (half, sum) in sums.iter_mut().enumerate() {
                    let at = i + 16 * half;
                    let wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(codes.as_ptr().add(at).cast()));
                    let pairs = _mm256_madd_epi16(wide, _mm256_loadu_si256(vector.as_ptr().add(at).cast()));
                    *sum = _mm256_add_epi32(*sum, pairs);
                }
                i += 32;
            }
            _mm256_storeu_si256(lanes.as_mut_ptr().cast(), _mm256_add_epi32(sums[0], sums[1]));
        }
        let mut sum: i32 = lanes.iter().sum();
        while i < n {
            sum += i32::from(codes[i]) * i32::from(vector[i]);
            i += 1;
        }
        sum
    }
    #[inline(always)]
    unsafe fn store_ptr(self, v: __m256, to: *mut f32) {
        // SAFETY: `self` proves the features, the caller the pointer.
        unsafe { _mm256_storeu_ps(to, v) }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn ratio(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn exp2(self, shifted: __m256) -> __m256 {
        // SAFETY: `self` proves the features.
        unsafe {
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(shifted));
            _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(127 << 23)))
        }
    }
    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }
}
