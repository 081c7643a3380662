//! One part of a dataset, written and read back.

use std::collections::HashMap;
use std::path::Path;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::file::reader::{FileReader, Length as _, SerializedFileReader};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{Array as _, RecordBatch};
use serde::{Deserialize, Serialize};

use crate::dataset::ledger::{Done, Entry, FailedInput, KEY, Ledger, Settled};
use crate::files::{AtomicFile, FileError, Stamp};
use crate::guard::catch_panic;
use crate::rows::formats::parquet::read::check_places;
use crate::rows::formats::parquet::source::Source;
use crate::rows::formats::parquet::write::ParquetWriter;
use crate::rows::formats::safetensors;
use crate::rows::formats::safetensors::{SafetensorsWriter, read_metadata};
use crate::rows::layout::Layout;
use crate::rows::writer::RowWriter;
use crate::rows::{Dims, Format, Part, Row, known};

/// The metadata key under which a `.safetensors` part keeps the columns of its rows (JSON).
const COLUMNS: &str = "lift.rows";

/// A part under construction. Dropped before [`commit`](Self::commit), it leaves no trace.
pub struct PartWriter {
    writer: Box<dyn RowWriter>,
    layout: Layout,
    ledger: Ledger,
    /// Only a `.safetensors` has no columns of its own.
    columns: Option<Vec<Columns>>,
}

/// What stands beside the values of a row.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Columns {
    index: usize,
    path: String,
    start: Option<f64>,
    end: Option<f64>,
    frames: usize,
    fps: Option<f64>,
    duration: Option<f64>,
}

impl PartWriter {
    /// Begins the part that will be called `path`.
    ///
    /// # Errors
    /// `Write` if the folder cannot be written.
    pub fn create(path: &Path, kind: Format, parts: &[Part], dims: Dims) -> Result<Self, FileError> {
        let file = AtomicFile::create(path, true)?;
        let layout = Layout::new(parts.to_vec(), dims, kind);
        let (writer, columns): (Box<dyn RowWriter>, _) = match kind {
            Format::Safetensors => (Box::new(SafetensorsWriter::new(file, &layout)?), Some(vec![])),
            _ => (Box::new(ParquetWriter::new(file)), None),
        };
        Ok(Self { writer, layout, ledger: Ledger::default(), columns })
    }

    /// Writes an input's rows.
    ///
    /// # Errors
    /// `Row` if one does not fit; then the part is as it was. `Write` ends the run.
    pub fn rows(&mut self, index: usize, stamp: Option<Stamp>, rows: &[Row]) -> Result<(), FileError> {
        self.layout.check_all(rows)?;
        for row in rows {
            self.writer.push(row, &self.layout)?;
            if let Some(columns) = &mut self.columns {
                columns.push(Columns {
                    index: row.index,
                    path: row.path.to_string_lossy().into_owned(),
                    start: known(row.start),
                    end: known(row.end),
                    frames: row.frames,
                    fps: known(row.fps),
                    duration: known(row.duration),
                });
            }
        }
        self.ledger.entries.push(Entry { index, stamp, rows: rows.len() });
        Ok(())
    }

    /// Writes an input of another part as it stands there.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn input(&mut self, Done { entry, settled }: Done) -> Result<(), FileError> {
        match settled {
            Settled::Rows(rows) => self.rows(entry.index, entry.stamp, &rows),
            Settled::Failed(failure) => {
                self.failure(entry.stamp, failure);
                Ok(())
            }
        }
    }

    /// Records an input that failed.
    pub fn failure(&mut self, stamp: Option<Stamp>, failure: FailedInput) {
        self.ledger.entries.push(Entry { index: failure.index, stamp, rows: 0 });
        self.ledger.failures.push(failure);
    }

    /// Completes the bytes and gives the part its name.
    ///
    /// # Errors
    /// `Write` if the disk refuses; then nothing is there.
    pub fn commit(mut self, path: &Path) -> Result<(), FileError> {
        let json = |e: serde_json::Error| FileError::write(path, e.into());
        if let Some(columns) = &self.columns {
            self.writer.note(COLUMNS, serde_json::to_string(columns).map_err(json)?);
        }
        self.writer.note(KEY, serde_json::to_string(&self.ledger).map_err(json)?);
        if let Some(mut file) = self.writer.finish(&self.layout)? {
            file.retarget(path);
            file.commit()?;
        }
        Ok(())
    }
}

