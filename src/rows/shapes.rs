//! Which arrays a file has, for choosing one and for messages.

use std::path::Path;

use crate::files::{FileError, display_path, display_text};
use crate::rows::array::{Array, StoredArray};
use crate::rows::{Format, Part, Wanted};

/// The name of an array and the shape of one of its rows.
pub type NamedShape = (String, Vec<usize>);

/// The arrays of a file that have a row per video. Values are read only where the shapes cannot be told otherwise, and are not kept.
///
/// # Errors
/// `Read` if the file is missing, damaged, or not of a format that is read.
pub fn shapes(path: &Path) -> Result<Vec<NamedShape>, FileError> {
    let fail = |reason: String| FileError::read(path, reason);
    let format = Format::of(path).ok_or_else(|| fail("its extension names no format of features".into()))?;
    let opened = format.0.open(path, Wanted::default()).map_err(fail)?;
    if let Some((arrays, _)) = opened {
        return Ok(arrays.into_iter().map(|StoredArray { name, shape, .. }| (name, shape)).collect());
    }
    let mut forget = |arrays: &mut [Array]| {
        arrays.iter_mut().for_each(|array| array.data.clear());
        Ok(())
    };
    let raw = format.0.read_batches(path, Wanted::default(), &mut forget);
    let raw = raw.unwrap_or_else(|| format.0.read(path, Wanted::default()));
    let row = |array: Array| (array.name, array.shape.into_iter().skip(1).collect());
    Ok(raw.map_err(fail)?.arrays.into_iter().map(row).collect())
}

/// The array of a file that holds the features of frames: `frames`, else the only one with frames, whatever its name.
///
/// # Errors
/// `Read` if none has frames, or several have and none is called `frames`.
pub fn of_frames(path: &Path) -> Result<String, FileError> {
    let own = Part::Frames.name();
    if !path.is_file() {
        // The reader says what is wrong with it.
        return Ok(own.to_owned());
    }
    let there = shapes(path)?;
    let of_frames: Vec<&String> =
        there.iter().filter(|(_, shape)| shape.len() == 2).map(|(name, _)| name).collect();
    let what = match of_frames[..] {
        _ if of_frames.iter().any(|name| *name == own) => return Ok(own.to_owned()),
        [one] => return Ok(one.clone()),
        // The reader says what is wrong with a file without an array.
        [] if there.is_empty() => return Ok(own.to_owned()),
        [] => {
            "none is the features of frames, (clips, frames, width): make them with `lift embed --parts frames`".to_owned()
        }
        _ => format!("several have frames, and none is called frames: name one, as {}#NAME", display_path(path)),
    };
    Err(FileError::read(path, format!("it has {}; {what}", said(&there))))
}

/// Arrays for a message: `clip (512), frames (16 x 384)`.
pub fn said(shapes: &[NamedShape]) -> String {
    let one = |(name, shape): &NamedShape| {
        let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
        format!("{} ({})", display_text(name), sizes.join(" x "))
    };
    if shapes.is_empty() { "none".into() } else { shapes.iter().map(one).collect::<Vec<_>>().join(", ") }
}
