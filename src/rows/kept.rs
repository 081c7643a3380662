//! The columns of a list that travel with its clips (`--keep`): the names that they may have, and those that given clips have.

use crate::files::{FileError, display_text};
use crate::inputs::column_names;
use crate::rows::{ClipMeta, Part};

/// The names of columns that outputs, ledgers and answers have themselves, besides those of the parts.
const TAKEN: [&str; 25] = [
    "index",
    "row",
    "id",
    "path",
    "status",
    "frames",
    "fps",
    "duration",
    "start",
    "end",
    "stage",
    "error",
    "distinct_frames",
    "key_frames",
    "provenance",
    "columns",
    "attempts",
    "window",
    "query",
    "rank",
    "score",
    "group",
    "kind",
    "keep",
    "frame_features",
];

/// Refuses names of columns to keep that are empty, stand twice, or are those of the outputs' own columns, in any case.
///
/// # Errors
/// `Usage`, with the name and the remedy.
pub fn check_kept_columns(names: &[String]) -> Result<(), FileError> {
    for (at, name) in names.iter().enumerate() {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let why = if name.trim().is_empty() {
            "a column has a name; leave the empty one out"
        } else if names[..at].iter().any(|before| is(before)) {
            "the column is named twice; name it once"
        } else if TAKEN.into_iter().chain(Part::ALL.map(Part::name)).any(is) {
            "the outputs have a column of this name already; give it another name in the list"
        } else {
            continue;
        };
        return Err(FileError::Usage(format!("--keep {}: {why}", display_text(name))));
    }
    Ok(())
}

/// The names of the kept columns that any of the clips has, sorted.
pub(crate) fn kept_columns<'a>(clips: impl IntoIterator<Item = &'a ClipMeta>) -> Vec<String> {
    column_names(clips.into_iter().map(|clip| &clip.columns)).into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_outputs_have_are_refused_with_a_remedy() {
        let check =
            |names: &[&str]| check_kept_columns(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        check(&["label", "source", "Größe"]).unwrap();
        for (names, said) in [
            (&["label", "Label"][..], "named twice"),
            (&["Start"], "another name in the list"),
            (&["concat"], "another name in the list"),
            (&["label", ""], "leave the empty one out"),
        ] {
            let error = check(names).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn every_column_of_a_companion_and_of_a_table_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let all = [Part::Concat, Part::Frames];
        for name in ["x.parquet", "x.npz"] {
            let path = dir.path().join(name);
            let destination = crate::rows::Destination::parse(&path).unwrap();
            let dims = crate::rows::Dims { key_frames: true, ..crate::rows::testing::DIMS };
            let mut output =
                crate::rows::Prepared::new(&destination, &all, false).unwrap().start(dims).unwrap();
            output.push(&crate::rows::testing::row(0, 3, &all)).unwrap();
            output.made_by(&crate::rows::testing::made()).unwrap();
            output.finish().unwrap();
            let companion = std::fs::read_to_string(crate::rows::companion_path(&path)).unwrap();
            for column in companion.lines().next().unwrap().split(',') {
                assert!(check_kept_columns(&[column.to_owned()]).is_err(), "{column}");
            }
        }
        let path = dir.path().join("x.parquet");
        let file = std::fs::File::open(path).unwrap();
        let table = ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        for field in table.schema().fields() {
            assert!(check_kept_columns(&[field.name().clone()]).is_err(), "{field}");
        }
    }
}
