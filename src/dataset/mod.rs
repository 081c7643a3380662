//! A dataset: a folder of part files that a run fills. The run may be interrupted; the same command resumes it.
//!
//! `_manifest.json` describes the run (a digest of its inputs, its settings, its models). Each `part-00000.parquet ...` holds
//! the rows of a fixed number of consecutive inputs. `_failures.csv` lists the inputs without a row. Readers of Parquet folders pass
//! over names that begin with `_`; before 0.2 these two had no `_`, and are read still. A part file is complete or
//! absent. Its metadata has a [`Ledger`] of all inputs of the part, embedded or failed, with each file's size and time of
//! change. An input counts as done once its part file is complete. What a part holds depends on its inputs alone, so a run
//! that was killed and resumed gives the same bytes as one that was not.
//!
//! Parts with higher numbers than those of the inputs hold later attempts at inputs that failed. Where two ledgers name one
//! input, the part with the higher number is valid. A `_partial-*` file holds a part that was not complete when the run was
//! stopped; its rows do not count yet. A `_journal-*` file has the results of the part that is being written, as they come: the run
//! after a killed one makes a partial part of it.
//!
//! `lift embed --update` makes the next state of a dataset in the folder `_update`, which is a dataset itself ([`Update`]), and changes
//! what is there only when that one is complete (`commit.rs`).

mod changes;
mod commit;
mod failures;
mod journal;
mod ledger;
mod manifest;
mod merge;
mod part;
mod plan;
mod progress;
mod recover;
mod shards;
mod sources;
mod status;
mod update;
mod verify;
mod writer;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub use changes::{Change, Changes, Rules};
pub use failures::{DatasetCounts, FAILURES, failures, write_failures};
pub use ledger::{FailedInput, InputRecord, InputResult, Ledger, LedgerEntry};
pub use manifest::{InputsDigest, Manifest, PartShape, ShardOf};
pub use merge::{merge_into_dataset, merge_into_file};
pub use part::{PartWriter, read_ledger, read_part};
pub use plan::{DatasetPlan, TaskInputs};
pub use shards::ShardReader;
pub use status::{FailureCause, FolderStatus, RunStatus, status};
pub use update::{Update, changes, kept_inputs};
pub use verify::{verify_dataset, verify_file};
pub use writer::DatasetWriter;

use crate::files::{AtomicFile, FileError, display_path};
pub use crate::rows::MANIFEST;
use crate::rows::{self, Dims, Format, Part, Provenance, valid_update};

/// Its name in older datasets.
const OLD_MANIFEST: &str = "manifest.json";

/// How the names of partial parts begin, and how they began in older datasets.
const PARTIAL: [&str; 2] = ["_partial-", "partial-"];

/// The lock file of the run that fills the folder.
const LOCK: &str = ".lock";

/// A dataset's folder.
#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    manifest: Manifest,
    kind: Format,
    /// The folder of an update whose parts do not all have their places yet, for a reader; a run that writes gives them their places first.
    update: Option<PathBuf>,
    /// The lock, for a run that writes.
    _lock: Option<File>,
}

impl Dataset {
    /// Opens the folder for the run that `manifest` describes, and creates it if it is absent. Temporary files of a killed run
    /// are removed.
    ///
    /// # Errors
    /// `Usage` if it holds another run's rows: the message has the differences. `Write` if another run writes to it now, or
    /// the folder cannot be written.
    pub fn open(folder: &Path, manifest: Manifest) -> Result<Self, FileError> {
        let kind = manifest.kind().map_err(|e| FileError::read(folder, e))?;
        fs::create_dir_all(folder).map_err(|e| FileError::write(folder, e))?;
        let lock = lock(folder)?;
        commit::settle(folder)?;
        let path = manifest_path(folder);
        let mut manifest = manifest;
        if path.exists() {
            let there = Manifest::read(&path)?;
            if let Some(why) = there.refusal(&manifest) {
                return Err(FileError::Usage(format!("{}: {why}", display_path(folder))));
            }
            // The same weights may come from another place now; the parts say what the first ones said.
            manifest = there;
        } else if !numbers_of(folder, "part-", kind.extension())?.is_empty() {
            return Err(FileError::Usage(format!(
                "{}: it holds parts but no {MANIFEST}, so whose they are is unknown; write to another folder",
                display_path(folder)
            )));
        }
        Self::held(folder, manifest, kind, lock)
    }

