//! The kernels as candle operations: tensors in, tensors out.
//!
//! Each function takes its kernel where it can (f32 on the CPU, nothing tracked for gradients) and the composed candle
//! expression everywhere else; the tests hold the one against the other. The kernels run on the calling thread.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, D, DType, Layout, Result, Shape, Tensor, bail};

use super::attention::{Attention, AttentionScratch};
use super::isa::Backend;
use super::linear::PackedLinear;
use super::{math, norm};

/// `y = x Wᵀ + b` for tensors: the weights as given, and packed if the kernels can take them.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
    packed: Option<Arc<PackedLinear>>,
}

impl Linear {
    /// Of `weight (out, in)` and `bias (out)`.
    ///
    /// # Errors
    /// If the shapes do not agree.
    pub fn new(weight: Tensor, bias: Tensor) -> Result<Self> {
        let ((outputs, inputs), length) = (weight.dims2()?, bias.dims1()?);
        if outputs != length {
            bail!("a weight of {outputs} outputs with a bias of {length}");
        }
        let packed = if takes_kernel(&weight) && takes_kernel(&bias) {
            let (w, b) = (weight.flatten_all()?.to_vec1::<f32>()?, bias.to_vec1::<f32>()?);
            Some(Arc::new(PackedLinear::new(Backend::best(), &w, &b, inputs)))
        } else {
            None
        };
        Ok(Self { weight, bias, packed })
    }

    /// The composed expression, `(..., in)` to `(..., out)`.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let (outputs, inputs) = self.weight.dims2()?;
        let shape = with_last(x, outputs)?;
        let flat = x.contiguous()?.reshape(((), inputs))?;
        flat.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)?.reshape(shape)
    }

    fn kernel(&self, x: &Tensor) -> Option<&Arc<PackedLinear>> {
        self.packed.as_ref().filter(|_| takes_kernel(x))
    }
}

fn with_last(x: &Tensor, last: usize) -> Result<Shape> {
    let mut dims = x.dims().to_vec();
    match dims.last_mut() {
        Some(dim) => *dim = last,
        None => bail!("a linear layer needs at least one axis"),
    }
    Ok(dims.into())
}

fn takes_kernel(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32 && !x.track_op()
}

/// `x Wᵀ + b`, `(..., in)` to `(..., out)`.
///
/// # Errors
/// If the last axis is not `in`.
pub fn linear(x: &Tensor, layer: &Linear) -> Result<Tensor> {
    match layer.kernel(x) {
        Some(packed) => x.contiguous()?.apply_op1_no_bwd(&LinearOp { packed: packed.clone(), gelu: false }),
        None => layer.composed(x),
    }
}

/// `GELU(x Wᵀ + b)` with the exact GELU, `(..., in)` to `(..., out)`.
///
/// # Errors
/// If the last axis is not `in`.
pub fn linear_gelu(x: &Tensor, layer: &Linear) -> Result<Tensor> {
    match layer.kernel(x) {
        Some(packed) => x.contiguous()?.apply_op1_no_bwd(&LinearOp { packed: packed.clone(), gelu: true }),
        None => layer.composed(x)?.gelu_erf(),
    }
}

/// `residual + x Wᵀ + b`, `(..., in)` to `(..., out)`.
///
/// # Errors
/// If the last axis is not `in`, or `residual` has another shape than the result.
pub fn linear_residual(x: &Tensor, layer: &Linear, residual: &Tensor) -> Result<Tensor> {
    match layer.kernel(x).filter(|_| takes_kernel(residual)) {
        Some(packed) => x
            .contiguous()?
            .apply_op2_no_bwd(&residual.contiguous()?, &LinearOp { packed: packed.clone(), gelu: false }),
        None => residual + layer.composed(x)?,
    }
}

