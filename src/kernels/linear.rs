//! Linear layers over weights packed once, with bias, activation and residual in the same pass.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::buffer::Buffer;
use super::isa::Backend;
use super::math::Activation;
use super::pack::{pack_columns, padded, panels};
#[cfg(target_arch = "x86_64")]
use super::precision::Precision;
use super::simd::{MAX_PANEL, Op, Simd};
use super::tile::{Held, LINE, ROWS, Tile};
#[cfg(target_arch = "x86_64")]
use super::x86::Avx512Bf16;

/// `y = x Wᵀ + b`, laid out for the backend that computes it.
#[derive(Debug, Clone)]
pub struct PackedLinear {
    backend: Backend,
    inputs: usize,
    outputs: usize,
    weight: Buffer,
    /// Zeros up to a whole vector.
    bias: Buffer,
}

/// Writes some rows of a weight `(outputs, inputs)` and their biases.
type WriteRows<'a> = dyn Fn(Range<usize>, &mut [f32], &mut [f32]) + 'a;

/// A weight on its way into a layout. Its rows are written and packed strip by strip, so that what is written once is read from the
/// cache.
struct Pack<'a> {
    outputs: usize,
    inputs: usize,
    write: &'a WriteRows<'a>,
}

/// Rows of a strip: whole panels of every layout.
const STRIP: usize = MAX_PANEL;

impl Pack<'_> {
    /// Calls `pack` with each strip: its rows, and its first row. Gives the biases, with zeros up to `padded` numbers.
    #[inline(always)]
    fn strips(&self, padded: usize, mut pack: impl FnMut(&[f32], usize)) -> Buffer {
        let mut bias = Buffer::zeros(padded);
        let mut strip = Buffer::zeros(STRIP.min(self.outputs) * self.inputs);
        for first in (0..self.outputs).step_by(STRIP) {
            let rows = first..self.outputs.min(first + STRIP);
            let weight = &mut strip[..rows.len() * self.inputs];
            (self.write)(rows.clone(), weight, &mut bias[rows]);
            pack(weight, first);
        }
        bias
    }
}

impl Op for Pack<'_> {
    type Output = (Buffer, Buffer);
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> (Buffer, Buffer) {
        const { assert!(STRIP.is_multiple_of(S::PANEL * S::LANES)) };
        let (inputs, padded) = (self.inputs, padded::<S>(self.outputs));
        let words = S::PRECISION.words(inputs);
        let mut packed = Buffer::zeros(padded * words);
        let bias = self.strips(padded, |rows, first| {
            pack_columns(s, rows, inputs, rows.len() / inputs, inputs, &mut packed[first * words..]);
        });
        (packed, bias)
    }
}

#[cfg(target_arch = "x86_64")]
impl Pack<'_> {
    fn tiles<const SPLIT: bool>(self, s: Avx512Bf16<SPLIT>) -> (Buffer, Buffer) {
        const { assert!(STRIP.is_multiple_of(amx::BLOCK)) };
        let inputs = self.inputs;
        let words = |columns| amx::packed_words(Avx512Bf16::<SPLIT>::PRECISION, inputs, columns);
        let mut packed = Buffer::zeros(words(self.outputs));
        let bias = self.strips(self.outputs.next_multiple_of(amx::BLOCK), |rows, first| {
            amx::pack_columns(s, rows, inputs, rows.len() / inputs, inputs, &mut packed[words(first)..]);
        });
        (packed, bias)
    }
}

impl PackedLinear {
    /// Lays out `weight (outputs, inputs)` and `bias (outputs)`, row-major f32.
    ///
    /// # Panics
    /// If `weight` is not `bias.len()` rows of `inputs`.
    pub fn new(backend: Backend, weight: &[f32], bias: &[f32], inputs: usize) -> Self {
        assert_eq!(weight.len(), bias.len() * inputs, "the weight is not (outputs, inputs)");
        Self::of_rows(backend, bias.len(), inputs, &|rows, to, biases| {
            to.copy_from_slice(&weight[rows.start * inputs..rows.end * inputs]);
            biases.copy_from_slice(&bias[rows]);
        })
    }

