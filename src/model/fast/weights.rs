//! The frame encoder's tensors, with everything folded that can be.
//!
//! The attention's scale moves into the queries, the pixels' normalisation into the patch embedding, which then reads bytes; the
//! query of a pooling head is the same for every frame.

use std::borrow::Cow;

use candle_core::Result;

use crate::kernels::{Backend, PackedLinear};
use crate::model::fold::{Folded, Norm, Tensors, norm_of, values_of};
use crate::model::positions;
use crate::model::vit::{Positions, VitConfig};

/// Subtracted from every byte: centred bytes are small and exact even in bf16.
pub(super) const BYTE_CENTRE: i16 = 128;

/// A frame encoder's tensors, by timm's names, on their way into the fast path.
pub struct VitWeights<'a> {
    tensors: &'a dyn Tensors,
    pub(super) config: &'a VitConfig,
}

impl<'a> VitWeights<'a> {
    /// Tensors of the shapes that `config` gives; they are read and checked as they are folded.
    pub fn new(tensors: &'a dyn Tensors, config: &'a VitConfig) -> Self {
        Self { tensors, config }
    }

    /// Checks that every tensor holds numbers.
    ///
    /// # Errors
    /// If one is missing, or does not hold floating-point numbers.
    pub fn check(&self) -> Result<()> {
        self.config.tensors().iter().try_for_each(|(name, _)| self.tensors.check_values(name))
    }

