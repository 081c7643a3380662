//! One video as plain data: the door for every command that needs a clip's frames, features or embedding itself.
//!
//! A clip is a run of one input. So the watchdog (`--timeout`), the guard against panics and the limit on pixels
//! (`--max-pixels`) hold for it as they do for a long run.

use std::convert::Infallible;
use std::sync::Arc;

use image::RgbImage;

use super::finish::failure;
use super::{EmbedSettings, Embedding, Engine, StageError, run};
use crate::guard::guarded;
use crate::inputs::Input;
use crate::rows::{Failure, Part};
use crate::video::Request;

/// One clip as plain data, of `T` frames and features of width `D`.
#[derive(Debug)]
pub struct EmbeddedClip {
    /// When each frame is shown, in seconds from the first frame of the file, `(T)`.
    pub seconds: Vec<f64>,
    /// The frames, upright, `(T)`; empty unless [`EmbedSettings::pictures`] asks for them.
    pub pictures: Vec<RgbImage>,
    /// The frame encoder's features `(T, D)`, row-major.
    pub features: Vec<f32>,
    /// The other parts that the settings ask for, in the order of [`EmbedSettings::parts`].
    pub parts: Embedding,
    /// What was approximated while the video was read.
    pub notes: Vec<String>,
}

impl EmbeddedClip {
    /// The values of a part; empty if the settings did not ask for it.
    pub fn part(&self, part: Part) -> &[f32] {
        if part == Part::Frames {
            return &self.features;
        }
        self.parts.iter().find(|(known, _)| *known == part).map_or(&[], |(_, values)| values)
    }
}

/// Reads and embeds one video, whose range is the input's own. Windows of the request are ignored: the clip is one.
///
/// # Errors
/// The failure of the video: what went wrong, at which stage, and what to try.
pub fn clip(
    engine: &Arc<Engine>,
    input: &Input,
    settings: &EmbedSettings,
) -> Result<EmbeddedClip, Box<Failure>> {
    let mut settings = settings.clone();
    settings.request = Request { window: None, ..settings.request };
    settings.parts.retain(|part| *part != Part::Frames);
    settings.parts.insert(0, Part::Frames);
    let mut result = None;
    let Ok(()) = run(std::iter::once(input.clone()), engine, &settings, &Arc::default(), |outcome| {
        result = Some(outcome.result);
        Ok::<(), Infallible>(())
    });
    let nothing = || failure(input, None, "internal", "the run gave no outcome for it".into());
    let embedded = result.ok_or_else(nothing)??;
    let mut parts = embedded.rows.into_iter().next().ok_or_else(nothing)?.parts;
    let (_, features) = parts.remove(0);
    let (seconds, pictures, notes) = (embedded.seconds, embedded.pictures, embedded.notes);
    Ok(EmbeddedClip { seconds, pictures, features, parts, notes })
}

/// LiFT's reconstruction `(T, D)` of features `(T, D)` that are known already, for example those of a mirrored clip.
///
/// # Errors
/// If LiFT cannot read so many frames, a value is not finite, or LiFT panics.
pub fn reconstruct(engine: &Engine, features: &[f32]) -> Result<Vec<f32>, StageError> {
    let internal = |cause| StageError { stage: "internal", cause };
    let parts =
        guarded(|| engine.finish(features.to_vec(), &[Part::Reconstructed], false)).map_err(internal)??;
    Ok(parts.into_iter().flat_map(|(_, values)| values).collect())
}
