//! The flags of `lift plot`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::cli::compute::ComputeArgs;
use crate::cli::ids::IdArgs;
use crate::cli::limits::LimitArgs;
use crate::cli::models::ModelArgs;
use crate::cli::numbers::real;
use crate::cli::range::{KeyframesArgs, RangeArgs};
use crate::plot::figures::{FIGURES, named};
use crate::plot::{Figure, Half, Method};

/// Draw the path of a video's frames through feature space, and the line LiFT makes of it
///
/// Reads videos, or features with the parts frames,reconstructed (lift embed --parts frames,reconstructed -o FILE.npz),
/// which need no model. With --figure map it shows a whole collection instead: what lift embed writes, or any matrix with ids.
/// More: lift help figures.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct PlotArgs {
    /// Videos, folders (searched), patterns, or features: files (.npz, .safetensors, .parquet, .jsonl) or a dataset's folder
    #[arg(value_name = "INPUT", required = true)]
    pub(super) inputs: Vec<PathBuf>,
    /// The picture: .png, .svg, .pdf, .gif, .mp4, or .html for a page to explore [default: NAME.lift.png]
    ///
    /// A map is a .png, .svg or .pdf, an .html page of at most 1000 clips, or a folder (DIR/) that any browser opens. .gif and .mp4
    /// are animations: the video on the left, its path growing on the right. An .mp4 is H.264 if the FFmpeg
    /// inside lift can write it, else MPEG-4 (`lift synth --help` says why). The .html page is one file that needs no network.
    ///
    /// Example: -o path.svg
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(super) output: Option<PathBuf>,
    /// What to draw [default: compare for several clips, trajectory for one]
    ///
    /// Example: --figure similarity
    #[arg(long, value_parser = figures(), help_heading = "Look")]
    pub(super) figure: Option<FigureChoice>,
    #[command(flatten)]
    pub(super) look: LookArgs,
    #[command(flatten)]
    pub(super) map: MapArgs,
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
    /// How features become points of the plane [default: tsne for one clip and for a map, pca for several clips]
    ///
    /// Example: --method pca
    #[arg(long, value_enum)]
    pub(super) method: Option<Method>,
    /// Seed of t-SNE, and of a map's groups and sample; the same seed gives the same picture
    ///
    /// Example: --seed 7
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
    /// Perplexity of t-SNE; it is lowered if there are few frames, or few clips of a map
    ///
    /// Example: --perplexity 10
    #[arg(long, value_name = "P", default_value_t = 30.0, value_parser = parse_perplexity)]
    pub(super) perplexity: f64,
    /// Which paths, separated by commas: frames, lift
    ///
    /// Example: --show lift
    #[arg(long, value_enum, value_name = "PATHS", value_delimiter = ',', default_value = "frames,lift")]
    pub(super) show: Vec<Half>,
    /// Title of the figure [default: the clip's id, or the collection's path]
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

/// What a map of a collection shows.
#[derive(Debug, Args)]
#[command(next_help_heading = "Map (--figure map)")]
pub(super) struct MapArgs {
    /// What puts clips near each other: all (the whole embedding), odd (the motion), even, or another part of lift search
    ///
    /// Default: all. Example: --by odd
    #[arg(long, value_name = "NAME")]
    pub(super) by: Option<String>,
    /// Labels that give the points their colours, in any form that lift probe reads [default: groups of similar clips]
    ///
    /// Example: --labels labels.csv
    #[arg(long, value_name = "FILE", conflicts_with = "clusters")]
    pub(super) labels: Option<PathBuf>,
    /// The column of --labels [default: label]
    ///
    /// Example: --label scene
    #[arg(long, value_name = "COLUMN", requires = "labels")]
    pub(super) label: Option<String>,
    /// How many groups of similar clips are coloured, found by k-means with --seed [default: 8]
    ///
    /// Example: --clusters 12
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) clusters: Option<u16>,
    /// The folder where the videos are now, if they were moved [default: their paths in the collection]
    ///
    /// A video is looked for by its whole path in this folder, then by ever shorter ends of it. Example: --videos /mnt/clips
    #[arg(long, value_name = "DIR")]
    pub(super) videos: Option<PathBuf>,
    /// The most clips that are shown; of more, a sample by --seed [default: 50000]
    ///
    /// Example: --points 10000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(super) points: Option<u32>,
    #[command(flatten, next_help_heading = "Map of a collection")]
    pub(super) ids: IdArgs,
}

impl MapArgs {
    /// The first of these flags that is given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--by", self.by.is_some()),
            ("--labels", self.labels.is_some()),
            ("--clusters", self.clusters.is_some()),
            ("--videos", self.videos.is_some()),
            ("--points", self.points.is_some()),
            ("--ids or --id-column", self.ids.is_given()),
        ];
        flags.into_iter().find_map(|(flag, given)| given.then_some(flag))
    }
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
    lift plot all.parquet --figure map --by odd -o map/";

/// What `--figure` names.
#[derive(Debug, Clone, Copy)]
pub(super) enum FigureChoice {
    /// A figure of the paths of clips.
    Paths(&'static Figure),
    /// The map of a collection.
    Map,
}

/// Takes the name of a figure of the list, or `map`.
fn figures() -> impl TypedValueParser<Value = FigureChoice> {
    let names = FIGURES.iter().map(|figure| PossibleValue::new(figure.name).help(figure.about));
    let map =
        PossibleValue::new("map").help("All clips of a collection as points; clips that are alike are near");
    PossibleValuesParser::new(names.chain([map])).try_map(|name| match name.as_str() {
        "map" => Ok(FigureChoice::Map),
        name => named(name).map(FigureChoice::Paths).ok_or("there is no such figure"),
    })
}

impl PlotArgs {
    /// The figure of the paths of clips, if one is named.
    pub(super) fn figure_of_paths(&self) -> Option<&'static Figure> {
        match self.figure {
            Some(FigureChoice::Paths(figure)) => Some(figure),
            Some(FigureChoice::Map) | None => None,
        }
    }
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
