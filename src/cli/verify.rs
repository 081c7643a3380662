//! `lift verify`: checks that outputs are whole and that everything in them agrees.

use std::path::PathBuf;

use clap::Args;

use super::{Verbosity, report};
use crate::dataset::{DatasetCounts, verify_dataset, verify_file};
use crate::exit::{Exit, Fatal};
use crate::files::{self, display_path};

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

/// Checks each output; an error in one does not end the run.
pub(super) fn run(args: &VerifyArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let mut exit = Exit::Success;
    for path in &args.paths {
        match if path.is_dir() { verify_dataset(path) } else { verify_file(path) } {
            Ok(DatasetCounts { embedded, rows, failed }) => {
                let line = format!(
                    "{}: good: {}, {embedded} of {} inputs embedded, {failed} failed\n",
                    display_path(path),
                    report::count(rows, "row"),
                    embedded + failed
                );
                if !verbosity.quiet {
                    files::print(line.as_bytes())?;
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
