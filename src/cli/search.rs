//! `lift search`: the clips of a collection that are most similar to a query.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use clap::{ArgGroup, Args};
use serde_json::json;

use super::compute::ComputeArgs;
use super::limits::LimitArgs;
use super::models::ModelArgs;
use super::numbers::real;
use super::range::RangeArgs;
use super::{Verbosity, report};
use crate::cia::representations::StoredParts;
use crate::cia::stored;
use crate::dataset::{Dataset, Manifest};
use crate::embed::{self, EmbedSettings, Engine, ModelChoice};
use crate::exit::{Exit, Fatal};
use crate::files::{self, AtomicFile, FileError, display_path, display_text};
use crate::inputs::Input;
use crate::rows::Part;
use crate::search::{self, Hit, Limits};
use crate::threads;
use crate::video::{Request, Sampling};

/// Find the clips of a collection that are most similar to a clip, or to its opposite
///
/// A collection is what lift embed writes (a file, or the folder of a dataset), or any matrix with ids. Every row is compared
/// with the query by cosine; nothing is approximate. Prints a table of rank, score and id. More: lift help searching.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lift embed clips/ -o all.parquet --parts concat,reversed\n  \
    lift search all.parquet --like door_opening.mp4             what looks and moves alike\n  \
    lift search all.parquet --like door_opening.mp4 --by odd    what moves alike\n  \
    lift search all.parquet --id a/door_3 --opposite            the opposite action\n  \
    lift search words/ --text \"a door opens\"                   words, where CLIP's or SigLIP's features are searched")]
#[command(group = ArgGroup::new("query").required(true).multiple(true).args(["like", "id", "text"]))]
pub(super) struct SearchArgs {
    /// The embeddings to search: a file, or the folder of a dataset
    #[arg(value_name = "COLLECTION")]
    collection: PathBuf,
    /// A video to compare with; repeat the flag to compare with the mean of several
    ///
    /// It is embedded with the models that the flags name. They must be those that made the collection.
    ///
    /// Default: none; --like or --id must be given. Example: --like door_opening.mp4
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
    #[arg(long, value_name = "WORDS", conflicts_with = "opposite", help_heading = "Query")]
    text: Vec<String>,
    /// Search for the opposite action: the query is mirrored in time
    ///
    /// The collection must have the part reversed, or be searched --by odd.
    #[arg(long, help_heading = "Query")]
    opposite: bool,
    /// What is compared: all (the whole embedding), odd, even, static, dynamic, mean, frames-mean or frames-concat
    ///
    /// odd is what changes its sign when a clip runs backwards: it finds the same motion, where all finds mostly the same look.
    /// With --text it is mean. Example: --by odd
    #[arg(long, value_name = "NAME", default_value = "all", help_heading = "Query")]
    by: String,
    #[command(flatten, next_help_heading = "Query")]
    range: RangeArgs,
    /// The most hits
    ///
    /// Example: --top 100
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Answer")]
    top: usize,
    /// Leave out hits whose cosine is smaller than this, -1 to 1
    ///
    /// Example: --min-score 0.5
    #[arg(long, value_name = "COSINE", default_value_t = -1.0, value_parser = cosine, allow_negative_numbers = true, help_heading = "Answer")]
    min_score: f64,
    /// Write the hits into a file, .csv or .jsonl, and print no table
    ///
    /// Default: none. Example: -o hits.csv
    #[arg(short, long, value_name = "FILE", help_heading = "Answer")]
    output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long, help_heading = "Answer")]
    overwrite: bool,
    /// The ids of the collection's rows, one per line, if it does not have them itself [default: its own]
    ///
    /// Example: --ids ids.txt
    #[arg(long, value_name = "FILE", help_heading = "Answer")]
    ids: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    models: ModelArgs,
    #[command(flatten)]
    compute: ComputeArgs,
}

fn cosine(text: &str) -> Result<f64, String> {
    real(text, |cosine| (-1.0..=1.0).contains(&cosine), "a cosine from -1 to 1")
}

/// How hits are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnswerFormat {
    Csv,
    JsonLines,
}

impl AnswerFormat {
    fn of(path: &Path) -> Result<Self, Fatal> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl") => Ok(Self::JsonLines),
            _ => {
                let path = display_path(path);
                Err(Fatal::usage(anyhow!("{path}: hits are written as .csv or .jsonl; name such a file")))
            }
        }
    }
}

