//! What has changed between a dataset and a list of inputs, and what is done about each input.

use std::collections::HashMap;

use crate::dataset::sources::{Known, Sources, columns_digest, path_digest};
use crate::dataset::{Dataset, Manifest};
use crate::files::{ContentDigest, FileError, Stamp};
use crate::inputs::Input;

/// How an update treats inputs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Drop the inputs that are gone.
    pub prune: bool,
    /// Compare the contents of files whose size, time or path differ.
    pub by_content: bool,
    /// Embed the inputs again that failed.
    pub retry_failed: bool,
}

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    New,
    /// Its file, its path or its range changed.
    Changed,
    /// It is in the list no more.
    Gone,
}

/// How many inputs are what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Inputs that were not there before.
    pub new: usize,
    /// Inputs whose file, path or range changed.
    pub changed: usize,
    /// Inputs that are in the list no more.
    pub gone: usize,
    /// Inputs that failed and are tried again.
    pub again: usize,
    /// Inputs that are as they were.
    pub unchanged: usize,
    /// Of those, the ones whose file is not there now; their rows are kept.
    pub absent: usize,
    /// Of those, the ones whose content alone is as it was.
    pub touched: usize,
    /// Of those, the ones that have other values in the kept columns of the list, or other columns.
    pub other_columns: usize,
}

/// Where the result of an input is that is taken over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Take {
    /// Which file of the sources has it, and its index there.
    pub(super) file: usize,
    pub(super) index: usize,
    /// What its ledger says now.
    pub(super) stamp: Option<Stamp>,
    pub(super) content: Option<ContentDigest>,
    /// Whether it is written as it stands there, but for the index.
    pub(super) exact: bool,
}

/// What is done about the inputs of the next state.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    pub(super) changes: Changes,
    /// Of each input of the list, then of each one that is kept, what is taken over; `None` if it is embedded.
    pub(super) takes: Vec<Option<Take>>,
    /// The inputs that are gone and kept, behind the list.
    pub(super) kept: Vec<Input>,
    /// How often inputs that are tried again were tried before, by index.
    pub(super) attempts: HashMap<usize, usize>,
    /// The columns of the list that are kept.
    keep: Vec<String>,
}

/// Compares what is known with the list `members` of the run `now`; `each` is told every change.
///
/// # Errors
/// `Read` if a part is damaged; what `each` returns.
pub(super) fn decide(
    sources: &mut Sources,
    dataset: &Dataset,
    (members, now): (impl Iterator<Item = Input>, &Manifest),
    rules: Rules,
    mut each: impl FnMut(Change, &Input) -> Result<(), FileError>,
) -> Result<Decisions, FileError> {
    let mut decisions = Decisions { keep: now.keep.clone(), ..Decisions::default() };
    for input in members {
        decisions.add(sources, &input, rules, &mut each)?;
    }
    let gone = sources.gone(dataset)?;
    decisions.changes.gone = gone.len();
    for (input, index) in gone.into_iter().zip(now.inputs.count..) {
        let mut input = Input { index, ..input };
        input.columns.retain(|name, _| now.keep.contains(name));
        each(Change::Gone, &input)?;
        if !rules.prune {
            // It is treated as if the list had it, and not counted twice.
            let counted = decisions.changes;
            decisions.add(sources, &input, rules, &mut |_, _| Ok(()))?;
            decisions.changes = counted;
            decisions.kept.push(input);
        }
    }
    Ok(decisions)
}

impl Decisions {
    fn add(
        &mut self,
        sources: &mut Sources,
        input: &Input,
        rules: Rules,
        each: &mut impl FnMut(Change, &Input) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let stamp = Stamp::of(&input.path);
        let known = sources.listed(&input.id);
        let columns = columns_digest(&self.keep, &input.columns);
        let take =
            known.as_ref().and_then(|known| take(sources, known, (input, columns), stamp, rules.by_content));
        let changes = &mut self.changes;
        match (&known, take) {
            // What only an update that was not completed knows is new to the dataset.
            (known, _) if known.as_ref().is_none_or(|known| !known.current) => {
                changes.new += 1;
                each(Change::New, input)?;
            }
            (_, None) => {
                changes.changed += 1;
                each(Change::Changed, input)?;
            }
            (Some(known), Some(_)) if known.entry.rows == 0 && rules.retry_failed => changes.again += 1,
            (Some(known), Some(take)) => {
                changes.unchanged += 1;
                changes.absent += usize::from(stamp.is_none() && take.stamp.is_some());
                changes.touched += usize::from(take.stamp != known.entry.stamp);
                changes.other_columns += usize::from(known.columns != columns);
            }
            (None, Some(_)) => {}
        }
        let again = known.filter(|known| known.entry.rows == 0 && rules.retry_failed);
        if let (Some(known), Some(_)) = (again.as_ref(), take) {
            self.attempts.insert(input.index, known.tried);
        }
        self.takes.push(take.filter(|_| again.is_none()));
        Ok(())
    }
}

/// What is taken over of a known input; `None` if it has to be embedded again.
fn take(
    sources: &Sources,
    known: &Known,
    (input, columns): (&Input, u64),
    stamp: Option<Stamp>,
    by_content: bool,
) -> Option<Take> {
    let entry = known.entry;
    let taken = Take {
        file: known.file,
        index: entry.index,
        stamp: entry.stamp,
        content: entry.content,
        exact: false,
    };
    // A file that is gone tells nothing new: a disk may be away, or the videos removed after their run.
    let absent = stamp.is_none() && entry.stamp.is_some();
    if absent && known.range.is_none() {
        return Some(taken);
    }
    let range =
        known.range.filter(|range| same_time(range.0, input.start) && same_time(range.1, input.end))?;
    if absent || (entry.stamp == stamp && sources.is_at(known, &input.path)) {
        let exact = known.path == path_digest(&input.path)
            && range == (input.start, input.end)
            && known.columns == columns;
        return Some(Take { exact, ..taken });
    }
    let (now, content) = stamp.zip(entry.content).filter(|_| by_content)?;
    let same = now.bytes == entry.stamp?.bytes && ContentDigest::of(&input.path, now) == Some(content);
    same.then_some(Take { stamp: Some(now), ..taken })
}

/// Whether two times are one: some parts keep them as decimal text, which may lose the last bit.
fn same_time(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= 4.0 * f64::EPSILON * one.abs().max(other.abs()),
        (one, other) => one == other,
    }
}
