//! The limits on a single video, shared by every command that reads videos.

use std::time::Duration;

use clap::Args;

use super::numbers::real;

/// The most pixels of a picture by default: 16K video has 133 million.
const MAX_PIXELS: u64 = 1 << 27;

/// What a single video may cost.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// Refuse videos whose pictures have more pixels than this
    ///
    /// Example: --max-pixels 33177600, for nothing larger than 8K
    #[arg(long, value_name = "PIXELS", default_value_t = MAX_PIXELS)]
    pub(super) max_pixels: u64,
    /// Give up on a video that is not read within so many seconds (a hanging decoder) [default: never]
    ///
    /// The time that the networks take does not count.
    ///
    /// Example: --timeout 600
    #[arg(long, value_name = "SECONDS", value_parser = length)]
    timeout: Option<f64>,
}

impl LimitArgs {
    /// How long reading one video may take, if that is limited.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs_f64)
    }
}

/// A length of time above 0.
pub(super) fn length(text: &str) -> Result<f64, String> {
    real(text, |seconds| seconds > 0.0, "seconds above 0")
}
