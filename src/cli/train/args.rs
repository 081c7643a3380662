//! The flags of `lift train`; the defaults of the training settings are the paper's.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;

use crate::cia::clips::Columns;
use crate::cia::splits::Splits;
use crate::cli::compute::ComputeArgs;
use crate::cli::limits::LimitArgs;
use crate::cli::models::ModelArgs;
use crate::cli::numbers::real;
use crate::exit::Fatal;
use crate::model::lift::{HEADS, LiftConfig};
use crate::rows::Wanted;
use crate::train::{AdamConfig, LossWeights, PlateauConfig, TrainSettings};
use crate::weights::WeightsSource;

/// Train LiFT on the features of frames, without labels
///
/// Reads the features that lift embed --parts frames writes, in any format, or videos, whose features are computed into the
/// feature cache first. Large files are mapped, not read into memory (.parquet and .jsonl through a temporary copy in the
/// output folder). Writes best.safetensors and last.safetensors, which lift embed --lift reads; state.safetensors, from
/// which --resume continues to the same bits; log.jsonl; curves.png and curves.svg.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lift embed clips/ --parts frames -o frames.npy && lift train frames.npy -o run/\n  \
    lift train clips/ -o run/ --epochs 50\n  lift train --resume -o run/\n  \
    lift train frames.npy -o tuned/ --init lift.safetensors --lr 1e-5\n  lift train --plot run/log.jsonl -o curves.svg"
)]
pub(in crate::cli) struct TrainArgs {
    /// Features (.npy, .npz, .safetensors, .parquet, .jsonl, folders of a dataset), or videos and folders of them
    ///
    /// FILE#ARRAY names the array or column to read of a file with several.
    #[arg(value_name = "INPUT")]
    pub(super) inputs: Vec<PathBuf>,
    /// Folder for weights, state, log and curves; with --plot the picture, .png, .svg or .pdf
    ///
    /// Default: none, the folder must be given; with --plot the log's name with .png. Example: -o run/
    #[arg(short, long, value_name = "DIR", help_heading = "Run")]
    pub(super) output: Option<PathBuf>,
    /// Continue the run in the output folder with its flags, as if it had never stopped
    ///
    /// Every flag is taken from the run; -o DIR is enough. --epochs, and flags of the machine, may be others. A flag that decides the
    /// result and differs is refused.
    #[arg(long, conflicts_with = "init", help_heading = "Run")]
    pub(super) resume: bool,
    /// Start from these weights: a .safetensors or the authors' .ckpt [default: random weights]
    ///
    /// Example: --init lift.safetensors
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub(super) init: Option<WeightsSource>,
    /// Only draw the curves of this log [default: train]
    ///
    /// Example: --plot run/log.jsonl -o curves.svg
    #[arg(long, value_name = "LOG", conflicts_with_all = ["inputs", "resume", "init"], help_heading = "Run")]
    pub(super) plot: Option<PathBuf>,
    /// Replace an existing picture (with --plot)
    #[arg(long, requires = "plot", help_heading = "Run")]
    pub(super) overwrite: bool,
    /// Number of passes over the training clips
    ///
    /// Example: --epochs 50
    #[arg(long, value_name = "N", default_value = "100", help_heading = "Run")]
    pub(super) epochs: NonZeroU64,
    /// Features to validate on: a file or a dataset's folder [default: the --held-out share of the INPUTs]
    ///
    /// Example: --validation valid.npy
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    pub(super) validation: Option<PathBuf>,
    /// Share of the clips to hold out for validation, from 0 to below 1; not used with --validation
    ///
    /// Example: --held-out 0.1
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share, help_heading = "Data")]
    pub(super) held_out: f64,
    /// Write the state after every STEPS steps, besides after each epoch [default: after each epoch only]
    ///
    /// Example: --save-every 500
    #[arg(long, value_name = "STEPS", help_heading = "Run")]
    pub(super) save_every: Option<NonZeroU64>,
    /// Log the loss after every STEPS steps
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

/// The videos that the linear probe is scored on after each epoch.
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
    /// Frame features of the CSVs' videos, with ids [default: the training features]
    ///
    /// Example: --probe-features ssv2-frames.npy
    #[arg(long, value_name = "PATH", requires = "probe_train")]
    pub(super) probe_features: Option<PathBuf>,
    /// Ids of the probed features' rows, one per line [default: the ids in the file]
    ///
    /// Example: --ids ids.txt
    #[arg(long, value_name = "FILE", requires = "probe_train")]
    ids: Option<PathBuf>,
    /// Column or array that holds these ids, texts or integers: of the file in --ids, else of the features
    ///
    /// Default: id, in an .npz also ids. Example: --id-column video_id
    #[arg(long, value_name = "COLUMN", requires = "probe_train")]
    id_column: Option<String>,
}

