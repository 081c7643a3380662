//! Writes the answer: a table for people, a file, or a page with filmstrips.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::ThreadPool;
use rayon::prelude::*;

use super::queries::NamedQuery;
use super::{AnswerFormat, SearchArgs};
use crate::cli::report;
use crate::embed;
use crate::exit::{Exit, Fatal};
use crate::files::{self, AtomicFile, display_path, display_text};
use crate::inputs::{Input, column_names};
use crate::search::{Answer, Collection, Moment, PageQuery, STRIP_SIDE, Strip, page, time, write_table};
use crate::video::Request;

/// Prints or writes what was found of every query.
pub(super) fn write(
    args: &SearchArgs,
    collection: &Collection,
    queries: &[NamedQuery],
    found: &[Vec<Moment>],
    output: Option<(AtomicFile, AnswerFormat)>,
    pool: &ThreadPool,
) -> Result<Exit, Fatal> {
    let answers: Vec<Vec<Answer>> =
        queries.iter().zip(found).map(|(query, found)| Answer::of(&query.name, found)).collect();
    match output {
        None => files::print(table(&answers).as_bytes())?,
        Some((file, AnswerFormat::Page)) => {
            return html(args, collection, queries, found, &answers, file, pool);
        }
        Some((file, AnswerFormat::Table(format))) => write_table(file, format, &answers.concat())?,
    }
    Ok(Exit::Success)
}

/// The hits as tables for people, one per query.
fn table(answers: &[Vec<Answer>]) -> String {
    let mut text = String::new();
    for of_query in answers {
        if answers.len() > 1 {
            let name = of_query.first().map_or("(no hit)", |answer| &answer.query);
            text += &format!("{}{}\n", if text.is_empty() { "" } else { "\n" }, display_text(name));
        }
        let mut columns: Vec<(&str, Vec<String>)> = vec![
            ("rank", of_query.iter().map(|answer| answer.rank.to_string()).collect()),
            ("score", of_query.iter().map(|answer| format!("{:.4}", answer.score)).collect()),
            ("id", of_query.iter().map(|answer| display_text(&answer.id)).collect()),
        ];
        let times: Vec<String> = of_query.iter().map(|answer| time(answer.start, answer.end)).collect();
        if times.iter().any(|time| !time.is_empty()) {
            columns.push(("time", times));
        }
        for name in column_names(of_query.iter().map(|answer| &answer.columns)) {
            let value =
                |answer: &Answer| answer.columns.get(name).map_or(String::new(), |value| display_text(value));
            columns.push((name, of_query.iter().map(value).collect()));
        }
        columns.push(("path", of_query.iter().map(|answer| display_text(&answer.path)).collect()));
        let width = |(name, cells): &(&str, Vec<String>)| {
            cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0).max(name.chars().count())
        };
        let widths: Vec<usize> = columns.iter().map(width).collect();
        let mut add = |row: Option<usize>| {
            let mut line = String::new();
            for ((name, cells), width) in columns.iter().zip(&widths) {
                let cell = row.map_or(*name, |row| &cells[row]);
                let is_number = ["rank", "score"].contains(name);
                let gap = if line.is_empty() { "" } else { "  " };
                line +=
                    &if is_number { format!("{gap}{cell:>width$}") } else { format!("{gap}{cell:<width$}") };
            }
            text += &format!("{}\n", line.trim_end());
        };
        add(None);
        (0..of_query.len()).for_each(|row| add(Some(row)));
    }
    text
}

/// The page: the frames of every clip on it are read first, each clip once.
fn html(
    args: &SearchArgs,
    collection: &Collection,
    queries: &[NamedQuery],
    found: &[Vec<Moment>],
    answers: &[Vec<Answer>],
    file: AtomicFile,
    pool: &ThreadPool,
) -> Result<Exit, Fatal> {
    let clips = queries.iter().flat_map(|query| query.clips.clone());
    let clips: Vec<Input> = clips.chain(found.iter().flatten().map(|moment| moment.clip.input())).collect();
    let request = Request { max_pixels: Some(args.limits.max_pixels), ..Request::default() };
    let strip = |input: &Input| -> Strip {
        if input.path == Path::new("") {
            return Err("the collection does not say where the video is".into());
        }
        embed::filmstrip(input, &request, STRIP_SIDE)
            .map_err(|cause| format!("{}: {cause}", display_path(&input.path)))
    };
    let mut unique: HashMap<Key, &Input> = HashMap::new();
    clips.iter().for_each(|clip| {
        unique.entry(key(clip)).or_insert(clip);
    });
    let strips: HashMap<Key, Strip> =
        pool.install(|| unique.into_par_iter().map(|(key, clip)| (key, strip(clip))).collect());
    let named = strips.iter().filter(|((path, ..), _)| path != Path::new(""));
    let unread: Vec<&String> = named.filter_map(|(_, strip)| strip.as_ref().err()).collect();
    if let Some(first) = unread.iter().min() {
        let clips = report::count(strips.len(), "clip");
        report::error(&format!(
            "{} of {clips} cannot be shown, the first because of this: {first}",
            unread.len()
        ));
    }
    let exit = if unread.is_empty() { Exit::Success } else { Exit::SomeFailed };
    let of = |input: &Input| &strips[&key(input)];
    let pages: Vec<PageQuery> = queries
        .iter()
        .zip(found)
        .zip(answers)
        .map(|((query, found), answers)| PageQuery {
            name: &query.name,
            clips: query.clips.iter().map(|clip| (clip.id.clone(), of(clip))).collect(),
            hits: answers
                .iter()
                .zip(found)
                .map(|(answer, moment)| (answer, of(&moment.clip.input())))
                .collect(),
        })
        .collect();
    let what = if args.opposite { "the opposite of " } else { "" };
    let title = match queries {
        [one] => format!("Most similar to {what}{}", display_text(&one.name)),
        several => format!("Most similar to {what}{} clips", several.len()),
    };
    let caption = format!(
        "{} rows of {}, compared by {}",
        collection.rows().rows(),
        display_path(&args.collection),
        args.by
    );
    let html = page(&title, &caption, &pages).map_err(Fatal::input)?;
    file.commit_bytes(html.as_bytes())?;
    Ok(exit)
}

/// What tells clips apart: the file and the range.
type Key = (PathBuf, Option<u64>, Option<u64>);

fn key(input: &Input) -> Key {
    (input.path.clone(), input.start.map(f64::to_bits), input.end.map(f64::to_bits))
}
