//! Draws a chiral data set: clips in opposite pairs, and the CSVs that list them.
//!
//! Each pair is a motion and its reverse: moving up and down, opening and closing, nine kinds in all. A clip of one class
//! played backwards is a clip of the other class. So only the order of the frames tells them apart, and neither a single
//! frame, nor the average frame, nor the file (length, rate, size) does. The classes of a pair share no clip, because each
//! clip has its own random stream.
//!
//! The folder appears complete or not at all: it is filled under another name in the same parent folder and then renamed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;

mod camera;
mod clip;
mod draw;
mod encode;
mod geometry;
mod hinged;
mod kinds;
mod motions;
mod plan;
mod raster;
mod room;
mod shapes;
mod texture;
mod vessels;

pub use clip::Style;
use clip::SynthClip;
use draw::Draw;
use encode::ClipEncoder;
use plan::ClipPlan;
pub use texture::Contrast;

/// The file of a data set's settings, in its folder.
const SETTINGS: &str = "settings.toml";

/// What to draw.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SynthConfig {
    /// Opposite pairs; the kinds follow one another.
    pub groups: usize,
    /// Training clips of each class of each pair.
    pub per_class: usize,
    /// Validation clips of each class of each pair.
    pub valid_per_class: usize,
    /// Side of a frame in pixels, even (4:2:0 video), 160 to 320.
    pub size: usize,
    /// The seed of everything that is random.
    pub seed: u64,
    /// How far objects stand out from the background.
    pub contrast: Contrast,
    /// What is around the motion.
    pub style: Style,
}

/// What was drawn.
#[derive(Clone, Debug)]
pub struct SynthReport {
    /// Clips written.
    pub clips: usize,
    /// FFmpeg's name of the encoder used.
    pub encoder: &'static str,
}

/// Why there is no data set.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "paths and causes say what they are")]
pub enum SynthError {
    /// The settings cannot be drawn.
    #[error("{0}")]
    Config(String),
    /// The folder exists already.
    #[error("{0} exists already; give another folder, or --overwrite to replace it")]
    Exists(PathBuf),
    /// The folder to replace holds other files.
    #[error(
        "{folder} holds {entry}, which is not from `lift synth`; it is not replaced: give another folder"
    )]
    Foreign { folder: PathBuf, entry: PathBuf },
    /// FFmpeg has none of the encoders.
    #[error("the installed FFmpeg has none of the encoders {0}; install one with libx264")]
    NoEncoder(String),
    /// FFmpeg cannot be started.
    #[error("FFmpeg cannot be started: {0}")]
    Ffmpeg(ffmpeg_next::Error),
    /// A clip could not be written.
    #[error("{path}: the clip could not be encoded: {cause}")]
    Encode { path: PathBuf, cause: ffmpeg_next::Error },
    /// A CSV could not be written.
    #[error("{path}: {cause}")]
    Table { path: PathBuf, cause: csv::Error },
    /// A file or folder could not be written.
    #[error("{path}: {cause}")]
    Io { path: PathBuf, cause: std::io::Error },
    /// The run was stopped.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

impl SynthConfig {
    fn check(&self) -> Result<(), SynthError> {
        let fault = if self.groups == 0 || self.per_class == 0 || self.valid_per_class == 0 {
            "groups and clips per class must be at least 1".to_owned()
        } else if !(160..=320).contains(&self.size) || self.size % 2 == 1 {
            format!("the size must be an even number from 160 to 320, not {}", self.size)
        } else {
            return Ok(());
        };
        Err(SynthError::Config(fault))
    }

    /// The settings as a file for `lift synth --config`.
    fn as_file(&self) -> String {
        let whole = BTreeMap::from([("synth", self)]);
        // Numbers and names can always be written as TOML.
        toml::to_string(&whole).unwrap_or_default()
    }

    /// Clips in the data set.
    pub fn clips(&self) -> usize {
        2 * self.groups * (self.per_class + self.valid_per_class)
    }
}

