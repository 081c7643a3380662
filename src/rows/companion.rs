//! The companion file `FILE.ext.rows.csv`: all inputs in order, embedded or failed.
//!
//! It has the ids of the rows of an array file, and the reasons of the failures.

use std::ffi::OsString;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::row::known;
use super::{ClipMeta, Failure, Row};
use crate::files::AtomicFile;
use crate::files::FileError;
use crate::inputs::Columns;

/// The result of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has a row in the data.
    Ok,
    /// It has no row.
    Failed,
}

/// One line of the companion.
#[derive(Debug, Clone, PartialEq)]
pub struct CompanionRow {
    /// The input, or the window of one.
    pub clip: ClipMeta,
    /// Its row in the data, from 0; `None` where it failed.
    pub row: Option<usize>,
    /// `ok` or `failed`.
    pub status: Status,
    /// Frames embedded; `None` where it failed.
    pub frames: Option<usize>,
    /// Where it failed; `None` where it did not.
    pub stage: Option<String>,
    /// Why it failed; `None` where it did not.
    pub error: Option<String>,
}

/// The columns in their order.
const COLUMNS: [&str; 12] =
    ["index", "row", "id", "path", "status", "frames", "fps", "duration", "start", "end", "stage", "error"];

/// The column behind them, which companions of older versions lack: how many different frames a row is made of.
const DISTINCT: &str = "distinct_frames";

/// The column that stands behind them in the companion of a run with `--keyframes`.
const KEY_FRAMES: &str = "key_frames";

// Behind these stand the columns that a run with `--keep` keeps of its list: all that have another name.

/// The last column of the companion of a file that cannot say itself what made it; it is filled in the last line.
const PROVENANCE: &str = "provenance";

/// The values of [`COLUMNS`] in one line; those that do not apply are empty.
type Cells<Text> = (
    usize,
    Option<usize>,
    Text,
    Text,
    Status,
    Option<usize>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<Text>,
    Option<Text>,
);

/// The companion of a data file: `.rows.csv` put behind its whole name.
pub fn companion_path(data: &Path) -> PathBuf {
    let mut name = OsString::from(data.as_os_str());
    name.push(".rows.csv");
    PathBuf::from(name)
}

impl CompanionRow {
    /// The line of a row that is the data's row `at`.
    pub(crate) fn embedded(row: &Row, at: usize) -> Self {
        let (clip, frames) = (row.clip.clone(), Some(row.frames));
        Self { clip, row: Some(at), status: Status::Ok, frames, stage: None, error: None }
    }

    /// The line of an input that failed.
    pub(crate) fn failed(failure: &Failure) -> Self {
        let Failure { clip, stage, error } = failure.clone();
        Self { clip, row: None, status: Status::Failed, frames: None, stage: Some(stage), error: Some(error) }
    }
}

/// Writes the companion line by line.
pub(crate) struct CompanionWriter {
    csv: csv::Writer<BufWriter<AtomicFile>>,
    path: PathBuf,
    key_frames: bool,
    kept_columns: Vec<String>,
    /// Whether it has the column for what made the data, which stands in the last line.
    provenance: bool,
    /// The last line that came: it is written when the next one comes, or at the end.
    last: Option<CompanionRow>,
    made: Option<String>,
}

impl CompanionWriter {
    /// Begins the companion of rows of a layout, with a column for what made the data or without it.
    pub(crate) fn new(file: AtomicFile, layout: &Layout, provenance: bool) -> Result<Self, FileError> {
        let path = file.target().to_path_buf();
        let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(BufWriter::new(file));
        let (key_frames, kept_columns) = (layout.key_frames(), layout.kept_columns.clone());
        let columns = COLUMNS.into_iter().chain([DISTINCT]).chain(key_frames.then_some(KEY_FRAMES));
        let columns = columns.chain(kept_columns.iter().map(String::as_str));
        let columns = columns.chain(provenance.then_some(PROVENANCE));
        csv.write_record(columns).map_err(|e| FileError::write(&path, e.into()))?;
        Ok(Self { csv, path, key_frames, kept_columns, provenance, last: None, made: None })
    }

    pub(crate) fn push(&mut self, row: CompanionRow) -> Result<(), FileError> {
        match self.last.replace(row) {
            Some(before) => self.write(&before, None),
            None => Ok(()),
        }
    }

    /// Says what made the data.
    pub(crate) fn made_by(&mut self, made: String) {
        self.made = Some(made);
    }

