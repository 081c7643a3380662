//! The MLP of a block.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::VitConfig;
use crate::kernels::Activation;
use crate::model::layers::{Linear, activate};

#[derive(Debug, Clone)]
pub(super) struct Mlp {
    pub(super) fc1: Linear,
    activation: Activation,
    pub(super) fc2: Linear,
}

impl Mlp {
    pub(super) fn load(config: &VitConfig, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            fc1: Linear::load(config.width, config.hidden, &vb.pp("fc1"))?,
            activation: config.activation,
            fc2: Linear::load(config.hidden, config.width, &vb.pp("fc2"))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.fc2.forward(&activate(&self.fc1.forward(x)?, self.activation)?)
    }

    pub(super) fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let Self { fc1, activation, fc2 } = self;
        Ok(Self { fc1: fc1.to_dtype(dtype)?, activation: *activation, fc2: fc2.to_dtype(dtype)? })
    }
}
