//! The text towers of CLIP and SigLIP: tokens in, a feature in the space of their image features out.
//!
//! SigLIP's network is candle-transformers'. CLIP's is written here, because theirs knows one activation (`quick_gelu`, where
//! LAION's CLIPs have `gelu`) and one epsilon. Both are as transformers computes them (`get_text_features`), in f32 on the CPU.

use candle_core::{DType, Device, Module, Result, Tensor, bail};
use candle_nn::VarBuilder;
use candle_transformers::models::siglip;

use super::layers::{LayerNorm, Linear, activate, matmul, merge_heads, softmax};
use crate::kernels::Activation;
use crate::vector::scale_to_unit;

/// How the tokens become a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// CLIP's: a token sees those before it; the feature is the projection of one token's.
    Clip,
    /// SigLIP's: all tokens see each other; the feature is what a linear layer makes of the last one.
    Siglip,
}

/// The numbers that fix a text tower's shape.
#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    /// Whose it is.
    pub kind: TextKind,
    /// Tokens that have a row in the table.
    pub vocabulary: usize,
    /// The most tokens of a text.
    pub positions: usize,
    /// Width of the tokens `D`.
    pub width: usize,
    /// Width of the feature.
    pub output: usize,
    /// Number of transformer blocks.
    pub depth: usize,
    /// Attention heads per block.
    pub heads: usize,
    /// Hidden width of the MLP.
    pub hidden: usize,
    /// Between the layers of the MLP.
    pub activation: Activation,
    /// Epsilon of every LayerNorm.
    pub norm_eps: f64,
}

/// The table of the tokens, `(vocabulary, D)`, by transformers' name.
pub const TOKEN_TABLE: &str = "text_model.embeddings.token_embedding.weight";

impl TextConfig {
    /// Every tensor of such a tower by transformers' names, each with its shape.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let Self { vocabulary, positions, width: d, output, hidden, .. } = *self;
        let mut all = vec![
            (TOKEN_TABLE.into(), vec![vocabulary, d]),
            ("text_model.embeddings.position_embedding.weight".into(), vec![positions, d]),
        ];
        let pair = |name: &str, weight: Vec<usize>| {
            let bias = vec![weight[0]];
            [(format!("text_model.{name}.weight"), weight), (format!("text_model.{name}.bias"), bias)]
        };
        for i in 0..self.depth {
            let layers = [
                ("self_attn.q_proj", d, d),
                ("self_attn.k_proj", d, d),
                ("self_attn.v_proj", d, d),
                ("self_attn.out_proj", d, d),
                ("mlp.fc1", d, hidden),
                ("mlp.fc2", hidden, d),
            ];
            for (name, inputs, outputs) in layers {
                all.extend(pair(&format!("encoder.layers.{i}.{name}"), vec![outputs, inputs]));
            }
            for name in ["layer_norm1", "layer_norm2"] {
                all.extend(pair(&format!("encoder.layers.{i}.{name}"), vec![d]));
            }
        }
        all.extend(pair("final_layer_norm", vec![d]));
        match self.kind {
            TextKind::Clip => all.push(("text_projection.weight".into(), vec![output, d])),
            TextKind::Siglip => all.extend(pair("head", vec![output, d])),
        }
        all
    }
}

/// A text tower.
#[derive(Debug)]
pub enum TextTower {
    /// CLIP's.
    Clip(ClipTower),
    /// SigLIP's.
    Siglip(siglip::TextModel),
}

impl TextTower {
    /// Takes the tensors of [`TextConfig::tensors`] from `vb`. The table may have fewer rows than the model's, if
    /// `config.vocabulary` says so and the tokens are numbered by these rows.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape, or candle-transformers has no such activation.
    pub fn load(config: &TextConfig, vb: &VarBuilder) -> Result<Self> {
        match config.kind {
            TextKind::Clip => ClipTower::load(config, vb).map(Self::Clip),
            TextKind::Siglip => {
                siglip::TextModel::new(&siglip_config(config)?, vb.pp("text_model")).map(Self::Siglip)
            }
        }
    }

    /// The feature `(output)`, f32, of one text's tokens; `end` is the token that CLIP's is made of.
    ///
    /// # Errors
    /// If there are more tokens than positions, or a token is not in the table.
    pub fn forward(&self, tokens: &[u32], end: usize) -> Result<Tensor> {
        let tokens = Tensor::new(tokens, &Device::Cpu)?;
        match self {
            Self::Clip(tower) => tower.forward(&tokens, end),
            Self::Siglip(tower) => tower.forward(&tokens.unsqueeze(0)?)?.squeeze(0),
        }
    }
}

