//! Compares twenty steps with PyTorch's: the same first weights, batches and settings, dropout 0.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};

use super::step::step;
use super::*;
use crate::model::lift::LiftConfig;

/// Losses and weights agree within this (f32 against f32 of another order of summation).
const TOLERANCE: f64 = 1e-5;

fn golden() -> Option<PathBuf> {
    let folder = std::env::var_os("LIFT_SHARED").map(|root| PathBuf::from(root).join("golden"));
    if folder.is_none() {
        eprintln!("skipped: LIFT_SHARED does not name the folder of goldens");
    }
    folder
}

#[test]
fn twenty_steps_match_torch() {
    let Some(folder) = golden() else { return };
    let device = Device::Cpu;
    let config = LiftConfig::new(48, 48, 64);
    let load = |name: &str| candle_core::safetensors::load(folder.join(name), &device).unwrap();
    let first: BTreeMap<_, _> = load("train_init.safetensors").into_iter().collect();
    let want = load("train_golden_small.safetensors");
    let text = std::fs::read_to_string(folder.join("train_golden.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();

    // All weights come from the golden file.
    let init: BTreeMap<String, Tensor> = want
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix("init.")?.to_string(), tensor.clone())))
        .collect();
    assert_eq!(init.keys().collect::<Vec<_>>(), first.keys().collect::<Vec<_>>());
    let params = Params::from_tensors(&config, init).unwrap();
    let mut adam = Adam::new(AdamConfig::default(), params.vars()).unwrap();
    let settings = TrainSettings { dropout: 0.0, ..TrainSettings::new(&config) };
    for number in 0..20 {
        let batch = want["batches"].get(number).unwrap();
        let values = step(&params, &mut adam, &settings, &batch, settings.lr).unwrap();
        let golden = &json["steps_f32"][number];
        for (name, value) in
            [("total", values.total), ("recon", values.reconstruction), ("ortho", values.orthogonality)]
        {
            let want = golden[name].as_f64().unwrap();
            assert!((value - want).abs() < TOLERANCE, "step {number} {name}: {value} and {want}");
        }
    }
    for (name, tensor) in params.tensors() {
        let apart = (tensor - &want[&format!("final.{name}")]).unwrap().abs().unwrap().flatten_all().unwrap();
        let apart = apart.max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(f64::from(apart) < TOLERANCE, "{name}: {apart}");
    }
}