    /// Lays out the weight `(outputs, inputs)` and the bias `(outputs)` that `write` writes: it is called with a range of rows, room for
    /// them and room for their biases.
    pub fn of_rows(backend: Backend, outputs: usize, inputs: usize, write: &WriteRows<'_>) -> Self {
        let pack = Pack { outputs, inputs, write };
        #[cfg(target_arch = "x86_64")]
        let (weight, bias) = match (backend.amx(), backend.precision()) {
            (Some(unit), Precision::Bf16x3) => pack.tiles(unit.vectors::<true>()),
            (Some(unit), _) => pack.tiles(unit.vectors::<false>()),
            (None, _) => backend.run(pack),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let (weight, bias) = backend.run(pack);
        Self { backend, inputs, outputs, weight, bias }
    }

    /// What it is laid out for.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Values per row of the input.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Values per row of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    fn apply(&self, x: &[f32], out: &mut [f32], then: Then) {
        let words = self.backend.precision().words(self.inputs);
        assert_eq!(x.len() % words, 0, "x is not rows of {words} words");
        let rows = x.len() / words;
        let width = match then {
            Then::Activate(_) => self.backend.precision().words(self.outputs),
            Then::Store | Then::Add => self.outputs,
        };
        assert_eq!(out.len(), rows * width, "out is not {rows} rows of {width}");
        #[cfg(target_arch = "x86_64")]
        if let Some(unit) = self.backend.amx() {
            let mut place = tiles::Placed { bias: &self.bias, outputs: self.outputs, out, width, then };
            let weight = (&self.weight[..], self.inputs, self.outputs);
            return match self.backend.precision() {
                Precision::Bf16x3 => amx::product::<true>(unit, x, rows, weight, &mut place),
                _ => amx::product::<false>(unit, x, rows, weight, &mut place),
            };
        }
        self.backend.run(Apply { layer: self, x, rows, out, width, then });
    }
}

/// `out (N, outputs) = x Wᵀ + b`, f32, for operand rows `x (N, words(inputs))`.
///
/// # Panics
/// If the lengths do not agree.
pub fn linear(layer: &PackedLinear, x: &[f32], out: &mut [f32]) {
    layer.apply(x, out, Then::Store);
}

/// `out (N, outputs) += x Wᵀ + b`, f32, for operand rows `x (N, words(inputs))`.
///
/// # Panics
/// If the lengths do not agree.
pub fn linear_residual(layer: &PackedLinear, x: &[f32], out: &mut [f32]) {
    layer.apply(x, out, Then::Add);
}

/// `out = activation(x Wᵀ + b)` as operand rows `(N, words(outputs))`, for operand rows `x (N, words(inputs))`.
///
/// # Panics
/// If the lengths do not agree.
pub fn linear_activation(layer: &PackedLinear, activation: Activation, x: &[f32], out: &mut [f32]) {
    layer.apply(x, out, Then::Activate(activation));
}

struct Operand<'a> {
    x: &'a [f32],
    width: usize,
    out: &'a mut [f32],
}

impl Op for Operand<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let words = S::PRECISION.words(self.width);
        for (x, out) in self.x.chunks_exact(self.width).zip(self.out.chunks_exact_mut(words)) {
            s.pack_row(x, out);
        }
    }
}

/// Rows of f32 `x (N, width)` as operand rows `(N, words(width))` of the backend's precision.
///
/// # Panics
/// If the lengths do not agree.
pub fn to_operand(backend: Backend, x: &[f32], width: usize, out: &mut [f32]) {
    assert_eq!(x.len() % width, 0, "x is not rows of {width}");
    assert_eq!(out.len(), x.len() / width * backend.precision().words(width), "out is not as many rows as x");
    backend.run(Operand { x, width, out });
}

/// What happens to a finished sum.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Store,
    Add,
    Activate(Activation),
}

impl Then {
    /// Whether the results are operands of the next product, not plain f32.
    fn packs(self) -> bool {
        matches!(self, Self::Activate(_))
    }
}

struct Apply<'a> {
    layer: &'a PackedLinear,
    x: &'a [f32],
    rows: usize,
    out: &'a mut [f32],
    width: usize,
    then: Then,
}

