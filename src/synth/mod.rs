//! A chiral data set drawn from nothing: clips in opposite pairs, and the tables that list them.
//!
//! Each pair is something that happens and the same undone: moving up and down, opening and closing, nine kinds.
//! A clip of one class played backwards is a clip of the other, so only the order of the frames tells
//! them apart: not one frame, not their average, not the file (length, rate, size). The classes of a pair never
//! share a clip, for each clip has a random stream of its own.
//!
//! The folder appears whole or not at all: it is filled under another name beside its place and then renamed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;

mod clip;
mod draw;
mod encode;
mod hinged;
mod kinds;
mod motions;
mod plan;
mod raster;
mod shapes;
mod texture;
mod vessels;

use clip::Clip;
use draw::Draw;
use encode::Encoder;
use plan::Plan;
pub use texture::Contrast;

/// The file of a data set's settings.
const SETTINGS: &str = "settings.toml";

/// What to draw.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// Opposite pairs; the kinds take turns.
    pub groups: usize,
    /// Train clips of each class of each pair.
    pub per_class: usize,
    /// Validation clips of each class of each pair.
    pub valid_per_class: usize,
    /// Side of a frame in pixels, even (4:2:0 video), 160 to 320.
    pub size: usize,
    /// Decides everything that is random.
    pub seed: u64,
    /// How far objects stand out.
    pub contrast: Contrast,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            groups: 9,
            per_class: 20,
            valid_per_class: 10,
            size: 224,
            seed: 0,
            contrast: Contrast::Salient,
        }
    }
}

/// What was drawn.
#[derive(Clone, Debug)]
pub struct Report {
    /// Clips written.
    pub clips: usize,
    /// FFmpeg's name of the encoder used.
    pub encoder: &'static str,
}

/// Why there is no data set.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "paths and causes say what they are")]
pub enum Error {
    /// The settings cannot be drawn.
    #[error("{0}")]
    Config(String),
    /// The folder is there.
    #[error("{0} exists already; give another folder, or --overwrite to replace it")]
    Exists(PathBuf),
    /// The folder to replace has something of its own.
    #[error(
        "{folder} holds {entry}, which is not from `lift synth`; it is not replaced: give another folder"
    )]
    Foreign { folder: PathBuf, entry: PathBuf },
    /// FFmpeg lacks every encoder that would do.
    #[error("the installed FFmpeg has none of the encoders {0}; install one with libx264")]
    NoEncoder(String),
    /// FFmpeg lacks more than that.
    #[error("FFmpeg did not start: {0}")]
    Ffmpeg(ffmpeg_next::Error),
    /// A clip was not written.
    #[error("{path}: the clip could not be encoded: {cause}")]
    Encode { path: PathBuf, cause: ffmpeg_next::Error },
    /// A table was not written.
    #[error("{path}: {cause}")]
    Table { path: PathBuf, cause: csv::Error },
    /// The folder was not made.
    #[error("{path}: {cause}")]
    Io { path: PathBuf, cause: std::io::Error },
    /// Asked to stop.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

impl Config {
    fn check(&self) -> Result<(), Error> {
        let fault = if self.groups == 0 || self.per_class == 0 || self.valid_per_class == 0 {
            "groups and clips per class are at least 1".to_owned()
        } else if !(160..=320).contains(&self.size) || self.size % 2 == 1 {
            format!("the size is an even number from 160 to 320, not {}", self.size)
        } else {
            return Ok(());
        };
        Err(Error::Config(fault))
    }

    /// As a file for `lift synth --config`.
    fn as_file(&self) -> String {
        let whole = BTreeMap::from([("synth", self)]);
        // Numbers and names have a form in TOML.
        toml::to_string(&whole).unwrap_or_default()
    }

    /// Clips in the data set.
    pub fn clips(&self) -> usize {
        2 * self.groups * (self.per_class + self.valid_per_class)
    }
}

/// Draws a data set into `folder`: `clips/<id>.mp4`, four tables, `{chiral_groups,cia}-synth-{train,validation}.csv`, and
/// `settings.toml`, by which `lift synth --config` draws it again.
///
/// `progress` is called after each clip with the count so far, from any thread; where it returns `false` the work
/// stops. The result does not depend on the number of threads.
///
/// # Errors
/// Settings out of range, a folder that exists (or, with `overwrite`, holds anything else), no encoder, a failed
/// write, or `Error::Interrupted`. In each case `folder` is as it was.
pub fn write(
    config: &Config,
    folder: &Path,
    overwrite: bool,
    progress: impl Fn(usize) -> bool + Sync,
) -> Result<Report, Error> {
    config.check()?;
    check_target(folder, overwrite)?;
    let encoder = Encoder::find(config.size)?;
    let plan = Plan::new(config);
    let beside = staging(folder)?;
    let clips = beside.path().join("data").join("clips");
    std::fs::create_dir_all(&clips).map_err(io(&clips))?;
    let done = AtomicUsize::new(0);
    plan.items.par_iter().try_for_each(|item| {
        let group = &plan.groups[item.group];
        let mut draw = Draw::named(&item.stream);
        let clip = Clip::random(&mut draw, group.kind, group.shape, config.contrast, item.reverse);
        encoder.write(&clips.join(format!("{}.mp4", item.id)), config.size, clip.frames(config.size))?;
        match progress(done.fetch_add(1, Ordering::Relaxed) + 1) {
            true => Ok(()),
            false => Err(Error::Interrupted),
        }
    })?;
    plan.write_tables(&beside.path().join("data"))?;
    let settings = beside.path().join("data").join(SETTINGS);
    std::fs::write(&settings, config.as_file()).map_err(io(&settings))?;
    // Minutes have passed.
    check_target(folder, overwrite)?;
    let (data, replaced) = (beside.path().join("data"), beside.path().join("replaced"));
    let there = folder.exists();
    if there {
        std::fs::rename(folder, &replaced).map_err(io(folder))?;
    }
    if let Err(cause) = std::fs::rename(&data, folder) {
        if there && std::fs::rename(&replaced, folder).is_err() {
            // Better a hidden folder left over than a data set lost.
            let kept = beside.keep().join("replaced");
            let cause = std::io::Error::new(
                cause.kind(),
                format!("{cause}; what was there is in {}", kept.display()),
            );
            return Err(io(folder)(cause));
        }
        return Err(io(folder)(cause));
    }
    Ok(Report { clips: plan.items.len(), encoder: encoder.name() })
}

/// A hidden folder beside `folder`, on the same file system, that goes away by itself.
fn staging(folder: &Path) -> Result<tempfile::TempDir, Error> {
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(io(parent))?;
    tempfile::Builder::new().prefix(".lift-synth-").tempdir_in(parent).map_err(io(parent))
}

/// Refuses a folder that exists, unless it is to be replaced and holds only what this module writes.
fn check_target(folder: &Path, overwrite: bool) -> Result<(), Error> {
    if !folder.exists() {
        return Ok(());
    }
    if !overwrite {
        return Err(Error::Exists(folder.to_owned()));
    }
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let entry = entry.map_err(io(folder))?.file_name();
        let name = entry.to_string_lossy();
        let ours = name == "clips"
            || name == SETTINGS
            || ((name.starts_with("chiral_groups-synth-") || name.starts_with("cia-synth-"))
                && name.ends_with(".csv"));
        if !ours {
            return Err(Error::Foreign { folder: folder.to_owned(), entry: PathBuf::from(entry) });
        }
    }
    Ok(())
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |cause| Error::Io { path, cause }
}

#[cfg(test)]
mod tests;
