//! `exp`, `erf` and the GELUs on vectors, within 1e-6 of f64.
//!
//! The coefficients are our own fits (weighted least squares in f64, weights adapted until the error is level), rounded
//! to f32; the tests below check them.
//!
//! NaN stays NaN: x86's minimum and maximum return their second operand where one is NaN, so bounds are the first operand.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::isa::Backend;
use super::simd::{Op, ROUND, Simd};

/// `√(2/π)`.
const SQRT_FRAC_2_PI: f32 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;

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
fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    // Below the end of erf's fit the true value is nearer than 1e-6 to zero; the bound holds for the factor x/2 too, or
    // erf's rounding would grow with it.
    let z = s.max(s.splat(-ERF_END), s.mul(x, s.splat(FRAC_1_SQRT_2)));
    let half = s.mul(z, s.splat(FRAC_1_SQRT_2));
    s.mul_add(half, erf_within(s, s.min(s.splat(ERF_END), z)), half)
}

/// The activation between the two layers of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The exact GELU, `x/2 (1 + erf(x/√2))`: DINOv2's.
    Gelu,
    /// Its form by tanh, `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))` (Hendrycks & Gimpel 2016, arXiv 1606.08415): SigLIP's.
    GeluTanh,
    /// Its form by the logistic function, `x σ(1.702 x)`, from the same paper: CLIP's.
    QuickGelu,
    /// `max(x, 0)`: LiFT's.
    Relu,
    /// The logistic function's, `x σ(x)`, of the gated MLPs of DINOv2 giant and DINOv3 ViT-S+.
    Silu,
}

/// The coefficient of `x³` in [`Activation::GeluTanh`].
const TANH_CUBE: f32 = 0.044_715;

/// The factor in [`Activation::QuickGelu`].
pub const QUICK_FACTOR: f32 = 1.702;

/// `x σ(v)`, which SiLU is for `v = x`, and which both approximate GELUs are, since `(1 + tanh(u)) / 2 = σ(2u)`.
#[inline(always)]
fn times_logistic<S: Simd>(s: S, x: S::V, v: S::V) -> S::V {
    // σ(v) is 1/(1+t) from zero on and t/(1+t) below, with t = e^-|v|, which never overflows. For the choice of the
    // numerator a steep ramp will do: where it is neither 0 nor 1, t is 1 within 1e-9.
    let t = exp_below(s, s.min(v, s.sub(s.splat(0.0), v)));
    let above = s.min(s.splat(1.0), s.mul(v, s.splat(1e9)));
    // Far below zero `t` stops at e^-87, which must not meet an x that makes something of it.
    let x = s.max(s.splat(-1e3), x);
    s.mul(x, s.ratio(s.max(t, above), s.add(s.splat(1.0), t)))
}

impl Activation {
    #[inline(always)]
    pub(super) fn apply<S: Simd>(self, s: S, x: S::V) -> S::V {
        match self {
            Self::Gelu => gelu(s, x),
            Self::GeluTanh => {
                let cubed = s.mul_add(s.mul(s.mul(x, x), x), s.splat(TANH_CUBE), x);
                times_logistic(s, x, s.mul(cubed, s.splat(2.0 * SQRT_FRAC_2_PI)))
            }
            Self::Silu => times_logistic(s, x, x),
            Self::Relu => s.max(s.splat(0.0), x),
            Self::QuickGelu => times_logistic(s, x, s.mul(x, s.splat(QUICK_FACTOR))),
        }
    }
}

/// A function of one number as an [`Op`].
trait Function: Copy {
    fn of<S: Simd>(self, s: S, x: S::V) -> S::V;
}

impl Function for Activation {
    #[inline(always)]
    fn of<S: Simd>(self, s: S, x: S::V) -> S::V {
        self.apply(s, x)
    }
}

struct Map<'a, F> {
    values: &'a mut [f32],
    function: F,
}

