//! The flags of `lift eval-cia`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cia::benchmark::Protocol;
use crate::cia::clips::Columns;
use crate::cia::datasets::BenchmarkDataset;
use crate::cia::probe::ProbeMethod;
use crate::cia::representations::{reads_lift, reads_mirror};
use crate::cia::shots::ShotDraws;
use crate::cli::compute::ComputeArgs;
use crate::cli::ids::NamedIdArgs;
use crate::cli::limits::LimitArgs;
use crate::cli::models::ModelArgs;
use crate::cli::numbers::real;
use crate::cli::scale::ScaleArgs;
use crate::exit::Fatal;
use crate::threads;

/// Score embeddings on the Chirality in Action benchmark
///
/// For each group of opposite actions (opening and closing a door), a ridge classifier is fitted on the embeddings of the
/// training videos and scored on those of the validation videos. The score of a data set is the mean over its groups.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, next_help_heading = "Benchmark")]
pub struct EvalCiaArgs {
    /// Data sets of the benchmark, separated by commas [default: none; --train and --valid are used]
    ///
    /// Example: --dataset ssv2,epic
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required_unless_present = "train")]
    pub(super) dataset: Vec<BenchmarkDataset>,
    /// Training CSV of a benchmark of your own, one row per group or per video [default: --dataset's]
    // clap would make one line of the three of the example.
    #[arg(long, value_name = "FILE", long_help = TRAIN_HELP, requires = "valid", conflicts_with_all = ["dataset", "splits"])]
    pub(super) train: Option<PathBuf>,
    /// Validation CSV of a benchmark of your own [default: --dataset's]
    ///
    /// Example: --train my-train.csv --valid my-valid.csv
    #[arg(long, value_name = "FILE", requires = "train")]
    pub(super) valid: Option<PathBuf>,
    /// A label that is the forward direction of its group, where labels are texts; repeatable [default: by the alphabet, and told]
    ///
    /// Example: --forward open --forward fold
    #[arg(long, value_name = "LABEL", requires = "train")]
    pub(super) forward: Vec<String>,
    /// Name of a benchmark of your own in tables and figures [default: from the name of the training CSV]
    ///
    /// Example: --name kitchen
    #[arg(long, value_name = "NAME", requires = "train")]
    pub(super) name: Option<String>,
    /// Folder with the benchmark's CSVs [default: downloaded from the hub and cached]
    ///
    /// Example: --splits csvs/
    #[arg(long, value_name = "DIR")]
    pub(super) splits: Option<PathBuf>,
    #[command(flatten)]
    pub(super) videos: VideoArgs,
    /// Embeddings that lift embed wrote: a file or a folder [default: computed from --videos]
    ///
    /// NAME=PATH is for the data set NAME only. Example: --embeddings ssv2=ssv2.npz
    #[arg(long, value_name = "[NAME=]PATH", help_heading = "Features")]
    pub(super) embeddings: Vec<String>,
    /// Features of other programs to probe as well, with ids as lift embed writes them [default: none]
    ///
    /// Example: --features clip=clip.npy
    #[arg(long, value_name = "NAME=FILE", help_heading = "Features")]
    pub(super) features: Vec<String>,
    #[command(flatten, next_help_heading = "Features")]
    pub(super) ids: NamedIdArgs,
    #[command(flatten)]
    pub(super) probe: ProbeArgs,
    #[command(flatten)]
    pub(super) report: ReportArgs,
    /// Leave out videos and groups that are missing, and report them
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
    /// Folder of the videos; their features are kept in the feature cache [default: none; --embeddings are used]
    ///
    /// NAME=DIR is for the data set NAME only. Example: --videos ssv2=ssv2/videos
    #[arg(long, value_name = "[NAME=]DIR")]
    pub(super) videos: Vec<String>,
    /// Path of a video, made of {dir}, {id}, {video} and {ext} [default: {dir}/{id}.{ext}]
    ///
    /// {ext} is webm for ssv2, MP4 for epic, and mp4 for charades and for CSVs of your own; {video} is the value of the
    /// --video-column.
    ///
    /// Example: --template '{dir}/{video}/{id}.{ext}'
    #[arg(long, value_name = "TEXT")]
    pub(super) template: Option<String>,
    /// Column of the per-video CSV that names the file of an uncut video [default: none; every clip is a file]
    ///
    /// Example: --video-column video_id
    #[arg(long, value_name = "COLUMN")]
    video_column: Option<String>,
    /// Column with the start of the clip, in seconds or hh:mm:ss.cc [default: the start of the file]
    ///
    /// Example: --start-column start_timestamp
    #[arg(long, value_name = "COLUMN")]
    start_column: Option<String>,
    /// Column with the end of the clip, in seconds or hh:mm:ss.cc [default: the end of the file]
    ///
    /// Example: --end-column stop_timestamp
    #[arg(long, value_name = "COLUMN")]
    end_column: Option<String>,
}

