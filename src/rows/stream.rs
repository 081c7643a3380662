//! A stream of answers on standard output: rows and failures in the order of the requests, each there as soon as it is known.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use crate::files::FileError;
use crate::files::{print, stdout_error};
use crate::rows::format::Format;
use crate::rows::formats::jsonl::Line;
use crate::rows::formats::parquet::write::part_field;
use crate::rows::layout::Layout;
use crate::rows::{Dims, Failure, Part, Row, known};

/// The answers of a run.
pub struct Answers {
    layout: Layout,
    form: Form,
}

enum Form {
    /// An object a line; of a failed one with `stage` and `error`.
    Jsonl(Vec<u8>),
    /// A record batch of one row an answer; of a failed one the columns of the parts are null.
    Arrow(Box<StreamWriter<io::Stdout>>, SchemaRef),
}

/// A failed request, as an object.
#[derive(serde::Serialize)]
struct Failed<'a> {
    index: usize,
    id: &'a str,
    path: String,
    status: &'static str,
    start: Option<f64>,
    end: Option<f64>,
    fps: Option<f64>,
    duration: Option<f64>,
    stage: &'a str,
    error: &'a str,
}

impl Answers {
    /// Answers as JSON lines.
    pub fn jsonl(parts: &[Part], dims: Dims) -> Self {
        Self { layout: Layout::new(parts.to_vec(), dims, Format::Jsonl), form: Form::Jsonl(Vec::new()) }
    }

    /// Answers as an Arrow IPC stream.
    ///
    /// # Errors
    /// `Usage` if a part has a row per frame and `dims` fixes no number of frames; `Closed` and `Write` as any writing.
    pub fn arrow(parts: &[Part], dims: Dims) -> Result<Self, FileError> {
        if let Some(part) = parts.iter().find(|p| p.per_frame()).filter(|_| dims.frames.is_none()) {
            return Err(FileError::Usage(format!(
                "the part {part} has a row per frame, and an Arrow column holds one shape; fix the number with \
                 --frames N, or answer in jsonl"
            )));
        }
        let layout = Layout::new(parts.to_vec(), dims, Format::Parquet);
        let schema = schema(&layout).map_err(FileError::Usage)?;
        let writer = StreamWriter::try_new(io::stdout(), &schema).map_err(arrow_error)?;
        Ok(Self { layout, form: Form::Arrow(Box::new(writer), schema) })
    }

    /// Answers with a row.
    ///
    /// # Errors
    /// `Row` if it does not fit: the caller answers with a failure. `Closed` and `Write` end the run.
    pub fn rows(&mut self, rows: &[Row]) -> Result<(), FileError> {
        self.layout.check_all(rows)?;
        rows.iter().try_for_each(|row| self.row(row))
    }

    fn row(&mut self, row: &Row) -> Result<(), FileError> {
        match &mut self.form {
            Form::Jsonl(line) => {
                line.clear();
                let object = Line { row, layout: &self.layout, status: Some("ok") };
                serde_json::to_writer(&mut *line, &object).map_err(|e| stdout_error(e.into()))?;
                line.push(b'\n');
                print(line)
            }
            Form::Arrow(writer, schema) => {
                send(writer, batch(schema, &self.layout, Answer::Row(row)).map_err(arrow_error)?)
            }
        }
    }

