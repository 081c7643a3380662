//! The flags of `lift embed`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::cli::compute::ComputeArgs;
use crate::cli::ids::IdArgs;
use crate::cli::limits::{LimitArgs, length};
use crate::cli::models::ModelArgs;
use crate::cli::numbers::real;
use crate::cli::range::{KeyframesArgs, RangeArgs};
use crate::embed::Engine;
use crate::inputs::Shard;
use crate::rows::{Dims, Part};
use crate::video::{Request, Sampling, Window};

/// Embed videos: 16 frames each, as [static, dynamic], 768 numbers
///
/// A broken video never ends a run and never yields an embedding: it is reported on standard error, listed with its cause in
/// FILE.rows.csv, and makes the exit code 1.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG_EXAMPLES)]
pub(in crate::cli) struct EmbedArgs {
    /// Videos, folders (searched), patterns, or - for a list on standard input; or one file of frame features
    ///
    /// Of frame features (B, T, D) in .npy, .npz, .safetensors, .parquet or .jsonl, or in the folder of a dataset, LiFT computes the
    /// parts, and no video is read. FILE#ARRAY names one array of several.
    #[arg(value_name = "INPUT", required_unless_present_any = ["list", "stream"])]
    pub(super) inputs: Vec<PathBuf>,
    /// A list of videos: one path per line, or CSV/TSV with the column path [default: the INPUTs alone]
    ///
    /// Optional columns: id, and start and end in seconds; --keep keeps others. Relative paths start at the working directory; those that
    /// are not there start at the list's folder. - reads the list from standard input.
    ///
    /// Example: --list clips.csv
    #[arg(long, value_name = "FILE", help_heading = "Inputs")]
    pub(super) list: Vec<PathBuf>,
    /// Columns of the list that travel with its clips, as texts, separated by commas [default: none]
    ///
    /// They stand in the companion, in .parquet and .jsonl, in a dataset and its merges, and in the answers of searches. A dataset that
    /// has others, or none, takes them over with --update: nothing is embedded again for that.
    ///
    /// Example: --list clips.csv --keep label,source
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = "Inputs")]
    pub(super) keep: Vec<String>,
    #[command(flatten, next_help_heading = "Inputs")]
    pub(super) ids: IdArgs,
    #[command(flatten)]
    pub(super) sampling: SamplingArgs,
    #[command(flatten)]
    pub(super) models: ModelArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) runs: RunArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
}

/// Which frames of a video are taken.
#[derive(Debug, Args)]
#[command(next_help_heading = "Frames")]
pub(super) struct SamplingArgs {
    /// Frames per video, evenly spaced from first to last, or 'all'; at least 2
    ///
    /// Example: --frames 32
    #[arg(long, value_name = "N|all", default_value = "16", value_parser = parse_frames)]
    pub(super) frames: Sampling,
    /// Frames per second of video, instead of a number of frames [default: what --frames says]
    ///
    /// Example: --fps 2
    #[arg(long, value_name = "RATE", conflicts_with = "frames", value_parser = parse_rate)]
    pub(super) fps: Option<f64>,
    #[command(flatten)]
    pub(super) range: RangeArgs,
    #[command(flatten)]
    pub(super) key: KeyframesArgs,
    /// Mirror the clip in time: the last frame first
    #[arg(long)]
    pub(super) reverse: bool,
    /// Accept a truncated or damaged file, and take the frames that are there
    #[arg(long)]
    pub(super) allow_truncated: bool,
    /// Cut each video into windows of this many seconds, one row per window [default: one row per video]
    ///
    /// The id of a row is the video's id, #, and the window's number. The file is decoded once. Windows lie wholly within the
    /// clip; a clip that is shorter than a window is one window.
    ///
    /// Example: --window 10
    #[arg(long, value_name = "SECONDS", value_parser = length)]
    pub(super) window: Option<f64>,
    /// Seconds from the start of one window to the next [default: the window, so that they do not overlap]
    ///
    /// Example: --window 10 --stride 5
    #[arg(long, value_name = "SECONDS", requires = "window", value_parser = length)]
    pub(super) stride: Option<f64>,
}

