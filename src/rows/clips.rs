//! What files of rows say of the clips of their rows: the paths and the times.

use std::path::Path;

use crate::files::FileError;
use crate::rows::files::files;
use crate::rows::{ClipMeta, Format, read_companion};

/// The clips of the rows `ids` of a file, or of a dataset's folder, in the order of the rows. A file that says nothing of its
/// clips, or of other rows, gives clips with an id and no path.
///
/// # Errors
/// `Read` if the folder or a companion cannot be read.
pub fn clips(path: &Path, ids: &[String]) -> Result<Vec<ClipMeta>, FileError> {
    let mut clips = Vec::with_capacity(ids.len());
    for file in files(path)? {
        clips.extend(match read_companion(&file)? {
            Some(lines) => {
                let mut placed: Vec<_> =
                    lines.into_iter().filter_map(|line| Some((line.row?, line.clip))).collect();
                placed.sort_by_key(|(row, _)| *row);
                placed.into_iter().map(|(_, clip)| clip).collect()
            }
            None => own(&file),
        });
    }
    let agree = clips.len() == ids.len() && clips.iter().zip(ids).all(|(clip, id)| clip.id == *id);
    if agree {
        return Ok(clips);
    }
    Ok(bare_clips(ids))
}

/// Clips of which nothing but the ids is known.
pub fn bare_clips(ids: &[String]) -> Vec<ClipMeta> {
    let bare = |(index, id): (usize, &String)| ClipMeta { index, id: id.clone(), ..ClipMeta::default() };
    ids.iter().enumerate().map(bare).collect()
}

/// The clips that a part of a dataset describes itself; none for other files.
fn own(file: &Path) -> Vec<ClipMeta> {
    let rows = Format::of(file).and_then(|format| format.0.dataset_part()?.rows(file, &[]).ok());
    rows.into_iter().flatten().map_while(|row| Some(row.ok()?.clip)).collect()
}