/// Attention over packed queries, keys and values `(B, N, 3·H·d)` to `(B, N, H·d)`, scores scaled by `1/sqrt(d)`.
///
/// # Errors
/// If the last axis is not three times a multiple of `heads`.
pub fn attention(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let (b, n, packed) = qkv.dims3()?;
    if heads == 0 || packed % (3 * heads) != 0 {
        bail!("packed queries, keys and values of width {packed} do not split into {heads} heads");
    }
    let (width, d) = (packed / 3, packed / 3 / heads);
    if takes_kernel(qkv) {
        return qkv.contiguous()?.apply_op1_no_bwd(&AttentionOp { heads });
    }
    let parts = qkv.reshape((b, n, 3, heads, d))?.permute((2, 0, 3, 1, 4))?;
    let (q, k, v) = (parts.get(0)?.contiguous()?, parts.get(1)?.contiguous()?, parts.get(2)?.contiguous()?);
    let scores = (q.matmul(&k.t()?.contiguous()?)? * (1.0 / (d as f64).sqrt()))?;
    softmax(&scores)?.matmul(&v)?.transpose(1, 2)?.contiguous()?.reshape((b, n, width))
}

/// Layer normalisation over the last axis with `weight (D)` and `bias (D)`.
///
/// # Errors
/// If the last axis is not `D`.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    if weight.dims() != [width] || bias.dims() != [width] {
        bail!("a norm of {:?} and {:?} over an axis of {width}", weight.dims(), bias.dims());
    }
    if [x, weight, bias].into_iter().all(takes_kernel) {
        let affine = NormOp { weight: weight.to_vec1()?, bias: bias.to_vec1()?, eps: eps as f32 };
        return x.contiguous()?.apply_op1_no_bwd(&affine);
    }
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    normed.broadcast_mul(weight)?.broadcast_add(bias)
}

/// Softmax over the last axis.
///
/// # Errors
/// If there is no axis.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    if takes_kernel(x) {
        let width = x.dim(D::Minus1)?;
        return x.contiguous()?.apply_op1_no_bwd(&InPlace::Softmax { width });
    }
    let shifted = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)
}

/// The exact GELU of every value.
///
/// # Errors
/// Only if the device fails.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if takes_kernel(x) {
        return x.contiguous()?.apply_op1_no_bwd(&InPlace::Gelu);
    }
    x.gelu_erf()
}

/// The values of a contiguous tensor.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("the kernels take contiguous tensors"),
    }
}

/// A shape's last axis, and that axis replaced.
fn last_axis(layout: &Layout, inputs: usize, outputs: usize) -> Result<Shape> {
    let mut dims = layout.dims().to_vec();
    match dims.last_mut() {
        Some(last) if *last == inputs => *last = outputs,
        _ => bail!("a layer of {inputs} inputs given {:?}", layout.dims()),
    }
    Ok(dims.into())
}

struct LinearOp {
    packed: Arc<PackedLinear>,
    gelu: bool,
}

impl CustomOp1 for LinearOp {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = last_axis(layout, self.packed.inputs(), self.packed.outputs())?;
        let mut out = vec![0.0; shape.elem_count()];
        let run = if self.gelu { super::linear_gelu } else { super::linear };
        run(&self.packed, values(storage, layout)?, &mut out);
        Ok((CpuStorage::F32(out), shape))
    }
}

impl CustomOp2 for LinearOp {
    fn name(&self) -> &'static str {
        "linear_residual"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = last_axis(x_layout, self.packed.inputs(), self.packed.outputs())?;
        if residual_layout.shape() != &shape {
            bail!("a residual of {:?} to a result of {shape:?}", residual_layout.dims());
        }
        let mut out = values(residual, residual_layout)?.to_vec();
        super::linear_residual(&self.packed, values(x, x_layout)?, &mut out);
        Ok((CpuStorage::F32(out), shape))
    }
}

struct AttentionOp {
    heads: usize,
}

impl CustomOp1 for AttentionOp {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, n, packed) = layout.shape().dims3()?;
        let (width, qkv) = (packed / 3, values(storage, layout)?);
        let mut out = vec![0.0; b * n * width];
        let mut scratch = AttentionScratch::default();
        if out.is_empty() {
            return Ok((CpuStorage::F32(out), (b, n, width).into()));
        }
        for (qkv, out) in qkv.chunks_exact(n * packed).zip(out.chunks_exact_mut(n * width)) {
            let input = Attention {
                q: qkv,
                k: &qkv[width..],
                v: &qkv[2 * width..],
                q_stride: packed,
                kv_stride: packed,
                queries: n,
                keys: n,
                heads: self.heads,
                head_dim: width / self.heads,
                scale: 1.0 / ((width / self.heads) as f32).sqrt(),
            };
            super::attention(Backend::best(), &input, &mut scratch, out);
        }
        Ok((CpuStorage::F32(out), (b, n, width).into()))
    }
}

