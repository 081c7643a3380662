//! LiFT: the auto-encoder that pulls a clip's features straight (Bagad & Zisserman 2025, arXiv 2509.08502).
//!
//! A transformer reads the `T` features behind two learned tokens and yields a static code `z_s` and a dynamic one
//! `z_d`; a small MLP decodes frame `t` from `z_s + t/(T-1) · z_d`. [`Lift`] is composed of candle's operations and
//! serves training, where [`Dropout`] puts its masks at the four places of torch's `TransformerEncoderLayer`. [`FastLift`] computes the
//! same function for inference.

mod fast;

use std::sync::Arc;

use candle_core::{D, Result, Tensor};
use candle_nn::VarBuilder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::layers::{LayerNorm, Linear, gelu, merge_heads, softmax, split_heads};
use crate::kernels::grad::{self, Factors};
pub use fast::FastLift;

/// Epsilon of every LayerNorm of LiFT (torch's default).
pub const NORM_EPS: f64 = 1e-5;

/// Attention heads of the published model; a file may carry another count as `num_heads` in its metadata.
pub const HEADS: usize = 8;

/// Elements of a mask that a thread computes at once.
const MASK_CHUNK: usize = 1 << 16;

/// The prefix of every tensor's name: those of the Lightning `state_dict`.
pub const PREFIX: &str = "model";

/// The numbers that fix a LiFT model's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiftConfig {
    /// Width of a frame's feature `D`.
    pub feature: usize,
    /// Width of each code `W`.
    pub latent: usize,
    /// Encoder layers.
    pub layers: usize,
    /// Attention heads per layer.
    pub heads: usize,
    /// Hidden width of the encoder's feed-forward.
    pub hidden: usize,
    /// Hidden width of the decoder.
    pub decoder_hidden: usize,
    /// Most frames the position table has.
    pub max_len: usize,
}

impl LiftConfig {
    /// A model of the published proportions: feed-forward 4x, decoder 2x, 8 heads, 4 layers.
    pub fn new(feature: usize, latent: usize, max_len: usize) -> Self {
        let (hidden, decoder_hidden) = (4 * latent, 2 * latent);
        Self { feature, latent, layers: 4, heads: HEADS, hidden, decoder_hidden, max_len }
    }

    /// Every tensor a file of this shape has, by its name in the Lightning `state_dict`, each with its shape.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let Self { feature: d, latent: w, hidden, decoder_hidden: h, max_len, .. } = *self;
        let mut all = Vec::new();
        let mut linear = |name: &str, output: usize, input: usize| {
            all.push((format!("{PREFIX}.{name}.weight"), vec![output, input]));
            all.push((format!("{PREFIX}.{name}.bias"), vec![output]));
        };
        linear("encoder.input_proj", w, d);
        for i in 0..self.layers {
            let layer = format!("encoder.transformer.layers.{i}");
            linear(&format!("{layer}.self_attn.out_proj"), w, w);
            linear(&format!("{layer}.linear1"), hidden, w);
            linear(&format!("{layer}.linear2"), w, hidden);
        }
        linear("encoder.static_proj", w, w);
        linear("encoder.dynamic_proj", w, w);
        linear("decoder.model.0", h, w);
        linear("decoder.model.3", h, h);
        linear("decoder.model.6", d, h);
        let mut norm = |name: String, dim: usize| {
            all.push((format!("{PREFIX}.{name}.weight"), vec![dim]));
            all.push((format!("{PREFIX}.{name}.bias"), vec![dim]));
        };
        for i in 0..self.layers {
            norm(format!("encoder.transformer.layers.{i}.norm1"), w);
            norm(format!("encoder.transformer.layers.{i}.norm2"), w);
        }
        norm("encoder.static_norm".into(), w);
        norm("encoder.dynamic_norm".into(), w);
        norm("decoder.model.1".into(), h);
        norm("decoder.model.4".into(), h);
        for i in 0..self.layers {
            let attention = format!("{PREFIX}.encoder.transformer.layers.{i}.self_attn");
            all.push((format!("{attention}.in_proj_weight"), vec![3 * w, w]));
            all.push((format!("{attention}.in_proj_bias"), vec![3 * w]));
        }
        all.push((format!("{PREFIX}.encoder.cls_static"), vec![1, 1, w]));
        all.push((format!("{PREFIX}.encoder.cls_dynamic"), vec![1, 1, w]));
        all.push((format!("{PREFIX}.encoder.pos_encoder.pe"), vec![1, max_len, w]));
        all
    }
}

