//! The networks against the authors' numbers, stage by stage.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use lift::model::lift::{Lift, NoDropout};
use lift::model::vit::Vit;
use lift::weights::{LIFT_FAMILY, WeightsSource, load_encoder, load_lift};

use crate::common::{close, data, numbers, shared, tensors};

fn dinov2(path: std::path::PathBuf, heads: Option<usize>) -> Vit {
    let weights = load_encoder(LIFT_FAMILY, &WeightsSource::File(path), heads, true).unwrap();
    let store = weights.store();
    let all = store.names().map(|n| (n.to_string(), store.tensor(n, &Device::Cpu).unwrap())).collect();
    Vit::load(weights.config().clone(), &VarBuilder::from_tensors(all, DType::F32, &Device::Cpu)).unwrap()
}

fn lift_model(path: std::path::PathBuf) -> Lift {
    let (store, config) = load_lift(&WeightsSource::File(path), true).unwrap();
    let all = store.names().map(|n| (n.to_string(), store.tensor(n, &Device::Cpu).unwrap())).collect();
    Lift::load(config, &VarBuilder::from_tensors(all, DType::F32, &Device::Cpu)).unwrap()
}

fn stages_agree(model: &Vit, golden: std::path::PathBuf) {
    let golden = tensors(golden);
    let input = &golden["input"];
    close("positions", &numbers(model.pos_embed().unwrap()), &numbers(&golden["pos_embed_16x16"]), 1e-5);
    close("patches", &numbers(&model.patches(input).unwrap()), &numbers(&golden["patch_embed_bhwc"]), 2e-5);
    let stages = model.stages(input).unwrap();
    close("tokens", &numbers(&stages[0]), &numbers(&golden["tokens_in"]), 2e-5);
    let prefix = |t: &Tensor| numbers(&t.narrow(1, 0, 5).unwrap());
    for i in 0..model.config().depth {
        let name = format!("block{i}_prefix");
        close(&name, &prefix(&stages[i + 1]), &numbers(&golden[&name]), 2e-5);
    }
    close("norm", &prefix(&stages[stages.len() - 1]), &numbers(&golden["norm_out_prefix"]), 2e-5);
    close("feature", &numbers(&model.forward(input).unwrap()), &numbers(&golden["feat"]), 2e-5);
}

#[test]
fn every_stage_of_the_tiny_frame_encoder_agrees() {
    let model = dinov2(data("golden/dinov2_tiny_random.safetensors"), Some(3));
    stages_agree(&model, data("golden/tiny_intermediates_76198.safetensors"));
}

#[test]
fn every_stage_of_the_full_frame_encoder_agrees() {
    let Some((dino, _)) = crate::common::full_weights() else { return };
    let Some(golden) = shared("golden/full_intermediates_76198.safetensors") else { return };
    stages_agree(&dinov2(dino, None), golden);
}

/// Codes and reconstruction of the stored features; `prefix` and the leading axis differ between the files.
fn codes_agree(model: &Lift, golden: std::path::PathBuf, features: &str, prefix: &str, tolerance: f32) {
    let golden = tensors(golden);
    let x = golden[features].unsqueeze(0).unwrap();
    let frames = x.dim(1).unwrap();
    let codes = model.encode(&x, &mut NoDropout).unwrap();
    let want = |part: &str| numbers(&golden[&format!("{prefix}_{part}")]);
    close("static", &numbers(&codes.r#static), &want("static"), tolerance);
    close("dynamic", &numbers(&codes.dynamic), &want("dynamic"), tolerance);
    close("concat", &numbers(&codes.concat().unwrap()), &want("concat"), tolerance);
    let decoded = model.decode(&codes, frames).unwrap();
    close("reconstructed", &numbers(&decoded), &want("reconstructed"), tolerance);
}

#[test]
fn the_tiny_codes_agree_at_8_16_and_32_frames() {
    let model = lift_model(data("golden/lift_tiny.safetensors"));
    for frames in [8, 16, 32] {
        codes_agree(
            &model,
            data(&format!("golden/tiny_76198_{frames}.safetensors")),
            "dino_tiny",
            "lift_tiny",
            2e-5,
        );
    }
}

#[test]
fn the_full_codes_agree_at_8_16_and_32_frames() {
    let Some((_, lift)) = crate::common::full_weights() else { return };
    let model = lift_model(lift);
    for name in ["76198_8", "76198_16", "76198_32", "folding_paper_16"] {
        let Some(golden) = shared(&format!("golden/full_{name}.safetensors")) else { return };
        codes_agree(&model, golden, "dino", "lift", 1e-4);
    }
}

#[test]
fn a_checkpoint_and_its_safetensors_give_the_same_bits() {
    let [a, b] = ["ckpt", "safetensors"].map(|e| lift_model(data(&format!("golden/lift_tiny.{e}"))));
    let x = tensors(data("golden/tiny_76198_16.safetensors"))["dino_tiny"].unsqueeze(0).unwrap();
    let bits = |m: &Lift| {
        let codes = m.encode(&x, &mut NoDropout).unwrap();
        let parts = [codes.concat().unwrap(), m.decode(&codes, 16).unwrap()];
        parts.iter().flat_map(numbers).map(f32::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(bits(&a), bits(&b));
}

#[test]
fn a_reversed_clip_differs_and_one_frame_is_refused() {
    let model = lift_model(data("golden/lift_tiny.safetensors"));
    let x = tensors(data("golden/tiny_76198_16.safetensors"))["dino_tiny"].unsqueeze(0).unwrap();
    let back: Vec<u32> = (0..16).rev().collect();
    let reversed = x.index_select(&Tensor::new(back, &Device::Cpu).unwrap(), 1).unwrap();
    let dynamic = |x: &Tensor| numbers(&model.encode(x, &mut NoDropout).unwrap().dynamic);
    let apart = dynamic(&x).iter().zip(dynamic(&reversed)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart > 0.01, "forward and reversed codes differ by {apart} at most");
    let one = model.encode(&x.narrow(1, 0, 1).unwrap(), &mut NoDropout).unwrap_err().to_string();
    assert!(one.contains("no direction"), "{one}");
    let long = Tensor::zeros((1, 65, 48), DType::F32, &Device::Cpu).unwrap();
    let long = model.encode(&long, &mut NoDropout).unwrap_err().to_string();
    assert!(long.contains("65") && long.contains("at most 64"), "{long}");
}
