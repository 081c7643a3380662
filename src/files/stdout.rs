//! Writes data to standard output and flushes it, so that a full disk is noticed and the reader of a pipe gets each row at
//! once. A reader that closed the pipe is [`FileError::Closed`], which is no failure.

use std::io::{self, Write};
use std::path::Path;

use crate::files::FileError;

/// Puts all of `bytes` on standard output.
///
/// # Errors
/// [`FileError::Closed`] if the reader closed the pipe, [`FileError::Write`] if the system refuses.
pub fn print(bytes: &[u8]) -> Result<(), FileError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(stdout_error)
}

/// The error of a write to standard output.
pub(crate) fn stdout_error(cause: io::Error) -> FileError {
    match cause.kind() {
        io::ErrorKind::BrokenPipe => FileError::Closed,
        _ => FileError::write(Path::new("standard output"), cause),
    }
}
