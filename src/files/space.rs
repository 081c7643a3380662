//! Foresees a full disk, where the size of an output is known before the work.

use std::io;
use std::path::Path;

use crate::files::{FileError, size_text};

/// The bytes that this process may still write into a folder; `None` where the system does not say.
#[cfg(unix)]
pub fn free_space(folder: &Path) -> Option<u64> {
    // A name without a folder lies in the working directory.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let disk = rustix::fs::statvfs(folder).ok()?;
    // Some virtual file systems count no blocks at all.
    (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The bytes that this process may still write into a folder; `None` where the system does not say.
#[cfg(not(unix))]
pub fn free_space(_: &Path) -> Option<u64> {
    None
}

/// Refuses an output of `needed` bytes for which its folder has too few.
///
/// # Errors
/// `Write`, with both numbers.
pub(crate) fn check_space(path: &Path, needed: u64) -> Result<(), FileError> {
    match free_space(path.parent().unwrap_or(path)) {
        Some(free) if free < needed => {
            let (needed, free) = (size_text(needed), size_text(free));
            let cause = format!("it needs {needed}, and the disk has {free} free");
            Err(FileError::write(path, io::Error::new(io::ErrorKind::StorageFull, cause)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_cannot_fit_is_refused_with_both_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        assert!(check_space(&path, 0).is_ok());
        if free_space(dir.path()).is_some() {
            let error = check_space(&path, u64::MAX).unwrap_err().to_string();
            assert!(
                error.contains("it needs 18446744.1 TB, and the disk has") && error.contains("free some"),
                "{error}"
            );
        }
        assert!(free_space(&dir.path().join("gone")).is_none());
    }
}
