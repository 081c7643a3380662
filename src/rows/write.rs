//! Writes one output: the data file with its companion, or JSON lines on standard output.
//!
//! [`Prepared`] creates the temporary files before the models are loaded, so a run that cannot write ends in its first second,
//! not in its last. [`Output`] checks every row, numbers it, hands it to the format, and writes the companion's line.

use std::path::PathBuf;

use crate::files::{AtomicFile, FileError, commit_pair, display_path};
use crate::rows::companion::{CompanionRow, CompanionWriter, companion_path};
use crate::rows::file_format::RowWriter;
use crate::rows::formats::jsonl::JsonlWriter;
use crate::rows::layout::Layout;
use crate::rows::provenance::KEY;
use crate::rows::{Destination, Dims, Failure, Format, Part, Provenance, Row};

/// An output whose temporary files exist, so that it is known to be writable.
pub struct Prepared {
    parts: Vec<Part>,
    kept_columns: Vec<String>,
    format: Format,
    /// The data file and its companion; `None` for standard output.
    files: Option<(AtomicFile, AtomicFile)>,
}

impl Prepared {
    /// Checks the destination and creates the temporary files.
    ///
    /// # Errors
    /// `Usage` if the parts are none, listed twice or too many for the format, if the file or its companion exists and
    /// `overwrite` is false, or if the folder is missing; `Write` if the folder cannot be written.
    pub fn new(destination: &Destination, parts: &[Part], overwrite: bool) -> Result<Self, FileError> {
        let format = destination.format();
        check_parts(destination, parts)?;
        let files = match destination {
            Destination::Stdout => None,
            Destination::File(path, _) => {
                let data = AtomicFile::create(path, overwrite)?;
                let companion = AtomicFile::create(&companion_path(path), overwrite)?;
                Some((data, companion))
            }
        };
        Ok(Self { parts: parts.to_vec(), kept_columns: vec![], format, files })
    }

    /// The rows will have these columns of the list too.
    #[must_use]
    pub fn keeping(self, kept_columns: &[String]) -> Self {
        Self { kept_columns: kept_columns.to_vec(), ..self }
    }

    /// Begins writing rows of the sizes that the models have.
    ///
    /// # Errors
    /// `Write` if the disk refuses.
    pub fn start(self, dims: Dims) -> Result<Output, FileError> {
        let Self { parts, kept_columns, format, files } = self;
        let layout = Layout::new(parts, dims, format.one_shape()).keeping(&kept_columns);
        let mut paths = None;
        let mut companion = None;
        let writer: Box<dyn RowWriter> = match files {
            None => Box::new(JsonlWriter::stdout()),
            Some((data, beside)) => {
                paths = Some((data.target().to_path_buf(), beside.target().to_path_buf()));
                // What the file cannot say itself, its companion says.
                let provenance = !format.0.keeps_notes();
                companion = Some(CompanionWriter::new(beside, &layout, provenance)?);
                format.0.writer(data, &layout)?
            }
        };
        Ok(Output { layout, writer, companion, paths, next: 0, rows: 0, failed: 0 })
    }
}

fn check_parts(destination: &Destination, parts: &[Part]) -> Result<(), FileError> {
    Part::check_single(parts)?;
    if parts.is_empty() {
        let all = Part::ALL.map(Part::name).join(", ");
        return Err(FileError::Usage(format!("no part to write; name at least one of {all}")));
    }
    if let Destination::File(path, format) = destination
        && format.0.holds_one_part()
        && parts.len() > 1
    {
        let names: Vec<&str> = parts.iter().map(|p| p.name()).collect();
        return Err(FileError::Usage(format!(
            "{}: {format} holds one array and {} parts were asked for ({}); write {} instead, which holds one per part",
            display_path(path),
            parts.len(),
            names.join(", "),
            display_path(&path.with_extension("npz"))
        )));
    }
    Ok(())
}

/// Writes rows. Dropped before [`finish`](Self::finish), it leaves no file.
pub struct Output {
    layout: Layout,
    writer: Box<dyn RowWriter>,
    companion: Option<CompanionWriter>,
    paths: Option<(PathBuf, PathBuf)>,
    /// The smallest index that may come next.
    next: usize,
    rows: usize,
    failed: usize,
}

