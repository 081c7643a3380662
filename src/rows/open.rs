//! Rows where they lie: any form of features opened for reading a row at a time, so that no data set need fit in memory.
//!
//! What is small is read whole, with the checks of [`rows::read`](super::read()). Of what is large, f32 arrays of `.npy`,
//! `.safetensors` and uncompressed `.npz` files stay where they are; `.parquet` and `.jsonl` go once, batch by batch, into an
//! unnamed file in a scratch folder. Other types and compressed archives are read whole, whatever their size. Values that
//! stay in their file are not looked through for those that are not finite: who reads a row meets them.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::array::{Array, Lying, Place, Stretch, Values, missing};
use super::companion::{companion_ids, companion_path};
use super::copied::copied;
use super::files::files;
use super::format::Format;
use super::ids::{counted, index_of, read_ids, without_ids};
use super::read::read;
use crate::files::{FileError, display_text};
use crate::rows::formats::{npy, npz, safetensors};

/// Files that are together larger than this many bytes are not read into memory.
const LARGE: u64 = 256 << 20;

/// Files of features, opened. All arrays have the same number of rows, and as many ids if every file has ids.
#[derive(Debug)]
pub struct Opened {
    /// What was opened, for messages.
    pub origin: PathBuf,
    /// The arrays, in the first file's order.
    pub arrays: Vec<Lying>,
    ids: Option<Vec<String>>,
}

impl Opened {
    /// Arrays of equally many rows, and as many ids if there are any.
    pub fn new(origin: PathBuf, arrays: Vec<Lying>, ids: Option<Vec<String>>) -> Self {
        Self { origin, arrays, ids }
    }

    /// `B`.
    pub fn rows(&self) -> usize {
        self.arrays.first().map_or(0, |array| array.stretches.iter().map(|stretch| stretch.rows).sum())
    }

    /// The row of each id.
    ///
    /// # Errors
    /// `Read` if there are no ids, or one stands twice.
    pub fn index(&self) -> Result<HashMap<String, usize>, FileError> {
        let ids = self.ids.as_deref().ok_or_else(|| without_ids(&self.origin))?;
        index_of(&self.origin, ids)
    }
}

/// Opens a file of features, or a dataset's folder. `ids` and `only` as for [`read`]; copies go into the folder `scratch`.
///
/// # Errors
/// As [`read`], and `Read` for a folder without parts, or parts that do not fit together; `Write` if a copy cannot be made.
pub fn open(
    path: &Path,
    ids: Option<&Path>,
    only: Option<&str>,
    scratch: &Path,
) -> Result<Opened, FileError> {
    open_all(path, &files(path)?, ids, only, scratch)
}

/// Opens files of the same arrays as one, in their order; `origin` names them in messages.
///
/// # Errors
/// As [`open`].
pub fn open_all(
    origin: &Path,
    files: &[PathBuf],
    ids: Option<&Path>,
    only: Option<&str>,
    scratch: &Path,
) -> Result<Opened, FileError> {
    let bytes: u64 = files.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
    join(origin, files, ids, only, (bytes > LARGE).then_some(scratch))
}

/// With `scratch`, nothing is read whole that can lie on disk.
fn join(
    origin: &Path,
    files: &[PathBuf],
    ids: Option<&Path>,
    only: Option<&str>,
    scratch: Option<&Path>,
) -> Result<Opened, FileError> {
    let mut all: Option<Opened> = None;
    for file in files {
        let lone = ids.filter(|_| files.len() == 1);
        let next = match scratch {
            Some(scratch) if file.is_file() => on_disk(file, lone, only, scratch)?,
            _ => None,
        };
        let next = match next {
            Some(next) => next,
            None => in_memory(file, lone, only)?,
        };
        match &mut all {
            None => all = Some(next),
            Some(all) => all.extend(file, next)?,
        }
    }
    let mut all = all.ok_or_else(|| FileError::read(origin, "there is no file to read"))?;
    all.origin = origin.to_owned();
    if let (Some(ids), true) = (ids, files.len() > 1) {
        all.ids = Some(counted(origin, read_ids(ids)?, ids, all.rows())?);
    }
    Ok(all)
}

