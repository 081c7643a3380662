//! Embeddings in files, opened for the probes.
//!
//! A file is one that `lift embed` writes, or any matrix with ids ([`crate::rows`]); a folder is a dataset of such files.
//! Small files are read whole. Large ones stay on disk and are read one row at a time, so that the memory needed depends on
//! the largest group of the benchmark and not on the data set.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::representations::{Matrix, RowSource, StoredParts};
use crate::files::{FileError, display_path};
use crate::rows;
use crate::rows::{Part, StoredArray, StoredTable};

/// Opens the embeddings of `lift embed`: a file, or the folder of a dataset. A single array of another name is taken as
/// `concat` if it has one row of numbers per video, and as `frames` if it has frames.
///
/// # Errors
/// As [`rows::open()`].
pub fn embeddings(path: &Path, ids: Option<&Path>) -> Result<StoredParts, FileError> {
    named(rows::open(path, ids, None, &std::env::temp_dir())?)
}

/// Opens several files of the same parts as one, in their order; `origin` names them in messages.
///
/// # Errors
/// As [`rows::open_all`].
pub fn several(origin: &Path, files: &[PathBuf]) -> Result<StoredParts, FileError> {
    named(rows::open_all(origin, files, None, None, &std::env::temp_dir())?)
}

fn named(opened: StoredTable) -> Result<StoredParts, FileError> {
    let lone = opened.arrays.len() == 1;
    let index = Arc::new(opened.index()?);
    let mut parts = StoredParts::default();
    for array in opened.arrays {
        let known = array.name.parse::<Part>().is_ok();
        let name = match array.shape.len() {
            1 if lone && !known => "concat".to_owned(),
            2 if lone && !known => "frames".to_owned(),
            _ => array.name.clone(),
        };
        parts.own.insert(name, matrix(&opened.path, array, &index));
    }
    Ok(parts)
}

/// Opens features from elsewhere: the only array of its file.
///
/// # Errors
/// As [`rows::open()`], and if the file holds several arrays.
pub fn external(path: &Path, ids: Option<&Path>) -> Result<Matrix, FileError> {
    let mut opened = rows::open(path, ids, None, &std::env::temp_dir())?;
    let index = Arc::new(opened.index()?);
    match (opened.arrays.pop(), opened.arrays.len()) {
        (Some(array), 0) => Ok(matrix(path, array, &index)),
        (_, more) => {
            let reason = format!("it holds {} arrays; a file for --features has one", more + 1);
            Err(FileError::read(path, reason))
        }
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
        assert!(error.contains("the id 'a' stands in row 0 and in row 5"), "{error}");
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
