//! The frame encoder's weights as the fast path wants them: exact savings made once, at load.
//!
//! LayerNorm's affine map moves into the layer after it, LayerScale into the layer before it, the attention's scale into
//! the queries, ImageNet's normalisation into the patch embedding, which then reads bytes. All folding is done in f64 and
//! rounded once.

use std::borrow::Cow;
use std::collections::HashMap;

use candle_core::{Result, Tensor, bail};

use super::vit::Config;
use super::{IMAGENET_MEAN, IMAGENET_STD, positions};
use crate::kernels::{Backend, PackedLinear};

/// Subtracted from every byte: centred bytes are small and exact even in bf16.
pub(super) const BYTE_CENTRE: i16 = 128;

/// Named tensors whose numbers can be read where they lie.
pub trait Tensors: Sync {
    /// The numbers of a tensor, row-major.
    ///
    /// # Errors
    /// If there is no such tensor, or it does not hold floating-point numbers.
    fn values(&self, name: &str) -> Result<Cow<'_, [f32]>>;
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
    pub(super) config: &'a Config,
}

impl<'a> VitWeights<'a> {
    /// Tensors of the shapes that `config` gives; they are read and checked as they are folded.
    pub fn new(tensors: &'a dyn Tensors, config: &'a Config) -> Self {
        Self { tensors, config }
    }

    /// The values of a tensor of that many elements.
    fn values(&self, name: &str, len: usize) -> Result<Cow<'a, [f32]>> {
        let values = self.tensors.values(name)?;
        if values.len() != len {
            bail!("tensor {name} has {} elements, expected {len}", values.len());
        }
        Ok(values)
    }

    /// What a frame starts from: class token, registers and positions, `(1 + R + grid², D)`.
    pub(super) fn start(&self) -> Result<Vec<f32>> {
        let Config { width, registers, grid, .. } = *self.config;
        let table = self.values("pos_embed", grid * grid * width)?;
        let mut start = self.values("cls_token", width)?.into_owned();
        start.extend_from_slice(&self.values("reg_token", registers * width)?);
        start.extend(positions::resample(&table, width, grid, self.config.frame_grid()));
        Ok(start)
    }

    /// The patch embedding, reading `byte - BYTE_CENTRE` in the order row, column, channel.
    pub(super) fn patch_embedding(&self, backend: Backend) -> Result<PackedLinear> {
        let area = self.config.patch * self.config.patch;
        let inputs = 3 * area;
        let weight = self.values("patch_embed.proj.weight", self.config.width * inputs)?;
        let mut bias = self.values("patch_embed.proj.bias", self.config.width)?.into_owned();
        let mut folded = vec![0.0; weight.len()];
        for ((from, to), bias) in weight.chunks(inputs).zip(folded.chunks_mut(inputs)).zip(&mut bias) {
            let mut shift = 0.0;
            for (i, &w) in from.iter().enumerate() {
                let (channel, pixel) = (i / area, i % area);
                let w = f64::from(w) / f64::from(IMAGENET_STD[channel]);
                shift += w * (f64::from(BYTE_CENTRE) / 255.0 - f64::from(IMAGENET_MEAN[channel]));
                to[pixel * 3 + channel] = (w / 255.0) as f32;
            }
            *bias = (f64::from(*bias) + shift) as f32;
        }
        Ok(PackedLinear::new(backend, &folded, &bias, inputs))
    }

    /// The final norm's weight and bias, `(D)` each.
    pub(super) fn final_norm(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let read = |name: &str| self.values(name, self.config.width).map(Cow::into_owned);
        Ok((read("norm.weight")?, read("norm.bias")?))
    }

    /// One block's layers, folded.
    pub(super) fn block(&self, index: usize) -> Result<BlockWeights> {
        let Config { width: d, hidden, heads, .. } = *self.config;
        let load = |name: &str, inputs: usize, outputs: usize| -> Result<Folded> {
            let name = format!("blocks.{index}.{name}");
            Ok(Folded {
                weight: self.values(&format!("{name}.weight"), inputs * outputs)?.into_owned(),
                bias: self.values(&format!("{name}.bias"), outputs)?.into_owned(),
                inputs,
            })
        };
        let vector = |name: &str| self.values(&format!("blocks.{index}.{name}"), d);
        let mut qkv = load("attn.qkv", d, 3 * d)?;
        qkv.after_norm(&vector("norm1.weight")?, &vector("norm1.bias")?);
        let scale = (1.0 / ((d / heads) as f64).sqrt()) as f32;
        let scales: Vec<f32> = (0..3 * d).map(|row| if row < d { scale } else { 1.0 }).collect();
        qkv.before_scale(&scales);
        let mut proj = load("attn.proj", d, d)?;
        proj.before_scale(&vector("ls1.gamma")?);
        let mut fc1 = load("mlp.fc1", d, hidden)?;
        fc1.after_norm(&vector("norm2.weight")?, &vector("norm2.bias")?);
        let mut fc2 = load("mlp.fc2", hidden, d)?;
        fc2.before_scale(&vector("ls2.gamma")?);
        Ok(BlockWeights { qkv, proj, fc1, fc2 })
    }
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
    fn after_norm(&mut self, gamma: &[f32], beta: &[f32]) {
        for (row, bias) in self.weight.chunks_exact_mut(self.inputs).zip(&mut self.bias) {
            let mut shift = 0.0;
            for ((w, &g), &b) in row.iter_mut().zip(gamma).zip(beta) {
                shift += f64::from(*w) * f64::from(b);
                *w *= g;
            }
            *bias = (f64::from(*bias) + shift) as f32;
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
