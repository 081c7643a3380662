//! Tells files of features from videos: a file by its extension, a dataset's folder by its parts.

use std::path::{Path, PathBuf};

use crate::files::{FileError, display_path};
use crate::rows::Format;

/// Whether a path (or `PATH#ARRAY`) names features rather than videos: by its extension, or as the folder of a dataset.
pub fn is_features(path: &Path) -> bool {
    let (path, _) = split_array(path);
    match path.is_dir() {
        true => parts(path).is_ok_and(|parts| !parts.is_empty()),
        false => Format::of(path).is_some(),
    }
}

/// Formats of other programs that hold features and are not read, by their extensions.
const FOREIGN: [&str; 14] = [
    "pt", "pth", "bin", "ckpt", "pkl", "pickle", "h5", "hdf5", "mat", "csv", "tsv", "feather", "arrow",
    "tfrecord",
];

/// Refuses a file that is neither features nor a video but another program's features, by its extension.
///
/// # Errors
/// `Usage`, with the formats that are read.
pub fn check_not_foreign(path: &Path) -> Result<(), FileError> {
    let extension =
        path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).unwrap_or_default();
    if !FOREIGN.contains(&extension.as_str()) || !path.is_file() {
        return Ok(());
    }
    Err(FileError::Usage(format!(
        "{}: .{extension} files are not read; save the features as one of {} (in Python, numpy.save(\"features.npy\", array))",
        display_path(path),
        Format::extensions()
    )))
}

/// The part files of a dataset and of its shards, in the order of their names; empty for a folder that is no dataset.
///
/// # Errors
/// `Read` if the folder cannot be searched.
pub fn parts(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut parts = Vec::new();
    // DIR/part-* and DIR/*/part-*, not deeper, so that a large folder of videos is not searched in vain.
    for entry in walkdir::WalkDir::new(folder).max_depth(2).sort_by_file_name() {
        let entry = entry.map_err(|e| FileError::read(folder, e.to_string()))?;
        let name = entry.file_name().to_string_lossy();
        let is_part = Format::of(entry.path()).is_some_and(|format| format.0.dataset_part().is_some());
        if is_part && !entry.file_type().is_dir() && name.starts_with("part-") {
            parts.push(entry.into_path());
        }
    }
    Ok(parts)
}

/// The files of a path: its parts for a dataset's folder, else itself.
///
/// # Errors
/// `Read` for a folder that is no dataset.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let parts = parts(path)?;
    if parts.is_empty() {
        let names: Vec<_> = Format::of_datasets().map(|format| format!("part-*{format}")).collect();
        let reason = format!("it is a folder and no dataset: it holds no {}", names.join(" or "));
        return Err(FileError::read(path, reason));
    }
    Ok(parts)
}

/// Takes `PATH#ARRAY`, as the command line names one array of a file, apart. A name that is a file as it stands, and one whose path
/// is neither features nor a folder, is a path alone.
pub fn split_array(named: &Path) -> (&Path, Option<&str>) {
    let parts = named.to_str().filter(|_| !named.exists()).and_then(|text| text.rsplit_once('#'));
    match parts {
        Some((path, array)) if !array.is_empty() => {
            let path = Path::new(path);
            if Format::of(path).is_some() || path.is_dir() { (path, Some(array)) } else { (named, None) }
        }
        _ => (named, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_named_behind_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("a#b.npy");
        std::fs::write(&whole, "").unwrap();
        let split = |text: &'static str| split_array(Path::new(text));
        assert_eq!(split("x/own.npz#clip"), (Path::new("x/own.npz"), Some("clip")));
        assert_eq!(split("own.npz"), (Path::new("own.npz"), None));
        assert_eq!(split("own.npz#"), (Path::new("own.npz#"), None));
        assert_eq!(split("film#2.mp4"), (Path::new("film#2.mp4"), None));
        assert_eq!(split_array(&whole), (whole.as_path(), None));
        let folder = format!("{}#clip", dir.path().display());
        assert_eq!(split_array(Path::new(&folder)), (dir.path(), Some("clip")));
    }
}
