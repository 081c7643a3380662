//! Clips from files of features: a file with the parts `frames` and `reconstructed`, or a dataset of such files.

use std::path::Path;

use super::{ClipPaths, Features};
use crate::files::{FileError, display_text};
use crate::rows::{self, Part, StoredArray, likely_cause};

/// How a file is written that can be drawn.
const REMEDY: &str = "write it with lift embed --parts frames,reconstructed";

/// The clips of a file or a dataset's folder; with `ids` only those, in that order.
///
/// # Errors
/// If a file cannot be read, lacks a part or an id, or there are more clips than `most`.
pub fn read_clips(path: &Path, ids: &[String], most: usize) -> Result<Vec<ClipPaths>, FileError> {
    let stored = rows::open(path, rows::Wanted::default(), &std::env::temp_dir())?;
    let part = |part: Part| {
        stored.array(part.name()).map_err(|error| match error {
            FileError::Read { path, reason } => {
                FileError::Read { path, reason: format!("{reason}; {REMEDY}") }
            }
            other => other,
        })
    };
    let (frames, reconstructed) = (part(Part::Frames)?, part(Part::Reconstructed)?);
    let chosen: Vec<(usize, String)> = if ids.is_empty() {
        let known = stored.ids().unwrap_or_default();
        let name = |row: usize| known.get(row).cloned().unwrap_or_else(|| format!("row {row}"));
        (0..stored.rows()).map(|row| (row, name(row))).collect()
    } else {
        let index = stored.index()?;
        let row = |id: &String| {
            let row = index.get(id.as_str()).map(|row| (*row, id.clone()));
            row.ok_or_else(|| {
                let mut there: Vec<&str> = index.keys().map(String::as_str).collect();
                there.sort_unstable();
                let cause = likely_cause(&[id], "it", &there);
                FileError::read(path, format!("it has no id '{}'{cause}", display_text(id)))
            })
        };
        ids.iter().map(row).collect::<Result<_, _>>()?
    };
    if chosen.len() > most {
        let count = chosen.len();
        let reason =
            format!("it holds {count} clips, and a figure shows {most} at most; choose some with --id");
        return Err(FileError::read(path, reason));
    }
    let clip = |(row, title)| {
        let (features, reconstructed) = (features(path, frames, row)?, features(path, reconstructed, row)?);
        Ok(ClipPaths { title, frames: vec![], features, reconstructed })
    };
    chosen.into_iter().map(clip).collect()
}

/// Row `row` of an array `(B, T, D)`.
fn features(path: &Path, array: &StoredArray, row: usize) -> Result<Features, FileError> {
    let [frames, width] = array.shape[..] else {
        let reason = format!("the part {} is not of shape (B, T, D); {REMEDY}", array.name);
        return Err(FileError::read(path, reason));
    };
    let mut values = vec![0.0; frames * width];
    array.copy_row(row, &mut values).map_err(|e| FileError::read(path, e.to_string()))?;
    Features::new(width, values).map_err(|error| FileError::read(path, error.to_string()))
}