/// What is written, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Where the rows go: .npy, .npz, .safetensors, .parquet, .jsonl, - for JSON lines, or DIR/ for a dataset
    ///
    /// A dataset is a folder of parts, for very many videos: rerun the same command to resume an interrupted run.
    /// Default: JSON lines where standard output is a pipe or a file; on a terminal NAME.lift.npy for one video and
    /// embeddings.npy for several (.npz for several parts), in the working directory.
    ///
    /// Example: -o clips.parquet
    #[arg(short, long, value_name = "FILE|DIR/")]
    pub(super) output: Option<PathBuf>,
    /// What to write, separated by commas: concat, static, dynamic, reversed, odd, even, reconstructed, frames, mean
    ///
    /// reversed is the embedding of the clip mirrored in time, odd the half of concat that changes its sign with the
    /// direction of time, and even the half that keeps it. They need one more pass of LiFT, over the same frames. frames
    /// and mean need no LiFT.
    /// `lift help formats` has every part's shape.
    ///
    /// Example: --parts concat,frames
    #[arg(long, value_name = "PARTS", value_delimiter = ',', default_value = "concat")]
    pub(super) parts: Vec<Part>,
    /// Scale every vector to unit length
    #[arg(long)]
    pub(super) normalize: bool,
    /// Replace an existing output
    #[arg(long)]
    pub(super) overwrite: bool,
}

/// How a long run is divided, resumed and ended.
#[derive(Debug, Args)]
#[command(next_help_heading = "Long runs")]
pub(super) struct RunArgs {
    /// Inputs per part of a dataset
    ///
    /// Example: --shard-size 5000
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(super) shard_size: NonZeroUsize,
    /// Format of a dataset's parts
    ///
    /// Example: --format safetensors
    #[arg(long, value_enum, default_value_t = PartFormat::Parquet)]
    pub(super) format: PartFormat,
    /// Embed only the inputs of shard I of N, counted from 0; auto reads the cluster's environment [default: all]
    ///
    /// They go into DIR/shard-I-of-N/. Which shard an input belongs to depends on its id alone. auto reads Slurm's array
    /// (SLURM_ARRAY_TASK_ID, _MIN, _STEP, _COUNT), SLURM_PROCID and SLURM_NTASKS, JOB_COMPLETION_INDEX with LIFT_SHARDS, RANK and
    /// WORLD_SIZE. A pair that counts one task gives way to the others; two that name different shards are an error.
    ///
    /// Example: --shard 3/16
    #[arg(long, value_name = "I/N|auto")]
    pub(super) shard: Option<ShardArg>,
    /// Follow a list that has changed: embed what is new or changed in DIR/, and keep the rest
    ///
    /// An input has changed if its range, its path, or the size or time of its file is another. Settings and models must be those of the
    /// dataset. What is there stays readable until the new state is complete; rerun the same command to resume. Inputs that are in the
    /// list no more keep their rows, behind those of the list. Embeds all inputs where there is no dataset yet.
    #[arg(long)]
    pub(super) update: bool,
    /// With --update, drop the rows of inputs that are in the list no more
    #[arg(long, requires = "update")]
    pub(super) prune: bool,
    /// With --update, compare files by their content where their size and time do not agree
    ///
    /// The dataset keeps a digest of every file that is embedded with this flag, which reads the file once more: give it from the first run
    /// on. A file that was moved or copied, and has its id still, is not embedded again.
    #[arg(long, requires = "update")]
    pub(super) by_content: bool,
    /// Try the inputs again that failed in an earlier run into this dataset
    #[arg(long)]
    pub(super) retry_failed: bool,
    /// Stop when more than N inputs of this run have failed [default: never]
    ///
    /// Example: --max-failures 100
    #[arg(long, value_name = "N")]
    pub(super) max_failures: Option<usize>,
    /// Print what would be embedded, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Serve requests: JSON lines on standard input, one answer each on standard output [default: embed INPUTs]
    ///
    /// A request is {"path": ...}, optionally with "id", "start", "end", "frames" and "parts". The models are loaded once, and answers come in the
    /// order of the requests. A failed input is an answer with its error. arrow answers in an Arrow IPC stream.
    ///
    /// Example: lift embed --stream < requests.jsonl > answers.jsonl
    #[arg(
        long, value_enum, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "jsonl",
        conflicts_with_all = [
            "inputs", "list", "output", "shard", "dry_run", "retry_failed", "overwrite", "max_failures", "shard_size", "format",
            "ids", "id_column", "update", "keep"
        ]
    )]
    pub(super) stream: Option<StreamFormat>,
}

