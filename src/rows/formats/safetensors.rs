//! The safetensors format: a JSON header with the tensors' places, then their bytes; ids as a JSON array in the metadata.
//!
//! The header stands first and holds what is known last, so each part waits in a [`Spool`].

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ::safetensors::Dtype;
use ::safetensors::tensor::{Metadata, TensorInfo};

use crate::files::{AtomicFile, FileError, TensorEntry, safetensors_header};
use crate::rows::array::{Array, Place, Places, Raw};
use crate::rows::layout::Layout;
use crate::rows::values::{Element, Spool, count, read_values};
use crate::rows::writer::RowWriter;
use crate::rows::{Part, Row};

/// The metadata key of the ids.
const IDS: &str = "ids";
/// The longest header the format allows (the library's limit).
const LONGEST_HEADER: u64 = 100_000_000;

/// Writes a tensor per part.
pub(crate) struct SafetensorsWriter {
    file: AtomicFile,
    target: PathBuf,
    spools: Vec<(Part, Spool)>,
    ids: Vec<String>,
    notes: Vec<(&'static str, String)>,
}

impl SafetensorsWriter {
    pub(crate) fn new(file: AtomicFile, layout: &Layout) -> Result<Self, FileError> {
        let target = file.target().to_path_buf();
        let spool = |&part: &Part| Ok((part, Spool::new(file.folder(), &target)?));
        let spools = layout.parts.iter().map(spool).collect::<Result<_, FileError>>()?;
        Ok(Self { file, target, spools, ids: Vec::new(), notes: Vec::new() })
    }
}

impl RowWriter for SafetensorsWriter {
    fn push(&mut self, row: &Row, _: &Layout) -> Result<(), FileError> {
        for (part, spool) in &mut self.spools {
            spool.push(row.values(*part))?;
        }
        self.ids.push(row.id.clone());
        Ok(())
    }

    fn note(&mut self, key: &'static str, text: String) {
        self.notes.push((key, text));
    }

    fn finish(self: Box<Self>, layout: &Layout) -> Result<Option<AtomicFile>, FileError> {
        let Self { file, target, spools, ids, notes } = *self;
        let fail = |e| FileError::write(&target, e);
        let mut metadata: BTreeMap<_, _> = notes.into_iter().collect();
        metadata.insert(IDS, serde_json::to_string(&ids).map_err(|e| fail(e.into()))?);
        let header = safetensors_header(
            &metadata,
            spools.iter().map(|(part, _)| TensorEntry {
                name: part.name(),
                dtype: "F32",
                shape: std::iter::once(ids.len()).chain(layout.shape(*part)).collect(),
                width: size_of::<f32>(),
            }),
        );
        if header.len() as u64 - 8 > LONGEST_HEADER {
            let cause = "the ids are too many for the header of a .safetensors; write .parquet";
            return Err(fail(std::io::Error::other(cause)));
        }
        let mut out = BufWriter::with_capacity(1 << 16, file);
        out.write_all(&header).map_err(fail)?;
        for (_, spool) in spools {
            spool.copy_into(&mut out).map_err(fail)?;
        }
        match out.into_inner() {
            Ok(file) => Ok(Some(file)),
            Err(e) => Err(fail(e.into_error())),
        }
    }
}

/// What stands before the values.
struct Head {
    metadata: Metadata,
    ids: Option<Vec<String>>,
    /// The first byte of the values.
    start: u64,
}

/// Reads the header and compares what it declares with the file's size.
fn head(file: &mut (impl Read + Seek), size: u64) -> Result<Head, String> {
    let text = |e: std::io::Error| e.to_string();
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
    let ids = match metadata.metadata().as_ref().and_then(|m| m.get(IDS)) {
        Some(json) => Some(
            serde_json::from_str(json)
                .map_err(|e| format!("its metadata key '{IDS}' is not a list of texts: {e}"))?,
        ),
        None => None,
    };
    Ok(Head { metadata, ids, start: 8 + length })
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
pub(crate) fn read_metadata(path: &Path) -> Result<Option<HashMap<String, String>>, String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    Ok(head(&mut file, size)?.metadata.metadata().clone())
}

/// Reads the floating-point tensors of two dimensions and more, or the one named, and the ids if the metadata has them.
pub(crate) fn read(path: &Path, only: Option<&str>) -> Result<Raw, String> {
    let text = |e: std::io::Error| e.to_string();
    let file = File::open(path).map_err(text)?;
    let size = file.metadata().map_err(text)?.len();
    let mut file = BufReader::with_capacity(1 << 16, file);
    let head = head(&mut file, size)?;
    let mut arrays = Vec::new();
    for (name, element, info) in tensors(&head, only)? {
        let values = count(&info.shape, element.size())?;
        file.seek(SeekFrom::Start(head.start + info.data_offsets.0 as u64)).map_err(text)?;
        let data = read_values(&mut file, values, element).map_err(text)?;
        arrays.push(Array { name, shape: info.shape.clone(), data });
    }
    Ok(Raw { ids: head.ids, arrays })
}

/// Where the tensors that [`read`] gives lie, and the ids; `None` if one is of another type than f32 and must be read.
pub(crate) fn places(path: &Path, only: Option<&str>) -> Result<Option<Places>, String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    let head = head(&mut file, size)?;
    let mut places = Vec::new();
    for (name, element, info) in tensors(&head, only)? {
        if element != Element::F32 {
            return Ok(None);
        }
        let offset = head.start + info.data_offsets.0 as u64;
        places.push(Place { name, shape: info.shape.clone(), offset });
    }
    Ok(Some((places, head.ids)))
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
        assert_eq!(ids, [rows[0].id.clone(), rows[1].id.clone()]);
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
            with("{\"__metadata__\":{\"ids\":\"[1]\"}}", 0),
        ] {
            std::fs::write(&path, &bytes).unwrap();
            assert!(read(&path, None).is_err(), "{bytes:?}");
        }
        std::fs::write(&path, with(&tensor("[1,2]", 8), 8)).unwrap();
        assert_eq!(read(&path, None).unwrap().arrays[0].data, [0.0, 0.0]);
    }
}
