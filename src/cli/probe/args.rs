//! The flags of `lift probe`.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::compute::ComputeArgs;
use crate::cli::ids::NamedIdArgs;
use crate::cli::models::ModelArgs;
use crate::cli::numbers::real;
use crate::cli::scale::ScaleArgs;
use crate::probe::labels::LabelFiles;
use crate::probe::run::{Classifier, ProbePlan};

/// Probe embeddings with labels of any number of classes
///
/// A linear classifier is fitted on the embeddings of the training videos and scored on those of the test videos. Without a split,
/// every video is scored by a classifier that was fitted without it (folds). --order measures how much a representation
/// depends on the order of the frames. More: lift help probing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, next_help_heading = "Labels")]
pub struct ProbeArgs {
    /// Labels: .csv or .tsv with the columns id,label[,split], or the files of a known data set
    ///
    /// UCF101's trainlist01.txt, the folder of HMDB51's splits, the JSON of Something-Something v2 and the CSV of Kinetics are read as
    /// they are.
    ///
    /// Default: none; needed unless --order is given. Example: --labels labels.csv
    #[arg(long, value_name = "FILE", required_unless_present = "order")]
    labels: Option<PathBuf>,
    /// Labels of the test videos; --labels are then those of the training videos [default: the split in --labels, else folds]
    ///
    /// Example: --labels trainlist01.txt --test testlist01.txt
    #[arg(long, value_name = "FILE", requires = "labels")]
    test: Option<PathBuf>,
    /// List of all classes, which every label must be in: classInd.txt, or a JSON with the classes as keys [default: none]
    ///
    /// Example: --classes classInd.txt
    #[arg(long, value_name = "FILE", requires = "labels")]
    classes: Option<PathBuf>,
    /// Which of HMDB51's splits
    ///
    /// Example: --labels testTrainMulti_7030_splits/ --split 2
    #[arg(long, value_name = "N", default_value_t = 1)]
    split: u32,
    /// Column of the labels that names a video's group; a group stays in one fold [default: none]
    ///
    /// Example: --groups scene
    #[arg(long, value_name = "COLUMN", requires = "labels")]
    groups: Option<String>,
    /// Leave out videos without a row and classes that cannot be both learned and scored, and report them
    #[arg(long)]
    pub(super) allow_missing: bool,
    /// Embeddings that lift embed wrote: a file or a folder [default: none]
    ///
    /// Example: --embeddings ucf101.parquet
    #[arg(long, value_name = "PATH", help_heading = "Features")]
    pub(super) embeddings: Option<PathBuf>,
    /// Features of other programs to probe as well, with ids as lift embed writes them [default: none]
    ///
    /// Example: --features vjepa=vjepa.npy
    #[arg(long, value_name = "NAME=FILE", help_heading = "Features")]
    pub(super) features: Vec<String>,
    #[command(flatten, next_help_heading = "Features")]
    pub(super) ids: NamedIdArgs,
    /// Representations to probe, separated by commas; each is compared with the first [default: see --help]
    ///
    /// lift, odd, even, static, dynamic, mean, frames-mean, frames-concat, a name given with --features, or several joined as a+b.
    /// Default: of lift, odd, lift+odd, frames-mean, frames-concat and the names given with --features, those that are there.
    ///
    /// Example: --representation vjepa,vjepa+lift
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Probe")]
    pub(super) representation: Vec<String>,
    #[command(flatten, next_help_heading = "Probe")]
    pub(super) scale: ScaleArgs,
    /// Classifier
    ///
    /// Example: --probe logistic
    #[arg(long, value_enum, default_value = "ridge", help_heading = "Probe")]
    probe: ClassifierKind,
    /// Penalty of the ridge classifier; of a list, the best in cross-validation on the training videos
    ///
    /// Example: --alpha 0.1,1,10,100
    #[arg(long, value_name = "NUMBER,...", value_delimiter = ',', default_values_t = [1.0], value_parser = positive, help_heading = "Probe")]
    alpha: Vec<f64>,
    /// Inverse penalty C of logistic regression; of a list, the best in cross-validation on the training videos
    ///
    /// Example: --probe logistic --cost 0.1,1,10
    #[arg(long, visible_alias = "C", value_name = "NUMBER,...", value_delimiter = ',', default_values_t = [1.0], value_parser = positive, help_heading = "Probe")]
    cost: Vec<f64>,
    /// Folds of the cross-validation
    ///
    /// Example: --folds 10
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = folds, help_heading = "Probe")]
    folds: usize,
    /// Seed of the folds, the 95 % intervals and the orders of frames
    ///
    /// Example: --seed 7
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Probe")]
    seed: u64,
    /// Also measure how much changes when the frames are reversed, and when they are shuffled in 1, 2, 4, 8 and 16 chunks
    ///
    /// It needs the part frames (lift embed --parts concat,frames). LiFT's embeddings are computed again of these, with the model
    /// that the flags name. With labels, the classifier is also scored on the changed test videos.
    #[arg(long, help_heading = "Order of the frames")]
    pub(super) order: bool,
    /// Draws of each order
    ///
    /// Example: --order --order-draws 10
    #[arg(long, value_name = "N", default_value = "3", help_heading = "Order of the frames")]
    pub(super) order_draws: NonZeroU64,
    /// Write the report as .json, .csv, .md or .tex; repeatable [default: tables on standard output only]
    ///
    /// Example: -o probe.md -o probe.json
    #[arg(short, long, value_name = "FILE", help_heading = "Report")]
    pub(super) output: Vec<PathBuf>,
    /// Draw the confusion matrix, or of more than 30 classes those that gain and lose most, .png, .svg or .pdf [default: no picture]
    ///
    /// Example: --figure probe.png
    #[arg(long, value_name = "FILE", requires = "labels", help_heading = "Report")]
    pub(super) figure: Option<PathBuf>,
    /// Write what every test video was taken for, as CSV [default: none]
    ///
    /// Example: --predictions predictions.csv
    #[arg(long, value_name = "FILE", requires = "labels", help_heading = "Report")]
    pub(super) predictions: Option<PathBuf>,
    /// Add the paper's accuracies on a data set to the table; they are read off the authors' charts [default: none]
    ///
    /// Example: --published ucf101
    #[arg(long, value_enum, value_name = "SET", requires = "labels", help_heading = "Report")]
    pub(super) published: Option<PublishedSet>,
    /// Replace existing files
    #[arg(long, help_heading = "Report")]
    pub(super) overwrite: bool,
    #[command(flatten)]
    pub(super) models: ModelArgs,
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ClassifierKind {
    /// scikit-learn's RidgeClassifier
    Ridge,
    /// Multinomial logistic regression, fully converged
    Logistic,
}

