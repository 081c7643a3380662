//! The frame encoder as a GPU runs it, on the CPU: batches of any size, every precision, the same features. And by the CPU's
//! kernels in bf16x3.

use lift::embed::batch::encode_clip;
use lift::kernels::{Backend, Isa, Precision};
use lift::model::composed::Batched;
use lift::model::device::ComputePlace;
use lift::model::encoder::FrameEncoder;
use lift::model::fast::{FastEncoder, VitWeights};
use lift::model::vit::VitConfig;
use lift::threads::IdleThreads;
use lift::weights::{LIFT_FAMILY, WeightsSource, load_encoder};

use candle_core::DType;

use crate::common::{close, cosine, data, full_weights, numbers, shared, tensors};
use crate::env::TestEnv;

fn encoder(weights: &std::path::Path, heads: Option<usize>, dtype: DType, batch: usize) -> FrameEncoder {
    let weights = load_encoder(LIFT_FAMILY, &WeightsSource::File(weights.into()), heads, true).unwrap();
    let how = Batched { place: ComputePlace::CpuBatched, dtype, frames: Some(batch) };
    FrameEncoder::in_batches(&weights, weights.config(), how).unwrap()
}

fn features(encoder: &FrameEncoder, frames: &[Vec<u8>]) -> Vec<f32> {
    encode_clip(encoder.batched().unwrap(), frames).unwrap()
}

/// The bytes that a golden's normalised pixels `(1, 3, 224, 224)` came from, which are exact.
fn bytes(input: &candle_core::Tensor) -> Vec<u8> {
    let pixels = numbers(input);
    let plane = pixels.len() / 3;
    let pictures = VitConfig::vit_small().pictures;
    let byte = |i: usize| {
        let (pixel, c) = (i / 3, i % 3);
        ((pixels[c * plane + pixel] * pictures.std[c] + pictures.mean[c]) * 255.0).round() as u8
    };
    (0..3 * plane).map(byte).collect()
}

/// The golden's frame, then others that differ from it and each other.
fn frames(golden: &[u8], count: usize) -> Vec<Vec<u8>> {
    let shifted = |n: usize| golden.iter().map(|b| b.wrapping_add((37 * n) as u8)).collect();
    (0..count).map(shifted).collect()
}

fn precisions_agree(weights: &std::path::Path, heads: Option<usize>, frames: &[Vec<u8>], want: &[f32]) {
    for dtype in [DType::BF16, DType::F16] {
        let half = encoder(weights, heads, dtype, 4);
        let width = half.width();
        let got = features(&half, frames);
        let cosines = got.chunks(width).zip(want.chunks(width)).map(|(a, b)| cosine(a, b));
        let least = cosines.fold(1.0, f64::min);
        println!("{dtype:?}: cosine at least {least:.6}");
        assert!(least > 0.999, "{dtype:?}: {least}");
    }
}

#[test]
fn batches_of_any_size_give_the_golden_feature_and_each_frames_own() {
    let weights = data("golden/dinov2_tiny_random.safetensors");
    let golden = tensors(data("golden/tiny_intermediates_76198.safetensors"));
    let frames = frames(&bytes(&golden["input"]), 7);
    let one_by_one = features(&encoder(&weights, Some(3), DType::F32, 1), &frames);
    for batch in [1, 2, 3, 7, 16] {
        let got = features(&encoder(&weights, Some(3), DType::F32, batch), &frames);
        close("feature", &got[..48], &numbers(&golden["feat"]), 2e-5);
        close(&format!("batches of {batch}"), &got, &one_by_one, 2e-5);
    }
    precisions_agree(&weights, Some(3), &frames, &one_by_one);
}