    fn write(&mut self, row: &CompanionRow, made: Option<&str>) -> Result<(), FileError> {
        let CompanionRow { clip, row, status, frames, stage, error } = row;
        let cells: Cells<&str> = (
            clip.index,
            *row,
            &clip.id,
            &clip.path_text(),
            *status,
            *frames,
            known(clip.fps),
            known(clip.duration),
            known(clip.start),
            known(clip.end),
            stage.as_deref(),
            error.as_deref(),
        );
        let key_frames: Vec<_> = self.key_frames.then_some(clip.key_frames).into_iter().collect();
        let kept: Vec<_> = self.kept_columns.iter().map(|name| clip.columns.get(name)).collect();
        let made: Vec<_> = self.provenance.then_some(made).into_iter().collect();
        let written = self.csv.serialize((cells, clip.distinct_frames, key_frames, kept, made));
        written.map_err(|e| FileError::write(&self.path, e.into()))
    }

    pub(crate) fn finish(mut self) -> Result<AtomicFile, FileError> {
        let made = self.made.take();
        if let Some(last) = self.last.take() {
            self.write(&last, made.as_deref())?;
        }
        let Self { csv, path, .. } = self;
        let buffer = csv.into_inner().map_err(|e| FileError::write(&path, e.into_error()))?;
        AtomicFile::from_buffer(buffer)
    }
}

/// Reads the companion of a data file; `None` if there is none.
///
/// # Errors
/// `Read` if it is not a companion, with the line.
pub fn read_companion(data: &Path) -> Result<Option<Vec<CompanionRow>>, FileError> {
    let path = companion_path(data);
    if !path.exists() {
        return Ok(None);
    }
    let fail = |e: String| FileError::read(&path, format!("not a companion of rows: {e}"));
    let mut reader = csv::Reader::from_path(&path).map_err(|e| fail(e.to_string()))?;
    let header = reader.headers().map_err(|e| fail(e.to_string()))?;
    let mut places = [0; COLUMNS.len()];
    for (place, name) in places.iter_mut().zip(COLUMNS) {
        let found = header.iter().position(|column| column == name);
        *place = found.ok_or_else(|| fail(format!("it has no column '{name}'")))?;
    }
    // Older versions do not have the first, and only a run with --keyframes has the second.
    let optional = [DISTINCT, KEY_FRAMES].map(|name| header.iter().position(|column| column == name));
    let known = [&COLUMNS[..], &[DISTINCT, KEY_FRAMES, PROVENANCE]].concat();
    let kept: Vec<(usize, String)> = header
        .iter()
        .enumerate()
        .filter(|(_, name)| !known.contains(name))
        .map(|(at, name)| (at, name.to_owned()))
        .collect();
    let line = |record: Result<csv::StringRecord, String>| {
        let record = record?;
        let cells = places.iter().filter_map(|&at| record.get(at)).collect::<csv::StringRecord>();
        let wrong = |e: &dyn std::fmt::Display| match record.position() {
            Some(position) => format!("line {}: {e}", position.line()),
            None => e.to_string(),
        };
        let (index, row, id, file, status, frames, fps, duration, start, end, stage, error) =
            cells.deserialize::<Cells<String>>(None).map_err(|e| wrong(&e))?;
        let count = |place: Option<usize>| {
            let cell = place.and_then(|at| record.get(at)).filter(|cell| !cell.is_empty());
            cell.map(str::parse).transpose().map_err(|e| wrong(&e))
        };
        let (distinct_frames, key_frames) = (count(optional[0])?, count(optional[1])?);
        let value = |(at, name): &(usize, String)| {
            let value = record.get(*at).filter(|value| !value.is_empty())?;
            Some((name.clone(), value.to_owned()))
        };
        let (path, columns) = (file.into(), kept.iter().filter_map(value).collect::<Columns>());
        let clip =
            ClipMeta { index, id, path, start, end, fps, duration, distinct_frames, key_frames, columns };
        Ok(CompanionRow { clip, row, status, frames, stage, error })
    };
    reader
        .records()
        .map(|record| line(record.map_err(|e| e.to_string())))
        .collect::<Result<_, String>>()
        .map(Some)
        .map_err(fail)
}

/// The ids of the data's rows, in the data's order; `None` if there is no companion.
///
/// # Errors
/// `Read` if the companion is damaged or its `row` column does not count 0, 1, 2, ...
pub(crate) fn companion_ids(data: &Path) -> Result<Option<Vec<String>>, FileError> {
    let Some(rows) = read_companion(data)? else {
        return Ok(None);
    };
    let mut placed: Vec<(usize, String)> =
        rows.into_iter().filter_map(|r| Some((r.row?, r.clip.id))).collect();
    placed.sort_by_key(|(at, _)| *at);
    if let Some(gap) = placed.iter().enumerate().position(|(i, (at, _))| i != *at) {
        let reason =
            format!("its column 'row' does not count 0, 1, 2, ...: {gap} is missing or stands twice");
        return Err(FileError::read(&companion_path(data), reason));
    }
    Ok(Some(placed.into_iter().map(|(_, id)| id).collect()))
}

