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

/// The name of a dataset's manifest.
pub const MANIFEST: &str = "_manifest.json";

/// The folder in a dataset in which `lift embed --update` makes the next state of it.
pub const UPDATE: &str = "_update";

/// The folder of an update that is complete and valid, and whose parts do not all have their places in the dataset yet. Its manifest is the
/// dataset's already, so it has none itself.
///
/// A part of it with a number takes the place of the part with that number in the dataset. The parts move in the order of their
/// numbers, so parts of the dataset whose numbers are not smaller than its smallest are out of date.
pub(crate) fn valid_update(folder: &Path) -> Option<PathBuf> {
    let update = folder.join(UPDATE);
    (update.is_dir() && !update.join(MANIFEST).exists()).then_some(update)
}

/// The number in a name of the form `part-00012.parquet`.
fn part_number(path: &Path) -> Option<usize> {
    path.file_stem()?.to_str()?.strip_prefix("part-")?.parse().ok()
}

/// The part files of a dataset and of its shards, in the order of their names; empty for a folder that is no dataset.
///
/// # Errors
/// `Read` if the folder cannot be searched.
pub fn parts(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut parts = Vec::new();
    // DIR/part-* and DIR/*/part-*, not deeper, so that a large folder of videos is not searched in vain.
    for path in entries(folder)? {
        if path.is_dir() {
            if !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"_")) {
                parts.extend(own_parts(&path)?);
            }
        } else if is_part(&path) {
            parts.push(path);
        }
    }
    let (own, below) = parts.into_iter().partition(|path| path.parent() == Some(folder));
    Ok([updated(folder, own)?, below].concat())
}

/// The part files of one dataset or one shard.
fn own_parts(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    updated(folder, entries(folder)?.into_iter().filter(|path| is_part(path)).collect())
}

/// The parts in a folder, with those of an update that is valid.
fn updated(folder: &Path, mut parts: Vec<PathBuf>) -> Result<Vec<PathBuf>, FileError> {
    let Some(update) = valid_update(folder) else { return Ok(parts) };
    let newer: Vec<_> = entries(&update)?.into_iter().filter(|path| is_part(path)).collect();
    if let Some(first) = newer.iter().filter_map(|path| part_number(path)).min() {
        parts.retain(|path| part_number(path).is_none_or(|number| number < first));
        parts.extend(newer);
    }
    Ok(parts)
}

/// What is in a folder, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let fail = |e: std::io::Error| FileError::read(folder, e.to_string());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        paths.push(entry.map_err(fail)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn is_part(path: &Path) -> bool {
    let named = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"part-"));
    named && Format::of(path).is_some_and(|format| format.0.dataset_part().is_some()) && !path.is_dir()
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
