//! The frame encoders' network: a vision transformer (Dosovitskiy et al. 2020, arXiv 2010.11929), in timm's terms.
//!
//! Written after timm's `VisionTransformer`, with those of its options that the families of frame encoders set ([`VitOptions`]).
//! Positions are added to the patches before the class and register tokens join, or the queries and keys of the patches are
//! turned in every block ([`rotary`](super::rotary)).
//!
//! Depth, width, patch, grid and registers follow from the tensors' shapes; the head count, the activation and the norms'
//! epsilon do not, and must be known.

mod config;
mod head;
mod mlp;

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use candle_nn::rotary_emb::rope;

use super::layers::{LayerNorm, Linear, matmul, merge_heads, scores_dtype, softmax, split_heads};
use super::positions;
use super::rotary::Angles;
pub use config::{HeadKind, Positions, VitConfig, VitOptions};
use head::Head;
use mlp::Mlp;

#[derive(Debug, Clone)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    norm2: LayerNorm,
    mlp: Mlp,
    /// The two LayerScales, where there are some that are not folded into `proj` and `fc2`.
    scales: Option<(Tensor, Tensor)>,
    /// What the queries are multiplied with; 1 once that is folded into `qkv`.
    attention_scale: f64,
    /// What products multiply; tokens and norms stay f32.
    dtype: DType,
    heads: usize,
}

impl Block {
    fn load(config: &VitConfig, vb: &VarBuilder) -> Result<Self> {
        let d = config.width;
        let scales = match config.options.layer_scale {
            true => Some((vb.get(d, "ls1.gamma")?, vb.get(d, "ls2.gamma")?)),
            false => None,
        };
        Ok(Self {
            norm1: LayerNorm::load(d, config.norm_eps, &vb.pp("norm1"))?,
            qkv: match config.options.qkv_bias {
                true => Linear::load(d, 3 * d, &vb.pp("attn.qkv"))?,
                false => Linear::without_bias(vb.get((3 * d, d), "attn.qkv.weight")?)?,
            },
            proj: Linear::load(d, d, &vb.pp("attn.proj"))?,
            norm2: LayerNorm::load(d, config.norm_eps, &vb.pp("norm2"))?,
            mlp: Mlp::load(config, &vb.pp("mlp"))?,
            scales,
            attention_scale: config.attention_scale(),
            dtype: vb.dtype(),
            heads: config.heads,
        })
    }

    /// The same function with fewer steps, in another precision.
    fn folded(&self, dtype: DType) -> Result<Self> {
        let queries = self.norm1.ones()?;
        let others = queries.clone();
        let queries = (queries * self.attention_scale)?;
        let qkv = self.qkv.scaled(&Tensor::cat(&[&queries, &others, &others], 0)?)?;
        let (mut proj, mut mlp) = (self.proj.clone(), self.mlp.clone());
        if let Some((ls1, ls2)) = &self.scales {
            (proj, mlp.fc2) = (proj.scaled(ls1)?, mlp.fc2.scaled(ls2)?);
        }
        Ok(Self {
            norm1: self.norm1.clone(),
            qkv: qkv.to_dtype(dtype)?,
            proj: proj.to_dtype(dtype)?,
            norm2: self.norm2.clone(),
            mlp: mlp.to_dtype(dtype)?,
            scales: None,
            attention_scale: 1.0,
            dtype,
            heads: self.heads,
        })
    }

    /// `(B, N, D)` to `(B, M, D)`: all keys, the first `M` tokens.
    fn forward(&self, x: &Tensor, tokens: usize, turns: Option<&Turns>) -> Result<Tensor> {
        let normed = |norm: &LayerNorm, x: &Tensor| norm.forward(x)?.to_dtype(self.dtype);
        let qkv = self.qkv.forward(&normed(&self.norm1, x)?)?;
        let mixed = self.attend(&qkv, tokens, turns)?;
        let x = x.narrow(1, 0, tokens)?;
        let (ls1, ls2) = self.scales.as_ref().map(|(a, b)| (a, b)).unzip();
        let mixed = self.proj.forward(&mixed)?;
        let x = (&x + scaled(mixed, ls1)?.to_dtype(x.dtype())?)?;
        let mixed = self.mlp.forward(&normed(&self.norm2, &x)?)?;
        &x + scaled(mixed, ls2)?.to_dtype(x.dtype())?
    }

    /// Packed `qkv (B, N, 3·D)` to `(B, M, D)`: what the first `M` tokens find in all.
    fn attend(&self, qkv: &Tensor, tokens: usize, turns: Option<&Turns>) -> Result<Tensor> {
        #[cfg(feature = "flash-attn")]
        if qkv.device().is_cuda() && self.dtype != DType::F32 {
            return self.attend_at_once(qkv, tokens, turns);
        }
        let (mut q, mut k, v) = split_heads(qkv, self.heads, scores_dtype(self.dtype))?;
        if let Some(turns) = turns {
            let Turns { cos, sin } = turns.in_dtype(q.dtype())?;
            (q, k) = (rope(&q, &cos, &sin)?, rope(&k, &cos, &sin)?);
        }
        if tokens < q.dim(2)? {
            q = q.narrow(2, 0, tokens)?.contiguous()?;
        }
        if self.attention_scale != 1.0 {
            q = (q * self.attention_scale)?;
        }
        let attention = softmax(&matmul(&q, &k.t()?)?)?;
        merge_heads(&matmul(&attention, &v)?)?.to_dtype(self.dtype)
    }

