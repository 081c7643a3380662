//! Opens files of features for reading a row at a time, so that no data set need fit in memory.
//!
//! Small files are read whole, with the checks of [`rows::read`](super::read()). Of large ones, the f32 arrays of `.npy`,
//! `.safetensors` and uncompressed `.npz` files are left in their file; `.parquet` and `.jsonl` files are copied once, batch by
//! batch, into an unnamed file in a scratch folder. Other types and compressed archives are read whole, whatever their size.
//! Values that are left in their file are not checked for being finite.

use std::path::{Path, PathBuf};

use crate::files::FileError;
use crate::rows::array::StoredArray;
use crate::rows::copied::copied;
use crate::rows::files::files;
use crate::rows::read::read;
use crate::rows::{Format, StoredTable, Table, Wanted};

/// Files that are together larger than this many bytes are not read into memory.
const LARGE: u64 = 256 << 20;

/// Opens what is `wanted` of a file of features, or of a dataset's folder, as [`read`] reads it; copies go into the folder `scratch`.
///
/// # Errors
/// As [`read`], and `Read` for a folder without parts, or parts that do not fit together; `Write` if a copy cannot be made.
pub fn open(path: &Path, wanted: Wanted, scratch: &Path) -> Result<StoredTable, FileError> {
    open_all(path, &files(path)?, wanted, scratch)
}

/// Opens files of the same arrays as one, in their order; `origin` names them in messages.
///
/// # Errors
/// As [`open`].
pub fn open_all(
    origin: &Path,
    files: &[PathBuf],
    wanted: Wanted,
    scratch: &Path,
) -> Result<StoredTable, FileError> {
    let bytes: u64 = files.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
    join(origin, files, wanted, (bytes > LARGE).then_some(scratch))
}

/// With `scratch`, nothing is read whole that can lie on disk.
fn join(
    origin: &Path,
    files: &[PathBuf],
    wanted: Wanted,
    scratch: Option<&Path>,
) -> Result<StoredTable, FileError> {
    let mut all: Option<StoredTable> = None;
    for file in files {
        // A list has the ids of all files together.
        let lone = match (files.len() > 1, wanted.ids) {
            (true, Some(_)) => Wanted { ids: None, id_column: None, ..wanted },
            _ => wanted,
        };
        let next = match scratch {
            Some(scratch) if file.is_file() => on_disk(file, lone, scratch)?,
            _ => None,
        };
        let next = match next {
            Some(next) => next,
            None => in_memory(file, lone)?,
        };
        match &mut all {
            None => all = Some(next),
            Some(all) => all.extend(next)?,
        }
    }
    let mut all = all.ok_or_else(|| FileError::read(origin, "there is no file to read"))?;
    all.path = origin.to_owned();
    if wanted.ids.is_some() && files.len() > 1 {
        all.take_ids(wanted)?;
    }
    Ok(all)
}

fn in_memory(path: &Path, wanted: Wanted) -> Result<StoredTable, FileError> {
    Ok(read(path, wanted)?.map(StoredArray::from))
}

