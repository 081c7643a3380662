//! The queries that the flags name.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::{SearchArgs, wrong};
use crate::cli::report;
use crate::embed;
use crate::exit::Fatal;
use crate::files::{FileError, display_path, display_text};
use crate::inputs::Input;
use crate::rows;
use crate::search::{self, Collection, Query, QueryError, VideoQueries};
use crate::video::Request;

/// A query with what is told of it.
pub(super) struct NamedQuery {
    /// For answers to several queries.
    pub(super) name: String,
    /// What is compared.
    pub(super) query: Query,
    /// The clips that it was made of, for the page.
    pub(super) clips: Vec<Input>,
}

/// A clip that was named: its vector, and where it is.
struct QueryClip {
    vector: Vec<f32>,
    row: Option<usize>,
    input: Input,
}

/// Finds the vectors of clips; the models are loaded when the first video needs them.
struct Clips<'a> {
    args: &'a SearchArgs,
    collection: &'a Collection,
    quiet: bool,
    videos: Option<VideoQueries>,
}

impl Clips<'_> {
    fn fail(&self, error: search::SearchError) -> Fatal {
        wrong(&self.args.collection, error)
    }

    /// A row of the collection; `opposite`: as if it ran backwards.
    fn row(&self, id: &str, opposite: bool) -> Result<QueryClip, Fatal> {
        let row = self.collection.row_of(id).map_err(|error| self.fail(error))?;
        let vector = match opposite {
            false => self.collection.rows().exact(row),
            true => self
                .collection
                .parts()
                .and_then(|parts| Ok(search::row_of(parts, self.collection.by(), id, true)?)),
        };
        let clip = self.collection.clip(row).map_err(|error| self.fail(error))?;
        let vector = vector.map_err(|error| self.fail(error))?;
        Ok(QueryClip { vector, row: Some(row), input: clip.input() })
    }

    /// A video.
    fn video(&mut self, path: &Path, opposite: bool) -> Result<QueryClip, Fatal> {
        let (start, end) = (self.args.range.start, self.args.range.end);
        let input = Input { id: display_path(path), path: path.to_owned(), start, end, ..Input::default() };
        let videos = match self.videos.take() {
            Some(videos) => videos,
            None => self.load()?,
        };
        let (vector, notes) = videos.row(&input, opposite).map_err(|error| self.fail(error.into()))?;
        self.videos = Some(videos);
        if !self.quiet {
            notes.iter().for_each(|note| report::note(&format!("{}: {note}", input.id)));
        }
        Ok(QueryClip { vector, row: None, input })
    }

    fn load(&self) -> Result<VideoQueries, Fatal> {
        let args = self.args;
        if self.collection.provenance().is_none() && !self.quiet {
            report::note(&format!(
                "{} does not say which models made it; the query is embedded with those that the flags name",
                display_path(&args.collection)
            ));
        }
        let compute = args.compute.settle(self.quiet)?;
        let choice = args.models.choice(&compute, self.quiet);
        let request = Request {
            range_by: args.range.range_by,
            max_pixels: Some(args.limits.max_pixels),
            ..Request::default()
        };
        let (threads, timeout) = (compute.threads, args.limits.timeout());
        VideoQueries::new(self.collection, &choice, &request, threads, timeout)
            .map_err(|error| self.fail(error.into()))
    }

    /// A video if there is such a file, else a row of the collection.
    fn either(&mut self, name: &Path, opposite: bool) -> Result<QueryClip, Fatal> {
        if name.exists() {
            return self.video(name, opposite);
        }
        let id = name.to_string_lossy();
        if self.collection.row_of(&id).is_err() {
            return Err(Fatal::input(anyhow!(
                "{}: it is neither a file nor an id of {}",
                display_text(&id),
                display_path(&self.args.collection)
            )));
        }
        self.row(&id, opposite)
    }
}

