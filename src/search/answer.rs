//! Answers: the hits of queries as lines of a table, and several answers joined into one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::moments::Moment;
use super::table::{Cell, TableFormat, TableLine};
use crate::files::{FileError, display_text};
use crate::inputs::Columns;

/// A line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The query's name.
    pub query: String,
    /// From 1.
    pub rank: usize,
    /// The cosine, or the sum of two standardised cosines.
    pub score: f64,
    /// The row's id.
    pub id: String,
    /// The video; empty if the collection does not say.
    pub path: String,
    /// Where the clip starts, in seconds; `None` for the beginning.
    pub start: Option<f64>,
    /// Where it ends; `None` for the end.
    pub end: Option<f64>,
    /// What the collection keeps of the list of its clips; in tables, columns of their own.
    #[serde(skip)]
    pub columns: Columns,
}

impl Answer {
    /// The answer with its kept columns: of the texts of its line, by the names of their columns, those that are not its own.
    fn with_kept(self, mut columns: Columns) -> Self {
        columns.retain(|name, _| !Self::COLUMNS.contains(&name.as_str()));
        Self { columns, ..self }
    }

    /// The lines of one query.
    pub fn of(query: &str, moments: &[Moment]) -> Vec<Self> {
        let line = |(at, Moment { hit, clip }): (usize, &Moment)| Self {
            query: query.to_owned(),
            rank: at + 1,
            score: hit.score,
            id: hit.id.clone(),
            path: clip.path.to_string_lossy().into_owned(),
            start: clip.start,
            end: clip.end,
            columns: clip.columns.clone(),
        };
        moments.iter().enumerate().map(line).collect()
    }
}

impl TableLine for Answer {
    const COLUMNS: &'static [&'static str] = &["query", "rank", "score", "id", "path", "start", "end"];

    fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            Cell::Text(&self.query),
            Cell::Count(self.rank),
            Cell::Number(Some(self.score)),
            Cell::Text(&self.id),
            Cell::Text(&self.path),
            Cell::Number(self.start),
            Cell::Number(self.end),
        ]
    }

    fn kept(&self) -> &Columns {
        &self.columns
    }
}

/// A range for people: `2 to 4.5 s`; empty for a whole video.
pub fn time(start: Option<f64>, end: Option<f64>) -> String {
    let shown = |seconds: f64| format!("{}", (seconds * 1000.0).round() / 1000.0);
    match (start, end) {
        (None, None) => String::new(),
        (start, Some(end)) => format!("{} to {} s", shown(start.unwrap_or(0.0)), shown(end)),
        (Some(start), None) => format!("from {} s", shown(start)),
    }
}

/// Reads an answer that was written as `.csv` or `.jsonl`.
fn read_answers(path: &Path) -> Result<Vec<Answer>, FileError> {
    let fail = |reason: String| FileError::read(path, format!("not an answer of lift search: {reason}"));
    match TableFormat::of(path) {
        Some(TableFormat::Csv) => {
            let mut csv = csv::Reader::from_path(path).map_err(|e| fail(e.to_string()))?;
            let header = csv.headers().map_err(|e| fail(e.to_string()))?.clone();
            let line = |record: csv::Result<csv::StringRecord>| -> csv::Result<Answer> {
                let record = record?;
                let cells = header.iter().zip(&record).filter(|(_, value)| !value.is_empty());
                let columns = cells.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                Ok(record.deserialize::<Answer>(Some(&header))?.with_kept(columns))
            };
            csv.records().map(line).collect::<Result<_, _>>().map_err(|e| fail(e.to_string()))
        }
        Some(TableFormat::JsonLines) => {
            let file = File::open(path).map_err(|e| fail(e.to_string()))?;
            let line = |line: std::io::Result<String>| {
                let line = line.map_err(|e| e.to_string())?;
                let fields: Value = serde_json::from_str(&line).map_err(|e| e.to_string())?;
                let answer = Answer::deserialize(&fields).map_err(|e| e.to_string())?;
                let fields = fields.as_object().into_iter().flatten();
                let texts =
                    fields.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
                Ok(answer.with_kept(texts.collect()))
            };
            BufReader::new(file).lines().map(line).collect::<Result<_, String>>().map_err(fail)
        }
        _ => Err(fail("answers are joined as .csv or .jsonl".into())),
    }
}

