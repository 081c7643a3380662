//! The flags of `lift eval-cia`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cia::clips::Columns;
use crate::cia::datasets::Dataset;
use crate::cia::probe::Probe;
use crate::cli::compute::ComputeArgs;
use crate::cli::limits::LimitArgs;
use crate::cli::models::ModelArgs;
use crate::cli::numbers::real;

/// Score embeddings on the Chirality in Action benchmark
///
/// Per group of opposite actions (opening and closing a door) a ridge classifier is fitted on the training videos'
/// embeddings and scored on the validation videos'; a data set's figure is the mean over its groups.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, next_help_heading = "Benchmark")]
pub struct EvalCiaArgs {
    /// Data sets of the benchmark, separated by commas [default: those of --train and --valid]
    ///
    /// Example: --dataset ssv2,epic
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required_unless_present = "train")]
    pub(super) dataset: Vec<Dataset>,
    /// Training CSV of a benchmark of your own, one row per group or per video [default: --dataset's]
    ///
    /// Example: --train my-train.csv --valid my-valid.csv
    #[arg(long, value_name = "FILE", requires = "valid", conflicts_with_all = ["dataset", "splits"])]
    pub(super) train: Option<PathBuf>,
    /// Validation CSV of a benchmark of your own [default: --dataset's]
    ///
    /// Example: --train my-train.csv --valid my-valid.csv
    #[arg(long, value_name = "FILE", requires = "train")]
    pub(super) valid: Option<PathBuf>,
    /// Folder with the benchmark's CSVs [default: fetched from the hub and cached]
    ///
    /// Example: --splits csvs/
    #[arg(long, value_name = "DIR")]
    pub(super) splits: Option<PathBuf>,
    #[command(flatten)]
    pub(super) videos: VideoArgs,
    /// Embeddings made by lift embed: a file or a folder [default: made from --videos]
    ///
    /// NAME=PATH is for one data set alone. Example: --embeddings ssv2=ssv2.npz
    #[arg(long, value_name = "[NAME=]PATH", help_heading = "Features")]
    pub(super) embeddings: Vec<String>,
    /// Features from elsewhere, probed as well; ids as lift embed writes them [default: none]
    ///
    /// Example: --features clip=clip.npy
    #[arg(long, value_name = "NAME=FILE", help_heading = "Features")]
    pub(super) features: Vec<String>,
    /// Ids of the embeddings' rows, one per line, where the file has none [default: the file's own]
    ///
    /// NAME=FILE is for a matrix of --features. Example: --ids clip=clip-ids.txt
    #[arg(long, value_name = "[NAME=]FILE", help_heading = "Features")]
    pub(super) ids: Vec<String>,
    #[command(flatten)]
    pub(super) probe: ProbeArgs,
    #[command(flatten)]
    pub(super) report: ReportArgs,
    /// Go on without the videos and groups that are missing, and say so
    #[arg(long, help_heading = "Benchmark")]
    pub(super) allow_missing: bool,
    /// Folder of the feature cache [default: features/ in LIFT_HOME]
    ///
    /// Example: --cache /scratch/features
    #[arg(long, value_name = "DIR", help_heading = "Features")]
    pub(super) cache: Option<PathBuf>,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) models: ModelArgs,
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
}

/// Where the videos are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Videos")]
pub(super) struct VideoArgs {
    /// Folder of the videos, embedded by way of the feature cache [default: none; --embeddings are used]
    ///
    /// NAME=DIR is for one data set alone. Example: --videos ssv2=ssv2/videos
    #[arg(long, value_name = "[NAME=]DIR")]
    pub(super) videos: Vec<String>,
    /// Where a video lies, made of {dir}, {id}, {video} and {ext} [default: {dir}/{id}.{ext}]
    ///
    /// {ext} is webm for ssv2, MP4 for epic, mp4 for charades and other tables; {video} stands in the --video-column.
    ///
    /// Example: --template '{dir}/{video}/{id}.{ext}'
    #[arg(long, value_name = "TEXT")]
    pub(super) template: Option<String>,
    /// Column of the per-video CSV that names the file of an uncut video [default: clips are cut]
    ///
    /// Example: --video-column video_id
    #[arg(long, value_name = "COLUMN")]
    video_column: Option<String>,
    /// Column of the clip's start, in seconds or hh:mm:ss.cc [default: the file's start]
    ///
    /// Example: --start-column start_timestamp
    #[arg(long, value_name = "COLUMN")]
    start_column: Option<String>,
    /// Column of the clip's end, in seconds or hh:mm:ss.cc [default: the file's end]
    ///
    /// Example: --end-column stop_timestamp
    #[arg(long, value_name = "COLUMN")]
    end_column: Option<String>,
}

/// What is probed and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Probe")]
pub(super) struct ProbeArgs {
    /// What to probe, separated by commas [default: all that is there]
    ///
    /// lift, static, dynamic, frames-mean, frames-concat, a name given with --features, or several joined as a+b. Example:
    /// --representation lift,frames-mean,lift+clip
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) representation: Vec<String>,
    /// The classifier
    ///
    /// Example: --probe svm
    #[arg(long, value_enum, default_value = "ridge")]
    probe: ProbeKind,
    /// Penalty of the ridge probe
    ///
    /// Example: --alpha 10
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, value_parser = positive)]
    alpha: f64,
    /// Cost C of the logistic and the SVM probe
    ///
    /// Example: --probe logistic --cost 0.1
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0, value_parser = positive)]
    cost: f64,
    /// Score the probes on the validation videos in reversed time as well
    ///
    /// A representation that reads time falls below chance, one that does not stays where it was.
    #[arg(long)]
    pub(super) reverse_control: bool,
    /// Measure accuracy with K training videos per class too, for every K of a list [default: with all alone]
    ///
    /// Example: --shots 1,2,4,8
    #[arg(long, value_name = "K,...", value_delimiter = ',')]
    pub(super) shots: Vec<NonZeroUsize>,
    /// Draws of training videos per group and K
    ///
    /// Example: --shot-draws 50
    #[arg(long, value_name = "N", default_value = "10")]
    pub(super) shot_draws: NonZeroUsize,
    /// Measure retrieval too: mean average precision of a direction's clips within their group, by cosine
    #[arg(long)]
    pub(super) retrieval: bool,
    /// Seed of the interval and of the draws
    ///
    /// Example: --seed 7
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

/// What is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub(super) struct ReportArgs {
    /// Write the report as .json, .csv, .md or .tex; repeatable [default: standard output alone]
    ///
    /// Example: -o cia.md -o cia.json
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Vec<PathBuf>,
    /// List every group: verbs, noun, counts, accuracy
    #[arg(long)]
    pub(super) per_group: bool,
    /// Draw the groups as a dot plot, .png or .svg [default: no picture]
    ///
    /// Example: --figure cia.png
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
    real(text, |number| number > 0.0, "a number above 0")
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
