//! Joins files of rows into one, in the order in which they are named. Each file is read once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::files::{FileError, display_path, display_text};
use crate::rows::{
    ClipMeta, CompanionRow, Destination, Dims, Failure, Format, Output, Part, Prepared, Provenance, Row,
    Status, Table, Wanted, Written, kept_columns, read, read_companion,
};

/// The parts of a file and their sizes.
type Parts = (Vec<Part>, Dims);

/// Writes the rows of all `files` to `destination`; what their companions say of the rows and of failed inputs is kept. With
/// `unchecked`, files are joined that were made otherwise or do not say what made them; the output says so.
///
/// # Errors
/// `Read` if a file cannot be read, has other parts or sizes than the first one, was made otherwise, or has an id of a file before
/// it; `Usage` and `Write` of the output, which then is not there.
pub fn join(
    files: &[PathBuf],
    destination: &Destination,
    overwrite: bool,
    unchecked: bool,
) -> Result<Written, FileError> {
    let Some(first) = files.first() else {
        return Err(FileError::Usage("nothing to join: name files of rows".into()));
    };
    let made = joined_provenance(files, unchecked)?;
    let mut table = read(first, Wanted::default())?;
    let mut layout = layout(&table)?;
    let (key_frames, kept) = key_frames_and_kept_columns(files)?;
    layout.1.key_frames = key_frames;
    let prepared = Prepared::new(destination, &layout.0, overwrite)?.keeping(&kept);
    let mut output = prepared.start(layout.1)?;
    output.made_by(&Provenance { parts: layout.0.iter().map(ToString::to_string).collect(), ..made })?;
    let mut ids = HashMap::new();
    let mut index = 0;
    for (at, path) in files.iter().enumerate() {
        if at > 0 {
            table = read(path, Wanted::default())?;
            check_layout(first, &layout, &table)?;
        }
        for line in lines(path, &table)? {
            if let Some(before) = ids.insert(line.clip.id.clone(), at) {
                let (id, other) = (display_text(&line.clip.id), display_path(&files[before]));
                let reason = format!("its id '{id}' is in {other} too; leave one out");
                return Err(FileError::read(path, reason));
            }
            push(&mut output, index, line, &table, &layout)?;
            index += 1;
        }
    }
    output.finish()
}

/// What made the rows of the joined file: what made those of all files, which must be the same. Unless `unchecked`: then the settings
/// and the models that all have in common, and the differences.
fn joined_provenance(files: &[PathBuf], unchecked: bool) -> Result<Provenance, FileError> {
    const REMEDY: &str = "join files that were made alike, or pass --unchecked to join them all the same";
    let mut joined: Option<(&Path, Provenance)> = None;
    let mut found = Vec::new();
    // Of rows whose making is unknown, no setting is known to be common.
    let mut unknown = false;
    for path in files {
        let shown = display_path(path);
        if !path.is_file() {
            // The reader says what is wrong with it.
            read(path, Wanted::default())?;
        }
        let Some(made) = Provenance::of(path)? else {
            let reason = "it does not say what made it (it is of another program, or of an older lift)";
            if !unchecked {
                return Err(FileError::read(path, format!("{reason}; {REMEDY}")));
            }
            found.push(format!("{shown} does not say what made it"));
            unknown = true;
            continue;
        };
        if !made.unchecked.is_empty() && !unchecked {
            let reason = format!("it was joined with --unchecked ({})", made.unchecked.join("; "));
            return Err(FileError::read(path, format!("{reason}; {REMEDY}")));
        }
        found.extend(made.unchecked.iter().cloned());
        let Some((first, all)) = &mut joined else {
            joined = Some((path, made));
            continue;
        };
        let differences =
            all.differences_and_version(&Provenance { unchecked: all.unchecked.clone(), ..made.clone() });
        if differences.is_empty() {
            continue;
        }
        let first = display_path(first);
        if !unchecked {
            let reason = format!("it was made otherwise than {first} ({})", differences.join("; "));
            return Err(FileError::read(path, format!("{reason}; {REMEDY}")));
        }
        found.push(format!("{shown} beside {first}: {}", differences.join("; ")));
        all.settings.retain(|name, value| made.settings.get(name) == Some(value));
        all.models
            .retain(|name, model| made.models.get(name).is_some_and(|other| other.sha256 == model.sha256));
    }
    let silent = || Provenance::new(&[], BTreeMap::new(), BTreeMap::new());
    let mut made = joined.map_or_else(silent, |(_, made)| made);
    if unknown {
        (made.settings, made.models) = (BTreeMap::new(), BTreeMap::new());
    }
    found.dedup();
    Ok(Provenance { unchecked: found, ..made })
}

