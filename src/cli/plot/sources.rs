//! Where the clips of a figure come from: videos through the two networks, or a file that holds their features.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use image::RgbImage;
use image::imageops::thumbnail;
use rayon::prelude::*;

use crate::embed::batch::encode_clip;
use crate::embed::{Engine, ModelChoice};
use crate::files::display_path;
use crate::inputs::Input;
use crate::model::encoder::FrameEncoder;
use crate::plot::{ClipPaths, Features};
use crate::rows::{self, Part, StoredArray};
use crate::video::transform::Transform;
use crate::video::{Request, RgbFrame, Video};

/// Longest side of a frame that is kept for drawing, in pixels, so that many frames of a large video fit in memory.
const KEPT_SIDE: u32 = 960;

/// The clips of a file or dataset with the parts `frames` and `reconstructed`; with `ids`, only those, in that order.
///
/// # Errors
/// If the file cannot be read, lacks a part or an id, or holds more clips than `most` and none were chosen.
pub fn from_features(path: &Path, ids: &[String], most: usize) -> anyhow::Result<Vec<ClipPaths>> {
    let opened = rows::open(path, None, None, &std::env::temp_dir())?;
    let need = "write it with lift embed --parts frames,reconstructed";
    let needed = |part: Part| opened.array(part.name()).map_err(|e| anyhow!("{e}; {need}"));
    let (frames, reconstructed) = (needed(Part::Frames)?, needed(Part::Reconstructed)?);
    let chosen: Vec<(usize, String)> = if ids.is_empty() {
        let name = |row: usize| opened.ids().ok().and_then(|ids| ids.get(row).cloned());
        (0..opened.rows()).map(|row| (row, name(row).unwrap_or_else(|| format!("row {row}")))).collect()
    } else {
        let index = opened.index()?;
        let row = |id: &String| {
            let row = index.get(id.as_str()).copied();
            row.map(|row| (row, id.clone()))
                .ok_or_else(|| anyhow!("{}: it has no id '{id}'", display_path(path)))
        };
        ids.iter().map(row).collect::<anyhow::Result<_>>()?
    };
    if chosen.len() > most {
        bail!(
            "{}: it holds {} clips, and a figure shows {most} at most; choose some with --id",
            display_path(path),
            chosen.len()
        );
    }
    let part = |array: &StoredArray, row: usize| -> anyhow::Result<Features> {
        let [frames, width] = array.shape[..] else {
            bail!("{}: the part {} is not of shape (B, T, D); {need}", display_path(path), array.name);
        };
        let mut values = vec![0.0; frames * width];
        array.copy_row(row, &mut values).with_context(|| display_path(path))?;
        Ok(Features::new(width, values)?)
    };
    chosen
        .into_iter()
        .map(|(row, title)| {
            Ok(ClipPaths {
                title,
                frames: vec![],
                features: part(frames, row)?,
                reconstructed: part(reconstructed, row)?,
            })
        })
        .collect()
}

/// Videos, read and sent through the networks, which are loaded when the first one asks for them.
pub struct Videos {
    choice: ModelChoice,
    engine: Option<Engine>,
    request: Request,
}

impl Videos {
    /// Takes `request` of each video.
    pub fn new(choice: ModelChoice, request: Request) -> Self {
        Self { choice, engine: None, request }
    }

    /// Loads the networks, if they are not loaded yet.
    ///
    /// # Errors
    /// If a file is absent or wrong.
    pub fn load(&mut self) -> Result<&Engine, crate::weights::WeightsError> {
        let engine = match self.engine.take() {
            Some(engine) => engine,
            None => Engine::load(&self.choice, &[Part::Frames, Part::Reconstructed])?,
        };
        Ok(self.engine.insert(engine))
    }

    /// One video's frames and paths.
    ///
    /// # Errors
    /// If the video cannot be read as asked, or the networks cannot take it.
    pub fn clip(&mut self, input: &Input) -> anyhow::Result<ClipPaths> {
        let request = Request {
            start: input.start.or(self.request.start),
            end: input.end.or(self.request.end),
            ..self.request.clone()
        };
        let engine = self.load()?;
        let mut transform = Transform::new(engine.framing());
        let mut pixels: Vec<Vec<u8>> = Vec::new();
        let mut frames: Vec<RgbImage> = Vec::new();
        let mut visit = |slot: usize, frame: &RgbFrame<'_>| {
            if frames.len() <= slot {
                frames.resize_with(slot + 1, RgbImage::default);
                pixels.resize_with(slot + 1, Vec::new);
            }
            pixels[slot] = transform.apply(frame);
            frames[slot] = kept(frame);
        };
        Video::open(&input.path)?.read(&request, &mut visit)?;
        let features = Features::new(engine.encoder().width(), encode(engine.encoder(), &pixels)?)?;
        let reconstructed = reconstruct(engine, &features)?;
        Ok(ClipPaths { title: input.id.clone(), frames, features, reconstructed })
    }

    /// The same clip mirrored in time; the frame features are known, only LiFT runs again.
    ///
    /// # Errors
    /// If LiFT cannot take it.
    pub fn mirror(&mut self, clip: &ClipPaths) -> anyhow::Result<ClipPaths> {
        let engine = self.load()?;
        Ok(clip.mirrored(reconstruct(engine, &clip.features.reversed())?))
    }
}

/// Features `(T, D)` of a clip's frames.
fn encode(encoder: &FrameEncoder, frames: &[Vec<u8>]) -> anyhow::Result<Vec<f32>> {
    if let Some(batched) = encoder.batched() {
        return encode_clip(batched, frames).map_err(anyhow::Error::msg);
    }
    let encoded = frames.par_iter().map(|frame| encoder.encode(frame)).collect::<Result<Vec<_>, _>>()?;
    Ok(encoded.concat())
}

fn reconstruct(engine: &Engine, features: &Features) -> anyhow::Result<Features> {
    let parts = engine.finish(features.values().to_vec(), &[Part::Reconstructed], false)?;
    let (_, values) = parts.into_iter().next().context("LiFT gave no reconstruction")?;
    Ok(Features::new(features.width(), values)?)
}

/// A frame for drawing.
fn kept(frame: &RgbFrame<'_>) -> RgbImage {
    let bytes: Vec<u8> = (0..frame.height).flat_map(|y| frame.row(y)).copied().collect();
    let whole = RgbImage::from_raw(frame.width as u32, frame.height as u32, bytes).unwrap_or_default();
    let longest = whole.width().max(whole.height());
    if longest <= KEPT_SIDE {
        return whole;
    }
    let side = |length: u32| (length * KEPT_SIDE / longest).max(1);
    thumbnail(&whole, side(whole.width()), side(whole.height()))
}

/// What a figure made of `inputs` is called on disk if nothing is said.
pub fn default_output(inputs: &[PathBuf]) -> PathBuf {
    match inputs {
        [one] => {
            let mut name = one.file_stem().unwrap_or(one.as_os_str()).to_os_string();
            name.push(".lift.png");
            PathBuf::from(name)
        }
        _ => PathBuf::from("compare.lift.png"),
    }
}