    /// Answers with a failure.
    ///
    /// # Errors
    /// `Closed` and `Write` end the run.
    pub fn failure(&mut self, failure: &Failure) -> Result<(), FileError> {
        match &mut self.form {
            Form::Jsonl(line) => {
                let object = Failed {
                    index: failure.index,
                    id: &failure.id,
                    path: failure.path.to_string_lossy().into_owned(),
                    status: "failed",
                    start: known(failure.start),
                    end: known(failure.end),
                    fps: known(failure.fps),
                    duration: known(failure.duration),
                    stage: &failure.stage,
                    error: &failure.error,
                };
                line.clear();
                serde_json::to_writer(&mut *line, &object).map_err(|e| stdout_error(e.into()))?;
                line.push(b'\n');
                print(line)
            }
            Form::Arrow(writer, schema) => {
                send(writer, batch(schema, &self.layout, Answer::Failure(failure)).map_err(arrow_error)?)
            }
        }
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// `Closed` and `Write`.
    pub fn finish(self) -> Result<(), FileError> {
        match self.form {
            Form::Jsonl(_) => Ok(()),
            Form::Arrow(mut writer, _) => {
                writer.finish().map_err(arrow_error)?;
                writer.get_mut().flush().map_err(stdout_error)
            }
        }
    }
}

fn send(writer: &mut StreamWriter<io::Stdout>, batch: RecordBatch) -> Result<(), FileError> {
    writer.write(&batch).map_err(arrow_error)?;
    writer.get_mut().flush().map_err(stdout_error)
}

fn arrow_error(e: ArrowError) -> FileError {
    stdout_error(match e {
        ArrowError::IoError(_, io) => io,
        other => io::Error::other(other),
    })
}

fn schema(layout: &Layout) -> Result<SchemaRef, String> {
    let texts = ["id", "path", "status"].map(|name| Field::new(name, DataType::Utf8, false));
    let numbers = ["start", "end", "fps", "duration"].map(|name| Field::new(name, DataType::Float64, true));
    let why = ["stage", "error"].map(|name| Field::new(name, DataType::Utf8, true));
    let mut fields = vec![Field::new("index", DataType::Int64, false)];
    fields.extend(texts);
    fields.push(Field::new("frames", DataType::Int64, true));
    fields.extend(numbers);
    fields.extend(why);
    for &part in &layout.parts {
        fields.push(part_field(layout, part)?.with_nullable(true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

enum Answer<'a> {
    Row(&'a Row),
    Failure(&'a Failure),
}

fn batch(schema: &SchemaRef, layout: &Layout, answer: Answer) -> Result<RecordBatch, ArrowError> {
    let text = |text: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let whole = |n: Option<usize>| -> ArrayRef { Arc::new(Int64Array::from(vec![n.map(|n| n as i64)])) };
    let number = |x: Option<f64>| -> ArrayRef { Arc::new(Float64Array::from(vec![known(x)])) };
    let (index, id, path, range, rate) = match &answer {
        Answer::Row(r) => (r.index, &r.id, &r.path, [r.start, r.end], [r.fps, r.duration]),
        Answer::Failure(f) => (f.index, &f.id, &f.path, [f.start, f.end], [f.fps, f.duration]),
    };
    let (status, frames, stage, error) = match &answer {
        Answer::Row(r) => ("ok", Some(r.frames), None, None),
        Answer::Failure(f) => ("failed", None, Some(f.stage.as_str()), Some(f.error.as_str())),
    };
    let mut columns = vec![
        whole(Some(index)),
        text(Some(id)),
        text(Some(&path.to_string_lossy())),
        text(Some(status)),
        whole(frames),
        number(range[0]),
        number(range[1]),
        number(rate[0]),
        number(rate[1]),
        text(stage),
        text(error),
    ];
    for (&part, field) in layout.parts.iter().zip(&schema.fields()[columns.len()..]) {
        let DataType::FixedSizeList(item, size) = field.data_type() else { continue };
        let (values, there) = match &answer {
            Answer::Row(row) => (row.values(part).to_vec(), true),
            Answer::Failure(_) => (vec![0.0; layout.len(part)], false),
        };
        let values = Arc::new(Float32Array::from(values));
        let list = FixedSizeListArray::try_new(item.clone(), *size, values, Some(vec![there].into()))?;
        columns.push(Arc::new(list));
    }
    RecordBatch::try_new(schema.clone(), columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::testing::{DIMS, failure, row};
    use arrow_array::Array;

    #[test]
    fn a_failed_answer_has_its_error_and_no_values() {
        let layout = Layout::new(vec![Part::Concat, Part::Frames], DIMS, Format::Parquet);
        let schema = schema(&layout).unwrap();
        let good = batch(&schema, &layout, Answer::Row(&row(3, 3, &layout.parts))).unwrap();
        let bad = batch(&schema, &layout, Answer::Failure(&failure(4))).unwrap();
        for (batch, nulls) in [(&good, 0), (&bad, 1)] {
            assert_eq!(batch.num_rows(), 1);
            assert_eq!(batch.column_by_name("concat").unwrap().null_count(), nulls);
            assert_eq!(batch.column_by_name("error").unwrap().null_count(), 1 - nulls);
        }
    }

    #[test]
    fn arrow_wants_one_shape() {
        let dims = Dims { frames: None, ..DIMS };
        let error = Answers::arrow(&[Part::Frames], dims).err().unwrap().to_string();
        assert!(error.contains("--frames N"), "{error}");
    }
}
