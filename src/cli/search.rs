//! `lift search`: the clips of a collection that are most similar to a query.

mod answer;
mod queries;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;

use anyhow::anyhow;
use clap::{ArgGroup, Args};

use super::compute::ComputeArgs;
use super::ids::IdArgs;
use super::limits::LimitArgs;
use super::models::ModelArgs;
use super::numbers::real;
use super::range::RangeArgs;
use super::signals::Signals;
use super::{Verbosity, progress, report};
use crate::exit::{Exit, Fatal};
use crate::files::{AtomicFile, display_path};
use crate::rows::{Wanted, split_array};
use crate::search::{
    self, Collection, Limits, Moment, MomentLimits, Query, QueryError, SearchError, TableFormat,
};
use crate::threads;
use answer::write;
use queries::queries;

/// Find the clips of a collection that are most similar to a clip, to its opposite, or to words
///
/// A collection is what lift embed writes (a file, or the folder of a dataset), or any matrix with ids. Every row is compared
/// with the query by cosine; nothing is approximate. Prints a table of rank, score, id, time and path. More: lift help
/// searching.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lift embed clips/ -o all.parquet --parts concat,reversed\n  \
    lift search all.parquet --like door_opening.mp4             what looks and moves alike\n  \
    lift search all.parquet --like door_opening.mp4 --opposite  the opposite action\n  \
    lift search all.parquet --id a/door_3 -o hits.html          a page on which the hits play\n  \
    lift search words/ --text \"a door opens\"                   words, where CLIP's or SigLIP's features are searched")]
#[command(group = ArgGroup::new("query").required(true).multiple(true).args(["like", "id", "text", "vector", "list", "prepare"]))]
pub(super) struct SearchArgs {
    /// The embeddings to search: a file, or the folder of a dataset
    #[arg(value_name = "COLLECTION")]
    collection: PathBuf,
    /// A video to compare with; repeat the flag to compare with the mean of several
    ///
    /// It is embedded with the models that the flags name. They must be those that made the collection.
    ///
    /// Default: none. Example: --like door_opening.mp4
    #[arg(long, value_name = "VIDEO", help_heading = "Query")]
    like: Vec<PathBuf>,
    /// A row of the collection to compare with, which is left out of the answer; repeat the flag to compare with the mean of several
    ///
    /// Default: none. Example: --id a/door_3
    #[arg(long, value_name = "ID", help_heading = "Query")]
    id: Vec<String>,
    /// Words to compare with; repeat the flag to compare with the mean of several
    ///
    /// The collection must have the part mean of CLIP's or SigLIP's features (lift embed --encoder clip --parts mean). The text
    /// tower of the same model is read: that of the dataset's manifest, or the one that --encoder and --encoder-weights name.
    ///
    /// Default: none. Example: --text "a door opens"
    #[arg(long, value_name = "WORDS", help_heading = "Query")]
    text: Vec<String>,
    /// A file of vectors as wide as what is compared; each row is a query of its own
    ///
    /// Default: none. Example: --vector queries.npy
    #[arg(long, value_name = "FILE", help_heading = "Query")]
    vector: Option<PathBuf>,
    /// A file with many queries: an id of the collection or a video per line, or a CSV with the column id
    ///
    /// Each line is a query of its own. Default: none. Example: --list ids.txt
    #[arg(long, value_name = "FILE", help_heading = "Query")]
    list: Option<PathBuf>,
    /// A video, or an id of the collection, that the hits must not be like; repeat the flag for several
    ///
    /// The mean of these clips is subtracted from the query, each scaled to length 1.
    ///
    /// Default: none. Example: --unlike door_closing.mp4
    #[arg(long, value_name = "CLIP", help_heading = "Query")]
    unlike: Vec<PathBuf>,
    /// Search for the opposite action: the queries are mirrored in time
    ///
    /// A row of the collection can be mirrored if the collection has the part reversed, or is searched --by odd.
    #[arg(long, help_heading = "Query")]
    opposite: bool,
    /// What is compared: all (the whole embedding), odd, even, static, dynamic, mean, frames-mean or frames-concat
    ///
    /// odd is what changes its sign when a clip runs backwards: it finds the same motion, where all finds mostly the same look.
    /// With --text alone it is mean. Example: --by odd
    #[arg(long, value_name = "NAME", default_value = "all", help_heading = "Query")]
    by: String,
    /// A collection of CLIP's or SigLIP's features of the same clips, with which --text is compared
    ///
    /// The scores of both collections are added, each in units of its standard deviation. Default: none. Example: --also words/
    #[arg(long, value_name = "COLLECTION", requires = "text", conflicts_with_all = ["vector", "list"], help_heading = "Query")]
    also: Option<PathBuf>,
    /// How much the words count beside the other query, with --also
    ///
    /// Example: --weight 0.5
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, value_parser = weight, requires = "also", help_heading = "Query")]
    weight: f64,
    #[command(flatten, next_help_heading = "Query")]
    range: RangeArgs,
    /// The most hits of a query
    ///
    /// Example: --top 100
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Answer")]
    top: usize,
    /// Leave out hits whose score is smaller than this: a cosine from -1 to 1 [default: keep all]
    ///
    /// Example: --min-score 0.5
    #[arg(long, value_name = "SCORE", value_parser = score, allow_negative_numbers = true, help_heading = "Answer")]
    min_score: Option<f64>,
    /// The most hits in one video, where rows are parts of videos (lift embed --window) [default: no limit]
    ///
    /// Of hits that overlap in time, only the best is shown in any case. Example: --per-file 1
    #[arg(long, value_name = "N", help_heading = "Answer")]
    per_file: Option<usize>,
    /// Write the hits into a file (.csv, .jsonl, .parquet, .md, or .html for a page), and print no table
    ///
    /// Default: none. Example: -o hits.html
    #[arg(short, long, value_name = "FILE", help_heading = "Answer")]
    output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long, help_heading = "Answer")]
    overwrite: bool,
    /// Write a file beside the collection that makes later searches by the same part fast
    ///
    /// It has 5 bytes per number, and is made anew where the collection has changed. A query may be given with it.
    #[arg(long, conflicts_with_all = ["ids", "id_column"], help_heading = "Answer")]
    prepare: bool,
    #[command(flatten, next_help_heading = "Answer")]
    ids: IdArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    models: ModelArgs,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy)]