/// Opens the collection, makes the query, compares and prints.
pub(super) fn run(args: &SearchArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let format = args.output.as_deref().map(AnswerFormat::of).transpose()?;
    let output = match &args.output {
        Some(path) => Some(AtomicFile::create(path, args.overwrite)?),
        None => None,
    };
    let collection = stored::embeddings(&args.collection, args.ids.as_deref())?;
    let by = compared_part(args)?;
    let compared = collection.representation(by).map_err(|error| wrong(&args.collection, error))?;
    let mut queries = Vec::new();
    for id in &args.id {
        let row = search::row_of(&collection, by, id, args.opposite);
        queries.push(row.map_err(|error| wrong(&args.collection, error))?);
    }
    let dataset = match Dataset::is_at(&args.collection) {
        true => Some(Dataset::read(&args.collection)?),
        false => None,
    };
    let manifest = dataset.as_ref().map(Dataset::manifest);
    queries.extend(embedded(args, &collection, manifest, by, verbosity.quiet)?);
    queries.extend(words(args, manifest, compared.width(), verbosity.quiet)?);
    let ids: Vec<String> = search::ids(&collection).into_iter().filter(|id| !args.id.contains(id)).collect();
    let limits = Limits { top: args.top, min_score: args.min_score };
    let query = search::unit_mean(&queries);
    let pool = threads::pool(args.compute.threads()).map_err(Fatal::input)?;
    let hits = pool.install(|| search::best(&compared, &ids, &query, limits));
    let hits = hits.map_err(|error| wrong(&args.collection, error))?;
    match (output, format) {
        (Some(mut file), Some(format)) => {
            let path = file.target().to_path_buf();
            file.write_all(&written(&hits, format)?).map_err(|e| FileError::write(&path, e))?;
            file.commit()?;
        }
        _ => files::print(table(&hits).as_bytes())?,
    }
    Ok(Exit::Success)
}

fn wrong(collection: &Path, error: impl std::fmt::Display) -> Fatal {
    Fatal::input(anyhow!("{}: {error}", display_path(collection)))
}

/// The name of the representation that is compared.
fn compared_part(args: &SearchArgs) -> Result<&str, Fatal> {
    match (args.by.as_str(), args.text.is_empty()) {
        ("all" | "mean", false) => Ok("mean"),
        (by, false) => Err(Fatal::usage(anyhow!(
            "--by {by}: words are compared with the part mean alone; leave --by out"
        ))),
        // `lift` is the benchmark's name for the whole embedding.
        ("all" | "concat", true) => Ok("lift"),
        (by, true) => Ok(by),
    }
}

/// The vectors of the words of --text, of the width `width` of the collection's rows.
fn words(
    args: &SearchArgs,
    manifest: Option<&Manifest>,
    width: usize,
    quiet: bool,
) -> Result<Vec<Vec<f32>>, Fatal> {
    if args.text.is_empty() {
        return Ok(vec![]);
    }
    let models = manifest.map(|manifest| manifest.models.clone()).unwrap_or_default();
    let texts: Vec<&str> = args.text.iter().map(String::as_str).collect();
    let words = embed::word_vectors(&models, args.models.named_encoder(), args.models.offline(), &texts)?;
    if words.width != width {
        return Err(wrong(
            &args.collection,
            format!(
                "its rows have {width} numbers, and the text tower gives {}: name the model that made them with --encoder and \
                 --encoder-weights",
                words.width
            ),
        ));
    }
    if words.same_file == Some(false) && !quiet {
        report::note(
            "the words are read by another file of weights than the collection's; it should hold the same model",
        );
    }
    Ok(words.vectors.chunks_exact(width).map(<[f32]>::to_vec).collect())
}

