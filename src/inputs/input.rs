//! One input of a run, before and after it gets its number.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The values of a list's further columns that travel with a clip (`--keep`), by the column's name. An empty cell has none.
pub type Columns = BTreeMap<String, String>;

/// The names of the columns that any of these have, sorted.
pub fn column_names<'a>(all: impl IntoIterator<Item = &'a Columns>) -> Vec<&'a str> {
    let names: BTreeSet<&str> =
        all.into_iter().flat_map(|columns| columns.keys().map(String::as_str)).collect();
    names.into_iter().collect()
}

/// One video of a run, or one clip of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Input {
    /// Its place among the inputs, from 0.
    pub index: usize,
    /// Unique in the run: a list's `id`; else, under a folder argument, the path below it without the extension (with it
    /// where two files of a folder differ in the extension alone); else the file's stem. Bytes that are not UTF-8 are
    /// percent-encoded.
    pub id: String,
    /// The file as given: relative paths start at the working directory. Those of a list that are not there start at the list's
    /// folder, which is put in front of them.
    pub path: PathBuf,
    /// Where the clip starts, in seconds, at least 0; `None` for the beginning.
    pub start: Option<f64>,
    /// Where the clip ends, in seconds, not before its start; `None` for the end.
    pub end: Option<f64>,
    /// What else the list says of it that is to be kept.
    pub columns: Columns,
}

/// The range of clips that have no start or no end of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Range {
    /// Seconds, at least 0; `None` for the beginning.
    pub start: Option<f64>,
    /// Seconds; `None` for the end.
    pub end: Option<f64>,
}

/// A video that was found and has no number yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    pub(crate) start: Option<f64>,
    pub(crate) end: Option<f64>,
    pub(crate) columns: Columns,
}

impl Found {
    /// A file by itself: its stem is its id.
    pub(crate) fn file(path: PathBuf) -> Self {
        let id = stem(&path);
        Self { id, path, start: None, end: None, columns: Columns::new() }
    }
}

/// Takes the videos as they are found.
pub(crate) trait Sink {
    /// Takes the next one.
    fn take(&mut self, found: Found);
    /// How many came.
    fn count(&self) -> usize;
    /// The names of the columns that are to be kept of a list.
    fn kept_columns(&self) -> &[String];
}

#[cfg(test)]
impl Sink for Vec<Found> {
    fn take(&mut self, found: Found) {
        self.push(found);
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn kept_columns(&self) -> &[String] {
        &[]
    }
}

/// The stem of a file name as an id; the whole path where there is none (`..`).
pub(crate) fn stem(path: &Path) -> String {
    id_text(path.file_stem().unwrap_or(path.as_os_str()))
}

/// A name as (a part of) an id. In a name that is not UTF-8, the bytes that are not, and `%`, are percent-encoded, so that
/// different names have different ids.
pub(super) fn id_text(name: &OsStr) -> String {
    if let Some(text) = name.to_str() {
        return text.to_owned();
    }
    let mut id = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        id += &chunk.valid().replace('%', "%25");
        id.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    id
}

/// Whether an argument stands for standard input.
pub(super) fn is_stdin(arg: &Path) -> bool {
    arg.as_os_str() == OsStr::new("-")
}
