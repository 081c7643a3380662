//! Prepares the frame encoder's weights for the fast path: it folds linear steps into their neighbours, once, at load.
//!
//! LayerNorm's affine map moves into the layer after it, LayerScale into the layer before it, the attention's scale into
//! the queries, the pixels' normalisation into the patch embedding, which then reads bytes; the query of a pooling head is
//! the same for every frame. Sums of products are folded in f64 and rounded once; a scale is one multiplication in f32.

use std::borrow::Cow;
use std::collections::HashMap;

use candle_core::{Result, Tensor, bail};

use super::positions;
use super::vit::{Positions, VitConfig};
use crate::kernels::{Backend, PackedLinear};

/// Subtracted from every byte: centred bytes are small and exact even in bf16.
pub(super) const BYTE_CENTRE: i16 = 128;

/// Named tensors whose numbers can be read without copying.
pub trait Tensors: Sync {
    /// The numbers of a tensor, row-major.
    ///
    /// # Errors
    /// If there is no such tensor, or it does not hold floating-point numbers.
    fn values(&self, name: &str) -> Result<Cow<'_, [f32]>>;

    /// Checks that [`Self::values`] gives the numbers of a tensor. Files do this without reading them.
    ///
    /// # Errors
    /// As there.
    fn check_values(&self, name: &str) -> Result<()> {
        self.values(name).map(drop)
    }
}