enum AnswerFormat {
    Table(TableFormat),
    /// A page for a browser.
    Page,
}

fn score(text: &str) -> Result<f64, String> {
    real(text, |_| true, "a number")
}

fn weight(text: &str) -> Result<f64, String> {
    real(text, |weight| weight >= 0.0, "a number that is not negative")
}

impl SearchArgs {
    /// Whether there is a query besides --prepare.
    fn has_query(&self) -> bool {
        let several = [self.like.is_empty(), self.id.is_empty(), self.text.is_empty()];
        several.contains(&false) || self.vector.is_some() || self.list.is_some()
    }

    /// The name of the representation that is compared.
    fn compared_part(&self) -> Result<&str, Fatal> {
        let words_alone = !self.text.is_empty() && self.also.is_none();
        match (self.by.as_str(), words_alone) {
            ("all" | "mean", true) => Ok("mean"),
            (by, true) => Err(Fatal::usage(anyhow!(
                "--by {by}: words are compared with the part mean alone; leave --by out, or name the collection of words with --also"
            ))),
            (by, false) => Ok(search::representation_of(by)),
        }
    }

    /// How much is answered.
    fn moment_limits(&self) -> MomentLimits {
        let min_score = self.min_score.unwrap_or(f64::NEG_INFINITY);
        MomentLimits { hits: Limits { top: self.top, min_score }, per_file: self.per_file }
    }

    /// Refuses flags that do not go together.
    fn check(&self) -> Result<(), Fatal> {
        let others = !self.like.is_empty() || !self.id.is_empty();
        if self.also.is_some() && !others {
            return Err(Fatal::usage(anyhow!(
                "--also adds the scores of words to those of another query; give one with --like or --id, or search {} alone",
                self.also.as_deref().map(display_path).unwrap_or_default()
            )));
        }
        if self.opposite && !self.text.is_empty() && self.also.is_none() {
            return Err(Fatal::usage(anyhow!("--opposite: words have no opposite; leave it out")));
        }
        if self.overwrite && self.output.is_none() {
            return Err(Fatal::usage(anyhow!("--overwrite has no effect without -o FILE")));
        }
        Ok(())
    }
}

