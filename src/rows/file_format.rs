//! What a file format of rows implements.
//!
//! To add a format, copy the file in `rows/formats/` that is most like it (`jsonl.rs` writes each row at once, `npz.rs`
//! gathers the rows first) and add a line to [`FORMATS`](crate::rows::formats::FORMATS). Every command goes through this list.

use std::fmt;
use std::path::Path;

use crate::files::{AtomicFile, FileError};
use crate::rows::array::{Array, Raw, StoredArrays};
use crate::rows::layout::Layout;
use crate::rows::{Part, Row, Wanted};

/// Takes the values that have been read out of the arrays, after each batch.
pub(crate) type TakeBatch<'a> = &'a mut dyn FnMut(&mut [Array]) -> Result<(), String>;

/// Rows one after the other; an error is the last item.
pub(crate) type RowIterator = Box<dyn Iterator<Item = Result<Row, String>>>;

/// A file format of rows. Errors of the reading functions are reasons; the caller puts the path in front.
pub(crate) trait FileFormat: Sync {
    /// The extension with its dot, in lower case.
    fn extension(&self) -> &'static str;

    /// Whether a file holds one part only.
    fn holds_one_part(&self) -> bool {
        false
    }

    /// Whether all rows of a file must have one shape.
    fn holds_one_shape(&self) -> bool {
        true
    }

    /// Whether a file of this format can carry texts besides its rows ([`RowWriter::note`]).
    fn keeps_notes(&self) -> bool {
        false
    }

    /// The text that [`RowWriter::note`] put into the file under `key`.
    ///
    /// # Errors
    /// If the file is damaged, or not of this format.
    fn note(&self, _path: &Path, _key: &str) -> Result<Option<String>, String> {
        Ok(None)
    }

    /// Begins a file.
    ///
    /// # Errors
    /// `Write` if the disk refuses.
    fn writer(&self, file: AtomicFile, layout: &Layout) -> Result<Box<dyn RowWriter>, FileError>;

    /// Reads all arrays that have a row per video, or the one `wanted`, and the ids that the file itself holds.
    ///
    /// # Errors
    /// If the file is damaged, or not of this format.
    fn read(&self, path: &Path, wanted: Wanted) -> Result<Raw, String>;

    /// Opens the arrays that [`read`](Self::read) gives without reading their values; `None` if that cannot be done with
    /// this file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn open(&self, _path: &Path, _wanted: Wanted) -> Result<Option<StoredArrays>, String> {
        Ok(None)
    }

    /// As [`read`](Self::read), with `take` called after every batch of rows; `None` if the format is not read in batches.
    fn read_batches(&self, _path: &Path, _wanted: Wanted, _take: TakeBatch) -> Option<Result<Raw, String>> {
        None
    }

    /// How the parts of a dataset are kept in this format; `None` if datasets do not use it.
    fn dataset_part(&self) -> Option<&dyn PartFile> {
        None
    }
}

/// What a format implements so that datasets can use it: a part holds rows with what is said of their clips, and texts.
pub(crate) trait PartFile: FileFormat {
    /// Begins a part.
    ///
    /// # Errors
    /// `Write` if the disk refuses.
    fn writer(&self, file: AtomicFile, layout: &Layout) -> Result<Box<dyn RowWriter>, FileError>;

    /// The rows of a part, in their order, without their window.
    ///
    /// # Errors
    /// If the file is damaged, or lacks one of `parts`.
    fn rows(&self, path: &Path, parts: &[Part]) -> Result<RowIterator, String>;
}

/// Writes rows that are known to fit.
pub(crate) trait RowWriter: Send {
    /// Takes the next row.
    fn push(&mut self, row: &Row, layout: &Layout) -> Result<(), FileError>;
    /// Puts a text into the file's own metadata, for formats that have some.
    fn note(&mut self, _key: &'static str, _text: String) {}
    /// Completes the bytes and gives the file back, still without its name; `None` for standard output.
    fn finish(self: Box<Self>, layout: &Layout) -> Result<Option<AtomicFile>, FileError>;
}

/// One of the file formats.
#[derive(Clone, Copy)]
pub struct Format(pub(crate) &'static dyn FileFormat);

impl Format {
    /// The extension with its dot.
    pub fn extension(self) -> &'static str {
        self.0.extension()
    }

    /// The format's extension where all rows of a file must have one shape, as [`Layout::new`] takes it.
    pub(crate) fn one_shape(self) -> Option<&'static str> {
        self.0.holds_one_shape().then(|| self.extension())
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.extension() == other.extension()
    }
}

impl Eq for Format {}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.extension())
    }
}
