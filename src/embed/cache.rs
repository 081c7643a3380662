//! Frame features computed once: `lift train` and `lift eval-cia` on videos read them again on the next run.
//!
//! The cache is a folder of datasets ([`crate::dataset`]), each named by a digest of its manifest: the inputs, the
//! frame encoder, the sampling. So an interrupted run goes on where it ended, a changed video is computed anew, and every
//! command that reads features reads the cache too.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Engine, ModelChoice, Outcome, Settings, run};
use crate::dataset::{Dataset, DatasetPlan, DatasetWriter, InputsDigest, Manifest, failures};
use crate::files::{FileError, hexadecimal};
use crate::inputs::Input;
use crate::rows::{Failure, Format, Part};
use crate::video::Sampling;
use crate::weights::WeightsError;

/// Videos per part: some minutes of work, so that little is lost by a kill.
const PART_SIZE: usize = 256;

/// What the cache gave.
#[derive(Debug, Default)]
pub struct Cached {
    /// The files, together one row per video that has features, in input order.
    pub files: Vec<PathBuf>,
    /// The videos that have none.
    pub failures: Vec<Failure>,
}

/// The frame features `(T, D)` of `inputs`, from the dataset under `folder` where it is there, else computed.
///
/// `settings` must ask for [`Part::Frames`] alone, of a fixed number of frames. `told` hears of each computed outcome. If
/// `stop` becomes true, what is done is kept and the answer covers it alone.
///
/// # Errors
/// If the cache cannot be written or read, another run fills it, or the frame encoder does not load.
pub fn features<E: From<FileError> + From<WeightsError>>(
    inputs: &[Input],
    folder: &Path,
    choice: &ModelChoice,
    settings: &Settings,
    stop: &Arc<AtomicBool>,
    mut told: impl FnMut(&Outcome),
) -> Result<Cached, E> {
    let manifest = manifest(inputs, choice, settings)?;
    let folder = folder.join(name(&manifest));
    let dataset = Dataset::open(&folder, manifest)?;
    // Owned, because the run's threads are not bound to this call.
    let all: Arc<[Input]> = inputs.into();
    let members = (0..all.len()).map(move |at| all[at].clone());
    let plan = DatasetPlan::new(&dataset, members.clone().map(|input| (input.index, input.path)), false)?;
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

fn manifest(inputs: &[Input], choice: &ModelChoice, settings: &Settings) -> Result<Manifest, WeightsError> {
    let frames = match settings.request.sampling {
        Sampling::Count(n) => Some(n),
        _ => None,
    };
    let (dims, models) = choice.describe(&settings.parts, frames)?;
    let mut digest = Sha256::new();
    for Input { id, path, start, end, .. } in inputs {
        digest.update(format!("{id:?} {path:?} {start:?} {end:?}\n"));
    }
    let inputs = InputsDigest { count: inputs.len(), sha256: hexadecimal(&digest.finalize()) };
    let mut manifest =
        Manifest::new(inputs, None, PART_SIZE, Format::SAFETENSORS).with_parts(&[Part::Frames], dims);
    // Every field of the request decides which pictures the frame encoder sees.
    manifest.settings.insert("request".into(), json!(format!("{:?}", settings.request)));
    manifest.settings.insert("arithmetic".into(), json!(choice.arithmetic()));
    manifest.settings.insert("heads".into(), json!(choice.heads));
    manifest.models = models;
    Ok(manifest)
}

/// The dataset's folder in the cache: a digest of all that decides its numbers.
fn name(manifest: &Manifest) -> String {
    let mut plain = manifest.clone();
    // The same weights in another place give the same features.
    plain.models.values_mut().for_each(|model| model.from.clear());
    let json = serde_json::to_vec(&plain).unwrap_or_default();
    format!("features-{}", &hexadecimal(&Sha256::digest(json))[..24])
}
