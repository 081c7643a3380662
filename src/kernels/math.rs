//! `exp`, `erf` and GELU on vectors, within 1e-6 of f64.
//!
//! The coefficients are our own fits (weighted least squares in f64, weights adapted until the error is level), rounded
//! to f32; the tests below are what vouches for them.
//!
//! What is not a number stays so: where x86 compares with one it answers with its second operand, so bounds come first.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::isa::Backend;
use super::simd::{Op, ROUND, Simd};

/// `e^r = 1 + r + r² P(r)` for `|r| <= ln 2 / 2`, relative error 1e-7 before rounding.
const EXP: [f32; 4] = [0.499_992_3, 0.166_671_14, 0.041_890_156, 0.008_312_521];

/// `erf(x) = x P(x²) / Q(x²)` for `|x| <= ERF_END`, relative error 4e-8 before rounding.
const ERF_P: [f32; 7] = [
    FRAC_2_SQRT_PI,
    0.189_739_82,
    0.049_249_656,
    0.003_299_838_6,
    0.000_134_915_48,
    -1.999_066_6e-6,
    2.140_337_7e-8,
];
const ERF_Q: [f32; 5] = [1.0, 0.501_484_7, 0.110_814_41, 0.013_509_803, 0.000_867_360_33];

/// From here on `erf` is 1 within 1e-7.
const ERF_END: f32 = 3.8;

/// Horner's rule, coefficients from the constant on. (A loop: vectors passed through closures stay calls.)
#[inline(always)]
pub(super) fn polynomial<S: Simd, const N: usize>(s: S, x: S::V, coefficients: [f32; N]) -> S::V {
    let mut sum = s.splat(coefficients[N - 1]);
    for i in 1..N {
        sum = s.mul_add(sum, x, s.splat(coefficients[N - 1 - i]));
    }
    sum
}

/// `e^x`, relative error below 4e-7; below -87 and above 88 it stays at the value there.
#[inline(always)]
pub(super) fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    exp_below(s, s.min(s.splat(88.0), x))
}

/// [`exp`] of what is known not to exceed 88.
#[inline(always)]
pub(super) fn exp_below<S: Simd>(s: S, x: S::V) -> S::V {
    let x = s.max(s.splat(-87.0), x);
    let shifted = s.mul_add(x, s.splat(std::f32::consts::LOG2_E), s.splat(ROUND));
    let n = s.sub(shifted, s.splat(ROUND));
    // ln 2 in two parts: the first has zeros enough at its end for `n * 0.693359375` to be exact.
    let r = s.mul_add(n, s.splat(-0.693_359_4), x);
    let r = s.mul_add(n, s.splat(2.121_944_4e-4), r);
    let p = s.mul_add(s.mul(r, r), polynomial(s, r, EXP), r);
    let scale = s.exp2(shifted);
    s.mul_add(p, scale, scale)
}

/// The error function, error below 1e-6.
#[inline(always)]
pub(super) fn erf<S: Simd>(s: S, x: S::V) -> S::V {
    erf_within(s, s.min(s.splat(ERF_END), s.max(s.splat(-ERF_END), x)))
}

/// [`erf`] for `|x| <= ERF_END`.
#[inline(always)]
fn erf_within<S: Simd>(s: S, x: S::V) -> S::V {
    let t = s.mul(x, x);
    s.ratio(s.mul(x, polynomial(s, t, ERF_P)), polynomial(s, t, ERF_Q))
}

/// The exact GELU, `x/2 (1 + erf(x/√2))`.
#[inline(always)]
pub(super) fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    // Below the end of erf's fit the true value is nearer than 1e-6 to zero; the bound holds for the factor x/2 too, or
    // erf's rounding would grow with it.
    let z = s.max(s.splat(-ERF_END), s.mul(x, s.splat(FRAC_1_SQRT_2)));
    let half = s.mul(z, s.splat(FRAC_1_SQRT_2));
    s.mul_add(half, erf_within(s, s.min(s.splat(ERF_END), z)), half)
}

