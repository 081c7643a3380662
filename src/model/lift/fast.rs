//! LiFT on the kernels' slices: what inference computes on the CPU, in f32.
//!
//! It is the function of [`Lift::encode`](super::Lift::encode) without dropout. The norms' affine maps are folded into the layers after
//! them, so the last bits differ from those of the composed operations.

use candle_core::{Device, Result, Tensor};

use super::{Codes, Decoder, LiftConfig, NORM_EPS, PREFIX, check_frames};
use crate::kernels::{
    Activation, Attention, AttentionScratch, Backend, PackedLinear, attention, layer_norm, linear,
    linear_activation, linear_residual, standardize,
};
use crate::model::fold::{Folded, Norm, Tensors, copied, norm_of, values_of};

/// LiFT with its weights laid out for the kernels of this processor.
#[derive(Debug)]
pub struct FastLift {
    backend: Backend,
    config: LiftConfig,
    input_proj: PackedLinear,
    /// The two learned tokens, `(2, W)`.
    cls: Vec<f32>,
    /// The position table, `(max_len, W)`.
    pe: Vec<f32>,
    layers: Vec<Layer>,
    /// Of the static and of the dynamic code.
    codes: [(PackedLinear, Norm); 2],
    decoder: Option<Decoder>,
}

#[derive(Debug)]
struct Layer {
    in_proj: PackedLinear,
    out_proj: PackedLinear,
    linear1: PackedLinear,
    linear2: PackedLinear,
}

impl Layer {
    fn new(tensors: &dyn Tensors, config: &LiftConfig, index: usize, backend: Backend) -> Result<Self> {
        let LiftConfig { latent: w, hidden, .. } = *config;
        let name = |part: &str| format!("{PREFIX}.encoder.transformer.layers.{index}.{part}");
        let mut in_proj = Folded::read(
            tensors,
            &name("self_attn.in_proj_weight"),
            Some(&name("self_attn.in_proj_bias")),
            [w, 3 * w],
        )?;
        in_proj.norm = Some(norm_of(tensors, &name("norm1"), w)?);
        let mut linear1 = Folded::layer(tensors, &name("linear1"), w, hidden)?;
        linear1.norm = Some(norm_of(tensors, &name("norm2"), w)?);
        Ok(Self {
            in_proj: in_proj.pack(backend),
            out_proj: Folded::layer(tensors, &name("self_attn.out_proj"), w, w)?.pack(backend),
            linear1: linear1.pack(backend),
            linear2: Folded::layer(tensors, &name("linear2"), hidden, w)?.pack(backend),
        })
    }
}

impl FastLift {
    /// Folds and lays out the tensors of [`LiftConfig::tensors`] for this processor. The decoder's are read if `decodes` is true.
    ///
    /// # Errors
    /// If a tensor is missing or of the wrong size.
    pub fn new(tensors: &dyn Tensors, config: LiftConfig, decodes: bool) -> Result<Self> {
        let backend = Backend::best();
        let LiftConfig { feature: d, latent: w, max_len, .. } = config;
        let name = |part: &str| format!("{PREFIX}.encoder.{part}");
        let token = |which: &str| values_of(tensors, &name(which), w);
        let code = |which: &str| -> Result<(PackedLinear, Norm)> {
            let proj = Folded::layer(tensors, &name(&format!("{which}_proj")), w, w)?.pack(backend);
            Ok((proj, norm_of(tensors, &name(&format!("{which}_norm")), w)?))
        };
        Ok(Self {
            backend,
            input_proj: Folded::layer(tensors, &name("input_proj"), d, w)?.pack(backend),
            cls: [token("cls_static")?, token("cls_dynamic")?].concat(),
            pe: values_of(tensors, &name("pos_encoder.pe"), max_len * w)?.into_owned(),
            layers: (0..config.layers)
                .map(|index| Layer::new(tensors, &config, index, backend))
                .collect::<Result<_>>()?,
            codes: [code("static")?, code("dynamic")?],
            decoder: if decodes { Some(decoder(tensors, &config)?) } else { None },
            config,
        })
    }

    /// The shape of this model.
    pub fn config(&self) -> &LiftConfig {
        &self.config
    }

