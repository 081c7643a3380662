//! The fast path against the goldens and against itself.

use super::*;
use crate::kernels::testing::noise;
use crate::kernels::{Precision, backends};
use crate::model::Pictures;
use crate::model::vit::VitOptions;
use candle_core::{Device, Tensor, safetensors};
use std::collections::HashMap;
use std::path::PathBuf;

fn load(path: PathBuf) -> HashMap<String, Tensor> {
    safetensors::load(path, &Device::Cpu).expect("a golden opens")
}

fn golden(name: &str) -> HashMap<String, Tensor> {
    load(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden").join(name))
}

/// The 48-wide model and the stages of one frame.
fn tiny() -> (HashMap<String, Tensor>, VitConfig, HashMap<String, Tensor>) {
    let config = VitConfig { depth: 2, heads: 3, ..VitConfig::dinov2(48) };
    let stages = golden("tiny_intermediates_76198.safetensors");
    (golden("dinov2_tiny_random.safetensors"), config, stages)
}

/// The bytes that the golden's normalised picture `(3, 224, 224)` came from.
fn bytes(input: &Tensor) -> Vec<u8> {
    let values: Vec<f32> = input.flatten_all().and_then(|t| t.to_vec1()).expect("a picture");
    let Pictures { mean, std, .. } = VitConfig::vit_small().pictures;
    (0..values.len())
        .map(|i| {
            ((values[i % 3 * values.len() / 3 + i / 3] * std[i % 3] + mean[i % 3]) * 255.0).round() as u8
        })
        .collect()
}

fn encode(weights: &VitWeights, backend: Backend, frame: &[u8]) -> Vec<f32> {
    let encoder = FastEncoder::new(weights, backend, 1).expect("an encoder");
    encoder.encode(&[frame], 1).expect("a feature")
}

fn distance(feature: &[f32], golden: &Tensor) -> f32 {
    let golden: Vec<f32> = golden.flatten_all().and_then(|t| t.to_vec1()).expect("a feature");
    assert_eq!(feature.len(), golden.len());
    feature.iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn tiny_feature_is_the_golden_one_on_every_backend() {
    let (tensors, config, golden) = tiny();
    let weights = VitWeights::new(&tensors, &config);
    let frame = bytes(&golden["input"]);
    let mut exact = Vec::new();
    for backend in backends() {
        let feature = encode(&weights, backend, &frame);
        match backend.precision() {
            precision @ (Precision::F32 | Precision::Bf16x3) => {
                let error = distance(&feature, &golden["feat"]);
                println!("{backend:?}: {error:e}");
                let tolerance = if precision == Precision::F32 { 2e-5 } else { 1e-4 };
                assert!(error < tolerance, "{backend:?}: {error:e}");
                exact = feature;
            }
            Precision::Bf16 => {
                let cosine = cosine(&feature, &exact);
                println!("{backend:?}: cosine {cosine}");
                assert!(cosine > 0.999, "{backend:?}: {cosine}");
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_batch_order_or_threads() {
    let (tensors, config, golden) = tiny();
    let weights = VitWeights::new(&tensors, &config);
    let first = bytes(&golden["input"]);
    let frames: Vec<Vec<u8>> =
        (0..5u8).map(|f| first.iter().map(|b| b.wrapping_mul(2 * f + 1)).collect()).collect();
    for backend in backends() {
        let one = FastEncoder::new(&weights, backend, 1).expect("an encoder");
        let singles: Vec<f32> = frames.iter().flat_map(|f| one.encode(&[f], 1).expect("a feature")).collect();
        let three = FastEncoder::new(&weights, backend, 3).expect("an encoder");
        for threads in [1, 2, 3, 16] {
            let batch = three.encode(&frames, threads).expect("features");
            assert!(batch.iter().zip(&singles).all(|(a, b)| a.to_bits() == b.to_bits()), "{backend:?}");
        }
        let reversed: Vec<&Vec<u8>> = frames.iter().rev().collect();
        let features = three.encode(&reversed, 2).expect("features");
        assert_eq!(features[..48], singles[4 * 48..], "{backend:?}");
    }
}

/// Of the options that change what a thread of several does with its tokens, each once.
fn variants() -> Vec<VitConfig> {
    let tiny = VitConfig { depth: 2, heads: 3, ..VitConfig::dinov2(48) };
    let with = |options: VitOptions| VitConfig { options, ..tiny.clone() };
    let pool = VitOptions { class_token: false, head: HeadKind::AttentionPool, ..tiny.options };
    vec![
        VitConfig { registers: 0, ..with(pool) },
        with(VitOptions { positions: Positions::Rotary, ..tiny.options }),
        with(VitOptions { gated: true, norm_pre: true, head: HeadKind::Projection, ..tiny.options }),
    ]
}

#[test]
fn bits_do_not_depend_on_how_many_threads_share_a_frame() {
    let (tensors, config, golden) = tiny();
    let frame = bytes(&golden["input"]);
    let mut models = vec![(tensors, config)];
    for config in variants() {
        let tensor = |(i, (name, shape)): (usize, (String, Vec<usize>))| {
            let values = noise(shape.iter().product(), i as u64);
            (name, Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor"))
        };
        models.push((config.tensors().into_iter().enumerate().map(tensor).collect(), config));
    }
    for (tensors, config) in &models {
        for backend in backends() {
            let encoder =
                FastEncoder::new(&VitWeights::new(tensors, config), backend, 1).expect("an encoder");
            let alone = encoder.encode(&[&frame], 1).expect("a feature");
            assert!(alone.iter().all(|v| v.is_finite()));
            for threads in [2, 3, 8, 40] {
                let shared = encoder.encode(&[&frame], threads).expect("a feature");
                let same = alone.iter().zip(&shared).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{backend:?}, {threads} threads, {:?}", config.options);
            }
        }
    }
}

#[test]
fn a_frame_of_another_size_is_refused_with_both_numbers() {
    let (tensors, config, _) = tiny();
    let weights = VitWeights::new(&tensors, &config);
    let encoder = FastEncoder::new(&weights, Backend::best(), 1).expect("an encoder");
    let error = encoder.encode(&[vec![0u8; 7]], 1).unwrap_err().to_string();
    assert!(error.contains('7') && error.contains("150528"), "{error}");
}
