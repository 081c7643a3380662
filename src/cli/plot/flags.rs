//! The flags of `lift plot`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::cli::compute::ComputeArgs;
use crate::cli::models::ModelArgs;
use crate::cli::numbers::{moment, real};

/// Draw the path of a video's frames through feature space, and the line LiFT makes of it
///
/// Reads videos, or a file with the parts frames,reconstructed (lift embed --parts frames,reconstructed -o FILE.npz),
/// which needs no model.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct PlotArgs {
    /// Videos, folders (searched), patterns, or files of features (.npz, .safetensors, .parquet, .jsonl)
    #[arg(value_name = "INPUT", required = true)]
    pub(super) inputs: Vec<PathBuf>,
    /// The picture: .png, .svg, .gif, .mp4, or .html for a page to explore [default: NAME.lift.png]
    ///
    /// .gif and .mp4 are animations: the video on the left, its path growing on the right. The .html page is one file that
    /// needs no network.
    ///
    /// Example: -o path.svg
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(super) output: Option<PathBuf>,
    /// What to draw [default: compare for several clips, trajectory for one]
    ///
    /// Example: --figure similarity
    #[arg(long, value_enum, help_heading = "Look")]
    pub(super) figure: Option<Figure>,
    #[command(flatten)]
    pub(super) look: LookArgs,
    #[command(flatten)]
    pub(super) clips: ClipArgs,
    #[command(flatten)]
    pub(super) models: ModelArgs,
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
    /// Print distances and curvature, one JSON object per clip; draws only if -o is given
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
    /// Replace an existing output
    #[arg(long, help_heading = "Output")]
    pub(super) overwrite: bool,
}

/// How it looks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Look")]
pub(super) struct LookArgs {
    /// How features become points of the plane [default: tsne for one clip, pca for several]
    ///
    /// Example: --method pca
    #[arg(long, value_enum)]
    pub(super) method: Option<MethodFlag>,
    /// Seed of t-SNE; the same seed gives the same picture
    ///
    /// Example: --seed 7
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
    /// Perplexity of t-SNE; it is lowered if there are few frames
    ///
    /// Example: --perplexity 10
    #[arg(long, value_name = "P", default_value_t = 30.0, value_parser = parse_perplexity)]
    pub(super) perplexity: f64,
    /// Which paths, separated by commas: frames, lift
    ///
    /// Example: --show lift
    #[arg(long, value_enum, value_name = "PATHS", value_delimiter = ',', default_value = "frames,lift")]
    pub(super) show: Vec<Show>,
    /// Title of the figure [default: the clip's id]
    ///
    /// Example: --title "opening a door"
    #[arg(long, value_name = "TEXT")]
    pub(super) title: Option<String>,
    /// Dots per inch; at 96 a figure is 900 pixels wide [default: 144 for .png, 96 for .gif and .mp4]
    ///
    /// Example: --dpi 300, for print
    #[arg(long, value_name = "DPI", value_parser = parse_dpi)]
    pub(super) dpi: Option<f64>,
}

/// Which clips.
#[derive(Debug, Args)]
#[command(next_help_heading = "Clips")]
pub(super) struct ClipArgs {
    /// Frames per video, evenly spaced from first to last; at least 2
    ///
    /// Example: --frames 32
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=256))]
    pub(super) frames: u16,
    /// Where the clip starts, in seconds [default: at its first frame]
    ///
    /// Example: --start 1.5
    #[arg(long, value_name = "SECONDS", value_parser = moment)]
    pub(super) start: Option<f64>,
    /// Where the clip ends, in seconds [default: at its last frame]
    ///
    /// Example: --end 4
    #[arg(long, value_name = "SECONDS", value_parser = moment)]
    pub(super) end: Option<f64>,
    /// Take the frames that are there of a truncated or damaged file
    #[arg(long)]
    pub(super) allow_truncated: bool,
    /// Also draw each clip mirrored in time
    #[arg(long)]
    pub(super) with_reverse: bool,
    /// Draw only this clip of a file of features; may be repeated [default: every clip]
    ///
    /// Example: --id door_opening --id door_closing
    #[arg(long, value_name = "ID")]
    pub(super) id: Vec<String>,
}

const EXAMPLES: &str = "Examples:\n  lift plot video.mp4\n  lift plot video.mp4 --with-reverse --method pca -o both.svg\n  \
    lift plot video.mp4 -o video.html\n  lift plot door_opening.mp4 door_closing.mp4 -o doors.png\n  \
    lift plot video.mp4 --figure line --json";

/// The kinds of figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Figure {
    /// The paths of one clip, with its frames
    Trajectory,
    /// The paths of several clips in one projection
    Compare,
    /// How far each frame is from the line, and how curved the paths are
    Line,
    /// How alike the frames are, each with each
    Similarity,
    /// The video beside its growing path (.gif, .mp4)
    Animation,
}

impl Figure {
    /// As it is written on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Trajectory => "trajectory",
            Self::Compare => "compare",
            Self::Line => "line",
            Self::Similarity => "similarity",
            Self::Animation => "animation",
        }
    }

    /// Whether it shows one clip only.
    pub(super) fn of_one(self) -> bool {
        self != Self::Compare
    }
}

/// See [`Method`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum MethodFlag {
    /// Principal components: keeps distances
    Pca,
    /// t-SNE: keeps neighbours together
    Tsne,
}

/// See [`Half`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Show {
    /// The frame features
    Frames,
    /// LiFT's reconstruction
    Lift,
}

/// How the picture is written, by its file's extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Png,
    Svg,
    Gif,
    Mp4,
    Html,
}

impl Kind {
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "svg" => Some(Self::Svg),
            "gif" => Some(Self::Gif),
            "mp4" => Some(Self::Mp4),
            "html" | "htm" => Some(Self::Html),
            _ => None,
        }
    }

    pub(super) fn moves(self) -> bool {
        matches!(self, Self::Gif | Self::Mp4)
    }
}

fn parse_perplexity(text: &str) -> Result<f64, String> {
    real(text, |perplexity| perplexity >= 1.0, "a number, at least 1")
}

fn parse_dpi(text: &str) -> Result<f64, String> {
    real(text, |dpi| (24.0..=600.0).contains(&dpi), "dots per inch, 24 to 600")
}
