//! Rows for the tests of every format.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::inputs::Columns;
use crate::rows::{ClipMeta, Dims, Failure, ModelDigest, Part, Provenance, Row};

/// Small sizes: `T = 3, W = 2, D = 4`.
pub const DIMS: Dims = Dims { frames: Some(3), width: 2, features: 4, key_frames: false };

/// A row of `frames` frames whose values differ from part to part, row to row and place to place.
pub fn row(index: usize, frames: usize, parts: &[Part]) -> Row {
    let values = |part: Part| {
        let count: usize = part.shape(frames, DIMS).iter().product();
        (0..count)
            .map(|i| part as usize as f32 * 1000.0 + index as f32 * 100.0 + i as f32 / 7.0 - 0.3)
            .collect()
    };
    let clip = ClipMeta {
        index,
        id: format!("clip {index}, \"q\"\nü"),
        path: PathBuf::from(format!("a/clip {index}, \"q\"\nü.mp4")),
        start: None,
        end: Some(1.5),
        fps: Some(12.5),
        duration: Some(2.0 + index as f64),
        distinct_frames: Some(2),
        key_frames: None,
        columns: Columns::new(),
    };
    Row { clip, window: None, frames, parts: parts.iter().map(|&p| (p, values(p))).collect() }
}

/// What made rows of the part `concat`.
pub fn made() -> Provenance {
    let model = ModelDigest { from: "a/lift.safetensors".into(), sha256: "ab".repeat(32), settings: None };
    let settings = BTreeMap::from([("normalize".to_owned(), false.into())]);
    Provenance::new(&[Part::Concat], settings, BTreeMap::from([("lift".to_owned(), model)]))
}

/// A failure with the index given.
pub fn failure(index: usize) -> Failure {
    Failure {
        clip: ClipMeta {
            index,
            id: format!("bad {index}"),
            path: PathBuf::from(format!("bad {index}.mp4")),
            ..ClipMeta::default()
        },
        stage: "open".into(),
        error: "no such file, \"really\"".into(),
    }
}
