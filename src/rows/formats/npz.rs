//! numpy's `.npz`: a zip with an `.npy` per part, stored, as `numpy.savez` makes it. The text array `ids` names the rows; a text
//! that is not of the rows (what made them) is an array without dimensions, whose name has a dot.
//!
//! An entry's header has its length, and the entries of a zip follow each other, so the values of each part are kept in a spool
//! until the end. Sizes are written as zip64, since the archive may be larger than 4 GiB.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use zip::read::ZipFile;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::files::{AtomicFile, FileError, display_text};
use crate::rows::array::{Raw, StoredArray, StoredArrays};
use crate::rows::file_format::{FileFormat, RowWriter};
use crate::rows::formats::id_array::read_ids;
use crate::rows::formats::npy;
use crate::rows::layout::Layout;
use crate::rows::values::{Element, Spools};
use crate::rows::{Row, Wanted};

/// The names of the array of the ids.
const IDS: [&str; 2] = ["ids", "id"];

/// The format.
pub(crate) struct Npz;

impl FileFormat for Npz {
    fn extension(&self) -> &'static str {
        ".npz"
    }

    fn keeps_notes(&self) -> bool {
        true
    }

    fn note(&self, path: &Path, key: &str) -> Result<Option<String>, String> {
        note(path, key)
    }

    fn writer(&self, file: AtomicFile, layout: &Layout) -> Result<Box<dyn RowWriter>, FileError> {
        Ok(Box::new(NpzWriter::new(file, layout)?))
    }

    fn read(&self, path: &Path, wanted: Wanted) -> Result<Raw, String> {
        read(path, wanted)
    }

    /// The arrays if all are of f32 and none is compressed.
    fn open(&self, path: &Path, wanted: Wanted) -> Result<Option<StoredArrays>, String> {
        open(path, wanted)
    }
}

/// Writes an array per part.
struct NpzWriter {
    file: AtomicFile,
    target: PathBuf,
    spools: Spools,
    ids: Vec<String>,
    notes: Vec<(&'static str, String)>,
}

impl NpzWriter {
    fn new(file: AtomicFile, layout: &Layout) -> Result<Self, FileError> {
        let (target, spools) = (file.target().to_path_buf(), Spools::new(&file, layout)?);
        Ok(Self { file, target, spools, ids: Vec::new(), notes: Vec::new() })
    }
}

impl RowWriter for NpzWriter {
    fn push(&mut self, row: &Row, _: &Layout) -> Result<(), FileError> {
        self.ids.push(row.clip.id.clone());
        self.spools.push(row)
    }

    fn note(&mut self, key: &'static str, text: String) {
        self.notes.push((key, text));
    }

    fn finish(self: Box<Self>, layout: &Layout) -> Result<Option<AtomicFile>, FileError> {
        let Self { file, target, spools, ids, notes } = *self;
        let fail = |e: ZipError| FileError::write(&target, e.into());
        let mut zip = ZipWriter::new(BufWriter::with_capacity(1 << 16, file));
        // The date is the zip format's first, so that equal rows make equal files.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .large_file(true);
        for (part, spool) in spools.into_iter() {
            zip.start_file(format!("{part}.npy"), options).map_err(fail)?;
            let mut shape = vec![ids.len()];
            shape.extend(layout.shape(part));
            let copied = zip.write_all(&npy::header(&shape)).and_then(|()| spool.copy_into(&mut zip));
            copied.map_err(|e| FileError::write(&target, e))?;
        }
        let texts = [("ids", npy::texts(&[ids.len()], &ids))].into_iter();
        for (name, bytes) in texts.chain(notes.into_iter().map(|(key, text)| (key, npy::texts(&[], &[text]))))
        {
            zip.start_file(format!("{name}.npy"), options).map_err(fail)?;
            zip.write_all(&bytes).map_err(|e| FileError::write(&target, e))?;
        }
        AtomicFile::from_buffer(zip.finish().map_err(fail)?).map(Some)
    }
}

/// Reads the arrays of two dimensions and more, or the one wanted; an array `ids` (or `id`) of texts or integers names the rows.
fn read(path: &Path, wanted: Wanted) -> Result<Raw, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|e| format!("not an .npz: {e}"))?;
    let mut raw = Raw { ids: None, arrays: Vec::new() };
    let mut there = Vec::new();
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).map_err(|e| e.to_string())?;
        let Some(name) = array_name(&entry)? else { continue };
        let ids = wanted.holds_ids(&name, &IDS);
        if !ids && wanted.array.is_some_and(|only| only != name) {
            there.push(name);
            continue;
        }
        let size = entry.size();
        let in_entry = |e: String| format!("array '{}': {e}", display_text(&name));
        let header = npy::read_header(&mut entry).map_err(in_entry)?;
        let rest = size.saturating_sub(header.len as u64);
        if ids && (header.shape.len() < 2 || wanted.id_column.is_some()) {
            raw.ids = Some(read_ids(&mut entry, &header, rest).map_err(in_entry)?);
        } else if header.shape.len() >= 2 || wanted.array.is_some() {
            there.push(name.clone());
            raw.arrays.push(npy::read_array(&mut entry, &name, header, rest).map_err(in_entry)?);
        } else {
            there.push(name);
            continue;
        }
        // The checksum is compared when the entry has been read to its end.
        match entry.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(in_entry("something follows the array".into())),
            Err(e) => return Err(in_entry(format!("damaged: {e}"))),
        }
    }
    wanted.check_ids_found(raw.ids.is_some(), there)?;
    Ok(raw)
}

