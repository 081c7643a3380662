//! What the tests share: where the goldens are and how numbers are compared.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};

/// A file bundled under `tests/data`.
pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A file of the full set of goldens, or `None` with a spoken `skipped` where it is not at hand.
pub fn shared(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("LIFT_SHARED").map(|root| PathBuf::from(root).join(name));
    match &found {
        Some(path) => assert!(path.exists(), "LIFT_SHARED is set but {} is not there", path.display()),
        None => println!("skipped: {name} needs LIFT_SHARED"),
    }
    found
}

/// All tensors of a safetensors file.
pub fn tensors(path: PathBuf) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(&path, &Device::Cpu).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The numbers of a tensor, row-major.
pub fn numbers(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_dtype(candle_core::DType::F32).unwrap().to_vec1().unwrap()
}

/// Panics unless both have the same shape's worth of numbers, each within `tolerance`.
#[track_caller]
pub fn close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}: another number of values");
    let worst = got
        .iter()
        .zip(want)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |m: f32, d| if d > m || d.is_nan() { d } else { m });
    println!("{what}: largest difference {worst:.2e} (allowed {tolerance:.0e})");
    assert!(worst <= tolerance, "{what}: off by {worst:e}, allowed {tolerance:e}");
}

/// The cosine between two vectors, summed in f64.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The full-size random models behind the `full_*` goldens (frame encoder, LiFT), written once by their script.
pub fn full_weights() -> Option<(PathBuf, PathBuf)> {
    static ONCE: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
    let dir = ONCE.get_or_init(|| {
        let script = shared("golden/make_full_weights.py")?;
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("full_weights");
        let python = std::env::var("LIFT_PYTHON").unwrap_or_else(|_| "python3".into());
        if !dir.join("lift_random.safetensors").exists() {
            let status = std::process::Command::new(&python).arg(&script).arg(&dir).status().unwrap();
            assert!(
                status.success(),
                "{python} {} failed: it needs numpy (LIFT_PYTHON names another python)",
                script.display()
            );
        }
        Some(dir)
    });
    dir.as_ref().map(|d| (d.join("dinov2_vits14_reg4_random.safetensors"), d.join("lift_random.safetensors")))
}