#[test]
fn the_full_encoder_in_bf16x3_gives_the_golden_feature_alone_and_beside_others() {
    let Some((weights, _)) = full_weights() else { return };
    let Some(golden) = shared("golden/full_intermediates_76198.safetensors") else { return };
    let golden = tensors(golden);
    let frames = frames(&bytes(&golden["input"]), 2);
    let weights = load_encoder(LIFT_FAMILY, &WeightsSource::File(weights), None, true).unwrap();
    let by = |backend| FastEncoder::new(&VitWeights::new(&weights, weights.config()), backend, 2).unwrap();
    let f32 = by(Backend::best()).encode(&frames, 2).unwrap();
    close("f32", &f32[..384], &numbers(&golden["feat"]), 1e-4);
    for isa in Isa::ALL {
        let Ok(backend) = Backend::new(isa, Precision::Bf16x3) else { continue };
        let encoder = by(backend);
        let got = encoder.encode(&frames, 2).unwrap();
        close(&format!("{backend:?}"), &got[..384], &numbers(&golden["feat"]), 1e-4);
        close(&format!("{backend:?} against f32"), &got, &f32, 1e-4);
        assert_eq!(
            encoder.encode_one(&frames[1], &IdleThreads::default()).unwrap(),
            got[384..],
            "{backend:?}"
        );
    }
}

#[test]
fn the_full_encoder_in_batches_gives_the_golden_feature_in_every_precision() {
    let Some((weights, _)) = full_weights() else { return };
    let Some(golden) = shared("golden/full_intermediates_76198.safetensors") else { return };
    let golden = tensors(golden);
    let frames = frames(&bytes(&golden["input"]), 3);
    let full = features(&encoder(&weights, None, DType::F32, 2), &frames);
    close("feature", &full[..384], &numbers(&golden["feat"]), 1e-4);
    precisions_agree(&weights, None, &frames, &full);
}

#[test]
fn a_run_in_batches_writes_the_same_rows() {
    let env = TestEnv::new();
    for name in ["door_opening.mp4", "door_closing.webm", "ball_rising.mp4"] {
        env.clip(name, &format!("clips/{name}"));
    }
    env.write("clips/broken.mp4", b"no video");
    let parts = ["--parts", "frames,concat"];
    env.embed(&[&["clips", "-o", "cpu.safetensors"][..], &parts].concat()).code(1);
    for batch in ["1", "5", "300"] {
        let out = format!("batch{batch}.safetensors");
        let how = ["--device", "cpu-batched", "--batch", batch];
        env.embed(&[&["clips", "-o", &out][..], &parts, &how].concat()).code(1).says(&["broken.mp4"]);
        let (want, got) = (tensors(env.path("cpu.safetensors")), tensors(env.path(&out)));
        for part in ["frames", "concat"] {
            close(&format!("{part}, batches of {batch}"), &numbers(&got[part]), &numbers(&want[part]), 1e-4);
        }
    }
}

#[test]
#[cfg(not(feature = "cuda"))]
fn a_gpu_that_this_build_cannot_use_is_refused_before_any_work_with_the_remedy() {
    let env = TestEnv::new();
    let clip = env.clip("door_opening.mp4", "a.mp4");
    let clip = clip.to_str().unwrap();
    let benchmark = |name: &str, [forward, reverse]: [&str; 2]| {
        let head = "id,chiral_triplet_id,chiral_label";
        env.write(name, format!("{head}\n{forward},0,1.0\n{reverse},0,0.0\n").as_bytes());
        [forward, reverse].iter().for_each(|id| drop(env.clip("door_opening.mp4", &format!("{id}.mp4"))));
    };
    benchmark("train.csv", ["b", "c"]);
    benchmark("valid.csv", ["d", "e"]);
    let before = env.names();
    let commands: [&[&str]; 5] = [
        &["embed", "--model", "mini", clip, "-o", "x.npy"],
        &["plot", "--model", "mini", clip, "-o", "x.png"],
        &["train", "--model", "mini", clip, "-o", "run"],
        &["bench", "--frames", "2", "--repeat", "1"],
        &["eval-cia", "--model", "mini", "--train", "train.csv", "--valid", "valid.csv", "--videos", "."],
    ];
    for command in commands {
        let args = [command, &["--device", "cuda"]].concat();
        env.lift(&args).code(3).says(&["no CUDA", "scripts/build_cuda.sh", "--device cpu"]);
    }
    assert_eq!(env.names(), before);
    env.embed(&["a.mp4", "-o", "x.npy", "--device", "gpu"]).code(2).says(&["cuda:N"]);
}
