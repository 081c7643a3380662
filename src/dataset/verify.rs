//! Checks that an output is whole and that everything in it agrees.

use std::path::Path;

use crate::dataset::{DatasetCounts, InputResult, ShardReader};
use crate::files::FileError;
use crate::rows::{self, Status, companion_path};

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

/// Reads a file of rows and its companion, and counts what is in them.
///
/// # Errors
/// `Read` if the file is damaged, a value is not finite, an id stands twice, or the companion says something else.
pub fn verify_file(path: &Path) -> Result<DatasetCounts, FileError> {
    let table = rows::read(path, None, None)?;
    table.index()?;
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