fn damaged(path: &Path, cause: impl std::fmt::Display) -> FileError {
    FileError::read(
        path,
        format!("not a whole part of a dataset: {cause}; delete this file and run the same lift embed again"),
    )
}

/// The ledger of a part, without its rows.
///
/// # Errors
/// `Read` if the file is missing, damaged, or no part of a dataset.
pub fn read_ledger(path: &Path) -> Result<Ledger, FileError> {
    let text = match Format::of(path) {
        Some(Format::Safetensors) => {
            read_metadata(path).map_err(|e| damaged(path, e))?.and_then(|mut texts| texts.remove(KEY))
        }
        _ => {
            let noted = guarded(|| {
                let reader = SerializedFileReader::new(Source::open(path)?).map_err(|e| e.to_string())?;
                let notes = reader.metadata().file_metadata().key_value_metadata();
                Ok(notes.and_then(|notes| notes.iter().find(|note| note.key == KEY)?.value.clone()))
            });
            noted.map_err(|e| damaged(path, e))?
        }
    };
    let text = text.ok_or_else(|| damaged(path, "it has no ledger of inputs"))?;
    serde_json::from_str(&text).map_err(|e| damaged(path, format!("its ledger of inputs: {e}")))
}

/// Rows decoded at a time: a merge holds so many of each shard.
const BATCH_ROWS: usize = 64;

/// The rows of a part as they lie, one after the other.
pub(super) type Rows = Box<dyn Iterator<Item = Result<Row, FileError>>>;

/// The rows of a part, in its order, each checked, with its ledger.
///
/// # Errors
/// `Read` if the file is missing, damaged, no part of a dataset, or its ledger speaks of other rows.
pub fn read_part(path: &Path, parts: &[Part], dims: Dims) -> Result<(Ledger, Vec<Row>), FileError> {
    let ledger = read_ledger(path)?;
    let mut rows = open_rows(path, parts, dims)?;
    let mut all = Vec::new();
    for entry in &ledger.entries {
        all.extend(rows_of(path, entry, &mut rows)?);
    }
    match rows.next() {
        None => Ok((ledger, all)),
        Some(_) => Err(damaged(path, "it has rows that its ledger does not know")),
    }
}

/// The inputs of a part with what became of each, in its order.
///
/// # Errors
/// As [`read_part`].
pub(super) fn read_inputs(path: &Path, parts: &[Part], dims: Dims) -> Result<Vec<Done>, FileError> {
    let (ledger, rows) = read_part(path, parts, dims)?;
    let mut failures: HashMap<_, _> = ledger.failures.into_iter().map(|f| (f.index, f)).collect();
    let mut rows = rows.into_iter();
    let done = |entry: Entry| {
        let own = rows.by_ref().take(entry.rows).collect();
        Done::new(entry, own, failures.remove(&entry.index))
    };
    Ok(ledger.entries.into_iter().map(done).collect())
}

/// The rows of one input, the next ones of its part.
///
/// # Errors
/// `Read` if others come.
pub(super) fn rows_of(path: &Path, entry: &Entry, rows: &mut Rows) -> Result<Vec<Row>, FileError> {
    let row = |number: usize| {
        let foreign = || damaged(path, "its rows are not those of its ledger");
        let row = rows.next().ok_or_else(foreign)??;
        if row.index != entry.index {
            return Err(foreign());
        }
        Ok(Row { window: (entry.rows > 1).then_some(number), ..row })
    };
    (0..entry.rows).map(row).collect()
}