/// The rows of the videos of --like.
fn embedded(
    args: &SearchArgs,
    collection: &StoredParts,
    manifest: Option<&Manifest>,
    by: &str,
    quiet: bool,
) -> Result<Vec<Vec<f32>>, Fatal> {
    if args.like.is_empty() {
        return Ok(vec![]);
    }
    let parts: Vec<Part> = collection.own.keys().filter_map(|name| name.parse().ok()).collect();
    let compute = args.compute.settle(quiet)?;
    let choice = args.models.choice(&compute, quiet);
    let request = request(args, collection, manifest, &choice, &parts, quiet)?;
    let settings = EmbedSettings {
        request,
        parts: parts.clone(),
        normalize: false,
        threads: compute.threads,
        timeout: args.limits.timeout(),
        pictures: None,
    };
    let engine = Arc::new(Engine::load(&choice, &parts)?);
    let mut queries = Vec::new();
    for (index, path) in args.like.iter().enumerate() {
        let (start, end) = (args.range.start, args.range.end);
        let id = display_path(path);
        let input = Input { index, id: id.clone(), path: path.clone(), start, end };
        let clip = embed::clip(&engine, &input, &settings)
            .map_err(|failure| Fatal::input(anyhow!("{id}: {}", failure.error)))?;
        if !quiet {
            clip.notes.iter().for_each(|note| report::note(&format!("{id}: {note}")));
        }
        let parts = search::clip_parts(&clip, collection, &id).map_err(|error| wrong(path, error))?;
        queries.push(search::row_of(&parts, by, &id, args.opposite).map_err(|error| wrong(path, error))?);
    }
    Ok(queries)
}

/// The frames to take of a query: as many as the collection was made of. The models that its manifest names must be those
/// chosen.
fn request(
    args: &SearchArgs,
    collection: &StoredParts,
    manifest: Option<&Manifest>,
    choice: &ModelChoice,
    parts: &[Part],
    quiet: bool,
) -> Result<Request, Fatal> {
    let default = Request::default();
    let stored = collection.own.get(Part::Frames.name()).and_then(|frames| frames.shape.first().copied());
    let mut request = Request {
        sampling: stored.map_or(default.sampling, Sampling::Count),
        range_by: args.range.range_by,
        max_pixels: Some(args.limits.max_pixels),
        ..default
    };
    let Some(manifest) = manifest else {
        if !quiet {
            report::note(&format!(
                "{} does not say which models made it; the query is embedded with those that the flags name",
                display_path(&args.collection)
            ));
        }
        return Ok(request);
    };
    let setting = |name: &str| manifest.settings.get(name);
    request.sampling = match (setting("fps").and_then(|v| v.as_f64()), setting("frames")) {
        (Some(fps), _) => Sampling::Fps(fps),
        (None, Some(frames)) => frames.as_u64().map_or(Sampling::All, |n| Sampling::Count(n as usize)),
        (None, None) => request.sampling,
    };
    request.keyframes = setting("keyframes").and_then(|v| v.as_bool()).unwrap_or(false);
    request.reverse = setting("reverse").and_then(|v| v.as_bool()).unwrap_or(false);
    let fixed = if let Sampling::Count(frames) = request.sampling { Some(frames) } else { None };
    let (_, models) = choice.describe(parts, fixed)?;
    for (name, made) in &manifest.models {
        let found = models.get(name).filter(|model| model.sha256 == made.sha256);
        if found.is_none() {
            return Err(wrong(
                &args.collection,
                format!(
                    "it was made with the {name} of {} (SHA-256 {:.12}...), and the flags name another: choose the same with \
                     --model, --dinov2, --encoder or --lift",
                    made.from, made.sha256
                ),
            ));
        }
    }
    Ok(request)
}

/// The hits as a table for people.
fn table(hits: &[Hit]) -> String {
    let width = hits.len().to_string().len().max("rank".len());
    let mut text = format!("{:>width$}  {:>7}  id\n", "rank", "score");
    for (rank, hit) in hits.iter().enumerate() {
        text += &format!("{:>width$}  {:>7.4}  {}\n", rank + 1, hit.score, display_text(&hit.id));
    }
    text
}

/// The hits as a file.
fn written(hits: &[Hit], format: AnswerFormat) -> Result<Vec<u8>, Fatal> {
    let mut bytes = Vec::new();
    if format == AnswerFormat::JsonLines {
        for (rank, Hit { id, score }) in hits.iter().enumerate() {
            bytes.extend(json!({ "rank": rank + 1, "score": score, "id": id }).to_string().into_bytes());
            bytes.push(b'\n');
        }
        return Ok(bytes);
    }
    let mut csv = csv::Writer::from_writer(bytes);
    let mut record = |cells: [&str; 3]| csv.write_record(cells).map_err(Fatal::input);
    record(["rank", "score", "id"])?;
    for (rank, Hit { id, score }) in hits.iter().enumerate() {
        record([&(rank + 1).to_string(), &score.to_string(), id])?;
    }
    csv.into_inner().map_err(|error| Fatal::input(anyhow!("{error}")))
}
