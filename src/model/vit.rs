//! DINOv2 with registers, the frame encoder (Oquab et al. 2023, arXiv 2304.07193; Darcet et al. 2023, arXiv 2309.16588).
//!
//! Written after timm's `vit_*_patch14_reg4_dinov2`: positions are added to the patches before the class and register
//! tokens join, GELU is the exact one, the feature is the class token after the final norm. Depth, width, patch, grid
//! and registers follow from the tensors' shapes; only the head count has to be known.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::VarBuilder;

use super::layers::{LayerNorm, Linear, matmul, merge_heads, softmax, split_heads};
use super::{IMAGE_SIZE, positions};

/// Epsilon of every LayerNorm of the frame encoder.
pub const NORM_EPS: f64 = 1e-6;

/// The numbers that fix a frame encoder's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Feature width `D`.
    pub width: usize,
    /// Number of transformer blocks.
    pub depth: usize,
    /// Attention heads per block.
    pub heads: usize,
    /// Hidden width of the MLP.
    pub hidden: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Side of the position table the file carries, in patches.
    pub grid: usize,
    /// Register tokens.
    pub registers: usize,
}

impl Config {
    /// ViT-S/14 with 4 registers as published: the paper's frame encoder.
    pub fn vit_small() -> Self {
        Self { width: 384, depth: 12, heads: 6, hidden: 1536, patch: 14, grid: 37, registers: 4 }
    }

    /// Side of the grid of patches of one frame.
    pub fn frame_grid(&self) -> usize {
        IMAGE_SIZE / self.patch
    }

    /// Tokens per frame `N`: the class token, the registers and the patches.
    pub fn tokens(&self) -> usize {
        1 + self.registers + self.frame_grid().pow(2)
    }

    /// Multiply-adds of one frame, all blocks for all tokens.
    pub fn multiply_adds(&self) -> usize {
        let Self { width: d, depth, hidden, patch, .. } = *self;
        let n = self.tokens();
        let block = n * (4 * d * d + 2 * d * hidden) + 2 * n * n * d;
        self.frame_grid().pow(2) * 3 * patch * patch * d + depth * block
    }

    /// Every tensor a file of this shape has, by timm's names, each with its shape.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let Self { width: d, hidden, patch, grid, registers, .. } = *self;
        let mut all = vec![
            ("cls_token".into(), vec![1, 1, d]),
            ("reg_token".into(), vec![1, registers, d]),
            ("pos_embed".into(), vec![1, grid * grid, d]),
            ("patch_embed.proj.weight".into(), vec![d, 3, patch, patch]),
            ("patch_embed.proj.bias".into(), vec![d]),
            ("norm.weight".into(), vec![d]),
            ("norm.bias".into(), vec![d]),
        ];
        for i in 0..self.depth {
            for (name, shape) in [
                ("norm1.weight", vec![d]),
                ("norm1.bias", vec![d]),
                ("attn.qkv.weight", vec![3 * d, d]),
                ("attn.qkv.bias", vec![3 * d]),
                ("attn.proj.weight", vec![d, d]),
                ("attn.proj.bias", vec![d]),
                ("ls1.gamma", vec![d]),
                ("norm2.weight", vec![d]),
                ("norm2.bias", vec![d]),
                ("mlp.fc1.weight", vec![hidden, d]),
                ("mlp.fc1.bias", vec![hidden]),
                ("mlp.fc2.weight", vec![d, hidden]),
                ("mlp.fc2.bias", vec![d]),
                ("ls2.gamma", vec![d]),
            ] {
                all.push((format!("blocks.{i}.{name}"), shape));
            }
        }
        all
    }
}

#[derive(Debug, Clone)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    /// The two LayerScales; absent once they are folded into `proj` and `fc2`, and the attention's scale into `qkv`.
    scales: Option<(Tensor, Tensor)>,
    /// What products multiply; tokens and norms stay f32.
    dtype: DType,
    heads: usize,
}

impl Block {
    fn load(config: &Config, vb: &VarBuilder) -> Result<Self> {
        let d = config.width;
        Ok(Self {
            norm1: LayerNorm::load(d, NORM_EPS, &vb.pp("norm1"))?,
            qkv: Linear::load(d, 3 * d, &vb.pp("attn.qkv"))?,
            proj: Linear::load(d, d, &vb.pp("attn.proj"))?,
            norm2: LayerNorm::load(d, NORM_EPS, &vb.pp("norm2"))?,
            fc1: Linear::load(d, config.hidden, &vb.pp("mlp.fc1"))?,
            fc2: Linear::load(config.hidden, d, &vb.pp("mlp.fc2"))?,
            scales: Some((vb.get(d, "ls1.gamma")?, vb.get(d, "ls2.gamma")?)),
            dtype: vb.dtype(),
            heads: config.heads,
        })
    }