/// What [`Output::finish`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The data file; `None` for standard output.
    pub data: Option<PathBuf>,
    /// Its companion; `None` for standard output.
    pub companion: Option<PathBuf>,
    /// Rows in the data.
    pub rows: usize,
    /// Inputs that failed.
    pub failed: usize,
}

impl Output {
    /// Writes a video's only row, as [`push_all`](Self::push_all).
    ///
    /// # Errors
    /// As there.
    pub fn push(&mut self, row: &Row) -> Result<(), FileError> {
        self.push_all(std::slice::from_ref(row))
    }

    /// Writes the rows of an embedded video, one or one per window. Inputs, embedded or failed, come in the order of their
    /// index.
    ///
    /// # Errors
    /// `Row` if a value is not finite or a shape is not that of the rows before: the output is as it was and the caller may
    /// record the video with [`fail`](Self::fail). `Write` or `Closed` end the run.
    pub fn push_all(&mut self, rows: &[Row]) -> Result<(), FileError> {
        let Some(index) = rows.first().map(|row| row.clip.index) else { return Ok(()) };
        self.in_order(index)?;
        self.layout.check_all(rows)?;
        for row in rows {
            self.writer.push(row, &self.layout)?;
            if let Some(companion) = &mut self.companion {
                companion.push(CompanionRow::embedded(row, self.rows))?;
            }
            self.rows += 1;
        }
        self.next = index + 1;
        Ok(())
    }

    /// Records a video that failed (in the companion; standard output has none).
    ///
    /// # Errors
    /// `Row` if it comes out of order. `Write` ends the run.
    pub fn fail(&mut self, failure: &Failure) -> Result<(), FileError> {
        self.in_order(failure.clip.index)?;
        if let Some(companion) = &mut self.companion {
            companion.push(CompanionRow::failed(failure))?;
        }
        self.next = failure.clip.index + 1;
        self.failed += 1;
        Ok(())
    }

