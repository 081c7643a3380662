//! Writes and reads one part of a dataset.

use std::collections::HashMap;
use std::path::Path;

use crate::dataset::Dataset;
use crate::dataset::ledger::{FailedInput, InputRecord, InputResult, KEY, Ledger, LedgerEntry};
use crate::files::{AtomicFile, FileError};
use crate::rows::file_format::{PartFile, RowWriter};
use crate::rows::layout::Layout;
use crate::rows::provenance;
use crate::rows::{ClipMeta, Dims, Format, Part, Provenance, Row};

/// Writes a part. Dropped before [`commit`](Self::commit), it leaves no file.
pub struct PartWriter {
    writer: Box<dyn RowWriter>,
    layout: Layout,
    ledger: Ledger,
}

impl PartWriter {
    /// Begins the part of `dataset` that will be called `path`.
    ///
    /// # Errors
    /// `Write` if the folder cannot be written.
    pub fn create(dataset: &Dataset, path: &Path) -> Result<Self, FileError> {
        let (kind, manifest, (parts, dims)) = (dataset.kind(), dataset.manifest(), dataset.layout()?);
        let layout = Layout::new(parts, dims, kind.one_shape()).keeping(&manifest.keep);
        let format = kind
            .0
            .dataset_part()
            .ok_or_else(|| FileError::Usage(format!("a dataset cannot have {kind} parts")))?;
        let mut writer = PartFile::writer(format, AtomicFile::create(path, true)?, &layout)?;
        writer.note(provenance::KEY, manifest.provenance().text()?);
        Ok(Self { writer, layout, ledger: Ledger::default() })
    }

    /// Writes an input's rows.
    ///
    /// # Errors
    /// `Row` if one does not fit; then the part is as it was. `Write` ends the run.
    pub fn rows(&mut self, entry: LedgerEntry, rows: &[Row]) -> Result<(), FileError> {
        self.layout.check_all(rows)?;
        for row in rows {
            self.writer.push(row, &self.layout)?;
        }
        self.ledger.entries.push(entry);
        Ok(())
    }

    /// Writes an input that was read from another part.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn input(&mut self, InputRecord { entry, result }: InputRecord) -> Result<(), FileError> {
        match result {
            InputResult::Rows(rows) => self.rows(entry, &rows),
            InputResult::Failed(failure) => {
                self.failure(entry, *failure);
                Ok(())
            }
        }
    }

    /// Records an input that failed.
    pub fn failure(&mut self, entry: LedgerEntry, failure: FailedInput) {
        self.ledger.entries.push(entry);
        self.ledger.failures.push(failure);
    }

    /// Completes the bytes and gives the part its name.
    ///
    /// # Errors
    /// `Write` if the disk refuses; then nothing is there.
    pub fn commit(mut self, path: &Path) -> Result<(), FileError> {
        let json = |e: serde_json::Error| FileError::write(path, e.into());
        self.writer.note(KEY, serde_json::to_string(&self.ledger).map_err(json)?);
        if let Some(mut file) = self.writer.finish(&self.layout)? {
            file.retarget(path);
            file.commit()?;
        }
        Ok(())
    }
}

fn damaged(path: &Path, cause: impl std::fmt::Display) -> FileError {
    FileError::read(
        path,
        format!("not a whole part of a dataset: {cause}; delete this file and run the same lift embed again"),
    )
}

/// The format of a part.
fn part_file(path: &Path) -> Result<&'static dyn PartFile, FileError> {
    let format = Format::of(path).and_then(|format| format.0.dataset_part());
    format.ok_or_else(|| damaged(path, "its extension is not that of a part"))
}

/// The ledger of a part, without its rows.
///
/// # Errors
/// `Read` if the file is missing, damaged, or no part of a dataset.
pub fn read_ledger(path: &Path) -> Result<Ledger, FileError> {
    let text = part_file(path)?.note(path, KEY).map_err(|e| damaged(path, e))?;
    let text = text.ok_or_else(|| damaged(path, "it has no ledger of inputs"))?;
    serde_json::from_str(&text).map_err(|e| damaged(path, format!("its ledger of inputs: {e}")))
}