    /// What the scores are multiplied with.
    fn attention_scale(&self, width: usize) -> f64 {
        1.0 / ((width / self.heads) as f64).sqrt()
    }

    /// The same function with fewer steps, in another precision.
    fn folded(&self, width: usize, dtype: DType) -> Result<Self> {
        let (mut qkv, mut proj, mut fc2) = (self.qkv.clone(), self.proj.clone(), self.fc2.clone());
        if let Some((ls1, ls2)) = &self.scales {
            let (queries, others) = (ls1.ones_like()?, ls1.ones_like()?);
            let queries = (queries * self.attention_scale(width))?;
            qkv = qkv.scaled(&Tensor::cat(&[&queries, &others, &others], 0)?)?;
            (proj, fc2) = (proj.scaled(ls1)?, fc2.scaled(ls2)?);
        }
        Ok(Self {
            norm1: self.norm1.clone(),
            qkv: qkv.to_dtype(dtype)?,
            proj: proj.to_dtype(dtype)?,
            norm2: self.norm2.clone(),
            fc1: self.fc1.to_dtype(dtype)?,
            fc2: fc2.to_dtype(dtype)?,
            scales: None,
            dtype,
            heads: self.heads,
        })
    }

    /// `(B, N, D)` to `(B, M, D)`: all keys, the first `M` tokens.
    fn forward(&self, x: &Tensor, tokens: usize) -> Result<Tensor> {
        let normed = |norm: &LayerNorm, x: &Tensor| norm.forward(x)?.to_dtype(self.dtype);
        // Scores rounded to bf16's 8 bits are off by several percent after the exponential: of the full-size golden they
        // alone cost a cosine of 0.001. f16 has 11 bits, and range enough.
        let inner = if self.dtype == DType::BF16 { DType::F16 } else { self.dtype };
        let qkv = self.qkv.forward(&normed(&self.norm1, x)?)?;
        let (mut q, k, v) = split_heads(&qkv, self.heads, inner)?;
        let mut x = x.clone();
        if tokens < x.dim(1)? {
            (q, x) = (q.narrow(2, 0, tokens)?.contiguous()?, x.narrow(1, 0, tokens)?);
        }
        if self.scales.is_some() {
            q = (q * self.attention_scale(x.dim(D::Minus1)?))?;
        }
        let attention = softmax(&matmul(&q, &k.t()?)?)?;
        let (ls1, ls2) = self.scales.as_ref().map(|(a, b)| (a, b)).unzip();
        let mixed = merge_heads(&matmul(&attention, &v)?)?.to_dtype(self.dtype)?;
        let mixed = self.proj.forward(&mixed)?;
        let x = (&x + scaled(mixed, ls1)?.to_dtype(x.dtype())?)?;
        let hidden = self.fc1.forward(&normed(&self.norm2, &x)?)?.gelu_erf()?;
        let mixed = self.fc2.forward(&hidden)?;
        &x + scaled(mixed, ls2)?.to_dtype(x.dtype())?
    }
}

/// LayerScale, where it is not folded into the layer before.
fn scaled(y: Tensor, scales: Option<&Tensor>) -> Result<Tensor> {
    scales.map_or(Ok(y.clone()), |scales| y.broadcast_mul(scales))
}

/// The frame encoder in composed candle operations.
#[derive(Debug, Clone)]
pub struct Vit {
    config: Config,
    patch_embed: Linear,
    /// The position table at the frame's grid, `(1, grid², D)`.
    pos_embed: Tensor,
    /// The class token and the registers, `(1, 1 + R, D)`.
    prefix: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl Vit {
    /// Takes the tensors of [`Config::tensors`] from `vb` and resamples the positions.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(config: Config, vb: &VarBuilder) -> Result<Self> {
        let Config { width: d, patch, grid, registers, .. } = config;
        let kernel =
            vb.get((d, 3, patch, patch), "patch_embed.proj.weight")?.reshape((d, 3 * patch * patch))?;
        let table = vb.get((1, grid * grid, d), "pos_embed")?;
        let to = config.frame_grid();
        let pos_embed = positions::resample(&table.flatten_all()?.to_vec1::<f32>()?, d, grid, to);
        let pos_embed = Tensor::from_vec(pos_embed, (1, to * to, d), table.device())?;
        let prefix =
            Tensor::cat(&[vb.get((1, 1, d), "cls_token")?, vb.get((1, registers, d), "reg_token")?], 1)?;
        let blocks = (0..config.depth)
            .map(|i| Block::load(&config, &vb.pp(format!("blocks.{i}"))))
            .collect::<Result<_>>()?;
        Ok(Self {
            patch_embed: Linear::new(kernel, vb.get(d, "patch_embed.proj.bias")?),
            pos_embed,
            prefix,
            blocks,
            norm: LayerNorm::load(d, NORM_EPS, &vb.pp("norm"))?,
            config,
        })
    }

