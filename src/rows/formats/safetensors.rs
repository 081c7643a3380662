//! The safetensors format: a JSON header with the tensors' places, then their bytes; ids as a JSON array in the metadata.
//!
//! The header is first and holds what is known last, so the values of each part are kept in a spool until the end.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ::safetensors::Dtype;
use ::safetensors::tensor::{Metadata, TensorInfo};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::files::safetensors::{LONGEST_HEADER, header};
use crate::files::{AtomicFile, FileError};
use crate::inputs::Id;
use crate::rows::array::{Array, Raw, StoredArray, StoredArrays};
use crate::rows::file_format::{FileFormat, PartFile, RowIterator, RowWriter};
use crate::rows::formats::id_array::integer;
use crate::rows::layout::Layout;
use crate::rows::values::{Element, Spools, count, read_values};
use crate::rows::{ClipMeta, IdForm, Part, Row, Wanted};

/// The format.
pub(crate) struct Safetensors;

impl FileFormat for Safetensors {
    fn extension(&self) -> &'static str {
        ".safetensors"
    }

    fn keeps_notes(&self) -> bool {
        true
    }

    fn note(&self, path: &Path, key: &str) -> Result<Option<String>, String> {
        Ok(notes(path)?.remove(key))
    }

    fn writer(&self, file: AtomicFile, layout: &Layout) -> Result<Box<dyn RowWriter>, FileError> {
        Ok(Box::new(SafetensorsWriter::new(file, layout, None)?))
    }

    fn read(&self, path: &Path, wanted: Wanted) -> Result<Raw, String> {
        read(path, wanted)
    }

    /// The tensors if all are of f32.
    fn open(&self, path: &Path, wanted: Wanted) -> Result<Option<StoredArrays>, String> {
        let mut file = File::open(path).map_err(|e| e.to_string())?;
        let head = head(&mut file)?;
        let ids = ids(&head, &mut file, wanted)?;
        let mut arrays = Vec::new();
        for (name, element, info) in tensors(&head, wanted.array)? {
            if element != Element::F32 {
                return Ok(None);
            }
            let offset = head.start + info.data_offsets.0 as u64;
            arrays.push(StoredArray::in_file(path, name, &info.shape, offset)?);
        }
        Ok(Some((arrays, ids)))
    }

    fn dataset_part(&self) -> Option<&dyn PartFile> {
        Some(self)
    }
}

impl PartFile for Safetensors {
    fn writer(&self, file: AtomicFile, layout: &Layout) -> Result<Box<dyn RowWriter>, FileError> {
        Ok(Box::new(SafetensorsWriter::new(file, layout, Some(Vec::new()))?))
    }

    fn rows(&self, path: &Path, parts: &[Part]) -> Result<RowIterator, String> {
        Ok(Box::new(rows(path, parts)?.into_iter().map(Ok)))
    }
}

/// The metadata key of the ids.
const IDS: &str = "ids";
/// The metadata key under which a part of a dataset has the descriptions of its rows' clips (JSON).
const COLUMNS: &str = "lift.rows";

/// The description of a row's clip, without its id, which is among the ids.
#[derive(Deserialize)]
struct Columns {
    #[serde(flatten)]
    clip: ClipMeta,
    frames: usize,
}

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.clip.serialize_entries(&mut map, IdForm::Absent, None, Some(self.frames))?;
        if !self.clip.columns.is_empty() {
            map.serialize_entry("columns", &self.clip.columns)?;
        }
        map.end()
    }
}

/// Writes a tensor per part.
struct SafetensorsWriter {
    file: AtomicFile,
    target: PathBuf,
    spools: Spools,
    ids: Vec<String>,
    notes: BTreeMap<&'static str, String>,
    /// Only in parts of a dataset.
    columns: Option<Vec<Columns>>,
}

impl SafetensorsWriter {
    fn new(file: AtomicFile, layout: &Layout, columns: Option<Vec<Columns>>) -> Result<Self, FileError> {
        let (target, spools) = (file.target().to_path_buf(), Spools::new(&file, layout)?);
        Ok(Self { file, target, spools, ids: Vec::new(), notes: BTreeMap::new(), columns })
    }
}

impl RowWriter for SafetensorsWriter {
    fn push(&mut self, row: &Row, _: &Layout) -> Result<(), FileError> {
        self.ids.push(row.clip.id.clone());
        if let Some(columns) = &mut self.columns {
            columns.push(Columns { clip: row.clip.clone(), frames: row.frames });
        }
        self.spools.push(row)
    }

