//! What makes a feature of the tokens: the end of the network.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::{HeadKind, VitConfig};
use super::mlp::Mlp;
use crate::model::layers::{LayerNorm, Linear, matmul, merge_heads, scores_dtype, softmax};

/// What makes a feature of the normed tokens.
#[derive(Debug, Clone)]
pub(super) enum Head {
    /// It is the class token.
    Token,
    /// The class token's projection, `(output, D)` without bias.
    Projection(Linear),
    /// A learned query's attention over all tokens.
    Pool(Box<Pool>),
}

/// SigLIP's head, timm's `AttentionPoolLatent`.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// The projected and scaled query of each head, `(1, H, 1, D/H)`.
    query: Tensor,
    kv: Linear,
    proj: Linear,
    norm: LayerNorm,
    mlp: Mlp,
    dtype: DType,
    heads: usize,
}

impl Head {
    pub(super) fn load(config: &VitConfig, vb: &VarBuilder) -> Result<Self> {
        let VitConfig { width: d, output, heads, .. } = *config;
        match config.options.head {
            HeadKind::Token => Ok(Self::Token),
            HeadKind::Projection => {
                let weight = vb.get((output, d), "head.weight")?;
                Ok(Self::Projection(Linear::without_bias(weight)?))
            }
            HeadKind::AttentionPool => {
                let vb = vb.pp("attn_pool");
                let query = Linear::load(d, d, &vb.pp("q"))?.forward(&vb.get((1, 1, d), "latent")?)?;
                Ok(Self::Pool(Box::new(Pool {
                    query: (query.reshape((1, heads, 1, d / heads))? * config.attention_scale())?,
                    kv: Linear::load(d, 2 * d, &vb.pp("kv"))?,
                    proj: Linear::load(d, d, &vb.pp("proj"))?,
                    norm: LayerNorm::load(d, config.norm_eps, &vb.pp("norm"))?,
                    mlp: Mlp::load(config, &vb.pp("mlp"))?,
                    dtype: vb.dtype(),
                    heads,
                })))
            }
        }
    }

    pub(super) fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(match self {
            Self::Token => Self::Token,
            Self::Projection(layer) => Self::Projection(layer.to_dtype(dtype)?),
            Self::Pool(pool) => Self::Pool(Box::new(Pool {
                query: pool.query.clone(),
                kv: pool.kv.to_dtype(dtype)?,
                proj: pool.proj.to_dtype(dtype)?,
                norm: pool.norm.clone(),
                mlp: pool.mlp.to_dtype(dtype)?,
                dtype,
                heads: pool.heads,
            })),
        })
    }

    /// Features `(B, output)` of normed tokens `(B, N, D)`, of which a class token comes first.
    pub(super) fn forward(&self, x: &Tensor, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Token => x.narrow(1, 0, 1)?.squeeze(1),
            Self::Projection(layer) => {
                layer.forward(&x.narrow(1, 0, 1)?.squeeze(1)?.to_dtype(dtype)?)?.to_dtype(x.dtype())
            }
            Self::Pool(pool) => pool.forward(x),
        }
    }
}

impl Pool {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, n, d) = x.dims3()?;
        let kv = self.kv.forward(&x.to_dtype(self.dtype)?)?;
        let kv = kv.reshape((b, n, 2, self.heads, d / self.heads))?.permute((2, 0, 3, 1, 4))?;
        let part = |i: usize| kv.get(i)?.to_dtype(scores_dtype(self.dtype))?.contiguous();
        let (k, v) = (part(0)?, part(1)?);
        let query = self.query.to_dtype(k.dtype())?;
        let query = query.broadcast_as((b, self.heads, 1, d / self.heads))?.contiguous()?;
        let mixed = merge_heads(&matmul(&softmax(&matmul(&query, &k.t()?)?)?, &v)?)?;
        let y = self.proj.forward(&mixed.to_dtype(self.dtype)?)?.to_dtype(x.dtype())?;
        let mixed = self.mlp.forward(&self.norm.forward(&y)?.to_dtype(self.dtype)?)?;
        (&y + mixed.to_dtype(x.dtype())?)?.squeeze(1)
    }
}
