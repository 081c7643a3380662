//! The inner products of rows with one vector.

use super::isa::Backend;
use super::precision::Precision;
use super::simd::{Op, Simd};

struct Dot<'a> {
    rows: &'a [f32],
    vector: &'a [f32],
    out: &'a mut [f32],
}

impl Op for Dot<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.vector.len();
        // Four sums at once: a sum waits for its own last addition, and not for the others'.
        let step = 4 * S::LANES;
        let whole = width / step * step;
        for (row, out) in self.rows.chunks_exact(width).zip(self.out.iter_mut()) {
            let mut sums = [s.splat(0.0); 4];
            let mut i = 0;
            while i < whole {
                for (at, sum) in sums.iter_mut().enumerate() {
                    let at = i + at * S::LANES;
                    *sum = s.mul_add(s.load(&row[at..]), s.load(&self.vector[at..]), *sum);
                }
                i += step;
            }
            let mut rest = 0.0;
            while i < width {
                rest += row[i] * self.vector[i];
                i += 1;
            }
            *out = s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]))) + rest;
        }
    }
}

/// The inner products `(N)` of `rows (N, W)` with `vector (W)`, all f32. A sum has an error of at most `W · 2^-24` of the product
/// of both lengths.
///
/// # Panics
/// If the backend is not f32, or the lengths do not agree.
pub fn dot(backend: Backend, rows: &[f32], vector: &[f32], out: &mut [f32]) {
    assert_eq!(backend.precision(), Precision::F32, "inner products are f32");
    check(rows.len(), vector.len(), out);
    backend.run(Dot { rows, vector, out });
}

struct DotCodes<'a> {
    rows: &'a [i8],
    vector: &'a [i16],
    out: &'a mut [f32],
}

impl Op for DotCodes<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (row, out) in self.rows.chunks_exact(self.vector.len()).zip(self.out.iter_mut()) {
            *out = s.dot_i8(row, self.vector) as f32;
        }
    }
}

/// The largest absolute number that a vector of [`dot_i8`] may hold: no sum of `width` products can overflow 32 bits.
pub fn largest_i16(width: usize) -> i16 {
    let largest = i32::MAX as usize / (128 * width.max(1));
    largest.min(i16::MAX as usize) as i16
}

/// The inner products `(N)` of `rows (N, W)` with `vector (W)`, whole numbers, each rounded to f32.
///
/// # Panics
/// If the lengths do not agree, or a number of the vector is larger than [`largest_i16`].
pub fn dot_i8(backend: Backend, rows: &[i8], vector: &[i16], out: &mut [f32]) {
    check(rows.len(), vector.len(), out);
    let largest = largest_i16(vector.len()).unsigned_abs();
    assert!(vector.iter().all(|x| x.unsigned_abs() <= largest), "a sum could overflow");
    backend.run(DotCodes { rows, vector, out });
}

struct Widen<'a> {
    from: &'a [i8],
    out: &'a mut [f32],
}

impl Op for Widen<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let whole = self.from.len() / S::LANES * S::LANES;
        let mut i = 0;
        while i < whole {
            s.store(s.load_i8(&self.from[i..]), &mut self.out[i..]);
            i += S::LANES;
        }
        while i < self.from.len() {
            self.out[i] = f32::from(self.from[i]);
            i += 1;
        }
    }
}

/// Whole numbers of 8 bits as f32.
///
/// # Panics
/// If the lengths differ.
pub fn widen(backend: Backend, from: &[i8], out: &mut [f32]) {
    assert_eq!(from.len(), out.len(), "from and out differ in length");
    backend.run(Widen { from, out });
}

fn check(numbers: usize, width: usize, out: &[f32]) {
    assert!(width > 0 && numbers == out.len() * width, "rows is not (out, vector)");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::backends;
    use crate::kernels::testing::noise;

    #[test]
    fn products_are_those_of_f64_within_rounding() {
        for backend in backends().into_iter().filter(|backend| backend.precision() == Precision::F32) {
            for width in [1, 7, 64, 65, 768] {
                let (rows, vector) = (noise(5 * width, 1), noise(width, 2));
                let codes: Vec<i8> = rows.iter().map(|x| (127.0 * x).round() as i8).collect();
                let mut widened = vec![0.0; codes.len()];
                widen(backend, &codes, &mut widened);
                assert!(widened.iter().zip(&codes).all(|(x, code)| *x == f32::from(*code)));
                let (mut plain, mut coded) = ([0.0; 5], [0.0; 5]);
                dot(backend, &rows, &vector, &mut plain);
                let whole: Vec<i16> =
                    vector.iter().map(|x| (x * f32::from(largest_i16(width))) as i16).collect();
                dot_i8(backend, &codes, &whole, &mut coded);
                for (row, (got, coded)) in plain.into_iter().zip(coded).enumerate() {
                    let of_row = row * width..(row + 1) * width;
                    let terms = rows[of_row.clone()].iter().zip(&vector);
                    let want: f64 = terms.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    // The lengths are at most the root of the width.
                    let bound = (width * width) as f64 * f64::from(f32::EPSILON) / 2.0;
                    assert!((f64::from(got) - want).abs() <= bound, "{backend:?}, {width}: {got} {want}");
                    let terms = codes[of_row].iter().zip(&whole);
                    let want: i64 = terms.map(|(a, b)| i64::from(*a) * i64::from(*b)).sum();
                    assert_eq!(coded, want as f32, "{backend:?}, {width}");
                }
                let largest = [largest_i16(width)];
                let mut sum = [0.0];
                dot_i8(backend, &vec![-128; width], &largest.repeat(width), &mut sum);
                assert_eq!(sum[0], -128.0 * f32::from(largest[0]) * width as f32);
            }
        }
    }
}
