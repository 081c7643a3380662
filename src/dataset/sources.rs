//! What datasets know already: the inputs of their parts by id, so that an update computes no row again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::dataset::journal::read_journal;
use crate::dataset::part::{check_made, read_clips};
use crate::dataset::{Dataset, InputResult, LedgerEntry};
use crate::files::FileError;
use crate::inputs::{Columns, IdDigest, Input, id_digest};
use crate::rows::ClipMeta;

/// Datasets of one run's settings, and the inputs that they know: about 150 bytes of memory each.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) files: Vec<SourceFile>,
    known: HashMap<IdDigest, Known>,
    /// What relative paths start at; empty if the system does not know it.
    working: PathBuf,
}

/// A file that has inputs with their results.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    /// The number of the part, if it is a complete one of the inputs.
    pub(super) part: Option<usize>,
    /// How many inputs it has.
    pub(super) entries: usize,
}

/// An input with its result.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Which of the files has it.
    pub(super) file: usize,
    pub(super) entry: LedgerEntry,
    /// How often it was tried.
    pub(super) tried: usize,
    /// Its range; `None` where it cannot be told.
    pub(super) range: Option<(Option<f64>, Option<f64>)>,
    /// The digests of its path, as it was given and absolute.
    pub(super) path: u64,
    absolute: u64,
    /// The digest of the kept columns.
    pub(super) columns: u64,
    /// Whether the dataset itself has it, and not only an update that was not completed.
    pub(super) current: bool,
    /// Whether the list has it still.
    pub(super) listed: bool,
}

impl Sources {
    /// Sources that know nothing.
    pub(super) fn new() -> Self {
        Self { working: std::env::current_dir().unwrap_or_default(), ..Self::default() }
    }

    /// Adds a dataset; what it knows replaces what those before it know. `current`: whether it is the dataset itself.
    ///
    /// # Errors
    /// `Read` if a part is damaged or was made otherwise.
    pub(super) fn add(&mut self, dataset: &Dataset, current: bool) -> Result<(), FileError> {
        let made = dataset.manifest().provenance();
        for (path, part) in files(dataset)? {
            check_made(&path, &made)?;
            let clips = read_clips(&path)?;
            self.files.push(SourceFile { path, part, entries: clips.len() });
            for (entry, clip, tried) in clips {
                self.know(dataset, entry, &clip, tried, current);
            }
        }
        // A journal is left only where the dataset is looked at and not written.
        let (parts, dims) = dataset.layout()?;
        for number in dataset.journals()? {
            let path = dataset.journal(number);
            let records = read_journal(&path, &parts, dims)?;
            self.files.push(SourceFile { path, part: None, entries: records.len() });
            for record in records {
                let tried =
                    if let InputResult::Failed(failed) = &record.result { failed.attempts } else { 1 };
                if let Some(clip) = record.clip() {
                    self.know(dataset, record.entry, clip, tried, current);
                }
            }
        }
        Ok(())
    }

    fn know(&mut self, dataset: &Dataset, entry: LedgerEntry, clip: &ClipMeta, tried: usize, current: bool) {
        let id = id_digest(input_id(dataset, &entry, clip));
        let current = current || self.known.get(&id).is_some_and(|known| known.current);
        let (file, range) = (self.files.len() - 1, range(dataset, clip));
        let (path, absolute) = (path_digest(&clip.path), path_digest(&self.absolute(&clip.path)));
        let columns = columns_digest(&dataset.manifest().keep, &clip.columns);
        let known = Known { file, entry, tried, range, path, absolute, columns, current, listed: false };
        self.known.insert(id, known);
    }

    /// Marks the input of an id as listed, and gives what is known of it.
    pub(super) fn listed(&mut self, id: &str) -> Option<Known> {
        let known = self.known.get_mut(&id_digest(id))?;
        known.listed = true;
        Some(known.clone())
    }

    /// Whether an input's file is at a path, by any name of it.
    pub(super) fn is_at(&self, known: &Known, path: &Path) -> bool {
        known.absolute == path_digest(&self.absolute(path))
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        let path = self.working.join(path);
        std::path::absolute(&path).unwrap_or(path)
    }