/// The text of the array `key`, which has no dimensions.
fn note(path: &Path, key: &str) -> Result<Option<String>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|e| format!("not an .npz: {e}"))?;
    let Some(at) = zip.index_for_name(&format!("{key}.npy")) else { return Ok(None) };
    let mut entry = zip.by_index(at).map_err(|e| e.to_string())?;
    let size = entry.size();
    let in_entry = |e: String| format!("array '{key}': {e}");
    let header = npy::read_header(&mut entry).map_err(in_entry)?;
    if !header.is_text() || !header.shape.is_empty() {
        return Err(in_entry("one text is needed".into()));
    }
    let rest = size.saturating_sub(header.len as u64);
    Ok(read_ids(&mut entry, &header, rest).map_err(in_entry)?.pop())
}

/// Opens the arrays that [`read`] gives; `None` if one is compressed or of another type than f32 and must be read.
fn open(path: &Path, wanted: Wanted) -> Result<Option<StoredArrays>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|e| format!("not an .npz: {e}"))?;
    let (mut arrays, mut own, mut there) = (Vec::new(), None, Vec::new());
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).map_err(|e| e.to_string())?;
        let Some(name) = array_name(&entry)? else { continue };
        let ids = wanted.holds_ids(&name, &IDS);
        if !ids && wanted.array.is_some_and(|only| only != name) {
            there.push(name);
            continue;
        }
        let (size, start) = (entry.size(), entry.data_start());
        let stored = entry.compression() == CompressionMethod::Stored;
        let in_entry = |e: String| format!("array '{}': {e}", display_text(&name));
        let header = npy::read_header(&mut entry).map_err(in_entry)?;
        let rest = size.saturating_sub(header.len as u64);
        if ids && (header.shape.len() < 2 || wanted.id_column.is_some()) {
            own = Some(read_ids(&mut entry, &header, rest).map_err(in_entry)?);
            continue;
        }
        there.push(name.clone());
        if header.shape.len() >= 2 || wanted.array.is_some() {
            let (true, Ok(Element::F32), Some(start)) = (stored, header.element(), start) else {
                return Ok(None);
            };
            npy::check_size(&header, Element::F32.size(), rest).map_err(in_entry)?;
            arrays.push(StoredArray::in_file(path, name, &header.shape, start + header.len as u64)?);
        }
    }
    wanted.check_ids_found(own.is_some(), there)?;
    Ok(Some((arrays, own)))
}

/// The name of the array an entry holds, if it is one.
fn array_name(entry: &ZipFile<'_, impl Read>) -> Result<Option<String>, String> {
    let name = entry.name().map_err(|e| e.to_string())?;
    Ok(name.strip_suffix(".npy").map(str::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Part;
    use crate::rows::testing::{DIMS, row};
    use crate::rows::{Destination, Prepared, read as read_table};

    fn sample(dir: &Path) -> PathBuf {
        let path = dir.join("x.npz");
        let parts = [Part::Concat, Part::Frames];
        let prepared = Prepared::new(&Destination::parse(&path).unwrap(), &parts, false).unwrap();
        let mut output = prepared.start(DIMS).unwrap();
        (0..2).for_each(|i| output.push(&row(i, 3, &parts)).unwrap());
        output.finish().unwrap();
        path
    }

    #[test]
    fn equal_rows_make_equal_files() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(std::fs::read(sample(a.path())).unwrap(), std::fs::read(sample(b.path())).unwrap());
    }

    #[test]
    fn one_array_can_be_read_alone() {
        let dir = tempfile::tempdir().unwrap();
        let table = read_table(&sample(dir.path()), Wanted::one("frames")).unwrap();
        assert_eq!(table.arrays.len(), 1);
        assert_eq!(table.array("frames").unwrap().shape, [2, 3, 4]);
    }

    #[test]
    fn deflated_archives_with_ids_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npz");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        zip.start_file("ids.npy", options).unwrap();
        let dict = "{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }";
        zip.write_all(b"\x93NUMPY\x01\x00").unwrap();
        zip.write_all(&(dict.len() as u16).to_le_bytes()).unwrap();
        zip.write_all(dict.as_bytes()).unwrap();
        "aü\0b\0\0".chars().for_each(|c| zip.write_all(&(c as u32).to_le_bytes()).unwrap());
        zip.start_file("features.npy", options).unwrap();
        zip.write_all(&npy::header(&[2, 1])).unwrap();
        zip.write_all(&[0; 8]).unwrap();
        zip.finish().unwrap();
        let table = read_table(&path, Wanted::default()).unwrap();
        assert_eq!(table.ids().unwrap(), ["aü", "b"]);
        assert_eq!(table.array("features").unwrap().shape, [2, 1]);
    }

    #[test]
    fn the_golden_features_are_read_with_their_ids() {
        let Some(shared) = std::env::var_os("LIFT_SHARED") else {
            println!("skipped: LIFT_SHARED is not set");
            return;
        };
        let path = Path::new(&shared).join("golden/cia_synth_features.npz");
        let table = read_table(&path, Wanted::default()).unwrap();
        assert_eq!(table.only().unwrap().shape, [846, 768]);
        assert_eq!(table.index().unwrap().len(), 846);
        assert_eq!(table.ids().unwrap()[0].len(), "vid00000".len());
        // The first value, as its four bytes stand in the file: 28 0c 10 3f.
        assert_eq!(table.array("features").unwrap().row(0)[0], f32::from_le_bytes([0x28, 0x0c, 0x10, 0x3f]));
    }

    #[test]
    fn damaged_archives_end_in_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = sample(dir.path());
        let good = std::fs::read(&path).unwrap();
        for cut in [0, 3, 40, 300, good.len() - 5] {
            std::fs::write(&path, &good[..cut]).unwrap();
            assert!(read(&path, Wanted::default()).is_err(), "cut at {cut}");
        }
        let mut flipped = good.clone();
        flipped[500] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        assert!(read(&path, Wanted::default()).is_err(), "the checksum notices");
    }
}
