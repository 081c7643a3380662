//! The layers both networks are made of, composed of candle's differentiable operations.
//!
//! candle-nn's own `LayerNorm` and `softmax_last_dim` take fused paths that have no gradient; training needs one, so the
//! composed form is the definition here.

use candle_core::{D, Result, Tensor};
use candle_nn::VarBuilder;

use crate::kernels::grad;

/// `y = x Wᵀ + b` with `W (out, in)` and `b (out)`, over the last axis.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Takes `weight (output, input)` and `bias (output)` from under the prefix of `vb`.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(input: usize, output: usize, vb: &VarBuilder) -> Result<Self> {
        Self::load_named(input, output, vb, "weight", "bias")
    }

    /// Like [`Linear::load`] for tensors of other names: torch's attention packs three layers as `in_proj_weight`.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load_named(
        input: usize,
        output: usize,
        vb: &VarBuilder,
        weight: &str,
        bias: &str,
    ) -> Result<Self> {
        Ok(Self { weight: vb.get((output, input), weight)?, bias: vb.get(output, bias)? })
    }

    /// Made of tensors at hand: `weight (out, in)`, `bias (out)`.
    pub fn new(weight: Tensor, bias: Tensor) -> Self {
        Self { weight, bias }
    }

    /// `(..., in)` to `(..., out)`, f32.
    ///
    /// # Errors
    /// If the last axis is not `in`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if grad::applies(&[x, &self.weight, &self.bias]) {
            return grad::linear(x, &self.weight, &self.bias);
        }
        // One flat product: candle would otherwise broadcast the weight over the leading axes.
        let mut shape = x.dims().to_vec();
        let input = self.weight.dim(1)?;
        let flat = x.contiguous()?.reshape(((), input))?;
        let y = flat.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)?;
        if let Some(last) = shape.last_mut() {
            *last = self.weight.dim(0)?;
        }
        y.reshape(shape)
    }

    /// `max(x Wᵀ + b, 0)`.
    ///
    /// # Errors
    /// If the last axis is not `in`.
    pub fn forward_relu(&self, x: &Tensor) -> Result<Tensor> {
        if grad::applies(&[x, &self.weight, &self.bias]) {
            return grad::linear_relu(x, &self.weight, &self.bias);
        }
        self.forward(x)?.relu()
    }
}

/// Layer normalisation over the last axis with an affine map (biased variance, as torch computes it).
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Takes `weight (dim)` and `bias (dim)` from under the prefix of `vb`.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(dim: usize, eps: f64, vb: &VarBuilder) -> Result<Self> {
        Ok(Self { weight: vb.get(dim, "weight")?, bias: vb.get(dim, "bias")?, eps })
    }

    /// `(..., dim)` to the same shape, f32.
    ///
    /// # Errors
    /// If the last axis is not `dim`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if grad::applies(&[x, &self.weight, &self.bias]) {
            return grad::layer_norm(x, &self.weight, &self.bias, self.eps);
        }
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        normed.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}

/// Softmax over the last axis.
///
/// # Errors
/// Only if the device fails.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    let shifted = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)
}

/// The exact GELU.
///
/// # Errors
/// Only if the device fails.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if grad::applies(&[x]) { grad::gelu(x) } else { x.gelu_erf() }
}

/// Splits packed `qkv (B, N, 3·H·d)` into three of `(B, H, N, d)`.
///
/// # Errors
/// If the last axis is not three times a multiple of `heads`.
pub fn split_heads(qkv: &Tensor, heads: usize) -> Result<(Tensor, Tensor, Tensor)> {
    let (b, n, packed) = qkv.dims3()?;
    let parts = qkv.reshape((b, n, 3, heads, packed / 3 / heads))?.permute((2, 0, 3, 1, 4))?;
    Ok((parts.get(0)?.contiguous()?, parts.get(1)?.contiguous()?, parts.get(2)?.contiguous()?))
}

/// Undoes the split: `(B, H, N, d)` to `(B, N, H·d)`.
///
/// # Errors
/// If the tensor has not four axes.
pub fn merge_heads(x: &Tensor) -> Result<Tensor> {
    let (b, h, n, d) = x.dims4()?;
    x.transpose(1, 2)?.contiguous()?.reshape((b, n, h * d))
}
