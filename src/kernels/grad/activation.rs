//! Elementwise: the exact GELU, and multiplication with computed factors.

use std::f32::consts::FRAC_1_SQRT_2;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::super::isa::Backend;
use super::super::math::{self, Activation};
use super::super::simd::{Op, Simd};
use super::{Factors, load, read, store, tensor, values};

/// Factors computed at a time.
const CHUNK: usize = 4096;

/// The exact GELU of every value, with gradients.
///
/// # Errors
/// If the tensor is not f32.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Gelu)
}

/// Every value times its factor, with gradients.
///
/// # Errors
/// If the tensor is not f32.
pub fn scale(x: &Tensor, factors: Arc<dyn Factors>) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Scale(factors))
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut y = values(storage, layout)?.to_vec();
        math::activate_in_place(Backend::best(), Activation::Gelu, &mut y);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let dx = read([x, &grad], |[x, grad]| {
            let mut dx = grad.to_vec();
            Backend::best().run(GeluBackward { x, dx: &mut dx });
            dx
        })?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

struct GeluBackward<'a> {
    x: &'a [f32],
    dx: &'a mut [f32],
}

impl Op for GeluBackward<'_> {
    type Output = ();

    /// With `Φ` the normal distribution and `φ` its density: `dx = g (Φ(x) + x φ(x))`.
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let half = s.splat(0.5);
        let density = s.splat(1.0 / std::f32::consts::TAU.sqrt());
        // Plain counting: iterators over vectors would stay calls.
        let mut i = 0;
        while i < self.dx.len() {
            let x = load(s, self.x, i);
            let share = s.mul_add(math::erf(s, s.mul(x, s.splat(FRAC_1_SQRT_2))), half, half);
            let bell = s.mul(math::exp(s, s.mul(s.mul(x, x), s.splat(-0.5))), density);
            store(s, s.mul(load(s, self.dx, i), s.mul_add(x, bell, share)), self.dx, i);
            i += S::LANES;
        }
    }
}

struct Scale(Arc<dyn Factors>);

impl Scale {
    fn run(&self, mut values: Vec<f32>) -> Vec<f32> {
        let mut factors = [0.0; CHUNK];
        for (number, part) in values.chunks_mut(CHUNK).enumerate() {
            let factors = &mut factors[..part.len()];
            self.0.fill(number * CHUNK, factors);
            part.iter_mut().zip(factors).for_each(|(value, factor)| *value *= *factor);
        }
        values
    }
}

impl CustomOp1 for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.run(values(storage, layout)?.to_vec());
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let dx = read([&grad.contiguous()?], |[grad]| self.run(grad.to_vec()))?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{agree, var};
    use super::*;

    #[test]
    fn gelu_and_its_gradient_are_those_of_the_composed_expression() {
        let x = var((7, 33), 1);
        let wide = (x.as_tensor() * 6.0).unwrap();
        agree(&[&x], gelu(&wide), wide.gelu_erf());
    }

    #[test]
    fn factors_go_with_positions() {
        struct Position;
        impl Factors for Position {
            fn fill(&self, start: usize, factors: &mut [f32]) {
                factors.iter_mut().enumerate().for_each(|(i, f)| *f = (start + i) as f32 / 1e4);
            }
        }
        let x = var((3, 3000), 1);
        let positions: Vec<f32> = (0..9000).map(|i| i as f32 / 1e4).collect();
        let positions = Tensor::from_vec(positions, (3, 3000), x.device()).unwrap();
        agree(&[&x], scale(&x, Arc::new(Position)), x.as_tensor() * positions);
    }
}