impl Tensors for HashMap<String, Tensor> {
    fn values(&self, name: &str) -> Result<Cow<'_, [f32]>> {
        match self.get(name) {
            Some(tensor) => tensor.flatten_all()?.to_vec1().map(Cow::Owned),
            None => bail!("tensor {name} is missing"),
        }
    }
}

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

    /// The values of a tensor of that many elements.
    fn values(&self, name: &str, len: usize) -> Result<Cow<'a, [f32]>> {
        let values = self.tensors.values(name)?;
        if values.len() != len {
            bail!("tensor {name} has {} elements, expected {len}", values.len());
        }
        Ok(values)
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

    /// A norm's weight and bias, `(D)` each, where it stays a step of its own.
    pub(super) fn norm(&self, name: &str) -> Result<(Vec<f32>, Vec<f32>)> {
        let read =
            |part: &str| self.values(&format!("{name}.{part}"), self.config.width).map(Cow::into_owned);
        Ok((read("weight")?, read("bias")?))
    }

    /// The norm before the blocks, if there is one.
    pub(super) fn norm_pre(&self) -> Result<Option<(Vec<f32>, Vec<f32>)>> {
        self.config.options.norm_pre.then(|| self.norm("norm_pre")).transpose()
    }

    fn layer(&self, name: &str, inputs: usize, outputs: usize) -> Result<Folded> {
        let bias = self.values(&format!("{name}.bias"), outputs)?.into_owned();
        Ok(Folded { bias, ..self.layer_without_bias(name, inputs, outputs)? })
    }

    /// A layer with zeros for the bias.
    fn layer_without_bias(&self, name: &str, inputs: usize, outputs: usize) -> Result<Folded> {
        let weight = self.values(&format!("{name}.weight"), inputs * outputs)?.into_owned();
        Ok(Folded { weight, bias: vec![0.0; outputs], inputs })
    }

    /// One block's layers, folded.
    pub(super) fn block(&self, index: usize) -> Result<BlockWeights> {
        let VitConfig { options, width: d, hidden, .. } = *self.config;
        let name = |part: &str| format!("blocks.{index}.{part}");
        let mut qkv = match options.qkv_bias {
            true => self.layer(&name("attn.qkv"), d, 3 * d)?,
            false => self.layer_without_bias(&name("attn.qkv"), d, 3 * d)?,
        };
        qkv.after_norm(&self.norm(&name("norm1"))?);
        let scale = self.config.attention_scale() as f32;
        let scales: Vec<f32> = (0..3 * d).map(|row| if row < d { scale } else { 1.0 }).collect();
        qkv.before_scale(&scales);
        let mut proj = self.layer(&name("attn.proj"), d, d)?;
        let mut fc1 = self.layer(&name("mlp.fc1"), d, self.config.fc1_outputs())?;
        fc1.after_norm(&self.norm(&name("norm2"))?);
        let mut fc2 = self.layer(&name("mlp.fc2"), hidden, d)?;
        if options.layer_scale {
            proj.before_scale(&self.values(&name("ls1.gamma"), d)?);
            fc2.before_scale(&self.values(&name("ls2.gamma"), d)?);
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
    pub(super) fn pool(&self) -> Result<PoolWeights> {
        let VitConfig { width: d, hidden, .. } = *self.config;
        let latent = self.values("attn_pool.latent", d)?;
        let q = self.layer("attn_pool.q", d, d)?;
        let scale = self.config.attention_scale();
        let project = |(row, bias): (&[f32], &f32)| {
            let sum: f64 = row.iter().zip(latent.iter()).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            ((sum + f64::from(*bias)) * scale) as f32
        };
        let query = q.weight.chunks_exact(d).zip(&q.bias).map(project).collect();
        let mut keys_values = self.layer("attn_pool.kv", d, 2 * d)?;
        keys_values.after_norm(&self.norm("norm")?);
        let proj = self.layer("attn_pool.proj", d, d)?;
        let mut fc1 = self.layer("attn_pool.mlp.fc1", d, hidden)?;
        fc1.after_norm(&self.norm("attn_pool.norm")?);
        let fc2 = self.layer("attn_pool.mlp.fc2", hidden, d)?;
        Ok(PoolWeights { query, keys_values, proj, fc1, fc2 })
    }
}

/// The layers of a pooling head, with everything folded in.
pub(super) struct PoolWeights {
    /// `(D)`, projected and scaled.
    pub query: Vec<f32>,
    pub keys_values: Folded,
    pub proj: Folded,
    pub fc1: Folded,
    pub fc2: Folded,
}

/// The four layers of a block, with everything folded in.
pub(super) struct BlockWeights {
    pub qkv: Folded,
    pub proj: Folded,
    pub fc1: Folded,
    pub fc2: Folded,
}

/// A linear layer on its way into a [`PackedLinear`].
pub(super) struct Folded {
    /// `(outputs, inputs)`.
    weight: Vec<f32>,
    /// `(outputs)`.
    bias: Vec<f32>,
    inputs: usize,
}

impl Folded {
    /// Takes in the affine map of the norm before it: `W (γ x + β) + b = (W γ) x + (b + W β)`.
    fn after_norm(&mut self, (gamma, beta): &(Vec<f32>, Vec<f32>)) {
        /// Rows at a time: an addition to one sum need not wait for the addition before it, which is to another.
        const ROWS: usize = 8;
        let inputs = self.inputs;
        for (rows, biases) in self.weight.chunks_mut(ROWS * inputs).zip(self.bias.chunks_mut(ROWS)) {
            let mut shifts = [0.0; ROWS];
            let mut add = |r: usize, w: f32, b: f32| shifts[r] += f64::from(w) * f64::from(b);
            if biases.len() == ROWS {
                let rows: [&[f32]; ROWS] = std::array::from_fn(|r| &rows[r * inputs..][..inputs]);
                for (i, b) in beta.iter().enumerate() {
                    (0..ROWS).for_each(|r| add(r, rows[r][i], *b));
                }
            } else {
                for (r, row) in rows.chunks_exact(inputs).enumerate() {
                    row.iter().zip(beta).for_each(|(w, b)| add(r, *w, *b));
                }
            }
            biases.iter_mut().zip(shifts).for_each(|(bias, shift)| *bias = (f64::from(*bias) + shift) as f32);
            for row in rows.chunks_exact_mut(inputs) {
                row.iter_mut().zip(gamma).for_each(|(w, g)| *w *= g);
            }
        }
    }

    /// Takes in the scale of each output.
    fn before_scale(&mut self, scales: &[f32]) {
        for ((row, bias), scale) in self.weight.chunks_exact_mut(self.inputs).zip(&mut self.bias).zip(scales)
        {
            row.iter_mut().for_each(|w| *w *= scale);
            *bias *= scale;
        }
    }

    pub(super) fn pack(&self, backend: Backend) -> PackedLinear {
        self.pack_outputs(backend, 0..self.bias.len())
    }

    /// Packs some of the outputs only.
    pub(super) fn pack_outputs(&self, backend: Backend, outputs: std::ops::Range<usize>) -> PackedLinear {
        let weight = &self.weight[outputs.start * self.inputs..outputs.end * self.inputs];
        PackedLinear::new(backend, weight, &self.bias[outputs], self.inputs)
    }
}
