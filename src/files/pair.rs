//! Names a data file and its companion together.

use std::fs;
use std::path::PathBuf;

use tempfile::TempPath;

use crate::files::atomic::{AtomicFile, appeared, kept_name, new_temp};
use crate::files::error::FileError;

/// Gives a data file and its companion their names, so that a data file always has **its own** companion.
///
/// Both are synced first, so that only renames are left. Old files are moved away before, because an old companion beside new
/// data (or the reverse) would give rows the wrong ids without an error. The companion is renamed first and the data last: a
/// process that waits for the data file finds its companion. If a step fails, the old pair is restored. If the machine stops
/// between two renames, the data file is missing, which every reader notices.
///
/// # Errors
/// As [`AtomicFile::commit`].
pub(crate) fn commit_pair(companion: AtomicFile, data: AtomicFile) -> Result<(), FileError> {
    companion.sync()?;
    data.sync()?;
    if data.collides() || companion.collides() {
        // The companion is kept as well: without it the rows of the data have no names.
        let target = data.target.clone();
        let (first, second) = (kept_name(companion.temp)?, kept_name(data.temp)?);
        return Err(appeared(&target, &format!("{second} with its companion {first}")));
    }
    let old_data = SetAside::take(&data)?;
    let old_companion = match SetAside::take(&companion) {
        Ok(aside) => aside,
        Err(e) => {
            old_data.restore();
            return Err(e);
        }
    };
    let companion_place = companion.place.clone();
    let named = companion.rename().and_then(|()| {
        data.rename().inspect_err(|_| {
            // Best effort: the first error is the one to report.
            let _ = fs::remove_file(&companion_place);
        })
    });
    if named.is_err() {
        old_companion.restore();
        old_data.restore();
    }
    named
}

/// An old file under a temporary name: removed when dropped, or put back.
struct SetAside {
    old: Option<TempPath>,
    place: PathBuf,
}

impl SetAside {
    fn take(file: &AtomicFile) -> Result<Self, FileError> {
        let place = file.place.clone();
        if fs::symlink_metadata(&place).is_err() {
            return Ok(Self { old: None, place });
        }
        let fail = |e| FileError::write(&file.target, e);
        let old = new_temp(file.folder()).map_err(fail)?.into_temp_path();
        fs::rename(&place, &old).map_err(fail)?;
        Ok(Self { old: Some(old), place })
    }

    fn restore(self) {
        if let Some(old) = self.old
            && let Err(e) = old.persist(&self.place)
        {
            // The old data stay in a hidden file rather than being lost.
            let _ = e.path.keep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::ErrorKind;
    use crate::files::atomic::tests::{file_with, names};

    #[test]
    fn a_pair_replaces_a_pair() {
        let dir = tempfile::tempdir().unwrap();
        let (data, companion) = (dir.path().join("d"), dir.path().join("d.rows.csv"));
        for text in ["one", "two"] {
            commit_pair(file_with(&companion, text, true), file_with(&data, text, true)).unwrap();
            assert_eq!(fs::read_to_string(&data).unwrap(), text);
            assert_eq!(fs::read_to_string(&companion).unwrap(), text);
        }
        assert_eq!(names(dir.path()), ["d", "d.rows.csv"]);
    }

    #[test]
    fn a_pair_that_cannot_be_completed_puts_the_old_one_back() {
        let dir = tempfile::tempdir().unwrap();
        let (data, companion) = (dir.path().join("d"), dir.path().join("d.rows.csv"));
        fs::write(&data, "old").unwrap();
        fs::write(&companion, "old").unwrap();
        let (new_companion, new_data) = (file_with(&companion, "new", true), file_with(&data, "new", true));
        // The temporary data file vanishes, so its rename fails after the companion's went through.
        fs::remove_file(new_data.temp.path()).unwrap();
        let error = commit_pair(new_companion, new_data).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Write);
        assert_eq!(names(dir.path()), ["d", "d.rows.csv"]);
        assert_eq!(fs::read_to_string(&data).unwrap(), "old");
        assert_eq!(fs::read_to_string(&companion).unwrap(), "old");
    }
}