/// Refuses a part that was made otherwise than its dataset says. Parts of older versions do not say.
///
/// # Errors
/// `Read`, with the differences.
pub(super) fn check_made(path: &Path, made: &Provenance) -> Result<(), FileError> {
    let Some(here) = Provenance::of(path)? else { return Ok(()) };
    let differences = made.differences_and_version(&here);
    if differences.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "this part was made otherwise than the manifest says ({}); delete it and run the same lift embed again",
        differences.join("; ")
    );
    Err(FileError::read(path, reason))
}

/// The rows of a part, one after the other.
pub(super) type PartRows = Box<dyn Iterator<Item = Result<Row, FileError>>>;

/// The ledger and the rows of a part, in its order. Every row is checked.
///
/// # Errors
/// `Read` if the file is missing, damaged, no part of a dataset, or its ledger and rows do not agree.
pub fn read_part(path: &Path, parts: &[Part], dims: Dims) -> Result<(Ledger, Vec<Row>), FileError> {
    let ledger = read_ledger(path)?;
    let mut rows = open_rows(path, parts, dims)?;
    let mut all = Vec::new();
    for entry in &ledger.entries {
        all.extend(rows_of(path, entry, &mut rows)?);
    }
    match rows.next() {
        None => Ok((ledger, all)),
        Some(_) => Err(damaged(path, "it has rows that its ledger does not know")),
    }
}

/// The inputs of a part with their results, in its order.
///
/// # Errors
/// As [`read_part`].
pub(super) fn read_inputs(path: &Path, parts: &[Part], dims: Dims) -> Result<Vec<InputRecord>, FileError> {
    let (ledger, rows) = read_part(path, parts, dims)?;
    let mut failures: HashMap<_, _> =
        ledger.failures.into_iter().map(|f| (f.failure.clip.index, f)).collect();
    let mut rows = rows.into_iter();
    let done = |entry: LedgerEntry| {
        let own = rows.by_ref().take(entry.rows).collect();
        InputRecord::new(entry, own, failures.remove(&entry.index))
    };
    Ok(ledger.entries.into_iter().map(done).collect())
}

/// The inputs of a part in its order, each with what is said of its clip (of the first one of several windows) and how often it was
/// tried, without reading values.
///
/// # Errors
/// As [`read_part`].
pub(super) fn read_clips(path: &Path) -> Result<Vec<(LedgerEntry, ClipMeta, usize)>, FileError> {
    let ledger = read_ledger(path)?;
    let mut failures: HashMap<_, _> =
        ledger.failures.into_iter().map(|f| (f.failure.clip.index, f)).collect();
    let mut rows = part_file(path)?.rows(path, &[]).map_err(|e| damaged(path, e))?;
    let foreign = || damaged(path, "its rows are not those of its ledger");
    let mut all = Vec::with_capacity(ledger.entries.len());
    for entry in ledger.entries {
        let (clip, tried) = match failures.remove(&entry.index) {
            Some(failed) => (failed.failure.clip, failed.attempts),
            None => (rows.next().ok_or_else(foreign)?.map_err(|e| damaged(path, e))?.clip, 1),
        };
        // The other windows of the input.
        for _ in 1..entry.rows {
            rows.next().ok_or_else(foreign)?.map_err(|e| damaged(path, e))?;
        }
        if clip.index != entry.index {
            return Err(foreign());
        }
        all.push((entry, clip, tried));
    }
    Ok(all)
}

/// The rows of one input: the next ones of its part.
///
/// # Errors
/// `Read` if the next rows are of another input.
pub(super) fn rows_of(path: &Path, entry: &LedgerEntry, rows: &mut PartRows) -> Result<Vec<Row>, FileError> {
    let row = |number: usize| {
        let foreign = || damaged(path, "its rows are not those of its ledger");
        let row = rows.next().ok_or_else(foreign)??;
        if row.clip.index != entry.index {
            return Err(foreign());
        }
        Ok(Row { window: (entry.rows > 1).then_some(number), ..row })
    };
    (0..entry.rows).map(row).collect()
}