impl Opened {
    /// Appends the rows of the next file.
    fn extend(&mut self, file: &Path, next: Opened) -> Result<(), FileError> {
        // A file of JSON lines without a line has no arrays, and no rows either.
        if next.arrays.is_empty() {
            return Ok(());
        }
        if self.arrays.is_empty() {
            *self = next;
            return Ok(());
        }
        let shapes = |opened: &Opened| {
            let shape = |array: &Lying| format!("{} {:?}", array.name, array.shape);
            opened.arrays.iter().map(shape).collect::<Vec<_>>().join(", ")
        };
        let (first, here) = (shapes(self), shapes(&next));
        if first != here {
            let reason = format!("it holds {here} per row, and the files before it {first}");
            return Err(FileError::read(file, reason));
        }
        for (array, more) in self.arrays.iter_mut().zip(next.arrays) {
            array.stretches.extend(more.stretches);
        }
        self.ids = self.ids.take().zip(next.ids).map(|(mut ids, more)| {
            ids.extend(more);
            ids
        });
        Ok(())
    }
}

fn in_memory(path: &Path, ids: Option<&Path>, only: Option<&str>) -> Result<Opened, FileError> {
    let table = read(path, ids, only)?;
    let (arrays, ids) = table.into_parts();
    let arrays = arrays.into_iter().map(|array| {
        let rows = array.rows();
        let Array { name, mut shape, data } = array;
        shape.remove(0);
        Lying { name, shape, stretches: vec![Stretch { rows, values: Values::Memory(data) }] }
    });
    Ok(Opened { origin: path.to_owned(), arrays: arrays.collect(), ids })
}

/// The arrays of a file without reading them whole; `None` where that must be.
fn on_disk(
    path: &Path,
    ids: Option<&Path>,
    only: Option<&str>,
    scratch: &Path,
) -> Result<Option<Opened>, FileError> {
    let fail = |reason: String| FileError::read(path, reason);
    let places = match Format::of(path) {
        Some(Format::Npy) => npy::places(path),
        Some(Format::Npz) => npz::places(path, only),
        Some(Format::Safetensors) => safetensors::places(path, only),
        Some(format @ (Format::Parquet | Format::Jsonl)) => {
            let (arrays, own) = copied(path, format, only, scratch)?;
            return finish(path, arrays, ids, own).map(Some);
        }
        None => return Ok(None),
    };
    let Some((places, own)) = places.map_err(fail)? else { return Ok(None) };
    if let Some(name) = only.filter(|_| places.is_empty()) {
        return Err(missing(path, name, &[]));
    }
    let mut arrays = Vec::new();
    for Place { name, mut shape, offset } in places {
        // Opened anew: a clone would share its position with the other arrays' readers.
        let file = File::open(path).map_err(|e| fail(e.to_string()))?;
        if shape.len() < 2 {
            return Err(fail(format!(
                "'{name}' has the shape {shape:?}; a row of numbers per video is needed"
            )));
        }
        let rows = shape.remove(0);
        arrays.push(Lying {
            name,
            shape,
            stretches: vec![Stretch { rows, values: Values::File(file, offset) }],
        });
    }
    finish(path, arrays, ids, own).map(Some)
}

/// Checks that arrays and ids belong together.
fn finish(
    path: &Path,
    arrays: Vec<Lying>,
    ids: Option<&Path>,
    own: Option<Vec<String>>,
) -> Result<Opened, FileError> {
    let count = |array: &Lying| array.stretches.iter().map(|stretch| stretch.rows).sum::<usize>();
    let rows = arrays.first().map_or(0, count);
    if let Some(other) = arrays.iter().find(|array| count(array) != rows) {
        let (first, name) = (display_text(&arrays[0].name), display_text(&other.name));
        return Err(FileError::read(
            path,
            format!("'{name}' has {} rows and '{first}' has {rows}", count(other)),
        ));
    }
    let ids = match (ids, own) {
        (Some(file), _) => Some(counted(path, read_ids(file)?, file, rows)?),
        (None, Some(own)) => Some(counted(path, own, path, rows)?),
        (None, None) => {
            let companion = companion_path(path);
            companion_ids(path)?.map(|ids| counted(path, ids, &companion, rows)).transpose()?
        }
    };
    Ok(Opened { origin: path.to_owned(), arrays, ids })
}

#[cfg(test)]
mod tests {
    use super::super::files::{is_features, parts};
    use super::super::testing::{DIMS, row};
    use super::super::values::{Element, read_values};
    use super::super::{Destination, Part, Prepared};
    use std::slice::from_ref;

    use super::*;
    use std::io::{Seek, SeekFrom};

    /// Rows `from..to` with two parts, written in the format of the name.
    fn written(folder: &Path, name: &str, from: usize, to: usize) -> PathBuf {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let parts = match Format::of(&path) {
            Some(Format::Npy) => vec![Part::Frames],
            _ => vec![Part::Concat, Part::Frames],
        };
        let prepared = Prepared::new(&Destination::parse(&path).unwrap(), &parts, false).unwrap();
        let mut output = prepared.start(DIMS).unwrap();
        (from..to).for_each(|at| output.push(&row(at, 3, &parts)).unwrap());
        output.finish().unwrap();
        path
    }

