//! The feature cache: `lift train` and `lift eval-cia` compute the frame features of videos once and read them on later runs.
//!
//! The cache is a folder of datasets ([`crate::dataset`]), each named by a digest of its manifest: the inputs, the frame
//! encoder, the sampling. So a run resumes where an interrupted one ended, a changed video is computed again, and every
//! command that reads features can read the cache.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{EmbedSettings, Engine, ModelChoice, Outcome, run};
use crate::dataset::{Dataset, DatasetPlan, DatasetWriter, InputsDigest, Manifest, failures};
use crate::files::{FileError, hexadecimal};
use crate::inputs::Input;
use crate::rows::{Failure, Format, Part};
use crate::video::{Request, Sampling, VideoError};
use crate::weights::WeightsError;

/// Videos per part: some minutes of work, so that a killed run loses little.
const PART_SIZE: usize = 256;

/// The features of a list of videos.
#[derive(Debug, Default)]
pub struct Cached {
    /// The files, together one row per video that has features, in input order.
    pub files: Vec<PathBuf>,
    /// The videos that have no features.
    pub failures: Vec<Failure>,
}

/// The settings of features for the cache: the authors' sixteen frames and [`Part::Frames`] alone.
pub fn settings(threads: NonZeroUsize, max_pixels: u64, timeout: Option<Duration>) -> EmbedSettings {
    EmbedSettings {
        request: Request { max_pixels: Some(max_pixels), ..Request::default() },
        parts: vec![Part::Frames],
        normalize: false,
        threads,
        timeout,
        pictures: None,
    }
}

/// Reads the frame features `(T, D)` of `inputs` from the cache in `folder`, and computes those that it lacks.
///
/// `settings` must ask for [`Part::Frames`] alone, of a fixed number of frames. `told` is called with each outcome that is
/// computed. If `stop` becomes true, the answer covers the videos that are done; the cache keeps them.
///
/// # Errors
/// If the cache cannot be written or read, another run fills it, or the frame encoder does not load.
pub fn features<E: From<FileError> + From<WeightsError>>(
    inputs: &[Input],
    folder: &Path,
    choice: &ModelChoice,
    settings: &EmbedSettings,
    stop: &Arc<AtomicBool>,
    mut told: impl FnMut(&Outcome),
) -> Result<Cached, E> {
    let manifest = manifest(inputs, choice, settings)?;
    let folder = folder.join(name(&manifest));
    let dataset = Dataset::open(&folder, manifest)?;
    // Owned, because an abandoned thread may outlive this call.
    let all: Arc<[Input]> = inputs.into();
    let members = (0..all.len()).map(move |at| all[at].clone());
    // Another limit of time, or a machine that is less busy, may read what was not read in time.
    let timeout = VideoError::TimedOut { seconds: 0.0 }.stage();
    let retry = failures(&dataset)?.iter().any(|failed| failed.stage == timeout);
    let plan = DatasetPlan::of_present_files(
        &dataset,
        members.clone().map(|input| (input.index, input.path)),
        retry,
    )?;
    let wanted = plan.wanted;
    let selected = plan.select(members, |input| input.index);
    let mut writer = DatasetWriter::new(dataset, plan)?;
    if wanted > 0 {
        let engine = Arc::new(Engine::load(choice, &settings.parts)?);
        run(selected, &engine, settings, stop, |outcome| {
            told(&outcome);
            outcome.fill(&mut writer).map(drop)
        })?;
    }
    let counts = writer.finish()?;
    let dataset = Dataset::read(&folder)?;
    let files = match counts.embedded {
        0 => vec![],
        _ => dataset.parts()?.into_iter().map(|number| dataset.part(number)).collect(),
    };
    Ok(Cached { files, failures: failures(&dataset)? })
}

fn manifest(
    inputs: &[Input],
    choice: &ModelChoice,
    settings: &EmbedSettings,
) -> Result<Manifest, WeightsError> {
    let frames = match settings.request.sampling {
        Sampling::Count(n) => Some(n),
        _ => None,
    };
    let (dims, models) = choice.describe(&settings.parts, frames)?;
    let mut digest = Sha256::new();
    for Input { id, path, start, end, .. } in inputs {
        digest.update(format!("{id:?} {path:?} {start:?} {end:?}\n"));
    }
    let inputs = InputsDigest {
        count: inputs.len(),
        sha256: hexadecimal(&digest.finalize()),
        ..InputsDigest::default()
    };
    let mut manifest =
        Manifest::new(inputs, None, PART_SIZE, Format::SAFETENSORS).with_parts(&[Part::Frames], dims);
    // Every field of the request decides which pictures the frame encoder sees.
    manifest.settings.insert("request".into(), json!(format!("{:?}", settings.request)));
    manifest.settings.insert("arithmetic".into(), json!(choice.arithmetic()));
    manifest.settings.insert("heads".into(), json!(choice.heads));
    manifest.models = models;
    Ok(manifest)
}

/// The name of the dataset's folder in the cache: a digest of everything that decides its numbers.
fn name(manifest: &Manifest) -> String {
    let mut plain = manifest.clone();
    // The same weights in another file give the same features.
    plain.models.values_mut().for_each(|model| model.from.clear());
    let json = serde_json::to_vec(&plain).unwrap_or_default();
    format!("features-{}", &hexadecimal(&Sha256::digest(json))[..24])
}