    /// [`Block::attend`] as one kernel, which keeps the scores, in f32, from the memory and reads `qkv` where it is.
    #[cfg(feature = "flash-attn")]
    fn attend_at_once(&self, qkv: &Tensor, tokens: usize, turns: Option<&Turns>) -> Result<Tensor> {
        let (b, n, packed) = qkv.dims3()?;
        let parts = qkv.reshape((b, n, 3, self.heads, packed / 3 / self.heads))?;
        let part = |i: usize| parts.narrow(2, i, 1)?.squeeze(2);
        let (mut q, mut k) = (part(0)?, part(1)?);
        if let Some(turns) = turns {
            use candle_nn::rotary_emb::rope_thd;
            let Turns { cos, sin } = turns.in_dtype(q.dtype())?;
            (q, k) = (rope_thd(&q.contiguous()?, &cos, &sin)?, rope_thd(&k.contiguous()?, &cos, &sin)?);
        }
        let q = q.narrow(1, 0, tokens)?;
        let scale = self.attention_scale as f32;
        candle_flash_attn::flash_attn(&q, &k, &part(2)?, scale, false)?.flatten_from(2)
    }
}

/// By what the queries and keys of all tokens are turned, `(N, d/2)` each; the tokens before the patches are turned by nothing.
#[derive(Debug, Clone)]
struct Turns {
    cos: Tensor,
    sin: Tensor,
}

impl Turns {
    fn new(config: &VitConfig, vb: &VarBuilder) -> Result<Self> {
        let (half, prefix) = (config.width / config.heads / 2, config.prefix());
        let Angles { cos, sin } = Angles::new(config.frame_grid(), 2 * half);
        let all = |still: f32, patches: Vec<f32>| {
            let values = [vec![still; prefix * half], patches].concat();
            Tensor::from_vec(values, (config.tokens(), half), vb.device())
        };
        Ok(Self { cos: all(1.0, cos)?, sin: all(0.0, sin)? })
    }

    fn in_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(Self { cos: self.cos.to_dtype(dtype)?, sin: self.sin.to_dtype(dtype)? })
    }
}

/// LayerScale, where it is not folded into the layer before.
fn scaled(y: Tensor, scales: Option<&Tensor>) -> Result<Tensor> {
    scales.map_or(Ok(y.clone()), |scales| y.broadcast_mul(scales))
}

/// The frame encoder in composed candle operations.
#[derive(Debug, Clone)]
pub struct Vit {
    config: VitConfig,
    patch_embed: Linear,
    /// The position table at the frame's grid, `(1, grid², D)`, if there is one.
    pos_embed: Option<Tensor>,
    turns: Option<Turns>,
    /// The class token, with its position where it has one, and the registers, `(1, 1 + R, D)`; none without a class token.
    prefix: Option<Tensor>,
    /// Before the first block.
    norm_pre: Option<LayerNorm>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Head,
    /// What products multiply.
    dtype: DType,
}

