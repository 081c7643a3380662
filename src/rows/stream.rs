//! Writes answers to standard output: rows and failures in the order of the requests, each as soon as it is known.

use std::io::{self, Write};

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, SchemaRef};

use crate::files::{FileError, print, stdout_error};
use crate::rows::formats::jsonl::Line;
use crate::rows::formats::record_batch::{record_batch, schema};
use crate::rows::layout::Layout;
use crate::rows::{Dims, Failure, IdForm, Part, Row, RowOrFailure};

/// The columns of an Arrow answer before those of the parts.
const COLUMNS: [&str; 11] =
    ["index", "id", "path", "status", "frames", "start", "end", "fps", "duration", "stage", "error"];

/// The answers of a run.
pub struct Answers {
    layout: Layout,
    dims: Dims,
    form: Form,
}

enum Form {
    /// One JSON object per line; of a failed input with `stage` and `error`.
    Jsonl(Vec<u8>),
    /// A record batch of one row per answer; of a failed input the columns of the parts are null.
    Arrow(Box<StreamWriter<io::Stdout>>, SchemaRef),
}

impl Answers {
    /// Answers as JSON lines.
    pub fn jsonl(parts: &[Part], dims: Dims) -> Self {
        Self { layout: Layout::new(parts.to_vec(), dims, None), dims, form: Form::Jsonl(Vec::new()) }
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
        let layout = Layout::new(parts.to_vec(), dims, Some("an Arrow column"));
        let schema = schema(&COLUMNS, &layout, true).map_err(FileError::Usage)?;
        let writer = StreamWriter::try_new(io::stdout(), &schema).map_err(arrow_error)?;
        Ok(Self { layout, dims, form: Form::Arrow(Box::new(writer), schema) })
    }

    /// Answers with a row, or with one per window. A request for JSON lines may have asked for `parts` of its own.
    ///
    /// # Errors
    /// `Row` if it does not fit: the caller answers with a failure. `Closed` and `Write` end the run.
    pub fn rows(&mut self, rows: &[Row], parts: Option<&[Part]>, id: IdForm) -> Result<(), FileError> {
        let mut own = parts.map(|parts| Layout::new(parts.to_vec(), self.dims, None));
        own.as_mut().unwrap_or(&mut self.layout).check_all(rows)?;
        rows.iter().try_for_each(|row| self.answer(Ok(row), parts, id))
    }

    /// Answers with a failure.
    ///
    /// # Errors
    /// `Closed` and `Write` end the run.
    pub fn failure(&mut self, failure: &Failure, id: IdForm) -> Result<(), FileError> {
        self.answer(Err(failure), None, id)
    }

    fn answer(&mut self, clip: RowOrFailure, parts: Option<&[Part]>, id: IdForm) -> Result<(), FileError> {
        match &mut self.form {
            Form::Jsonl(line) => {
                line.clear();
                let parts = parts.unwrap_or(&self.layout.parts);
                let object = Line { clip, kept_columns: &[], parts, with_status: true, id };
                serde_json::to_writer(&mut *line, &object).map_err(|e| stdout_error(e.into()))?;
                line.push(b'\n');
                print(line)
            }
            Form::Arrow(writer, schema) => {
                send(writer, record_batch(schema, &self.layout, &[clip]).map_err(arrow_error)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::testing::{DIMS, failure, row};
    use arrow_array::Array;

    #[test]
    fn a_failed_answer_has_its_error_and_no_values() {
        let layout = Layout::new(vec![Part::Concat, Part::Frames], DIMS, None);
        let schema = schema(&COLUMNS, &layout, true).unwrap();
        let good = record_batch(&schema, &layout, &[Ok(&row(3, 3, &layout.parts))]).unwrap();
        let bad = record_batch(&schema, &layout, &[Err(&failure(4))]).unwrap();
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
