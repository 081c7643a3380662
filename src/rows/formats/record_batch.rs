//! Arrow record batches of rows: the columns of the clips, and a fixed-size list of f32 per part with its shape in the
//! column's metadata (`shape`, JSON). Parquet files are made of them, and so are the answers of a stream.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use crate::rows::layout::Layout;
use crate::rows::row::known;
use crate::rows::{ClipMeta, Part, RowOrFailure};

/// The metadata key of a part's shape in one row.
pub(crate) const SHAPE: &str = "shape";

/// The child of a list column, by the name the Parquet format gives it.
pub(crate) const ELEMENT: &str = "element";

/// The column of a run with `--keyframes`: how many different key frames a row is made of.
pub(crate) const KEY_FRAMES: &str = "key_frames";

/// How many different frames a row is made of.
pub(crate) const DISTINCT_FRAMES: &str = "distinct_frames";

/// The columns named, [`KEY_FRAMES`] where the rows have it, the kept columns of the list, then one per part. With `failures`, a
/// column that a failure lacks may be null.
///
/// # Errors
/// If a part is too long for a list.
pub(crate) fn schema(columns: &[&str], layout: &Layout, failures: bool) -> Result<SchemaRef, String> {
    let column = |name: &str| {
        let (kind, nullable) = match name {
            "index" => (DataType::Int64, false),
            KEY_FRAMES | DISTINCT_FRAMES => (DataType::Int64, true),
            "frames" => (DataType::Int64, failures),
            "id" | "path" | "status" => (DataType::Utf8, false),
            "start" | "end" | "fps" | "duration" => (DataType::Float64, true),
            "stage" | "error" => (DataType::Utf8, true),
            other => return Err(format!("there is no column '{other}'")),
        };
        Ok(Field::new(name, kind, nullable))
    };
    let columns = columns.iter().copied().chain(layout.key_frames().then_some(KEY_FRAMES));
    let mut fields = columns.map(column).collect::<Result<Vec<_>, String>>()?;
    fields.extend(layout.kept_columns.iter().map(|name| Field::new(name, DataType::Utf8, true)));
    for &part in &layout.parts {
        fields.push(part_field(layout, part)?.with_nullable(failures));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The column of a part.
fn part_field(layout: &Layout, part: Part) -> Result<Field, String> {
    let shape = layout.shape(part);
    let size = i32::try_from(layout.len(part))
        .map_err(|_| format!("a row of the part {part} is too long for a list: {shape:?}"))?;
    let item = Arc::new(Field::new(ELEMENT, DataType::Float32, false));
    let metadata = HashMap::from([(SHAPE.to_string(), format!("{shape:?}"))]);
    Ok(Field::new(part.column(), DataType::FixedSizeList(item, size), false).with_metadata(metadata))
}

/// The clips as one batch of the columns of `schema`.
///
/// # Errors
/// If the library refuses them.
pub(crate) fn record_batch(
    schema: &SchemaRef,
    layout: &Layout,
    clips: &[RowOrFailure],
) -> Result<RecordBatch, ArrowError> {
    fn meta<'a>(clip: &RowOrFailure<'a>) -> &'a ClipMeta {
        match *clip {
            Ok(row) => &row.clip,
            Err(failure) => &failure.clip,
        }
    }
    let number = |value: fn(&ClipMeta) -> Option<f64>| -> ArrayRef {
        Arc::new(clips.iter().map(|clip| known(value(meta(clip)))).collect::<Float64Array>())
    };
    let column = |field: &Field| -> Result<ArrayRef, ArrowError> {
        Ok(match field.name().as_str() {
            "index" => Arc::new(Int64Array::from_iter_values(clips.iter().map(|c| meta(c).index as i64))),
            "id" => Arc::new(StringArray::from_iter_values(clips.iter().map(|c| &meta(c).id))),
            "path" => Arc::new(StringArray::from_iter_values(clips.iter().map(|c| meta(c).path_text()))),
            "status" => {
                let status = clips.iter().map(|c| if c.is_ok() { "ok" } else { "failed" });
                Arc::new(StringArray::from_iter_values(status))
            }
            "frames" => {
                let frames = clips.iter().map(|c| c.ok().map(|row| row.frames as i64));
                Arc::new(frames.collect::<Int64Array>())
            }
            "start" => number(|clip| clip.start),
            "end" => number(|clip| clip.end),
            "fps" => number(|clip| clip.fps),
            "duration" => number(|clip| clip.duration),
            DISTINCT_FRAMES => {
                let distinct = clips.iter().map(|c| meta(c).distinct_frames.map(|count| count as i64));
                Arc::new(distinct.collect::<Int64Array>())
            }
            KEY_FRAMES => {
                let key_frames = clips.iter().map(|c| meta(c).key_frames.map(|count| count as i64));
                Arc::new(key_frames.collect::<Int64Array>())
            }
            "stage" => Arc::new(clips.iter().map(|c| c.err().map(|f| &f.stage)).collect::<StringArray>()),
            "error" => Arc::new(clips.iter().map(|c| c.err().map(|f| &f.error)).collect::<StringArray>()),
            name if layout.kept_columns.iter().any(|kept| kept == name) => {
                Arc::new(clips.iter().map(|c| meta(c).columns.get(name)).collect::<StringArray>())
            }
            name => match layout.parts.iter().find(|part| part.column() == name) {
                Some(&part) => Arc::new(list(field, part, layout, clips)?),
                None => return Err(ArrowError::SchemaError(format!("there is no column '{name}'"))),
            },
        })
    };
    let columns = schema.fields().iter().map(|field| column(field)).collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema.clone(), columns)
}

/// The values of a part; null for failures.
fn list(
    field: &Field,
    part: Part,
    layout: &Layout,
    clips: &[RowOrFailure],
) -> Result<FixedSizeListArray, ArrowError> {
    let DataType::FixedSizeList(item, size) = field.data_type() else {
        return Err(ArrowError::SchemaError(format!("the column '{}' is not a list", field.name())));
    };
    let mut values = Vec::with_capacity(clips.len() * layout.len(part));
    for clip in clips {
        match clip {
            Ok(row) => values.extend_from_slice(row.values(part)),
            Err(_) => values.resize(values.len() + layout.len(part), 0.0),
        }
    }
    let valid = field.is_nullable().then(|| clips.iter().map(Result::is_ok).collect::<Vec<_>>().into());
    FixedSizeListArray::try_new(item.clone(), *size, Arc::new(Float32Array::from(values)), valid)
}