impl Vit {
    /// Takes the tensors of [`VitConfig::tensors`] from `vb` and resamples the positions.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(config: VitConfig, vb: &VarBuilder) -> Result<Self> {
        let VitConfig { options, width: d, patch, grid, registers, norm_eps, .. } = config;
        let kernel =
            vb.get((d, 3, patch, patch), "patch_embed.proj.weight")?.reshape((d, 3 * patch * patch))?;
        let bias = match options.patch_bias {
            true => vb.get(d, "patch_embed.proj.bias")?,
            false => Tensor::zeros(d, kernel.dtype(), kernel.device())?,
        };
        let (mut pos_embed, mut turns, mut class_position) = (None, None, None);
        match options.positions {
            Positions::Rotary => turns = Some(Turns::new(&config, vb)?),
            Positions::Table { class, resampling } => {
                let all = vb.get((1, config.positions(), d), "pos_embed")?;
                let before = usize::from(class);
                class_position = class.then(|| all.narrow(1, 0, before)).transpose()?;
                let table = all.narrow(1, before, grid * grid)?;
                let to = config.frame_grid();
                let table = table.flatten_all()?.to_vec1::<f32>()?;
                let fitted = positions::resample(&table, d, grid, to, resampling);
                pos_embed = Some(Tensor::from_vec(fitted, (1, to * to, d), all.device())?);
            }
        }
        let mut prefix = Vec::new();
        if options.class_token {
            let class = vb.get((1, 1, d), "cls_token")?;
            prefix.push(match class_position {
                Some(position) => (class + position)?,
                None => class,
            });
        }
        if registers > 0 {
            prefix.push(vb.get((1, registers, d), "reg_token")?);
        }
        let prefix = if prefix.is_empty() { None } else { Some(Tensor::cat(&prefix, 1)?) };
        let norm_pre = match options.norm_pre {
            true => Some(LayerNorm::load(d, norm_eps, &vb.pp("norm_pre"))?),
            false => None,
        };
        let blocks = (0..config.depth)
            .map(|i| Block::load(&config, &vb.pp(format!("blocks.{i}"))))
            .collect::<Result<_>>()?;
        Ok(Self {
            patch_embed: Linear::new(kernel, bias),
            pos_embed,
            turns,
            prefix,
            norm_pre,
            blocks,
            norm: LayerNorm::load(d, norm_eps, &vb.pp("norm"))?,
            head: Head::load(&config, vb)?,
            dtype: vb.dtype(),
            config,
        })
    }

    /// The shape of this encoder.
    pub fn config(&self) -> &VitConfig {
        &self.config
    }

    /// The position table at the frame's grid, `(1, grid², D)`, if there is one.
    pub fn pos_embed(&self) -> Option<&Tensor> {
        self.pos_embed.as_ref()
    }

    /// Patches of normalised pixels `(B, 3, side, side)` as `(B, grid², D)`, positions not yet added.
    ///
    /// # Errors
    /// If the pictures are not [`VitConfig::side`] pixels wide and high, with three channels.
    pub fn patches(&self, pixels: &Tensor) -> Result<Tensor> {
        let (b, c, _, _) = pixels.dims4()?;
        let (g, p) = (self.config.frame_grid(), self.config.patch);
        let pixels = pixels.narrow(2, 0, g * p)?.narrow(3, 0, g * p)?.contiguous()?;
        let cut = pixels.reshape(&[b, c, g, p, g, p][..])?.permute(vec![0, 2, 4, 1, 3, 5])?;
        self.patch_embed.forward(&cut.contiguous()?.reshape((b, g * g, c * p * p))?)
    }

    /// The tokens that enter the first block, `(B, N, D)`, from normalised pixels `(B, 3, side, side)`.
    ///
    /// # Errors
    /// If the pictures are not [`VitConfig::side`] pixels wide and high, with three channels.
    pub fn tokens(&self, pixels: &Tensor) -> Result<Tensor> {
        let mut tokens = self.patches(pixels)?.to_dtype(DType::F32)?;
        if let Some(pos_embed) = &self.pos_embed {
            tokens = tokens.broadcast_add(pos_embed)?;
        }
        if let Some(prefix) = &self.prefix {
            let (b, _, d) = tokens.dims3()?;
            tokens = Tensor::cat(&[&prefix.broadcast_as((b, self.config.prefix(), d))?, &tokens], 1)?;
        }
        match &self.norm_pre {
            Some(norm) => norm.forward(&tokens),
            None => Ok(tokens),
        }
    }

    /// Every stage from normalised pixels `(B, 3, side, side)`: the tokens, each block's output and the final norm's,
    /// `depth + 2` tensors of `(B, N, D)`.
    ///
    /// # Errors
    /// If the pictures are not [`VitConfig::side`] pixels wide and high, with three channels.
    pub fn stages(&self, pixels: &Tensor) -> Result<Vec<Tensor>> {
        let mut stages = vec![self.tokens(pixels)?];
        for block in &self.blocks {
            let last = &stages[stages.len() - 1];
            stages.push(block.forward(last, last.dim(1)?, self.turns.as_ref())?);
        }
        stages.push(self.norm.forward(&stages[stages.len() - 1])?);
        Ok(stages)
    }

    /// Features `(B, output)` of normalised pixels `(B, 3, side, side)`. Where a class token makes the feature, of the last block
    /// only that token is computed.
    ///
    /// # Errors
    /// If the pictures are not [`VitConfig::side`] pixels wide and high, with three channels.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let mut x = self.tokens(pixels)?;
        for (i, block) in self.blocks.iter().enumerate() {
            let last = i + 1 == self.blocks.len() && self.config.options.class_token;
            x = block.forward(&x, if last { 1 } else { x.dim(1)? }, self.turns.as_ref())?;
        }
        self.head.forward(&self.norm.forward(&x)?, self.dtype)
    }

    /// The same encoder for inference with products in another precision: what is only a scale is folded into the layer
    /// beside it. Tokens, norms and sums stay f32.
    ///
    /// # Errors
    /// If the device has no such precision.
    pub fn folded(&self, dtype: DType) -> Result<Self> {
        Ok(Self {
            config: self.config.clone(),
            patch_embed: self.patch_embed.to_dtype(dtype)?,
            pos_embed: self.pos_embed.clone(),
            turns: self.turns.clone(),
            prefix: self.prefix.clone(),
            norm_pre: self.norm_pre.clone(),
            blocks: self.blocks.iter().map(|b| b.folded(dtype)).collect::<Result<_>>()?,
            norm: self.norm.clone(),
            head: self.head.to_dtype(dtype)?,
            dtype,
        })
    }
}