    /// Says what made the rows; the files carry it.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn made_by(&mut self, made: &Provenance) -> Result<(), FileError> {
        let text = made.text()?;
        if let Some(companion) = &mut self.companion {
            companion.made_by(text.clone());
        }
        self.writer.note(KEY, text);
        Ok(())
    }

    /// Completes the data and the companion, and gives both their names.
    ///
    /// # Errors
    /// `Write` if the disk is full or a rename fails; then neither file exists, or the old pair still does.
    pub fn finish(self) -> Result<Written, FileError> {
        let data = self.writer.finish(&self.layout)?;
        let companion = self.companion.map(CompanionWriter::finish).transpose()?;
        if let (Some(data), Some(companion)) = (data, companion) {
            commit_pair(companion, data)?;
        }
        let (data, companion) = self.paths.unzip();
        Ok(Written { data, companion, rows: self.rows, failed: self.failed })
    }

    fn in_order(&self, index: usize) -> Result<(), FileError> {
        if index < self.next {
            let next = self.next;
            return Err(FileError::Row(format!("input {index} came after input {}", next - 1)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::ErrorKind;
    use crate::rows::Wanted;
    use crate::rows::read;
    use crate::rows::testing::{DIMS, failure, row};
    use std::fs;
    use std::path::Path;

    fn prepared(path: &Path, parts: &[Part], overwrite: bool) -> Result<Prepared, FileError> {
        Prepared::new(&Destination::parse(path)?, parts, overwrite)
    }

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn several_parts_in_npy_are_refused_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let error = prepared(&dir.path().join("x.npy"), &[Part::Concat, Part::Frames], false).err().unwrap();
        assert!(error.kind() == ErrorKind::Usage && error.to_string().contains("x.npz"), "{error}");
        assert!(prepared(&dir.path().join("x.npz"), &[Part::Concat, Part::Concat], false).is_err());
        assert!(prepared(&dir.path().join("x.npz"), &[], false).is_err());
        assert_eq!(count(dir.path()), 0);
    }

    #[test]
    fn an_old_companion_alone_is_refused_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        fs::write(companion_path(&path), "").unwrap();
        let error = prepared(&path, &[Part::Concat], false).err().unwrap();
        assert!(error.to_string().contains("x.npy.rows.csv: exists already"), "{error}");
        assert_eq!(count(dir.path()), 1);
    }

    #[test]
    fn every_format_gives_the_same_rows_back_and_leaves_nothing_else() {
        let parts = [Part::Concat, Part::Frames];
        for format in Format::ALL {
            let parts = if format == Format::NPY { &parts[1..] } else { &parts[..] };
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(format!("x{format}"));
            let mut output = prepared(&path, parts, false).unwrap().start(DIMS).unwrap();
            let rows = [row(0, 3, parts), row(2, 3, parts)];
            output.push(&rows[0]).unwrap();
            output.fail(&failure(1)).unwrap();
            output.push(&rows[1]).unwrap();
            assert!(!path.exists());
            let written = output.finish().unwrap();
            assert_eq!((written.rows, written.failed), (2, 1));
            assert_eq!(count(dir.path()), 2, "{format}");
            let table = read(&path, Wanted::default()).unwrap();
            assert_eq!(table.ids().unwrap(), [rows[0].clip.id.clone(), rows[1].clip.id.clone()]);
            assert_eq!(table.arrays.len(), parts.len());
            for &part in parts {
                let array = table.array(part.name()).unwrap();
                assert_eq!(array.shape[0], 2);
                assert_eq!(array.shape[1..], part.shape(3, DIMS));
                for (i, row) in rows.iter().enumerate() {
                    assert_eq!(array.row(i), row.values(part), "{format} {part}");
                }
            }
        }
    }

    #[test]
    fn a_run_in_which_all_failed_writes_arrays_without_rows() {
        for format in Format::ALL {
            for frames in [Some(3), None] {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join(format!("x{format}"));
                let dims = Dims { frames, ..DIMS };
                let mut output = prepared(&path, &[Part::Frames], false).unwrap().start(dims).unwrap();
                output.fail(&failure(0)).unwrap();
                output.finish().unwrap();
                let table = read(&path, Wanted::default()).unwrap();
                assert_eq!(table.rows(), 0, "{format}");
                assert_eq!(table.ids().unwrap(), Vec::<String>::new(), "{format}");
            }
        }
    }

    #[test]
    fn dropped_midway_every_format_leaves_an_empty_folder() {
        for format in Format::ALL {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(format!("x{format}"));
            let mut output = prepared(&path, &[Part::Concat], false).unwrap().start(DIMS).unwrap();
            output.push(&row(0, 3, &[Part::Concat])).unwrap();
            drop(output);
            assert_eq!(count(dir.path()), 0, "{format}");
        }
    }

    #[test]
    fn a_bad_row_is_refused_and_the_output_goes_on() {
        for format in Format::ALL {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(format!("x{format}"));
            let mut output = prepared(&path, &[Part::Static], false).unwrap().start(DIMS).unwrap();
            let mut bad = row(0, 3, &[Part::Static]);
            bad.parts[0].1[1] = f32::INFINITY;
            assert_eq!(output.push(&bad).unwrap_err().kind(), ErrorKind::Row);
            output.fail(&failure(0)).unwrap();
            output.push(&row(1, 3, &[Part::Static])).unwrap();
            assert!(output.fail(&failure(1)).is_err(), "an index twice");
            output.finish().unwrap();
            let table = read(&path, Wanted::default()).unwrap();
            assert_eq!(table.rows(), 1, "{format}");
            assert_eq!(table.ids().unwrap(), [row(1, 3, &[]).clip.id]);
        }
    }

    #[test]
    fn overwriting_replaces_data_and_companion() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npz");
        for rows in [2, 1] {
            let mut output = prepared(&path, &[Part::Concat], true).unwrap().start(DIMS).unwrap();
            for i in 0..rows {
                output.push(&row(i, 3, &[Part::Concat])).unwrap();
            }
            output.finish().unwrap();
            assert_eq!(read(&path, Wanted::default()).unwrap().ids().unwrap().len(), rows);
        }
        assert_eq!(prepared(&path, &[Part::Concat], false).err().unwrap().kind(), ErrorKind::Usage);
        assert_eq!(count(dir.path()), 2);
    }
}