fn siglip_config(config: &TextConfig) -> Result<siglip::TextConfig> {
    Ok(siglip::TextConfig {
        vocab_size: config.vocabulary,
        hidden_size: config.width,
        intermediate_size: config.hidden,
        num_hidden_layers: config.depth,
        num_attention_heads: config.heads,
        max_position_embeddings: config.positions,
        hidden_act: match config.activation {
            Activation::Gelu => candle_nn::Activation::Gelu,
            Activation::GeluTanh => candle_nn::Activation::GeluPytorchTanh,
            Activation::QuickGelu | Activation::Relu | Activation::Silu => {
                bail!("a SigLIP's text tower with {:?} is not known here", config.activation)
            }
        },
        layer_norm_eps: config.norm_eps,
        // The network reads none of these.
        pad_token_id: 0,
        bos_token_id: 0,
        eos_token_id: 0,
    })
}

/// CLIP's text tower (Radford et al. 2021, arXiv 2103.00020), with its projection.
#[derive(Debug)]
pub struct ClipTower {
    tokens: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    projection: Tensor,
}

impl ClipTower {
    fn load(config: &TextConfig, vb: &VarBuilder) -> Result<Self> {
        let TextConfig { vocabulary, positions, width: d, output, norm_eps, .. } = *config;
        let text = vb.pp("text_model");
        let blocks = (0..config.depth).map(|i| Block::load(config, &text.pp(format!("encoder.layers.{i}"))));
        Ok(Self {
            tokens: text.get((vocabulary, d), "embeddings.token_embedding.weight")?,
            positions: text.get((positions, d), "embeddings.position_embedding.weight")?,
            blocks: blocks.collect::<Result<_>>()?,
            norm: LayerNorm::load(d, norm_eps, &text.pp("final_layer_norm"))?,
            projection: vb.get((output, d), "text_projection.weight")?,
        })
    }

    /// The feature `(output)` of tokens `(N)`.
    fn forward(&self, tokens: &Tensor, end: usize) -> Result<Tensor> {
        let n = tokens.dim(0)?;
        let x = (self.tokens.index_select(tokens, 0)? + self.positions.narrow(0, 0, n)?)?;
        let mut x = x.unsqueeze(0)?;
        let before = (0..n * n).map(|i| if i % n > i / n { f32::NEG_INFINITY } else { 0.0 });
        let mask = Tensor::from_iter(before, tokens.device())?.reshape((n, n))?;
        for block in &self.blocks {
            x = block.forward(&x, &mask)?;
        }
        let at_end = self.norm.forward(&x.narrow(1, end, 1)?.squeeze(1)?)?;
        matmul(&at_end, &self.projection.t()?)?.squeeze(0)
    }
}

#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: [Linear; 3],
    proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    activation: Activation,
    heads: usize,
}

impl Block {
    fn load(config: &TextConfig, vb: &VarBuilder) -> Result<Self> {
        let TextConfig { width: d, hidden, norm_eps, activation, heads, .. } = *config;
        let attention = |name: &str| Linear::load(d, d, &vb.pp(format!("self_attn.{name}")));
        Ok(Self {
            norm1: LayerNorm::load(d, norm_eps, &vb.pp("layer_norm1"))?,
            qkv: [attention("q_proj")?, attention("k_proj")?, attention("v_proj")?],
            proj: attention("out_proj")?,
            norm2: LayerNorm::load(d, norm_eps, &vb.pp("layer_norm2"))?,
            fc1: Linear::load(d, hidden, &vb.pp("mlp.fc1"))?,
            fc2: Linear::load(hidden, d, &vb.pp("mlp.fc2"))?,
            activation,
            heads,
        })
    }

    /// `(1, N, D)` to the same; `mask (N, N)` is added to the scores.
    fn forward(&self, x: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let (b, n, d) = x.dims3()?;
        let normed = self.norm1.forward(x)?;
        let heads = |layer: &Linear| {
            let y = layer.forward(&normed)?.reshape((b, n, self.heads, d / self.heads))?;
            y.transpose(1, 2)?.contiguous()
        };
        let [q, k, v] = &self.qkv;
        let q = (heads(q)? * (1.0 / ((d / self.heads) as f64).sqrt()))?;
        let scores = matmul(&q, &heads(k)?.t()?)?.broadcast_add(mask)?;
        let mixed = merge_heads(&matmul(&softmax(&scores)?, &heads(v)?)?)?;
        let x = (x + self.proj.forward(&mixed)?)?;
        let hidden = activate(&self.fc1.forward(&self.norm2.forward(&x)?)?, self.activation)?;
        &x + self.fc2.forward(&hidden)?
    }
}

/// A vector's values scaled to length 1, summed in f64; a vector of zeros stays as it is.
///
/// # Errors
/// If it is no vector of f32.
pub fn unit(feature: &Tensor) -> Result<Vec<f32>> {
    let mut values: Vec<f32> = feature.to_dtype(DType::F32)?.to_vec1()?;
    scale_to_unit(&mut values);
    Ok(values)
}
