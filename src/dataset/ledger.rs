//! The ledger of a part: all of its inputs, embedded or failed, with the size and time of each file when it was read.
//!
//! It is in the metadata of the part file, so a part and its ledger are one file.

use serde::{Deserialize, Serialize};

use crate::files::Stamp;
use crate::rows::{Failure, Row};

/// The metadata key of a part's ledger (JSON).
pub(super) const KEY: &str = "lift.ledger";

/// The inputs of one part, in the order of their indices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// All of them.
    pub entries: Vec<LedgerEntry>,
    /// Those that failed.
    pub failures: Vec<FailedInput>,
}

/// One input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(usize, Option<(u64, u64)>, usize)", from = "(usize, Option<(u64, u64)>, usize)")]
pub struct LedgerEntry {
    /// Its place among the inputs of the run.
    pub index: usize,
    /// The file as it was read; `None` if there was none.
    pub stamp: Option<Stamp>,
    /// Its rows: none if it failed, several if it was cut into windows.
    pub rows: usize,
}

impl From<LedgerEntry> for (usize, Option<(u64, u64)>, usize) {
    fn from(e: LedgerEntry) -> Self {
        (e.index, e.stamp.map(|s| (s.bytes, s.modified)), e.rows)
    }
}

impl From<(usize, Option<(u64, u64)>, usize)> for LedgerEntry {
    fn from((index, stamp, rows): (usize, Option<(u64, u64)>, usize)) -> Self {
        Self { index, stamp: stamp.map(|(bytes, modified)| Stamp { bytes, modified }), rows }
    }
}

/// One input and its result.
#[derive(Debug, Clone, PartialEq)]
pub struct InputRecord {
    /// Its entry in the ledger.
    pub entry: LedgerEntry,
    /// Its rows, or why there are none.
    pub result: InputResult,
}

/// The result of an input.
#[derive(Debug, Clone, PartialEq)]
pub enum InputResult {
    /// Its rows.
    Rows(Vec<Row>),
    /// Why it has none.
    Failed(FailedInput),
}

impl InputRecord {
    pub(super) fn new(entry: LedgerEntry, rows: Vec<Row>, failure: Option<FailedInput>) -> Self {
        Self { entry, result: failure.map_or(InputResult::Rows(rows), InputResult::Failed) }
    }
}

/// An input that failed; a line of `_failures.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedInput {
    /// Which input, where and why.
    #[serde(flatten)]
    pub failure: Failure,
    /// How often it was tried.
    pub attempts: usize,
}
