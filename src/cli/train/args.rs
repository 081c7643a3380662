//! The flags of `lift train`: every number of the paper's training, each with its default.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::compute::ComputeArgs;
use crate::cli::models::ModelArgs;
use crate::model::lift::{Config, HEADS};
use crate::train::{AdamConfig, LossWeights, PlateauConfig, Settings};
use crate::weights::Source;

/// Train LiFT on the features of frames, without labels
///
/// Reads what lift embed --parts frames writes, in any of its forms, or videos, whose features go into the cache first. What is
/// large is mapped, not read (.parquet and .jsonl through an unnamed copy in the output folder). Writes best.safetensors and last.safetensors, which lift embed --lift takes, state.safetensors,
/// from which --resume goes on bit for bit, log.jsonl and curves.png/.svg.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift embed clips/ --parts frames -o frames.npy && lift train frames.npy -o run/\n  \
    lift train clips/ -o run/ --epochs 50\n  lift train clips/ -o run/ --epochs 50 --resume\n  \
    lift train frames.npy -o tuned/ --init lift.safetensors --lr 1e-5\n  lift train --plot run/log.jsonl -o curves.svg"
)]
pub(in crate::cli) struct TrainArgs {
    /// Features (.npy, .npz, .safetensors, .parquet, .jsonl, folders of a dataset), or videos and folders of them
    #[arg(value_name = "INPUT")]
    pub(super) inputs: Vec<PathBuf>,
    /// Folder for what is learned; with --plot the picture
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// Go on with the run in the output folder, as if it had never stopped
    #[arg(long, conflicts_with = "init")]
    pub(super) resume: bool,
    /// Start from these weights: a .safetensors or the authors' .ckpt
    #[arg(long, value_name = "FILE")]
    pub(super) init: Option<Source>,
    /// Draw the curves of a log and do nothing else
    #[arg(long, value_name = "LOG", conflicts_with_all = ["inputs", "resume", "init"])]
    pub(super) plot: Option<PathBuf>,
    /// Replace an existing picture (with --plot)
    #[arg(long, requires = "plot")]
    pub(super) overwrite: bool,
    /// Passes over the training clips
    #[arg(long, value_name = "N", default_value = "100")]
    pub(super) epochs: NonZeroU64,
    /// Features to validate on: a file or a dataset's folder
    #[arg(long, value_name = "PATH")]
    pub(super) validation: Option<PathBuf>,
    /// Share of the clips held out for validation where no file is given, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share)]
    pub(super) held_out: f64,
    /// Write a state every so many steps, besides after each epoch
    #[arg(long, value_name = "STEPS")]
    pub(super) save_every: Option<NonZeroU64>,
    /// Log a step every so many steps
    #[arg(long, value_name = "STEPS", default_value = "10")]
    pub(super) log_every: NonZeroU64,
    /// Folder of the feature cache [default: features/ in LIFT_HOME]
    #[arg(long, value_name = "DIR")]
    pub(super) cache: Option<PathBuf>,
    #[command(flatten)]
    pub(super) probe: ProbeFiles,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
    #[command(flatten)]
    pub(super) models: ModelArgs,
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
}

/// What the linear probe is scored on after each epoch.
#[derive(Debug, Args)]
#[command(next_help_heading = "Probe")]
pub(super) struct ProbeFiles {
    /// Training CSV in one of the benchmark's forms
    #[arg(long, value_name = "FILE", requires = "probe_valid")]
    probe_train: Option<PathBuf>,
    /// Validation CSV
    #[arg(long, value_name = "FILE", requires = "probe_train")]
    probe_valid: Option<PathBuf>,
    /// Frame features of the CSVs' videos, with ids [default: those trained on]
    #[arg(long, value_name = "PATH", requires = "probe_train")]
    pub(super) probe_features: Option<PathBuf>,
    /// Ids of the probed features' rows, one per line, where they have none
    #[arg(long, value_name = "FILE", requires = "probe_train")]
    pub(super) ids: Option<PathBuf>,
}

impl ProbeFiles {
    /// Training and validation CSV, if a probe is asked for.
    pub(super) fn splits(&self) -> Option<[&Path; 2]> {
        Some([self.probe_train.as_deref()?, self.probe_valid.as_deref()?])
    }
}

/// The numbers that decide the result; the defaults are the paper's.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(super) struct SettingsArgs {
    /// Width of each code [default: the features' width]
    #[arg(long, value_name = "N")]
    latent: Option<NonZeroUsize>,
    /// Encoder layers
    #[arg(long, value_name = "N", default_value = "4")]
    layers: NonZeroUsize,
    /// Attention heads per encoder layer
    #[arg(long = "lift-heads", value_name = "N", default_value_t = HEADS)]
    lift_heads: usize,
    /// Most frames the model will read; never fewer than the clips have
    #[arg(long, value_name = "N", default_value = "5000")]
    max_len: usize,
    /// Clips per step
    #[arg(long, value_name = "N", default_value = "128")]
    batch_size: usize,
    /// Learning rate
    #[arg(long, value_name = "RATE", default_value = "1e-4")]
    lr: f64,
    /// Decay of the mean gradient
    #[arg(long, value_name = "B", default_value = "0.9")]
    beta1: f64,
    /// Decay of the mean squared gradient
    #[arg(long, value_name = "B", default_value = "0.999")]
    beta2: f64,
    /// Added to the root of the mean squared gradient
    #[arg(long, value_name = "E", default_value = "1e-8")]
    eps: f64,
    /// L2 penalty in the gradient (torch's Adam, not AdamW)
    #[arg(long, value_name = "W", default_value = "1e-5")]
    weight_decay: f64,
    /// Share of activations dropped
    #[arg(long, value_name = "P", default_value = "0.1")]
    dropout: f64,
    /// Weight of the mean absolute cosine between the two codes
    #[arg(long, value_name = "W", default_value = "0.1")]
    orthogonality: f64,
    /// What the rate is multiplied by when the validation loss stalls
    #[arg(long, value_name = "F", default_value = "0.5")]
    plateau_factor: f64,
    /// Epochs without a better loss before that
    #[arg(long, value_name = "N", default_value = "5")]
    plateau_patience: u64,
    /// The rate does not fall below this
    #[arg(long, value_name = "RATE", default_value = "0")]
    min_lr: f64,
    /// Decides weights, order, split and dropout
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

impl SettingsArgs {
    /// The numbers for features of `width`, clips of `frames`.
    pub(super) fn settings(&self, width: usize, frames: usize) -> Settings {
        let latent = self.latent.map_or(width, NonZeroUsize::get);
        let config = Config {
            layers: self.layers.get(),
            heads: self.lift_heads,
            ..Config::new(width, latent, self.max_len.max(frames))
        };
        Settings {
            batch: self.batch_size,
            lr: self.lr,
            adam: AdamConfig {
                beta1: self.beta1,
                beta2: self.beta2,
                eps: self.eps,
                weight_decay: self.weight_decay,
            },
            plateau: PlateauConfig {
                factor: self.plateau_factor,
                patience: self.plateau_patience,
                min_lr: self.min_lr,
            },
            loss: LossWeights { orthogonality: self.orthogonality, ..LossWeights::default() },
            dropout: self.dropout,
            seed: self.seed,
            ..Settings::new(&config)
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|s: &f64| (0.0..1.0).contains(s));
    share.ok_or_else(|| "expected a share from 0 to 1, 1 excluded".into())
}
