//! The end of a clip: complete features become one row, or one row per window; a clip that cannot be embedded becomes a
//! [`Failure`].

use std::collections::HashSet;

use image::RgbImage;

use super::{Embedded, Engine, StageError};
use crate::guard::guarded;
use crate::inputs::Input;
use crate::rows::{ClipMeta, Failure, Part, Row};
use crate::video::{ClipInfo, Span, VideoInfo};

/// Runs LiFT on the features `(T, D)` of a clip, whose frames are all encoded, for the parts of `how`, scaled to unit length or not.
///
/// # Errors
/// The failure of the clip: LiFT cannot read it, a value is not finite, or LiFT panics.
pub(super) fn finish(
    engine: &Engine,
    how: (&[Part], bool),
    input: &Input,
    info: ClipInfo,
    mut features: Vec<f32>,
    mut pictures: Vec<RgbImage>,
) -> Result<Embedded, Box<Failure>> {
    // Where the frames had to be counted again, slots of the first count may lie beyond those of the second.
    features.truncate(info.indices.len() * engine.encoder().width());
    pictures.truncate(info.indices.len());
    let failed = |stage: &str, cause| Box::new(failure(input, Some(&info.video), stage, cause));
    match guarded(|| rows(engine, how, input, &info, features)) {
        Ok(Ok(rows)) => {
            let ClipInfo { video, seconds, .. } = info;
            Ok(Embedded { rows, notes: video.notes, seconds, pictures })
        }
        Ok(Err(StageError { stage, cause })) => Err(failed(stage, cause)),
        Err(what) => Err(failed("internal", what)),
    }
}

/// The row of a clip, or one per window.
fn rows(
    engine: &Engine,
    (parts, normalize): (&[Part], bool),
    input: &Input,
    info: &ClipInfo,
    features: Vec<f32>,
) -> Result<Vec<Row>, StageError> {
    let row = |taken: &[usize], features: Vec<f32>| {
        let clip = ClipMeta::new(input, Some(info.video.fps), Some(info.video.duration));
        let distinct_frames = Some(taken.iter().collect::<HashSet<_>>().len());
        let clip = ClipMeta { distinct_frames, key_frames: info.key_frames.first().copied(), ..clip };
        let parts = engine.finish(features, parts, normalize)?;
        Ok(Row { clip, window: None, frames: taken.len(), parts })
    };
    if info.windows.is_empty() {
        return Ok(vec![row(&info.indices, features)?]);
    }
    let width = engine.encoder().width();
    let windows = info.windows.iter().enumerate();
    let window = |(number, Span { start, end, slots }): (usize, &Span)| {
        let part = features[slots.start * width..slots.end * width].to_vec();
        let mut row = row(&info.indices[slots.clone()], part)?;
        row.clip.id = format!("{}#{number}", input.id);
        (row.clip.start, row.clip.end) = (Some(*start), Some(*end));
        row.clip.key_frames = info.key_frames.get(number).copied();
        Ok(Row { window: Some(number), ..row })
    };
    windows.map(window).collect()
}

/// The failure of an input; `info` is what is known of its video.
pub(super) fn failure(input: &Input, info: Option<&VideoInfo>, stage: &str, error: String) -> Failure {
    let clip = ClipMeta::new(input, info.map(|i| i.fps), info.map(|i| i.duration));
    Failure { clip, stage: stage.into(), error }
}
