//! Reads one CSV of the benchmark, in either of its forms, into a flat list of videos.
//!
//! Columns are found by name, and unknown ones are ignored. Ids are text even if they look like numbers. What cannot be read
//! is an error with file and line; what the authors' code ignores (a group listed twice) is a warning.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::clips::{ClipSource, Columns, seconds};

/// Why a benchmark file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// The file cannot be opened or is not CSV.
    #[error("{}: cannot be read as CSV: {cause}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        cause: csv::Error,
    },
    /// The file as a whole is not a benchmark file.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        what: String,
    },
    /// One line is wrong.
    #[error("{}:{line}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1 with the header.
        line: u64,
        /// What is wrong and what would be right.
        what: String,
    },
}

/// One video in one group of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedVideo {
    /// Its line in the file, counted from 1 with the header.
    pub line: u64,
    /// The group.
    pub triplet: String,
    /// The video.
    pub id: String,
    /// The direction: forward is the probe's class 1. Of the per-video form, [`Splits::read`](super::splits::Splits::read) decides it by
    /// the labels of both files.
    pub forward: bool,
    /// The label of the per-video form.
    pub label: Option<String>,
    /// The verb of that direction; empty if the file has none.
    pub verb: String,
    /// The group's noun; empty if the file has none.
    pub noun: String,
    /// Where the video is, if the file has columns for that.
    pub source: Option<ClipSource>,
}

/// The content of one CSV.
#[derive(Debug)]
pub struct SplitFile {
    /// The file.
    pub path: PathBuf,
    /// Its videos in the file's order.
    pub entries: Vec<ListedVideo>,
    /// What was ignored.
    pub warnings: Vec<String>,
}

const NOUNS: [&str; 3] = ["noun_abstract", "noun", "noun_class"];
const GROUP_FORM: [&str; 3] = ["triplet_id", "id_forward", "id_reverse"];
const VIDEO_FORM: [&str; 3] = ["id", "chiral_triplet_id", "chiral_label"];

/// Reads one file; its columns decide the form.
///
/// # Errors
/// [`SplitError`] if the file cannot be read or misses a column, or if a line has no id, no group, no label, or a time that cannot
/// be read.
pub fn read(path: &Path, columns: &Columns) -> Result<SplitFile, SplitError> {
    let csv_error = |cause| SplitError::Csv { path: path.to_owned(), cause };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(csv_error)?;
    let header: HashMap<String, usize> = reader
        .headers()
        .map_err(csv_error)?
        .iter()
        .enumerate()
        .map(|(at, name)| (name.trim_start_matches('\u{feff}').trim().to_owned(), at))
        .collect();
    let mut records = Vec::new();
    for record in reader.records() {
        let record = record.map_err(csv_error)?;
        let line = record.position().map_or(0, csv::Position::line);
        records.push((line, record));
    }
    let file = File { path, header, records };
    let has = |names: &[&str]| names.iter().filter(|name| file.header.contains_key(**name)).count();
    let (groups, videos) = (has(&GROUP_FORM), has(&VIDEO_FORM));
    let listing = if groups == GROUP_FORM.len() {
        if let Some(column) = columns.names().next() {
            return Err(file.wrong_at(1, format!(
                "one row per group has no column `{column}` for a video; give the per-video form (cia-*.csv)"
            )));
        }
        file.group_form()
    } else if videos == VIDEO_FORM.len() {
        file.video_form(columns)
    } else {
        let wanted = if groups >= videos && groups > 0 { GROUP_FORM } else { VIDEO_FORM };
        let missing: Vec<_> = wanted.iter().filter(|name| !file.header.contains_key(**name)).collect();
        Err(file.wrong_at(
            1,
            format!(
                "column {} is missing; a benchmark file has either {} or {}",
                missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
                GROUP_FORM.join(", "),
                VIDEO_FORM.join(", "),
            ),
        ))
    }?;
    if listing.entries.is_empty() {
        return Err(file.wrong("has no videos".to_owned()));
    }
    Ok(listing)
}

