//! Parquet: the clip's columns and a fixed-size list of f32 per part, its shape in the column's metadata (`shape`, JSON).
//!
//! Rows are gathered into small batches and row groups of bounded bytes, so memory does not grow with the run. Values are
//! plain (features hardly compress and have no dictionary); zstd takes what it can. The schema waits for the first row,
//! which may be the one that tells `T`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::schema::types::ColumnPath;
use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::files::AtomicFile;
use crate::files::FileError;
use crate::rows::layout::Layout;
use crate::rows::writer::RowWriter;
use crate::rows::{Part, Row, known};

/// The metadata key of a part's shape in one row.
pub(crate) const SHAPE: &str = "shape";
/// Values gathered before a batch goes to the encoder (1 MiB of f32).
const BATCH_VALUES: usize = 1 << 18;
/// Rows gathered at most, where a row is small.
pub(crate) const BATCH_ROWS: usize = 4096;
/// Encoded bytes of a row group: what the encoder holds in memory.
const GROUP_BYTES: usize = 16 << 20;

/// Writes a row per video.
pub(crate) struct ParquetWriter {
    target: PathBuf,
    state: State,
    batch: Batch,
    notes: Vec<KeyValue>,
}

enum State {
    /// Before the first row.
    Claimed(AtomicFile),
    Open(Box<ArrowWriter<AtomicFile>>, SchemaRef),
    /// Only while the one becomes the other, and for good if that failed.
    Failed,
}

/// Columns being gathered.
#[derive(Default)]
struct Batch {
    index: Vec<i64>,
    id: Vec<String>,
    path: Vec<String>,
    start: Vec<Option<f64>>,
    end: Vec<Option<f64>>,
    frames: Vec<i64>,
    fps: Vec<Option<f64>>,
    duration: Vec<Option<f64>>,
    parts: Vec<Vec<f32>>,
}

impl ParquetWriter {
    pub(crate) fn new(file: AtomicFile) -> Self {
        let target = file.target().to_path_buf();
        Self { target, state: State::Claimed(file), batch: Batch::default(), notes: vec![] }
    }

    fn fail(&self, e: ParquetError) -> FileError {
        FileError::write(&self.target, io_error(e))
    }

    /// Writes the gathered rows, opening the file if they are the first.
    fn flush(&mut self, layout: &Layout) -> Result<(), FileError> {
        if let State::Claimed(_) = self.state
            && let State::Claimed(file) = std::mem::replace(&mut self.state, State::Failed)
        {
            let schema = schema(layout).map_err(|e| self.fail(e))?;
            let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties(layout)));
            self.state = State::Open(Box::new(writer.map_err(|e| self.fail(e))?), schema);
        }
        let State::Open(writer, schema) = &mut self.state else {
            return Ok(());
        };
        let batch = std::mem::take(&mut self.batch);
        if batch.id.is_empty() {
            return Ok(());
        }
        let written = batch.record(schema).and_then(|record| writer.write(&record));
        written.map_err(|e| self.fail(e))
    }
}

impl RowWriter for ParquetWriter {
    fn push(&mut self, row: &Row, layout: &Layout) -> Result<(), FileError> {
        self.batch.push(row, layout);
        let values: usize = self.batch.parts.iter().map(Vec::len).sum();
        if values >= BATCH_VALUES || self.batch.id.len() >= BATCH_ROWS {
            self.flush(layout)?;
        }
        Ok(())
    }

    fn note(&mut self, key: &'static str, text: String) {
        self.notes.push(KeyValue::new(key.to_string(), text));
    }

    fn finish(mut self: Box<Self>, layout: &Layout) -> Result<Option<AtomicFile>, FileError> {
        self.flush(layout)?;
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Open(mut writer, _) => {
                self.notes.drain(..).for_each(|note| writer.append_key_value_metadata(note));
                writer.into_inner().map(Some).map_err(|e| self.fail(e))
            }
            State::Claimed(file) => Ok(Some(file)),
            State::Failed => Ok(None),
        }
    }
}

impl Batch {
    fn push(&mut self, row: &Row, layout: &Layout) {
        self.index.push(row.index as i64);
        self.id.push(row.id.clone());
        self.path.push(row.path.to_string_lossy().into_owned());
        self.start.push(known(row.start));
        self.end.push(known(row.end));
        self.frames.push(row.frames as i64);
        self.fps.push(known(row.fps));
        self.duration.push(known(row.duration));
        self.parts.resize(layout.parts.len(), Vec::new());
        for (values, &part) in self.parts.iter_mut().zip(&layout.parts) {
            values.extend_from_slice(row.values(part));
        }
    }

