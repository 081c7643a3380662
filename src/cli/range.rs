//! The range of a clip and its key frames, shared by the commands that read a part of a video.

use clap::Args;

use super::numbers::moment;
use crate::inputs::Range;
use crate::video::RangeBy;

/// Where a clip starts and ends.
#[derive(Debug, Args)]
pub(super) struct RangeArgs {
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
    /// How seconds name frames: of --start and --end, of windows and of lists
    ///
    /// By time, they name the frames that are shown then. By fps, they are multiplied by the file's average frame rate, as the
    /// authors' code does. Both give the same frames where the rate is constant.
    ///
    /// Example: --range-by fps
    #[arg(long, value_enum, value_name = "RULE", default_value_t = RangeBy::Time)]
    pub(super) range_by: RangeBy,
}

/// Key frames in place of exact frames.
#[derive(Debug, Args)]
pub(super) struct KeyframesArgs {
    /// Take the nearest key frame in place of each frame: much faster, sensible for videos of minutes, not of seconds
    ///
    /// A key frame is decoded by itself, so nothing else of the video is decoded. Other frames give another embedding: compare rows
    /// that were made with this flag with each other only. A video has a key frame every few seconds, so a clip of seconds would
    /// repeat one or two. A clip or window of which fewer than 2 different frames would remain keeps its exact frames, with a note.
    #[arg(long)]
    pub(super) keyframes: bool,
}

impl RangeArgs {
    /// The range, for inputs that have none of their own.
    pub(super) fn range(&self) -> Range {
        Range { start: self.start, end: self.end }
    }
}