    /// Opens the folder of a dataset to write to it, whatever run it is of.
    ///
    /// # Errors
    /// As [`open`](Self::open), and `Read` if it has no sound manifest.
    pub(super) fn open_existing(folder: &Path) -> Result<Self, FileError> {
        let lock = lock(folder)?;
        commit::settle(folder)?;
        let path = manifest_path(folder);
        let manifest = Manifest::read(&path)?;
        let kind = manifest.kind().map_err(|e| FileError::read(&path, e))?;
        Self::held(folder, manifest, kind, lock)
    }

    /// The dataset of a folder whose lock is held.
    fn held(folder: &Path, manifest: Manifest, kind: Format, lock: File) -> Result<Self, FileError> {
        remove_leftovers(folder);
        rename_sidecars(folder, kind)?;
        let path = folder.join(MANIFEST);
        if !path.exists() {
            manifest.write(&path)?;
        }
        let folder = folder.to_path_buf();
        let dataset = Self { folder, manifest, kind, update: None, _lock: Some(lock) };
        recover::journals(&dataset)?;
        Ok(dataset)
    }

    /// Opens a folder to read it.
    ///
    /// # Errors
    /// `Read` if it has no sound manifest.
    pub fn read(folder: &Path) -> Result<Self, FileError> {
        let path = manifest_path(folder);
        let manifest = Manifest::read(&path)?;
        let kind = manifest.kind().map_err(|e| FileError::read(&path, e))?;
        Ok(Self { folder: folder.to_path_buf(), manifest, kind, update: valid_update(folder), _lock: None })
    }

