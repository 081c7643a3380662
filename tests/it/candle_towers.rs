//! The frame encoders of CLIP, SigLIP and DINOv2 held against candle-transformers', an independent implementation in Rust.
//!
//! CLIP and SigLIP: both compute CLIP's activation as `x * sigmoid(1.702 x)` (`quick_gelu`) and SigLIP's as GELU by `tanh`, as the small
//! models' settings say. Models with other activations are not compared: candle-transformers' CLIP knows `quick_gelu` alone,
//! and LAION's CLIPs, for one, have the exact `gelu`. It also fixes the epsilon of CLIP's norms at 1e-5.
//!
//! DINOv2: candle-transformers has the sizes without registers, the GELU by `tanh` where the makers have the exact one, and norms
//! with an epsilon of 1e-5 where they have 1e-6. It resamples positions in another way too, so both read pictures of 518 x 518, where
//! positions are taken as they are. What is left is a small difference, and a tolerance of its own.

use std::path::PathBuf;

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::text_model::Activation;
use candle_transformers::models::clip::vision_model::{ClipVisionConfig, ClipVisionTransformer};
use candle_transformers::models::dinov2::DinoVisionTransformer;
use candle_transformers::models::siglip::{VisionConfig, VisionModel};
use lift::kernels::Backend;
use lift::model::encoder::FrameEncoder;
use lift::threads::IdleThreads;
use lift::weights::{Family, WeightsSource, load_encoder};

use crate::common::{close, data, numbers, tensors};
use crate::env::TestEnv;

/// How far two features may be apart. Both sum in f32, in another order.
const TOLERANCE: f32 = 1e-4;

/// The same for DINOv2, where the two formulas differ.
const DINOV2_TOLERANCE: f32 = 3e-4;

/// Bytes of two frames of `side` x `side` RGB.
fn frames(side: usize) -> Vec<Vec<u8>> {
    let value = |i: usize, seed: u32| {
        let v = (i as u32 ^ seed).wrapping_mul(2_654_435_761);
        ((v ^ v >> 15).wrapping_mul(2_246_822_519) >> 24) as u8
    };
    [1, 7].map(|seed| (0..3 * side * side).map(|i| value(i, seed)).collect()).into()
}

/// Compares our features of the model in `folder` with those of `theirs`, a function of normalised pixels `(B, 3, S, S)`.
fn compare(
    family: &str,
    folder: PathBuf,
    heads: Option<usize>,
    tolerance: f32,
    theirs: impl Fn(&VarBuilder, &Tensor) -> candle_core::Result<Tensor>,
) {
    let source = WeightsSource::File(folder.clone());
    let weights = load_encoder(Family::named(family).unwrap(), &source, heads, true).unwrap();
    let encoder = FrameEncoder::new(&weights, weights.config(), Backend::best(), 1).unwrap();
    let pictures = weights.config().pictures;
    let side = pictures.framing.side;
    let frames = frames(side);
    let ours: Vec<f32> =
        frames.iter().flat_map(|frame| encoder.encode(frame, &IdleThreads::default()).unwrap()).collect();

    let normalised =
        |i: usize, byte: u8| (f32::from(byte) / 255.0 - pictures.mean[i % 3]) / pictures.std[i % 3];
    let pixels: Vec<f32> =
        frames.iter().flat_map(|frame| frame.iter().enumerate().map(|(i, &b)| normalised(i, b))).collect();
    let pixels = Tensor::from_vec(pixels, (frames.len(), side, side, 3), &Device::Cpu).unwrap();
    let pixels = pixels.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    let all = tensors(folder.join("model.safetensors"));
    let builder = VarBuilder::from_tensors(all, DType::F32, &Device::Cpu);
    let theirs = numbers(&theirs(&builder, &pixels).unwrap());
    close(family, &ours, &theirs, tolerance);
    let largest = theirs.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    assert!(largest > 0.1, "{family}: features of nearly nothing agree with anything: {largest}");
}

#[test]
fn clip_agrees_with_candle_transformers() {
    compare("clip", data("encoders/clip"), None, TOLERANCE, |weights, pixels| {
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
    compare("siglip", data("encoders/siglip"), None, TOLERANCE, |weights, pixels| {
        VisionModel::new(&config, true, weights.clone())?.forward(pixels)
    });
}

#[test]
fn dinov2_agrees_with_candle_transformers() {
    const WIDTH: usize = 24;
    let env = TestEnv::new();
    let mut all = tensors(data("encoders/dinov2_timm_plain/model.safetensors"));
    // candle-transformers reads the shapes of the published sizes alone: 37 x 37 patches and the class token, four times as wide inside.
    let mut put = |name: &str, shape: &[usize]| {
        let value = |i| ((i * 7919 % 1009) as f32 / 1009.0 - 0.5) * 0.4;
        let values = (0..shape.iter().product()).map(value).collect();
        all.insert(name.into(), Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    };
    put("pos_embed", &[1, 1370, WIDTH]);
    put("blocks.0.mlp.fc1.weight", &[4 * WIDTH, WIDTH]);
    put("blocks.0.mlp.fc1.bias", &[4 * WIDTH]);
    put("blocks.0.mlp.fc2.weight", &[WIDTH, 4 * WIDTH]);
    let settings = r#"{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 518},
        "crop_size": {"height": 518, "width": 518}, "resample": 3}"#;
    env.write("model/preprocessor_config.json", settings.as_bytes());
    candle_core::safetensors::save(&all, env.path("model/model.safetensors")).unwrap();
    // Its head reads the class token and the patches' mean. This one hands the class token on.
    let class = Tensor::eye(WIDTH, DType::F32, &Device::Cpu).unwrap();
    let head = class.pad_with_zeros(0, 0, 1000 - WIDTH).unwrap().pad_with_zeros(1, 0, WIDTH).unwrap();
    all.insert("head.weight".into(), head);
    all.insert("head.bias".into(), Tensor::zeros(1000, DType::F32, &Device::Cpu).unwrap());
    let weights = VarBuilder::from_tensors(all, DType::F32, &Device::Cpu);
    compare("dinov2", env.path("model"), Some(3), DINOV2_TOLERANCE, |_, pixels| {
        let network = DinoVisionTransformer::new(weights.clone(), 1, WIDTH, 3)?;
        // It takes one frame at a time.
        let frames = (0..pixels.dim(0)?).map(|at| network.forward(&pixels.narrow(0, at, 1)?));
        Tensor::cat(&frames.collect::<candle_core::Result<Vec<_>>>()?, 0)?.narrow(1, 0, WIDTH)
    });
}
