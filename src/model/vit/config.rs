//! The shape of a frame encoder: its numbers, and the tensors that follow from them.

use crate::kernels::Activation;
use crate::model::Pictures;
use crate::model::positions::Resampling;

/// What makes a feature of the normed tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// The feature is the class token.
    Token,
    /// The feature is the class token's projection, without a bias (timm's `head`).
    Projection,
    /// A learned query attends to all tokens (timm's `attn_pool`).
    AttentionPool,
}

/// How a token knows where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// A table with a row for each patch is added to the patches.
    Table {
        /// It has a row for the class token.
        class: bool,
        /// How it is fitted to another grid of patches.
        resampling: Resampling,
    },
    /// In every block the queries and the keys of the patches are turned by angles ([`crate::model::rotary`]).
    Rotary,
}

/// The options of the network in which the families of frame encoders differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VitOptions {
    /// A class token comes before the patches, and the feature is made of it. Of the last block only that token is then
    /// computed.
    pub class_token: bool,
    /// How a token knows where it is.
    pub positions: Positions,
    /// The patch embedding has a bias.
    pub patch_bias: bool,
    /// The layer before attention has a bias.
    pub qkv_bias: bool,
    /// The first layer of each block's MLP gives two halves; the activation of the first is multiplied with the second (SwiGLU,
    /// Shazeer 2020, arXiv 2002.05202).
    pub gated: bool,
    /// A norm comes before the first block (timm's `norm_pre`).
    pub norm_pre: bool,
    /// Each block scales what it adds (LayerScale, timm's `ls1` and `ls2`).
    pub layer_scale: bool,
    /// What makes the feature.
    pub head: HeadKind,
}

/// The numbers that fix a frame encoder's shape.
#[derive(Debug, Clone, PartialEq)]
pub struct VitConfig {
    /// Which options of the network are set.
    pub options: VitOptions,
    /// How it wants its pictures.
    pub pictures: Pictures,
    /// Width of the tokens `D`.
    pub width: usize,
    /// Width of a feature: the tokens', or where they are projected that of their projection.
    pub output: usize,
    /// Number of transformer blocks.
    pub depth: usize,
    /// Attention heads per block.
    pub heads: usize,
    /// Hidden width of the MLP: what its second layer reads.
    pub hidden: usize,
    /// Between the layers of the MLP.
    pub activation: Activation,
    /// Epsilon of every LayerNorm.
    pub norm_eps: f64,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Side of the position table the file carries, in patches; 0 without a table.
    pub grid: usize,
    /// Register tokens.
    pub registers: usize,
}

impl VitConfig {
    /// A DINOv2 of this width, whose other numbers are those of ViT-S/14 with 4 registers as published.
    pub fn dinov2(width: usize) -> Self {
        Self {
            options: VitOptions {
                class_token: true,
                positions: Positions::Table { class: false, resampling: Resampling::Antialiased },
                patch_bias: true,
                qkv_bias: true,
                gated: false,
                norm_pre: false,
                layer_scale: true,
                head: HeadKind::Token,
            },
            pictures: Pictures::LIFT,
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

    /// Side of the square that a frame is, in pixels.
    pub fn side(&self) -> usize {
        self.pictures.framing.side
    }

    /// Side of the grid of patches of one frame. What is left of a frame at its right and its bottom is not seen.
    pub fn frame_grid(&self) -> usize {
        self.side() / self.patch
    }

    /// Rows of the position table; none without a table.
    pub(in crate::model) fn positions(&self) -> usize {
        match self.options.positions {
            Positions::Table { class, .. } => self.grid * self.grid + usize::from(class),
            Positions::Rotary => 0,
        }
    }

    /// Outputs of the first layer of a block's MLP.
    pub(in crate::model) fn fc1_outputs(&self) -> usize {
        self.hidden * if self.options.gated { 2 } else { 1 }
    }

    /// Tokens before the patches: the class token and the registers.
    pub fn prefix(&self) -> usize {
        usize::from(self.options.class_token) + self.registers
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
        let block = n * (4 * d * d + d * (self.fc1_outputs() + hidden)) + 2 * n * n * d;
        let pool = match self.options.head {
            HeadKind::Token => 0,
            HeadKind::Projection => d * self.output,
            HeadKind::AttentionPool => n * 2 * d * d + 2 * n * d + d * d + 2 * d * hidden,
        };
        self.frame_grid().pow(2) * 3 * patch * patch * d + depth * block + pool
    }

    /// Every tensor a network of this shape has, by timm's names, each with its shape.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let Self { options, width: d, output, hidden, patch, registers, .. } = *self;
        let fc1 = self.fc1_outputs();
        let mut all = Vec::new();
        let mut put = |name: String, shape: Vec<usize>| all.push((name, shape));
        let linear = |name: &str, inputs, outputs| {
            [(format!("{name}.weight"), vec![outputs, inputs]), (format!("{name}.bias"), vec![outputs])]
        };
        let norm = |name: &str| ["weight", "bias"].map(|part| (format!("{name}.{part}"), vec![d]));
        if options.class_token {
            put("cls_token".into(), vec![1, 1, d]);
        }
        if self.positions() > 0 {
            put("pos_embed".into(), vec![1, self.positions(), d]);
        }
        put("patch_embed.proj.weight".into(), vec![d, 3, patch, patch]);
        if registers > 0 {
            put("reg_token".into(), vec![1, registers, d]);
        }
        if options.patch_bias {
            put("patch_embed.proj.bias".into(), vec![d]);
        }
        if options.norm_pre {
            norm("norm_pre").into_iter().for_each(|(name, shape)| put(name, shape));
        }
        match options.head {
            HeadKind::Token => {}
            HeadKind::Projection => put("head.weight".into(), vec![output, d]),
            HeadKind::AttentionPool => {
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
                [("attn.qkv", d, 3 * d), ("attn.proj", d, d), ("mlp.fc1", d, fc1), ("mlp.fc2", hidden, d)];
            for (name, inputs, outputs) in layers {
                let [weight, bias] = linear(&block(name), inputs, outputs);
                put(weight.0, weight.1);
                if options.qkv_bias || name != "attn.qkv" {
                    put(bias.0, bias.1);
                }
            }
            for name in ["norm1", "norm2"] {
                norm(&block(name)).into_iter().for_each(|(name, shape)| put(name, shape));
            }
            if options.layer_scale {
                put(block("ls1.gamma"), vec![d]);
                put(block("ls2.gamma"), vec![d]);
            }
        }
        all
    }
}