impl ProbeFiles {
    /// Where the ids of the probed features are.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted { array: None, id_column: self.id_column.as_deref(), ids: self.ids.as_deref() }
    }

    /// The groups of the training and the validation CSV, if the flags give them.
    ///
    /// # Errors
    /// As [`Splits::read`].
    pub(super) fn splits(&self) -> Result<Option<Splits>, Fatal> {
        let (Some(train), Some(valid)) = (&self.probe_train, &self.probe_valid) else { return Ok(None) };
        Splits::read(train, valid, &Columns::default(), false).map(Some).map_err(Fatal::input)
    }
}

/// The settings that decide the result; the defaults are the paper's.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(super) struct SettingsArgs {
    /// Width of each code [default: the width of the features]
    ///
    /// Example: --latent 256
    #[arg(long, value_name = "N")]
    latent: Option<NonZeroUsize>,
    /// Number of encoder layers
    ///
    /// Example: --layers 2
    #[arg(long, value_name = "N", default_value = "4")]
    layers: NonZeroUsize,
    /// Attention heads per encoder layer
    ///
    /// Example: --lift-heads 4
    #[arg(long = "lift-heads", value_name = "N", default_value_t = HEADS)]
    lift_heads: usize,
    /// The most frames that the model can read; raised to the number of frames of the clips
    ///
    /// Example: --max-len 64
    #[arg(long, value_name = "N", default_value = "5000")]
    max_len: usize,
    /// Number of clips per step
    ///
    /// Example: --batch-size 64
    #[arg(long, value_name = "N", default_value = "128")]
    batch_size: usize,
    /// Learning rate
    ///
    /// Example: --lr 3e-4
    #[arg(long, value_name = "RATE", default_value = "1e-4")]
    lr: f64,
    /// Decay of the running mean of the gradient
    ///
    /// Example: --beta1 0.95
    #[arg(long, value_name = "B", default_value = "0.9")]
    beta1: f64,
    /// Decay of the running mean of the squared gradient
    ///
    /// Example: --beta2 0.99
    #[arg(long, value_name = "B", default_value = "0.999")]
    beta2: f64,
    /// Term added to the root of the mean squared gradient
    ///
    /// Example: --eps 1e-7
    #[arg(long, value_name = "E", default_value = "1e-8")]
    eps: f64,
    /// L2 penalty that is added to the gradient (torch's Adam, not AdamW)
    ///
    /// Example: --weight-decay 0
    #[arg(long, value_name = "W", default_value = "1e-5")]
    weight_decay: f64,
    /// Share of the activations to drop, from 0 to below 1
    ///
    /// Example: --dropout 0
    #[arg(long, value_name = "P", default_value = "0.1")]
    dropout: f64,
    /// Weight of the mean absolute cosine between the two codes
    ///
    /// Example: --orthogonality 0
    #[arg(long, value_name = "W", default_value = "0.1")]
    orthogonality: f64,
    /// Factor of the learning rate when the validation loss stops falling
    ///
    /// Example: --plateau-factor 0.2
    #[arg(long, value_name = "F", default_value = "0.5")]
    plateau_factor: f64,
    /// Number of epochs without a lower validation loss before the learning rate is lowered
    ///
    /// Example: --plateau-patience 10
    #[arg(long, value_name = "N", default_value = "5")]
    plateau_patience: u64,
    /// The lowest learning rate
    ///
    /// Example: --min-lr 1e-6
    #[arg(long, value_name = "RATE", default_value = "0")]
    min_lr: f64,
    /// Seed of initial weights, order of clips, split and dropout
    ///
    /// Example: --seed 7
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

impl SettingsArgs {
    /// The settings for features of `width` and clips of `frames`.
    pub(super) fn settings(&self, width: usize, frames: usize) -> TrainSettings {
        let latent = self.latent.map_or(width, NonZeroUsize::get);
        let config = LiftConfig {
            layers: self.layers.get(),
            heads: self.lift_heads,
            ..LiftConfig::new(width, latent, self.max_len.max(frames))
        };
        TrainSettings {
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
            ..TrainSettings::new(&config)
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    real(text, |share| (0.0..1.0).contains(&share), "a share from 0 to 1, 1 excluded")
}
