//! What can go wrong with files, by what the caller must do about it.
//!
//! The kind decides the exit code: a request that is refused is usage, a full disk is a writing failure, a file that cannot
//! be read is a wrong input. A message is complete (path, cause, remedy) and has no source, so `{}` and `{:#}` print the same
//! line.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::text::display_path;

/// A failure while writing or reading a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The request cannot be carried out as asked (unknown extension, existing file, missing folder). Nothing was written.
    #[error("{0}")]
    Usage(String),
    /// One row does not fit (a non-finite value, another shape). The output is as it was before the row. The message has no
    /// path; the caller adds the video's.
    #[error("{0}")]
    Row(String),
    /// The system refused to write: a full disk, a missing permission.
    #[error("{}: writing failed: {cause}{}", display_path(.path), hint(.cause))]
    Write {
        /// The file asked for (not the temporary one).
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The reader of standard output closed the pipe. This is no failure; the run ends.
    #[error("standard output was closed by its reader")]
    Closed,
    /// A file that cannot be read: missing, damaged, or not of the format that its extension says.
    #[error("{}: {reason}", display_path(.path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to try.
        reason: String,
    },
}

/// The classes of errors, for choosing an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Exit code 2.
    Usage,
    /// One row is bad; the run can go on.
    Row,
    /// Exit code 4.
    Write,
    /// The reader of the pipe closed it: exit code 0 without a message.
    Closed,
    /// Exit code 3.
    Read,
    /// The signal that stopped the run: exit code 128 and its number.
    Interrupted(i32),
}

impl FileError {
    /// The class of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Usage(_) => ErrorKind::Usage,
            Self::Row(_) => ErrorKind::Row,
            Self::Write { .. } => ErrorKind::Write,
            Self::Closed => ErrorKind::Closed,
            Self::Read { .. } => ErrorKind::Read,
        }
    }

    pub(crate) fn write(path: &Path, cause: io::Error) -> Self {
        Self::Write { path: path.to_path_buf(), cause }
    }

    pub(crate) fn read(path: &Path, reason: impl Into<String>) -> Self {
        Self::Read { path: path.to_path_buf(), reason: reason.into() }
    }
}

/// The remedy, for causes that have one.
fn hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space or write to another disk"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; write to a folder that is yours"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_writing_failure_with_a_remedy() {
        let error = FileError::write(Path::new("x.npy"), io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(error.kind(), ErrorKind::Write);
        let text = error.to_string();
        assert!(text.starts_with("x.npy: writing failed: ") && text.ends_with("another disk"), "{text}");
    }
}
