//! The flags of `lift plot`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::cli::compute::ComputeArgs;
use crate::cli::limits::LimitArgs;
use crate::cli::models::ModelArgs;
use crate::cli::numbers::real;
use crate::cli::range::{KeyframesArgs, RangeArgs};
use crate::plot::figures::{FIGURES, named};
use crate::plot::{Figure, Half, Method};

/// Draw the path of a video's frames through feature space, and the line LiFT makes of it
///
/// Reads videos, or features with the parts frames,reconstructed (lift embed --parts frames,reconstructed -o FILE.npz),
/// which need no model.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct PlotArgs {
    /// Videos, folders (searched), patterns, or features: files (.npz, .safetensors, .parquet, .jsonl) or a dataset's folder
    #[arg(value_name = "INPUT", required = true)]
    pub(super) inputs: Vec<PathBuf>,
    /// The picture: .png, .svg, .pdf, .gif, .mp4, or .html for a page to explore [default: NAME.lift.png]
    ///
    /// .gif and .mp4 are animations: the video on the left, its path growing on the right. An .mp4 is H.264 if the FFmpeg
    /// inside lift can write it, else MPEG-4 (`lift synth --help` says why). The .html page is one file that needs no network.
    ///
    /// Example: -o path.svg
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(super) output: Option<PathBuf>,
    /// What to draw [default: compare for several clips, trajectory for one]
    ///
    /// Example: --figure similarity
    #[arg(long, value_parser = figures(), help_heading = "Look")]
    pub(super) figure: Option<&'static Figure>,
    #[command(flatten)]
    pub(super) look: LookArgs,
    #[command(flatten)]
    pub(super) clips: ClipArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
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

/// How the figure looks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Look")]
pub(super) struct LookArgs {
    /// How features become points of the plane [default: tsne for one clip, pca for several]
    ///
    /// Example: --method pca
    #[arg(long, value_enum)]
    pub(super) method: Option<Method>,
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
    pub(super) show: Vec<Half>,
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

/// Which clips are drawn.
#[derive(Debug, Args)]
#[command(next_help_heading = "Clips")]
pub(super) struct ClipArgs {
    /// Frames per video, evenly spaced from first to last; at least 2
    ///
    /// Example: --frames 32
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=256))]
    pub(super) frames: u16,
    #[command(flatten)]
    pub(super) range: RangeArgs,
    #[command(flatten)]
    pub(super) key: KeyframesArgs,
    /// Accept a truncated or damaged file, and take the frames that are there
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

/// Takes the name of a figure of the list.
fn figures() -> impl TypedValueParser<Value = &'static Figure> {
    let names = FIGURES.iter().map(|figure| PossibleValue::new(figure.name).help(figure.about));
    PossibleValuesParser::new(names).try_map(|name| named(&name).ok_or("there is no such figure"))
}

impl LookArgs {
    /// The paths to show, each once, the features first.
    pub(super) fn halves(&self) -> Vec<Half> {
        [Half::Features, Half::Reconstruction].into_iter().filter(|half| self.show.contains(half)).collect()
    }
}

fn parse_perplexity(text: &str) -> Result<f64, String> {
    real(text, |perplexity| perplexity >= 1.0, "a number, at least 1")
}

fn parse_dpi(text: &str) -> Result<f64, String> {
    real(text, |dpi| (24.0..=600.0).contains(&dpi), "dots per inch, 24 to 600")
}
