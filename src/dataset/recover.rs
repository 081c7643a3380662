//! Makes parts of the journals that a killed run left.

use std::collections::BTreeMap;
use std::fs;

use crate::dataset::journal::read_journal;
use crate::dataset::part::read_inputs;
use crate::dataset::{Dataset, PartWriter};
use crate::files::FileError;

/// Puts the results of every journal into the part that it is of: the complete one if it was being rewritten, else the partial one.
/// A part of later attempts may have any number of inputs, so it becomes complete. Then removes the journal.
///
/// # Errors
/// `Read` if a part is damaged, `Write` if the disk refuses.
pub(super) fn journals(dataset: &Dataset) -> Result<(), FileError> {
    for number in dataset.journals()? {
        let journal = dataset.journal(number);
        let layout = dataset.layout()?;
        let records = read_journal(&journal, &layout.0, layout.1)?;
        if !records.is_empty() {
            let (part, partial) = (dataset.part(number), dataset.partial(number));
            let whole = part.exists() || number >= dataset.base_parts();
            let target = if whole { &part } else { &partial };
            let mut all = BTreeMap::new();
            if target.exists() {
                let there = read_inputs(target, &layout.0, layout.1)?;
                all.extend(there.into_iter().map(|done| (done.entry.index, done)));
            }
            all.extend(records.into_iter().map(|done| (done.entry.index, done)));
            let mut writer = PartWriter::create(dataset, target)?;
            all.into_values().try_for_each(|done| writer.input(done))?;
            writer.commit(target)?;
        }
        fs::remove_file(&journal).map_err(|e| FileError::write(&journal, e))?;
    }
    Ok(())
}