/// Opens a part's rows; each is checked to be of the run's shape, with finite numbers.
///
/// # Errors
/// `Read` if the file is missing, damaged, or no part of a dataset.
pub(super) fn open_rows(path: &Path, parts: &[Part], dims: Dims) -> Result<Rows, FileError> {
    let fail = |e: String| damaged(path, e);
    let owned = path.to_path_buf();
    let mut layout = Layout::new(parts.to_vec(), dims, Format::Parquet);
    let mut checked = move |row: Result<Row, String>| {
        let row = row.map_err(|e| damaged(&owned, e))?;
        // What the check advises is for a row that is being written.
        layout
            .check(&row)
            .map_err(|_| damaged(&owned, "its rows have other shapes than its run, or are not finite"))?;
        Ok(row)
    };
    match Format::of(path) {
        Some(Format::Safetensors) => {
            let rows = tensors(path, parts).map_err(fail)?;
            Ok(Box::new(rows.into_iter().map(move |row| checked(Ok(row)))))
        }
        _ => Ok(Box::new(columns(path, parts).map_err(fail)?.map(checked))),
    }
}

/// The library asserts some sizes of a damaged file: a panic becomes a reason.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_panic(work).unwrap_or_else(|| Err("the Parquet reader gave up on it".into()))
}

/// The rows of a `.parquet` part, batch by batch.
fn columns(path: &Path, parts: &[Part]) -> Result<impl Iterator<Item = Result<Row, String>> + use<>, String> {
    let mut reader = guarded(|| {
        let source = Source::open(path)?;
        let bytes = source.len();
        let builder = ParquetRecordBatchReaderBuilder::try_new(source).map_err(|e| e.to_string())?;
        check_places(builder.metadata(), bytes)?;
        builder.with_batch_size(BATCH_ROWS).build().map_err(|e| e.to_string())
    })?;
    let parts = parts.to_vec();
    let batches = std::iter::from_fn(move || {
        let next = guarded(|| {
            let Some(batch) = reader.next() else { return Ok(None) };
            let mut rows = Vec::new();
            batch_rows(&batch.map_err(|e| e.to_string())?, &parts, &mut rows)?;
            Ok(Some(rows))
        });
        match next {
            Ok(rows) => rows.map(|rows| rows.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(e) => Some(vec![Err(e)]),
        }
    });
    // After an error nothing more can be said of the file.
    let mut failed = false;
    Ok(batches.flatten().take_while(move |row| {
        let go_on = !failed;
        failed |= row.is_err();
        go_on
    }))
}

fn batch_rows(batch: &RecordBatch, parts: &[Part], rows: &mut Vec<Row>) -> Result<(), String> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("it has no column '{name}'"));
    let wrong = |name: &str| format!("its column '{name}' is of another type");
    let whole = |name: &str| -> Result<_, String> {
        Ok(column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong(name))?.clone())
    };
    let number = |name: &str| -> Result<_, String> {
        Ok(column(name)?.as_primitive_opt::<Float64Type>().ok_or_else(|| wrong(name))?.clone())
    };
    let text = |name: &str| -> Result<_, String> {
        Ok(column(name)?.as_string_opt::<i32>().ok_or_else(|| wrong(name))?.clone())
    };
    let lists = |part: &Part| -> Result<_, String> {
        let name = part.column();
        let lists = column(name)?.as_fixed_size_list_opt().ok_or_else(|| wrong(name))?.clone();
        if lists.values().as_primitive_opt::<Float32Type>().is_none() || lists.null_count() > 0 {
            return Err(wrong(name));
        }
        Ok((*part, lists))
    };
    let (index, frames) = (whole("index")?, whole("frames")?);
    let [start, end, fps, duration] = ["start", "end", "fps", "duration"].map(number);
    let (start, end, fps, duration) = (start?, end?, fps?, duration?);
    let (id, path) = (text("id")?, text("path")?);
    let lists = parts.iter().map(lists).collect::<Result<Vec<_>, _>>()?;
    let count = |value: i64| usize::try_from(value).map_err(|_| "it has a negative count".to_string());
    for at in 0..batch.num_rows() {
        let optional = |column: &arrow_array::Float64Array| (!column.is_null(at)).then(|| column.value(at));
        let values = |(part, lists): &(Part, arrow_array::FixedSizeListArray)| {
            let list = lists.value(at);
            (*part, list.as_primitive::<Float32Type>().values().to_vec())
        };
        rows.push(Row {
            index: count(index.value(at))?,
            id: id.value(at).into(),
            path: path.value(at).into(),
            start: optional(&start),
            end: optional(&end),
            window: None,
            frames: count(frames.value(at))?,
            fps: optional(&fps),
            duration: optional(&duration),
            parts: lists.iter().map(values).collect(),
        });
    }
    Ok(())
}