    /// The embedding `[z_s, z_d]`, `(2W)`, of one clip's features `(T, D)`, row-major.
    ///
    /// # Errors
    /// If there are fewer than 2 frames, or more than the position table holds.
    ///
    /// # Panics
    /// If the features are not rows of the model's width.
    pub fn encode(&self, features: &[f32]) -> Result<Vec<f32>> {
        let LiftConfig { feature: d, latent: w, hidden, heads, max_len, .. } = self.config;
        let (backend, eps) = (self.backend, NORM_EPS as f32);
        let frames = features.len() / d;
        assert_eq!(features.len() % d, 0, "the features are not rows of {d}");
        check_frames(frames, max_len)?;
        let n = frames + 2;

        let mut x = [&self.cls[..], &self.pe[..frames * w]].concat();
        linear_residual(&self.input_proj, features, &mut x[2 * w..]);
        let (mut normed, mut qkv) = (vec![0.0; n * w], vec![0.0; n * 3 * w]);
        let (mut mixed, mut between) = (vec![0.0; n * w], vec![0.0; n * hidden]);
        let mut scratch = AttentionScratch::default();
        for (i, layer) in self.layers.iter().enumerate() {
            standardize(backend, &x, w, eps, &mut normed);
            linear(&layer.in_proj, &normed, &mut qkv);
            // Of the last layer's output only the two learned tokens are read.
            let queries = if i + 1 == self.layers.len() { 2 } else { n };
            let head_dim = w / heads;
            let input = Attention {
                q: &qkv,
                k: &qkv[w..],
                v: &qkv[2 * w..],
                q_stride: 3 * w,
                kv_stride: 3 * w,
                queries,
                keys: n,
                heads,
                head_dim,
                scale: 1.0 / (head_dim as f32).sqrt(),
            };
            let (x, normed) = (&mut x[..queries * w], &mut normed[..queries * w]);
            let (mixed, between) = (&mut mixed[..queries * w], &mut between[..queries * hidden]);
            attention(backend, &input, &mut scratch, mixed);
            linear_residual(&layer.out_proj, mixed, x);
            standardize(backend, x, w, eps, normed);
            linear_activation(&layer.linear1, Activation::Relu, normed, between);
            linear_residual(&layer.linear2, between, x);
        }
        let mut embedding = vec![0.0; 2 * w];
        let tokens = x.chunks_exact(w).zip(embedding.chunks_exact_mut(w));
        for ((token, code), (proj, (weight, bias))) in tokens.zip(&self.codes) {
            let projected = &mut normed[..w];
            linear(proj, token, projected);
            layer_norm(backend, projected, weight, bias, eps, code);
        }
        Ok(embedding)
    }

    /// The features `(T, D)`, row-major, that an embedding `(2W)` stands for, at `frames` times.
    ///
    /// # Errors
    /// If `frames` is less than 2, or the decoder was not read.
    pub fn decode(&self, embedding: &[f32], frames: usize) -> Result<Vec<f32>> {
        let Some(decoder) = &self.decoder else {
            candle_core::bail!("this LiFT was loaded without its decoder")
        };
        let (r#static, dynamic) = embedding.split_at(self.config.latent);
        let code = |values: &[f32]| Tensor::from_slice(values, (1, values.len()), &Device::Cpu);
        let codes = Codes { r#static: code(r#static)?, dynamic: code(dynamic)? };
        decoder.decode(&codes, frames)?.flatten_all()?.to_vec1()
    }
}

fn decoder(tensors: &dyn Tensors, config: &LiftConfig) -> Result<Decoder> {
    let prefix = format!("{PREFIX}.decoder.");
    let named = config.tensors().into_iter().filter(|(name, _)| name.starts_with(&prefix));
    Decoder::load(config, &copied(tensors, named)?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::DType;
    use candle_nn::VarBuilder;

    use super::super::{Lift, NoDropout};
    use super::*;
    use crate::kernels::testing::noise;

    fn random(config: &LiftConfig) -> HashMap<String, Tensor> {
        let tensor = |(i, (name, shape)): (usize, (String, Vec<usize>))| {
            let values: Vec<f32> =
                noise(shape.iter().product(), i as u64 + 1).into_iter().map(|x| 0.2 * x).collect();
            (name, Tensor::from_vec(values, &shape[..], &Device::Cpu).unwrap())
        };
        config.tensors().into_iter().enumerate().map(tensor).collect()
    }

    #[test]
    fn codes_and_features_are_those_of_the_composed_model() {
        let config = LiftConfig { heads: 3, ..LiftConfig::new(20, 24, 40) };
        let tensors = random(&config);
        let composed =
            Lift::load(config.clone(), &VarBuilder::from_tensors(tensors.clone(), DType::F32, &Device::Cpu));
        let (composed, fast) = (composed.unwrap(), FastLift::new(&tensors, config, true).unwrap());
        for frames in [2, 3, 16, 40] {
            let features = noise(frames * 20, 99);
            let x = Tensor::from_slice(&features, (1, frames, 20), &Device::Cpu).unwrap();
            let codes = composed.encode(&x, &mut NoDropout).unwrap();
            let values = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let near = |got: &[f32], want: &[f32]| {
                assert_eq!(got.len(), want.len());
                for (got, want) in got.iter().zip(want) {
                    assert!((got - want).abs() < 2e-5, "{frames} frames: {got}, not {want}");
                }
            };
            let embedding = fast.encode(&features).unwrap();
            near(&embedding, &values(codes.concat().unwrap()));
            near(
                &fast.decode(&embedding, frames).unwrap(),
                &values(composed.decode(&codes, frames).unwrap()),
            );
        }
    }

    #[test]
    fn refuses_what_the_composed_model_refuses() {
        let config = LiftConfig::new(16, 16, 8);
        let fast = FastLift::new(&random(&config), config, false).unwrap();
        let why = |values: usize| fast.encode(&vec![0.0; values]).unwrap_err().to_string();
        assert!(why(16).contains("no direction") && why(0).contains("no direction"), "{}", why(0));
        assert!(why(9 * 16).contains("at most 8"), "{}", why(9 * 16));
        assert!(fast.decode(&[0.0; 32], 4).unwrap_err().to_string().contains("without its decoder"));
    }
}
