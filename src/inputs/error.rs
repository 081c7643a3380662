//! What is wrong with the request for inputs.

use crate::files::{ErrorKind, display_text};

/// A request that cannot be carried out as asked.
#[derive(Debug, thiserror::Error)]
pub enum InputsError {
    /// No argument names a video; what was found instead.
    #[error("no video to work on{}", .0.iter().map(|n| format!("; {n}")).collect::<String>())]
    NoVideos(Vec<String>),
    /// Arguments that name nothing, for display.
    #[error(
        "{}: no such file or folder; check the spelling (a relative path starts at the working directory)", .0.join(", ")
    )]
    Missing(Vec<String>),
    /// Arguments that name folders or patterns without a video, what is said of each.
    #[error("{}; nothing was done: check the path, or leave it out", .0.join("; "))]
    Empty(Vec<String>),
    /// Two inputs have one id.
    #[error(
        "two inputs have the id '{}': {first} and {second}; name a folder that holds both (there each has an id of its own), \
         give them ids in a list (--list, columns path and id), or leave one out", display_text(.id)
    )]
    SameId {
        /// The id.
        id: String,
        /// The first file, for display.
        first: String,
        /// The second file, for display.
        second: String,
    },
    /// One clip is named twice.
    #[error(
        "{path} stands twice among the inputs{}; leave one out", range_text(*.start, *.end)
    )]
    Twice {
        /// The file, for display.
        path: String,
        /// Seconds.
        start: Option<f64>,
        /// Seconds.
        end: Option<f64>,
    },
    /// Two clips of one file have one id.
    #[error(
        "two clips of {path} have the id '{}'; give each an id of its own in the list (--list, column id)", display_text(.id)
    )]
    SameIdOfClips {
        /// The id.
        id: String,
        /// The file, for display.
        path: String,
    },
    /// A list that cannot be used, with the line that is wrong, if it is one.
    #[error("{list}{}: {reason}", .line.map(|l| format!(", line {l}")).unwrap_or_default())]
    List {
        /// The list, for display.
        list: String,
        /// The line, from 1.
        line: Option<u64>,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A column is to be kept, and no list is named that could have it.
    #[error(
        "--keep {}: no list with a header is named, and folders and files have no columns; name one with --list FILE",
        display_text(.0)
    )]
    NoColumns(String),
    /// A clip that ends before it starts.
    #[error("{path}: the clip ends at {end} s, before its start at {start} s")]
    EndBeforeStart {
        /// The file, for display.
        path: String,
        /// Seconds.
        start: f64,
        /// Seconds.
        end: f64,
    },
    /// Standard input was asked for twice.
    #[error("standard input (-) can be read once only, and it is named twice")]
    StdinTwice,
    /// The list of inputs could not be kept.
    #[error("the list of inputs cannot be kept in the temporary folder: {0}; free some space or set TMPDIR")]
    Spool(std::io::Error),
}

/// The range of a clip for a message, in brackets; nothing for a whole file.
fn range_text(start: Option<f64>, end: Option<f64>) -> String {
    match (start, end) {
        (None, None) => String::new(),
        (start, None) => format!(" (from {} s)", start.unwrap_or(0.0)),
        (start, Some(end)) => format!(" (from {} s to {end} s)", start.unwrap_or(0.0)),
    }
}

impl InputsError {
    /// The class of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::EndBeforeStart { .. } | Self::NoColumns(_) => ErrorKind::Usage,
            Self::Spool(_) => ErrorKind::Write,
            Self::NoVideos(_)
            | Self::Missing(_)
            | Self::Empty(_)
            | Self::SameId { .. }
            | Self::Twice { .. }
            | Self::SameIdOfClips { .. }
            | Self::List { .. }
            | Self::StdinTwice => ErrorKind::Read,
        }
    }
}
