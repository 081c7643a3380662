//! The training loss: the error of the reconstruction, and how far the two codes are from orthogonal.

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::model::lift::{Codes, Dropout, Lift};

/// torch's `cosine_similarity` keeps norms at least this large.
const COSINE_EPS: f64 = 1e-8;

/// The weight of each term.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossWeights {
    /// Weight of the reconstruction's mean squared error.
    pub reconstruction: f64,
    /// Weight of the mean absolute cosine between static and dynamic code.
    pub orthogonality: f64,
}

impl Default for LossWeights {
    fn default() -> Self {
        Self { reconstruction: 1.0, orthogonality: 0.1 }
    }
}

/// The losses of one batch as scalar tensors, for backpropagation.
pub struct Losses {
    /// The weighted sum.
    pub total: Tensor,
    /// Mean of `(x̂ - x)²` over all elements.
    pub reconstruction: Tensor,
    /// Mean over the clips of `|cos(z_s, z_d)|`.
    pub orthogonality: Tensor,
}

/// The losses as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossValues {
    /// The weighted sum.
    pub total: f64,
    /// Mean of `(x̂ - x)²` over all elements.
    pub reconstruction: f64,
    /// Mean over the clips of `|cos(z_s, z_d)|`.
    pub orthogonality: f64,
}

impl Losses {
    /// Runs `model` on `x (B, T, D)` and computes the losses.
    ///
    /// # Errors
    /// If the model cannot take `x`.
    pub fn of(
        model: &Lift,
        x: &Tensor,
        weights: LossWeights,
        dropout: &mut dyn Dropout,
    ) -> Result<(Self, Codes)> {
        let codes = model.encode(x, dropout)?;
        let decoded = model.decode(&codes, x.dim(1)?)?;
        let reconstruction = (decoded - x)?.sqr()?.mean_all()?;
        let orthogonality = cosine(&codes.r#static, &codes.dynamic)?.abs()?.mean_all()?;
        let total =
            ((&reconstruction * weights.reconstruction)? + (&orthogonality * weights.orthogonality)?)?;
        Ok((Self { total, reconstruction, orthogonality }, codes))
    }

    /// The numbers.
    ///
    /// # Errors
    /// If the device fails.
    pub fn values(&self) -> Result<LossValues> {
        let number = |tensor: &Tensor| Ok::<_, candle_core::Error>(f64::from(tensor.to_scalar::<f32>()?));
        Ok(LossValues {
            total: number(&self.total)?,
            reconstruction: number(&self.reconstruction)?,
            orthogonality: number(&self.orthogonality)?,
        })
    }
}

/// Cosine of each pair of rows: `(B, W)` twice to `(B)`.
fn cosine(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let norm = |x: &Tensor| x.sqr()?.sum(1)?.sqrt()?.maximum(COSINE_EPS);
    (a * b)?.sum(1)?.div(&(norm(a)? * norm(b)?)?)
}