/// Where training drops activations; inference passes [`NoDropout`].
pub trait Dropout {
    /// The mask of the next place, or none where everything stays.
    fn mask(&mut self) -> Option<Arc<dyn Factors>>;

    /// `x` with some elements zeroed and the others scaled up, or as it is.
    ///
    /// # Errors
    /// If the device fails.
    fn apply(&mut self, x: Tensor) -> Result<Tensor> {
        let Some(mask) = self.mask() else { return Ok(x) };
        if grad::applies(&[&x]) {
            return grad::scale(&x, mask);
        }
        let mut factors = vec![0.0; x.elem_count()];
        factors.par_chunks_mut(MASK_CHUNK).enumerate().for_each(|(i, part)| mask.fill(i * MASK_CHUNK, part));
        let factors = Tensor::from_vec(factors, x.shape(), x.device())?;
        x * factors
    }
}

/// Inference: nothing is dropped.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDropout;

impl Dropout for NoDropout {
    fn mask(&mut self) -> Option<Arc<dyn Factors>> {
        None
    }
}

#[derive(Debug, Clone)]
struct Layer {
    norm1: LayerNorm,
    in_proj: Linear,
    out_proj: Linear,
    norm2: LayerNorm,
    linear1: Linear,
    linear2: Linear,
    heads: usize,
}

impl Layer {
    fn load(config: &LiftConfig, vb: &VarBuilder) -> Result<Self> {
        let w = config.latent;
        let attention = vb.pp("self_attn");
        Ok(Self {
            norm1: LayerNorm::load(w, NORM_EPS, &vb.pp("norm1"))?,
            in_proj: Linear::load_named(w, 3 * w, &attention, "in_proj_weight", "in_proj_bias")?,
            out_proj: Linear::load(w, w, &attention.pp("out_proj"))?,
            norm2: LayerNorm::load(w, NORM_EPS, &vb.pp("norm2"))?,
            linear1: Linear::load(w, config.hidden, &vb.pp("linear1"))?,
            linear2: Linear::load(config.hidden, w, &vb.pp("linear2"))?,
            heads: config.heads,
        })
    }

    /// torch's `TransformerEncoderLayer(norm_first=True)` on `(B, N, W)`, for the first `M` tokens: `(B, M, W)`.
    fn forward(&self, x: &Tensor, tokens: usize, dropout: &mut dyn Dropout) -> Result<Tensor> {
        let qkv = self.in_proj.forward(&self.norm1.forward(x)?)?;
        let mixed = self.out_proj.forward(&self.attend(&qkv, tokens, dropout)?)?;
        let x = (x.narrow(1, 0, tokens)? + dropout.apply(mixed)?)?;
        let hidden = dropout.apply(self.linear1.forward_relu(&self.norm2.forward(&x)?)?)?;
        &x + dropout.apply(self.linear2.forward(&hidden)?)?
    }

    /// Attention of the first `M` tokens over packed `qkv (B, N, 3W)`, to `(B, M, W)`.
    fn attend(&self, qkv: &Tensor, tokens: usize, dropout: &mut dyn Dropout) -> Result<Tensor> {
        if grad::applies(&[qkv]) {
            return grad::attention(qkv, self.heads, tokens, dropout.mask());
        }
        let (q, k, v) = split_heads(qkv, self.heads, qkv.dtype())?;
        let scale = 1.0 / (q.dim(D::Minus1)? as f64).sqrt();
        let q = (q.narrow(2, 0, tokens)?.contiguous()? * scale)?;
        let weights = dropout.apply(softmax(&q.matmul(&k.t()?)?)?)?;
        merge_heads(&weights.matmul(&v)?)
    }
}

