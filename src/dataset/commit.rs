//! Makes a complete update of a dataset the dataset.
//!
//! 1. All parts of the next state are in the folder `_update`, with its manifest. The dataset is as it was.
//! 2. The manifest is renamed into the dataset. This is the one step at which the next state becomes valid: from here on, readers
//!    take the parts in `_update` ([`valid_update`]).
//! 3. Parts of the dataset that the next state does not have are removed, then the new parts are renamed into the dataset, in the
//!    order of their numbers, and at last the empty folder is removed. Whoever opens the dataset to write to it does first what is
//!    left of this.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::dataset::failures::OLD_FAILURES;
use crate::dataset::{FAILURES, Manifest, PARTIAL, manifest_path, numbers_of};
use crate::files::{FileError, sync_folder};
use crate::rows::{MANIFEST, UPDATE, valid_update};

/// How the names of updates begin that were not completed before the list changed again.
pub(super) const EARLIER: &str = "_earlier-";

/// Makes the complete update in `folder` valid; whether all of its parts are there is the caller's to know.
///
/// # Errors
/// `Write` if the disk refuses: the dataset is readable, and the next run goes on.
pub(super) fn commit(folder: &Path) -> Result<(), FileError> {
    let (from, to) = (folder.join(UPDATE), folder.join(MANIFEST));
    sync_folder(&from);
    step()?;
    fs::rename(from.join(MANIFEST), &to).map_err(|e| FileError::write(&to, e))?;
    sync_folder(folder);
    step()?;
    settle(folder)
}

/// Does what is left to do for an update that is valid.
///
/// # Errors
/// As [`commit`].
pub(super) fn settle(folder: &Path) -> Result<(), FileError> {
    let Some(update) = valid_update(folder) else { return Ok(()) };
    let path = manifest_path(folder);
    if path.exists() {
        let manifest = Manifest::read(&path)?;
        let kind = manifest.kind().map_err(|e| FileError::read(&path, e))?;
        let extension = kind.extension();
        let newer = numbers_of(&update, "part-", extension)?;
        let base = manifest.own_inputs().div_ceil(manifest.shard_size.max(1));
        if !newer.is_empty() || base == 0 {
            for number in numbers_of(folder, "part-", extension)?.into_iter().filter(|n| *n >= base) {
                remove(&folder.join(format!("part-{number:05}{kind}")))?;
            }
            for prefix in PARTIAL {
                for number in numbers_of(folder, prefix, extension)? {
                    remove(&folder.join(format!("{prefix}{number:05}{kind}")))?;
                }
            }
            for number in numbers_of(folder, "_journal-", "")? {
                remove(&folder.join(format!("_journal-{number:05}")))?;
            }
            for number in numbers_of(folder, EARLIER, "")? {
                remove(&folder.join(format!("{EARLIER}{number}")))?;
            }
        }
        for number in newer {
            let name = format!("part-{number:05}{kind}");
            rename(&update.join(&name), &folder.join(&name))?;
        }
        if update.join(FAILURES).exists() {
            remove(&folder.join(OLD_FAILURES))?;
            rename(&update.join(FAILURES), &folder.join(FAILURES))?;
        }
        sync_folder(folder);
    }
    remove(&update)
}

/// Gives a file its place. Two names of one file stay both when one is renamed to the other.
fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    step()?;
    fs::rename(from, to).map_err(|e| FileError::write(to, e))?;
    step()?;
    if from.exists() { remove(from) } else { Ok(()) }
}

/// Removes a file or a folder, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), FileError> {
    step()?;
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(FileError::write(path, e)),
        _ => Ok(()),
    }
}

/// A step of an update, after which tests end the run as if it were killed.
#[cfg(not(test))]
pub(super) fn step() -> Result<(), FileError> {
    Ok(())
}

#[cfg(test)]
pub(super) use testing::step;

#[cfg(test)]
pub(super) mod testing {
    use std::cell::Cell;

    use crate::files::FileError;

    thread_local!(static LEFT: Cell<usize> = const { Cell::new(usize::MAX) });

    /// Ends the runs of this thread after so many steps.
    pub(in crate::dataset) fn end_after(steps: usize) {
        LEFT.set(steps);
    }

    pub(in crate::dataset) fn step() -> Result<(), FileError> {
        match LEFT.get().checked_sub(1) {
            Some(left) => {
                LEFT.set(if left == usize::MAX - 1 { usize::MAX } else { left });
                Ok(())
            }
            None => Err(FileError::Usage("killed".into())),
        }
    }
}