    fn record(self, schema: &SchemaRef) -> Result<RecordBatch, ParquetError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(self.index)),
            Arc::new(StringArray::from(self.id)),
            Arc::new(StringArray::from(self.path)),
            Arc::new(Float64Array::from(self.start)),
            Arc::new(Float64Array::from(self.end)),
            Arc::new(Int64Array::from(self.frames)),
            Arc::new(Float64Array::from(self.fps)),
            Arc::new(Float64Array::from(self.duration)),
        ];
        for (values, field) in self.parts.into_iter().zip(&schema.fields()[columns.len()..]) {
            if let DataType::FixedSizeList(item, size) = field.data_type() {
                let values = Arc::new(Float32Array::from(values));
                columns.push(Arc::new(FixedSizeListArray::try_new(item.clone(), *size, values, None)?));
            }
        }
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}

/// The child of a list column, by the name the Parquet format gives it.
const ELEMENT: &str = "element";

fn schema(layout: &Layout) -> Result<SchemaRef, ParquetError> {
    let mut fields = vec![
        Field::new("index", DataType::Int64, false),
        Field::new("id", DataType::Utf8, false),
        Field::new("path", DataType::Utf8, false),
        Field::new("start", DataType::Float64, true),
        Field::new("end", DataType::Float64, true),
        Field::new("frames", DataType::Int64, false),
        Field::new("fps", DataType::Float64, true),
        Field::new("duration", DataType::Float64, true),
    ];
    for &part in &layout.parts {
        fields.push(part_field(layout, part).map_err(ParquetError::General)?);
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The column of a part: a fixed-size list of f32 with its shape in the metadata.
pub(crate) fn part_field(layout: &Layout, part: Part) -> Result<Field, String> {
    let shape = layout.shape(part);
    let size = i32::try_from(layout.len(part))
        .map_err(|_| format!("a row of the part {part} is too long for a list: {shape:?}"))?;
    let item = Arc::new(Field::new(ELEMENT, DataType::Float32, false));
    let metadata = HashMap::from([(SHAPE.to_string(), format!("{shape:?}"))]);
    Ok(Field::new(part.column(), DataType::FixedSizeList(item, size), false).with_metadata(metadata))
}

fn properties(layout: &Layout) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_bytes(Some(GROUP_BYTES));
    for &part in &layout.parts {
        let path = ColumnPath::new([part.column(), "list", ELEMENT].map(str::to_string).to_vec());
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    properties.build()
}

/// The system's error inside the library's, so that a full disk is known as one.
fn io_error(e: ParquetError) -> std::io::Error {
    match e {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => *io,
            Err(other) => std::io::Error::other(other),
        },
        other => std::io::Error::other(other),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rows::testing::{DIMS, row};
    use crate::rows::{Destination, Prepared};
    use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use std::fs::File;
    use std::path::Path;

    pub(crate) fn sample(dir: &Path, rows: usize) -> PathBuf {
        let path = dir.join("x.parquet");
        let parts = [Part::Concat, Part::Frames];
        let prepared = Prepared::new(&Destination::parse(&path).unwrap(), &parts, true).unwrap();
        let mut output = prepared.start(DIMS).unwrap();
        (0..rows).for_each(|i| output.push(&row(i, 3, &parts)).unwrap());
        output.finish().unwrap();
        path
    }

    #[test]
    fn columns_and_metadata_are_those_of_the_design() {
        let dir = tempfile::tempdir().unwrap();
        let path = sample(dir.path(), 2);
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let names: Vec<_> = builder.schema().fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(
            names,
            ["index", "id", "path", "start", "end", "frames", "fps", "duration", "concat", "frame_features"]
        );
        let frames = builder.schema().field_with_name("frame_features").unwrap();
        assert_eq!(frames.metadata()["shape"], "[3, 4]");
        assert!(matches!(frames.data_type(), DataType::FixedSizeList(_, 12)));
        let column = builder.metadata().row_group(0).column(9);
        assert!(column.dictionary_page_offset().is_none() && column.statistics().is_none());
    }
}
