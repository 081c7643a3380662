//! The ids of rows: where they come from, and which row has which.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::files::{FileError, display_path, display_text};
use crate::rows::companion::{companion_ids, companion_path};
use crate::rows::formats::id_array::ids_of_file;
use crate::rows::{Format, Wanted};

/// What to do about a file whose rows have no ids.
pub(crate) fn without_ids(path: &Path) -> FileError {
    let companion = display_path(&companion_path(path));
    let reason = format!(
        "its rows have no ids: put its companion {companion} beside it, or name the ids with --ids FILE (one per line), or the \
         column or array that holds them with --id-column"
    );
    FileError::read(path, reason)
}

/// The ids of a file's `rows` rows: of the list that is `wanted`, else the file's `own`, else its companion's; `None` if it has none.
///
/// # Errors
/// `Read` if a list of ids cannot be read, lacks the column that is wanted, or holds another number of ids.
pub(crate) fn ids_of(
    path: &Path,
    rows: usize,
    wanted: Wanted,
    own: Option<Vec<String>>,
) -> Result<Option<Vec<String>>, FileError> {
    let companion = companion_path(path);
    let (ids, from) = match (wanted.ids, own, wanted.id_column) {
        (Some(list), _, column) => (Some(read_ids(list, column)?), display_path(list)),
        (None, Some(own), _) => (Some(own), "its own list of ids".into()),
        (None, None, Some(column)) if companion.is_file() => {
            (Some(read_ids(&companion, Some(column))?), display_path(&companion))
        }
        (None, None, Some(column)) => {
            let reason = format!(
                "it has no columns, so '{column}' cannot be read; name a list of the ids, one per line, with --ids"
            );
            return Err(FileError::read(path, reason));
        }
        (None, None, None) => (companion_ids(path)?, display_path(&companion)),
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

/// Reads ids: one per line, or the column `id`, or the one named, of a CSV or TSV (of a companion: the rows that have data, in its
/// order); an `.npy` holds texts or integers.
///
/// # Errors
/// `Read` if the file cannot be read, is a damaged CSV, or lacks the column named.
pub fn read_ids(path: &Path, named: Option<&str>) -> Result<Vec<String>, FileError> {
    if Format::of(path) == Some(Format::NPY) {
        return ids_of_file(path).map_err(|reason| FileError::read(path, reason));
    }
    let text = fs::read_to_string(path).map_err(|e| FileError::read(path, e.to_string()))?;
    let text = text.trim_start_matches('\u{feff}');
    let header = text.lines().next().unwrap_or_default();
    let delimiter = if header.contains('\t') { b'\t' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let fail = |e: csv::Error| FileError::read(path, e.to_string());
    let column = |name: &str, headers: &csv::StringRecord| headers.iter().position(|h| h.trim() == name);
    let headers = reader.headers().map_err(fail)?.clone();
    let id = column(named.unwrap_or("id"), &headers);
    Wanted { id_column: named, ..Wanted::default() }
        .check_ids_found(id.is_some(), headers.iter())
        .map_err(|reason| FileError::read(path, reason))?;
    let Some(id) = id else {
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
