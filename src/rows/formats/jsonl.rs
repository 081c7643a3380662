//! JSON lines: one JSON object per video, with the clip's columns and a list per part (a list of lists where it has a row per frame).
//!
//! On standard output each line is flushed, so that the reader of a pipe gets each video when it is done. A reader that closed
//! the pipe is [`FileError::Closed`]. Numbers have the fewest digits that give the same f32 back.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::files::{AtomicFile, FileError, print, stdout_error};
use crate::rows::array::{Array, Raw, part_name};
use crate::rows::file_format::{FileFormat, RowWriter, TakeBatch};
use crate::rows::layout::Layout;
use crate::rows::{IdForm, Part, Row, RowOrFailure, Wanted};

/// The format.
pub(crate) struct Jsonl;

impl FileFormat for Jsonl {
    fn extension(&self) -> &'static str {
        ".jsonl"
    }

    fn holds_one_shape(&self) -> bool {
        false
    }

    fn writer(&self, file: AtomicFile, _: &Layout) -> Result<Box<dyn RowWriter>, FileError> {
        Ok(Box::new(JsonlWriter::file(file)))
    }

    fn read(&self, path: &Path, wanted: Wanted) -> Result<Raw, String> {
        read_lines(path, wanted, &mut |_| Ok(()))
    }

    fn read_batches(&self, path: &Path, wanted: Wanted, take: TakeBatch) -> Option<Result<Raw, String>> {
        Some(read_lines(path, wanted, take))
    }
}

/// Writes a line per row.
pub(crate) struct JsonlWriter {
    target: Target,
    line: Vec<u8>,
}

enum Target {
    File(BufWriter<AtomicFile>, PathBuf),
    Stdout,
}

impl JsonlWriter {
    fn file(file: AtomicFile) -> Self {
        let path = file.target().to_path_buf();
        let file = BufWriter::with_capacity(1 << 16, file);
        Self { target: Target::File(file, path), line: Vec::new() }
    }

    pub(crate) fn stdout() -> Self {
        Self { target: Target::Stdout, line: Vec::new() }
    }
}

impl RowWriter for JsonlWriter {
    fn push(&mut self, row: &Row, layout: &Layout) -> Result<(), FileError> {
        self.line.clear();
        let encoded = serde_json::to_writer(
            &mut self.line,
            &Line {
                clip: Ok(row),
                kept_columns: &layout.kept_columns,
                parts: &layout.parts,
                with_status: false,
                id: IdForm::Text,
            },
        );
        self.line.push(b'\n');
        match &mut self.target {
            Target::File(file, path) => {
                let written = encoded.map_err(io::Error::from).and_then(|()| file.write_all(&self.line));
                written.map_err(|e| FileError::write(path, e))
            }
            Target::Stdout => {
                encoded.map_err(|e| stdout_error(e.into()))?;
                print(&self.line)
            }
        }
    }

    fn finish(self: Box<Self>, _: &Layout) -> Result<Option<AtomicFile>, FileError> {
        match self.target {
            Target::File(file, _) => AtomicFile::from_buffer(file).map(Some),
            Target::Stdout => Ok(None),
        }
    }
}

/// A row or a failure as a JSON object, its keys in a fixed order.
pub(crate) struct Line<'a> {
    pub(crate) clip: RowOrFailure<'a>,
    /// The columns of the list that it has too.
    pub(crate) kept_columns: &'a [String],
    /// The parts of a row.
    pub(crate) parts: &'a [Part],
    /// Whether it says `status`, where failures stand between the rows.
    pub(crate) with_status: bool,
    /// How it has the id.
    pub(crate) id: IdForm,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let status = |text| self.with_status.then_some(text);
        match self.clip {
            Ok(row) => {
                row.clip.serialize_entries(&mut map, self.id, status("ok"), Some(row.frames))?;
                for name in self.kept_columns {
                    map.serialize_entry(name, &row.clip.columns.get(name))?;
                }
                for &part in self.parts {
                    let values = row.values(part);
                    if part.per_frame() {
                        let width = (values.len() / row.frames.max(1)).max(1);
                        map.serialize_entry(part.column(), &values.chunks(width).collect::<Vec<_>>())?;
                    } else {
                        map.serialize_entry(part.column(), values)?;
                    }
                }
            }
            Err(failure) => {
                failure.clip.serialize_entries(&mut map, self.id, status("failed"), None)?;
                map.serialize_entry("stage", &failure.stage)?;
                map.serialize_entry("error", &failure.error)?;
            }
        }
        map.end()
    }
}

