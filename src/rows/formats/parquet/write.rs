//! Writes Parquet: record batches of the clips' columns and a list per part.
//!
//! Batches and row groups have a bounded size, so memory does not grow with the run. Values are stored plain, without a
//! dictionary, and compressed by zstd. The schema is made with the first row, which may decide `T`.

use std::path::PathBuf;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::schema::types::ColumnPath;
use arrow_schema::SchemaRef;

use crate::files::{AtomicFile, FileError};
use crate::rows::Row;
use crate::rows::file_format::RowWriter;
use crate::rows::formats::record_batch::{DISTINCT_FRAMES, ELEMENT, record_batch, schema};
use crate::rows::layout::Layout;

/// The columns before those of the parts.
const COLUMNS: [&str; 9] =
    ["index", "id", "path", "start", "end", "frames", "fps", "duration", DISTINCT_FRAMES];
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
    /// Rows that are gathered for the next batch, and how many values they have.
    rows: Vec<Row>,
    values: usize,
    notes: Vec<KeyValue>,
}

enum State {
    /// Before the first row.
    Claimed(AtomicFile),
    Open(Box<ArrowWriter<AtomicFile>>, SchemaRef),
    /// While one becomes the other, and after that failed.
    Failed,
}

impl ParquetWriter {
    pub(crate) fn new(file: AtomicFile) -> Self {
        let target = file.target().to_path_buf();
        Self { target, state: State::Claimed(file), rows: vec![], values: 0, notes: vec![] }
    }

    fn fail(&self, e: ParquetError) -> FileError {
        FileError::write(&self.target, io_error(e))
    }

    /// Writes the gathered rows, opening the file if they are the first.
    fn flush(&mut self, layout: &Layout) -> Result<(), FileError> {
        if let State::Claimed(_) = self.state
            && let State::Claimed(file) = std::mem::replace(&mut self.state, State::Failed)
        {
            let schema = schema(&COLUMNS, layout, false);
            let schema = schema.map_err(|e| self.fail(ParquetError::General(e)))?;
            let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties(layout)));
            self.state = State::Open(Box::new(writer.map_err(|e| self.fail(e))?), schema);
        }
        let State::Open(writer, schema) = &mut self.state else {
            return Ok(());
        };
        let rows = std::mem::take(&mut self.rows);
        self.values = 0;
        if rows.is_empty() {
            return Ok(());
        }
        let batch = record_batch(schema, layout, &rows.iter().map(Ok).collect::<Vec<_>>());
        let written = batch.map_err(ParquetError::from).and_then(|batch| writer.write(&batch));
        written.map_err(|e| self.fail(e))
    }
}

impl RowWriter for ParquetWriter {
    fn push(&mut self, row: &Row, layout: &Layout) -> Result<(), FileError> {
        self.values += row.parts.iter().map(|(_, values)| values.len()).sum::<usize>();
        self.rows.push(row.clone());
        if self.values >= BATCH_VALUES || self.rows.len() >= BATCH_ROWS {
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

/// The system's error inside the library's, so that a full disk is recognised.
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
    use crate::rows::{Destination, Part, Prepared};
    use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use arrow_schema::DataType;
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
            [
                "index",
                "id",
                "path",
                "start",
                "end",
                "frames",
                "fps",
                "duration",
                "distinct_frames",
                "concat",
                "frame_features"
            ]
        );
        let frames = builder.schema().field_with_name("frame_features").unwrap();
        assert_eq!(frames.metadata()["shape"], "[3, 4]");
        assert!(matches!(frames.data_type(), DataType::FixedSizeList(_, 12)));
        let column = builder.metadata().row_group(0).column(10);
        assert!(column.dictionary_page_offset().is_none() && column.statistics().is_none());
    }
}
