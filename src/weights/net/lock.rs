//! Locks, so that one process at a time downloads a file; the others wait and then find the file.
//!
//! These are the system's advisory locks (flock), which end with the process. The lock's file is not removed, because a third
//! process could then lock a new file while the second still waits for the old one. Where a file system has no locks, or the
//! folder cannot be written, nobody waits: the rename at the end still makes the file whole or absent.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use super::{NetError, sleep};
use crate::weights::progress::listener;

/// A lock, held until dropped.
#[derive(Debug)]
pub(in crate::weights) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock at `path`, saying so; `what` is what it guards.
    ///
    /// # Errors
    /// If its file cannot be made, or a signal comes.
    pub(in crate::weights) fn acquire(path: &Path, what: &str) -> Result<Self, NetError> {
        const STEP: Duration = Duration::from_millis(100);
        let file = open(path)?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        listener().line(&format!("another process is fetching {what}; waiting for it"));
                        told = true;
                    }
                    sleep(STEP)?;
                }
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => {
                    tracing::warn!("{}: no lock: {error}", path.display());
                    return Ok(Self { _file: file });
                }
            }
        }
    }

    /// The lock if it is free, and `None` if another process has it.
    ///
    /// # Errors
    /// If its file cannot be made.
    pub(in crate::weights) fn if_free(path: &Path) -> Result<Option<Self>, NetError> {
        let file = open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            _ => Ok(Some(Self { _file: file })),
        }
    }
}

fn open(path: &Path) -> Result<File, NetError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| NetError::write(folder, e))?;
    }
    File::options().create(true).truncate(false).write(true).open(path).map_err(|e| NetError::write(path, e))
}