/// All queries: one of --like, --id and --text together, then one for each line of --list and each row of --vector.
pub(super) fn queries(
    args: &SearchArgs,
    collection: &Collection,
    quiet: bool,
) -> Result<Vec<NamedQuery>, Fatal> {
    let mut clips = Clips { args, collection, quiet, videos: None };
    let mut unlike = Vec::new();
    for name in &args.unlike {
        unlike.push(clips.either(name, args.opposite)?.vector);
    }
    let width = collection.rows().width();
    let checked = |name: String, vectors: &[Vec<f32>], without: HashSet<usize>, clips: Vec<Input>| {
        if let Some(wrong_one) = vectors.iter().chain(&unlike).find(|vector| vector.len() != width) {
            let error = QueryError::Width { query: name, found: wrong_one.len(), needed: width };
            return Err(wrong(&args.collection, error.into()));
        }
        let vector = search::away_from(&search::unit_mean(vectors), &unlike);
        if !unlike.is_empty() && vector.iter().all(|x| *x == 0.0) {
            return Err(Fatal::usage(anyhow!(
                "{}: the query and --unlike are the same, so nothing is left to search for",
                display_text(&name)
            )));
        }
        Ok(NamedQuery { name, query: Query { vector, without }, clips })
    };
    let mut all = Vec::new();
    let mut given = Vec::new();
    for id in &args.id {
        given.push(clips.row(id, args.opposite)?);
    }
    for path in &args.like {
        given.push(clips.video(path, args.opposite)?);
    }
    let mut vectors: Vec<Vec<f32>> = given.iter().map(|clip| clip.vector.clone()).collect();
    let mut names: Vec<String> = given.iter().map(|clip| clip.input.id.clone()).collect();
    if args.also.is_none() {
        vectors.extend(words(args, collection, quiet)?);
    }
    names.extend(args.text.iter().cloned());
    if !vectors.is_empty() {
        let without = given.iter().filter_map(|clip| clip.row).collect();
        let inputs = given.into_iter().map(|clip| clip.input).collect();
        all.push(checked(names.join(" + "), &vectors, without, inputs)?);
    }
    if let Some(list) = &args.list {
        let ids = rows::read_ids(list, None)?;
        if ids.is_empty() {
            return Err(FileError::read(list, "it has no line").into());
        }
        for id in ids {
            // An id goes before a file of the same name: lists are mostly of ids.
            let clip = match collection.row_of(&id) {
                Ok(_) => clips.row(&id, args.opposite)?,
                Err(_) => clips.either(&PathBuf::from(&id), args.opposite)?,
            };
            let without = clip.row.into_iter().collect();
            all.push(checked(id, &[clip.vector], without, vec![clip.input])?);
        }
    }
    if let Some(file) = &args.vector {
        if args.opposite {
            return Err(Fatal::usage(anyhow!(
                "--opposite: vectors of a file cannot be mirrored; leave it out"
            )));
        }
        let (file, array) = rows::split_array(file);
        let table = rows::read(file, rows::Wanted { array, ..rows::Wanted::default() })?;
        let array = table.only()?;
        if let (Some(made), Some(other)) = (collection.provenance(), &table.provenance) {
            let differences = search::differences(made, other);
            if !differences.is_empty() {
                return Err(Fatal::input(anyhow!(
                    "{}: it was made otherwise than {} ({}); search with vectors that were made as the collection was",
                    display_path(file),
                    display_path(&args.collection),
                    differences.join("; ")
                )));
            }
        }
        let names = table.ids().map(<[String]>::to_vec);
        let names = names.unwrap_or_else(|_| (0..array.rows()).map(|row| format!("row {row}")).collect());
        for (row, name) in names.into_iter().enumerate() {
            all.push(checked(name, &[array.row(row).to_vec()], HashSet::new(), vec![])?);
        }
    }
    Ok(all)
}

/// The vectors of the words of --text, for a collection of frame features.
pub(super) fn words(args: &SearchArgs, collection: &Collection, quiet: bool) -> Result<Vec<Vec<f32>>, Fatal> {
    if args.text.is_empty() {
        return Ok(vec![]);
    }
    let models = collection.provenance().map(|made| made.models.clone()).unwrap_or_default();
    let texts: Vec<&str> = args.text.iter().map(String::as_str).collect();
    let words = embed::word_vectors(&models, args.models.named_encoder(), args.models.offline(), &texts)?;
    if words.width != collection.rows().width() {
        return Err(Fatal::input(anyhow!(
            "{}: its rows have {} numbers, and the text tower gives {}: name the model that made them with --encoder and \
             --encoder-weights",
            display_path(collection.path()),
            collection.rows().width(),
            words.width
        )));
    }
    if words.same_file == Some(false) && !quiet {
        report::note(
            "the words are read by another file of weights than the collection's; it should hold the same model",
        );
    }
    Ok(words.vectors.chunks_exact(words.width).map(<[f32]>::to_vec).collect())
}
