//! What a format implements to be written.

use crate::files::{AtomicFile, FileError};
use crate::rows::Row;
use crate::rows::layout::Layout;

/// One format's way of writing rows that are known to fit.
pub(crate) trait RowWriter: Send {
    /// Takes the next row.
    fn push(&mut self, row: &Row, layout: &Layout) -> Result<(), FileError>;
    /// Puts a text into the file's own metadata, for formats that have some.
    fn note(&mut self, _key: &'static str, _text: String) {}
    /// Completes the bytes and gives the file back, still without its name; `None` for standard output.
    fn finish(self: Box<Self>, layout: &Layout) -> Result<Option<AtomicFile>, FileError>;
}