/// The two codes of a clip, each `(B, W)` f32.
#[derive(Debug, Clone)]
pub struct Codes {
    /// What the clip shows, `z_s`.
    pub r#static: Tensor,
    /// Where it is going, `z_d`.
    pub dynamic: Tensor,
}

impl Codes {
    /// The embedding `[z_s, z_d]`, `(B, 2W)`.
    ///
    /// # Errors
    /// Only if the device fails.
    pub fn concat(&self) -> Result<Tensor> {
        Tensor::cat(&[&self.r#static, &self.dynamic], 1)
    }
}

/// The auto-encoder.
#[derive(Debug, Clone)]
pub struct Lift {
    config: LiftConfig,
    cls: Tensor,
    input_proj: Linear,
    pe: Tensor,
    layers: Vec<Layer>,
    static_proj: Linear,
    static_norm: LayerNorm,
    dynamic_proj: Linear,
    dynamic_norm: LayerNorm,
    decoder: Decoder,
}

/// The MLP from codes to features.
#[derive(Debug, Clone)]
struct Decoder {
    linear0: Linear,
    norm1: LayerNorm,
    linear3: Linear,
    norm4: LayerNorm,
    linear6: Linear,
}

impl Decoder {
    fn load(config: &LiftConfig, vb: &VarBuilder) -> Result<Self> {
        let LiftConfig { feature: d, latent: w, decoder_hidden: h, .. } = *config;
        let vb = vb.pp(PREFIX).pp("decoder.model");
        Ok(Self {
            linear0: Linear::load(w, h, &vb.pp("0"))?,
            norm1: LayerNorm::load(h, NORM_EPS, &vb.pp("1"))?,
            linear3: Linear::load(h, h, &vb.pp("3"))?,
            norm4: LayerNorm::load(h, NORM_EPS, &vb.pp("4"))?,
            linear6: Linear::load(h, d, &vb.pp("6"))?,
        })
    }

    /// [`Lift::decode`].
    fn decode(&self, codes: &Codes, frames: usize) -> Result<Tensor> {
        check_frames(frames, usize::MAX)?;
        // The first layer is affine: a line's points go onto the line between its ends' images.
        let ends = [codes.r#static.clone(), (&codes.r#static + &codes.dynamic)?];
        let ends = self.linear0.forward(&Tensor::cat(&ends, 0)?)?;
        let clips = ends.dim(0)? / 2;
        let line = line(&ends.narrow(0, 0, clips)?, &ends.narrow(0, clips, clips)?, frames)?;
        let x = gelu(&self.norm1.forward(&line)?)?;
        self.linear6.forward(&gelu(&self.norm4.forward(&self.linear3.forward(&x)?)?)?)
    }
}

impl Lift {
    /// Takes the tensors of [`LiftConfig::tensors`] from `vb`.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(config: LiftConfig, vb: &VarBuilder) -> Result<Self> {
        let LiftConfig { feature: d, latent: w, max_len, .. } = config;
        let encoder = vb.pp(PREFIX).pp("encoder");
        let layers = (0..config.layers)
            .map(|i| Layer::load(&config, &encoder.pp(format!("transformer.layers.{i}"))))
            .collect::<Result<_>>()?;
        let cls = [encoder.get((1, 1, w), "cls_static")?, encoder.get((1, 1, w), "cls_dynamic")?];
        Ok(Self {
            cls: Tensor::cat(&cls, 1)?,
            input_proj: Linear::load(d, w, &encoder.pp("input_proj"))?,
            pe: encoder.get((1, max_len, w), "pos_encoder.pe")?,
            layers,
            static_proj: Linear::load(w, w, &encoder.pp("static_proj"))?,
            static_norm: LayerNorm::load(w, NORM_EPS, &encoder.pp("static_norm"))?,
            dynamic_proj: Linear::load(w, w, &encoder.pp("dynamic_proj"))?,
            dynamic_norm: LayerNorm::load(w, NORM_EPS, &encoder.pp("dynamic_norm"))?,
            decoder: Decoder::load(&config, vb)?,
            config,
        })
    }

    /// The shape of this model.
    pub fn config(&self) -> &LiftConfig {
        &self.config
    }

    /// The codes of features `x (B, T, D)`, f32.
    ///
    /// # Errors
    /// If the features' width is not the model's, if `T` is less than 2 (a single frame has no direction) or more than
    /// the model's position table holds.
    pub fn encode(&self, x: &Tensor, dropout: &mut dyn Dropout) -> Result<Codes> {
        let (b, t, d) = x.dims3()?;
        if d != self.config.feature {
            candle_core::bail!("features of width {d}, but this LiFT reads width {}", self.config.feature);
        }
        check_frames(t, self.config.max_len)?;
        let x = self.input_proj.forward(x)?.broadcast_add(&self.pe.narrow(1, 0, t)?)?;
        let mut x = Tensor::cat(&[&self.cls.broadcast_as((b, 2, self.config.latent))?, &x], 1)?;
        for (i, layer) in self.layers.iter().enumerate() {
            // Of the last layer's output only the two class tokens are read.
            let tokens = if i + 1 == self.layers.len() { 2 } else { t + 2 };
            x = layer.forward(&x, tokens, dropout)?;
        }
        let code = |i: usize, proj: &Linear, norm: &LayerNorm| {
            norm.forward(&proj.forward(&x.narrow(1, i, 1)?.squeeze(1)?)?)
        };
        Ok(Codes {
            r#static: code(0, &self.static_proj, &self.static_norm)?,
            dynamic: code(1, &self.dynamic_proj, &self.dynamic_norm)?,
        })
    }

    /// The features the codes stand for, `(B, T, D)`: frame `t` decoded from `z_s + t/(T-1) · z_d`.
    ///
    /// # Errors
    /// If `frames` is less than 2.
    pub fn decode(&self, codes: &Codes, frames: usize) -> Result<Tensor> {
        self.decoder.decode(codes, frames)
    }
}

/// `from + t/(T-1) · (to - from)` for `t` in `0..T`: twice `(B, D)` to `(B, T, D)`.
fn line(from: &Tensor, to: &Tensor, frames: usize) -> Result<Tensor> {
    if grad::applies(&[from, to]) {
        return grad::line(from, to, frames);
    }
    let steps: Vec<f32> = (0..frames).map(|t| t as f32 / (frames - 1) as f32).collect();
    let steps = Tensor::from_vec(steps, (1, frames, 1), from.device())?;
    let (from, to) = (from.unsqueeze(1)?, to.unsqueeze(1)?);
    from.broadcast_add(&(to - &from)?.broadcast_mul(&steps)?)
}

/// Refuses clips of too few or too many frames.
///
/// # Errors
/// If `frames` is less than 2 or more than `max_len`.
pub fn check_frames(frames: usize, max_len: usize) -> Result<()> {
    if frames < 2 {
        candle_core::bail!(
            "{frames} frame has no direction in time: LiFT needs at least 2; take a longer range or more frames"
        );
    }
    if frames > max_len {
        candle_core::bail!(
            "more than {max_len} frames ({frames}): this LiFT model reads at most {max_len}; lower --frames"
        );
    }
    Ok(())
}

/// The sinusoidal position table `(1, max_len, width)`, row-major (Vaswani et al. 2017, section 3.5).
pub fn sinusoids(max_len: usize, width: usize) -> Vec<f32> {
    let mut table = vec![0f32; max_len * width];
    for (position, row) in table.chunks_exact_mut(width).enumerate() {
        for (i, pair) in row.chunks_mut(2).enumerate() {
            let angle = position as f64 * (-(2.0 * i as f64) * 10000f64.ln() / width as f64).exp();
            for (value, v) in pair.iter_mut().zip([angle.sin(), angle.cos()]) {
                *value = v as f32;
            }
        }
    }
    table
}
