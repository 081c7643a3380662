//! `lift verify`: checks that outputs are whole and that everything in them agrees.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Verbosity, report};
use crate::dataset::{DatasetCounts, verify_dataset, verify_file};
use crate::exit::{Exit, Fatal};
use crate::files::{self, FileError, display_path, display_text};

/// Check every value, every id and every input of outputs
///
/// A dataset must be finished; in a folder of shards, all of them. Its parts must have the rows that they list, and all values
/// must be finite and have the shape that the manifest says. A file must be readable and agree with its companion. Parts and
/// files must be made as they say (settings, models); what was joined with lift merge --unchecked is told.
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

/// Checks an output; the remark says what the rows of a file cannot be trusted in.
fn verified(path: &Path) -> Result<(DatasetCounts, String), FileError> {
    if path.is_dir() {
        return Ok((verify_dataset(path)?, String::new()));
    }
    let (counts, made) = verify_file(path)?;
    let remark = match made {
        None => "; the file does not say what made it".to_owned(),
        Some(made) if made.unchecked.is_empty() => String::new(),
        Some(made) => format!("; joined with --unchecked ({})", display_text(&made.unchecked.join("; "))),
    };
    Ok((counts, remark))
}

/// Checks each output; an error in one does not end the run.
pub(super) fn run(args: &VerifyArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let mut exit = Exit::Success;
    for path in &args.paths {
        match verified(path) {
            Ok((DatasetCounts { embedded, rows, failed }, remark)) => {
                let line = format!(
                    "{}: good: {}, {embedded} of {} inputs embedded, {failed} failed{remark}\n",
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
