//! Frame features computed once: `lift train` and `lift eval-cia` on videos read them again on the next run.
//!
//! The cache is a folder of `.safetensors` files of at most 256 videos each, named by a digest of everything that decides
//! their content: the frame encoder, the sampling, and each video's id, path, size and modification time. A file appears
//! whole or not at all, so an interrupted run goes on after the last one, and a changed video is computed anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sha2::{Digest, Sha256};

use super::{Engine, Outcome, Settings, run};
use crate::inputs::Input;
use crate::rows::{Destination, Failure, Format, Part, Prepared, RowsError, Status, read_companion};

/// Videos per file: some minutes of work, so that little is lost by an interruption.
const CHUNK: usize = 256;

/// What the cache gave.
#[derive(Debug, Default)]
pub struct Cached {
    /// The files, together one row per video that has features, in input order.
    pub files: Vec<PathBuf>,
    /// The videos that have none.
    pub failures: Vec<Failure>,
}

/// The frame features `(T, D)` of `inputs`, from the files under `folder` where they are there, else computed.
///
/// `engine` is asked for where something is missing, and `settings` must ask for [`Part::Frames`] alone. `told` hears of each
/// computed outcome. If `stop` becomes true, what is done is kept and the answer covers it alone.
///
/// # Errors
/// If the cache cannot be written or read, or the engine does not load.
pub fn features<E: From<RowsError>>(
    inputs: &[Input],
    folder: &Path,
    model: &str,
    settings: &Settings,
    stop: &Arc<AtomicBool>,
    mut engine: impl FnMut() -> Result<Engine, E>,
    mut told: impl FnMut(&Outcome),
) -> Result<Cached, E> {
    fs::create_dir_all(folder).map_err(|cause| RowsError::Write { path: folder.into(), cause })?;
    let mut loaded = None;
    let mut cached = Cached::default();
    for chunk in inputs.chunks(CHUNK) {
        let file = folder.join(format!("{}.safetensors", key(chunk, model, settings)));
        if !file.exists() {
            let engine = match &mut loaded {
                Some(engine) => engine,
                empty => empty.insert(Arc::new(engine()?)),
            };
            if !compute(chunk, &file, engine, settings, stop, &mut told)? {
                break;
            }
        }
        let rows = read_companion(&file)?.unwrap_or_default();
        cached.failures.extend(rows.iter().filter(|r| r.status == Status::Failed).map(|r| Failure {
            index: r.index,
            id: r.id.clone(),
            path: r.path.clone().into(),
            start: r.start,
            end: r.end,
            fps: r.fps,
            duration: r.duration,
            stage: r.stage.clone().unwrap_or_default(),
            error: r.error.clone().unwrap_or_default(),
        }));
        if rows.iter().any(|r| r.status == Status::Ok) {
            cached.files.push(file);
        }
    }
    Ok(cached)
}

/// Computes one file; false if it was stopped, and then nothing is left of it.
fn compute(
    chunk: &[Input],
    file: &Path,
    engine: &Arc<Engine>,
    settings: &Settings,
    stop: &Arc<AtomicBool>,
    told: &mut impl FnMut(&Outcome),
) -> Result<bool, RowsError> {
    let destination = Destination::File(file.into(), Format::Safetensors);
    let frames = match settings.request.sampling {
        crate::video::Sampling::Count(n) => Some(n),
        _ => None,
    };
    let mut output = Prepared::new(&destination, &[Part::Frames], true)?.start(engine.dims(frames))?;
    run(chunk.to_vec().into_iter(), engine, settings, stop, |outcome| {
        told(&outcome);
        match outcome.result {
            Ok(embedded) => embedded.rows.iter().try_for_each(|row| output.push(row)),
            Err(failure) => output.fail(&failure),
        }
    })?;
    if stop.load(std::sync::atomic::Ordering::Relaxed) {
        return Ok(false);
    }
    output.finish().map(|_| true)
}

/// The digest that names the file of these videos.
fn key(chunk: &[Input], model: &str, settings: &Settings) -> String {
    let mut digest = Sha256::new();
    digest.update(format!("lift features 1\n{model}\n{:?}\n", settings.request));
    for input in chunk {
        let stamp = fs::metadata(&input.path).ok().map(|m| (m.len(), m.modified().ok()));
        // The place in the run is part of it: the file keeps the rows' indices.
        digest.update(format!(
            "{} {:?} {:?} {:?} {:?}\n",
            input.index,
            input.id,
            input.path,
            stamp,
            (input.start, input.end)
        ));
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
