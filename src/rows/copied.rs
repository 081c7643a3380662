//! Rows of files that cannot be read at a place of one's choosing, copied once so that they can.
//!
//! The copy has no name and the system removes it however the process ends; it takes the disk space of the values, not memory.

use std::path::Path;

use super::array::{Array, Lying, Stretch, Values, missing};
use super::format::Format;
use super::values::Spool;
use crate::files::FileError;
use crate::files::display_text;
use crate::rows::formats::{jsonl, parquet};

/// The arrays of a `.parquet` or `.jsonl`, copied into the folder `scratch`, and the ids the file has.
///
/// # Errors
/// `Read` as for [`read`](super::read()), `Write` if the copy cannot be made.
pub(super) fn copied(
    path: &Path,
    format: Format,
    only: Option<&str>,
    scratch: &Path,
) -> Result<(Vec<Lying>, Option<Vec<String>>), FileError> {
    let mut copy = Copy { scratch, spools: Vec::new(), failed: None };
    let read = match format {
        Format::Parquet => parquet::read::read_batches(path, only, &mut |arrays| copy.take(arrays)),
        _ => jsonl::read_lines(path, only, &mut |arrays| copy.take(arrays)),
    };
    if let Some(failed) = copy.failed {
        return Err(failed);
    }
    let raw = read.map_err(|reason| FileError::read(path, reason))?;
    if raw.arrays.is_empty() && !raw.ids.as_ref().is_some_and(Vec::is_empty) {
        return Err(match only {
            Some(name) => missing(path, name, &[]),
            None => FileError::read(path, "it holds no array of numbers with a row per video"),
        });
    }
    let mut spools = copy.spools.into_iter();
    let lying = |Array { name, mut shape, .. }: Array| {
        let rows = shape.remove(0);
        let values = match spools.next() {
            Some(spool) => Values::File(spool.into_file()?, 0),
            None => Values::Memory(Vec::new()),
        };
        Ok(Lying { name, shape, stretches: vec![Stretch { rows, values }] })
    };
    Ok((raw.arrays.into_iter().map(lying).collect::<Result<_, FileError>>()?, raw.ids))
}

/// A spool per array.
struct Copy<'a> {
    scratch: &'a Path,
    spools: Vec<Spool>,
    /// Why writing failed: the reader carries reasons for its own file alone.
    failed: Option<FileError>,
}

impl Copy<'_> {
    /// Takes the values that have been read out of the arrays.
    fn take(&mut self, arrays: &mut [Array]) -> Result<(), String> {
        for (at, array) in arrays.iter_mut().enumerate() {
            if let Some(value) = array.data.iter().find(|v| !v.is_finite()) {
                return Err(format!("'{}' holds {value}, not a finite number", display_text(&array.name)));
            }
            if let Err(failed) = self.push(at, &array.data) {
                self.failed = Some(failed);
                return Err(String::new());
            }
            array.data.clear();
        }
        Ok(())
    }

    fn push(&mut self, at: usize, values: &[f32]) -> Result<(), FileError> {
        if at == self.spools.len() {
            self.spools.push(Spool::new(self.scratch, self.scratch)?);
        }
        self.spools[at].push(values)
    }
}
