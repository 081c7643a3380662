//! What a part answers for: every input of it, embedded or failed, with the file as it was read.
//!
//! It travels in the part's own metadata, so the rows and what is said about them are one file, whole or absent.

use serde::{Deserialize, Serialize};

use crate::files::Stamp;
use crate::rows::{Failure, Row};

/// The metadata key of a part's ledger (JSON).
pub(super) const KEY: &str = "lift.ledger";

/// The inputs of one part, in the order of their indices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// All of them.
    pub entries: Vec<Entry>,
    /// Those that failed.
    pub failures: Vec<FailedInput>,
}

/// One input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(usize, Option<(u64, u64)>, usize)", from = "(usize, Option<(u64, u64)>, usize)")]
pub struct Entry {
    /// Its place among the inputs of the run.
    pub index: usize,
    /// The file as it was read; `None` if there was none.
    pub stamp: Option<Stamp>,
    /// Its rows: none if it failed, several if it was cut into windows.
    pub rows: usize,
}

impl From<Entry> for (usize, Option<(u64, u64)>, usize) {
    fn from(e: Entry) -> Self {
        (e.index, e.stamp.map(|s| (s.bytes, s.modified)), e.rows)
    }
}

impl From<(usize, Option<(u64, u64)>, usize)> for Entry {
    fn from((index, stamp, rows): (usize, Option<(u64, u64)>, usize)) -> Self {
        Self { index, stamp: stamp.map(|(bytes, modified)| Stamp { bytes, modified }), rows }
    }
}

/// One input with what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// What its ledger says.
    pub entry: Entry,
    /// Its rows, or why there are none.
    pub settled: Settled,
}

/// What became of an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// Its rows.
    Rows(Vec<Row>),
    /// Why it has none.
    Failed(FailedInput),
}

impl Done {
    pub(super) fn new(entry: Entry, rows: Vec<Row>, failure: Option<FailedInput>) -> Self {
        Self { entry, settled: failure.map_or(Settled::Rows(rows), Settled::Failed) }
    }
}

/// An input that failed; a line of `failures.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedInput {
    /// Which input, where and why.
    #[serde(flatten)]
    pub failure: Failure,
    /// How often it was tried.
    pub attempts: usize,
}
