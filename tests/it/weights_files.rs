//! Wrong files of weights: each gets one message that says what differs.

use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use lift::weights::{LIFT_FAMILY, WeightsSource, load_encoder, load_lift};

use crate::common::{data, tensors};
use crate::env::TestEnv;

fn refusal_dinov2(path: &Path) -> String {
    load_encoder(LIFT_FAMILY, &WeightsSource::File(path.to_path_buf()), Some(3), true)
        .unwrap_err()
        .to_string()
}

fn refusal_lift(path: &Path) -> String {
    load_lift(&WeightsSource::File(path.to_path_buf()), true).unwrap_err().to_string()
}

#[test]
fn each_model_refuses_the_other_and_names_the_flag() {
    let m = refusal_lift(&data("golden/dinov2_tiny_random.safetensors"));
    assert!(m.contains("not a LiFT model") && m.contains("--lift"), "{m}");
    let m = refusal_dinov2(&data("golden/lift_tiny.safetensors"));
    assert!(m.contains("not a DINOv2") && m.contains("--dinov2"), "{m}");
}

/// Both loaders err on `path`; the file is named each time.
fn both_refuse(path: &Path) {
    for m in [refusal_dinov2(path), refusal_lift(path)] {
        assert!(m.contains(&path.display().to_string()), "{m}");
    }
}

#[test]
fn files_that_hold_no_weights_are_errors_not_panics() {
    let dir = tempfile::tempdir().unwrap();
    let good = fs::read(data("golden/lift_tiny.ckpt")).unwrap();
    let st = fs::read(data("golden/lift_tiny.safetensors")).unwrap();
    let cases: [(&str, &[u8]); 6] = [
        ("empty", b""),
        ("text.safetensors", b"hello, I am a text file and no weights"),
        ("half.ckpt", &good[..good.len() / 2]),
        ("half.safetensors", &st[..st.len() / 2]),
        ("zip.ckpt", b"PK\x03\x04 and nothing else"),
        ("huge_header.safetensors", &[0xff; 64]),
    ];
    for (name, bytes) in cases {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        both_refuse(&path);
    }
    both_refuse(&dir.path().join("absent.safetensors"));
    both_refuse(dir.path());
}

#[test]
fn missing_unknown_and_misshapen_tensors_come_in_one_message() {
    let mut all = tensors(data("golden/lift_tiny.safetensors"));
    all.remove("model.decoder.model.6.bias");
    all.insert("stranger".into(), Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap());
    all.insert(
        "model.decoder.model.4.bias".into(),
        Tensor::zeros(7, candle_core::DType::F32, &Device::Cpu).unwrap(),
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("odd.safetensors");
    candle_core::safetensors::save(&all, &path).unwrap();
    let m = load_lift(&WeightsSource::File(path), true).unwrap_err().to_string();
    for part in [
        "1 missing (model.decoder.model.6.bias)",
        "1 unknown (stranger)",
        "model.decoder.model.4.bias is [7], not [96]",
    ] {
        assert!(m.contains(part), "{part:?} is not in {m:?}");
    }
}

#[test]
fn a_width_nobody_published_needs_its_heads_told() {
    let path = data("golden/dinov2_tiny_random.safetensors");
    let m =
        load_encoder(LIFT_FAMILY, &WeightsSource::File(path.clone()), None, true).unwrap_err().to_string();
    assert!(m.contains("--heads") && m.contains("48"), "{m}");
    let m = load_encoder(LIFT_FAMILY, &WeightsSource::File(path), Some(5), true).unwrap_err().to_string();
    assert!(m.contains("5 heads"), "{m}");
}

#[test]
fn the_bundled_pair_fits_together() {
    let dinov2 = load_encoder(LIFT_FAMILY, &WeightsSource::Mini, None, true).unwrap();
    let (_, lift) = load_lift(&WeightsSource::Mini, true).unwrap();
    assert_eq!(dinov2.config().output, lift.feature);
}

#[test]
fn wrong_weights_end_a_run_before_anything_is_written() {
    let env = TestEnv::new();
    env.clip("ball_rising.mp4", "ball.mp4");
    // The last thing that is read of each file.
    let files = [
        ("dinov2.safetensors", "golden/dinov2_tiny_random.safetensors", "blocks.1.mlp.fc2.weight"),
        ("lift.safetensors", "golden/lift_tiny.safetensors", "model.decoder.model.6.bias"),
    ];
    for (name, golden, tensor) in files {
        let mut all = tensors(data(golden));
        candle_core::safetensors::save(&all, env.path(name)).unwrap();
        let whole = all.remove(tensor).unwrap().to_dtype(candle_core::DType::U32).unwrap();
        all.insert(tensor.into(), whole);
        candle_core::safetensors::save(&all, env.path(&format!("whole_{name}"))).unwrap();
        let good = fs::read(env.path(name)).unwrap();
        env.write(&format!("half_{name}"), &good[..good.len() / 2]);
    }
    let before = env.names();
    let embed = |dinov2: &str, lift: &str| {
        env.lift(&["embed", "ball.mp4", "--dinov2", dinov2, "--heads", "3", "--lift", lift, "-o", "out.npy"])
    };
    for (name, _, tensor) in files {
        for (bad, says) in [("whole", format!("{tensor} holds U32")), ("half", "it may be cut short".into())]
        {
            let wrong = format!("{bad}_{name}");
            let with = |file: &'static str| if file == name { wrong.clone() } else { file.to_owned() };
            embed(&with("dinov2.safetensors"), &with("lift.safetensors")).code(3).says(&[&wrong, &says]);
            assert_eq!(env.names(), before, "{wrong}");
        }
    }
    embed("dinov2.safetensors", "lift.safetensors").code(0);
}
