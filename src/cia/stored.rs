//! Embeddings in files, opened for the probes.
//!
//! A file is one that `lift embed` writes, or any matrix with ids ([`crate::rows`]); a folder is a dataset of such files.
//! Small files are read whole. Large ones stay on disk and are read one row at a time, so that the memory needed depends on
//! the largest group of the benchmark and not on the data set.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::representations::{Matrix, RowSource, StoredParts};
use crate::files::{FileError, display_path, display_text};
use crate::rows;
use crate::rows::{Format, NamedArray, Part, StoredArray, StoredTable, UNNAMED, Wanted};

/// Opens the embeddings of `lift embed`: a file, or the folder of a dataset.
///
/// # Errors
/// As [`rows::open()`], and `Read` if no array is a part of `lift embed`: features of other programs have names of their own
/// (`--features`), so that no report calls them LiFT's.
pub fn embeddings(named: &Path, wanted: Wanted) -> Result<StoredParts, FileError> {
    let (path, opened) = open(named, wanted)?;
    let names: Vec<String> =
        opened.arrays.iter().filter(|array| !is_part(&opened, array)).map(said).collect();
    if !names.is_empty() && names.len() == opened.arrays.len() {
        let reason = format!(
            "it holds {}, which is no part that lift embed writes (concat, static, ...); probe features of other programs with \
             --features NAME={}",
            names.join(" and "),
            display_path(path)
        );
        return Err(FileError::read(path, reason));
    }
    parts_of(opened)
}

/// Opens what is wanted of a file that may be named as `PATH#ARRAY`; its path alone, and the table.
fn open<'a>(named: &'a Path, wanted: Wanted) -> Result<(&'a Path, StoredTable), FileError> {
    let (path, array) = rows::split_array(named);
    Ok((path, rows::open(path, wanted.or_array(array), &std::env::temp_dir())?))
}

/// Opens a collection to be compared row by row: the embeddings of `lift embed`, or one array of another name, which is then `lift` as a
/// whole, or `frames` if it has frames.
///
/// # Errors
/// As [`rows::open()`].
pub fn collection(named: &Path, wanted: Wanted) -> Result<StoredParts, FileError> {
    let (_, mut opened) = open(named, wanted)?;
    let foreign = |array: &StoredArray| opened.arrays.len() == 1 && !is_part(&opened, array);
    match opened.arrays.first().filter(|array| foreign(array)).map(|array| array.shape.len()) {
        Some(1) => {
            let index = Arc::new(opened.index()?);
            let array = opened.arrays.remove(0);
            let external = BTreeMap::from([("lift".to_owned(), matrix(&opened.path, array, &index))]);
            Ok(StoredParts { external, provenance: opened.provenance, ..StoredParts::default() })
        }
        Some(2) => {
            opened.arrays[0].rename(Part::Frames.name());
            parts_of(opened)
        }
        _ => parts_of(opened),
    }
}

/// Whether an array is a part that `lift embed` wrote: by its name, or, of an `.npy` by an older version, which does not say its
/// part, by the companion.
fn is_part(opened: &StoredTable, array: &StoredArray) -> bool {
    let unnamed = array.name == UNNAMED && Format::of(&opened.path) == Some(Format::NPY);
    array.name.parse::<Part>().is_ok() || (unnamed && rows::companion_path(&opened.path).is_file())
}

/// An array for a message: `clip` (512 numbers a video).
fn said(array: &StoredArray) -> String {
    let name =
        if array.name == UNNAMED { "an array without a name".to_owned() } else { display_text(&array.name) };
    let shape: Vec<String> = array.shape.iter().map(usize::to_string).collect();
    format!("{name} ({} numbers a video)", shape.join(" x "))
}

/// Opens several files of the same parts as one, in their order; `origin` names them in messages.
///
/// # Errors
/// As [`rows::open_all`].
pub fn several(origin: &Path, files: &[PathBuf]) -> Result<StoredParts, FileError> {
    parts_of(rows::open_all(origin, files, Wanted::default(), &std::env::temp_dir())?)
}

fn parts_of(opened: StoredTable) -> Result<StoredParts, FileError> {
    let index = Arc::new(opened.index()?);
    let mut parts = StoredParts { provenance: opened.provenance.clone(), ..StoredParts::default() };
    for array in opened.arrays {
        let name = match (array.name.as_str(), array.shape.len()) {
            (UNNAMED, 1) => Part::Concat.name().to_owned(),
            (UNNAMED, 2) => Part::Frames.name().to_owned(),
            _ => array.name.clone(),
        };
        parts.own.insert(name, matrix(&opened.path, array, &index));
    }
    Ok(parts)
}