    /// The shape of this encoder.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The position table at the frame's grid, `(1, grid², D)`.
    pub fn pos_embed(&self) -> &Tensor {
        &self.pos_embed
    }

    /// Patches of normalised pixels `(B, 3, 224, 224)` as `(B, grid², D)`, positions not yet added.
    ///
    /// # Errors
    /// If the pictures are not 224 x 224 with three channels.
    pub fn patches(&self, pixels: &Tensor) -> Result<Tensor> {
        let (b, c, _, _) = pixels.dims4()?;
        let (g, p) = (self.config.frame_grid(), self.config.patch);
        let cut = pixels.reshape(&[b, c, g, p, g, p][..])?.permute(vec![0, 2, 4, 1, 3, 5])?;
        self.patch_embed.forward(&cut.contiguous()?.reshape((b, g * g, c * p * p))?)
    }

    /// The tokens that enter the first block, `(B, N, D)`, from normalised pixels `(B, 3, 224, 224)`.
    ///
    /// # Errors
    /// If the pictures are not 224 x 224 with three channels.
    pub fn tokens(&self, pixels: &Tensor) -> Result<Tensor> {
        let patches = self.patches(pixels)?.to_dtype(self.pos_embed.dtype())?;
        let patches = patches.broadcast_add(&self.pos_embed)?;
        let (b, _, d) = patches.dims3()?;
        let prefix = self.prefix.broadcast_as((b, 1 + self.config.registers, d))?;
        Tensor::cat(&[&prefix, &patches], 1)
    }

    /// Every stage from normalised pixels `(B, 3, 224, 224)`: the tokens, each block's output and the final norm's,
    /// `depth + 2` tensors of `(B, N, D)`.
    ///
    /// # Errors
    /// If the pictures are not 224 x 224 with three channels.
    pub fn stages(&self, pixels: &Tensor) -> Result<Vec<Tensor>> {
        let mut stages = vec![self.tokens(pixels)?];
        for block in &self.blocks {
            let last = &stages[stages.len() - 1];
            stages.push(block.forward(last, last.dim(1)?)?);
        }
        stages.push(self.norm.forward(&stages[stages.len() - 1])?);
        Ok(stages)
    }

    /// Features `(B, D)` of normalised pixels `(B, 3, 224, 224)`: the class token after the final norm. Of the last block
    /// only that token is computed.
    ///
    /// # Errors
    /// If the pictures are not 224 x 224 with three channels.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let mut x = self.tokens(pixels)?;
        for (i, block) in self.blocks.iter().enumerate() {
            let tokens = if i + 1 == self.blocks.len() { 1 } else { x.dim(1)? };
            x = block.forward(&x, tokens)?;
        }
        self.norm.forward(&x.narrow(1, 0, 1)?)?.squeeze(1)
    }

    /// The same encoder for inference with products in another precision: what is only a scale is folded into the layer
    /// beside it. Tokens, norms and sums stay f32.
    ///
    /// # Errors
    /// If the device has no such precision.
    pub fn folded(&self, dtype: DType) -> Result<Self> {
        let width = self.config.width;
        Ok(Self {
            config: self.config.clone(),
            patch_embed: self.patch_embed.to_dtype(dtype)?,
            pos_embed: self.pos_embed.clone(),
            prefix: self.prefix.clone(),
            blocks: self.blocks.iter().map(|b| b.folded(width, dtype)).collect::<Result<_>>()?,
            norm: self.norm.clone(),
        })
    }
}

/// Normalised pixels `(B, 3, 224, 224)` f32 of frames of 224 x 224 RGB bytes, row by row.
///
/// # Errors
/// If a frame has another number of bytes.
pub fn normalize(frames: &[&[u8]], device: &candle_core::Device) -> Result<Tensor> {
    let plane = IMAGE_SIZE * IMAGE_SIZE;
    let mut pixels = vec![0f32; frames.len() * 3 * plane];
    for (frame, out) in frames.iter().zip(pixels.chunks_exact_mut(3 * plane)) {
        if frame.len() != 3 * plane {
            candle_core::bail!("a frame of {} bytes, expected {} (224 x 224 RGB)", frame.len(), 3 * plane);
        }
        for (i, rgb) in frame.chunks_exact(3).enumerate() {
            for c in 0..3 {
                out[c * plane + i] =
                    (f32::from(rgb[c]) / 255.0 - super::IMAGENET_MEAN[c]) / super::IMAGENET_STD[c];
            }
        }
    }
    Tensor::from_vec(pixels, (frames.len(), 3, IMAGE_SIZE, IMAGE_SIZE), device)
}