/// The data sets that the paper has linear probes of.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum PublishedSet {
    /// Kinetics-400
    K400,
    /// UCF101
    Ucf101,
    /// HMDB51
    Hmdb51,
    /// Something-Something v2
    Ssv2,
}

impl PublishedSet {
    /// Its name in the table of published figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::K400 => "k400",
            Self::Ucf101 => "ucf101",
            Self::Hmdb51 => "hmdb51",
            Self::Ssv2 => "ssv2",
        }
    }
}

const EXAMPLES: &str = "Examples:\n  lift probe --labels labels.csv --embeddings clips.parquet\n  \
    lift probe --labels trainlist01.txt --test testlist01.txt --embeddings ucf101/ --alpha 1,10,100 --published ucf101\n  \
    lift probe --labels splits/ --embeddings hmdb51/ --features vjepa=v.npy --representation vjepa,vjepa+lift\n  \
    lift probe --labels train.json --test validation.json --embeddings ssv2/ --probe logistic --figure probe.png\n  \
    lift probe --order --embeddings clips.parquet";

fn positive(text: &str) -> Result<f64, String> {
    real(text, |number| number > 0.0, "a number above 0")
}

fn folds(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&folds: &usize| folds >= 2).ok_or_else(|| "expected 2 or more".to_owned())
}

impl ProbeArgs {
    /// The files of labels, if they are given.
    pub(super) fn labels(&self) -> Option<LabelFiles> {
        Some(LabelFiles {
            column: None,
            labels: self.labels.clone()?,
            test: self.test.clone(),
            classes: self.classes.clone(),
            split: self.split,
            groups: self.groups.clone(),
        })
    }

    /// How representations are probed.
    pub(super) fn plan(&self) -> ProbePlan {
        let (classifier, settings) = match self.probe {
            ClassifierKind::Ridge => (Classifier::Ridge, &self.alpha),
            ClassifierKind::Logistic => (Classifier::Logistic, &self.cost),
        };
        ProbePlan { classifier, settings: settings.clone(), folds: self.folds, seed: self.seed }
    }
}