/// Opens features from elsewhere, which the command line calls `name`: the only array of their file, or the one it names.
///
/// # Errors
/// As [`rows::open()`], and if the file holds several arrays.
pub fn external(name: &str, named: &Path, wanted: Wanted) -> Result<Matrix, FileError> {
    let (path, mut opened) = open(named, wanted)?;
    if opened.ids().is_err() {
        let reason = format!(
            "its rows have no ids: name a list of them, one per line, with --ids {name}=FILE, or the column that holds them with \
             --id-column {name}=COLUMN, or put its companion {} beside it",
            display_path(&rows::companion_path(path))
        );
        return Err(FileError::read(path, reason));
    }
    let index = Arc::new(opened.index()?);
    if let [_, second, ..] = &opened.arrays[..] {
        let all: Vec<String> = opened.arrays.iter().map(said).collect();
        let reason = format!(
            "it holds {}; say which is to be read, as in --features {name}={}#{}",
            all.join(" and "),
            display_path(path),
            display_text(&second.name)
        );
        return Err(FileError::read(path, reason));
    }
    match opened.arrays.pop() {
        Some(array) => Ok(matrix(path, array, &index)),
        None => Err(FileError::read(path, "it holds no array of numbers with a row per video")),
    }
}

fn matrix(path: &Path, array: StoredArray, index: &Arc<HashMap<String, usize>>) -> Matrix {
    let shape = array.shape.clone();
    Matrix { origin: display_path(path), index: index.clone(), shape, source: Arc::new(array) }
}

impl RowSource for StoredArray {
    fn copy_row(&self, row: usize, out: &mut [f32]) -> std::io::Result<()> {
        self.copy_row(row, out)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use safetensors::Dtype;

    use super::*;
    use crate::rows::formats::npy;

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cia/features.safetensors")
    }

    /// An `.npy` with the fixture's numbers and its companion.
    fn as_npy(folder: &Path) -> PathBuf {
        let table = rows::read(&fixture(), Wanted::default()).unwrap();
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
        let lift = embeddings(folder.path(), Wanted::default()).unwrap().representation("lift").unwrap();
        assert_eq!(lift.rows(["d", "a"].into_iter()).unwrap(), [7.0, 8.0, 1.0, 2.0]);
        save("shard-1/part-00001.safetensors", ["e", "a"], [0.0; 4]);
        let error = embeddings(folder.path(), Wanted::default()).err().unwrap().to_string();
        assert!(error.contains("the id 'a' stands in row 0 and in row 5"), "{error}");
    }

    #[test]
    fn an_npy_of_an_older_version_is_the_embedding() {
        let folder = tempfile::tempdir().unwrap();
        let parts = embeddings(&as_npy(folder.path()), Wanted::default()).unwrap();
        assert_eq!(parts.own.keys().collect::<Vec<_>>(), ["concat"]);
        let matrix = external("m", &fixture(), Wanted::default()).unwrap();
        assert_eq!(matrix.width(), 256);
    }

    #[test]
    fn an_array_of_another_program_is_not_taken_for_lifts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let bytes: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![2, 2], &bytes).unwrap();
        let ids = HashMap::from([("ids".to_owned(), "[\"a\",\"b\"]".to_owned())]);
        safetensors::serialize_to_file([("clip", view)], Some(ids), &path).unwrap();
        let error = embeddings(&path, Wanted::default()).err().unwrap().to_string();
        assert!(error.contains("clip (2 numbers a video)") && error.contains("--features NAME="), "{error}");
        // It can be searched as a whole, and has no halves.
        let parts = collection(&path, Wanted::default()).unwrap();
        let all = parts.representation("lift").unwrap();
        assert_eq!((parts.ids(), all.width()), (vec!["a".to_owned(), "b".to_owned()], 2));
        assert!(parts.representation("static").is_err());
        // An .npy whose ids are in a list of their own.
        let npy = as_npy(folder.path());
        let ids = folder.path().join("ids.csv");
        std::fs::rename(rows::companion_path(&npy), &ids).unwrap();
        let error =
            embeddings(&npy, Wanted { ids: Some(&ids), ..Wanted::default() }).err().unwrap().to_string();
        assert!(error.contains("without a name (256 numbers"), "{error}");
    }
}