    fn note(&mut self, key: &'static str, text: String) {
        self.notes.insert(key, text);
    }

    fn finish(self: Box<Self>, layout: &Layout) -> Result<Option<AtomicFile>, FileError> {
        let Self { file, target, spools, ids, mut notes, columns } = *self;
        let fail = |e| FileError::write(&target, e);
        let json = |e: serde_json::Error| fail(e.into());
        notes.insert(IDS, serde_json::to_string(&ids).map_err(json)?);
        if let Some(columns) = columns {
            notes.insert(COLUMNS, serde_json::to_string(&columns).map_err(json)?);
        }
        let tensors = spools.parts().map(|part| {
            let shape = [&[ids.len()], &layout.shape(part)[..]].concat();
            (part.name(), Dtype::F32, shape)
        });
        let header = header(&notes, tensors)
            .map_err(|e| fail(std::io::Error::other(format!("{e}; write .parquet"))))?;
        let mut out = BufWriter::with_capacity(1 << 16, file);
        out.write_all(&header).map_err(fail)?;
        for (_, spool) in spools.into_iter() {
            spool.copy_into(&mut out).map_err(fail)?;
        }
        AtomicFile::from_buffer(out).map(Some)
    }
}

/// The header of a file.
struct Head {
    metadata: Metadata,
    /// The first byte of the values.
    start: u64,
}

/// Reads the header and compares what it declares with the file's size.
fn head(file: &mut File) -> Result<Head, String> {
    let text = |e: std::io::Error| e.to_string();
    let size = file.metadata().map_err(text)?.len();
    let mut length = [0u8; 8];
    file.read_exact(&mut length).map_err(|_| "not a .safetensors: it is shorter than its header")?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER || length > size.saturating_sub(8) {
        return Err(format!("not a .safetensors: its header claims {length} bytes of the file's {size}"));
    }
    let mut header = vec![0u8; length as usize];
    file.read_exact(&mut header).map_err(text)?;
    // Deserialising checks that the tensors follow each other without gaps and have the sizes their shapes need.
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|e| format!("not a .safetensors: {e}"))?;
    if metadata.data_len() as u64 != size - 8 - length {
        let (needed, there) = (metadata.data_len(), size - 8 - length);
        return Err(format!(
            "cut short or damaged: {needed} bytes of values are declared and {there} are there"
        ));
    }
    Ok(Head { metadata, start: 8 + length })
}

/// The floating-point tensors of two dimensions and more, or the one named, in the file's order.
fn tensors<'a>(head: &'a Head, only: Option<&str>) -> Result<Vec<(String, Element, &'a TensorInfo)>, String> {
    let mut tensors = Vec::new();
    for name in head.metadata.offset_keys() {
        let Some(info) = head.metadata.info(&name).filter(|_| only.is_none_or(|only| only == name)) else {
            continue;
        };
        let element = match info.dtype {
            Dtype::F16 => Element::F16,
            Dtype::BF16 => Element::Bf16,
            Dtype::F32 => Element::F32,
            Dtype::F64 => Element::F64,
            other if only.is_some() => {
                return Err(format!("the tensor '{name}' is {other:?}, not of floats"));
            }
            _ => continue,
        };
        if info.shape.len() >= 2 || only.is_some() {
            tensors.push((name, element, info));
        }
    }
    Ok(tensors)
}

/// The texts of a file's metadata, without its tensors.
fn notes(path: &Path) -> Result<HashMap<String, String>, String> {
    let head = head(&mut File::open(path).map_err(|e| e.to_string())?)?;
    Ok(head.metadata.metadata().clone().unwrap_or_default())
}

/// The ids: of the metadata, or of a tensor of integers, which become their digits.
fn ids(head: &Head, file: &mut File, wanted: Wanted) -> Result<Option<Vec<String>>, String> {
    if wanted.ids.is_some() {
        return Ok(None);
    }
    let key = wanted.id_column.unwrap_or(IDS);
    if let Some(json) = head.metadata.metadata().as_ref().and_then(|metadata| metadata.get(key)) {
        let wrong = |e| format!("its metadata key '{key}' is not a list of texts or integers: {e}");
        let ids: Vec<Id> = serde_json::from_str(json).map_err(wrong)?;
        return Ok(Some(ids.into_iter().map(Id::text).collect()));
    }
    let Some(info) =
        head.metadata.info(key).filter(|info| info.shape.len() == 1 || wanted.id_column.is_some())
    else {
        let metadata = head.metadata.metadata().iter().flat_map(|metadata| metadata.keys().cloned());
        wanted.check_ids_found(false, head.metadata.offset_keys().into_iter().chain(metadata))?;
        return Ok(None);
    };
    let signed = match info.dtype {
        Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => true,
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => false,
        other => {
            return Err(format!(
                "its tensor '{key}' is {other:?}; ids are integers, or a list of texts in the metadata"
            ));
        }
    };
    if info.shape.len() != 1 {
        return Err(format!("the shape of its tensor '{key}' is {:?}; one id per row is needed", info.shape));
    }
    let (from, to) = info.data_offsets;
    let mut bytes = vec![0; to - from];
    file.seek(SeekFrom::Start(head.start + from as u64))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|e| e.to_string())?;
    let size = bytes.len() / info.shape[0].max(1);
    Ok(Some(bytes.chunks_exact(size.max(1)).map(|one| integer(one, signed).to_string()).collect()))
}