/// The rows of a `.safetensors` part.
fn tensors(path: &Path, parts: &[Part]) -> Result<Vec<Row>, String> {
    let raw = safetensors::read(path, None)?;
    let texts = read_metadata(path)?.unwrap_or_default();
    let columns = texts.get(COLUMNS).ok_or("it does not say what its rows are")?;
    let columns: Vec<Columns> = serde_json::from_str(columns).map_err(|e| e.to_string())?;
    let ids = raw.ids.unwrap_or_default();
    let array = |part: &Part| {
        let array = raw.arrays.iter().find(|a| a.name == part.name() && a.rows() == columns.len());
        array.map(|a| (*part, a)).ok_or_else(|| format!("it has no tensor {part} with a row for each"))
    };
    let arrays = parts.iter().map(array).collect::<Result<Vec<_>, _>>()?;
    if ids.len() != columns.len() {
        return Err(format!("it has {} ids for {} rows", ids.len(), columns.len()));
    }
    let row = |(at, (columns, id)): (usize, (Columns, String))| Row {
        index: columns.index,
        id,
        path: columns.path.into(),
        start: columns.start,
        end: columns.end,
        window: None,
        frames: columns.frames,
        fps: columns.fps,
        duration: columns.duration,
        parts: arrays.iter().map(|(part, array)| (*part, array.row(at).to_vec())).collect(),
    };
    Ok(columns.into_iter().zip(ids).enumerate().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::testing::{DIMS, failure, row};

    const PARTS: [Part; 2] = [Part::Concat, Part::Frames];

    fn part(path: &Path, rows: &[Row]) {
        let mut writer = PartWriter::create(path, Format::of(path).unwrap(), &PARTS, DIMS).unwrap();
        for row in rows {
            let stamp = Some(Stamp { bytes: 9, modified: 1 << 60 });
            writer.rows(row.index, stamp, std::slice::from_ref(row)).unwrap();
        }
        writer.failure(None, FailedInput::new(&failure(7), 2));
        writer.commit(path).unwrap();
    }

    #[test]
    fn a_part_gives_its_rows_and_its_ledger_back_in_both_formats() {
        let dir = tempfile::tempdir().unwrap();
        for format in [Format::Parquet, Format::Safetensors] {
            let path = dir.path().join(format!("part-00000{format}"));
            let rows = [row(1, 3, &PARTS), row(4, 3, &PARTS)];
            part(&path, &rows);
            let (ledger, back) = read_part(&path, &PARTS, DIMS).unwrap();
            assert_eq!(back, rows);
            assert_eq!(ledger, read_ledger(&path).unwrap());
            assert_eq!(
                ledger.entries.iter().map(|e| (e.index, e.rows)).collect::<Vec<_>>(),
                [(1, 1), (4, 1), (7, 0)]
            );
            assert_eq!(ledger.failures[0], FailedInput::new(&failure(7), 2));
            let bytes = std::fs::read(&path).unwrap();
            part(&path, &rows);
            assert!(std::fs::read(&path).unwrap() == bytes, "equal rows make equal files");
            assert_eq!(crate::rows::read(&path, None, None).unwrap().ids().unwrap().len(), 2);
        }
    }

    #[test]
    fn a_cut_part_and_a_foreign_file_are_no_parts() {
        let dir = tempfile::tempdir().unwrap();
        for format in [Format::Parquet, Format::Safetensors] {
            let path = dir.path().join(format!("part-00000{format}"));
            part(&path, &[row(1, 3, &PARTS)]);
            let whole = std::fs::read(&path).unwrap();
            for cut in [0, 7, whole.len() / 2, whole.len() - 1] {
                std::fs::write(&path, &whole[..cut]).unwrap();
                let error = read_part(&path, &PARTS, DIMS).unwrap_err().to_string();
                assert!(error.contains("part-00000") && error.contains("delete this file"), "{error}");
            }
        }
        let path = dir.path().join("part-1.parquet");
        std::fs::write(&path, "not a part").unwrap();
        assert!(read_ledger(&path).is_err());
    }
}