/// The arrays of a file without reading them whole; `None` where that must be.
fn on_disk(path: &Path, wanted: Wanted, scratch: &Path) -> Result<Option<StoredTable>, FileError> {
    let Some(format) = Format::of(path) else { return Ok(None) };
    let opened =
        match format.0.open(path, wanted.of_file()).map_err(|reason| FileError::read(path, reason))? {
            Some(opened) => Some(opened),
            None => copied(path, format.0, wanted.of_file(), scratch)?,
        };
    opened.map(|opened| Table::checked(path, format, opened, wanted)).transpose()
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::rows::files::{is_features, parts};
    use crate::rows::testing::{DIMS, row};
    use crate::rows::{Destination, Part, Prepared};

    /// Rows `from..to` with two parts, written in the format of the name.
    fn written(folder: &Path, name: &str, from: usize, to: usize) -> PathBuf {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let parts = match Format::of(&path) == Some(Format::NPY) {
            true => vec![Part::Frames],
            false => vec![Part::Concat, Part::Frames],
        };
        let prepared = Prepared::new(&Destination::parse(&path).unwrap(), &parts, false).unwrap();
        let mut output = prepared.start(DIMS).unwrap();
        (from..to).for_each(|at| output.push(&row(at, 3, &parts)).unwrap());
        output.finish().unwrap();
        path
    }

    /// All values of an array, wherever they are.
    fn values(array: &StoredArray) -> Vec<f32> {
        let width: usize = array.shape.iter().product();
        let mut values = vec![0.0; array.rows() * width];
        values.chunks_mut(width).enumerate().for_each(|(at, row)| array.copy_row(at, row).unwrap());
        assert!(array.copy_row(array.rows(), &mut vec![0.0; width]).is_err());
        values
    }

    #[test]
    fn every_format_gives_the_same_rows_from_disk_as_from_memory() {
        let dir = tempfile::tempdir().unwrap();
        let count = 5000;
        for format in Format::ALL {
            let path = written(dir.path(), &format!("x{format}"), 0, count);
            let files = [path.clone()];
            let small = join(&path, &files, Wanted::one("frames"), None).unwrap();
            let large = join(&path, &files, Wanted::one("frames"), Some(dir.path())).unwrap();
            assert!(large.arrays[0].is_on_disk() && !small.arrays[0].is_on_disk(), "{format}");
            assert_eq!(large.rows(), count);
            assert_eq!(large.arrays[0].shape, [3, 4]);
            assert_eq!(values(&large.arrays[0]), values(&small.arrays[0]), "{format}");
            assert_eq!(large.index().unwrap(), small.index().unwrap(), "{format}");
        }
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2 * Format::ALL.len(), "copies have no name: {left:?}");
    }

    #[test]
    fn a_column_of_ids_is_read_from_disk_as_from_memory() {
        let dir = tempfile::tempdir().unwrap();
        for (format, column) in [
            (Format::NPY, "path"),
            (Format::NPZ, "ids"),
            (Format::SAFETENSORS, "ids"),
            (Format::PARQUET, "path"),
            (Format::JSONL, "path"),
        ] {
            let path = written(dir.path(), &format!("x{format}"), 0, 3);
            let wanted = Wanted { array: Some("frames"), id_column: Some(column), ids: None };
            let ids = |scratch| {
                join(&path, from_ref(&path), wanted, scratch).map(|table| table.ids().unwrap().to_vec())
            };
            let small = ids(None).unwrap();
            assert_eq!(small, ids(Some(dir.path())).unwrap(), "{format}");
            let clip = row(2, 3, &[]).clip;
            let expected = if column == "path" { clip.path_text().into_owned() } else { clip.id };
            assert_eq!(small[2], expected, "{format}");
            let none = Wanted { id_column: Some("none"), ..wanted };
            for scratch in [None, Some(dir.path())] {
                let error = join(&path, from_ref(&path), none, scratch).unwrap_err().to_string();
                assert!(error.contains("'none'"), "{error}");
            }
        }
    }

    #[test]
    fn a_dataset_is_its_parts_in_order_shards_included() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_features(dir.path()));
        let error = open(dir.path(), Wanted::default(), dir.path()).unwrap_err().to_string();
        assert!(error.contains("no dataset"), "{error}");
        written(dir.path(), "shard-00000-of-00002/part-00000.safetensors", 0, 2);
        written(dir.path(), "shard-00001-of-00002/part-00000.parquet", 2, 5);
        assert!(is_features(dir.path()));
        let parts = parts(dir.path()).unwrap();
        for scratch in [None, Some(dir.path())] {
            let opened = join(dir.path(), &parts, Wanted::one("frames"), scratch).unwrap();
            let whole: Vec<f32> =
                (0..5).flat_map(|at| row(at, 3, &[Part::Frames]).values(Part::Frames).to_vec()).collect();
            assert_eq!(values(&opened.arrays[0]), whole);
            assert_eq!(opened.index().unwrap()[&row(4, 3, &[]).clip.id], 4);
        }
        written(dir.path(), "shard-00001-of-00002/part-00001.parquet", 4, 6);
        let opened = open(dir.path(), Wanted::default(), dir.path()).unwrap();
        assert!(opened.index().unwrap_err().to_string().contains("stands in row 4 and in row 5"));
    }

    #[test]
    fn parts_that_do_not_fit_together_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = [written(dir.path(), "a.npz", 0, 1), written(dir.path(), "b.npy", 1, 2)];
        let error = open_all(dir.path(), &files, Wanted::default(), dir.path()).unwrap_err().to_string();
        assert!(error.contains("b.npy") && error.contains("the files before it"), "{error}");
    }

    #[test]
    fn damaged_and_foreign_files_are_refused_where_they_lie_too() {
        let dir = tempfile::tempdir().unwrap();
        for format in Format::ALL {
            let path = written(dir.path(), &format!("x{format}"), 0, 2);
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
            let opened = join(&path, from_ref(&path), Wanted::default(), Some(dir.path()));
            assert!(opened.unwrap_err().to_string().contains(&format!("x{format}")));
        }
        let path = written(dir.path(), "y.safetensors", 0, 2);
        let error = join(&path, from_ref(&path), Wanted::one("static"), Some(dir.path())).unwrap_err();
        assert!(error.to_string().contains("no array 'static'"), "{error}");
        let ids = dir.path().join("ids");
        std::fs::write(&ids, "a\n").unwrap();
        let error =
            join(&path, from_ref(&path), Wanted { ids: Some(&ids), ..Wanted::default() }, Some(dir.path()))
                .unwrap_err();
        assert!(error.to_string().contains("2 rows") && error.to_string().contains("1 ids"), "{error}");
    }
}
