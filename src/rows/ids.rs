//! The ids of rows: where they come from, and which row has which.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::files::{FileError, display_path, display_text};
use crate::rows::companion::{companion_ids, companion_path};

/// What to do about a file whose rows have no ids.
pub(crate) fn without_ids(path: &Path) -> FileError {
    let companion = display_path(&companion_path(path));
    let reason = format!(
        "its rows have no ids: put its companion {companion} beside it, or name the ids with --ids FILE (one per line)"
    );
    FileError::read(path, reason)
}

/// The ids of a file's `rows` rows: of the list `given`, else the file's `own`, else its companion's; `None` if it has none.
///
/// # Errors
/// `Read` if a list of ids cannot be read, or holds another number of ids.
pub(crate) fn ids_of(
    path: &Path,
    rows: usize,
    given: Option<&Path>,
    own: Option<Vec<String>>,
) -> Result<Option<Vec<String>>, FileError> {
    let (ids, from) = match (given, own) {
        (Some(list), _) => (Some(read_ids(list)?), display_path(list)),
        (None, Some(own)) => (Some(own), "its own list of ids".into()),
        (None, None) => (companion_ids(path)?, display_path(&companion_path(path))),
    };
    match ids {
        Some(ids) if ids.len() != rows => {
            let count = ids.len();
            let reason =
                format!("it has {rows} rows and {from} has {count} ids; they do not belong together");
            Err(FileError::read(path, reason))
        }
        ids => Ok(ids),
    }
}

/// The row of each id; `path` is whose rows they are.
///
/// # Errors
/// `Read` if an id stands twice.
pub(crate) fn index_of(path: &Path, ids: &[String]) -> Result<HashMap<String, usize>, FileError> {
    let mut index = HashMap::with_capacity(ids.len());
    for (row, id) in ids.iter().enumerate() {
        if let Some(before) = index.insert(id.clone(), row) {
            let reason = format!("the id '{}' stands in row {before} and in row {row}", display_text(id));
            return Err(FileError::read(path, reason));
        }
    }
    Ok(index)
}

/// Reads ids: one per line, or the column `id` of a CSV or TSV (of a companion: the rows that have data, in its order).
///
/// # Errors
/// `Read` if the file cannot be read, or is a damaged CSV.
pub fn read_ids(path: &Path) -> Result<Vec<String>, FileError> {
    let text = fs::read_to_string(path).map_err(|e| FileError::read(path, e.to_string()))?;
    let text = text.trim_start_matches('\u{feff}');
    let header = text.lines().next().unwrap_or_default();
    let delimiter = if header.contains('\t') { b'\t' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let fail = |e: csv::Error| FileError::read(path, e.to_string());
    let column = |name: &str, headers: &csv::StringRecord| headers.iter().position(|h| h.trim() == name);
    let headers = reader.headers().map_err(fail)?.clone();
    let Some(id) = column("id", &headers) else {
        return Ok(text.lines().filter(|l| !l.is_empty()).map(str::to_string).collect());
    };
    let row = column("row", &headers);
    let mut ids = Vec::new();
    for record in reader.records() {
        let record = record.map_err(fail)?;
        let has_data = row.and_then(|c| record.get(c)).is_none_or(|cell| !cell.is_empty());
        if let Some(id) = record.get(id).filter(|_| has_data) {
            ids.push(id.to_string());
        }
    }
    Ok(ids)
}