/// Opens a part's rows; each is checked to be of the run's shape, with finite numbers.
///
/// # Errors
/// `Read` if the file is missing, damaged, or no part of a dataset.
pub(super) fn open_rows(path: &Path, parts: &[Part], dims: Dims) -> Result<PartRows, FileError> {
    let owned = path.to_path_buf();
    let mut layout = Layout::new(parts.to_vec(), dims, Some("a dataset"));
    let checked = move |row: Result<Row, String>| {
        let row = row.map_err(|e| damaged(&owned, e))?;
        // The reason and the remedy of the check are about writing.
        layout
            .check(&row)
            .map_err(|_| damaged(&owned, "its rows have other shapes than its run, or are not finite"))?;
        Ok(row)
    };
    let rows = part_file(path)?.rows(path, parts).map_err(|e| damaged(path, e))?;
    Ok(Box::new(rows.map(checked)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{InputsDigest, Manifest};
    use crate::files::Stamp;
    use crate::rows::testing::{DIMS, failure, row};

    const PARTS: [Part; 2] = [Part::Concat, Part::Frames];

    fn entry(index: usize, rows: usize) -> LedgerEntry {
        LedgerEntry { index, stamp: None, rows, content: None }
    }

    fn part(path: &Path, rows: &[Row]) {
        let folder = tempfile::tempdir().unwrap();
        let manifest = Manifest::new(InputsDigest::default(), None, 10, Format::of(path).unwrap());
        let manifest = Manifest { keep: vec!["label".into()], ..manifest.with_parts(&PARTS, DIMS) };
        let dataset = Dataset::open(folder.path(), manifest).unwrap();
        let mut writer = PartWriter::create(&dataset, path).unwrap();
        for row in rows {
            let entry = LedgerEntry {
                stamp: Some(Stamp { bytes: 9, modified: 1 << 60 }),
                ..entry(row.clip.index, 1)
            };
            writer.rows(entry, std::slice::from_ref(row)).unwrap();
        }
        let content = "0123456789abcdef".repeat(2).parse().ok();
        assert!(content.is_some());
        writer.failure(
            LedgerEntry { content, ..entry(7, 0) },
            FailedInput { failure: failure(7), attempts: 2 },
        );
        writer.commit(path).unwrap();
    }

    #[test]
    fn a_part_gives_its_rows_and_its_ledger_back_in_both_formats() {
        let dir = tempfile::tempdir().unwrap();
        for format in [Format::PARQUET, Format::SAFETENSORS] {
            let path = dir.path().join(format!("part-00000{format}"));
            let mut rows = [row(1, 3, &PARTS), row(4, 3, &PARTS)];
            rows[1].clip.columns.insert("label".into(), "open".into());
            part(&path, &rows);
            let (ledger, back) = read_part(&path, &PARTS, DIMS).unwrap();
            assert_eq!(back, rows);
            assert_eq!(ledger, read_ledger(&path).unwrap());
            assert_eq!(
                ledger.entries.iter().map(|e| (e.index, e.rows)).collect::<Vec<_>>(),
                [(1, 1), (4, 1), (7, 0)]
            );
            assert_eq!(ledger.failures[0], FailedInput { failure: failure(7), attempts: 2 });
            let bytes = std::fs::read(&path).unwrap();
            part(&path, &rows);
            assert!(std::fs::read(&path).unwrap() == bytes, "equal rows make equal files");
            assert_eq!(
                crate::rows::read(&path, crate::rows::Wanted::default()).unwrap().ids().unwrap().len(),
                2
            );
        }
    }

    #[test]
    fn a_cut_part_and_a_foreign_file_are_no_parts() {
        let dir = tempfile::tempdir().unwrap();
        for format in [Format::PARQUET, Format::SAFETENSORS] {
            let path = dir.path().join(format!("part-00000{format}"));
            part(&path, &[row(1, 3, &PARTS)]);
            let whole = std::fs::read(&path).unwrap();
            for cut in [0, 7, whole.len() / 2, whole.len() - 1] {
                std::fs::write(&path, &whole[..cut]).unwrap();
                let error = read_part(&path, &PARTS, DIMS).unwrap_err().to_string();
                assert!(error.contains("part-00000") && error.contains("delete this file"), "{error}");
            }
        }
        let path = dir.path().join("part-1.parquet");
        std::fs::write(&path, "not a part").unwrap();
        assert!(read_ledger(&path).is_err());
    }
}
