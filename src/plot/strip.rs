//! Filmstrips: the frames of a clip side by side in one picture, which the script of a page plays.

use image::{RgbImage, imageops};
use serde::Serialize;

use super::encode::data_address;
use super::page::PageError;

/// A filmstrip of a page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StripData {
    /// The picture: a `data:` URL, or a path from the page.
    pub source: String,
    /// Frames in it.
    pub frames: usize,
    /// Width of a frame in pixels.
    pub width: u32,
    /// Its height.
    pub height: u32,
}

impl StripData {
    /// The strip of some frames of one size, in the page itself; `None` if there is no frame.
    ///
    /// # Errors
    /// The picture encoder's own, which a picture in memory does not cause.
    pub fn inside(frames: &[RgbImage]) -> Result<Option<Self>, PageError> {
        let Some(first) = frames.first() else { return Ok(None) };
        let (width, height) = first.dimensions();
        let source = data_address(&joined(frames), u32::MAX)?;
        Ok(Some(Self { source, frames: frames.len(), width, height }))
    }
}

/// The frames side by side; all have the size of the first.
pub fn joined(frames: &[RgbImage]) -> RgbImage {
    let (width, height) = frames.first().map_or((0, 0), RgbImage::dimensions);
    let mut wide = RgbImage::new(width * frames.len() as u32, height);
    for (at, frame) in frames.iter().enumerate() {
        imageops::replace(&mut wide, frame, i64::from(width) * at as i64, 0);
    }
    wide
}

/// Frame `at` of a strip of `frames` frames.
pub fn frame(strip: &RgbImage, frames: usize, at: usize) -> RgbImage {
    let width = strip.width() / frames.max(1) as u32;
    imageops::crop_imm(strip, width * at as u32, 0, width, strip.height()).to_image()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_lie_side_by_side_and_are_found_again() {
        let frames: Vec<RgbImage> =
            (0..3).map(|t| RgbImage::from_pixel(4, 2, image::Rgb([t * 50, 7, 9]))).collect();
        let strip = joined(&frames);
        assert_eq!(strip.dimensions(), (12, 2));
        assert_eq!(frame(&strip, 3, 2), frames[2]);
        let data = StripData::inside(&frames).unwrap().unwrap();
        assert_eq!((data.frames, data.width, data.height), (3, 4, 2));
        assert!(data.source.starts_with("data:image/jpeg;base64,"));
        assert_eq!(StripData::inside(&[]).unwrap(), None);
    }
}
