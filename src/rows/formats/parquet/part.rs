//! Reads the rows of a dataset's part, with the descriptions of their clips.

use std::path::Path;

use ::parquet::arrow::ProjectionMask;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{Array as _, FixedSizeListArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;

use super::read::{guarded, open, readable};
use super::source::SizedFile;
use crate::rows::formats::record_batch::{DISTINCT_FRAMES, KEY_FRAMES};
use crate::rows::{ClipMeta, Part, Row};

/// Rows decoded at a time: a merge holds so many of each shard.
const BATCH_ROWS: usize = 64;

/// A text of the file's metadata.
pub(super) fn note(path: &Path, key: &str) -> Result<Option<String>, String> {
    let reader = SerializedFileReader::new(SizedFile::open(path)?).map_err(|e| e.to_string())?;
    let notes = reader.metadata().file_metadata().key_value_metadata();
    Ok(notes.and_then(|notes| notes.iter().find(|note| note.key == key)?.value.clone()))
}

/// The rows of a `.parquet` part, batch by batch.
pub(super) fn rows(
    path: &Path,
    parts: &[Part],
) -> Result<impl Iterator<Item = Result<Row, String>> + use<>, String> {
    let parts = parts.to_vec();
    let mut reader = guarded(|| {
        let builder = open(path)?;
        // Lists of parts that are not asked for are not decoded.
        let fields = builder.schema().fields().iter().enumerate();
        let needed = fields.filter(|(_, field)| {
            !field.data_type().is_nested() || parts.iter().any(|part| part.column() == field.name())
        });
        let mask = ProjectionMask::roots(builder.parquet_schema(), needed.map(|(at, _)| at));
        builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(readable)
    })?;
    let batches = std::iter::from_fn(move || {
        let next = guarded(|| {
            let Some(batch) = reader.next() else { return Ok(None) };
            let mut rows = Vec::new();
            batch_rows(&batch.map_err(readable)?, &parts, &mut rows)?;
            Ok(Some(rows))
        });
        match next {
            Ok(rows) => rows.map(|rows| rows.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(e) => Some(vec![Err(e)]),
        }
    });
    // Nothing is read after an error.
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
    // Not every part has these.
    let counts = |name: &str| batch.column_by_name(name).map(|_| whole(name)).transpose();
    let (distinct_frames, key_frames) = (counts(DISTINCT_FRAMES)?, counts(KEY_FRAMES)?);
    let kept = |field: &arrow_schema::FieldRef| -> Option<(String, StringArray)> {
        let name = field.name();
        let is_kept = *field.data_type() == DataType::Utf8 && !["id", "path"].contains(&name.as_str());
        is_kept.then(|| text(name).ok()).flatten().map(|values| (name.clone(), values))
    };
    let kept: Vec<_> = batch.schema_ref().fields().iter().filter_map(kept).collect();
    let lists = parts.iter().map(lists).collect::<Result<Vec<_>, _>>()?;
    let count = |value: i64| usize::try_from(value).map_err(|_| "it has a negative count".to_string());
    for at in 0..batch.num_rows() {
        let optional = |column: &Float64Array| (!column.is_null(at)).then(|| column.value(at));
        let values = |(part, lists): &(Part, FixedSizeListArray)| {
            let list = lists.value(at);
            (*part, list.as_primitive::<Float32Type>().values().to_vec())
        };
        let counted = |column: &Option<Int64Array>| match column.as_ref().filter(|column| !column.is_null(at))
        {
            Some(column) => count(column.value(at)).map(Some),
            None => Ok(None),
        };
        let clip = ClipMeta {
            index: count(index.value(at))?,
            id: id.value(at).into(),
            path: path.value(at).into(),
            start: optional(&start),
            end: optional(&end),
            fps: optional(&fps),
            duration: optional(&duration),
            distinct_frames: counted(&distinct_frames)?,
            key_frames: counted(&key_frames)?,
            columns: kept
                .iter()
                .filter(|(_, values)| !values.is_null(at))
                .map(|(name, values)| (name.clone(), values.value(at).to_owned()))
                .collect(),
        };
        let frames = count(frames.value(at))?;
        rows.push(Row { clip, window: None, frames, parts: lists.iter().map(values).collect() });
    }
    Ok(())
}
