//! What the program's exit code says. One enum; `--help` prints its table.

use crate::files::{ErrorKind, FileError};
use crate::inputs::InputsError;
use crate::weights::WeightsError;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Every input gave what was asked for.
    Success,
    /// The run finished, but some inputs failed; the report names them.
    SomeFailed,
    /// The command line cannot be carried out as it stands.
    Usage,
    /// A model, list or other input that the whole run needs is missing or wrong.
    Input,
    /// An output could not be written.
    Write,
    /// Stopped by SIGINT (Ctrl-C).
    Interrupted,
    /// Stopped by SIGTERM.
    Terminated,
    /// The process could not go on: no memory, or a bug.
    OutOfMemory,
}

impl Exit {
    /// The table under every `--help`.
    pub const HELP: &str = "Exit codes:\n  0    all good\n  1    finished, but some inputs failed\n  2    wrong usage\n  \
        3    a model or an input that the run needs is missing or wrong\n  4    writing failed (a full disk, for example)\n  \
        130  interrupted (Ctrl-C)\n  134  out of memory, or a bug\n  143  terminated";

    /// The number the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::SomeFailed => 1,
            Self::Usage => 2,
            Self::Input => 3,
            Self::Write => 4,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            // As a shell tells SIGABRT.
            Self::OutOfMemory => 134,
        }
    }
}

/// An error that ends the run, with the exit code it asks for.
#[derive(Debug)]
pub struct Fatal {
    /// The code.
    pub exit: Exit,
    /// What to print; nothing where the cause is no error of anyone's (a closed pipe).
    pub error: Option<anyhow::Error>,
}

impl Fatal {
    /// A command line that cannot be carried out.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Usage, error: Some(error.into()) }
    }

    /// The same end of the run, with `words` in front of the message.
    pub fn context(self, words: &'static str) -> Self {
        Self { error: self.error.map(|error| error.context(words)), ..self }
    }

    /// Something the run needs is missing or wrong.
    pub fn input(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Input, error: Some(error.into()) }
    }

    /// An error of the class given.
    fn of(kind: ErrorKind, error: impl Into<anyhow::Error>) -> Self {
        let exit = match kind {
            ErrorKind::Usage => Exit::Usage,
            // Whoever reads our output may stop early, as `head` does: that is no failure.
            ErrorKind::Closed => return Self { exit: Exit::Success, error: None },
            ErrorKind::Row | ErrorKind::Read => Exit::Input,
            ErrorKind::Write => Exit::Write,
            ErrorKind::Interrupted(libc::SIGTERM) => Exit::Terminated,
            ErrorKind::Interrupted(_) => Exit::Interrupted,
        };
        Self { exit, error: Some(error.into()) }
    }
}

impl From<FileError> for Fatal {
    fn from(error: FileError) -> Self {
        Self::of(error.kind(), error)
    }
}

impl From<InputsError> for Fatal {
    fn from(error: InputsError) -> Self {
        Self::of(error.kind(), error)
    }
}

impl From<WeightsError> for Fatal {
    fn from(error: WeightsError) -> Self {
        Self::of(error.kind(), error)
    }
}