/// Draws a data set into `folder`: `clips/<id>.mp4`, four CSVs, `{chiral_groups,cia}-synth-{train,validation}.csv`, and
/// `settings.toml`, with which `lift synth --config` draws it again.
///
/// `progress` is called after each clip with the count so far, from any thread; if it returns `false`, the work stops. The
/// result does not depend on the number of threads.
///
/// # Errors
/// Settings out of range, a folder that exists (or, with `overwrite`, holds anything else), no encoder, a failed
/// write, or `SynthError::Interrupted`. In each case `folder` is unchanged.
pub fn write(
    config: &SynthConfig,
    folder: &Path,
    overwrite: bool,
    progress: impl Fn(usize) -> bool + Sync,
) -> Result<SynthReport, SynthError> {
    config.check()?;
    check_target(folder, overwrite)?;
    let encoder = ClipEncoder::find(config.size)?;
    let plan = ClipPlan::new(config);
    let beside = staging(folder)?;
    let clips = beside.path().join("data").join("clips");
    std::fs::create_dir_all(&clips).map_err(io(&clips))?;
    let done = AtomicUsize::new(0);
    plan.items.par_iter().try_for_each(|item| {
        let group = &plan.groups[item.group];
        let mut draw = Draw::named(&item.stream);
        let (kind, shape) = (group.kind, group.shape);
        let clip = SynthClip::random(&mut draw, kind, shape, config.contrast, config.style, item.reverse);
        encoder.write(&clips.join(format!("{}.mp4", item.id)), config.size, clip.frames(config.size))?;
        match progress(done.fetch_add(1, Ordering::Relaxed) + 1) {
            true => Ok(()),
            false => Err(SynthError::Interrupted),
        }
    })?;
    plan.write_tables(&beside.path().join("data"))?;
    let settings = beside.path().join("data").join(SETTINGS);
    std::fs::write(&settings, config.as_file()).map_err(io(&settings))?;
    // Drawing takes minutes, in which another program may have made the folder.
    check_target(folder, overwrite)?;
    let (data, replaced) = (beside.path().join("data"), beside.path().join("replaced"));
    let there = folder.exists();
    if there {
        std::fs::rename(folder, &replaced).map_err(io(folder))?;
    }
    if let Err(cause) = std::fs::rename(&data, folder) {
        if there && std::fs::rename(&replaced, folder).is_err() {
            // The old data set stays in the hidden folder, so that it is not lost.
            let kept = beside.keep().join("replaced");
            let cause = std::io::Error::new(
                cause.kind(),
                format!("{cause}; the folder that was there is now {}", kept.display()),
            );
            return Err(io(folder)(cause));
        }
        return Err(io(folder)(cause));
    }
    Ok(SynthReport { clips: plan.items.len(), encoder: encoder.name() })
}

/// A hidden temporary folder in the same parent folder, and so on the same file system; it is removed when dropped.
fn staging(folder: &Path) -> Result<tempfile::TempDir, SynthError> {
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(io(parent))?;
    tempfile::Builder::new().prefix(".lift-synth-").tempdir_in(parent).map_err(io(parent))
}

/// Refuses a folder that exists, unless `overwrite` is set and the folder holds only what this module writes.
fn check_target(folder: &Path, overwrite: bool) -> Result<(), SynthError> {
    if !folder.exists() {
        return Ok(());
    }
    if !overwrite {
        return Err(SynthError::Exists(folder.to_owned()));
    }
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let entry = entry.map_err(io(folder))?.file_name();
        let name = entry.to_string_lossy();
        let ours = name == "clips"
            || name == SETTINGS
            || ((name.starts_with("chiral_groups-synth-") || name.starts_with("cia-synth-"))
                && name.ends_with(".csv"));
        if !ours {
            return Err(SynthError::Foreign { folder: folder.to_owned(), entry: PathBuf::from(entry) });
        }
    }
    Ok(())
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> SynthError + use<> {
    let path = path.to_owned();
    move |cause| SynthError::Io { path, cause }
}

#[cfg(test)]
mod tests;
