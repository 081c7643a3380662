//! The MLP of a block.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::VitConfig;
use crate::kernels::Activation;
use crate::model::layers::{Linear, activate};

#[derive(Debug, Clone)]
pub(super) struct Mlp {
    pub(super) fc1: Linear,
    activation: Activation,
    /// The hidden width, where the first layer's second half is multiplied with the activation of its first.
    gated: Option<usize>,
    pub(super) fc2: Linear,
}

impl Mlp {
    pub(super) fn load(config: &VitConfig, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            fc1: Linear::load(config.width, config.fc1_outputs(), &vb.pp("fc1"))?,
            activation: config.activation,
            gated: config.options.gated.then_some(config.hidden),
            fc2: Linear::load(config.hidden, config.width, &vb.pp("fc2"))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.fc1.forward(x)?;
        let hidden = match self.gated {
            None => activate(&hidden, self.activation)?,
            Some(width) => {
                let gate = activate(&hidden.narrow(D::Minus1, 0, width)?.contiguous()?, self.activation)?;
                (gate * hidden.narrow(D::Minus1, width, width)?)?
            }
        };
        self.fc2.forward(&hidden)
    }

    pub(super) fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let Self { fc1, fc2, .. } = self;
        Ok(Self { fc1: fc1.to_dtype(dtype)?, fc2: fc2.to_dtype(dtype)?, ..*self })
    }
}
