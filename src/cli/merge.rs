//! `lift merge`: the pieces of a run into one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::signals::Signals;
use super::{Verbosity, is_folder, report};
use crate::dataset::{Dataset, PartWriter, Pieces, Settled, write_failures};
use crate::exit::{Exit, Fatal};
use crate::files::{FileError, display_path, display_text};
use crate::rows;
use crate::rows::{CompanionRow, Destination, Dims, Failure, Format, Part, Prepared, Row, Status, Table};

/// Join the shards of a run, or several files, into one file or dataset
///
/// Shards must belong to one run: the same inputs, settings and models. All shards must be there and finished, and no row may
/// be there twice. The rows get the order of the inputs. Files are joined in the order in which they are named; their ids must
/// differ.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lift merge all.parquet out/              the shards in out/\n  \
    lift merge whole/ out/                   the same into one dataset\n  \
    lift merge all.npy out/ --overwrite      another form, again\n  \
    lift merge - out/ | head -n 1            as JSON lines\n  lift merge all.npz monday.npz tuesday.npz")]
pub(super) struct MergeArgs {
    /// Where the rows go: a file (.npy, .npz, .safetensors, .parquet, .jsonl), - or DIR/
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Datasets, folders of shards, or files of rows
    #[arg(value_name = "IN", required = true)]
    inputs: Vec<PathBuf>,
    /// Replace an existing output file
    #[arg(long)]
    overwrite: bool,
}

/// Opens, checks, writes.
pub(super) fn run(args: &MergeArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    Signals::end_at_once()?;
    let folders = args.inputs.iter().filter(|path| path.is_dir()).count();
    let (rows, failed) = if folders == args.inputs.len() {
        let pieces = Pieces::open(&args.inputs)?;
        if is_folder(&args.output) { into_dataset(&args.output, &pieces)? } else { into_file(args, &pieces)? }
    } else if folders == 0 && is_folder(&args.output) {
        let error = anyhow!(
            "{}: files are joined into one file; name one (.npz, .parquet, ...)",
            display_path(&args.output)
        );
        return Err(Fatal::usage(error));
    } else if folders == 0 {
        join(args)?
    } else {
        return Err(Fatal::usage(anyhow!("name datasets or files, not both")));
    };
    if !verbosity.quiet {
        let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        report::say(&format!("{}: {}{failures}", display_path(&args.output), report::count(rows, "row")));
    }
    Ok(if failed > 0 { Exit::SomeFailed } else { Exit::Success })
}

fn into_file(args: &MergeArgs, pieces: &Pieces) -> Result<(usize, usize), FileError> {
    let (parts, dims) = pieces.layout();
    let mut output = Prepared::new(&Destination::parse(&args.output)?, parts, args.overwrite)?.start(dims)?;
    pieces.each(|done| match done.settled {
        Settled::Rows(rows) => output.push_all(&rows),
        Settled::Failed(failure) => output.fail(&failure.into()),
    })?;
    let written = output.finish()?;
    Ok((written.rows, written.failed))
}

fn into_dataset(folder: &Path, pieces: &Pieces) -> Result<(usize, usize), FileError> {
    let dataset = Dataset::open(folder, pieces.manifest().clone())?;
    if !dataset.parts()?.is_empty() {
        let folder = display_path(folder);
        return Err(FileError::Usage(format!("{folder}: it holds parts already; name an empty folder")));
    }
    let (kind, size) = (dataset.kind(), dataset.manifest().shard_size.max(1));
    let (parts, dims) = pieces.layout();
    let mut open: Option<(usize, PartWriter)> = None;
    let close = |open: Option<(usize, PartWriter)>| match open {
        Some((number, writer)) => writer.commit(&dataset.part(number)),
        None => Ok(()),
    };
    pieces.each(|done| {
        let number = done.entry.index / size;
        if open.as_ref().is_none_or(|(at, _)| *at != number) {
            close(open.take())?;
            open = Some((number, PartWriter::create(&dataset.part(number), kind, parts, dims)?));
        }
        let Some((_, writer)) = &mut open else { return Ok(()) };
        writer.input(done)
    })?;
    close(open)?;
    let counts = write_failures(&dataset)?;
    Ok((counts.rows, counts.failed))
}