/// Whether a file is an answer, by its extension and its first line, and not rows of embeddings.
pub fn is_answer(path: &Path) -> bool {
    match TableFormat::of(path) {
        Some(TableFormat::Csv) => true,
        Some(TableFormat::JsonLines) => {
            let first = File::open(path).ok().and_then(|file| BufReader::new(file).lines().next()?.ok());
            first.is_some_and(|line| serde_json::from_str::<Answer>(&line).is_ok())
        }
        _ => false,
    }
}

/// Joins answers to the same queries of several collections, for example of the shards of one: the best `top` of each query.
///
/// # Errors
/// `Read` if a file is not an answer, or a row stands in two of them.
pub fn merge_answers(files: &[PathBuf], top: usize) -> Result<Vec<Answer>, FileError> {
    let mut order: Vec<String> = Vec::new();
    let mut queries: BTreeMap<String, Vec<Answer>> = BTreeMap::new();
    for file in files {
        for answer in read_answers(file)? {
            let answers = queries.entry(answer.query.clone()).or_default();
            if answers.is_empty() {
                order.push(answer.query.clone());
            }
            if answers.iter().any(|known| known.id == answer.id) {
                let id = display_text(&answer.id);
                let reason = format!(
                    "its id '{id}' stands in an answer before it too; join answers of collections that have no row in common"
                );
                return Err(FileError::read(file, reason));
            }
            answers.push(answer);
        }
    }
    let mut all = Vec::new();
    for query in order {
        let mut answers = queries.remove(&query).unwrap_or_default();
        answers.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
        answers.truncate(top);
        all.extend(answers.into_iter().enumerate().map(|(at, answer)| Answer { rank: at + 1, ..answer }));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::table::write_table;
    use super::*;
    use crate::files::AtomicFile;

    fn answer(query: &str, score: f64, id: &str) -> Answer {
        let (query, id) = (query.to_owned(), id.to_owned());
        let columns = Columns::from([("label".to_owned(), format!("of|{id}, \"x\""))]);
        Answer { query, rank: 1, score, id, path: "a|b.mp4".into(), start: Some(1.0), end: None, columns }
    }

    fn written(folder: &Path, name: &str, answers: &[Answer]) -> PathBuf {
        let path = folder.join(name);
        let file = AtomicFile::create(&path, false).unwrap();
        write_table(file, TableFormat::of(&path).unwrap(), answers).unwrap();
        path
    }

    #[test]
    fn answers_come_back_and_are_joined_by_score_and_id() {
        let dir = tempfile::tempdir().unwrap();
        let one = [answer("q", 0.1 + 0.2, "c"), answer("q", 0.1, "a"), answer("r", 0.5, "a")];
        // Not every collection keeps something.
        let two = [Answer { columns: Columns::new(), ..answer("q", 0.1 + 0.2, "b") }, answer("q", -0.5, "d")];
        for extension in ["csv", "jsonl"] {
            let files = [
                written(dir.path(), &format!("one.{extension}"), &one),
                written(dir.path(), &format!("two.{extension}"), &two),
            ];
            assert_eq!(read_answers(&files[0]).unwrap(), one);
            assert!(is_answer(&files[0]));
            let joined = merge_answers(&files, 2).unwrap();
            let ids: Vec<_> = joined.iter().map(|a| (a.query.as_str(), a.rank, a.id.as_str())).collect();
            assert_eq!(ids, [("q", 1, "b"), ("q", 2, "c"), ("r", 1, "a")]);
            let error = merge_answers(&[files[0].clone(), files[0].clone()], 10).unwrap_err().to_string();
            assert!(error.contains("its id 'c'"), "{error}");
        }
    }

    #[test]
    fn a_table_holds_any_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path(), "x.md", &[answer("q", 0.5, "x|y\n")]);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.contains("| q | 1 | 0.5000 | x\\|y  | a\\|b.mp4 | 1.0000 |  | of\\|x\\|y , \"x\" |"),
            "{text}"
        );
        assert_eq!(time(None, Some(4.5)), "0 to 4.5 s");
        assert_eq!(time(Some(1.5), None), "from 1.5 s");
        for answers in [&[answer("q", 0.5, "a")][..], &[]] {
            let path = written(dir.path(), &format!("{}.parquet", answers.len()), answers);
            let rows = parquet::file::reader::SerializedFileReader::new(File::open(path).unwrap()).unwrap();
            let count = parquet::file::reader::FileReader::metadata(&rows).file_metadata().num_rows();
            assert_eq!(count, answers.len() as i64);
        }
    }
}
