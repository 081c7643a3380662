//! `lift merge`: joins the shards of a run, or several files, into one output.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::signals::Signals;
use super::{Verbosity, is_folder, report};
use crate::dataset::{ShardReader, merge_into_dataset, merge_into_file};
use crate::exit::{Exit, Fatal};
use crate::files::{AtomicFile, display_path};
use crate::rows::{self, Destination, Written};
use crate::search::{self, TableFormat};

/// Join the shards of a run, or several files, into one file or dataset
///
/// Shards must belong to one run: the same inputs, settings and models. All shards must be there and finished, and no row may
/// be there twice. The rows get the order of the inputs. Files are joined in the order in which they are named; they must be made
/// with the same settings and models, and their ids must differ. Answers of lift search (.csv, .jsonl) are joined by score: the best of each query.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lift merge all.parquet out/              the shards in out/\n  \
    lift merge whole/ out/                   the same into one dataset\n  \
    lift merge all.npy out/ --overwrite      another form, again\n  \
    lift merge all.npz monday.npz tuesday.npz\n  \
    lift merge top.csv hits-0.csv hits-1.csv answers of lift search to the same queries")]
pub(super) struct MergeArgs {
    /// Where the rows go: a file (.npy, .npz, .safetensors, .parquet, .jsonl; of answers also .csv and .md), - or DIR/
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Datasets, folders of shards, or files of rows
    #[arg(value_name = "IN", required = true)]
    inputs: Vec<PathBuf>,
    /// The most hits of a query, where answers of lift search are joined
    ///
    /// Example: --top 100
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Replace an existing output file
    #[arg(long)]
    overwrite: bool,
    /// Join files that were made otherwise, or that do not say what made them; the output says so
    ///
    /// Files of other programs and of lift 0.1.0 do not say what made them.
    #[arg(long)]
    unchecked: bool,
}

/// Sends the request to the merge of datasets or of files, and reports.
pub(super) fn run(args: &MergeArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    Signals::end_at_once()?;
    if args.inputs.iter().all(|path| search::is_answer(path)) {
        return answers(args, verbosity);
    }
    let folders = args.inputs.iter().filter(|path| path.is_dir()).count();
    let into_folder = is_folder(&args.output);
    if args.unchecked && folders > 0 {
        return Err(Fatal::usage(anyhow!("--unchecked is for files; shards must belong to one run")));
    }
    let (rows, failed) = if folders == args.inputs.len() {
        let shards = ShardReader::open(&args.inputs)?;
        if into_folder {
            let counts = merge_into_dataset(&shards, &args.output)?;
            (counts.rows, counts.failed)
        } else {
            let Written { rows, failed, .. } =
                merge_into_file(&shards, &Destination::parse(&args.output)?, args.overwrite)?;
            (rows, failed)
        }
    } else if folders > 0 {
        return Err(Fatal::usage(anyhow!("name datasets or files, not both")));
    } else if into_folder {
        let output = display_path(&args.output);
        let error = anyhow!("{output}: files are joined into one file; name one (.npz, .parquet, ...)");
        return Err(Fatal::usage(error));
    } else {
        let written =
            rows::join(&args.inputs, &Destination::parse(&args.output)?, args.overwrite, args.unchecked)?;
        (written.rows, written.failed)
    };
    if !verbosity.quiet {
        let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        report::say(&format!("{}: {}{failures}", display_path(&args.output), report::count(rows, "row")));
    }
    Ok(if failed > 0 { Exit::SomeFailed } else { Exit::Success })
}

/// Joins answers of `lift search`.
fn answers(args: &MergeArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let format = TableFormat::named(&args.output, "answers")?;
    let output = AtomicFile::create(&args.output, args.overwrite)?;
    let answers = search::merge_answers(&args.inputs, args.top)?;
    search::write_table(output, format, &answers)?;
    if !verbosity.quiet {
        report::say(&format!("{}: {}", display_path(&args.output), report::count(answers.len(), "hit")));
    }
    Ok(Exit::Success)
}