/// What made the data, as its companion says; `None` if there is no companion, or it does not say.
///
/// # Errors
/// `Read` if the companion is damaged.
pub(crate) fn companion_provenance(data: &Path) -> Result<Option<String>, FileError> {
    let path = companion_path(data);
    if !path.exists() {
        return Ok(None);
    }
    let fail = |e: csv::Error| FileError::read(&path, format!("not a companion of rows: {e}"));
    let mut reader = csv::Reader::from_path(&path).map_err(fail)?;
    let Some(column) = reader.headers().map_err(fail)?.iter().position(|name| name == PROVENANCE) else {
        return Ok(None);
    };
    let mut found = None;
    for record in reader.records() {
        let record = record.map_err(fail)?;
        found = record.get(column).filter(|cell| !cell.is_empty()).map(str::to_owned).or(found);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{failure, row};
    use super::*;
    use crate::rows::{Dims, Part};

    fn written(rows: &[CompanionRow], data: &Path) {
        let file = AtomicFile::create(&companion_path(data), true).unwrap();
        let key_frames = rows.iter().any(|row| row.clip.key_frames.is_some());
        let layout = Layout::new(vec![], Dims { key_frames, ..Dims::default() }, None);
        let kept = rows.first().map(|row| row.clip.columns.keys().cloned().collect::<Vec<_>>());
        let layout = layout.keeping(&kept.unwrap_or_default());
        let mut writer = CompanionWriter::new(file, &layout, false).unwrap();
        for row in rows {
            writer.push(row.clone()).unwrap();
        }
        writer.finish().unwrap().commit().unwrap();
    }

    #[test]
    fn every_input_comes_back_with_odd_names_and_empty_cells() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("x.npy");
        let mut rows = vec![
            CompanionRow::failed(&failure(0)),
            CompanionRow::embedded(&row(1, 3, &[Part::Concat]), 0),
            CompanionRow::embedded(&row(2, 3, &[Part::Concat]), 1),
        ];
        let mut with_nan = rows.clone();
        with_nan[2].clip.fps = Some(f64::NAN);
        rows[2].clip.fps = None;
        written(&with_nan, &data);
        assert_eq!(read_companion(&data).unwrap().unwrap(), rows);
        assert_eq!(
            companion_ids(&data).unwrap().unwrap(),
            [rows[1].clip.id.clone(), rows[2].clip.id.clone()]
        );
        let text = std::fs::read_to_string(companion_path(&data)).unwrap();
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some("index,row,id,path,status,frames,fps,duration,start,end,stage,error,distinct_frames")
        );
        assert_eq!(
            lines.next(),
            Some("0,,bad 0,bad 0.mp4,failed,,,,,,open,\"no such file, \"\"really\"\"\",")
        );
    }

    #[test]
    fn a_run_of_key_frames_has_a_column_for_their_number() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("x.npy");
        let mut rows = vec![
            CompanionRow::embedded(&row(0, 3, &[]), 0),
            CompanionRow::failed(&failure(1)),
            CompanionRow::embedded(&row(2, 3, &[]), 1),
        ];
        (rows[0].clip.key_frames, rows[2].clip.key_frames) = (Some(3), Some(0));
        written(&rows, &data);
        assert_eq!(read_companion(&data).unwrap().unwrap(), rows);
        let text = std::fs::read_to_string(companion_path(&data)).unwrap();
        assert!(text.starts_with(
            "index,row,id,path,status,frames,fps,duration,start,end,stage,error,distinct_frames,key_frames\n"
        ));
        std::fs::write(companion_path(&data), text.replace(",2,3\n", ",2,three\n")).unwrap();
        let error = read_companion(&data).unwrap_err().to_string();
        assert!(error.contains("line "), "{error}");
    }

    #[test]
    fn kept_columns_come_back_and_an_empty_cell_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("x.npy");
        let mut rows = vec![CompanionRow::embedded(&row(0, 3, &[]), 0), CompanionRow::failed(&failure(1))];
        rows[0].clip.columns.insert("label".into(), "open, \"wide\"".into());
        rows[0].clip.columns.insert("source".into(), "7".into());
        rows[1].clip.columns.insert("label".into(), "close".into());
        written(&rows, &data);
        assert_eq!(read_companion(&data).unwrap().unwrap(), rows);
        let text = std::fs::read_to_string(companion_path(&data)).unwrap();
        assert!(text.lines().next().unwrap().ends_with(",distinct_frames,label,source"), "{text}");
    }

    #[test]
    fn a_run_without_inputs_has_a_header_still() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("x.npy");
        written(&[], &data);
        assert_eq!(companion_ids(&data).unwrap().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn rows_that_do_not_count_up_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("x.npy");
        written(&[CompanionRow::embedded(&row(0, 3, &[Part::Concat]), 1)], &data);
        let error = companion_ids(&data).unwrap_err().to_string();
        assert!(error.contains("x.npy.rows.csv") && error.contains("0 is missing"), "{error}");
    }
}