/// A value of a line: a text, numbers in a shape, or anything else.
#[derive(Debug, PartialEq)]
enum Field {
    Number(f32),
    Integer(i128),
    Text(String),
    /// A list of numbers or of equal lists of numbers; `None` if it is neither.
    List(Option<(Vec<usize>, Vec<f32>)>),
    Other,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_f64<E>(self, v: f64) -> Result<Field, E> {
        Ok(Field::Number(v as f32))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Field, E> {
        Ok(Field::Integer(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Field, E> {
        Ok(Field::Integer(v.into()))
    }

    fn visit_str<E>(self, v: &str) -> Result<Field, E> {
        Ok(Field::Text(v.to_string()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field, A::Error> {
        let mut data = Vec::new();
        // The shape of one element: [] for a number; `None` before the first.
        let mut inner: Option<Vec<usize>> = None;
        let (mut length, mut even) = (0, true);
        while let Some(element) = seq.next_element::<Field>()? {
            length += 1;
            let shape = match element {
                Field::Number(v) => {
                    data.push(v);
                    Some(Vec::new())
                }
                Field::Integer(v) => {
                    data.push(v as f32);
                    Some(Vec::new())
                }
                Field::List(Some((shape, values))) => {
                    data.extend(values);
                    Some(shape)
                }
                _ => None,
            };
            even = even && shape.is_some() && (inner.is_none() || inner == shape);
            inner = shape;
        }
        let mut shape = vec![length];
        shape.extend(inner.unwrap_or_default());
        Ok(Field::List(even.then_some((shape, data))))
    }
}

/// Reads every list of numbers, or the one named, as an array; all rows must have the same shape. `take` is called after
/// every line; it may take the values that have been read out of the arrays.
fn read_lines(path: &Path, wanted: Wanted, take: TakeBatch) -> Result<Raw, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let mut ids: Option<Vec<String>> = Some(Vec::new());
    let mut arrays: Vec<Array> = Vec::new();
    let mut rows = 0;
    for (number, line) in BufReader::with_capacity(1 << 16, file).lines().enumerate() {
        let at = |e: &dyn fmt::Display| format!("line {}: {e}", number + 1);
        let line = line.map_err(|e| at(&e))?;
        if line.trim().is_empty() {
            continue;
        }
        let fields: BTreeMap<String, Field> = serde_json::from_str(&line).map_err(|e| at(&e))?;
        let names: Vec<String> = wanted.id_column.iter().flat_map(|_| fields.keys().cloned()).collect();
        let mut id = None;
        let mut lists = 0;
        for (key, field) in fields {
            match field {
                Field::Text(text) if wanted.holds_ids(&key, &["id"]) => id = Some(text),
                Field::Integer(number) if wanted.holds_ids(&key, &["id"]) => id = Some(number.to_string()),
                Field::List(values) => {
                    let name = part_name(&key);
                    if wanted.array.is_some_and(|only| only != name && only != key) {
                        continue;
                    }
                    let Some((shape, values)) = values else {
                        return Err(at(&format!("'{name}' is not a regular list of numbers")));
                    };
                    lists += 1;
                    add(&mut arrays, name, shape, values, rows).map_err(|e| at(&e))?;
                }
                _ => {}
            }
        }
        if lists != arrays.len() {
            return Err(at(&"it lacks a list that the lines before have"));
        }
        take(&mut arrays).map_err(|e| at(&e))?;
        wanted.check_ids_found(id.is_some(), names).map_err(|e| at(&e))?;
        ids = ids.zip(id).map(|(mut ids, id)| {
            ids.push(id);
            ids
        });
        rows += 1;
    }
    Ok(Raw { ids, arrays })
}

/// Appends one row to the array of that name.
fn add(
    arrays: &mut Vec<Array>,
    name: &str,
    shape: Vec<usize>,
    values: Vec<f32>,
    rows: usize,
) -> Result<(), String> {
    let array = match arrays.iter_mut().position(|a| a.name == name) {
        Some(i) => &mut arrays[i],
        None if rows == 0 => {
            let full = [&[0], &shape[..]].concat();
            arrays.push(Array { name: name.to_string(), shape: full, data: Vec::new() });
            let last = arrays.len() - 1;
            &mut arrays[last]
        }
        None => return Err(format!("'{name}' is not in the lines before")),
    };
    if array.shape[1..] != shape {
        let before = &array.shape[1..];
        return Err(format!(
            "'{name}' has the shape {shape:?} here and {before:?} in the lines before; one shape is needed \
             (embed with a fixed --frames N)"
        ));
    }
    array.shape[0] += 1;
    array.data.extend(values);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::testing::row;

    fn read_text(text: &str) -> Result<Raw, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        std::fs::write(&path, text).unwrap();
        Jsonl.read(&path, Wanted::default())
    }

    #[test]
    fn a_line_has_the_columns_in_order_and_no_nan() {
        let mut row = row(4, 2, &[Part::Static, Part::Frames]);
        row.clip.fps = Some(f64::NAN);
        row.clip.id = "a\n\"".into();
        row.clip.path = "a\n\".mp4".into();
        row.parts = vec![(Part::Static, vec![0.1, -2.0]), (Part::Frames, (0..8).map(|v| v as f32).collect())];
        row.clip.columns.insert("label".into(), "open".into());
        let line = Line {
            clip: Ok(&row),
            kept_columns: &["label".into(), "source".into()],
            parts: &[Part::Static, Part::Frames],
            with_status: false,
            id: IdForm::Text,
        };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            "{\"index\":4,\"id\":\"a\\n\\\"\",\"path\":\"a\\n\\\".mp4\",\"start\":null,\"end\":1.5,\"frames\":2,\
             \"fps\":null,\"duration\":6.0,\"distinct_frames\":2,\"label\":\"open\",\"source\":null,\"static\":[0.1,-2.0],\
             \"frame_features\":[[0.0,1.0,2.0,3.0],[4.0,5.0,6.0,7.0]]}"
        );
    }

    #[test]
    fn f32_values_come_back_bit_for_bit() {
        // A multiplicative walk over the bit patterns, exponents and all.
        let mut bits = 1u32;
        let values: Vec<f32> = std::iter::repeat_with(|| {
            bits = bits.wrapping_mul(2_654_435_761).wrapping_add(12345);
            f32::from_bits(bits)
        })
        .filter(|v| v.is_finite())
        .take(200_000)
        .collect();
        let text = format!("{{\"id\":\"a\",\"x\":{}}}", serde_json::to_string(&values).unwrap());
        let raw = read_text(&text).unwrap();
        let equal = raw.arrays[0].data.iter().zip(&values).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(equal && raw.arrays[0].data.len() == values.len());
    }

    #[test]
    fn foreign_lines_are_read_and_bad_ones_are_numbered() {
        let raw =
            read_text("{\"id\":\"a\",\"v\":[1,2.5],\"meta\":{\"k\":[1]},\"n\":null}\n\n{\"v\":[3,4]}\n")
                .unwrap();
        assert_eq!(raw.ids, None, "one line has no id");
        assert_eq!(
            raw.arrays[0],
            Array { name: "v".into(), shape: vec![2, 2], data: vec![1.0, 2.5, 3.0, 4.0] }
        );
        for (text, reason) in [
            ("{\"v\":[1]}\n{\"v\":[1,2]}", "line 2: 'v' has the shape [2] here and [1]"),
            ("{\"v\":[[1],[1,2]]}", "line 1: 'v' is not a regular list"),
            ("{\"v\":[1]}\n{}", "line 2: it lacks a list"),
            ("{}\n{\"v\":[1]}", "line 2: 'v' is not in the lines before"),
            ("{\"v\":[1", "line 1: EOF"),
            ("[1]", "line 1: "),
        ] {
            let error = read_text(text).err().unwrap();
            assert!(error.starts_with(reason), "{error}");
        }
        assert!(read_text(&"[".repeat(100_000)).is_err(), "depth is bounded");
        assert!(read_text(&format!("{{\"a\":{}", "[".repeat(100_000))).is_err(), "depth is bounded");
    }
}
