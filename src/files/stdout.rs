//! Standard output, where data goes: written whole and flushed, so that a full disk is noticed and a pipe's reader has each
//! piece when it is done. A reader that left is [`FileError::Closed`], no failure.

use std::io::{self, Write};
use std::path::Path;

use crate::files::FileError;

/// Puts all of `bytes` on standard output.
///
/// # Errors
/// [`FileError::Closed`] if nobody listens any more, [`FileError::Write`] if the system refuses.
pub fn print(bytes: &[u8]) -> Result<(), FileError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(stdout_error)
}

/// What kept standard output from being written.
pub(crate) fn stdout_error(cause: io::Error) -> FileError {
    match cause.kind() {
        io::ErrorKind::BrokenPipe => FileError::Closed,
        _ => FileError::write(Path::new("standard output"), cause),
    }
}