struct NormOp {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

impl CustomOp1 for NormOp {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = vec![0.0; layout.shape().elem_count()];
        let x = values(storage, layout)?;
        norm::layer_norm(Backend::best(), x, &self.weight, &self.bias, self.eps, &mut out);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

/// What changes a copy of its input.
enum InPlace {
    /// Over rows of `width`.
    Softmax {
        width: usize,
    },
    Gelu,
}

impl CustomOp1 for InPlace {
    fn name(&self) -> &'static str {
        match self {
            InPlace::Softmax { .. } => "softmax",
            InPlace::Gelu => "gelu",
        }
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = values(storage, layout)?.to_vec();
        match *self {
            InPlace::Softmax { .. } if out.is_empty() => {}
            InPlace::Softmax { width } => norm::softmax(Backend::best(), &mut out, width),
            InPlace::Gelu => math::gelu_in_place(Backend::best(), &mut out),
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::noise;
    use candle_core::{Device, Var};

    fn tensor(shape: impl Into<Shape>, seed: u64) -> Tensor {
        let shape = shape.into();
        Tensor::from_vec(noise(shape.elem_count(), seed), shape, &Device::Cpu).expect("a tensor")
    }

    /// The same values as a variable: tracked, so the composed expression computes.
    fn tracked(x: &Tensor) -> Tensor {
        Var::from_tensor(x).expect("a variable").as_tensor().clone()
    }

    fn agree(kernel: Result<Tensor>, composed: Result<Tensor>) {
        let (kernel, composed) = (kernel.expect("the kernel"), composed.expect("the expression"));
        assert!(!kernel.track_op() && composed.track_op(), "both took the same way");
        assert_eq!(kernel.dims(), composed.dims());
        let far =
            (kernel - composed.detach()).and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>());
        assert!(far.expect("a distance") < 1e-5);
    }

    #[test]
    fn kernels_agree_with_the_composed_expressions() {
        let x = tensor((2, 7, 48), 1);
        let layer = Linear::new(tensor((33, 48), 2), tensor(33, 3)).expect("a layer");
        let residual = tensor((2, 7, 33), 4);
        agree(linear(&x, &layer), linear(&tracked(&x), &layer));
        agree(linear_gelu(&x, &layer), linear_gelu(&tracked(&x), &layer));
        agree(linear_residual(&x, &layer, &residual), linear_residual(&tracked(&x), &layer, &residual));
        agree(attention(&x, 2), attention(&tracked(&x), 2));
        let (w, b) = (tensor(48, 5), tensor(48, 6));
        agree(layer_norm(&x, &w, &b, 1e-5), layer_norm(&tracked(&x), &w, &b, 1e-5));
        agree(softmax(&x), softmax(&tracked(&x)));
        agree(gelu(&x), gelu(&tracked(&x)));
    }

    #[test]
    fn strided_input_is_read_in_its_own_order() {
        let x = tensor((48, 5), 7);
        let layer = Linear::new(tensor((16, 48), 8), tensor(16, 9)).expect("a layer");
        let turned = x.t().expect("a transpose");
        agree(linear(&turned, &layer), linear(&tracked(&turned.contiguous().expect("a copy")), &layer));
    }

    #[test]
    fn weights_that_are_variables_keep_their_gradient() {
        let weight = tracked(&tensor((16, 48), 1));
        let layer = Linear::new(weight.clone(), tensor(16, 2)).expect("a layer");
        let loss = linear_gelu(&tensor((3, 48), 3), &layer).and_then(|y| y.sum_all()).expect("a loss");
        let gradients = loss.backward().expect("gradients");
        assert!(gradients.get(&weight).is_some());
    }

    #[test]
    fn wrong_shapes_are_refused() {
        let layer = Linear::new(tensor((16, 48), 1), tensor(16, 2)).expect("a layer");
        assert!(linear(&tensor((2, 47), 3), &layer).is_err());
        assert!(linear_residual(&tensor((2, 48), 3), &layer, &tensor((3, 16), 4)).is_err());
        assert!(attention(&tensor((1, 2, 48), 5), 5).is_err());
        assert!(Linear::new(tensor((16, 48), 1), tensor(15, 2)).is_err());
    }
}
