//! The layers both networks are made of, composed of candle's differentiable operations.
//!
//! candle-nn's own `LayerNorm` and `softmax_last_dim` take fused paths that have no gradient; training needs one, so the
//! composed form is the definition here. The fused ones serve inference on a GPU and in half precision, where they sum in
//! f32.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::VarBuilder;

use crate::kernels::{Activation, QUICK_FACTOR, grad};

/// Whether candle's fused operations serve: nothing wants a gradient, and it is not f32 on the CPU, where the composed
/// form's bits are what other things are held to.
fn fused(tensors: &[&Tensor]) -> bool {
    let plain = |x: &Tensor| x.device().is_cpu() && x.dtype() == DType::F32;
    !tensors.iter().any(|x| x.track_op()) && !tensors.iter().any(|x| plain(x))
}

/// The matrix product, with sums in f32 whatever the dtype. candle has none in bf16 on the CPU; there the operands are
/// widened, which is what a GPU's matrix units do with them.
///
/// # Errors
/// If the shapes do not fit.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.dtype() == DType::BF16 && a.device().is_cpu() {
        return a.to_dtype(DType::F32)?.matmul(&b.to_dtype(DType::F32)?)?.to_dtype(DType::BF16);
    }
    a.matmul(b)
}

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

    /// Made of `weight (out, in)`, with zeros for the bias.
    ///
    /// # Errors
    /// Only if the device fails.
    pub fn without_bias(weight: Tensor) -> Result<Self> {
        let bias = Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device())?;
        Ok(Self { weight, bias })
    }

    /// `(..., in)` to `(..., out)`.
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
        let y = matmul(&flat, &self.weight.t()?)?.broadcast_add(&self.bias)?;
        if let Some(last) = shape.last_mut() {
            *last = self.weight.dim(0)?;
        }
        y.reshape(shape)
    }

    /// The layer with each output scaled, `scales (out)`: one multiplication less in every pass.
    ///
    /// # Errors
    /// If the length differs.
    pub fn scaled(&self, scales: &Tensor) -> Result<Self> {
        let weight = self.weight.broadcast_mul(&scales.unsqueeze(1)?)?;
        Ok(Self { weight, bias: (&self.bias * scales)? })
    }

    /// The layer in another precision.
    ///
    /// # Errors
    /// If the device has no such precision.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(Self { weight: self.weight.to_dtype(dtype)?, bias: self.bias.to_dtype(dtype)? })
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

    /// Ones, as many as the last axis has elements.
    ///
    /// # Errors
    /// Only if the device fails.
    pub(super) fn ones(&self) -> Result<Tensor> {
        self.weight.ones_like()
    }

    /// `(..., dim)` to the same shape.
    ///
    /// # Errors
    /// If the last axis is not `dim`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if grad::applies(&[x, &self.weight, &self.bias]) {
            return grad::layer_norm(x, &self.weight, &self.bias, self.eps);
        }
        if fused(&[x, &self.weight, &self.bias]) {
            return candle_nn::ops::layer_norm(&x.contiguous()?, &self.weight, &self.bias, self.eps as f32);
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
    if fused(&[x]) {
        return candle_nn::ops::softmax_last_dim(&x.contiguous()?);
    }
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

/// The activation between the layers of a frame encoder's MLP.
///
/// # Errors
/// Only if the device fails.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Gelu => x.gelu_erf(),
        // candle's plain `gelu` is the form by tanh.
        Activation::GeluTanh => x.gelu(),
        Activation::Silu => candle_nn::ops::silu(x),
        Activation::Relu => x.relu(),
        Activation::QuickGelu => x * candle_nn::ops::sigmoid(&(x * f64::from(QUICK_FACTOR))?)?,
    }
}

/// Splits packed `qkv (B, N, 3·H·d)` into three of `(B, H, N, d)`, of this dtype.
///
/// # Errors
/// If the last axis is not three times a multiple of `heads`.
pub fn split_heads(qkv: &Tensor, heads: usize, dtype: DType) -> Result<(Tensor, Tensor, Tensor)> {
    let (b, n, packed) = qkv.dims3()?;
    let parts = qkv.reshape((b, n, 3, heads, packed / 3 / heads))?.permute((2, 0, 3, 1, 4))?;
    // Converting copies in order as well: one pass, not two.
    let part = |i: usize| parts.get(i)?.to_dtype(dtype)?.contiguous();
    Ok((part(0)?, part(1)?, part(2)?))
}

/// Undoes the split: `(B, H, N, d)` to `(B, N, H·d)`.
///
/// # Errors
/// If the tensor has not four axes.
pub fn merge_heads(x: &Tensor) -> Result<Tensor> {
    let (b, h, n, d) = x.dims4()?;
    x.transpose(1, 2)?.contiguous()?.reshape((b, n, h * d))
}
/// What scores and their softmax are computed in. Rounded to bf16's 8 bits scores are off by several percent after the
/// exponential: of the full-size golden they alone cost a cosine of 0.001. f16 has 11 bits, and range enough.
pub fn scores_dtype(dtype: DType) -> DType {
    if dtype == DType::BF16 { DType::F16 } else { dtype }
}