    /// The inputs of `dataset` that are in the list no more, in the order of their ids, without indices.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(super) fn gone(&mut self, dataset: &Dataset) -> Result<Vec<Input>, FileError> {
        let mut gone = Vec::new();
        if !self.known.values().any(|known| known.current && !known.listed) {
            return Ok(gone);
        }
        for (path, _) in files(dataset)? {
            for (entry, clip, _) in read_clips(&path)? {
                let id = input_id(dataset, &entry, &clip).to_owned();
                // An input that was tried several times stands in several parts.
                let known = self.known.get_mut(&id_digest(&id));
                if let Some(known) = known.filter(|known| known.current && !known.listed) {
                    known.listed = true;
                    gone.push(input(dataset, 0, id, clip));
                }
            }
        }
        gone.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(gone)
    }
}

/// The files of a dataset that have inputs, each with the number of the part if it is a complete one of the inputs. Where several have
/// an input, the last is valid.
fn files(dataset: &Dataset) -> Result<Vec<(PathBuf, Option<usize>)>, FileError> {
    let (base, parts) = (dataset.base_parts(), dataset.parts()?);
    let mut files = Vec::new();
    for number in dataset.partials()? {
        if parts.binary_search(&number).is_err() {
            files.push((dataset.partial(number), None));
        }
    }
    files.extend(parts.into_iter().map(|number| (dataset.part(number), Some(number).filter(|n| *n < base))));
    Ok(files)
}

/// The inputs of a dataset that are in its list no more, with their indices.
///
/// # Errors
/// `Read` if a part is damaged.
pub(super) fn kept(dataset: &Dataset) -> Result<Vec<Input>, FileError> {
    let (manifest, first) = (dataset.manifest(), dataset.manifest().inputs.count);
    let mut kept = Vec::new();
    if manifest.kept_inputs() > 0 {
        for number in manifest.listed_inputs() / manifest.shard_size.max(1)..dataset.base_parts() {
            let path = dataset.part(number);
            // A damaged part may have been removed; what was kept in it is gone.
            let clips = if path.exists() { read_clips(&path)? } else { vec![] };
            for (entry, clip, _) in clips {
                if entry.index >= first {
                    let id = input_id(dataset, &entry, &clip).to_owned();
                    kept.push(input(dataset, entry.index, id, clip));
                }
            }
        }
    }
    Ok(kept)
}

fn input(dataset: &Dataset, index: usize, id: String, clip: ClipMeta) -> Input {
    let (start, end) = range(dataset, &clip).unwrap_or_default();
    Input { index, id, path: clip.path, start, end, columns: clip.columns }
}

/// The id of an input, whose rows may be windows with a number behind it.
pub(super) fn input_id<'a>(dataset: &Dataset, entry: &LedgerEntry, clip: &'a ClipMeta) -> &'a str {
    let is_window = dataset.manifest().has_windows() && entry.rows > 0;
    clip.id.rsplit_once('#').filter(|_| is_window).map_or(&clip.id, |(id, _)| id)
}

/// The range of an input. A window has its own, so that the input's is known only if no input of the list has one.
fn range(dataset: &Dataset, clip: &ClipMeta) -> Option<(Option<f64>, Option<f64>)> {
    let manifest = dataset.manifest();
    match manifest.has_windows() {
        false => Some((clip.start, clip.end)),
        true => (manifest.inputs.ranges == Some(false)).then_some((None, None)),
    }
}

/// A digest of the names of the columns that a run keeps, and of what they say of an input.
pub(super) fn columns_digest(keep: &[String], columns: &Columns) -> u64 {
    let mut hasher = DefaultHasher::new();
    (keep, columns).hash(&mut hasher);
    hasher.finish()
}

/// A digest of a path as outputs write it, which may have lost bytes that are not UTF-8.
pub(super) fn path_digest(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.to_string_lossy().hash(&mut hasher);
    hasher.finish()
}
