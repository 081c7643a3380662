//! numpy's `.npy`: a small text header, then the values.
//!
//! The header has a fixed length, so that rows are written one by one, and the header at the end. Format:
//! numpy's `lib.format` documentation, versions 1 to 3.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::files::{AtomicFile, FileError};
use crate::rows::array::{Array, Raw, StoredArray, StoredArrays, UNNAMED};
use crate::rows::file_format::{FileFormat, RowWriter};
use crate::rows::layout::Layout;
use crate::rows::values::{Element, count, read_values, write_f32};
use crate::rows::{Row, Wanted};

/// The format.
pub(crate) struct Npy;

impl FileFormat for Npy {
    fn extension(&self) -> &'static str {
        ".npy"
    }

    fn holds_one_part(&self) -> bool {
        true
    }

    fn writer(&self, file: AtomicFile, _: &Layout) -> Result<Box<dyn RowWriter>, FileError> {
        Ok(Box::new(NpyWriter::new(file)?))
    }

    fn read(&self, path: &Path, _: Wanted) -> Result<Raw, String> {
        read(path)
    }

    /// The array if it is of f32, and no ids.
    fn open(&self, path: &Path, _: Wanted) -> Result<Option<StoredArrays>, String> {
        let mut file = File::open(path).map_err(|e| e.to_string())?;
        let bytes = file.metadata().map_err(|e| e.to_string())?.len();
        let header = read_header(&mut file)?;
        if header.element()? != Element::F32 {
            return Ok(None);
        }
        check_size(&header, Element::F32.size(), bytes.saturating_sub(header.len as u64))?;
        let array = StoredArray::in_file(path, UNNAMED.to_string(), &header.shape, header.len as u64)?;
        Ok(Some((vec![array], None)))
    }
}

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The length of the headers that are written: it has room for four 20-digit numbers, and is a multiple of 64 as numpy asks.
const HEADER: usize = 192;
/// The longest header that is read; numpy itself reads up to 10,000 bytes.
const LONGEST_HEADER: usize = 1 << 16;

/// The header of a little-endian f32 array in C order, [`HEADER`] bytes long.
pub(crate) fn header(shape: &[usize]) -> Vec<u8> {
    header_of("<f4", shape)
}

/// An array of texts in C order, header and all, as numpy's fixed-width text: the longest text decides the width.
pub(crate) fn texts(shape: &[usize], texts: &[String]) -> Vec<u8> {
    // numpy has no text of width 0.
    let width = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
    let mut bytes = header_of(&format!("<U{width}"), shape);
    for text in texts {
        let end = bytes.len() + 4 * width;
        bytes.extend(text.chars().flat_map(|c| u32::from(c).to_le_bytes()));
        bytes.resize(end, 0);
    }
    bytes
}

/// The header of an array in C order, [`HEADER`] bytes long.
fn header_of(descr: &str, shape: &[usize]) -> Vec<u8> {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    // A tuple of one needs its comma.
    let comma = if shape.len() == 1 { "," } else { "" };
    let dict =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}", sizes.join(", "));
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend(((HEADER - 10) as u16).to_le_bytes());
    bytes.extend(dict.as_bytes());
    bytes.resize(HEADER - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Writes the one part of the layout.
struct NpyWriter {
    file: BufWriter<AtomicFile>,
    target: PathBuf,
    rows: usize,
}

impl NpyWriter {
    fn new(file: AtomicFile) -> Result<Self, FileError> {
        let target = file.target().to_path_buf();
        let mut file = BufWriter::with_capacity(1 << 16, file);
        file.write_all(&[0; HEADER]).map_err(|e| FileError::write(&target, e))?;
        Ok(Self { file, target, rows: 0 })
    }
}

impl RowWriter for NpyWriter {
    fn push(&mut self, row: &Row, layout: &Layout) -> Result<(), FileError> {
        for &part in &layout.parts {
            write_f32(&mut self.file, row.values(part)).map_err(|e| FileError::write(&self.target, e))?;
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>, layout: &Layout) -> Result<Option<AtomicFile>, FileError> {
        let mut shape = vec![self.rows];
        shape.extend(layout.parts.first().map(|&part| layout.shape(part)).unwrap_or_default());
        let file = &mut self.file;
        let patched = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&header(&shape)));
        patched.map_err(|e| FileError::write(&self.target, e))?;
        AtomicFile::from_buffer(self.file).map(Some)
    }
}

/// What a header says.
#[derive(Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) descr: String,
    pub(crate) shape: Vec<usize>,
    /// Bytes before the values.
    pub(crate) len: usize,
}

impl Header {
    /// The type of the values.
    pub(crate) fn element(&self) -> Result<Element, String> {
        match self.descr.as_str() {
            "<f2" => Ok(Element::F16),
            "<f4" => Ok(Element::F32),
            "<f8" => Ok(Element::F64),
            other => Err(format!(
                "its type is {other:?}; little-endian floats (<f2, <f4, <f8) are read: save it with .astype('<f4')"
            )),
        }
    }

    /// Whether the values are text (`<U8`).
    pub(crate) fn is_text(&self) -> bool {
        self.descr.starts_with("<U")
    }
}