/// Files one after the other; their companions tell what is beside the values.
fn join(args: &MergeArgs) -> Result<(usize, usize), FileError> {
    let mut shape: Option<(Vec<Part>, Dims)> = None;
    for path in &args.inputs {
        let here = layout(&rows::read(path, None, None)?)?;
        match &shape {
            None => shape = Some(here),
            Some(first) if *first == here => {}
            Some(first) => {
                let reason = format!(
                    "it holds {} where {} holds {}; merge files of the same parts and sizes",
                    described(&here),
                    display_path(&args.inputs[0]),
                    described(first)
                );
                return Err(FileError::Read { path: path.clone(), reason });
            }
        }
    }
    let Some((parts, dims)) = shape else { return Ok((0, 0)) };
    let mut output =
        Prepared::new(&Destination::parse(&args.output)?, &parts, args.overwrite)?.start(dims)?;
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut index = 0;
    for (file, path) in args.inputs.iter().enumerate() {
        let table = rows::read(path, None, None)?;
        for line in lines(path, &table)? {
            if let Some(before) = ids.insert(line.id.clone(), file) {
                let (id, other) = (display_text(&line.id), display_path(&args.inputs[before]));
                let reason = format!("its id '{id}' is in {other} too; leave one out");
                return Err(FileError::Read { path: path.clone(), reason });
            }
            match line.row {
                Some(at) => output.push(&row(index, line, &table, at, &parts, dims))?,
                None => output.fail(&failure(index, line))?,
            }
            index += 1;
        }
    }
    let written = output.finish()?;
    Ok((written.rows, written.failed))
}

/// `frames [16, 384], concat [768]`.
fn described((parts, dims): &(Vec<Part>, Dims)) -> String {
    let part = |part: &Part| format!("{part} {:?}", part.shape(dims.frames.unwrap_or(0), *dims));
    parts.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// The parts of a file and their sizes, as its arrays have them; the lone array of an `.npy` is told by its shape.
fn layout(table: &Table) -> Result<(Vec<Part>, Dims), FileError> {
    let bad = |reason| FileError::Read { path: table.path.clone(), reason };
    let mut dims = Dims::default();
    let mut parts = Vec::new();
    for array in &table.arrays {
        let part = match (array.name.parse(), &array.shape[..]) {
            (Ok(part), _) => part,
            (Err(_), [_, _]) if Format::of(&table.path) == Some(Format::Npy) => Part::Concat,
            (Err(_), [_, _, _]) if Format::of(&table.path) == Some(Format::Npy) => Part::Frames,
            (Err(reason), _) => return Err(bad(reason)),
        };
        dims.take(part, &array.shape[1..]).map_err(bad)?;
        parts.push(part);
    }
    Ok((parts, dims))
}

/// What the companion says, or what can be said without one.
fn lines(path: &Path, table: &Table) -> Result<Vec<CompanionRow>, FileError> {
    if let Some(lines) = rows::read_companion(path)? {
        return Ok(lines);
    }
    let line = |(at, id): (usize, &String)| CompanionRow {
        index: at,
        row: Some(at),
        id: id.clone(),
        path: String::new(),
        status: Status::Ok,
        frames: None,
        fps: None,
        duration: None,
        start: None,
        end: None,
        stage: None,
        error: None,
    };
    Ok(table.ids()?.iter().enumerate().map(line).collect())
}

fn row(index: usize, line: CompanionRow, table: &Table, at: usize, parts: &[Part], dims: Dims) -> Row {
    let arrays = parts.iter().zip(&table.arrays);
    Row {
        index,
        id: line.id,
        path: line.path.into(),
        start: line.start,
        end: line.end,
        window: None,
        frames: line.frames.or(dims.frames).unwrap_or(0),
        fps: line.fps,
        duration: line.duration,
        parts: arrays.map(|(part, array)| (*part, array.row(at).to_vec())).collect(),
    }
}

fn failure(index: usize, line: CompanionRow) -> Failure {
    Failure {
        index,
        id: line.id,
        path: line.path.into(),
        start: line.start,
        end: line.end,
        fps: line.fps,
        duration: line.duration,
        stage: line.stage.unwrap_or_default(),
        error: line.error.unwrap_or_default(),
    }
}
