//! The companion `FILE.ext.rows.csv`: every input in order, embedded or failed.
//!
//! It gives the rows of a bare array their ids, and the failures a place that outlives the terminal.

use std::ffi::OsString;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Failure, Row, known};
use crate::files::AtomicFile;
use crate::files::FileError;

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has a row in the data.
    Ok,
    /// It has none.
    Failed,
}

/// One line of the companion; the columns stand in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompanionRow {
    /// The input's place, from 0.
    pub index: usize,
    /// Its row in the data, from 0; empty where it failed.
    pub row: Option<usize>,
    /// The id.
    pub id: String,
    /// The file, as given; invalid UTF-8 as U+FFFD.
    pub path: String,
    /// `ok` or `failed`.
    pub status: Status,
    /// Frames embedded; empty where it failed.
    pub frames: Option<usize>,
    /// Frame rate per second; empty where unknown.
    pub fps: Option<f64>,
    /// Duration in seconds; empty where unknown.
    pub duration: Option<f64>,
    /// Start of the clip in seconds; empty for the beginning.
    pub start: Option<f64>,
    /// End of the clip in seconds; empty for the end.
    pub end: Option<f64>,
    /// Where it failed; empty where it did not.
    pub stage: Option<String>,
    /// Why it failed; empty where it did not.
    pub error: Option<String>,
}

/// The column names, for an empty run (the CSV writer takes them from the first row otherwise).
const COLUMNS: [&str; 12] =
    ["index", "row", "id", "path", "status", "frames", "fps", "duration", "start", "end", "stage", "error"];

/// The companion of a data file: `.rows.csv` put behind its whole name.
pub fn companion_path(data: &Path) -> PathBuf {
    let mut name = OsString::from(data.as_os_str());
    name.push(".rows.csv");
    PathBuf::from(name)
}

impl CompanionRow {
    pub(crate) fn embedded(row: &Row, at: usize) -> Self {
        Self {
            index: row.index,
            row: Some(at),
            id: row.id.clone(),
            path: row.path.to_string_lossy().into_owned(),
            status: Status::Ok,
            frames: Some(row.frames),
            fps: known(row.fps),
            duration: known(row.duration),
            start: known(row.start),
            end: known(row.end),
            stage: None,
            error: None,
        }
    }

    pub(crate) fn failed(failure: &Failure) -> Self {
        Self {
            index: failure.index,
            row: None,
            id: failure.id.clone(),
            path: failure.path.to_string_lossy().into_owned(),
            status: Status::Failed,
            frames: None,
            fps: known(failure.fps),
            duration: known(failure.duration),
            start: known(failure.start),
            end: known(failure.end),
            stage: Some(failure.stage.clone()),
            error: Some(failure.error.clone()),
        }
    }
}

/// Writes the companion line by line.
pub(crate) struct CompanionWriter {
    csv: csv::Writer<BufWriter<AtomicFile>>,
    path: PathBuf,
}

impl CompanionWriter {
    pub(crate) fn new(file: AtomicFile) -> Result<Self, FileError> {
        let path = file.target().to_path_buf();
        let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(BufWriter::new(file));
        csv.write_record(COLUMNS).map_err(|e| FileError::write(&path, e.into()))?;
        Ok(Self { csv, path })
    }

    pub(crate) fn push(&mut self, row: &CompanionRow) -> Result<(), FileError> {
        self.csv.serialize(row).map_err(|e| FileError::write(&self.path, e.into()))
    }

    pub(crate) fn finish(self) -> Result<AtomicFile, FileError> {
        let Self { csv, path } = self;
        let buffer = csv.into_inner().map_err(|e| FileError::write(&path, e.into_error()))?;
        buffer.into_inner().map_err(|e| FileError::write(&path, e.into_error()))
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
    let fail = |e: csv::Error| FileError::read(&path, format!("not a companion of rows: {e}"));
    let mut reader = csv::Reader::from_path(&path).map_err(fail)?;
    let rows = reader.deserialize().collect::<Result<Vec<CompanionRow>, _>>().map_err(fail)?;
    Ok(Some(rows))
}

/// The ids of the data's rows, in the data's order; `None` if there is no companion.
///
/// # Errors
/// `Read` if the companion is damaged or its `row` column does not count 0, 1, 2, ...
pub(crate) fn companion_ids(data: &Path) -> Result<Option<Vec<String>>, FileError> {
    let Some(rows) = read_companion(data)? else {
        return Ok(None);
    };
    let mut placed: Vec<(usize, String)> = rows.into_iter().filter_map(|r| Some((r.row?, r.id))).collect();
    placed.sort_by_key(|(at, _)| *at);
    if let Some(gap) = placed.iter().enumerate().position(|(i, (at, _))| i != *at) {
        let reason =
            format!("its column 'row' does not count 0, 1, 2, ...: {gap} is missing or stands twice");
        return Err(FileError::read(&companion_path(data), reason));
    }
    Ok(Some(placed.into_iter().map(|(_, id)| id).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{failure, row};
    use super::*;
    use crate::rows::Part;

    fn written(rows: &[CompanionRow], data: &Path) {
        let mut writer =
            CompanionWriter::new(AtomicFile::create(&companion_path(data), true).unwrap()).unwrap();
        for row in rows {
            writer.push(row).unwrap();
        }
        writer.finish().unwrap().commit().unwrap();
    }

    #[test]
    fn every_input_comes_back_with_odd_names_and_empty_cells() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("x.npy");
        let rows = vec![
            CompanionRow::failed(&failure(0)),
            CompanionRow::embedded(&row(1, 3, &[Part::Concat]), 0),
            CompanionRow::embedded(&Row { fps: Some(f64::NAN), ..row(2, 3, &[Part::Concat]) }, 1),
        ];
        written(&rows, &data);
        assert_eq!(read_companion(&data).unwrap().unwrap(), rows);
        assert_eq!(companion_ids(&data).unwrap().unwrap(), [rows[1].id.clone(), rows[2].id.clone()]);
        let text = std::fs::read_to_string(companion_path(&data)).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("index,row,id,path,status,frames,fps,duration,start,end,stage,error"));
        assert_eq!(
            lines.next(),
            Some("0,,bad 0,bad 0.mp4,failed,,,,,,open,\"no such file, \"\"really\"\"\"")
        );
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
