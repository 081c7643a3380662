//! Clips from files of features: a file with the parts `frames` and `reconstructed`, or a dataset of such files.

use std::path::Path;

use super::{ClipPaths, Features};
use crate::files::FileError;
use crate::rows::{self, Array, Part, Table};

/// How a file is written that can be drawn.
const REMEDY: &str = "write it with lift embed --parts frames,reconstructed";

/// The clips of a file or a dataset's folder; with `ids` only those, in that order.
///
/// # Errors
/// If a file cannot be read, lacks a part or an id, or there are more clips than `most`.
pub fn read_clips(path: &Path, ids: &[String], most: usize) -> Result<Vec<ClipPaths>, FileError> {
    let files = rows::files(path)?;
    let too_many = |count: usize| {
        let more = if files.len() > 1 && ids.is_empty() { " or more" } else { "" };
        let reason =
            format!("it holds {count} clips{more}, and a figure shows {most} at most; choose some with --id");
        Err(FileError::read(path, reason))
    };
    let mut clips = Vec::new();
    // The clips of the ids, in that order; each is absent until its row is found.
    let mut chosen: Vec<Option<ClipPaths>> = vec![None; ids.len()];
    for file in &files {
        let table = rows::read(file, None, None)?;
        let (frames, reconstructed) = (part(&table, Part::Frames)?, part(&table, Part::Reconstructed)?);
        let clip = |row: usize, title: String| -> Result<ClipPaths, FileError> {
            let features = |array: &Array| features(file, array, row);
            let (features, reconstructed) = (features(frames)?, features(reconstructed)?);
            Ok(ClipPaths { title, frames: vec![], features, reconstructed })
        };
        if ids.is_empty() {
            let count = clips.len() + table.rows();
            if count > most {
                return too_many(count);
            }
            let known = table.ids().unwrap_or_default();
            for row in 0..table.rows() {
                let title = known.get(row).cloned().unwrap_or_else(|| format!("row {row}"));
                clips.push(clip(row, title)?);
            }
            continue;
        }
        let index = table.index()?;
        for (id, place) in ids.iter().zip(&mut chosen) {
            if let Some(row) = index.get(id.as_str()) {
                *place = Some(clip(*row, id.clone())?);
            }
        }
        if chosen.iter().all(Option::is_some) {
            break;
        }
    }
    for (id, clip) in ids.iter().zip(chosen) {
        clips.push(clip.ok_or_else(|| FileError::read(path, format!("it has no id '{id}'")))?);
    }
    if clips.len() > most { too_many(clips.len()) } else { Ok(clips) }
}

fn part(table: &Table, part: Part) -> Result<&Array, FileError> {
    table.array(part.name()).map_err(|error| match error {
        FileError::Read { path, reason } => FileError::Read { path, reason: format!("{reason}; {REMEDY}") },
        other => other,
    })
}

fn features(file: &Path, array: &Array, row: usize) -> Result<Features, FileError> {
    let [_, _, width] = array.shape[..] else {
        let reason = format!("the part {} is not of shape (B, T, D); {REMEDY}", array.name);
        return Err(FileError::read(file, reason));
    };
    Features::new(width, array.row(row).to_vec()).map_err(|error| FileError::read(file, error.to_string()))
}
