//! CLIP's and SigLIP's vision towers held against candle-transformers', an independent implementation in Rust.
//!
//! Both compute CLIP's activation as `x * sigmoid(1.702 x)` (`quick_gelu`) and SigLIP's as GELU by `tanh`, as the small
//! models' settings say. Models with other activations are not compared: candle-transformers' CLIP knows `quick_gelu` alone,
//! and LAION's CLIPs, for one, have the exact `gelu`. It also fixes the epsilon of CLIP's norms at 1e-5.

use candle_core::{Device, Module, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::text_model::Activation;
use candle_transformers::models::clip::vision_model::{ClipVisionConfig, ClipVisionTransformer};
use candle_transformers::models::siglip::{VisionConfig, VisionModel};
use lift::kernels::Backend;
use lift::model::encoder::FrameEncoder;
use lift::weights::{Family, WeightsSource, load_encoder};

use crate::common::{close, data, numbers, tensors};

/// How far two features may be apart. Both sum in f32, in another order.
const TOLERANCE: f32 = 1e-4;

/// Bytes of two frames of 224 x 224 RGB.
fn frames() -> Vec<Vec<u8>> {
    let value = |i: usize, seed: u32| {
        let v = (i as u32 ^ seed).wrapping_mul(2_654_435_761);
        ((v ^ v >> 15).wrapping_mul(2_246_822_519) >> 24) as u8
    };
    [1, 7].map(|seed| (0..3 * 224 * 224).map(|i| value(i, seed)).collect()).into()
}

/// Compares our features of a family's small model with those of `theirs`, a function of normalised pixels `(B, 3, 224, 224)`.
fn compare(family: &str, theirs: impl Fn(&VarBuilder, &Tensor) -> candle_core::Result<Tensor>) {
    let folder = data(&format!("encoders/{family}"));
    let source = WeightsSource::File(folder.clone());
    let weights = load_encoder(Family::named(family).unwrap(), &source, None, true).unwrap();
    let encoder = FrameEncoder::new(&weights, weights.config(), Backend::best(), 1).unwrap();
    let frames = frames();
    let ours: Vec<f32> = frames.iter().flat_map(|frame| encoder.encode(frame).unwrap()).collect();

    let pictures = weights.config().pictures;
    let normalised =
        |i: usize, byte: u8| (f32::from(byte) / 255.0 - pictures.mean[i % 3]) / pictures.std[i % 3];
    let pixels: Vec<f32> =
        frames.iter().flat_map(|frame| frame.iter().enumerate().map(|(i, &b)| normalised(i, b))).collect();
    let pixels = Tensor::from_vec(pixels, (frames.len(), 224, 224, 3), &Device::Cpu).unwrap();
    let pixels = pixels.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    let all = tensors(folder.join("model.safetensors"));
    let builder = VarBuilder::from_tensors(all, candle_core::DType::F32, &Device::Cpu);
    let theirs = numbers(&theirs(&builder, &pixels).unwrap());
    close(family, &ours, &theirs, TOLERANCE);
    let largest = theirs.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    assert!(largest > 0.1, "{family}: features of nearly nothing agree with anything: {largest}");
}

#[test]
fn clip_agrees_with_candle_transformers() {
    compare("clip", |weights, pixels| {
        let config = ClipVisionConfig {
            embed_dim: 48,
            activation: Activation::QuickGelu,
            intermediate_size: 96,
            num_hidden_layers: 2,
            num_attention_heads: 3,
            projection_dim: 32,
            num_channels: 3,
            image_size: 224,
            patch_size: 16,
        };
        let tower = ClipVisionTransformer::new(weights.pp("vision_model"), &config)?;
        let projection = candle_nn::linear_no_bias(48, 32, weights.pp("visual_projection"))?;
        projection.forward(&tower.forward(pixels)?)
    });
}

#[test]
fn siglip_agrees_with_candle_transformers() {
    let text = std::fs::read_to_string(data("encoders/siglip/config.json")).unwrap();
    let config: VisionConfig = serde_json::from_str(&text).unwrap();
    compare("siglip", |weights, pixels| VisionModel::new(&config, true, weights.clone())?.forward(pixels));
}