/// The table as text.
struct File<'a> {
    path: &'a Path,
    header: HashMap<String, usize>,
    records: Vec<(u64, csv::StringRecord)>,
}

impl File<'_> {
    fn wrong(&self, what: String) -> SplitError {
        SplitError::File { path: self.path.to_owned(), what }
    }

    fn wrong_at(&self, line: u64, what: String) -> SplitError {
        SplitError::Line { path: self.path.to_owned(), line, what }
    }

    /// The cell of a named column, trimmed; empty if column or cell is absent.
    fn cell<'r>(&self, record: &'r csv::StringRecord, name: &str) -> &'r str {
        self.header.get(name).and_then(|&at| record.get(at)).unwrap_or("").trim()
    }

    /// A cell that must not be empty.
    fn needed<'r>(
        &self,
        line: u64,
        record: &'r csv::StringRecord,
        name: &str,
    ) -> Result<&'r str, SplitError> {
        match self.cell(record, name) {
            "" => Err(self.wrong_at(line, format!("column `{name}` is empty"))),
            text => Ok(text),
        }
    }

    fn noun(&self, record: &csv::StringRecord) -> String {
        let found = NOUNS.iter().map(|name| self.cell(record, name)).find(|text| !text.is_empty());
        found.unwrap_or("").to_owned()
    }

    fn group_form(&self) -> Result<SplitFile, SplitError> {
        let mut listing = SplitFile { path: self.path.to_owned(), entries: Vec::new(), warnings: Vec::new() };
        let mut seen: HashMap<&str, u64> = HashMap::new();
        for (line, record) in &self.records {
            let triplet = self.needed(*line, record, "triplet_id")?;
            if let Some(first) = seen.get(triplet) {
                let path = self.path.display();
                listing.warnings.push(format!(
                    "{path}:{line}: group {triplet} is listed again (first on line {first}); the first row is used"
                ));
                continue;
            }
            seen.insert(triplet, *line);
            for (ids, verb, forward) in
                [("id_forward", "verb_forward", true), ("id_reverse", "verb_reverse", false)]
            {
                let ids = self.cell(record, ids).split(';').map(str::trim).filter(|id| !id.is_empty());
                listing.entries.extend(ids.map(|id| ListedVideo {
                    line: *line,
                    triplet: triplet.to_owned(),
                    id: id.to_owned(),
                    forward,
                    label: None,
                    verb: self.cell(record, verb).to_owned(),
                    noun: self.noun(record),
                    source: None,
                }));
            }
        }
        Ok(listing)
    }

    fn video_form(&self, columns: &Columns) -> Result<SplitFile, SplitError> {
        if let Some(column) = columns.names().find(|name| !self.header.contains_key(*name)) {
            let mut known: Vec<_> = self.header.keys().map(String::as_str).collect();
            known.sort_unstable();
            return Err(
                self.wrong_at(1, format!("there is no column `{column}`; there are {}", known.join(", ")))
            );
        }
        let mut entries = Vec::with_capacity(self.records.len());
        for (line, record) in &self.records {
            let label = self.needed(*line, record, "chiral_label")?.to_owned();
            entries.push(ListedVideo {
                line: *line,
                triplet: self.needed(*line, record, "chiral_triplet_id")?.to_owned(),
                id: self.needed(*line, record, "id")?.to_owned(),
                forward: true,
                label: Some(label),
                verb: self.cell(record, "verb").to_owned(),
                noun: self.noun(record),
                source: self.source(*line, record, columns)?,
            });
        }
        Ok(SplitFile { path: self.path.to_owned(), entries, warnings: Vec::new() })
    }

    fn source(
        &self,
        line: u64,
        record: &csv::StringRecord,
        columns: &Columns,
    ) -> Result<Option<ClipSource>, SplitError> {
        if columns.names().next().is_none() {
            return Ok(None);
        }
        let time = |name: &Option<String>| {
            let Some(name) = name else { return Ok(None) };
            let text = self.needed(line, record, name)?;
            seconds(text).map(Some).ok_or_else(|| {
                self.wrong_at(line, format!("`{text}` in column `{name}` is neither seconds nor hh:mm:ss.cc"))
            })
        };
        let video = match &columns.video {
            Some(name) => Some(self.needed(line, record, name)?.to_owned()),
            None => None,
        };
        let (start, end) = (time(&columns.start)?, time(&columns.end)?);
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            return Err(self.wrong_at(line, format!("the clip ends ({end} s) before it starts ({start} s)")));
        }
        Ok(Some(ClipSource { video, start, end }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, columns: &Columns) -> Result<SplitFile, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        std::fs::write(&path, text).unwrap();
        read(&path, columns).map_err(|error| {
            let text = error.to_string();
            text.replace(&path.display().to_string(), "list.csv")
        })
    }

    #[test]
    fn both_forms_give_the_same_entries() {
        let groups = "\u{feff}triplet_id,id_forward,id_reverse,verb_forward,verb_reverse,noun,other\n\
                      t1,007; 8 ;,9,open,close,door,x\n";
        let videos = "noun,extra,chiral_label,id,chiral_triplet_id,verb\n\
                      door,?,1.0,007,t1,open\ndoor,?,1,8,t1,open\ndoor,?,0.0,9,t1,close\n";
        let strip = |listing: SplitFile| {
            let entries = listing.entries.into_iter().map(|entry| ListedVideo {
                line: 0,
                label: None,
                forward: true,
                ..entry
            });
            entries.collect::<Vec<_>>()
        };
        let groups = strip(parse(groups, &Columns::default()).unwrap());
        assert_eq!(groups, strip(parse(videos, &Columns::default()).unwrap()));
        assert_eq!(groups[0].id, "007", "an id that looks like a number stays text");
    }

    #[test]
    fn faults_are_named_with_file_and_line() {
        let none = Columns::default();
        let fault = |text| parse(text, &none).unwrap_err();
        assert_eq!(
            fault("id,chiral_triplet_id,chiral_label\na,t,\n"),
            "list.csv:2: column `chiral_label` is empty"
        );
        assert_eq!(fault("id,chiral_triplet_id,chiral_label\n,t,1\n"), "list.csv:2: column `id` is empty");
        assert!(
            fault("id,chiral_label\na,1\n").starts_with("list.csv:1: column `chiral_triplet_id` is missing")
        );
        assert!(fault("triplet_id,id_forward\nt,a\n").contains("column `id_reverse` is missing"));
        assert!(fault("id,chiral_triplet_id,chiral_label\n").contains("has no videos"));
    }

    #[test]
    fn a_group_listed_again_is_a_warning() {
        let text = "triplet_id,id_forward,id_reverse\nt1,a,b\nt1,c,d\n";
        let listing = parse(text, &Columns::default()).unwrap();
        assert_eq!(listing.entries.len(), 2);
        assert!(listing.warnings[0].contains("list.csv:3: group t1 is listed again (first on line 2)"));
    }

    #[test]
    fn columns_give_the_places_of_clips_in_uncut_videos() {
        let columns =
            Columns { video: Some("file".into()), start: Some("from".into()), end: Some("to".into()) };
        let head = "id,chiral_triplet_id,chiral_label,file,from,to\n";
        let listing = parse(&format!("{head}a,t,1,P01_1,00:01:02.50,70\n"), &columns).unwrap();
        let source = ClipSource { video: Some("P01_1".into()), start: Some(62.5), end: Some(70.0) };
        assert_eq!(listing.entries[0].source, Some(source));
        let fault = |row: &str| parse(&format!("{head}{row}\n"), &columns).unwrap_err();
        assert!(fault("a,t,1,P01_1,soon,70").contains("list.csv:2: `soon` in column `from`"));
        assert!(fault("a,t,1,P01_1,71,70").contains("ends (70 s) before it starts (71 s)"));
        let absent = Columns { video: Some("path".into()), ..Columns::default() };
        assert!(
            parse(&format!("{head}a,t,1,P,1,2\n"), &absent)
                .unwrap_err()
                .contains("list.csv:1: there is no column `path`; there are")
        );
    }
}