/// What is probed and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Probe")]
pub(super) struct ProbeArgs {
    /// Representations to probe, separated by commas [default: see --help]
    ///
    /// lift, odd, even, static, dynamic, frames-mean, frames-concat, a name given with --features, or several joined as a+b.
    /// odd is the part of lift that changes its sign when the clip runs backwards, even the part that keeps it. NAME:odd is
    /// the odd part in time of frame features (T, D): of frames-concat or of a name given with --features. Default: of lift,
    /// odd, lift+odd, frames-mean, frames-concat and the names given with --features, those that the embeddings hold; with
    /// --videos, all.
    ///
    /// Example: --representation lift,frames-mean,lift+clip
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    representation: Vec<String>,
    #[command(flatten)]
    pub(super) scale: ScaleArgs,
    /// Classifier
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
    /// Also score the probes on the validation videos in reversed time
    ///
    /// A representation that depends on the order of the frames falls below chance; one that does not keeps its accuracy.
    #[arg(long)]
    reverse_control: bool,
    /// Also measure the accuracy with K training videos per class, for every K of a list [default: with all videos only]
    ///
    /// Example: --shots 1,2,4,8
    #[arg(long, value_name = "K,...", value_delimiter = ',')]
    shots: Vec<NonZeroUsize>,
    /// Draws of training videos per group and K
    ///
    /// Example: --shot-draws 50
    #[arg(long, value_name = "N", default_value = "10")]
    shot_draws: NonZeroUsize,
    /// Also measure retrieval: the mean average precision of a direction's clips within their group, by cosine similarity
    #[arg(long)]
    retrieval: bool,
    /// Seed of the 95 % intervals and of the draws
    ///
    /// Example: --seed 7
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// What is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub(super) struct ReportArgs {
    /// Write the report as .json, .csv, .md or .tex; repeatable [default: tables on standard output only]
    ///
    /// Example: -o cia.md -o cia.json
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Vec<PathBuf>,
    /// List every group: verbs, noun, counts, accuracy
    #[arg(long)]
    pub(super) per_group: bool,
    /// Add the paper's accuracies to the table, each with its source
    ///
    /// They are read off the authors' charts. The authors' page says that their mean is over groups.
    #[arg(long)]
    pub(super) published: bool,
    /// Title of the figures and of the tables in .md [default: none]
    ///
    /// Example: --title "Kitchen actions"
    #[arg(long, value_name = "TEXT")]
    pub(super) title: Option<String>,
    /// Draw the groups as a dot plot, .png, .svg or .pdf [default: no picture]
    ///
    /// Example: --figure cia.png
    #[arg(long, value_name = "FILE")]
    pub(super) figure: Option<PathBuf>,
    /// Draw the accuracy against the number of training videos per class, .png, .svg or .pdf; needs --shots [default: no picture]
    ///
    /// Example: --shots 2,4,8,16 --shots-figure shots.png
    #[arg(long, value_name = "FILE", requires = "shots")]
    pub(super) shots_figure: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    pub(super) overwrite: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ProbeKind {
    /// The paper's classifier
    Ridge,
    /// Logistic regression, fully converged
    Logistic,
    /// SVM with an RBF kernel
    Svm,
}

const TRAIN_HELP: &str = "Training CSV of a benchmark of your own, one row per group or per video [default: --dataset's]\n\n\
    A row per video has the columns id, chiral_triplet_id (the group) and chiral_label: 1 (forward) and 0 (reverse), or two texts per \
    group. A row per group has triplet_id, id_forward and id_reverse (ids joined by ;). verb and noun may be there.\n\n  \
    id,chiral_triplet_id,chiral_label\n  clip7,door,open\n  clip9,door,close\n\n\
    Example: --train my-train.csv --valid my-valid.csv";

const EXAMPLES: &str = "Examples:\n  lift eval-cia --dataset ssv2 --videos ssv2/videos\n  \
    lift eval-cia --train my-train.csv --valid my-valid.csv --embeddings clips.parquet --probe svm\n  \
    lift eval-cia --dataset ssv2 --embeddings ssv2/ --features clip=clip.npy --representation lift,clip,lift+clip\n  \
    lift eval-cia --dataset charades --videos charades/ --reverse-control --figure cia.png\n  \
    lift eval-cia --dataset ssv2 --embeddings ssv2/ --shots 2,4,8,16 --shots-figure shots.png";

fn positive(text: &str) -> Result<f64, String> {
    real(text, |number| number > 0.0, "a number above 0")
}

impl VideoArgs {
    /// The columns that the flags name.
    pub(super) fn columns(&self) -> Columns {
        Columns {
            video: self.video_column.clone(),
            start: self.start_column.clone(),
            end: self.end_column.clone(),
        }
    }
}

impl ProbeArgs {
    /// Whether anything reads LiFT's embedding of the videos.
    pub(super) fn reads_lift(&self) -> bool {
        let names = &self.representation;
        self.reverse_control || names.is_empty() || names.iter().any(|name| reads_lift(name))
    }

    /// Whether anything reads LiFT's embedding of the mirrored videos.
    pub(super) fn reads_mirror(&self) -> bool {
        let names = &self.representation;
        self.reverse_control || names.is_empty() || names.iter().any(|name| reads_mirror(name))
    }
}

impl EvalCiaArgs {
    /// What is measured on every data set.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub(super) fn protocol(&self) -> Result<Protocol, Fatal> {
        let ProbeArgs { probe, alpha, cost, shots, shot_draws, seed, .. } = &self.probe;
        let pool = threads::pool(self.compute.threads());
        Ok(Protocol {
            probe: match probe {
                ProbeKind::Ridge => ProbeMethod::Ridge(*alpha),
                ProbeKind::Logistic => ProbeMethod::Logistic(*cost),
                ProbeKind::Svm => ProbeMethod::Svm(*cost),
            },
            representations: self.probe.representation.clone(),
            reverse_control: self.probe.reverse_control,
            retrieval: self.probe.retrieval,
            draws: ShotDraws {
                shots: shots.iter().map(|shots| shots.get()).collect(),
                draws: shot_draws.get(),
                seed: *seed,
            },
            allow_missing: self.allow_missing,
            pool: pool.map_err(Fatal::input)?,
        })
    }
}