    fn values(&self, name: &str, len: usize) -> Result<Cow<'a, [f32]>> {
        values_of(self.tensors, name, len)
    }

    /// What a frame starts from: class token, registers and positions, `(N, D)`; zeros where there is no table of positions.
    pub(super) fn start(&self) -> Result<Vec<f32>> {
        let VitConfig { options, width, registers, grid, .. } = *self.config;
        let mut start = Vec::new();
        if options.class_token {
            start.extend_from_slice(&self.values("cls_token", width)?);
        }
        let mut patches = vec![0.0; self.config.frame_grid().pow(2) * width];
        if let Positions::Table { resampling, .. } = options.positions {
            let all = self.values("pos_embed", self.config.positions() * width)?;
            let (before, table) = all.split_at(all.len() - grid * grid * width);
            // The table may have a row for the class token.
            start.iter_mut().zip(before).for_each(|(token, position)| *token += position);
            patches = positions::resample(table, width, grid, self.config.frame_grid(), resampling);
        }
        if registers > 0 {
            start.extend_from_slice(&self.values("reg_token", registers * width)?);
        }
        start.extend(patches);
        Ok(start)
    }

    /// The patch embedding, reading `byte - BYTE_CENTRE` in the order row, column, channel.
    pub(super) fn patch_embedding(&self, backend: Backend) -> Result<PackedLinear> {
        let area = self.config.patch * self.config.patch;
        let inputs = 3 * area;
        let VitConfig { options, pictures, width, .. } = *self.config;
        let (mean, std) = (pictures.mean, pictures.std);
        let weight = self.values("patch_embed.proj.weight", width * inputs)?;
        let mut bias = match options.patch_bias {
            true => self.values("patch_embed.proj.bias", width)?.into_owned(),
            false => vec![0.0; width],
        };
        let mut folded = vec![0.0; weight.len()];
        for ((from, to), bias) in weight.chunks(inputs).zip(folded.chunks_mut(inputs)).zip(&mut bias) {
            let mut shift = 0.0;
            for (i, &w) in from.iter().enumerate() {
                let (channel, pixel) = (i / area, i % area);
                let w = f64::from(w) / f64::from(std[channel]);
                shift += w * (f64::from(BYTE_CENTRE) / 255.0 - f64::from(mean[channel]));
                to[pixel * 3 + channel] = (w / 255.0) as f32;
            }
            *bias = (f64::from(*bias) + shift) as f32;
        }
        Ok(PackedLinear::new(backend, &folded, &bias, inputs))
    }

    /// A norm's weight and bias, `(D)` each.
    pub(super) fn norm(&self, name: &str) -> Result<Norm> {
        norm_of(self.tensors, name, self.config.width)
    }

    /// The norm before the blocks, if there is one.
    pub(super) fn norm_pre(&self) -> Result<Option<Norm>> {
        self.config.options.norm_pre.then(|| self.norm("norm_pre")).transpose()
    }

    fn layer(&self, name: &str, inputs: usize, outputs: usize) -> Result<Folded<'a>> {
        Folded::layer(self.tensors, name, inputs, outputs)
    }

    /// A layer with zeros for the bias.
    fn layer_without_bias(&self, name: &str, inputs: usize, outputs: usize) -> Result<Folded<'a>> {
        Folded::read(self.tensors, &format!("{name}.weight"), None, [inputs, outputs])
    }

    /// One block's layers, folded.
    pub(super) fn block(&self, index: usize) -> Result<BlockWeights<'a>> {
        let VitConfig { options, width: d, hidden, .. } = *self.config;
        let name = |part: &str| format!("blocks.{index}.{part}");
        let mut qkv = match options.qkv_bias {
            true => self.layer(&name("attn.qkv"), d, 3 * d)?,
            false => self.layer_without_bias(&name("attn.qkv"), d, 3 * d)?,
        };
        qkv.norm = Some(self.norm(&name("norm1"))?);
        let scale = self.config.attention_scale() as f32;
        qkv.scales = Some((0..3 * d).map(|row| if row < d { scale } else { 1.0 }).collect());
        let mut proj = self.layer(&name("attn.proj"), d, d)?;
        let mut fc1 = self.layer(&name("mlp.fc1"), d, self.config.fc1_outputs())?;
        fc1.norm = Some(self.norm(&name("norm2"))?);
        let mut fc2 = self.layer(&name("mlp.fc2"), hidden, d)?;
        if options.layer_scale {
            proj.scales = Some(self.values(&name("ls1.gamma"), d)?);
            fc2.scales = Some(self.values(&name("ls2.gamma"), d)?);
        }
        Ok(BlockWeights { qkv, proj, fc1, fc2 })
    }

    /// The class token's projection, `(output, D)` without bias.
    pub(super) fn projection(&self, backend: Backend) -> Result<PackedLinear> {
        let VitConfig { width, output, .. } = *self.config;
        let weight = self.values("head.weight", output * width)?;
        Ok(PackedLinear::new(backend, &weight, &vec![0.0; output], width))
    }

    /// The pooling head, with the norm before it.
    pub(super) fn pool(&self) -> Result<PoolWeights<'a>> {
        let VitConfig { width: d, hidden, .. } = *self.config;
        let latent = self.values("attn_pool.latent", d)?;
        let q = self.layer("attn_pool.q", d, d)?;
        let scale = self.config.attention_scale();
        let project = |(row, bias): (&[f32], &f32)| {
            let sum: f64 = row.iter().zip(latent.iter()).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            ((sum + f64::from(*bias)) * scale) as f32
        };
        let query = q.weight.chunks_exact(d).zip(&*q.bias).map(project).collect();
        let mut keys_values = self.layer("attn_pool.kv", d, 2 * d)?;
        keys_values.norm = Some(self.norm("norm")?);
        let proj = self.layer("attn_pool.proj", d, d)?;
        let mut fc1 = self.layer("attn_pool.mlp.fc1", d, hidden)?;
        fc1.norm = Some(self.norm("attn_pool.norm")?);
        let fc2 = self.layer("attn_pool.mlp.fc2", hidden, d)?;
        Ok(PoolWeights { query, keys_values, proj, fc1, fc2 })
    }
}

/// The layers of a pooling head.
pub(super) struct PoolWeights<'a> {
    /// `(D)`, projected and scaled.
    pub query: Vec<f32>,
    pub keys_values: Folded<'a>,
    pub proj: Folded<'a>,
    pub fc1: Folded<'a>,
    pub fc2: Folded<'a>,
}

/// The four layers of a block.
pub(super) struct BlockWeights<'a> {
    pub qkv: Folded<'a>,
    pub proj: Folded<'a>,
    pub fc1: Folded<'a>,
    pub fc2: Folded<'a>,
}
