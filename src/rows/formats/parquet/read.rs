//! Reads Parquet: files of this program, and the list columns that pandas, DuckDB or Polars write.

use std::path::Path;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::reader::Length as _;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array as _, ArrayRef};
use arrow_schema::{DataType, Field};

use super::source::SizedFile;
use crate::guard::catch_panic;
use crate::rows::Wanted;
use crate::rows::array::{Array, Raw, part_name};
use crate::rows::file_format::TakeBatch;
use crate::rows::formats::record_batch::SHAPE;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// Runs the library's reader. It checks sizes against the file, but a damaged file may still trip one of its assertions: a
/// panic becomes a reason.
pub(super) fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_panic(read).unwrap_or_else(|| Err("damaged: the Parquet reader gave up on it".into()))
}

/// Opens a file whose columns are in it.
pub(super) fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<SizedFile>, String> {
    let source = SizedFile::open(path)?;
    let bytes = source.len();
    let builder = ParquetRecordBatchReaderBuilder::try_new(source).map_err(readable)?;
    check_places(builder.metadata(), bytes)?;
    Ok(builder)
}

/// Reads the list columns of floats, or the one wanted, and the ids of the column `id`, or of the one wanted. `take` is called after
/// every batch; it may take the values that have been read out of the arrays.
pub(super) fn read(path: &Path, wanted: Wanted, take: TakeBatch) -> Result<Raw, String> {
    let builder = open(path)?;
    let schema = builder.schema().clone();
    let mut raw = Raw { ids: None, arrays: Vec::new() };
    let mut columns = Vec::new();
    let holds_ids = |field: &Field| wanted.holds_ids(field.name(), &["id"]);
    let named = |field: &Field| {
        let column = field.name().as_str();
        wanted.array.is_none_or(|only| only == part_name(column) || only == column)
    };
    for (at, field) in schema.fields().iter().enumerate() {
        let name = part_name(field.name());
        if holds_ids(field) {
            raw.ids = Some(Vec::new());
            columns.push(at);
        } else if is_list_of_floats(field.data_type()) && named(field) {
            raw.arrays.push(Array { name: name.to_string(), shape: row_shape(field)?, data: Vec::new() });
            columns.push(at);
        }
    }
    wanted.check_ids_found(raw.ids.is_some(), schema.fields().iter().map(|field| field.name()))?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
    let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(readable)?;
    let (mut rows, mut widths) = (0, vec![None; raw.arrays.len()]);
    for batch in reader {
        let batch = batch.map_err(readable)?;
        rows += batch.num_rows();
        let mut lists = raw.arrays.iter_mut().zip(&mut widths);
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if holds_ids(field) {
                let ids = texts(column).ok_or_else(|| {
                    format!(
                        "its column '{}' ({}) does not have a text or an integer in every row, as ids must; fill it, or name \
                         another column with --id-column",
                        field.name(),
                        field.data_type()
                    )
                })?;
                raw.ids.get_or_insert_default().extend(ids);
            } else if let Some((array, width)) = lists.next() {
                floats(column, &mut array.data, width)
                    .map_err(|e| format!("column '{}': {e}", array.name))?;
            }
        }
        take(&mut raw.arrays)?;
    }
    for (array, width) in raw.arrays.iter_mut().zip(widths) {
        let declared: Option<usize> = array.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if array.shape.is_empty() {
            array.shape = vec![width.unwrap_or(0)];
        } else if width.is_some() && width != declared {
            return Err(format!(
                "column '{}' does not have the shape {:?} it declares",
                array.name, array.shape
            ));
        }
        array.shape.insert(0, rows);
    }
    Ok(raw)
}

/// Checks that every column chunk lies in the file; the library asserts it only in part, and prints a panic's text.
fn check_places(metadata: &ParquetMetaData, bytes: u64) -> Result<(), String> {
    for chunk in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        let end = start.checked_add(chunk.compressed_size()).and_then(|end| u64::try_from(end).ok());
        if start < 0 || chunk.compressed_size() < 0 || end.is_none_or(|end| end > bytes) {
            return Err(format!(
                "cut short or damaged: the column '{}' lies outside the file",
                chunk.column_path()
            ));
        }
    }
    Ok(())
}

/// An error of the library, with a remedy where this build lacks a feature.
pub(super) fn readable(e: impl std::fmt::Display) -> String {
    match e.to_string() {
        text if text.contains("Disabled feature") => {
            format!("{text}; write it again with zstd or without compression")
        }
        text => text,
    }
}

fn is_list_of_floats(kind: &DataType) -> bool {
    match kind {
        DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => {
            matches!(item.data_type(), DataType::Float16 | DataType::Float32 | DataType::Float64)
        }
        _ => false,
    }
}