impl<F: Function> Op for Map<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for part in self.values.chunks_mut(S::LANES) {
            s.store_part(self.function.of(s, s.load_part(part, 0.0)), part);
        }
    }
}

/// An activation of every value, in place.
pub fn activate_in_place(backend: Backend, activation: Activation, values: &mut [f32]) {
    backend.run(Map { values, function: activation });
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

    pub fn gelu_tanh(x: f64) -> f64 {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
    }

    pub fn quick_gelu(x: f64) -> f64 {
        x / (1.0 + (-1.702 * x).exp())
    }

    /// Every activation.
    pub const ACTIVATIONS: [super::Activation; 5] = {
        use super::Activation::{Gelu, GeluTanh, QuickGelu, Relu, Silu};
        [Gelu, GeluTanh, QuickGelu, Relu, Silu]
    };

    pub fn activation(activation: super::Activation) -> fn(f64) -> f64 {
        match activation {
            super::Activation::Gelu => gelu,
            super::Activation::GeluTanh => gelu_tanh,
            super::Activation::QuickGelu => quick_gelu,
            super::Activation::Relu => |x| x.max(0.0),
            super::Activation::Silu => |x| x / (1.0 + (-x).exp()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::backends;

    #[derive(Clone, Copy)]
    struct Exp;

    impl Function for Exp {
        #[inline(always)]
        fn of<S: Simd>(self, s: S, x: S::V) -> S::V {
            exp(s, x)
        }
    }

    #[derive(Clone, Copy)]
    struct Erf;

    impl Function for Erf {
        #[inline(always)]
        fn of<S: Simd>(self, s: S, x: S::V) -> S::V {
            erf(s, x)
        }
    }

    fn check(range: f32, function: impl Function, reference: fn(f64) -> f64, scale: fn(f64) -> f64) {
        let xs: Vec<f32> = (-200_003..=200_003).map(|i| i as f32 / 200_003.0 * range).collect();
        for backend in backends() {
            let mut ys = xs.clone();
            backend.run(Map { values: &mut ys, function });
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
        check(86.9, Exp, f64::exp, |y| y);
    }

    #[test]
    fn exp_of_minus_infinity_is_as_good_as_zero() {
        for backend in backends() {
            let mut values = [f32::NEG_INFINITY, -1e30, 0.0];
            backend.run(Map { values: &mut values, function: Exp });
            assert!(values[0] < 1e-37 && values[1] < 1e-37 && values[2] == 1.0, "{backend:?} {values:?}");
        }
    }

    fn nan_stays(backend: Backend, function: impl Function) {
        let mut values = [f32::NAN, 1.0];
        backend.run(Map { values: &mut values, function });
        assert!(values[0].is_nan() && values[1].is_finite(), "{backend:?} {values:?}");
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for backend in backends() {
            nan_stays(backend, Exp);
            nan_stays(backend, Erf);
            reference::ACTIVATIONS.iter().for_each(|activation| nan_stays(backend, *activation));
        }
    }

    #[test]
    fn erf_is_within_1e_6() {
        check(6.0, Erf, reference::erf, |_| 1.0);
    }

    #[test]
    fn activations_are_within_1e_6() {
        for activation in reference::ACTIVATIONS {
            check(30.0, activation, reference::activation(activation), |y| y.abs().max(1.0));
        }
    }

    #[test]
    fn activations_of_huge_numbers_are_the_number_or_nearly_zero() {
        for backend in backends() {
            for activation in reference::ACTIVATIONS {
                let mut values = [1e20, -1e20, 3e38, -3e38];
                activate_in_place(backend, activation, &mut values);
                assert_eq!([values[0], values[2]], [1e20, 3e38], "{backend:?} {activation:?}");
                assert!(
                    values[1].abs() < 1e-6 && values[3].abs() < 1e-6,
                    "{backend:?} {activation:?} {values:?}"
                );
            }
        }
    }
}
