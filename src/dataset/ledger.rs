//! The ledger of a part: all of its inputs, embedded or failed, with the size and time of each file when it was read.
//!
//! It is in the metadata of the part file, so a part and its ledger are one file.

use serde::{Deserialize, Serialize};

use crate::files::{ContentDigest, Stamp};
use crate::rows::{ClipMeta, Failure, Row};

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
#[serde(into = "EntryText", try_from = "EntryText")]
pub struct LedgerEntry {
    /// Its place among the inputs of the run.
    pub index: usize,
    /// The file as it was read; `None` if there was none.
    pub stamp: Option<Stamp>,
    /// Its rows: none if it failed, several if it was cut into windows.
    pub rows: usize,
    /// What was in the file, where a run with `--by-content` read it.
    pub content: Option<ContentDigest>,
}

/// An entry as the ledger writes it: a list of index, bytes and time of change, rows, and the content where it is known.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum EntryText {
    Short(usize, Option<(u64, u64)>, usize),
    WithContent(usize, Option<(u64, u64)>, usize, String),
}

impl From<LedgerEntry> for EntryText {
    fn from(LedgerEntry { index, stamp, rows, content }: LedgerEntry) -> Self {
        let stamp = stamp.map(|s| (s.bytes, s.modified));
        match content {
            None => Self::Short(index, stamp, rows),
            Some(content) => Self::WithContent(index, stamp, rows, content.to_string()),
        }
    }
}

impl TryFrom<EntryText> for LedgerEntry {
    type Error = String;

    fn try_from(text: EntryText) -> Result<Self, String> {
        let (index, stamp, rows, content) = match text {
            EntryText::Short(index, stamp, rows) => (index, stamp, rows, None),
            EntryText::WithContent(index, stamp, rows, content) => {
                (index, stamp, rows, Some(content.parse()?))
            }
        };
        let stamp = stamp.map(|(bytes, modified)| Stamp { bytes, modified });
        Ok(Self { index, stamp, rows, content })
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
    Failed(Box<FailedInput>),
}

impl InputRecord {
    pub(super) fn new(entry: LedgerEntry, rows: Vec<Row>, failure: Option<FailedInput>) -> Self {
        Self {
            entry,
            result: failure.map_or(InputResult::Rows(rows), |failure| InputResult::Failed(Box::new(failure))),
        }
    }

    /// What is said of its clip, of the first one of several windows.
    pub(super) fn clip(&self) -> Option<&ClipMeta> {
        match &self.result {
            InputResult::Rows(rows) => rows.first().map(|row| &row.clip),
            InputResult::Failed(failed) => Some(&failed.failure.clip),
        }
    }

    /// The record with another place among the inputs.
    pub(super) fn at(mut self, index: usize) -> Self {
        self.each_clip(|clip| clip.index = index);
        self.entry.index = index;
        self
    }

    /// Changes what is said of every clip of it.
    pub(super) fn each_clip(&mut self, mut change: impl FnMut(&mut ClipMeta)) {
        match &mut self.result {
            InputResult::Rows(rows) => rows.iter_mut().for_each(|row| change(&mut row.clip)),
            InputResult::Failed(failed) => change(&mut failed.failure.clip),
        }
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
