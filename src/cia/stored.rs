//! Embeddings in files, opened for the probes.
//!
//! A file is what `lift embed` writes or anyone else's matrix with ids ([`crate::rows`]); a folder is a dataset of such
//! files, `part-*`, shards included. Small files are read whole. Large `.npy` and `.safetensors` files in f32 stay on disk and give rows
//! one at a time, so that memory is bounded by a group of the benchmark and not by the data set.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::representations::{Matrix, Parts, RowSource};
use crate::rows::{self, RowsError, display_path, npy, read_companion};

/// Files beyond this many bytes stay on disk where their format allows it.
const LARGE: u64 = 256 << 20;
/// The longest header of a safetensors file (the library's limit).
const LONGEST_HEADER: u64 = 100_000_000;

/// An array of one file, rows by number.
struct Stored {
    name: String,
    shape: Vec<usize>,
    source: Arc<dyn RowSource>,
}

/// Opens the embeddings of `lift embed`: a file, or a folder of `part-*` files. A lone array of a foreign name counts as
/// `concat` where it has a row of numbers per video and as `frames` where it has frames.
///
/// # Errors
/// What [`rows::read`] says; for a folder also that it holds no parts, or parts that do not fit together.
pub fn embeddings(path: &Path, ids: Option<&Path>) -> Result<Parts, RowsError> {
    let opened = if path.is_dir() { folder(path)? } else { file(path, ids)? };
    Ok(named(path, opened))
}

/// Opens several files of the same parts as one, in their order; `origin` names them in messages.
///
/// # Errors
/// What [`rows::read`] says, and that the files do not fit together.
pub fn several(origin: &Path, files: &[PathBuf]) -> Result<Parts, RowsError> {
    Ok(named(origin, chain(origin, files)?))
}

fn named(path: &Path, (arrays, index): Opened) -> Parts {
    let lone = arrays.len() == 1;
    let index = Arc::new(index);
    let mut parts = Parts::default();
    for array in arrays {
        let known = ["concat", "static", "dynamic", "frames", "reconstructed"].contains(&array.name.as_str());
        let name = match array.shape.len() {
            1 if lone && !known => "concat".to_owned(),
            2 if lone && !known => "frames".to_owned(),
            _ => array.name.clone(),
        };
        parts.own.insert(name, matrix(path, array, &index));
    }
    parts
}

/// Opens a matrix of other making: the only array of its file.
///
/// # Errors
/// What [`rows::read`] says, and that the file holds several arrays.
pub fn external(path: &Path, ids: Option<&Path>) -> Result<Matrix, RowsError> {
    let (mut arrays, index) = if path.is_dir() { folder(path)? } else { file(path, ids)? };
    match (arrays.pop(), arrays.len()) {
        (Some(array), 0) => Ok(matrix(path, array, &Arc::new(index))),
        (_, more) => {
            let reason = format!("it holds {} arrays; a file for --features has one", more + 1);
            Err(RowsError::read(path, reason))
        }
    }
}

fn matrix(path: &Path, array: Stored, index: &Arc<HashMap<String, usize>>) -> Matrix {
    Matrix { origin: display_path(path), index: index.clone(), shape: array.shape, source: array.source }
}

/// The arrays of a file or folder, and the row of each id.
type Opened = (Vec<Stored>, HashMap<String, usize>);
/// Names and row shapes.
type Shapes = Vec<(String, Vec<usize>)>;
/// One array's files, one after the other.
type Sources = Vec<Arc<dyn RowSource>>;

fn file(path: &Path, ids: Option<&Path>) -> Result<Opened, RowsError> {
    if ids.is_none()
        && std::fs::metadata(path).is_ok_and(|meta| meta.len() > LARGE)
        && let Some((arrays, ids)) = on_disk(path)?
    {
        return Ok((arrays, numbered(path, ids)?));
    }
    let table = rows::read(path, ids, None)?;
    let index = table.index()?.into_iter().map(|(id, row)| (id.to_owned(), row)).collect();
    let arrays = table.arrays.into_iter().map(|array| Stored {
        name: array.name,
        shape: array.shape[1..].to_vec(),
        source: Arc::new(array.data),
    });
    Ok((arrays.collect(), index))
}

/// The row of each id.
fn numbered(path: &Path, ids: Vec<String>) -> Result<HashMap<String, usize>, RowsError> {
    let mut index = HashMap::with_capacity(ids.len());
    for (row, id) in ids.into_iter().enumerate() {
        if let Some(before) = index.insert(id, row) {
            let reason = format!("one id stands in row {before} and in row {row}");
            return Err(RowsError::read(path, reason));
        }
    }
    Ok(index)
}

