//! Merges the shards of a run: into one file, or into one dataset.

use std::path::Path;

use crate::dataset::{Dataset, DatasetCounts, InputResult, PartWriter, ShardReader, write_failures};
use crate::files::{FileError, display_path};
use crate::rows::{Destination, Prepared, Written};

/// Writes the rows of a run into one file, in the order of its inputs.
///
/// # Errors
/// `Usage` and `Write` of the output, `Read` of the shards.
pub fn merge_into_file(
    shards: &ShardReader,
    destination: &Destination,
    overwrite: bool,
) -> Result<Written, FileError> {
    let (parts, dims) = shards.layout();
    let prepared = Prepared::new(destination, parts, overwrite)?.keeping(&shards.manifest().keep);
    let mut output = prepared.start(dims)?;
    output.made_by(&shards.manifest().provenance())?;
    shards.each(|done| match done.result {
        InputResult::Rows(rows) => output.push_all(&rows),
        InputResult::Failed(failure) => output.fail(&failure.failure),
    })?;
    output.finish()
}

/// Writes the rows of a run into a dataset without shards; gives its counts.
///
/// # Errors
/// `Usage` if the folder holds parts already or another run; `Write` of the dataset, `Read` of the shards.
pub fn merge_into_dataset(shards: &ShardReader, folder: &Path) -> Result<DatasetCounts, FileError> {
    let dataset = Dataset::open(folder, shards.manifest().clone())?;
    if !dataset.parts()?.is_empty() {
        let folder = display_path(folder);
        return Err(FileError::Usage(format!("{folder}: it holds parts already; name an empty folder")));
    }
    let size = dataset.manifest().shard_size.max(1);
    let mut open: Option<(usize, PartWriter)> = None;
    let close = |open: Option<(usize, PartWriter)>| match open {
        Some((number, writer)) => writer.commit(&dataset.part(number)),
        None => Ok(()),
    };
    shards.each(|done| {
        let number = done.entry.index / size;
        if open.as_ref().is_none_or(|(at, _)| *at != number) {
            close(open.take())?;
            open = Some((number, PartWriter::create(&dataset, &dataset.part(number))?));
        }
        let Some((_, writer)) = &mut open else { return Ok(()) };
        writer.input(done)
    })?;
    close(open)?;
    write_failures(&dataset)
}
