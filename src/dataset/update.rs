//! Updates a dataset to a list that has changed (`lift embed --update`).
//!
//! The next state is made in the folder `_update`, which is a dataset of the new list. What the dataset knows of its inputs is taken
//! over first: a part that stays as it is becomes a second name of its file, any other becomes a part, or a partial one if inputs of it
//! are still to be embedded. From there on it is filled as any dataset. So a run that is killed goes on where it was, and
//! the dataset itself does not change before the next state is complete (`commit.rs`).
//!
//! If the list changes again before that, the folder becomes `_earlier-0` and so on, and what it knows is taken over too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::dataset::changes::{Decisions, Take, decide};
use crate::dataset::commit::{EARLIER, commit, remove, step};
use crate::dataset::part::read_inputs;
use crate::dataset::shards::check_finished;
use crate::dataset::sources::{self, Sources};
use crate::dataset::{
    Change, Changes, Dataset, DatasetPlan, InputRecord, InputsDigest, Manifest, PartWriter, Rules, numbers_of,
};
use crate::files::{AtomicFile, FileError, display_path, hexadecimal};
use crate::inputs::Input;
use crate::rows::{MANIFEST, UPDATE};

/// An update of a dataset that is under way.
#[derive(Debug)]
pub struct Update {
    /// The dataset, which nobody else writes to.
    dataset: Dataset,
    /// Whether the next state is made in a folder of its own.
    apart: bool,
    decisions: Decisions,
    retry_failed: bool,
}

impl Update {
    /// Begins or goes on: compares the dataset in `folder` with `members`, the inputs that `now` describes, and takes over what stays.
    /// Returns the dataset that is to be filled: that of the next state, or the dataset itself if its inputs are the same.
    ///
    /// # Errors
    /// `Usage` if the dataset has other settings or models, with the differences. `Write` if another run writes to it, or the disk
    /// refuses. `Read` if a part is damaged.
    pub fn begin(
        folder: &Path,
        now: &Manifest,
        members: impl Iterator<Item = Input> + Clone,
        rules: Rules,
    ) -> Result<(Self, Dataset), FileError> {
        check_settings(folder, now)?;
        let dataset = Dataset::open_existing(folder)?;
        let mut sources = Sources::new();
        sources.add(&dataset, true)?;
        let place = folder.join(UPDATE);
        let mut earlier = Vec::new();
        for number in numbers_of(folder, EARLIER, "")? {
            let place = folder.join(format!("{EARLIER}{number}"));
            match opened(&place, dataset.manifest())? {
                Some(known) => earlier.push(known),
                None => remove(&place)?,
            }
        }
        let begun = match opened(&place, dataset.manifest())? {
            None if place.exists() => {
                // Without its manifest it would be taken for a valid update, so it is not removed where it is.
                remove(&set_aside(folder)?)?;
                None
            }
            begun => begun,
        };
        for known in earlier.iter().chain(&begun) {
            sources.add(known, false)?;
        }
        let list = (members.clone(), now);
        let decisions = decide(&mut sources, &dataset, list, rules, |_, _| Ok(()))?;
        let there = dataset.manifest();
        let next = Manifest {
            inputs: now.inputs.clone(),
            shard: now.shard,
            keep: now.keep.clone(),
            kept: digest(&decisions.kept),
            generation: there.generation + 1,
            ..there.clone()
        };
        let same = (&there.keep, &there.kept) == (&next.keep, &next.kept);
        if same && there.inputs.same(&next.inputs) && decisions.changes.touched == 0 {
            drop(begun);
            let itself = Dataset::read(folder)?;
            return Ok((Self { dataset, apart: false, decisions, retry_failed: rules.retry_failed }, itself));
        }
        if begun.as_ref().is_some_and(|begun| !is_of(begun, &next)) {
            drop((begun, dataset));
            set_aside(folder)?;
            // The files of the sources have other paths now.
            return Self::begin(folder, now, members, rules);
        }
        let work = match begun {
            Some(begun) => begun,
            None => Dataset::open(&place, next)?,
        };
        let all = members.chain(decisions.kept.iter().cloned());
        take_over(&work, &sources, &decisions, all)?;
        Ok((Self { dataset, apart: true, decisions, retry_failed: rules.retry_failed }, work))
    }

