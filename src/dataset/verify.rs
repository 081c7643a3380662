//! Checks that an output is whole and that everything in it agrees.

use std::path::Path;

use crate::dataset::{DatasetCounts, InputResult, ShardReader};
use crate::files::{FileError, display_text};
use crate::rows::{self, Provenance, Status, Table, companion_path};
use crate::vector::length;

/// Reads all of a dataset, one shard, or a folder of all shards of a run, and counts what is in it.
///
/// # Errors
/// `Read` if it is not finished, a part is damaged, or rows and ledgers do not agree.
pub fn verify_dataset(path: &Path) -> Result<DatasetCounts, FileError> {
    let shards = ShardReader::open_one(path)?;
    let mut counts = DatasetCounts::default();
    shards.each(|done| {
        match done.result {
            InputResult::Rows(rows) => {
                counts.embedded += 1;
                counts.rows += rows.len();
            }
            InputResult::Failed(_) => counts.failed += 1,
        }
        Ok(())
    })?;
    Ok(counts)
}

/// How far from 1 the length of a vector in f32 may be that was scaled to length 1.
const UNIT: f64 = 1e-5;

/// Reads a file of rows and its companion, counts what is in them, and tells what made the rows if it says so.
///
/// # Errors
/// `Read` if the file is damaged, a value is not finite, an id stands twice, the companion says something else, or the rows are not
/// those of what made them.
pub fn verify_file(path: &Path) -> Result<(DatasetCounts, Option<Provenance>), FileError> {
    let table = rows::read(path, rows::Wanted::default())?;
    table.index()?;
    if let Some(made) = &table.provenance {
        check_made(&table, made).map_err(|reason| FileError::read(path, reason))?;
    }
    let counts = count(path, &table)?;
    Ok((counts, table.provenance))
}

/// Compares the arrays with what the file says of its making.
fn check_made(table: &Table, made: &Provenance) -> Result<(), String> {
    let normalized = made.settings.get("normalize").and_then(serde_json::Value::as_bool) == Some(true);
    for name in &made.parts {
        // JSON lines without a line have no array.
        let Some(array) = table.arrays.iter().find(|array| array.name == *name) else {
            match table.rows() {
                0 => continue,
                _ => return Err(format!("it was made with the part {} and has none", display_text(name))),
            }
        };
        let width = array.shape.last().copied().unwrap_or(0).max(1);
        for (at, vector) in array.data.chunks(width).enumerate().filter(|_| normalized) {
            let (long, row) = (length(vector), at * width / array.width().max(1));
            if long > 0.0 && (long - 1.0).abs() > UNIT {
                return Err(format!(
                    "it was made with --normalize, and a vector of row {row} of '{name}' has length {long:.4}"
                ));
            }
        }
    }
    Ok(())
}

fn count(path: &Path, table: &Table) -> Result<DatasetCounts, FileError> {
    let wrong = |reason: String| FileError::Read { path: companion_path(path), reason };
    let Some(lines) = rows::read_companion(path)? else {
        return Ok(DatasetCounts { embedded: table.rows(), rows: table.rows(), failed: 0 });
    };
    let ok: Vec<_> = lines.iter().filter(|line| line.status == Status::Ok).collect();
    if ok.len() != table.rows() {
        return Err(wrong(format!("it lists {} rows, the data has {}", ok.len(), table.rows())));
    }
    for (at, (line, id)) in ok.iter().zip(table.ids()?).enumerate() {
        if line.row != Some(at) || line.clip.id != *id {
            return Err(wrong(format!("row {at} is '{id}' in the data and another here")));
        }
    }
    let mut inputs: Vec<_> = ok.iter().map(|line| line.clip.index).collect();
    inputs.dedup();
    Ok(DatasetCounts { embedded: inputs.len(), rows: ok.len(), failed: lines.len() - ok.len() })
}
