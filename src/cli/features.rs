//! Features for `lift train`, `lift eval-cia` and `lift probe`: of videos, from the feature cache or computed into it first; of
//! other programs, from files; and LiFT's embeddings of stored frame features.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;

use super::ids::NamedIdArgs;
use super::limits::LimitArgs;
use super::progress::Progress;
use super::signals::Signals;
use crate::cia::representations::{Matrix, OWN_NAMES};
use crate::cia::stored;
use crate::dataset;
use crate::embed::cache::{self, Cached};
use crate::embed::{Engine, ModelChoice, Outcome};
use crate::exit::Fatal;
use crate::files::display_text;
use crate::inputs::Input;
use crate::rows::{ModelDigest, Provenance};
use crate::weights::{self, EncoderRecord};

/// The features `(T, D)` of 16 frames of each input, and the folder of the cache: `folder` (`--cache`), by default `features/`
/// in LIFT_HOME. After a signal, what is done is kept in the cache and the answer covers it alone.
///
/// # Errors
/// As [`cache::features`].
pub(super) fn cached(
    inputs: &[Input],
    folder: Option<&Path>,
    choice: &ModelChoice,
    threads: NonZeroUsize,
    limits: &LimitArgs,
    signals: &Signals,
    quiet: bool,
) -> Result<(PathBuf, Cached), Fatal> {
    let folder = folder.map_or_else(|| weights::lift_home().join("features"), Path::to_owned);
    let settings = cache::settings(threads, limits.max_pixels, limits.timeout());
    let progress = RefCell::new(Progress::new(inputs.len(), quiet));
    let step = |outcome: &Outcome| progress.borrow_mut().step(outcome.result.is_ok());
    let cached = cache::features::<Fatal>(inputs, &folder, choice, &settings, &signals.stop, step)?;
    progress.into_inner().finish();
    Ok((folder, cached))
}

/// Refuses a LiFT other than the one that made embeddings, which its own embeddings would be compared with.
///
/// # Errors
/// If the model cannot be read, or is another one.
pub(super) fn same_lift(choice: &ModelChoice, made: Option<&Provenance>, origin: &str) -> Result<(), Fatal> {
    let Some(model) = made.and_then(|made| made.models.get("lift")) else { return Ok(()) };
    let digest = choice.lift_digest()?;
    if digest == model.sha256 {
        return Ok(());
    }
    Err(Fatal::input(anyhow!(
        "{origin}: it was made with the LiFT of {} (SHA-256 {:.12}...), and the flags name another ({digest:.12}...): choose the same \
         with --lift or --model",
        display_text(&model.from),
        model.sha256
    )))
}

/// LiFT's embedding `[static, dynamic]` of stored frame features `(T, D)`, for the videos named. If they are the `choice`'s own, from
/// the cache, or say which encoder made them, LiFT must have been trained on that encoder.
///
/// # Errors
/// If the model cannot be loaded or does not fit the features.
pub(super) fn lift(choice: &ModelChoice, frames: &Matrix, ids: &[&str], own: bool) -> Result<Matrix, Fatal> {
    let fail = |what: String| Fatal::input(anyhow!("{}: {what}", frames.origin));
    let &[count, width] = frames.shape.as_slice() else {
        return Err(fail("not frame features (T, D)".to_owned()));
    };
    let made_by = match own {
        true => Some(choice.encoder_record()?),
        false => encoder_of(Path::new(&frames.origin))?,
    };
    let lift = Engine::load_lift_alone(choice, width, made_by.as_ref())?;
    let mut values = Vec::new();
    let mut index = HashMap::new();
    for (row, id) in ids.iter().enumerate() {
        let at = *frames.index.get(*id).ok_or_else(|| fail(format!("no features of {id}")))?;
        let mut features = vec![0.0; count * width];
        frames.source.copy_row(at, &mut features).map_err(|cause| fail(cause.to_string()))?;
        values.extend(lift.concat(&features).map_err(Fatal::input)?);
        index.insert((*id).to_string(), row);
    }
    let shape = vec![values.len() / ids.len().max(1)];
    let origin = format!("{} through LiFT", frames.origin);
    Ok(Matrix { origin, index: Arc::new(index), shape, source: Arc::new(values) })
}

/// The frame encoder that made stored features; none where they do not say.
///
/// # Errors
/// If what they say cannot be read.
pub(super) fn encoder_of(features: &Path) -> Result<Option<EncoderRecord>, Fatal> {
    let Some(made) = dataset::provenance(features)? else { return Ok(None) };
    let record = |(name, model): (&String, &ModelDigest)| {
        EncoderRecord::of_output(name, &model.from, &model.sha256, model.settings.as_deref())
    };
    Ok(made.models.iter().find_map(record))
}

/// The matrices of `--features NAME=FILE[#ARRAY]` by their names; `own`: whether there are embeddings, whose representations have
/// names too.
///
/// # Errors
/// For a value of another form, and if a file cannot be read.
pub(super) fn external(
    features: &[String],
    ids: &NamedIdArgs,
    own: bool,
) -> Result<BTreeMap<String, Matrix>, Fatal> {
    let mut external = BTreeMap::new();
    for value in features {
        let Some((name, file)) = value.split_once('=').filter(|(name, _)| !name.contains('+')) else {
            return Err(Fatal::usage(anyhow!(
                "--features {value}: expected NAME=FILE, the name without `+`"
            )));
        };
        if own && OWN_NAMES.contains(&name) {
            return Err(Fatal::usage(anyhow!(
                "--features {value}: `{name}` is a representation of the embeddings too; choose another name"
            )));
        }
        let matrix = stored::external(name, Path::new(file), ids.wanted(features, Some(name)))?;
        if external.insert(name.to_owned(), matrix).is_some() {
            return Err(Fatal::usage(anyhow!("--features {value}: the features {name} are given twice")));
        }
    }
    Ok(external)
}
