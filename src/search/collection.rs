//! A collection that is searched: what `lift embed` writes, or any matrix with ids, and its prepared file if there is one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::prepared::{PreparedRows, prepare};
use super::scan::SearchRows;
use super::{SearchError, StoredRows};
use crate::cia::representations::StoredParts;
use crate::cia::stored;
use crate::dataset;
use crate::rows::{self, ClipMeta, Provenance, Wanted};

/// A representation of a collection, ready to be compared.
pub struct Collection {
    path: PathBuf,
    array: Option<String>,
    id_column: Option<String>,
    ids: Option<PathBuf>,
    by: String,
    provenance: Option<Provenance>,
    source: Source,
    parts: OnceLock<StoredParts>,
    index: OnceLock<HashMap<String, usize>>,
}

enum Source {
    Prepared(PreparedRows),
    Stored(StoredRows, OnceLock<Vec<ClipMeta>>),
}

impl Collection {
    /// Opens a file of rows (or `PATH#ARRAY`) or a dataset's folder, to compare the representation `by` of it; of `wanted`, where the
    /// ids are counts. The prepared file is read where there is one.
    ///
    /// # Errors
    /// If the collection cannot be read or does not give the representation, or the prepared file is damaged or out of date.
    pub fn open(path: &Path, by: &str, wanted: Wanted) -> Result<Self, SearchError> {
        // A prepared file is of all arrays, with the ids of the collection itself.
        let whole = rows::split_array(path).1.is_none() && wanted.ids.is_none() && wanted.id_column.is_none();
        let prepared = if whole { PreparedRows::open(path, by)? } else { None };
        Self::new(path, by, wanted, prepared)
    }

    /// As [`open`](Self::open), without the prepared file.
    ///
    /// # Errors
    /// As there.
    pub fn open_stored(path: &Path, by: &str, wanted: Wanted) -> Result<Self, SearchError> {
        Self::new(path, by, wanted, None)
    }

    fn new(
        path: &Path,
        by: &str,
        wanted: Wanted,
        prepared: Option<PreparedRows>,
    ) -> Result<Self, SearchError> {
        let (path, array) = rows::split_array(path);
        let wanted = wanted.or_array(array);
        let provenance = dataset::provenance(path)?;
        let parts = OnceLock::new();
        let source = match prepared {
            Some(prepared) => Source::Prepared(prepared),
            None => {
                let opened = stored::collection(path, wanted)?;
                let rows = StoredRows::new(opened.representation(by)?, opened.ids());
                parts.get_or_init(|| opened);
                Source::Stored(rows, OnceLock::new())
            }
        };
        let own = |text: Option<&str>| text.map(str::to_owned);
        Ok(Self {
            path: path.to_owned(),
            array: own(wanted.array),
            id_column: own(wanted.id_column),
            ids: wanted.ids.map(Path::to_owned),
            by: by.to_owned(),
            provenance,
            source,
            parts,
            index: OnceLock::new(),
        })
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            array: self.array.as_deref(),
            id_column: self.id_column.as_deref(),
            ids: self.ids.as_deref(),
        }
    }

    /// The file or the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the representation.
    pub fn by(&self) -> &str {
        &self.by
    }

    /// What made it, if it says so.
    pub fn provenance(&self) -> Option<&Provenance> {
        self.provenance.as_ref()
    }

    /// The rows to compare with.
    pub fn rows(&self) -> &dyn SearchRows {
        match &self.source {
            Source::Prepared(rows) => rows,
            Source::Stored(rows, _) => rows,
        }
    }

    /// The bytes that a scan of the prepared file reads; `None` if the collection is not prepared.
    pub fn prepared_bytes(&self) -> Option<usize> {
        match &self.source {
            Source::Prepared(rows) => Some(rows.scanned_bytes()),
            Source::Stored(..) => None,
        }
    }

    /// The parts, which a prepared collection opens only when they are asked for.
    ///
    /// # Errors
    /// If the collection cannot be read.
    pub fn parts(&self) -> Result<&StoredParts, SearchError> {
        once(&self.parts, || Ok(stored::collection(&self.path, self.wanted())?))
    }

    /// The row of an id.
    ///
    /// # Errors
    /// If there is none.
    pub fn row_of(&self, id: &str) -> Result<usize, SearchError> {
        let index = once(&self.index, || {
            let ids = match &self.source {
                Source::Prepared(rows) => rows.ids()?,
                Source::Stored(rows, _) => rows.ids().to_vec(),
            };
            Ok(ids.into_iter().zip(0..).collect())
        })?;
        index.get(id).copied().ok_or_else(|| SearchError::NoRow { id: id.to_owned() })
    }

    /// What is said of the clip of a row.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn clip(&self, row: usize) -> Result<ClipMeta, SearchError> {
        match &self.source {
            Source::Prepared(rows) => rows.clip(row),
            Source::Stored(..) => Ok(self.clips()?[row].clone()),
        }
    }

    /// Writes the prepared file, which is returned with the number of rows that an older one had already; `done` is called with the rows
    /// that are written, of three times as many as there are.
    ///
    /// # Errors
    /// If a row cannot be read or is not finite, or the disk refuses; then nothing is written.
    pub fn prepare(&self, done: &mut dyn FnMut(usize)) -> Result<(PathBuf, usize), SearchError> {
        match &self.source {
            Source::Stored(rows, _) => prepare(&self.path, &self.by, rows, self.clips()?, done),
            Source::Prepared(rows) => Ok((super::prepared_path(&self.path, &self.by), rows.rows())),
        }
    }

    /// The clips of all rows of a collection that is not prepared.
    fn clips(&self) -> Result<&[ClipMeta], SearchError> {
        let Source::Stored(rows, clips) = &self.source else { return Ok(&[]) };
        once(clips, || match (&self.ids, &self.id_column) {
            (None, None) => Ok(rows::clips(&self.path, rows.ids())?),
            _ => Ok(rows::bare_clips(rows.ids())),
        })
        .map(Vec::as_slice)
    }
}

/// The value of `cell`, made by `make` the first time.
fn once<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T, SearchError>) -> Result<&T, SearchError> {
    match cell.get() {
        Some(value) => Ok(value),
        None => {
            let made = make()?;
            Ok(cell.get_or_init(|| made))
        }
    }
}
