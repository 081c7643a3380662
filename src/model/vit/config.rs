//! The shape of a frame encoder: its numbers, and the tensors that follow from them.

use crate::kernels::Activation;
use crate::model::{Family, IMAGE_SIZE};

/// The numbers that fix a frame encoder's shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Which options of the network are set.
    pub family: Family,
    /// Width of the tokens `D`.
    pub width: usize,
    /// Width of a feature: the tokens', or where they are projected that of their projection.
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
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Side of the position table the file carries, in patches.
    pub grid: usize,
    /// Register tokens.
    pub registers: usize,
}

impl Config {
    /// A DINOv2 of this width, whose other numbers are those of ViT-S/14 with 4 registers as published.
    pub fn dinov2(width: usize) -> Self {
        Self {
            family: Family::Dinov2,
            width,
            output: width,
            depth: 12,
            heads: 6,
            hidden: 4 * width,
            activation: Activation::Gelu,
            norm_eps: 1e-6,
            patch: 14,
            grid: 37,
            registers: 4,
        }
    }

    /// ViT-S/14 with 4 registers as published: the paper's frame encoder.
    pub fn vit_small() -> Self {
        Self::dinov2(384)
    }

    /// Side of the grid of patches of one frame.
    pub fn frame_grid(&self) -> usize {
        IMAGE_SIZE / self.patch
    }

    /// Tokens before the patches: the class token and the registers.
    pub fn prefix(&self) -> usize {
        usize::from(self.family.has_class_token()) + self.registers
    }

    /// Tokens per frame `N`: the prefix and the patches.
    pub fn tokens(&self) -> usize {
        self.prefix() + self.frame_grid().pow(2)
    }

    /// What scores are multiplied with: `1/sqrt(head_dim)`.
    pub(in crate::model) fn attention_scale(&self) -> f64 {
        1.0 / ((self.width / self.heads) as f64).sqrt()
    }

    /// Multiply-adds of one frame, all blocks for all tokens.
    pub fn multiply_adds(&self) -> usize {
        let Self { width: d, depth, hidden, patch, .. } = *self;
        let n = self.tokens();
        let block = n * (4 * d * d + 2 * d * hidden) + 2 * n * n * d;
        let pool = match self.family {
            Family::Dinov2 => 0,
            Family::Clip => d * self.output,
            Family::Siglip => n * 2 * d * d + 2 * n * d + d * d + 2 * d * hidden,
        };
        self.frame_grid().pow(2) * 3 * patch * patch * d + depth * block + pool
    }

    /// Every tensor a network of this shape has, by timm's names, each with its shape.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let Self { family, width: d, output, hidden, patch, grid, registers, .. } = *self;
        let mut all = Vec::new();
        let mut put = |name: String, shape: Vec<usize>| all.push((name, shape));
        let linear = |name: &str, inputs, outputs| {
            [(format!("{name}.weight"), vec![outputs, inputs]), (format!("{name}.bias"), vec![outputs])]
        };
        let norm = |name: &str| ["weight", "bias"].map(|part| (format!("{name}.{part}"), vec![d]));
        if family.has_class_token() {
            put("cls_token".into(), vec![1, 1, d]);
        }
        put("pos_embed".into(), vec![1, family.positions(grid), d]);
        put("patch_embed.proj.weight".into(), vec![d, 3, patch, patch]);
        match family {
            Family::Dinov2 => {
                put("reg_token".into(), vec![1, registers, d]);
                put("patch_embed.proj.bias".into(), vec![d]);
            }
            Family::Clip => {
                norm("norm_pre").into_iter().for_each(|(name, shape)| put(name, shape));
                put("head.weight".into(), vec![output, d]);
            }
            Family::Siglip => {
                put("patch_embed.proj.bias".into(), vec![d]);
                put("attn_pool.latent".into(), vec![1, 1, d]);
                let layers = [
                    ("q", d, d),
                    ("kv", d, 2 * d),
                    ("proj", d, d),
                    ("mlp.fc1", d, hidden),
                    ("mlp.fc2", hidden, d),
                ];
                for (name, inputs, outputs) in layers {
                    let pair = linear(&format!("attn_pool.{name}"), inputs, outputs);
                    pair.into_iter().for_each(|(name, shape)| put(name, shape));
                }
                norm("attn_pool.norm").into_iter().for_each(|(name, shape)| put(name, shape));
            }
        }
        norm("norm").into_iter().for_each(|(name, shape)| put(name, shape));
        for i in 0..self.depth {
            let block = |name: &str| format!("blocks.{i}.{name}");
            let layers =
                [("attn.qkv", d, 3 * d), ("attn.proj", d, d), ("mlp.fc1", d, hidden), ("mlp.fc2", hidden, d)];
            for (name, inputs, outputs) in layers {
                linear(&block(name), inputs, outputs).into_iter().for_each(|(name, shape)| put(name, shape));
            }
            for name in ["norm1", "norm2"] {
                norm(&block(name)).into_iter().for_each(|(name, shape)| put(name, shape));
            }
            if family == Family::Dinov2 {
                put(block("ls1.gamma"), vec![d]);
                put(block("ls2.gamma"), vec![d]);
            }
        }
        all
    }
}
