//! Layer normalisation over the last axis.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::super::isa::Backend;
use super::super::simd::{Op, Simd};
use super::{load, read, store, tensor, values};

/// `(x - mean) / sqrt(variance + eps) · weight + bias` over the last axis, with gradients.
///
/// # Errors
/// If the last axis is not that of `weight` and `bias`.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    x.contiguous()?.apply_op3(weight, bias, LayerNorm { eps: eps as f32 })
}

struct LayerNorm {
    eps: f32,
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let width = weight_layout.shape().elem_count();
        if x_layout.dims().last() != Some(&width) || bias_layout.dims() != [width] || width == 0 {
            bail!(
                "a norm of width {width} given {:?} and a bias of {:?}",
                x_layout.dims(),
                bias_layout.dims()
            );
        }
        let x = values(x, x_layout)?;
        let mut y = vec![0.0; x.len()];
        let (weight, bias) = (values(weight, weight_layout)?, values(bias, bias_layout)?);
        super::super::norm::layer_norm(Backend::best(), x, weight, bias, self.eps, &mut y);
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (dx, dw, db) = read([x, weight, &grad], |[xs, ws, grads]| {
            let (mut dx, mut dw, mut db) = (vec![0.0; xs.len()], vec![0.0; ws.len()], vec![0.0; ws.len()]);
            let backward = Backward {
                x: xs,
                weight: ws,
                grad: grads,
                eps: self.eps,
                dx: &mut dx,
                dw: &mut dw,
                db: &mut db,
                normed: vec![0.0; ws.len()],
            };
            Backend::best().run(backward);
            (dx, dw, db)
        })?;
        let dx = Some(tensor(dx, x.shape())?);
        Ok((dx, Some(tensor(dw, weight.shape())?), Some(tensor(db, bias.shape())?)))
    }
}

struct Backward<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    grad: &'a [f32],
    eps: f32,
    dx: &'a mut [f32],
    dw: &'a mut [f32],
    db: &'a mut [f32],
    /// A row normalised.
    normed: Vec<f32>,
}

/// Sum of a row.
#[inline(always)]
fn sum<S: Simd>(s: S, row: &[f32]) -> f32 {
    let (mut total, mut i) = (s.splat(0.0), 0);
    while i < row.len() {
        total = s.add(total, load(s, row, i));
        i += S::LANES;
    }
    s.sum(total)
}

/// Scalar product of two rows.
#[inline(always)]
fn dot<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f32 {
    let (mut total, mut i) = (s.splat(0.0), 0);
    while i < a.len() {
        total = s.mul_add(load(s, a, i), load(s, b, i), total);
        i += S::LANES;
    }
    s.sum(total)
}

impl Op for Backward<'_> {
    type Output = ();

    /// With `n` the normalised row and `g` its gradient times the weight: `dx = (g - mean(g) - n mean(g n)) / deviation`.
    /// Counted plainly: iterators over vectors would stay calls.
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { x, weight, grad, eps, dx, dw, db, mut normed } = self;
        let width = weight.len();
        let share = 1.0 / width as f32;
        let n = &mut normed[..];
        let mut row = 0;
        while row < x.len() {
            let (x, grad) = (&x[row..row + width], &grad[row..row + width]);
            let dx = &mut dx[row..row + width];
            let mean = s.splat(sum(s, x) * share);
            let mut i = 0;
            while i < width {
                store(s, s.sub(load(s, x, i), mean), n, i);
                i += S::LANES;
            }
            let scale = s.splat(1.0 / (dot(s, n, n) * share + eps).sqrt());
            i = 0;
            while i < width {
                let (normed, grad) = (s.mul(load(s, n, i), scale), load(s, grad, i));
                store(s, normed, n, i);
                store(s, s.mul_add(grad, normed, load(s, dw, i)), dw, i);
                store(s, s.add(grad, load(s, db, i)), db, i);
                store(s, s.mul(grad, load(s, weight, i)), dx, i);
                i += S::LANES;
            }
            let (mean, along) = (s.splat(-sum(s, dx) * share), s.splat(-dot(s, dx, n) * share));
            i = 0;
            while i < width {
                let centred = s.add(load(s, dx, i), mean);
                store(s, s.mul(scale, s.mul_add(load(s, n, i), along, centred)), dx, i);
                i += S::LANES;
            }
            row += width;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::D;

    use super::super::testing::{agree, var};
    use super::*;

    #[test]
    fn values_and_gradients_are_those_of_the_composed_expression() {
        for width in [5, 48, 100] {
            let (x, w, b) = (var((3, 7, width), 1), var(width, 2), var(width, 3));
            let composed = || {
                let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
                let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
                let normed = centred.broadcast_div(&(variance + 1e-5)?.sqrt()?)?;
                normed.broadcast_mul(&w)?.broadcast_add(&b)
            };
            agree(&[&x, &w, &b], layer_norm(&x, &w, &b, 1e-5), composed());
        }
    }
}
