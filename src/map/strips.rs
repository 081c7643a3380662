//! Filmstrips of many videos, made once: a file each in a folder, under a name that says which frames of which file it shows.
//!
//! A strip that is there already is not made again, so a run that was killed goes on where it ended, and a video that has
//! changed gets a new strip. Videos are read by [`filmstrip()`], in parallel.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::RgbImage;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::embed::filmstrip;
use crate::files::{AtomicFile, FileError, Stamp, display_path, hexadecimal};
use crate::inputs::Input;
use crate::plot::encode::{address_of, jpeg};
use crate::plot::strip::{StripData, frame, joined};
use crate::rows::ClipMeta;
use crate::video::{Request, Sampling};

/// Frames of a strip.
pub const FRAMES: usize = 8;
/// The longest side of a frame, in pixels.
pub const SIDE: u32 = 160;

/// The frames of a clip as a file, or why there are none.
pub type Strip = Result<StripFile, String>;

/// A strip that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct StripFile {
    /// Its name in the folder of strips, with `/`.
    pub name: String,
    /// Width of a frame in pixels.
    pub width: u32,
    /// Its height.
    pub height: u32,
}

/// Where the strips are, and how they are made.
#[derive(Debug, Clone)]
pub struct Strips {
    /// Their folder.
    pub folder: PathBuf,
    /// Where videos are looked for first, if their paths have changed.
    pub videos: Option<PathBuf>,
    /// The most pixels that a frame of a video may have.
    pub max_pixels: u64,
}

/// What a clip without a path has in place of a strip.
pub const NO_PATH: &str = "the collection does not say where the video is";

impl Strips {
    /// The strips of clips, in their order. `done` counts the clips.
    ///
    /// # Errors
    /// `Write` if a strip cannot be written. A video that cannot be read is an answer: the cause, with its path.
    pub fn make(&self, clips: &[&ClipMeta], done: &AtomicUsize) -> Result<Vec<Strip>, FileError> {
        let paths: Vec<PathBuf> = clips.iter().map(|clip| self.located(&clip.path)).collect();
        let names: Vec<String> = clips.iter().zip(&paths).map(|(clip, path)| name(clip, path)).collect();
        // Clips of the same frames share a strip.
        let mut unique: HashMap<&str, usize> = HashMap::new();
        names.iter().enumerate().for_each(|(at, name)| {
            unique.entry(name).or_insert(at);
        });
        done.fetch_add(clips.len() - unique.len(), Ordering::Relaxed);
        let made = unique.into_par_iter().map(|(name, at)| {
            let strip = self.strip(clips[at], &paths[at], name);
            done.fetch_add(1, Ordering::Relaxed);
            strip.map(|strip| (name, strip))
        });
        let made = made.collect::<Result<HashMap<&str, Strip>, FileError>>()?;
        Ok(names.iter().map(|name| made[name.as_str()].clone()).collect())
    }

    /// The strip of one clip, made if it is not there.
    fn strip(&self, clip: &ClipMeta, path: &Path, name: &str) -> Result<Strip, FileError> {
        if path == Path::new("") {
            return Ok(Err(NO_PATH.to_owned()));
        }
        let file = self.folder.join(name);
        if let Some((width, height)) = size(&file) {
            return Ok(Ok(StripFile { name: name.to_owned(), width: width / FRAMES as u32, height }));
        }
        let input = Input { path: path.to_owned(), ..clip.input() };
        let request = Request {
            sampling: Sampling::Count(FRAMES),
            max_pixels: Some(self.max_pixels),
            ..Request::default()
        };
        let failed = |cause: String| Ok(Err(format!("{}: {cause}", display_path(path))));
        let frames = match filmstrip(&input, &request, SIDE) {
            Ok(frames) if !frames.is_empty() => frames,
            Ok(_) => return failed("it has no frames".to_owned()),
            Err(cause) => return failed(cause),
        };
        let (width, height) = frames[0].dimensions();
        let bytes = match jpeg(&joined(&frames)) {
            Ok(bytes) => bytes,
            Err(error) => return failed(format!("its frames cannot be encoded as JPEG: {error}")),
        };
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(|error| FileError::write(folder, error))?;
        }
        AtomicFile::create(&file, true)?.commit_bytes(&bytes)?;
        Ok(Ok(StripFile { name: name.to_owned(), width, height }))
    }

    /// Where a video is: its path, or the longest end of it that is there in the folder of videos.
    fn located(&self, path: &Path) -> PathBuf {
        let Some(folder) = self.videos.as_ref().filter(|_| path != Path::new("")) else {
            return path.to_owned();
        };
        let names: Vec<_> =
            path.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
        let ends = (0..names.len()).map(|from| folder.join(names[from..].iter().collect::<PathBuf>()));
        ends.into_iter().find(|place| place.is_file()).unwrap_or_else(|| path.to_owned())
    }

    /// The strip as a page beside the folder shows it; `prefix` is the folder's path from the page.
    pub fn beside(&self, strip: &StripFile, prefix: &str) -> StripData {
        let source = format!("{prefix}{}", strip.name);
        StripData { source, frames: FRAMES, width: strip.width, height: strip.height }
    }

    /// The strip as a page that holds it shows it.
    ///
    /// # Errors
    /// `Read` if it is not there any more.
    pub fn inside(&self, strip: &StripFile) -> Result<StripData, FileError> {
        let file = self.folder.join(&strip.name);
        let bytes = fs::read(&file).map_err(|error| FileError::read(&file, error.to_string()))?;
        Ok(StripData { source: address_of(&bytes), frames: FRAMES, width: strip.width, height: strip.height })
    }

    /// The frame in the middle of a strip.
    ///
    /// # Errors
    /// `Read` if it is not there any more, or damaged.
    pub fn middle(&self, strip: &StripFile) -> Result<RgbImage, FileError> {
        let file = self.folder.join(&strip.name);
        let picture = image::open(&file).map_err(|error| FileError::read(&file, error.to_string()))?;
        Ok(frame(&picture.to_rgb8(), FRAMES, FRAMES / 2))
    }
}