/// The formats of a dataset's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PartFormat {
    /// Columns and lists, as pandas, DuckDB and Spark read them
    Parquet,
    /// Tensors, to be mapped into memory
    Safetensors,
}

/// The formats of a stream's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StreamFormat {
    /// One JSON object per line
    Jsonl,
    /// An Arrow IPC stream, one record batch per answer
    Arrow,
}

/// Which shard, as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShardArg {
    /// This one.
    Of(Shard),
    /// The one that the environment names.
    Auto,
}

impl FromStr for ShardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Of) }
    }
}

const EXAMPLES: &str = "Examples:\n  lift embed video.mp4\n  lift embed clips/ -o clips.parquet\n  \
    find . -name '*.webm' | lift embed - -o all.npz --parts concat,frames";

const LONG_EXAMPLES: &str = "Examples:\n  lift embed video.mp4                       one video\n  \
    lift embed clips/ -o clips.parquet         a folder into a table\n  \
    lift embed --list clips.csv -o clips.npy   rows path,id,start,end\n  \
    lift embed clips/ --parts frames -o x.npz  the frame encoder's features\n  \
    lift embed --list all.csv -o out/          very many: may be stopped and resumed\n\nExit codes: see lift --help";

impl SamplingArgs {
    /// What is asked of each video; `most` is the number of frames that LiFT can read.
    pub(super) fn request(&self, most: Option<usize>, max_pixels: u64) -> Request {
        Request {
            most,
            window: self.window.map(|length| Window { length, stride: self.stride.unwrap_or(length) }),
            max_pixels: Some(max_pixels),
            sampling: self.fps.map_or(self.frames, Sampling::Fps),
            range_by: self.range.range_by,
            keyframes: self.key.keyframes,
            reverse: self.reverse,
            allow_truncated: self.allow_truncated,
            // Videos are decoded side by side, one thread each.
            threads: 1,
            groups: 1,
            ..Request::default()
        }
    }

    /// What the flags fix for all rows, with the sizes that the models have.
    pub(super) fn dims(&self, engine: &Engine) -> Dims {
        Dims { key_frames: self.key.keyframes, ..engine.dims(self.fixed()) }
    }

    /// The number of frames every clip has, if the flags fix one.
    pub(super) fn fixed(&self) -> Option<usize> {
        match (self.fps, self.frames) {
            (None, Sampling::Count(n)) => Some(n),
            _ => None,
        }
    }
}

pub(super) fn parse_frames(text: &str) -> Result<Sampling, String> {
    match text.parse() {
        _ if text == "all" => Ok(Sampling::All),
        Ok(n) if n >= 2 => Ok(Sampling::Count(n)),
        Ok(_) => Err("a clip needs at least 2 frames to have a direction in time".into()),
        Err(_) => Err("expected a whole number of frames, at least 2, or 'all'".into()),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    real(text, |rate| rate > 0.0, "frames per second above 0")
}