/// Reads the floating-point tensors of two dimensions and more, or the one wanted, and the ids if the file has them.
fn read(path: &Path, wanted: Wanted) -> Result<Raw, String> {
    let text = |e: std::io::Error| e.to_string();
    let mut file = File::open(path).map_err(text)?;
    let head = head(&mut file)?;
    let ids = ids(&head, &mut file, wanted)?;
    let mut file = BufReader::with_capacity(1 << 16, file);
    let mut arrays = Vec::new();
    for (name, element, info) in tensors(&head, wanted.array)? {
        let values = count(&info.shape, element.size())?;
        file.seek(SeekFrom::Start(head.start + info.data_offsets.0 as u64)).map_err(text)?;
        let data = read_values(&mut file, values, element).map_err(text)?;
        arrays.push(Array { name, shape: info.shape.clone(), data });
    }
    Ok(Raw { ids, arrays })
}

/// The rows of a dataset's part.
fn rows(path: &Path, parts: &[Part]) -> Result<Vec<Row>, String> {
    let raw = read(path, Wanted::default())?;
    let notes = notes(path)?;
    let columns = notes.get(COLUMNS).ok_or("it does not say what its rows are")?;
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
    let row = |(at, (Columns { clip, frames }, id)): (usize, (Columns, String))| Row {
        clip: ClipMeta { id, ..clip },
        window: None,
        frames,
        parts: arrays.iter().map(|(part, array)| (*part, array.row(at).to_vec())).collect(),
    };
    Ok(columns.into_iter().zip(ids).enumerate().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::testing::{DIMS, row};
    use crate::rows::{Destination, Prepared};

    #[test]
    fn the_library_reads_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let parts = [Part::Frames, Part::Concat];
        let prepared = Prepared::new(&Destination::parse(&path).unwrap(), &parts, false).unwrap();
        let mut output = prepared.start(DIMS).unwrap();
        let rows = [row(0, 3, &parts), row(1, 3, &parts)];
        rows.iter().for_each(|r| output.push(r).unwrap());
        output.finish().unwrap();

        let bytes = std::fs::read(&path).unwrap();
        let (_, metadata) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let ids: Vec<String> = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["ids"]).unwrap();
        assert_eq!(ids, [rows[0].clip.id.clone(), rows[1].clip.id.clone()]);
        let tensors = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let frames = tensors.tensor("frames").unwrap();
        assert_eq!((frames.dtype(), frames.shape()), (Dtype::F32, &[2, 3, 4][..]));
        let expected: Vec<u8> =
            rows.iter().flat_map(|r| r.values(Part::Frames)).flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(frames.data(), expected);
    }

    #[test]
    fn hostile_files_end_in_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let with = |header: &str, values: usize| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.resize(bytes.len() + values, 0);
            bytes
        };
        let tensor = |shape: &str, end: usize| {
            format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,{end}]}}}}")
        };
        for bytes in [
            b"abc".to_vec(),
            u64::MAX.to_le_bytes().to_vec(),
            90_000_000u64.to_le_bytes().to_vec(),
            with("{", 0),
            with(&tensor("[1,2]", 8), 7),
            with(&tensor("[1,3]", 8), 8),
            with(&tensor("[4294967296,4294967296,4]", 8), 8),
            with("{\"__metadata__\":{\"ids\":\"[1.5]\"}}", 0),
        ] {
            std::fs::write(&path, &bytes).unwrap();
            assert!(read(&path, Wanted::default()).is_err(), "{bytes:?}");
        }
        std::fs::write(&path, with(&tensor("[1,2]", 8), 8)).unwrap();
        assert_eq!(read(&path, Wanted::default()).unwrap().arrays[0].data, [0.0, 0.0]);
    }
}