impl Op for Apply<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { layer, x, rows, out, width, then } = self;
        let words = S::PRECISION.words(layer.inputs);
        let steps = words / S::PARTS;
        assert!(layer.weight.len() == padded::<S>(layer.outputs) * words && x.len() == rows * words);
        let Held(held) = &mut Held([0.0; ROWS * MAX_PANEL]);
        for panel in panels::<S>(layer.outputs, words) {
            let wide = panel.vectors * S::LANES;
            let weight = &layer.weight[panel.start..][..words * wide];
            let bias = &layer.bias[panel.first..][..wide];
            // The panels follow one another, so the next one starts where this one ends.
            let mut next = weight.as_ptr_range().end;
            // Whole vectors go straight to their place; anything else passes through a tile on the stack.
            let direct = !then.packs() && wide == panel.columns;
            for first in (0..rows).step_by(ROWS) {
                let n = ROWS.min(rows - first);
                let (c, c_stride) = if direct {
                    let c = &mut out[first * width + panel.first..][..(n - 1) * width + wide];
                    (c.as_mut_ptr(), width)
                } else {
                    (held.as_mut_ptr(), wide)
                };
                let tile = Tile {
                    a: x[first * words..][..n * words].as_ptr(),
                    a_stride: words,
                    rows: n,
                    b: weight.as_ptr(),
                    steps,
                    vectors: panel.vectors,
                    bias: bias.as_ptr(),
                    c,
                    c_stride,
                    add: direct && then == Then::Add,
                    next,
                };
                // SAFETY: the slices just taken span exactly what the tile reads and writes, `held` has room for
                // ROWS panels, and `c` is borrowed mutably while the operands are borrowed shared.
                unsafe { tile.compute(s) };
                next = next.wrapping_add(LINE * Tile::prefetched(steps));
                if !direct {
                    for (r, sums) in held.chunks_exact_mut(wide).take(n).enumerate() {
                        let out = &mut out[(first + r) * width..][..width];
                        finish(s, then, &mut sums[..], panel.first, panel.columns, out);
                    }
                }
            }
        }
    }
}

/// Puts the sums of one row of a panel where they belong: `columns` of them, from column `first` of the row `out`.
#[inline(always)]
fn finish<S: Simd>(s: S, then: Then, sums: &mut [f32], first: usize, columns: usize, out: &mut [f32]) {
    match then {
        Then::Activate(activation) => {
            let mut i = 0;
            while i < sums.len() {
                s.store(activation.apply(s, s.load(&sums[i..])), &mut sums[i..]);
                i += S::LANES;
            }
            s.pack_row(&sums[..columns], &mut out[S::PRECISION.words(first)..]);
        }
        Then::Store => out[first..][..columns].copy_from_slice(&sums[..columns]),
        Then::Add => {
            for (out, sum) in out[first..][..columns].iter_mut().zip(sums) {
                *out += *sum;
            }
        }
    }
}

/// The same on the matrix unit.
#[cfg(target_arch = "x86_64")]
mod tiles {
    use super::super::amx::{BLOCK, Sums};
    use super::*;

