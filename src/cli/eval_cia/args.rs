//! The flags of `lift eval-cia`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cia::clips::Columns;
use crate::cia::datasets::Dataset;
use crate::cia::probe::Probe;
use crate::cli::compute::ComputeArgs;
use crate::cli::models::ModelArgs;

/// Score embeddings on the Chirality in Action benchmark
///
/// Per group of opposite actions (opening and closing a door) a ridge classifier is fitted on the training videos'
/// embeddings and scored on the validation videos'; a data set's figure is the mean over its groups.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EvalCiaArgs {
    /// Data sets of the benchmark, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required_unless_present = "train")]
    pub(super) dataset: Vec<Dataset>,
    /// Training CSV of a benchmark of your own, one row per group or per video
    #[arg(long, value_name = "FILE", requires = "valid", conflicts_with_all = ["dataset", "splits"])]
    pub(super) train: Option<PathBuf>,
    /// Validation CSV of a benchmark of your own
    #[arg(long, value_name = "FILE", requires = "train")]
    pub(super) valid: Option<PathBuf>,
    /// Folder with the benchmark's CSVs [default: fetched from the hub and cached]
    #[arg(long, value_name = "DIR")]
    pub(super) splits: Option<PathBuf>,
    #[command(flatten)]
    pub(super) videos: VideoArgs,
    /// Embeddings made by lift embed: a file or a folder; for one data set alone as NAME=PATH
    #[arg(long, value_name = "[NAME=]PATH")]
    pub(super) embeddings: Vec<String>,
    /// A matrix of other making to probe beside, with ids like any file of lift embed
    #[arg(long, value_name = "NAME=FILE")]
    pub(super) features: Vec<String>,
    /// Ids of the embeddings' rows, one per line, where the file has none; for a matrix of --features as NAME=FILE
    #[arg(long, value_name = "[NAME=]FILE")]
    pub(super) ids: Vec<String>,
    #[command(flatten)]
    pub(super) probe: ProbeArgs,
    #[command(flatten)]
    pub(super) report: ReportArgs,
    /// Go on without the videos and groups that are missing, and say so
    #[arg(long)]
    pub(super) allow_missing: bool,
    /// Folder of the feature cache [default: features/ in LIFT_HOME]
    #[arg(long, value_name = "DIR")]
    pub(super) cache: Option<PathBuf>,
    #[command(flatten)]
    pub(super) models: ModelArgs,
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
}

/// Where the videos are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Videos")]
pub(super) struct VideoArgs {
    /// Folder of the videos, embedded by way of the feature cache; for one data set alone as NAME=DIR
    #[arg(long, value_name = "[NAME=]DIR")]
    pub(super) videos: Vec<String>,
    /// Where a video lies, of {dir}, {id}, {video} and {ext} [default: {dir}/{id}.{ext}]
    #[arg(long, value_name = "TEXT")]
    pub(super) template: Option<String>,
    /// Column of the per-video CSV that names the file of an uncut video
    #[arg(long, value_name = "COLUMN")]
    video_column: Option<String>,
    /// Column of the clip's start, in seconds or hh:mm:ss.cc
    #[arg(long, value_name = "COLUMN")]
    start_column: Option<String>,
    /// Column of the clip's end
    #[arg(long, value_name = "COLUMN")]
    end_column: Option<String>,
}

/// What is probed and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Probe")]
pub(super) struct ProbeArgs {
    /// What to probe, separated by commas: lift, static, dynamic, frames-mean, frames-concat, a name given with
    /// --features, or several joined as a+b [default: all that is there]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) representation: Vec<String>,
    /// The classifier
    #[arg(long, value_enum, default_value = "ridge")]
    probe: ProbeKind,
    /// Penalty of the ridge probe
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, value_parser = positive)]
    alpha: f64,
    /// Cost C of the logistic and the SVM probe
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, value_parser = positive)]
    cost: f64,
    /// Score the probes on the validation videos in reversed time as well
    ///
    /// A representation that reads time falls below chance, one that does not stays where it was.
    #[arg(long)]
    pub(super) reverse_control: bool,
    /// Measure accuracy with K training videos per class too, for every K of a list
    #[arg(long, value_name = "K,...", value_delimiter = ',')]
    pub(super) shots: Vec<NonZeroUsize>,
    /// Draws of training videos per group and K
    #[arg(long, value_name = "N", default_value = "10")]
    pub(super) shot_draws: NonZeroUsize,
    /// Measure retrieval too: mean average precision of a direction's clips within their group, by cosine
    #[arg(long)]
    pub(super) retrieval: bool,
    /// Seed of the interval and of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

/// What is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub(super) struct ReportArgs {
    /// Write the report as .json, .csv, .md or .tex; repeatable
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Vec<PathBuf>,
    /// List every group: verbs, noun, counts, accuracy
    #[arg(long)]
    pub(super) per_group: bool,
    /// Draw the groups as a dot plot, .png or .svg
    #[arg(long, value_name = "FILE")]
    pub(super) figure: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    pub(super) overwrite: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ProbeKind {
    /// The paper's
    Ridge,
    /// Logistic regression, converged
    Logistic,
    /// SVM with an RBF kernel
    Svm,
}

const EXAMPLES: &str = "Examples:\n  lift eval-cia --dataset ssv2 --videos ssv2/videos\n  \
    lift eval-cia --dataset ssv2,epic --splits csvs/ --embeddings all.npz --per-group -o cia.md\n  \
    lift eval-cia --train my-train.csv --valid my-valid.csv --embeddings clips.parquet --probe svm\n  \
    lift eval-cia --dataset ssv2 --embeddings ssv2/ --features clip=clip.npy --representation lift,clip,lift+clip\n  \
    lift eval-cia --dataset charades --videos charades/ --reverse-control --figure cia.png";

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a number above 0".to_owned())
}

impl VideoArgs {
    /// The columns asked for.
    pub(super) fn columns(&self) -> Columns {
        Columns {
            video: self.video_column.clone(),
            start: self.start_column.clone(),
            end: self.end_column.clone(),
        }
    }
}

impl ProbeArgs {
    /// The classifier with its setting.
    pub(super) fn probe(&self) -> Probe {
        match self.probe {
            ProbeKind::Ridge => Probe::Ridge(self.alpha),
            ProbeKind::Logistic => Probe::Logistic(self.cost),
            ProbeKind::Svm => Probe::Svm(self.cost),
        }
    }
}