    /// Whether a folder is a dataset.
    pub fn is_at(folder: &Path) -> bool {
        manifest_path(folder).is_file()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The format of its parts.
    pub fn kind(&self) -> Format {
        self.kind
    }

    /// The parts of its rows and their sizes.
    ///
    /// # Errors
    /// `Read` if the manifest names an unknown part.
    pub fn layout(&self) -> Result<(Vec<Part>, Dims), FileError> {
        self.manifest.layout().map_err(|e| FileError::read(&manifest_path(&self.folder), e))
    }

    /// What the run is.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How many parts its inputs fill; parts with higher numbers hold later attempts.
    pub fn base_parts(&self) -> usize {
        self.manifest.own_inputs().div_ceil(self.manifest.shard_size.max(1))
    }

    /// The file of part `number`.
    pub fn part(&self, number: usize) -> PathBuf {
        let name = format!("part-{number:05}{}", self.kind);
        let newer = self.update.as_ref().map(|update| update.join(&name)).filter(|path| path.exists());
        newer.unwrap_or_else(|| self.folder.join(name))
    }

    /// The file of part `number` as far as it was written when the run was stopped.
    fn partial(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{}{number:05}{}", PARTIAL[0], self.kind))
    }

    /// The journal of part `number`.
    fn journal(&self, number: usize) -> PathBuf {
        self.folder.join(format!("_journal-{number:05}"))
    }

    /// The numbers of the parts that have a journal, ascending.
    fn journals(&self) -> Result<Vec<usize>, FileError> {
        numbers_of(&self.folder, "_journal-", "")
    }

    /// The numbers of the parts that are there, ascending.
    ///
    /// # Errors
    /// `Read` if the folder cannot be listed.
    pub fn parts(&self) -> Result<Vec<usize>, FileError> {
        let suffix = self.kind.extension();
        let newer = match &self.update {
            // It may have been removed meanwhile.
            Some(update) if update.is_dir() => numbers_of(update, "part-", suffix)?,
            _ => vec![],
        };
        let mut numbers = numbers_of(&self.folder, "part-", suffix)?;
        if let Some(first) = newer.first() {
            numbers.retain(|number| number < first);
            numbers.extend(newer);
        }
        // A shard whose inputs are all gone has no part; what is there is about to be removed.
        numbers.retain(|_| self.manifest.own_inputs() > 0);
        Ok(numbers)
    }

    /// Those of them that hold later attempts.
    fn later_parts(&self) -> Result<Vec<usize>, FileError> {
        let base = self.base_parts();
        Ok(self.parts()?.into_iter().filter(|number| *number >= base).collect())
    }

    /// The numbers of the partial parts, ascending.
    fn partials(&self) -> Result<Vec<usize>, FileError> {
        let mut all = Vec::new();
        for prefix in PARTIAL {
            all.extend(numbers_of(&self.folder, prefix, self.kind.extension())?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

/// What made the rows of a file, of a dataset, or of a folder of parts (its first one says it: parts that were made otherwise
/// are not read together); `None` if nothing says it.
///
/// # Errors
/// If a manifest or a file is damaged, or a folder holds no part.
pub fn provenance(path: &Path) -> Result<Option<Provenance>, FileError> {
    if Dataset::is_at(path) {
        return Ok(Some(Dataset::read(path)?.manifest().provenance()));
    }
    rows::files(path)?.first().map_or(Ok(None), |file| Provenance::of(file))
}

/// The manifest of a folder, by its name or its older name; the former if there is none.
fn manifest_path(folder: &Path) -> PathBuf {
    let [path, old] = [MANIFEST, OLD_MANIFEST].map(|name| folder.join(name));
    if !path.exists() && old.exists() { old } else { path }
}

/// Gives the files of an older dataset that are no parts the names that readers of Parquet folders pass over.
fn rename_sidecars(folder: &Path, kind: Format) -> Result<(), FileError> {
    let mut names = vec![(OLD_MANIFEST.to_owned(), MANIFEST.to_owned())];
    for number in numbers_of(folder, PARTIAL[1], kind.extension())? {
        let [new, old] = PARTIAL.map(|prefix| format!("{prefix}{number:05}{kind}"));
        names.push((old, new));
    }
    for (old, new) in names {
        let (old, new) = (folder.join(old), folder.join(new));
        if old.exists() && !new.exists() {
            fs::rename(&old, &new).map_err(|e| FileError::write(&new, e))?;
        }
    }
    Ok(())
}

/// Takes the folder's lock. The system releases it when the process ends, in whatever way.
fn lock(folder: &Path) -> Result<File, FileError> {
    let path = folder.join(LOCK);
    let file =
        File::options().create(true).append(true).open(&path).map_err(|e| FileError::write(&path, e))?;
    let mut locked = file.try_lock();
    // `lift status` takes a lock for a moment, to know whether a run holds it.
    for _ in 0..10 {
        if matches!(locked, Err(fs::TryLockError::WouldBlock)) {
            std::thread::sleep(std::time::Duration::from_millis(20));
            locked = file.try_lock();
        }
    }
    match locked {
        Ok(()) => Ok(file),
        // Exit code 4, since schedulers start a task again that ends with it.
        Err(fs::TryLockError::WouldBlock) => Err(FileError::write(
            folder,
            std::io::Error::other(
                "another run writes into it at the moment; wait for it, or write to another folder",
            ),
        )),
        // A file system without locks: two runs would still never write into one file, only do work twice.
        Err(fs::TryLockError::Error(e)) => {
            tracing::warn!("{}: cannot be locked: {e}", display_path(&path));
            Ok(file)
        }
    }
}

/// The numbers in names of the form `part-00012.parquet`, ascending.
fn numbers_of(folder: &Path, prefix: &str, suffix: &str) -> Result<Vec<usize>, FileError> {
    let fail = |e: std::io::Error| FileError::read(folder, e.to_string());
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let digits = name.to_str().and_then(|n| n.strip_prefix(prefix)?.strip_suffix(suffix));
        numbers.extend(digits.and_then(|digits| digits.parse::<usize>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes the temporary files of a killed run; the lock says that no other run owns them.
fn remove_leftovers(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if AtomicFile::is_temporary(&entry.file_name()) {
            // Best effort: a hidden file that stays does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}