/// The shape of one row; empty where nothing declares it.
fn row_shape(field: &Field) -> Result<Vec<usize>, String> {
    match (field.metadata().get(SHAPE), field.data_type()) {
        (Some(json), _) => serde_json::from_str(json)
            .map_err(|e| format!("column '{}': its metadata '{SHAPE}' is not a shape: {e}", field.name())),
        (None, DataType::FixedSizeList(_, size)) => Ok(vec![usize::try_from(*size).unwrap_or(0)]),
        (None, _) => Ok(Vec::new()),
    }
}

/// The values of a column of texts or of integers, also of one that names each value once (pandas calls it a category); `None` for
/// other types and for a column with gaps.
fn texts(column: &ArrayRef) -> Option<Vec<String>> {
    if column.null_count() > 0 {
        return None;
    }
    if let DataType::Dictionary(_, _) = column.data_type() {
        let column = column.as_any_dictionary_opt()?;
        let values = texts(column.values())?;
        return column.normalized_keys().into_iter().map(|key| values.get(key).cloned()).collect();
    }
    macro_rules! integers {
        ($($kind:ty),*) => {
            $(if let Some(values) = column.as_primitive_opt::<$kind>() {
                return Some(values.values().iter().map(ToString::to_string).collect());
            })*
        };
    }
    integers!(Int64Type, Int32Type, Int16Type, Int8Type, UInt64Type, UInt32Type, UInt16Type, UInt8Type);
    let own = |text: Option<&str>| text.unwrap_or_default().to_string();
    if let Some(texts) = column.as_string_opt::<i32>() {
        Some(texts.iter().map(own).collect())
    } else if let Some(texts) = column.as_string_opt::<i64>() {
        Some(texts.iter().map(own).collect())
    } else {
        Some(column.as_string_view_opt()?.iter().map(own).collect())
    }
}

/// Appends the lists of a column, which must all have one length.
fn floats(column: &ArrayRef, data: &mut Vec<f32>, width: &mut Option<usize>) -> Result<(), String> {
    for at in 0..column.len() {
        if column.is_null(at) {
            return Err("it has a row without a list".into());
        }
        let list = if let Some(lists) = column.as_fixed_size_list_opt() {
            lists.value(at)
        } else if let Some(lists) = column.as_list_opt::<i32>() {
            lists.value(at)
        } else if let Some(lists) = column.as_list_opt::<i64>() {
            lists.value(at)
        } else {
            return Err("it is not a list".into());
        };
        if list.null_count() > 0 {
            return Err("it has a list with gaps".into());
        }
        if width.is_some_and(|w| w != list.len()) {
            return Err(format!("it has lists of {} and of {} numbers", width.unwrap_or(0), list.len()));
        }
        *width = Some(list.len());
        if let Some(values) = list.as_primitive_opt::<Float32Type>() {
            data.extend_from_slice(values.values());
        } else if let Some(values) = list.as_primitive_opt::<Float64Type>() {
            data.extend(values.values().iter().map(|v| *v as f32));
        } else if let Some(values) = list.as_primitive_opt::<Float16Type>() {
            data.extend(values.values().iter().map(|v| v.to_f32()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Part;
    use crate::rows::formats::parquet::write::BATCH_ROWS;
    use crate::rows::formats::parquet::write::tests::sample;
    use crate::rows::testing::row;
    use std::io::{Seek, SeekFrom, Write};

    #[test]
    fn more_rows_than_a_batch_come_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let rows = BATCH_ROWS + 5;
        let raw = read(&sample(dir.path(), rows), Wanted::one("concat"), &mut |_| Ok(())).unwrap();
        assert_eq!(raw.arrays.len(), 1);
        assert_eq!(raw.arrays[0].shape, [rows, 4]);
        let last = row(rows - 1, 3, &[Part::Concat]);
        assert_eq!(raw.arrays[0].row(rows - 1), last.values(Part::Concat));
        assert_eq!(raw.ids.unwrap()[rows - 1], last.clip.id);
    }

    #[test]
    fn damaged_files_end_in_a_reason_or_in_rows_but_never_in_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = sample(dir.path(), 3);
        let good = std::fs::read(&path).unwrap();
        for cut in [0, 4, 11, good.len() / 2, good.len() - 1] {
            std::fs::write(&path, &good[..cut]).unwrap();
            assert!(read(&path, Wanted::default(), &mut |_| Ok(())).is_err(), "cut at {cut}");
        }
        // One byte at a time, in place.
        std::fs::write(&path, &good).unwrap();
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let mut put = |at: usize, byte: u8| {
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&[byte]).unwrap();
        };
        for (at, &byte) in good.iter().enumerate() {
            for mask in [0x55, 0x80, 0x01] {
                put(at, byte ^ mask);
                if let Err(reason) = read(&path, Wanted::default(), &mut |_| Ok(())) {
                    assert!(!reason.is_empty());
                }
            }
            put(at, byte);
        }
        assert!(read(&path, Wanted::default(), &mut |_| Ok(())).is_ok());
    }
}
