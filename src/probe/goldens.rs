//! Parity with scikit-learn: `scripts/make_probe_goldens.py` has the same formula for the features, and stored the results.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use faer::Par;
use serde_json::Value;

use super::features::Features;
use super::run::Classifier;
use crate::cia::linalg::FeatureRows;
use crate::cia::representations::{Matrix, Representation, StoredParts};

/// Multiples of 2^-15 in -1..1, by mixing bits.
pub(super) fn noise(i: u64, j: u64, salt: u64) -> f64 {
    let mut h = (i * 2_654_435_761 + j * 40_503 + salt * 97) % (1 << 32);
    h ^= h >> 15;
    h = h * 2_246_822_519 % (1 << 32);
    h ^= h >> 13;
    (h % 65_536) as f64 / 32_768.0 - 1.0
}

/// A representation whose rows have the ids 0, 1, ...
pub(super) fn representation(values: Vec<f32>, width: usize) -> Representation {
    let index: HashMap<String, usize> = (0..values.len() / width).map(|row| (row.to_string(), row)).collect();
    let matrix = Matrix {
        origin: "golden".into(),
        index: Arc::new(index),
        shape: vec![width],
        source: Arc::new(values),
    };
    let mut parts = StoredParts::default();
    parts.own.insert("concat".into(), matrix);
    parts.representation("lift").unwrap()
}

#[test]
fn every_case_agrees_with_scikit_learn() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/probe/goldens.json");
    let goldens: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for (number, case) in (0..).zip(goldens["cases"].as_array().unwrap()) {
        let of = |name: &str| case[name].as_u64().unwrap();
        let (classes, train, videos, width) =
            (of("classes"), of("train"), of("train") + of("test"), of("width"));
        let strength = case["strength"].as_f64().unwrap();
        let labels: Vec<u32> =
            (0..videos).map(|i| ((noise(i, 7, number + 50) + 1.0) / 2.0 * classes as f64) as u32).collect();
        let value = |i: u64, j: u64| {
            (noise(i, j, number) + strength * noise(labels[i as usize].into(), j, number + 20)) as f32
        };
        let values: Vec<f32> =
            (0..videos).flat_map(|i| (0..width).map(move |j| (i, j))).map(|(i, j)| value(i, j)).collect();
        let representation = representation(values, width as usize);
        let ids: Vec<String> = (0..videos).map(|i| i.to_string()).collect();
        let features = Features::open(&representation, ids.iter().map(String::as_str).collect()).unwrap();
        let rows: Vec<usize> = (0..train as usize).collect();
        let tested: Vec<usize> = (train as usize..videos as usize).collect();
        for result in case["results"].as_array().unwrap() {
            let classifier = match result["probe"].as_str() {
                Some("ridge") => Classifier::Ridge,
                _ => Classifier::Logistic,
            };
            let setting = result["setting"].as_f64().unwrap();
            let what = format!("case {number}, {} {setting}", classifier.name());
            let fitted =
                classifier.fit(&features, &rows, &labels, classes as usize, &[setting], Par::Seq).unwrap();
            let answers = fitted[0].answers(&features, &tested, &labels, Par::Seq).unwrap();
            let right = answers.iter().filter(|answer| answer.rank == 1).count();
            assert_eq!(right as u64, result["right"].as_u64().unwrap(), "{what}");
            let found = fitted[0]
                .decisions(FeatureRows::new(&features.rows(&tested).unwrap(), width as usize), Par::Seq);
            let mut furthest = 0.0;
            for (found, golden) in found.chunks(classes as usize).zip(result["decisions"].as_array().unwrap())
            {
                let golden: Vec<f64> =
                    golden.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
                // With two classes scikit-learn has one value: ridge the second target's, logistic the difference.
                let found = match (classes, classifier) {
                    (2, Classifier::Ridge) => vec![found[1]],
                    (2, Classifier::Logistic) => vec![found[1] - found[0]],
                    _ => found.to_vec(),
                };
                assert_eq!(found.len(), golden.len());
                let apart = found.iter().zip(&golden).map(|(a, b)| (a - b).abs());
                furthest = apart.fold(furthest, f64::max);
            }
            assert!(furthest < 1e-5, "{what}: {furthest}");
        }
    }
}