/// Opens the collection, makes the queries, compares and prints.
pub(super) fn run(args: &SearchArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    args.check()?;
    let format = args.output.as_deref().map(format_of).transpose()?;
    let output = match &args.output {
        Some(path) => Some(AtomicFile::create(path, args.overwrite)?),
        None => None,
    };
    Signals::end_at_once()?;
    let by = args.compared_part()?;
    if args.prepare {
        prepare(args, by, verbosity.quiet)?;
        if !args.has_query() {
            return Ok(Exit::Success);
        }
    }
    let opened = Collection::open(&args.collection, by, args.ids.wanted());
    let collection = opened.map_err(|error| wrong(&args.collection, error))?;
    if let Some(made) = collection.provenance().filter(|made| !made.unchecked.is_empty() && !verbosity.quiet)
    {
        let unchecked = made.unchecked.join("; ");
        let collection = display_path(&args.collection);
        report::note(&format!("{collection}: it was joined with lift merge --unchecked ({unchecked})"));
    }
    let named = queries(args, &collection, verbosity.quiet)?;
    let pool = threads::pool(args.compute.threads()).map_err(Fatal::input)?;
    let asked: Vec<Query> = named.iter().map(|named| named.query.clone()).collect();
    let (limits, done) = (args.moment_limits(), AtomicUsize::new(0));
    let rows = collection.rows().rows();
    let watched = |work: &(dyn Fn() -> Result<Vec<Vec<Moment>>, SearchError> + Sync)| {
        let found = progress::watch(rows, verbosity.quiet, &done, || pool.install(work));
        found.map_err(|error| wrong(&args.collection, error))
    };
    let found = match &args.also {
        None => watched(&|| search::find(&collection, &asked, limits, &done))?,
        Some(also) => {
            let words =
                Collection::open(also, "mean", Wanted::default()).map_err(|error| wrong(also, error))?;
            let text = search::unit_mean(&queries::words(args, &words, verbosity.quiet)?);
            let beside = (&words, text.as_slice(), args.weight);
            watched(&|| search::find_beside_words(&collection, &asked, beside, limits, &done))?
        }
    };
    write(args, &collection, &named, &found, output.zip(format), &pool)
}

fn format_of(path: &Path) -> Result<AnswerFormat, Fatal> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("html")) {
        return Ok(AnswerFormat::Page);
    }
    TableFormat::of(path).map(AnswerFormat::Table).ok_or_else(|| {
        let path = display_path(path);
        Fatal::usage(anyhow!(
            "{path}: hits are written as .csv, .jsonl, .parquet, .md or .html; name such a file"
        ))
    })
}

/// The error of a search, with the collection in front.
fn wrong(collection: &Path, error: SearchError) -> Fatal {
    match error {
        // These name their file themselves.
        SearchError::File(error) => error.into(),
        SearchError::Query(QueryError::Weights(error)) => error.into(),
        SearchError::Query(error @ (QueryError::Video { .. } | QueryError::Ids { .. })) => {
            Fatal::input(error)
        }
        error => Fatal::input(anyhow!("{}: {error}", display_path(collection))),
    }
}

/// Writes the file that makes searches fast.
fn prepare(args: &SearchArgs, by: &str, quiet: bool) -> Result<(), Fatal> {
    let fail = |error| wrong(&args.collection, error);
    if let (file, Some(array)) = split_array(&args.collection) {
        return Err(Fatal::usage(anyhow!(
            "--prepare: one array of a file (#{array}) cannot be prepared; copy it into a file of its own, or search {} without it",
            display_path(file)
        )));
    }
    let stored = Collection::open_stored(&args.collection, by, Wanted::default()).map_err(fail)?;
    let rows = stored.rows();
    if !quiet {
        let bytes = search::bytes_per_row(rows.width());
        report::say(&format!(
            "preparing {} of {} numbers, {bytes} bytes a row and the texts: {:.1} MB",
            report::count(rows.rows(), "row"),
            rows.width(),
            (bytes * rows.rows()) as f64 / 1e6
        ));
    }
    let done = AtomicUsize::new(0);
    let count = |rows| done.store(rows, std::sync::atomic::Ordering::Relaxed);
    let path = progress::watch(3 * rows.rows(), quiet, &done, || stored.prepare(&mut { count }));
    let (path, taken) = path.map_err(fail)?;
    if !quiet {
        let older =
            if taken > 0 { format!(", {taken} rows of it from the older file") } else { String::new() };
        report::say(&format!("{}: written{older}; searches by {} read it", display_path(&path), args.by));
    }
    Ok(())
}
