//! `lift duplicates`: the clips of a collection that are the same footage.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

use anyhow::anyhow;
use clap::Args;

use super::ids::IdArgs;
use super::numbers::real;
use super::signals::Signals;
use super::{Verbosity, progress, report};
use crate::exit::{Exit, Fatal};
use crate::files::{self, AtomicFile, display_path, display_text};
use crate::search::{
    ComparedRows, Duplicate, Duplicates, GroupKind, SearchError, TableFormat, block_pairs, lines_of,
    write_table,
};
use crate::threads;

/// Find clips of a collection that are the same footage, and clips that are others' mirrors in time
///
/// All rows are compared with one another by cosine; nothing is approximate. Clips that are the same are joined into groups, and
/// of each group the longest clip is marked to be kept. A clip that is another one backwards is told apart, if the collection
/// has the embeddings of the mirrored clips (lift embed --parts concat,reversed). Nothing is deleted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lift embed clips/ -o all.parquet --parts concat,reversed\n  \
    lift duplicates all.parquet\n  lift duplicates all.parquet --min-score 0.995 -o same.csv")]
pub(super) struct DuplicatesArgs {
    /// The embeddings: a file, or the folder of a dataset
    #[arg(value_name = "COLLECTION")]
    collection: PathBuf,
    /// The least cosine of clips that are taken for the same
    ///
    /// Example: --min-score 0.995
    #[arg(long, value_name = "COSINE", default_value_t = 0.98, value_parser = cosine, allow_negative_numbers = true)]
    min_score: f64,
    /// Write the groups into a file (.csv, .jsonl, .parquet or .md), and print no table
    ///
    /// Default: none. Example: -o same.csv
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long, requires = "output")]
    overwrite: bool,
    #[command(flatten)]
    ids: IdArgs,
    /// Threads that compare [default: one per core]
    ///
    /// Example: --threads 8
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

fn cosine(text: &str) -> Result<f64, String> {
    real(text, |cosine| (-1.0..=1.0).contains(&cosine), "a cosine from -1 to 1")
}

/// Compares, and prints or writes the groups.
pub(super) fn run(args: &DuplicatesArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let format = args.output.as_deref().map(|path| TableFormat::named(path, "groups")).transpose()?;
    let output = match &args.output {
        Some(path) => Some(AtomicFile::create(path, args.overwrite)?),
        None => None,
    };
    Signals::end_at_once()?;
    let fail = |error| match error {
        SearchError::File(error) => Fatal::from(error),
        error => Fatal::input(anyhow!("{}: {error}", display_path(&args.collection))),
    };
    let pairs = ComparedRows::open(&args.collection, args.ids.wanted()).map_err(fail)?;
    if !pairs.tells_mirrors() && !verbosity.quiet {
        report::note(&format!(
            "{} has no embeddings of the mirrored clips, so a clip and its mirror may be taken for the same; embed with --parts \
             concat,reversed to tell them apart",
            display_path(&args.collection)
        ));
    }
    let done = AtomicUsize::new(0);
    let pool = threads::pool(args.threads.unwrap_or_else(threads::available)).map_err(Fatal::input)?;
    let work = || pool.install(|| pairs.duplicates(args.min_score, &done));
    let found = progress::watch(block_pairs(pairs.rows()), verbosity.quiet, &done, work).map_err(fail)?;
    let lines = lines_of(&found, pairs.clips());
    match output.zip(format) {
        Some((file, format)) => write_table(file, format, &lines)?,
        None => files::print(table(&lines).as_bytes())?,
    }
    if !verbosity.quiet {
        report::say(&told(&found));
    }
    Ok(Exit::Success)
}

fn told(found: &Duplicates) -> String {
    let (same, mirrors) = (found.groups_of(GroupKind::Same), found.groups_of(GroupKind::Mirror));
    let extra: usize = same.iter().map(|group| group.rows.len() - 1).sum();
    format!(
        "{} of the same footage, {} that could go; {} of a clip and its mirror",
        report::count(same.len(), "group"),
        report::count(extra, "clip"),
        report::count(mirrors.len(), "pair")
    )
}

/// The groups as a table for people.
fn table(lines: &[Duplicate]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let id = |line: &Duplicate| display_text(&line.id);
    let width = lines.iter().map(|line| id(line).chars().count()).max().unwrap_or(0).max("id".len());
    let mut text = format!("group  kind    keep  {:>7}  {:<width$}  path\n", "score", "id");
    for line in lines {
        let keep = if line.keep { "keep" } else { "" };
        let shown = format!(
            "{:>5}  {:<6}  {keep:<4}  {:>7.4}  {:<width$}  {}",
            line.group,
            line.kind,
            line.score,
            id(line),
            display_text(&line.path)
        );
        text += &format!("{}\n", shown.trim_end());
    }
    text
}
