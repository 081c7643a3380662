//! The flags of `lift train`: every number of the paper's training, each with its default.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::compute::ComputeArgs;
use crate::cli::limits::LimitArgs;
use crate::cli::models::ModelArgs;
use crate::cli::numbers::real;
use crate::model::lift::{Config, HEADS};
use crate::train::{AdamConfig, LossWeights, PlateauConfig, Settings};
use crate::weights::Source;

/// Train LiFT on the features of frames, without labels
///
/// Reads what lift embed --parts frames writes, in any of its forms, or videos, whose features go into the cache first.
/// What is large is mapped, not read (.parquet and .jsonl through an unnamed copy in the output folder). Writes
/// best.safetensors and last.safetensors, which lift embed --lift takes, state.safetensors, from which --resume goes on
/// bit for bit, log.jsonl and curves.png/.svg.
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
    /// Folder for what is learned; with --plot the picture, .png or .svg
    ///
    /// Default: none, it must be given; with --plot the log's name with .png. Example: -o run/
    #[arg(short, long, value_name = "DIR", help_heading = "Run")]
    pub(super) output: Option<PathBuf>,
    /// Go on with the run in the output folder, as if it had never stopped
    #[arg(long, conflicts_with = "init", help_heading = "Run")]
    pub(super) resume: bool,
    /// Start from these weights: a .safetensors or the authors' .ckpt [default: random weights]
    ///
    /// Example: --init lift.safetensors
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub(super) init: Option<Source>,
    /// Draw the curves of a log and do nothing else [default: train]
    ///
    /// Example: --plot run/log.jsonl -o curves.svg
    #[arg(long, value_name = "LOG", conflicts_with_all = ["inputs", "resume", "init"], help_heading = "Run")]
    pub(super) plot: Option<PathBuf>,
    /// Replace an existing picture (with --plot)
    #[arg(long, requires = "plot", help_heading = "Run")]
    pub(super) overwrite: bool,
    /// Passes over the training clips
    ///
    /// Example: --epochs 50
    #[arg(long, value_name = "N", default_value = "100", help_heading = "Run")]
    pub(super) epochs: NonZeroU64,
    /// Features to validate on: a file or a dataset's folder [default: --held-out of the INPUTs]
    ///
    /// Example: --validation valid.npy
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    pub(super) validation: Option<PathBuf>,
    /// Share of the clips held out for validation where no file is given, from 0 to below 1
    ///
    /// Example: --held-out 0.1
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share, help_heading = "Data")]
    pub(super) held_out: f64,
    /// Write a state every so many steps, besides after each epoch [default: after each epoch alone]
    ///
    /// Example: --save-every 500
    #[arg(long, value_name = "STEPS", help_heading = "Run")]
    pub(super) save_every: Option<NonZeroU64>,
    /// Log a step every so many steps
    ///
    /// Example: --log-every 1
    #[arg(long, value_name = "STEPS", default_value = "10", help_heading = "Run")]
    pub(super) log_every: NonZeroU64,
    /// Folder of the feature cache [default: features/ in LIFT_HOME]
    ///
    /// Example: --cache /scratch/features
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub(super) cache: Option<PathBuf>,
    #[command(flatten)]
    pub(super) probe: ProbeFiles,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) models: ModelArgs,
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
}

/// What the linear probe is scored on after each epoch.
#[derive(Debug, Args)]
#[command(next_help_heading = "Probe")]
pub(super) struct ProbeFiles {
    /// Training CSV in one of the benchmark's forms [default: no probe]
    ///
    /// Example: --probe-train cia-train.csv --probe-valid cia-valid.csv
    #[arg(long, value_name = "FILE", requires = "probe_valid")]
    probe_train: Option<PathBuf>,
    /// Validation CSV in the same form [default: no probe]
    ///
    /// Example: --probe-train cia-train.csv --probe-valid cia-valid.csv
    #[arg(long, value_name = "FILE", requires = "probe_train")]
    probe_valid: Option<PathBuf>,
    /// Frame features of the CSVs' videos, with ids [default: those trained on]
    ///
    /// Example: --probe-features ssv2-frames.npy
    #[arg(long, value_name = "PATH", requires = "probe_train")]
    pub(super) probe_features: Option<PathBuf>,
    /// Ids of the probed features' rows, one per line [default: the file's own]
    ///
    /// Example: --ids ids.txt
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
    ///
    /// Example: --latent 256
    #[arg(long, value_name = "N")]
    latent: Option<NonZeroUsize>,
    /// Encoder layers
    ///
    /// Example: --layers 2
    #[arg(long, value_name = "N", default_value = "4")]
    layers: NonZeroUsize,
    /// Attention heads per encoder layer
    ///
    /// Example: --lift-heads 4
    #[arg(long = "lift-heads", value_name = "N", default_value_t = HEADS)]
    lift_heads: usize,
    /// Most frames the model will read; never fewer than the clips have
    ///
    /// Example: --max-len 64
    #[arg(long, value_name = "N", default_value = "5000")]
    max_len: usize,
    /// Clips per step
    ///
    /// Example: --batch-size 64
    #[arg(long, value_name = "N", default_value = "128")]
    batch_size: usize,
    /// Learning rate
    ///
    /// Example: --lr 3e-4
    #[arg(long, value_name = "RATE", default_value = "1e-4")]
    lr: f64,
    /// Decay of the mean gradient
    ///
    /// Example: --beta1 0.95
    #[arg(long, value_name = "B", default_value = "0.9")]
    beta1: f64,
    /// Decay of the mean squared gradient
    ///
    /// Example: --beta2 0.99
    #[arg(long, value_name = "B", default_value = "0.999")]
    beta2: f64,
    /// Added to the root of the mean squared gradient
    ///
    /// Example: --eps 1e-7
    #[arg(long, value_name = "E", default_value = "1e-8")]
    eps: f64,
    /// L2 penalty in the gradient (torch's Adam, not AdamW)
    ///
    /// Example: --weight-decay 0
    #[arg(long, value_name = "W", default_value = "1e-5")]
    weight_decay: f64,
    /// Share of activations dropped, from 0 to below 1
    ///
    /// Example: --dropout 0
    #[arg(long, value_name = "P", default_value = "0.1")]
    dropout: f64,
    /// Weight of the mean absolute cosine between the two codes
    ///
    /// Example: --orthogonality 0
    #[arg(long, value_name = "W", default_value = "0.1")]
    orthogonality: f64,
    /// What the learning rate is multiplied by when the validation loss stalls
    ///
    /// Example: --plateau-factor 0.2
    #[arg(long, value_name = "F", default_value = "0.5")]
    plateau_factor: f64,
    /// Epochs without a better validation loss before that
    ///
    /// Example: --plateau-patience 10
    #[arg(long, value_name = "N", default_value = "5")]
    plateau_patience: u64,
    /// The learning rate does not fall below this
    ///
    /// Example: --min-lr 1e-6
    #[arg(long, value_name = "RATE", default_value = "0")]
    min_lr: f64,
    /// Decides weights, order, split and dropout
    ///
    /// Example: --seed 7
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
    real(text, |share| (0.0..1.0).contains(&share), "a share from 0 to 1, 1 excluded")
}
