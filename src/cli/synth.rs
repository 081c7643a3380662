//! `lift synth`: draws a chiral data set.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use anyhow::anyhow;
use clap::Args;

use super::progress::Progress;
use super::signals::Signals;
use super::{Verbosity, report};
use crate::exit::{Exit, Fatal};
use crate::files::display_path;
use crate::guard::lock;
use crate::synth::{self, Contrast, Style, SynthConfig, SynthError};
use crate::threads;

/// Draw short clips in opposite pairs (opening/closing, up/down, ...) and the CSVs that list them
///
/// A clip of one class played backwards is a clip of the other class, so only the order of the frames tells them apart.
/// Writes DIR/clips/ID.mp4; the CSVs of the Chirality in Action benchmark in both forms,
/// DIR/chiral_groups-synth-{train,validation}.csv and DIR/cia-synth-{train,validation}.csv; and DIR/settings.toml, a file
/// for --config. The same flags give the same bytes on one machine.
///
/// The clips are H.264 if the FFmpeg inside lift has x264, else VP9 or MPEG-4. The programs of a release write MPEG-4: x264 is
/// under the GPL, and Cisco pays the H.264 patent fees of OpenH264 only for the binaries that Cisco itself distributes.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  lift synth -o set/                               nine groups, to try things on\n  \
    lift synth -o set/ --groups 3 --per-class 50     fewer pairs, more clips of each\n  \
    lift synth -o hard/ --contrast hard              objects and backgrounds from one palette\n  \
    lift synth -o rooms/ --style rich                rooms with furniture, light and a moving camera\n  \
    lift eval-cia --train set/cia-synth-train.csv --valid set/cia-synth-validation.csv --videos set/clips --model mini"
)]
pub struct SynthArgs {
    /// Folder to write; it appears when it is complete
    ///
    /// Example: -o set/
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub output: PathBuf,
    /// Number of opposite pairs: one of each of the nine kinds, then the next object of each kind
    ///
    /// Example: --groups 18
    #[arg(long, default_value_t = 9, value_name = "N", help_heading = "Clips")]
    pub groups: usize,
    /// Number of training clips of each class of each pair
    ///
    /// Example: --per-class 50
    #[arg(long, default_value_t = 20, value_name = "N", help_heading = "Clips")]
    pub per_class: usize,
    /// Number of validation clips of each class of each pair
    ///
    /// Example: --valid-per-class 20
    #[arg(long, default_value_t = 10, value_name = "N", help_heading = "Clips")]
    pub valid_per_class: usize,
    /// Side of a frame in pixels, even, 160 to 320
    ///
    /// Example: --size 320
    #[arg(long, default_value_t = 224, value_name = "PIXELS", help_heading = "Clips")]
    pub size: usize,
    /// Seed of all random numbers: the same seed gives the same clips
    ///
    /// Example: --seed 7
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Clips")]
    pub seed: u64,
    /// How far objects stand out from their backgrounds
    ///
    /// Example: --contrast hard
    #[arg(long, value_enum, default_value = "salient", help_heading = "Clips")]
    pub contrast: Contrast,
    /// What is around the motion
    ///
    /// Example: --style rich
    #[arg(long, value_enum, default_value = "plain", help_heading = "Clips")]
    pub style: Style,
    /// Replace the folder if `lift synth` wrote it
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,
}

impl SynthArgs {
    fn config(&self) -> SynthConfig {
        SynthConfig {
            groups: self.groups,
            per_class: self.per_class,
            valid_per_class: self.valid_per_class,
            size: self.size,
            seed: self.seed,
            contrast: self.contrast,
            style: self.style,
        }
    }
}

/// Draws the data set.
pub(super) fn run(args: &SynthArgs, verbosity: &Verbosity) -> Result<Exit, Fatal> {
    let config = args.config();
    let signals = Signals::listen()?;
    let progress = Mutex::new((Progress::new(config.clips(), verbosity.quiet), 0));
    let pool = threads::pool(threads::available()).map_err(Fatal::input)?;
    let written = pool.install(|| {
        synth::write(&config, &args.output, args.overwrite, |now| {
            // If a thread panicked, only the count of the bar is wrong.
            let mut shown = lock(&progress);
            while shown.1 < now {
                shown.0.step(true);
                shown.1 += 1;
            }
            !signals.stop.load(Ordering::Relaxed)
        })
    });
    let (progress, _) = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
    let took = progress.finish().as_secs_f64();
    if let Some(exit) = signals.received() {
        return Err(Fatal { exit, error: Some(anyhow!("interrupted: nothing was written")) });
    }
    let folder = display_path(&args.output);
    let drawn = written.map_err(|error| Fatal {
        exit: exit(&error),
        error: Some(anyhow!(error).context(format!("no data set was written to {folder}"))),
    })?;
    if !verbosity.quiet {
        let clips = display_path(&args.output.join("clips"));
        report::say(&format!(
            "{} clips in {clips} ({}) in {took:.1} s, four CSVs and the settings in {folder}",
            drawn.clips, drawn.encoder
        ));
    }
    Ok(Exit::Success)
}

/// The exit code of an error.
fn exit(error: &SynthError) -> Exit {
    match error {
        SynthError::Config(_) | SynthError::Exists(_) | SynthError::Foreign { .. } => Exit::Usage,
        SynthError::NoEncoder(_) | SynthError::Ffmpeg(_) | SynthError::Interrupted => Exit::Input,
        SynthError::Encode { .. } | SynthError::Table { .. } | SynthError::Io { .. } => Exit::Write,
    }
}
