//! Checkpoints: safetensors files that appear whole or not at all.
//!
//! A run's folder has three such files. `best.safetensors` and `last.safetensors` hold weights alone, under the names of the
//! Lightning `state_dict`, for `lift embed` and for the authors' Python. `state.safetensors` holds what a
//! resumed run starts from: the weights again, the optimiser's means and the counters, all in one file, so that they always
//! belong together.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::files::{self, AtomicFile};
use crate::weights::ENCODER_KEY;

use super::{Adam, LossValues, Params, Plateau, TrainError, TrainSettings, exact};

/// The weights of the epoch with the lowest validation loss.
pub const BEST: &str = "best.safetensors";
/// The weights after the last epoch, or at the step where the run was stopped.
pub const LAST: &str = "last.safetensors";
/// The file that `--resume` reads.
pub const STATE: &str = "state.safetensors";

/// Prefixes of the weights' names that give the names of the optimiser's means.
const MEANS: [&str; 2] = ["adam.mean.", "adam.square."];

/// Metadata key of the counters.
const KEY: &str = "lift_training";

/// The state of a run without its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainProgress {
    /// The settings that the run was started with.
    pub settings: TrainSettings,
    /// The digest of the data that it reads.
    pub data: String,
    /// Epochs done.
    pub epochs: u64,
    /// Batches done of the current epoch.
    pub batches: u64,
    /// Steps done in all.
    pub steps: u64,
    /// The schedule.
    pub plateau: Plateau,
    /// Sums of the losses of the current epoch, each weighted by its number of clips.
    pub sums: LossSums,
    /// The lowest validation loss so far.
    #[serde(with = "exact")]
    pub best: f64,
}

/// Sums of losses; stored so that a resumed run has the same bits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossSums {
    #[serde(with = "exact")]
    total: f64,
    #[serde(with = "exact")]
    reconstruction: f64,
    #[serde(with = "exact")]
    orthogonality: f64,
    clips: u64,
}

impl LossSums {
    /// Adds a batch's losses.
    pub fn add(&mut self, losses: LossValues, clips: usize) {
        let weight = clips as f64;
        self.total += losses.total * weight;
        self.reconstruction += losses.reconstruction * weight;
        self.orthogonality += losses.orthogonality * weight;
        self.clips += clips as u64;
    }

    /// The mean per clip.
    pub fn mean(&self) -> LossValues {
        let count = self.clips.max(1) as f64;
        LossValues {
            total: self.total / count,
            reconstruction: self.reconstruction / count,
            orthogonality: self.orthogonality / count,
        }
    }
}

/// Writes the weights, with `facts` (epoch, losses) in the metadata, and the frame encoder that the features are of.
///
/// # Errors
/// If the file cannot be written; a file that was there before stays.
pub fn write_weights(
    path: &Path,
    params: &Params,
    progress: &TrainProgress,
    facts: &serde_json::Value,
    encoder: Option<&str>,
) -> Result<(), TrainError> {
    let json = |value| serde_json::to_string(&value).unwrap_or_default();
    let mut metadata = BTreeMap::from([
        ("format", "pt".to_string()),
        ("num_heads", params.config().heads.to_string()),
        ("training", facts.to_string()),
        ("settings", json(&progress.settings)),
        ("data_digest", progress.data.clone()),
    ]);
    if let Some(encoder) = encoder {
        metadata.insert(ENCODER_KEY, encoder.into());
    }
    write(path, &metadata, &params.tensors())
}

/// Writes everything that a resumed run starts from.
///
/// # Errors
/// If the file cannot be written; a file that was there before stays.
pub fn write_state(
    path: &Path,
    params: &Params,
    adam: &Adam,
    progress: &TrainProgress,
) -> Result<(), TrainError> {
    let text = serde_json::to_string(progress).map_err(TrainError::state(path))?;
    let mut tensors = params.tensors();
    for (name, means) in adam.means() {
        tensors
            .extend(MEANS.iter().zip(means).map(|(prefix, mean)| (format!("{prefix}{name}"), mean.clone())));
    }
    write(path, &BTreeMap::from([(KEY, text)]), &tensors)
}

/// Reads the file of [`write_state`].
///
/// # Errors
/// If the file is missing, damaged, or of another version.
pub fn read_state(path: &Path, device: &Device) -> Result<(Params, Adam, TrainProgress), TrainError> {
    let bytes = std::fs::read(path).map_err(TrainError::state(path))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(TrainError::state(path))?;
    let text = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let text = text.ok_or_else(|| TrainError::state(path)("it is not the state of a training run"))?;
    let progress: TrainProgress = serde_json::from_str(text).map_err(TrainError::state(path))?;
    let mut weights = BTreeMap::new();
    let mut means = [BTreeMap::new(), BTreeMap::new()];
    let loaded = candle_core::safetensors::load_buffer(&bytes, device).map_err(TrainError::state(path))?;
    for (name, tensor) in loaded {
        match MEANS.iter().position(|prefix| name.starts_with(prefix)) {
            Some(which) => means[which].insert(name[MEANS[which].len()..].to_string(), tensor),
            None => weights.insert(name, tensor),
        };
    }
    let params = Params::from_tensors(&progress.settings.model, weights).map_err(TrainError::state(path))?;
    let [first, mut second] = means;
    let pairs =
        first.into_iter().filter_map(|(name, mean)| Some((name.clone(), (mean, second.remove(&name)?))));
    let adam = Adam::resume(progress.settings.adam, params.vars(), pairs.collect(), progress.steps)
        .map_err(TrainError::state(path))?;
    Ok((params, adam, progress))
}

/// Writes f32 tensors in the order of their names.
fn write(
    path: &Path,
    metadata: &BTreeMap<&str, String>,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<(), TrainError> {
    let places = tensors.iter().map(|(name, tensor)| (name.as_str(), Dtype::F32, tensor.dims().to_vec()));
    let header = files::safetensors::header(metadata, places).map_err(TrainError::write(path))?;
    let mut out = BufWriter::new(AtomicFile::create(path, true)?);
    let mut write = |bytes: &[u8]| out.write_all(bytes).map_err(TrainError::write(path));
    write(&header)?;
    for tensor in tensors.values() {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        if cfg!(target_endian = "little") {
            write(bytemuck::cast_slice(&values))?;
        } else {
            write(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())?;
        }
    }
    let file = out.into_inner().map_err(|error| TrainError::write(path)(error.into_error()))?;
    Ok(file.commit()?)
}