/// Whether the companion of any file tells how many different key frames a row is made of, and the names of the kept columns of all
/// companions.
fn key_frames_and_kept_columns(files: &[PathBuf]) -> Result<(bool, Vec<String>), FileError> {
    let (mut key_frames, mut kept) = (false, BTreeSet::new());
    for path in files {
        let rows = read_companion(path)?.unwrap_or_default();
        key_frames |= rows.iter().any(|row| row.clip.key_frames.is_some());
        kept.extend(kept_columns(rows.iter().map(|row| &row.clip)));
    }
    Ok((key_frames, kept.into_iter().collect()))
}

/// The parts of a file and their sizes, as its arrays have them; the lone array of an `.npy` is told by its shape.
fn layout(table: &Table) -> Result<Parts, FileError> {
    let bad = |reason| FileError::read(&table.path, reason);
    let has_no_names = Format::of(&table.path).is_some_and(|format| format.0.holds_one_part());
    let mut dims = Dims::default();
    let mut parts = Vec::new();
    for array in &table.arrays {
        let part = match (array.name.parse(), &array.shape[..]) {
            (Ok(part), _) => part,
            (Err(_), [_, _]) if has_no_names => Part::Concat,
            (Err(_), [_, _, _]) if has_no_names => Part::Frames,
            (Err(reason), _) => return Err(bad(reason)),
        };
        dims.take(part, &array.shape[1..]).map_err(bad)?;
        parts.push(part);
    }
    Ok((parts, dims))
}

fn check_layout(first: &Path, expected: &Parts, table: &Table) -> Result<(), FileError> {
    let mut here = layout(table)?;
    here.1.key_frames = expected.1.key_frames;
    if here == *expected {
        return Ok(());
    }
    let described = |(parts, dims): &Parts| {
        // `frames [16, 384], concat [768]`
        let part = |part: &Part| format!("{part} {:?}", part.shape(dims.frames.unwrap_or(0), *dims));
        parts.iter().map(part).collect::<Vec<_>>().join(", ")
    };
    let reason = format!(
        "it holds {} where {} holds {}; merge files of the same parts and sizes",
        described(&here),
        display_path(first),
        described(expected)
    );
    Err(FileError::read(&table.path, reason))
}

/// What the companion says, or what can be said without one.
fn lines(path: &Path, table: &Table) -> Result<Vec<CompanionRow>, FileError> {
    if let Some(lines) = read_companion(path)? {
        return Ok(lines);
    }
    let line = |(at, id): (usize, &String)| CompanionRow {
        clip: ClipMeta { index: at, id: id.clone(), ..ClipMeta::default() },
        row: Some(at),
        status: Status::Ok,
        frames: None,
        stage: None,
        error: None,
    };
    Ok(table.ids()?.iter().enumerate().map(line).collect())
}

/// Writes a line of a file as input `index` of the output.
fn push(
    output: &mut Output,
    index: usize,
    line: CompanionRow,
    table: &Table,
    (parts, dims): &Parts,
) -> Result<(), FileError> {
    let CompanionRow { clip, row, frames, stage, error, .. } = line;
    let clip = ClipMeta { index, ..clip };
    let Some(row) = row else {
        let (stage, error) = (stage.unwrap_or_default(), error.unwrap_or_default());
        return output.fail(&Failure { clip, stage, error });
    };
    let arrays = parts.iter().zip(&table.arrays);
    let parts = arrays.map(|(part, array)| (*part, array.row(row).to_vec())).collect();
    output.push(&Row { clip, window: None, frames: frames.or(dims.frames).unwrap_or(0), parts })
}