/// Elementwise functions as one [`Op`].
#[derive(Clone, Copy)]
enum Function {
    Exp,
    Erf,
    Gelu,
}

struct Map<'a> {
    values: &'a mut [f32],
    function: Function,
}

impl Op for Map<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for part in self.values.chunks_mut(S::LANES) {
            let x = s.load_part(part, 0.0);
            let y = match self.function {
                Function::Exp => exp(s, x),
                Function::Erf => erf(s, x),
                Function::Gelu => gelu(s, x),
            };
            s.store_part(y, part);
        }
    }
}

/// `e^x` of every value, in place.
pub fn exp_in_place(backend: Backend, values: &mut [f32]) {
    backend.run(Map { values, function: Function::Exp });
}

/// The error function of every value, in place.
pub fn erf_in_place(backend: Backend, values: &mut [f32]) {
    backend.run(Map { values, function: Function::Erf });
}

/// The exact GELU of every value, in place.
pub fn gelu_in_place(backend: Backend, values: &mut [f32]) {
    backend.run(Map { values, function: Function::Gelu });
}

/// References in f64.
#[cfg(test)]
pub(super) mod reference {
    /// Its Taylor series in the middle, its continued fraction outside.
    pub fn erf(x: f64) -> f64 {
        if x.abs() < 3.0 {
            let (mut term, mut sum) = (x, x);
            for n in 1..200 {
                term *= -x * x / n as f64;
                sum += term / (2 * n + 1) as f64;
            }
            return sum * std::f64::consts::FRAC_2_SQRT_PI;
        }
        let a = x.abs();
        let tail = (1..=80).rev().fold(0.0, |f, n| n as f64 / 2.0 / (a + f));
        let erfc = (-a * a).exp() / (a + tail) * std::f64::consts::FRAC_2_SQRT_PI / 2.0;
        (1.0 - erfc).copysign(x)
    }

    pub fn gelu(x: f64) -> f64 {
        0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::backends;

    fn check(range: f32, f: fn(Backend, &mut [f32]), reference: fn(f64) -> f64, scale: fn(f64) -> f64) {
        let xs: Vec<f32> = (-200_003..=200_003).map(|i| i as f32 / 200_003.0 * range).collect();
        for backend in backends() {
            let mut ys = xs.clone();
            f(backend, &mut ys);
            for (&x, &y) in xs.iter().zip(&ys) {
                let want = reference(f64::from(x));
                let error = (f64::from(y) - want).abs() / scale(want);
                assert!(error < 1e-6, "{backend:?} at {x}: {y}, not {want}");
            }
        }
    }

    #[test]
    fn reference_erf_is_the_known_one() {
        // Abramowitz & Stegun, table 7.1.
        assert!((reference::erf(0.5) - 0.520_499_877_8).abs() < 1e-10);
        assert!((reference::erf(2.0) - 0.995_322_265_0).abs() < 1e-10);
        assert!((reference::erf(-2.999_999) - reference::erf(-3.000_001)).abs() < 1e-9);
    }

    #[test]
    fn exp_is_within_1e_6_of_itself() {
        check(86.9, exp_in_place, f64::exp, |y| y);
    }

    #[test]
    fn exp_of_minus_infinity_is_as_good_as_zero() {
        for backend in backends() {
            let mut values = [f32::NEG_INFINITY, -1e30, 0.0];
            exp_in_place(backend, &mut values);
            assert!(values[0] < 1e-37 && values[1] < 1e-37 && values[2] == 1.0, "{backend:?} {values:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for backend in backends() {
            for f in [exp_in_place, erf_in_place, gelu_in_place] {
                let mut values = [f32::NAN, 1.0];
                f(backend, &mut values);
                assert!(values[0].is_nan() && values[1].is_finite(), "{backend:?} {values:?}");
            }
        }
    }

    #[test]
    fn erf_is_within_1e_6() {
        check(6.0, erf_in_place, reference::erf, |_| 1.0);
    }

    #[test]
    fn gelu_is_within_1e_6() {
        check(30.0, gelu_in_place, reference::gelu, |y| y.abs().max(1.0));
    }
}
