//! A dataset: a folder of parts that a run of any length fills, interrupted and resumed as often as it must be.
//!
//! `manifest.json` says what the run is (its inputs' digest, settings, models), `part-00000.parquet ...` hold the rows of so
//! many consecutive inputs each, `failures.csv` lists the inputs without one. A part is whole or absent, and carries a
//! [`Ledger`] of every input it answers for, embedded or not, with the file's size and time: **done is what a finished part
//! says**, and nothing else is believed. What a part holds depends on its inputs alone, so a run that was killed ends in the
//! same bytes as one that was not.
//!
//! Parts beyond those of the inputs hold later attempts at failed ones; where two ledgers name one input, the later part
//! holds. `partial-*` files keep what an orderly stop interrupted, and are no rows yet.

mod failures;
mod fill;
mod ledger;
mod manifest;
mod merge;
mod part;
mod plan;
mod shards;
mod verify;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub use failures::{Counts, FAILURES, failures, write_failures};
pub use fill::Filler;
pub use ledger::{Done, Entry, FailedInput, Ledger, Settled};
pub use manifest::{InputsDigest, Manifest, ModelDigest, PartShape, ShardOf};
pub use merge::{merge_into_dataset, merge_into_file};
pub use part::{PartWriter, read_ledger, read_part};
pub use plan::{Plan, TaskInputs};
pub use shards::Pieces;
pub use verify::{verify_dataset, verify_file};

use crate::files::{AtomicFile, FileError, display_path};
use crate::rows::{Dims, Format, Part};

/// The manifest's name.
pub const MANIFEST: &str = "manifest.json";

/// Held by the run that fills the folder.
const LOCK: &str = ".lock";

/// A dataset's folder.
#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    manifest: Manifest,
    kind: Format,
    /// Held as long as this run may write.
    _lock: Option<File>,
}

impl Dataset {
    /// Opens the folder for the run that `manifest` describes, making it if it is not there. What a killed run left
    /// half-written is removed.
    ///
    /// # Errors
    /// `Usage` if it holds another run's rows: the message has the differences. `Write` if another run fills it at the moment, or
    /// the folder cannot be written.
    pub fn open(folder: &Path, manifest: Manifest) -> Result<Self, FileError> {
        let kind = manifest.kind().map_err(|e| FileError::read(folder, e))?;
        fs::create_dir_all(folder).map_err(|e| FileError::write(folder, e))?;
        let lock = lock(folder)?;
        let path = folder.join(MANIFEST);
        if path.exists() {
            let there = Manifest::read(&path)?;
            let differences = there.differences(&manifest);
            if !differences.is_empty() {
                return Err(FileError::Usage(format!(
                    "{}: it was begun with other settings ({}); write to another folder, or run it as it was begun",
                    display_path(folder),
                    differences.join("; ")
                )));
            }
        } else if !parts_of(folder, "part-", kind)?.is_empty() {
            return Err(FileError::Usage(format!(
                "{}: it holds parts but no {MANIFEST}, so whose they are is unknown; write to another folder",
                display_path(folder)
            )));
        }
        remove_leftovers(folder);
        if !path.exists() {
            manifest.write(&path)?;
        }
        Ok(Self { folder: folder.to_path_buf(), manifest, kind, _lock: Some(lock) })
    }

    /// Opens a folder to read it.
    ///
    /// # Errors
    /// `Read` if it has no sound manifest.
    pub fn read(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join(MANIFEST);
        let manifest = Manifest::read(&path)?;
        let kind = manifest.kind().map_err(|e| FileError::read(&path, e))?;
        Ok(Self { folder: folder.to_path_buf(), manifest, kind, _lock: None })
    }

    /// Whether a folder is a dataset.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(MANIFEST).is_file()
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
    /// `Read` if the manifest names a part that is none.
    pub fn layout(&self) -> Result<(Vec<Part>, Dims), FileError> {
        self.manifest.layout().map_err(|e| FileError::read(&self.folder.join(MANIFEST), e))
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
        self.folder.join(format!("part-{number:05}{}", self.kind))
    }

    /// What an orderly stop left of part `number`.
    fn partial(&self, number: usize) -> PathBuf {
        self.folder.join(format!("partial-{number:05}{}", self.kind))
    }

    /// The numbers of the parts that are there, ascending.
    ///
    /// # Errors
    /// `Read` if the folder cannot be listed.
    pub fn parts(&self) -> Result<Vec<usize>, FileError> {
        parts_of(&self.folder, "part-", self.kind)
    }

    /// Those of them that hold later attempts.
    fn later_parts(&self) -> Result<Vec<usize>, FileError> {
        let base = self.base_parts();
        Ok(self.parts()?.into_iter().filter(|number| *number >= base).collect())
    }

    /// The numbers of the partial parts, ascending.
    fn partials(&self) -> Result<Vec<usize>, FileError> {
        parts_of(&self.folder, "partial-", self.kind)
    }
}

/// Takes the folder's lock, which the system gives back however the process ends.
fn lock(folder: &Path) -> Result<File, FileError> {
    let path = folder.join(LOCK);
    let file =
        File::options().create(true).append(true).open(&path).map_err(|e| FileError::write(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        // A task that is started twice comes too early, and not for nothing: its code is one of those that are tried again.
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
fn parts_of(folder: &Path, prefix: &str, kind: Format) -> Result<Vec<usize>, FileError> {
    let fail = |e: std::io::Error| FileError::read(folder, e.to_string());
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let digits = name.to_str().and_then(|n| n.strip_prefix(prefix)?.strip_suffix(kind.extension()));
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
            // Best effort: a stray hidden file does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}