/// Reads a header, with no more memory than [`LONGEST_HEADER`].
pub(crate) fn read_header(from: &mut impl Read) -> Result<Header, String> {
    let short = |_| "it ends inside the header".to_string();
    let mut start = [0u8; 8];
    from.read_exact(&mut start).map_err(short)?;
    if &start[..6] != MAGIC {
        return Err("not an .npy array (its first bytes are others)".into());
    }
    let (size, len) = if start[6] == 1 {
        let mut bytes = [0u8; 2];
        from.read_exact(&mut bytes).map_err(short)?;
        (usize::from(u16::from_le_bytes(bytes)), 10)
    } else {
        let mut bytes = [0u8; 4];
        from.read_exact(&mut bytes).map_err(short)?;
        (u32::from_le_bytes(bytes) as usize, 12)
    };
    if size > LONGEST_HEADER {
        return Err(format!("its header claims {size} bytes"));
    }
    let mut text = vec![0u8; size];
    from.read_exact(&mut text).map_err(short)?;
    let text = String::from_utf8_lossy(&text);
    let descr = field(&text, "descr")?;
    let quote = descr.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let descr = match quote.and_then(|q| descr[1..].split_once(q)) {
        Some((descr, _)) => descr.to_string(),
        None => return Err("it holds records, not an array of numbers".into()),
    };
    if !field(&text, "fortran_order")?.starts_with("False") {
        return Err("it is in Fortran order; save it through numpy.ascontiguousarray".into());
    }
    let shape = shape(field(&text, "shape")?).ok_or("its header has no readable shape")?;
    Ok(Header { descr, shape, len: len + size })
}

/// What stands behind a key of the header's dictionary.
fn field<'a>(dict: &'a str, key: &str) -> Result<&'a str, String> {
    for quote in ['\'', '"'] {
        if let Some((_, rest)) = dict.split_once(&format!("{quote}{key}{quote}"))
            && let Some(value) = rest.trim_start().strip_prefix(':')
        {
            return Ok(value.trim_start());
        }
    }
    Err(format!("its header lacks '{key}'"))
}

fn shape(text: &str) -> Option<Vec<usize>> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let sizes = inside.split(',').map(str::trim).filter(|s| !s.is_empty());
    sizes.map(|s| s.trim_end_matches('L').parse().ok()).collect()
}

/// Checks that `bytes` bytes follow the header, no fewer and no more.
pub(crate) fn check_size(header: &Header, element_size: usize, bytes: u64) -> Result<usize, String> {
    let count = count(&header.shape, element_size)?;
    let needed = (count * element_size) as u64;
    if needed != bytes {
        let what = if bytes < needed { "it is cut short" } else { "something follows the array" };
        return Err(format!(
            "{what}: the shape {:?} needs {needed} bytes of values and {bytes} are there",
            header.shape
        ));
    }
    Ok(count)
}

/// Reads the values behind a header.
pub(crate) fn read_array(
    from: &mut impl Read,
    name: &str,
    header: Header,
    bytes: u64,
) -> Result<Array, String> {
    let element = header.element()?;
    let count = check_size(&header, element.size(), bytes)?;
    let data = read_values(from, count, element).map_err(|e| e.to_string())?;
    Ok(Array { name: name.to_string(), shape: header.shape, data })
}

/// Reads a whole file.
fn read(path: &Path) -> Result<Raw, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let bytes = file.metadata().map_err(|e| e.to_string())?.len();
    let mut file = BufReader::with_capacity(1 << 16, file);
    let header = read_header(&mut file)?;
    if header.shape.len() < 2 {
        return Err(format!(
            "its shape is {:?}; a row per video is needed: (B, D) or (B, T, D)",
            header.shape
        ));
    }
    let rest = bytes.saturating_sub(header.len as u64);
    let array = read_array(&mut file, UNNAMED, header, rest)?;
    Ok(Raw { ids: None, arrays: vec![array] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dict: &str, values: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((dict.len() as u16).to_le_bytes());
        bytes.extend(dict.as_bytes());
        bytes.extend(values);
        bytes
    }

    fn read_bytes(bytes: &[u8]) -> Result<Raw, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        std::fs::write(&path, bytes).unwrap();
        read(&path)
    }

    #[test]
    fn the_header_is_numpys_and_holds_the_largest_numbers() {
        for shape in [vec![3], vec![2, 768], vec![usize::MAX; 3]] {
            let bytes = header(&shape);
            assert_eq!(bytes.len(), HEADER);
            assert_eq!(
                read_header(&mut &bytes[..]).unwrap(),
                Header { descr: "<f4".into(), shape, len: HEADER }
            );
        }
        assert!(String::from_utf8_lossy(&header(&[3])).contains("'shape': (3,), }"));
    }

    #[test]
    fn halves_and_doubles_are_read() {
        let dict = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }";
        let values: Vec<u8> = [0.5f64, -3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(read_bytes(&file(dict, &values)).unwrap().arrays[0].data, [0.5, -3.0]);
    }

    #[test]
    fn hostile_files_end_in_a_reason() {
        let dict = |descr: &str, order: &str, shape: &str| {
            file(&format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"), &[0; 8])
        };
        for (bytes, reason) in [
            (b"\x93NUM".to_vec(), "ends inside the header"),
            (b"PK\x03\x04abcdefgh".to_vec(), "not an .npy array"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "claims 4294967295 bytes"),
            (dict("'>f4'", "False", "(1, 2)"), "astype"),
            (dict("'|O'", "False", "(1, 2)"), "astype"),
            (dict("[('a', '<f4')]", "False", "(1, 2)"), "records"),
            (dict("'<f4'", "True", "(1, 2)"), "Fortran"),
            (dict("'<f4'", "False", "(2, 2)"), "cut short"),
            (dict("'<f4'", "False", "(1, 1)"), "something follows"),
            (dict("'<f4'", "False", "(2,)"), "a row per video"),
            (dict("'<f4'", "False", "(-1, 2)"), "no readable shape"),
            (dict("'<f4'", "False", "(18446744073709551615, 2)"), "impossible"),
            (file("{}", &[]), "lacks 'descr'"),
        ] {
            let error = read_bytes(&bytes).err().unwrap();
            assert!(error.contains(reason), "{error}");
        }
    }
}