    /// How many inputs are what.
    pub fn changes(&self) -> Changes {
        self.decisions.changes
    }

    /// The inputs of the next state behind those of the list.
    pub fn kept(&self) -> &[Input] {
        &self.decisions.kept
    }

    /// Tells the plan of the dataset to fill what it cannot know.
    pub fn complete(&self, plan: &mut DatasetPlan) {
        plan.attempts.extend(&self.decisions.attempts);
    }

    /// Whether failed inputs of the dataset to fill are to be tried again: in a folder of its own, they are not taken over at all.
    pub fn retries_in_place(&self) -> bool {
        !self.apart && self.retry_failed
    }

    /// Makes the next state valid if it is complete; whether it is.
    ///
    /// # Errors
    /// `Write` if the disk refuses: the dataset is readable, and the next run goes on.
    pub fn finish(self) -> Result<bool, FileError> {
        let folder = self.dataset.folder();
        if !self.apart {
            return Ok(check_finished(&Dataset::read(folder)?).is_ok());
        }
        let complete = check_finished(&Dataset::read(&folder.join(UPDATE))?).is_ok();
        if complete {
            commit(folder)?;
        }
        Ok(complete)
    }
}

/// What has changed between the dataset in `folder` and the list; nothing is written. `each` is told every change.
///
/// # Errors
/// `Read` if a part is damaged; what `each` returns.
pub fn changes(
    folder: &Path,
    now: &Manifest,
    members: impl Iterator<Item = Input>,
    rules: Rules,
    each: impl FnMut(Change, &Input) -> Result<(), FileError>,
) -> Result<Changes, FileError> {
    check_settings(folder, now)?;
    let dataset = Dataset::read(folder)?;
    let mut sources = Sources::new();
    sources.add(&dataset, true)?;
    Ok(decide(&mut sources, &dataset, (members, now), rules, each)?.changes)
}

/// The inputs of a dataset that are in its list no more: they stand behind those of the list. None for a folder without a dataset.
///
/// # Errors
/// `Read` if the manifest or a part is damaged.
pub fn kept_inputs(folder: &Path) -> Result<Vec<Input>, FileError> {
    if Dataset::is_at(folder) { sources::kept(&Dataset::read(folder)?) } else { Ok(vec![]) }
}

/// Refuses a dataset of other settings or models.
fn check_settings(folder: &Path, now: &Manifest) -> Result<(), FileError> {
    let differences = Dataset::read(folder)?.manifest().other_differences(now);
    if differences.is_empty() {
        return Ok(());
    }
    let (folder, what) = (display_path(folder), differences.join("; "));
    Err(FileError::Usage(format!(
        "{folder}: it was begun with other settings ({what}); an update keeps the settings: write to another folder, or run it as it \
         was begun"
    )))
}

/// An update that was not completed; `None` if there is none that can be used.
fn opened(folder: &Path, there: &Manifest) -> Result<Option<Dataset>, FileError> {
    if !folder.join(MANIFEST).exists() {
        return Ok(None);
    }
    let dataset = Dataset::open_existing(folder)?;
    Ok(Some(dataset).filter(|dataset| dataset.manifest().other_differences(there).is_empty()))
}

/// Gives the update that was not completed the name of an earlier one, which is returned.
fn set_aside(folder: &Path) -> Result<PathBuf, FileError> {
    let number = numbers_of(folder, EARLIER, "")?.last().map_or(0, |last| last + 1);
    let aside = folder.join(format!("{EARLIER}{number}"));
    step()?;
    fs::rename(folder.join(UPDATE), &aside).map_err(|e| FileError::write(&aside, e))?;
    Ok(aside)
}

/// Whether an update that was begun makes the state `next`.
fn is_of(begun: &Dataset, next: &Manifest) -> bool {
    let manifest = begun.manifest();
    manifest.inputs.same(&next.inputs)
        && (manifest.shard, &manifest.keep, &manifest.kept, manifest.generation)
            == (next.shard, &next.keep, &next.kept, next.generation)
}

