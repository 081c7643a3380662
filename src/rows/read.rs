//! Reads a file of rows into memory.
//!
//! A file of features may come from anywhere: each size that it declares is compared with the bytes that are there before
//! memory is taken, and whatever is wrong ends in an error that names the file. Values that are not finite are refused, as
//! they are when a file is written.

use std::path::Path;

use crate::files::{FileError, display_text};
use crate::rows::array::{Array, Raw};
use crate::rows::{Format, Table, Wanted};

/// Reads a file of rows.
///
/// Ids come from the list that is `wanted` if there is one (text, one per line, or CSV with a column `id`), else from the file itself
/// (metadata, a column, or an array `ids` in an `.npz`), else from its companion.
///
/// # Errors
/// `Read` if the file is missing, damaged, not of the format its extension names, has arrays of different lengths, values
/// that are not finite, or another number of ids than rows.
pub fn read(path: &Path, wanted: Wanted) -> Result<Table, FileError> {
    let fail = |reason: String| FileError::read(path, reason);
    let Some(format) = Format::of(path) else {
        if !path.exists() {
            return Err(fail("there is no such file or folder".to_owned()));
        }
        let known = Format::extensions();
        return Err(fail(format!("its extension names no format of features; these are read: {known}")));
    };
    if !path.is_file() {
        let what = if path.is_dir() { "it is a folder" } else { "no such file" };
        return Err(fail(format!("{what}; a file of features is needed")));
    }
    let Raw { arrays, ids: own } = format.0.read(path, wanted.of_file()).map_err(fail)?;
    let table = Table::checked(path, format, (arrays, own), wanted)?;
    table.arrays.iter().try_for_each(|array| check_finite(array, table.ids().ok())).map_err(fail)?;
    Ok(table)
}

/// Checks that every value is a finite number; the ids are those of the rows, if they have any.
fn check_finite(array: &Array, ids: Option<&[String]>) -> Result<(), String> {
    match array.data.iter().position(|v| !v.is_finite()) {
        Some(at) => {
            let (row, value, name) = (at / array.width(), array.data[at], display_text(&array.name));
            let id = ids.and_then(|ids| ids.get(row)).map(|id| format!(", the id '{}',", display_text(id)));
            Err(format!(
                "row {row} of '{name}'{} holds {value}, not a finite number; embed that video again, or leave the row out",
                id.unwrap_or_default()
            ))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::rows::formats::npy;

    fn npy_file(dir: &Path, shape: &[usize], values: &[f32]) -> PathBuf {
        let path = dir.join("x.npy");
        let mut bytes = npy::header(shape);
        super::super::values::write_f32(&mut bytes, values).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn without_ids_the_arrays_are_there_and_asking_for_ids_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = npy_file(dir.path(), &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let table = read(&path, Wanted::one("concat")).unwrap();
        assert_eq!(table.array("concat").unwrap().row(1), [3.0, 4.0]);
        let error = table.ids().unwrap_err().to_string();
        assert!(error.contains("x.npy.rows.csv") && error.contains("--ids"), "{error}");
    }

    #[test]
    fn ids_come_from_a_file_of_lines_or_a_column() {
        let dir = tempfile::tempdir().unwrap();
        let path = npy_file(dir.path(), &[2, 1], &[1.0, 2.0]);
        let ids = dir.path().join("ids");
        for text in [
            "001\nb c\n",
            "001\r\nb c",
            "\u{feff}n,id\n1,001\n2,b c\n",
            "id\tx\n001\t1\nb c\t2\n",
            "index,row,id\n0,0,001\n1,,lost\n2,1,b c\n",
        ] {
            fs::write(&ids, text).unwrap();
            let table = read(&path, Wanted { ids: Some(&ids), ..Wanted::default() }).unwrap();
            assert_eq!(table.ids().unwrap(), ["001", "b c"], "{text:?}");
            assert_eq!(table.index().unwrap()["b c"], 1);
        }
        fs::write(&ids, "a\n").unwrap();
        let error = read(&path, Wanted { ids: Some(&ids), ..Wanted::default() }).unwrap_err().to_string();
        assert!(error.contains("has 2 rows") && error.contains("has 1 ids"), "{error}");
        fs::write(&ids, "a\na\n").unwrap();
        assert!(read(&path, Wanted { ids: Some(&ids), ..Wanted::default() }).unwrap().index().is_err());
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = npy_file(dir.path(), &[2, 2], &[1.0, 2.0, 3.0, f32::NAN]);
        let error = read(&path, Wanted::default()).unwrap_err().to_string();
        assert!(error.contains("row 1 of 'array' holds NaN"), "{error}");
        let ids = dir.path().join("ids");
        fs::write(&ids, "a\nb\n").unwrap();
        let error = read(&path, Wanted { ids: Some(&ids), ..Wanted::default() }).unwrap_err().to_string();
        assert!(error.contains("row 1 of 'array', the id 'b', holds NaN"), "{error}");
    }

    #[test]
    fn other_files_are_refused_with_their_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.csv"), "a,b\n").unwrap();
        for (name, reason) in [("x.csv", ".npy .npz"), ("gone", "no such file"), ("gone.npy", "no such file")]
        {
            let error = read(&dir.path().join(name), Wanted::default()).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(reason), "{error}");
        }
        for format in Format::ALL {
            let path = dir.path().join(format!("bad{format}"));
            fs::write(&path, "not rows").unwrap();
            let error = read(&path, Wanted::default()).unwrap_err().to_string();
            assert!(error.contains("bad."), "{error}");
        }
        let wide = npy_file(dir.path(), &[1 << 60, 0], &[]);
        assert!(read(&wide, Wanted::default()).is_err(), "rows without values");
    }
}