/// The parts of a dataset, in the order of their names, as one.
fn folder(path: &Path) -> Result<Opened, RowsError> {
    let is_part = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.file_type().is_file()
            && name.starts_with("part-")
            && (name.ends_with(".parquet") || name.ends_with(".safetensors"))
    };
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(path).sort_by_file_name() {
        let entry = entry.map_err(|error| RowsError::read(path, error.to_string()))?;
        if is_part(&entry) {
            files.push(entry.into_path());
        }
    }
    chain(path, &files)
}

/// Files one after the other, as one.
fn chain(path: &Path, files: &[PathBuf]) -> Result<Opened, RowsError> {
    let mut all: Option<(Shapes, Vec<Sources>)> = None;
    let mut starts = Vec::new();
    let mut index = HashMap::new();
    for part in files {
        let (arrays, rows) = file(part, None)?;
        let start = index.len();
        starts.push(start);
        let count = rows.len();
        index.extend(rows.into_iter().map(|(id, row)| (id, start + row)));
        if index.len() != start + count {
            return Err(RowsError::read(part, "it holds an id that an earlier part has too".to_owned()));
        }
        let shapes: Vec<_> = arrays.iter().map(|array| (array.name.clone(), array.shape.clone())).collect();
        let sources: Vec<_> = arrays.into_iter().map(|array| vec![array.source]).collect();
        match &mut all {
            None => all = Some((shapes, sources)),
            Some((first, chained)) if *first == shapes => {
                chained.iter_mut().zip(sources).for_each(|(chain, source)| chain.extend(source));
            }
            Some((first, _)) => {
                let reason = format!("it holds {shapes:?} where the first part holds {first:?}");
                return Err(RowsError::read(part, reason));
            }
        }
    }
    let Some((shapes, chained)) = all else {
        return Err(RowsError::read(path, "it holds no part-*.parquet or part-*.safetensors".to_owned()));
    };
    let arrays = shapes.into_iter().zip(chained).map(|((name, shape), sources)| Stored {
        name,
        shape,
        source: Arc::new(Chain { starts: starts.clone(), sources }),
    });
    Ok((arrays.collect(), index))
}

/// Files one after the other.
struct Chain {
    /// The first row of each.
    starts: Vec<usize>,
    sources: Sources,
}

impl RowSource for Chain {
    fn copy_row(&self, row: usize, out: &mut [f32]) -> std::io::Result<()> {
        let at = self.starts.partition_point(|&start| start <= row);
        let (Some(start), Some(source)) =
            (at.checked_sub(1).map(|at| self.starts[at]), self.sources.get(at.wrapping_sub(1)))
        else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        source.copy_row(row - start, out)
    }
}

/// Rows of little-endian f32 within a file.
struct OnDisk {
    file: Mutex<File>,
    offset: u64,
}

impl RowSource for OnDisk {
    fn copy_row(&self, row: usize, out: &mut [f32]) -> std::io::Result<()> {
        let mut bytes = vec![0; size_of_val(out)];
        let at = self.offset + (row * bytes.len()) as u64;
        {
            // A thread that died while it read left the file as good as before.
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut bytes)?;
        }
        for (out, four) in out.iter_mut().zip(bytes.as_chunks().0) {
            *out = f32::from_le_bytes(*four);
        }
        Ok(())
    }
}