    /// All values of an array, from wherever they lie.
    fn values(array: &Lying) -> Vec<f32> {
        let width: usize = array.shape.iter().product();
        let all = array.stretches.iter().flat_map(|stretch| match &stretch.values {
            Values::Memory(values) => values.clone(),
            Values::File(file, offset) => {
                let mut file = file.try_clone().unwrap();
                file.seek(SeekFrom::Start(*offset)).unwrap();
                read_values(&mut file, stretch.rows * width, Element::F32).unwrap()
            }
        });
        all.collect()
    }

    fn lies_on_disk(array: &Lying) -> bool {
        array.stretches.iter().all(|stretch| matches!(stretch.values, Values::File(..)))
    }

    #[test]
    fn every_format_gives_the_same_rows_from_disk_as_from_memory() {
        let dir = tempfile::tempdir().unwrap();
        let count = crate::rows::formats::parquet::write::BATCH_ROWS + 3;
        for format in Format::ALL {
            let path = written(dir.path(), &format!("x{format}"), 0, count);
            let files = [path.clone()];
            let small = join(&path, &files, None, Some("frames"), None).unwrap();
            let large = join(&path, &files, None, Some("frames"), Some(dir.path())).unwrap();
            assert!(lies_on_disk(&large.arrays[0]) && !lies_on_disk(&small.arrays[0]), "{format}");
            assert_eq!(large.rows(), count);
            assert_eq!(large.arrays[0].shape, [3, 4]);
            assert_eq!(values(&large.arrays[0]), values(&small.arrays[0]), "{format}");
            assert_eq!(large.index().unwrap(), small.index().unwrap(), "{format}");
        }
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2 * Format::ALL.len(), "copies have no name: {left:?}");
    }

    #[test]
    fn a_dataset_is_its_parts_in_order_shards_included() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_features(dir.path()));
        let error = open(dir.path(), None, None, dir.path()).unwrap_err().to_string();
        assert!(error.contains("no dataset"), "{error}");
        written(dir.path(), "shard-00000-of-00002/part-00000.safetensors", 0, 2);
        written(dir.path(), "shard-00001-of-00002/part-00000.parquet", 2, 5);
        assert!(is_features(dir.path()));
        let parts = parts(dir.path()).unwrap();
        for scratch in [None, Some(dir.path())] {
            let opened = join(dir.path(), &parts, None, Some("frames"), scratch).unwrap();
            let whole: Vec<f32> =
                (0..5).flat_map(|at| row(at, 3, &[Part::Frames]).values(Part::Frames).to_vec()).collect();
            assert_eq!(values(&opened.arrays[0]), whole);
            assert_eq!(opened.index().unwrap()[&row(4, 3, &[]).id], 4);
        }
        written(dir.path(), "shard-00001-of-00002/part-00001.parquet", 4, 6);
        let opened = open(dir.path(), None, None, dir.path()).unwrap();
        assert!(opened.index().unwrap_err().to_string().contains("stands in row 4 and in row 5"));
    }

    #[test]
    fn parts_that_do_not_fit_together_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = [written(dir.path(), "a.npz", 0, 1), written(dir.path(), "b.npy", 1, 2)];
        let error = open_all(dir.path(), &files, None, None, dir.path()).unwrap_err().to_string();
        assert!(error.contains("b.npy") && error.contains("the files before it"), "{error}");
    }

    #[test]
    fn damaged_and_foreign_files_are_refused_where_they_lie_too() {
        let dir = tempfile::tempdir().unwrap();
        for format in Format::ALL {
            let path = written(dir.path(), &format!("x{format}"), 0, 2);
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
            let opened = join(&path, from_ref(&path), None, None, Some(dir.path()));
            assert!(opened.unwrap_err().to_string().contains(&format!("x{format}")));
        }
        let path = written(dir.path(), "y.safetensors", 0, 2);
        let error = join(&path, from_ref(&path), None, Some("static"), Some(dir.path())).unwrap_err();
        assert!(error.to_string().contains("no array 'static'"), "{error}");
        let ids = dir.path().join("ids");
        std::fs::write(&ids, "a\n").unwrap();
        let error = join(&path, from_ref(&path), Some(&ids), None, Some(dir.path())).unwrap_err();
        assert!(error.to_string().contains("2 rows") && error.to_string().contains("1 ids"), "{error}");
    }
}
