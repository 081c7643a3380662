//! Parquet, as DuckDB and pandas read it.

mod part;
mod read;
mod source;
mod write;

use std::path::Path;

use self::read::guarded;

use crate::files::{AtomicFile, FileError};
use crate::rows::array::Raw;
use crate::rows::file_format::{FileFormat, PartFile, RowIterator, RowWriter, TakeBatch};
use crate::rows::layout::Layout;
use crate::rows::{Part, Wanted};

/// The format.
pub(crate) struct Parquet;

impl FileFormat for Parquet {
    fn extension(&self) -> &'static str {
        ".parquet"
    }

    fn keeps_notes(&self) -> bool {
        true
    }

    fn note(&self, path: &Path, key: &str) -> Result<Option<String>, String> {
        guarded(|| part::note(path, key))
    }

    fn writer(&self, file: AtomicFile, _: &Layout) -> Result<Box<dyn RowWriter>, FileError> {
        Ok(Box::new(write::ParquetWriter::new(file)))
    }

    fn read(&self, path: &Path, wanted: Wanted) -> Result<Raw, String> {
        guarded(|| read::read(path, wanted, &mut |_| Ok(())))
    }

    fn read_batches(&self, path: &Path, wanted: Wanted, take: TakeBatch) -> Option<Result<Raw, String>> {
        Some(guarded(|| read::read(path, wanted, take)))
    }

    fn dataset_part(&self) -> Option<&dyn PartFile> {
        Some(self)
    }
}

impl PartFile for Parquet {
    fn writer(&self, file: AtomicFile, layout: &Layout) -> Result<Box<dyn RowWriter>, FileError> {
        FileFormat::writer(self, file, layout)
    }

    fn rows(&self, path: &Path, parts: &[Part]) -> Result<RowIterator, String> {
        Ok(Box::new(part::rows(path, parts)?))
    }
}