    /// Puts finished sums where they belong.
    pub(super) struct Placed<'a> {
        /// Zeros up to a whole panel.
        pub bias: &'a [f32],
        pub outputs: usize,
        pub out: &'a mut [f32],
        pub width: usize,
        pub then: Then,
    }

    impl Sums for Placed<'_> {
        #[inline(always)]
        fn take<const SPLIT: bool>(
            &mut self,
            s: Avx512Bf16<SPLIT>,
            row: usize,
            first: usize,
            sums: &[f32; BLOCK],
        ) {
            let columns = BLOCK.min(self.outputs - first);
            let out = &mut self.out[row * self.width..][..self.width];
            let bias = &self.bias[first..][..BLOCK];
            let mut done = [0.0; BLOCK];
            for i in (0..BLOCK).step_by(<Avx512Bf16>::LANES) {
                s.store(s.add(s.load(&sums[i..]), s.load(&bias[i..])), &mut done[i..]);
            }
            if columns == BLOCK && !self.then.packs() {
                let out = &mut out[first..][..BLOCK];
                for i in (0..BLOCK).step_by(<Avx512Bf16>::LANES) {
                    let sum = s.load(&done[i..]);
                    let sum = if self.then == Then::Add { s.add(s.load(&out[i..]), sum) } else { sum };
                    s.store(sum, &mut out[i..]);
                }
            } else {
                finish(s, self.then, &mut done, first, columns, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::backends;
    use crate::kernels::math::reference;
    use crate::kernels::precision::Precision;
    use crate::kernels::testing::{noise, unpack};

    /// `x Wᵀ + b` in f64, of operands as the backend rounds them.
    fn product(x: &[f32], w: &[f32], b: &[f32], inputs: usize) -> Vec<f64> {
        let mut y = Vec::new();
        for x in x.chunks_exact(inputs) {
            for (w, b) in w.chunks_exact(inputs).zip(b) {
                let sum: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                y.push(sum + f64::from(*b));
            }
        }
        y
    }

    /// Rounding alone: 384 partial sums of up to 20, half a unit each, added like random steps.
    const TOLERANCE: f64 = 3e-5;

    /// The same with results that are rounded to operands.
    fn activated(precision: Precision) -> f64 {
        match precision {
            Precision::F32 => TOLERANCE,
            Precision::Bf16x3 => 1e-4,
            Precision::Bf16 => 4e-3,
        }
    }

    fn close(got: &[f32], want: &[f64], tolerance: f64, what: &str) {
        assert_eq!(got.len(), want.len(), "{what}");
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            assert!((f64::from(*g) - w).abs() <= tolerance * w.abs().max(1.0), "{what} at {i}: {g}, not {w}");
        }
    }

    #[test]
    fn every_layer_agrees_with_f64_at_odd_sizes() {
        for backend in backends() {
            let precision = backend.precision();
            for rows in [1, 5, 6, 7, 16, 17, 33, 50, 261] {
                for (inputs, outputs) in
                    [(1, 1), (2, 17), (7, 16), (17, 63), (48, 144), (65, 130), (384, 97), (400, 161)]
                {
                    let what = format!("{backend:?} {rows} x {inputs} -> {outputs}");
                    let (x, w) = (noise(rows * inputs, 1), noise(outputs * inputs, 2));
                    let (b, residual) = (noise(outputs, 3), noise(rows * outputs, 4));
                    let layer = PackedLinear::new(backend, &w, &b, inputs);
                    let words = precision.words(inputs);
                    let mut operand = vec![0.0; rows * words];
                    to_operand(backend, &x, inputs, &mut operand);

                    // bf16 rounds the operands; products and sums stay exact to f32, but for the product of small parts
                    // that bf16x3 leaves out.
                    let rounded = |values: &[f32]| -> Vec<f32> {
                        let mut packed = vec![0.0; values.len() / inputs * words];
                        to_operand(backend, values, inputs, &mut packed);
                        packed.chunks_exact(words).flat_map(|row| unpack(precision, row, inputs)).collect()
                    };
                    let want = product(&rounded(&x), &rounded(&w), &b, inputs);
                    let summed = if precision == Precision::Bf16x3 { 1e-4 } else { TOLERANCE };
                    let mut y = vec![f32::NAN; rows * outputs];
                    linear(&layer, &operand, &mut y);
                    close(&y, &want, summed, &what);

                    let mut y = residual.clone();
                    linear_residual(&layer, &operand, &mut y);
                    let sum: Vec<f64> = want.iter().zip(&residual).map(|(w, r)| w + f64::from(*r)).collect();
                    close(&y, &sum, summed, &what);

                    let out_words = precision.words(outputs);
                    let tolerance = activated(precision);
                    for activation in reference::ACTIVATIONS {
                        let mut y = vec![f32::NAN; rows * out_words];
                        linear_activation(&layer, activation, &operand, &mut y);
                        let y: Vec<f32> = y
                            .chunks_exact(out_words)
                            .flat_map(|row| unpack(precision, row, outputs))
                            .collect();
                        let wanted = reference::activation(activation);
                        let activated: Vec<f64> = want.iter().map(|&x| wanted(x)).collect();
                        close(&y, &activated, tolerance, &format!("{what} {activation:?}"));
                    }
                }
            }
        }
    }

    /// The products of the matrix unit, on registers in memory, against those of vectors.
    #[cfg(target_arch = "x86_64")]
    fn check_tiles<const SPLIT: bool>() {
        use crate::kernels::Isa;
        use crate::kernels::amx::{Emulated, TILE};
        let Some(s) = Emulated::vectors::<SPLIT>() else { return };
        let precision = Avx512Bf16::<SPLIT>::PRECISION;
        let backend = Backend::new(Isa::Avx512, precision).expect("its vectors");
        for rows in [1, 5, 16, 17, 32, 50] {
            for (inputs, outputs) in [(1, 1), (7, 16), (65, 130), (384, 97)] {
                let (x, w, bias) = (noise(rows * inputs, 1), noise(outputs * inputs, 2), noise(outputs, 3));
                let layer = PackedLinear::new(backend, &w, &bias, inputs);
                let mut operand = vec![0.0; rows * precision.words(inputs)];
                to_operand(backend, &x, inputs, &mut operand);
                let write = |rows: Range<usize>, to: &mut [f32], biases: &mut [f32]| {
                    to.copy_from_slice(&w[rows.start * inputs..rows.end * inputs]);
                    biases.copy_from_slice(&bias[rows]);
                };
                let (weight, bias) = Pack { outputs, inputs, write: &write }.tiles(s);
                for then in [Then::Store, Then::Add, Then::Activate(Activation::Gelu)] {
                    let what = format!("{precision:?} {rows} x {inputs} -> {outputs}");
                    let width = if then.packs() { precision.words(outputs) } else { outputs };
                    let on_tiles = |x: &[f32], out: &mut [f32]| {
                        let rows = out.len() / width;
                        let mut place = tiles::Placed { bias: &bias, outputs, out, width, then };
                        let registers = Emulated::configure(TILE.min(rows));
                        amx::product_on(&registers, s, x, rows, (&weight, inputs, outputs), &mut place);
                    };
                    let (mut got, mut want) = (noise(rows * width, 4), noise(rows * width, 4));
                    let before = got.clone();
                    on_tiles(&operand, &mut got);
                    layer.apply(&operand, &mut want, then);
                    let values = |out: &[f32]| -> Vec<f32> {
                        let row =
                            |row| if then.packs() { unpack(precision, row, outputs) } else { row.to_vec() };
                        out.chunks_exact(width).flat_map(row).collect()
                    };
                    let wanted: Vec<f64> = values(&want).into_iter().map(f64::from).collect();
                    let tolerance = if then.packs() { 2.0 * activated(precision) } else { TOLERANCE };
                    close(&values(&got), &wanted, tolerance, &what);
                    for (r, row) in got.chunks_exact(width).enumerate() {
                        let mut one = before[r * width..][..width].to_vec();
                        on_tiles(
                            &operand[r * precision.words(inputs)..][..precision.words(inputs)],
                            &mut one,
                        );
                        assert!(one.iter().zip(row).all(|(a, b)| a.to_bits() == b.to_bits()), "{what}");
                    }
                }
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn tiles_in_memory_give_the_sums_of_vectors() {
        check_tiles::<false>();
        check_tiles::<true>();
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        for backend in backends() {
            let (w, b) = (noise(70 * 33, 1), noise(70, 2));
            let layer = PackedLinear::new(backend, &w, &b, 33);
            let words = backend.precision().words(33);
            for rows in [13, 45] {
                let mut x = vec![0.0; rows * words];
                to_operand(backend, &noise(rows * 33, 3), 33, &mut x);
                let mut all = vec![0.0; rows * 70];
                linear(&layer, &x, &mut all);
                for (x, row) in x.chunks_exact(words).zip(all.chunks_exact(70)) {
                    let mut one = vec![0.0; 70];
                    linear(&layer, x, &mut one);
                    assert_eq!(one, row, "{backend:?}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "out is not")]
    fn refuses_an_output_of_another_size() {
        let layer = PackedLinear::new(Backend::best(), &[1.0; 6], &[0.0; 2], 3);
        linear(&layer, &[0.0; 3], &mut [0.0; 3]);
    }
}
