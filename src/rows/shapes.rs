//! Which arrays a file has, for choosing one and for messages.

use std::path::Path;

use crate::files::{FileError, display_text};
use crate::rows::Format;
use crate::rows::array::{Array, StoredArray};

/// The name of an array and the shape of one of its rows.
pub type NamedShape = (String, Vec<usize>);

/// The arrays of a file that have a row per video. Values are read only where the shapes cannot be told otherwise, and are not kept.
///
/// # Errors
/// `Read` if the file is missing, damaged, or not of a format that is read.
pub fn shapes(path: &Path) -> Result<Vec<NamedShape>, FileError> {
    let fail = |reason: String| FileError::read(path, reason);
    let format = Format::of(path).ok_or_else(|| fail("its extension names no format of features".into()))?;
    let opened = format.0.open(path, None).map_err(fail)?;
    if let Some((arrays, _)) = opened {
        return Ok(arrays.into_iter().map(|StoredArray { name, shape, .. }| (name, shape)).collect());
    }
    let mut forget = |arrays: &mut [Array]| {
        arrays.iter_mut().for_each(|array| array.data.clear());
        Ok(())
    };
    let raw = format.0.read_batches(path, None, &mut forget).unwrap_or_else(|| format.0.read(path, None));
    let row = |array: Array| (array.name, array.shape.into_iter().skip(1).collect());
    Ok(raw.map_err(fail)?.arrays.into_iter().map(row).collect())
}

/// Arrays for a message: `clip (512), frames (16 x 384)`.
pub fn said(shapes: &[NamedShape]) -> String {
    let one = |(name, shape): &NamedShape| {
        let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
        format!("{} ({})", display_text(name), sizes.join(" x "))
    };
    if shapes.is_empty() { "none".into() } else { shapes.iter().map(one).collect::<Vec<_>>().join(", ") }
}