/// The digest of inputs that are kept.
fn digest(kept: &[Input]) -> Option<InputsDigest> {
    let mut digest = Sha256::new();
    for Input { id, path, start, end, columns, .. } in kept {
        digest.update(format!("{id:?} {path:?} {start:?} {end:?}"));
        if !columns.is_empty() {
            digest.update(format!(" {columns:?}"));
        }
        digest.update("\n");
    }
    let sha256 = hexadecimal(&digest.finalize());
    (!kept.is_empty()).then(|| InputsDigest { count: kept.len(), sha256, ..InputsDigest::default() })
}

/// Writes the parts of the next state as far as they are known. Parts that are there stay.
fn take_over(
    work: &Dataset,
    sources: &Sources,
    decisions: &Decisions,
    all: impl Iterator<Item = Input>,
) -> Result<(), FileError> {
    let size = work.manifest().shard_size.max(1);
    let mut all = all.zip(&decisions.takes).peekable();
    let mut number = 0;
    while all.peek().is_some() {
        let chunk: Vec<_> = all.by_ref().take(size).collect();
        let part = work.part(number);
        if !part.exists() && !work.partial(number).exists() {
            step()?;
            match unchanged(sources, number, &chunk) {
                Some(path) => link(path, &part)?,
                None => rewrite(work, sources, number, &chunk)?,
            }
        }
        number += 1;
    }
    Ok(())
}

/// The file of a part that stays as it is.
fn unchanged<'a>(sources: &'a Sources, number: usize, chunk: &[(Input, &Option<Take>)]) -> Option<&'a Path> {
    let file = chunk.first()?.1.as_ref()?.file;
    let source = &sources.files[file];
    let stays = |(input, take): &(Input, &Option<Take>)| {
        take.is_some_and(|take| take.file == file && take.index == input.index && take.exact)
    };
    let whole = source.part == Some(number) && source.entries == chunk.len();
    (whole && chunk.iter().all(stays)).then_some(&source.path)
}

/// Gives a file a second name, or copies it where the file system has no such names.
fn link(from: &Path, to: &Path) -> Result<(), FileError> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let mut copy = AtomicFile::create(to, true)?;
    let copied = fs::File::open(from).and_then(|mut file| std::io::copy(&mut file, &mut copy));
    copied.map_err(|e| FileError::write(to, e))?;
    copy.commit()
}

/// Writes the known inputs of a part: the part if it lacks none, else a partial one.
fn rewrite(
    work: &Dataset,
    sources: &Sources,
    number: usize,
    chunk: &[(Input, &Option<Take>)],
) -> Result<(), FileError> {
    let (parts, dims) = work.layout()?;
    let mut wanted: BTreeMap<usize, BTreeMap<usize, (&Input, &Take)>> = BTreeMap::new();
    for (input, take) in chunk {
        if let Some(take) = take {
            wanted.entry(take.file).or_default().insert(take.index, (input, take));
        }
    }
    let windows = work.manifest().has_windows();
    let mut taken = BTreeMap::new();
    for (file, mut wanted) in wanted {
        for record in read_inputs(&sources.files[file].path, &parts, dims)? {
            if let Some((input, take)) = wanted.remove(&record.entry.index) {
                taken.insert(input.index, placed(record, input, take, windows));
            }
        }
    }
    if taken.is_empty() {
        return Ok(());
    }
    let path = if taken.len() == chunk.len() { work.part(number) } else { work.partial(number) };
    let mut writer = PartWriter::create(work, &path)?;
    taken.into_values().try_for_each(|record| writer.input(record))?;
    writer.commit(&path)
}

/// A record as the next state has it.
fn placed(record: InputRecord, input: &Input, take: &Take, windows: bool) -> InputRecord {
    let mut record = record.at(input.index);
    (record.entry.stamp, record.entry.content) = (take.stamp, take.content);
    let failed = record.entry.rows == 0;
    record.each_clip(|clip| {
        clip.path.clone_from(&input.path);
        clip.columns.clone_from(&input.columns);
        if !windows || failed {
            (clip.start, clip.end) = (input.start, input.end);
        }
    });
    record
}

#[cfg(test)]
mod tests;
