//! Copies the arrays of files that can only be read from the start, so that any row can be read by itself.
//!
//! The copy has no name, and the system removes it however the process ends. It takes disk space, not memory.

use std::path::Path;
use std::sync::Mutex;

use crate::files::{FileError, display_text};
use crate::rows::Wanted;
use crate::rows::array::{Array, Raw, StoredArray, StoredArrays, Values};
use crate::rows::file_format::FileFormat;
use crate::rows::values::Spool;

/// What is `wanted` of a file that is read in batches, copied into the folder `scratch`, and the ids the file has; `None` for
/// other formats.
///
/// # Errors
/// `Read` as for [`read`](super::read()), `Write` if the copy cannot be made.
pub(super) fn copied(
    path: &Path,
    format: &dyn FileFormat,
    wanted: Wanted,
    scratch: &Path,
) -> Result<Option<StoredArrays>, FileError> {
    let mut copy = Copy { scratch, spools: Vec::new(), rows: Vec::new(), failed: None };
    let Some(read) = format.read_batches(path, wanted, &mut |arrays| copy.take(arrays)) else {
        return Ok(None);
    };
    if let Some(failed) = copy.failed {
        return Err(failed);
    }
    let Raw { arrays, ids } = read.map_err(|reason| FileError::read(path, reason))?;
    let mut spools = copy.spools.into_iter();
    let stored = |array: Array| {
        let rows = array.rows();
        let StoredArray { name, shape, .. } = StoredArray::from(array);
        let values = match spools.next() {
            Some(spool) => Values::File(Mutex::new(spool.into_file()?), 0),
            None => Values::Memory(Vec::new()),
        };
        Ok(StoredArray::new(name, shape, rows, values))
    };
    Ok(Some((arrays.into_iter().map(stored).collect::<Result<_, FileError>>()?, ids)))
}

/// A spool per array.
struct Copy<'a> {
    scratch: &'a Path,
    spools: Vec<Spool>,
    /// The rows that were copied of each array.
    rows: Vec<usize>,
    /// Why writing failed: the reader carries reasons for its own file alone.
    failed: Option<FileError>,
}

impl Copy<'_> {
    /// Takes the values that have been read out of the arrays.
    fn take(&mut self, arrays: &mut [Array]) -> Result<(), String> {
        for (at, array) in arrays.iter_mut().enumerate() {
            self.rows.resize(self.rows.len().max(at + 1), 0);
            let width = array.width().max(1);
            if let Some(place) = array.data.iter().position(|v| !v.is_finite()) {
                let (row, name) = (self.rows[at] + place / width, display_text(&array.name));
                return Err(format!(
                    "row {row} of '{name}' holds {}, not a finite number",
                    array.data[place]
                ));
            }
            self.rows[at] += array.data.len() / width;
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