/// The name of the strip of a clip of the file at `path`: a digest of what decides about its pictures.
fn name(clip: &ClipMeta, path: &Path) -> String {
    let (start, end) = (clip.start, clip.end);
    let text = format!("{path:?} {start:?} {end:?} {:?} {FRAMES} {SIDE}", Stamp::of(path));
    let digest = hexadecimal(&Sha256::digest(text.as_bytes()));
    format!("{}/{}.jpg", &digest[..2], &digest[2..22])
}

/// The size of a strip that is there; `None` if it is not there or is no picture.
fn size(file: &Path) -> Option<(u32, u32)> {
    image::ImageReader::open(file).ok()?.into_dimensions().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(path: &str) -> ClipMeta {
        ClipMeta { path: path.into(), ..ClipMeta::default() }
    }

    fn made(strips: &Strips, clips: &[&ClipMeta]) -> Vec<Strip> {
        strips.make(clips, &AtomicUsize::new(0)).unwrap()
    }

    #[test]
    fn a_strip_is_made_once_and_anew_when_the_video_changes() {
        let dir = tempfile::tempdir().unwrap();
        let video = dir.path().join("a.mp4");
        let bundled =
            |name: &str| fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/clips").join(name));
        fs::write(&video, bundled("door_opening.mp4").unwrap()).unwrap();
        let folder = dir.path().join("strips");
        let strips = Strips { folder: folder.clone(), videos: None, max_pixels: 1 << 24 };
        let (whole, bad) = (clip(video.to_str().unwrap()), clip("gone.mp4"));
        let part = ClipMeta { start: Some(0.5), ..whole.clone() };
        let (unknown, done) = (clip(""), AtomicUsize::new(0));
        let first = strips.make(&[&whole, &bad, &part, &whole, &unknown], &done).unwrap();
        assert_eq!(done.into_inner(), 5);
        assert_eq!(first[0], first[3]);
        assert_ne!(first[0], first[2]);
        assert!(first[1].as_ref().unwrap_err().starts_with("gone.mp4: "), "{first:?}");
        assert_eq!(first[4].as_ref().unwrap_err(), NO_PATH);
        let strip = first[0].clone().unwrap();
        assert!(strip.width <= SIDE && strip.height <= SIDE && strip.width.max(strip.height) > 40);
        assert_eq!(strips.middle(&strip).unwrap().dimensions(), (strip.width, strip.height));
        let stamp = Stamp::of(&folder.join(&strip.name));
        assert_eq!(made(&strips, &[&whole])[0], first[0]);
        assert_eq!(Stamp::of(&folder.join(&strip.name)), stamp, "it was made again");
        // A damaged strip is made anew, and a changed video has another one.
        fs::write(folder.join(&strip.name), b"").unwrap();
        assert_eq!(made(&strips, &[&whole])[0], first[0]);
        assert!(strips.inside(&strip).unwrap().source.len() > 1000);
        fs::write(&video, bundled("ball_rising.mp4").unwrap()).unwrap();
        assert_ne!(made(&strips, &[&whole])[0], first[0]);
    }

    #[test]
    fn videos_that_were_moved_are_found_by_the_end_of_their_paths() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("b")).unwrap();
        fs::write(at("b/x.mp4"), b"1").unwrap();
        fs::write(at("x.mp4"), b"2").unwrap();
        let strips =
            Strips { folder: at("strips"), videos: Some(dir.path().to_owned()), max_pixels: 1 << 24 };
        let found = |path: &str| strips.located(Path::new(path));
        assert_eq!(found("/old/a/b/x.mp4"), at("b/x.mp4"));
        assert_eq!(found("../x.mp4"), at("x.mp4"));
        assert_eq!(found("/old/gone.mp4"), Path::new("/old/gone.mp4"));
        assert_eq!(found(""), Path::new(""));
    }
}