/// The arrays of a file and their ids without reading them; `None` where the file must be read whole: another format,
/// another type, or no ids at hand.
fn on_disk(path: &Path) -> Result<Option<(Vec<Stored>, Ids)>, RowsError> {
    let fail = |error: Error| RowsError::read(path, error.to_string());
    let extension = path.extension().and_then(|extension| extension.to_str());
    let (arrays, ids) = match extension {
        Some("npy") => {
            let mut file = File::open(path).map_err(fail)?;
            let header = npy::read_header(&mut file).map_err(|reason| RowsError::read(path, reason))?;
            if header.descr != "<f4" || header.shape.len() < 2 {
                return Ok(None);
            }
            (vec![("array".to_owned(), header.shape, header.len as u64)], None)
        }
        Some("safetensors") => match safetensors_header(path).map_err(fail)? {
            Some(found) => found,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let ids = match ids {
        Some(ids) => ids,
        None => match read_companion(path)? {
            Some(rows) => rows.into_iter().filter(|row| row.row.is_some()).map(|row| row.id).collect(),
            None => return Ok(None),
        },
    };
    let size = std::fs::metadata(path).map_err(fail)?.len();
    let mut stored = Vec::new();
    for (name, shape, offset) in arrays {
        if shape[0] != ids.len() {
            let reason = format!("`{name}` has {} rows and there are {} ids", shape[0], ids.len());
            return Err(RowsError::read(path, reason));
        }
        let bytes = shape.iter().try_fold(4u64, |bytes, &size| bytes.checked_mul(size as u64));
        if bytes.and_then(|bytes| bytes.checked_add(offset)).is_none_or(|end| end > size) {
            let reason = format!("cut short: `{name}` of shape {shape:?} ends beyond the file");
            return Err(RowsError::read(path, reason));
        }
        let file = Mutex::new(File::open(path).map_err(fail)?);
        let source = Arc::new(OnDisk { file, offset });
        stored.push(Stored { name, shape: shape[1..].to_vec(), source });
    }
    Ok(Some((stored, ids)))
}

/// Names, shapes and places of the tensors, and the ids.
type Places = (Vec<(String, Vec<usize>, u64)>, Option<Ids>);
/// Ids in the order of the rows.
type Ids = Vec<String>;

fn safetensors_header(path: &Path) -> std::io::Result<Option<Places>> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER {
        return Err(Error::other(format!("not a .safetensors: its header claims {length} bytes")));
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header)?;
    let metadata: Metadata = serde_json::from_slice(&header)?;
    let mut places = Vec::new();
    for (name, info) in metadata.tensors() {
        if info.shape.len() < 2 {
            continue;
        }
        if info.dtype != Dtype::F32 {
            return Ok(None);
        }
        places.push((name, info.shape.clone(), 8 + length + info.data_offsets.0 as u64));
    }
    places.sort();
    let ids = metadata.metadata().as_ref().and_then(|metadata| metadata.get("ids"));
    let ids = ids.map(|ids| serde_json::from_str(ids)).transpose()?;
    Ok(Some((places, ids)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cia/features.safetensors")
    }

    /// An `.npy` with the fixture's numbers and its companion.
    fn as_npy(folder: &Path) -> PathBuf {
        let table = rows::read(&fixture(), None, None).unwrap();
        let path = folder.join("concat.npy");
        let mut bytes = npy::header(&table.arrays[0].shape);
        table.arrays[0].data.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
        std::fs::write(&path, bytes).unwrap();
        let mut companion =
            String::from("index,row,id,path,status,frames,fps,duration,start,end,stage,error\n");
        for (row, id) in table.ids().unwrap().iter().enumerate() {
            companion += &format!("{row},{row},{id},{id}.mp4,ok,16,,,,,,\n");
        }
        std::fs::write(rows::companion_path(&path), companion).unwrap();
        path
    }

    #[test]
    fn rows_from_disk_equal_those_from_memory() {
        let folder = tempfile::tempdir().unwrap();
        let table = rows::read(&fixture(), None, None).unwrap();
        for path in [fixture(), as_npy(folder.path())] {
            let (arrays, ids) = on_disk(&path).unwrap().unwrap();
            assert_eq!(ids, table.ids().unwrap());
            assert_eq!(arrays[0].shape, [256]);
            let mut row = vec![0.0; 256];
            for at in [0, 97, ids.len() - 1] {
                arrays[0].source.copy_row(at, &mut row).unwrap();
                assert_eq!(row, table.arrays[0].row(at));
            }
            assert!(arrays[0].source.copy_row(ids.len(), &mut row).is_err());
        }
    }

    #[test]
    fn a_file_cut_short_is_refused_before_its_rows_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = as_npy(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
        let error = on_disk(&path).err().unwrap().to_string();
        assert!(error.contains("cut short"), "{error}");
    }

    #[test]
    fn a_folder_of_parts_is_one_matrix() {
        let folder = tempfile::tempdir().unwrap();
        let save = |name: &str, ids: [&str; 2], numbers: [f32; 4]| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
            let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![2, 2], &bytes).unwrap();
            let ids = HashMap::from([("ids".to_owned(), serde_json::to_string(&ids).unwrap())]);
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            safetensors::serialize_to_file([("concat", view)], Some(ids), &path).unwrap();
        };
        save("shard-0/part-00000.safetensors", ["a", "b"], [1.0, 2.0, 3.0, 4.0]);
        save("shard-1/part-00000.safetensors", ["c", "d"], [5.0, 6.0, 7.0, 8.0]);
        let lift = embeddings(folder.path(), None).unwrap().representation("lift").unwrap();
        assert_eq!(lift.rows(["d", "a"].into_iter()).unwrap(), [7.0, 8.0, 1.0, 2.0]);
        save("shard-1/part-00001.safetensors", ["e", "a"], [0.0; 4]);
        let error = embeddings(folder.path(), None).err().unwrap().to_string();
        assert!(error.contains("an earlier part has too"), "{error}");
    }

    #[test]
    fn a_lone_foreign_array_is_the_embedding() {
        let folder = tempfile::tempdir().unwrap();
        let parts = embeddings(&as_npy(folder.path()), None).unwrap();
        assert_eq!(parts.own.keys().collect::<Vec<_>>(), ["concat"]);
        let matrix = external(&fixture(), None).unwrap();
        assert_eq!(matrix.width(), 256);
    }
}
