//! `lift verify`: is an output whole, and does everything in it agree?

use std::path::{Path, PathBuf};

use clap::Args;

use super::Verbosity;
use super::report;
use crate::dataset::{Counts, Pieces, Settled};
use crate::exit::{Exit, Fatal};
use crate::files::{FileError, display_path};
use crate::rows;
use crate::rows::{Status, companion_path};

/// Check every value, every id and every input of outputs
///
/// A dataset must be finished; in a folder of shards, all of them. Its parts must have the rows that they list, and all values
/// must be finite and have the shape that the manifest says. A file must be readable and agree with its companion.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift verify out/                        a dataset, or a folder of shards\n  \
    lift verify out/shard-00003-of-00016    one shard of many\n  lift verify clips.npy frames.parquet"
)]
pub(super) struct VerifyArgs {
    /// Datasets, folders of shards, or files of rows
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

/// Looks at each; what is wrong with one does not keep the others from being looked at.
pub(super) fn run(args: &VerifyArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let mut exit = Exit::Success;
    for path in &args.paths {
        match if path.is_dir() { dataset(path) } else { file(path) } {
            Ok(Counts { embedded, rows, failed }) => {
                let line = format!(
                    "{}: good: {}, {embedded} of {} inputs embedded, {failed} failed\n",
                    display_path(path),
                    report::count(rows, "row"),
                    embedded + failed
                );
                if !verbosity.quiet {
                    crate::files::print(line.as_bytes())?;
                }
            }
            Err(error) => {
                report::error(&error.to_string());
                exit = Exit::SomeFailed;
            }
        }
    }
    Ok(exit)
}

fn dataset(path: &Path) -> Result<Counts, FileError> {
    let pieces = Pieces::open_one(path)?;
    let mut counts = Counts::default();
    pieces.each(|done| {
        match done.settled {
            Settled::Rows(rows) => {
                counts.embedded += 1;
                counts.rows += rows.len();
            }
            Settled::Failed(_) => counts.failed += 1,
        }
        Ok(())
    })?;
    Ok(counts)
}

fn file(path: &Path) -> Result<Counts, FileError> {
    let table = rows::read(path, None, None)?;
    table.index()?;
    let wrong = |reason: String| FileError::Read { path: companion_path(path), reason };
    let Some(lines) = rows::read_companion(path)? else {
        return Ok(Counts { embedded: table.rows(), rows: table.rows(), failed: 0 });
    };
    let ok: Vec<_> = lines.iter().filter(|line| line.status == Status::Ok).collect();
    if ok.len() != table.rows() {
        return Err(wrong(format!("it lists {} rows, the data has {}", ok.len(), table.rows())));
    }
    for (at, (line, id)) in ok.iter().zip(table.ids()?).enumerate() {
        if line.row != Some(at) || line.id != *id {
            return Err(wrong(format!("row {at} is '{id}' in the data and another here")));
        }
    }
    let mut inputs: Vec<_> = ok.iter().map(|line| line.index).collect();
    inputs.dedup();
    Ok(Counts { embedded: inputs.len(), rows: ok.len(), failed: lines.len() - ok.len() })
}
