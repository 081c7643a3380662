//! The frames of one video as small pictures, without the networks.

use image::RgbImage;

use super::picture::picture;
use crate::guard::guarded;
use crate::inputs::Input;
use crate::video::{Request, read_clip};

/// The frames of `request` of one video, upright, as pictures whose sides are at most `longest` pixels. The range is the input's
/// own.
///
/// # Errors
/// Why the video cannot be read, and what to try.
pub fn filmstrip(input: &Input, request: &Request, longest: u32) -> Result<Vec<RgbImage>, String> {
    let request = Request { start: input.start, end: input.end, window: None, ..request.clone() };
    let mut pictures: Vec<RgbImage> = Vec::new();
    let read = guarded(|| {
        read_clip(&input.path, &request, |slot, frame| {
            if pictures.len() <= slot {
                pictures.resize_with(slot + 1, RgbImage::default);
            }
            pictures[slot] = picture(frame, longest);
        })
    })?;
    let info = read.map_err(|error| error.to_string())?;
    pictures.truncate(info.indices.len());
    Ok(pictures)
}
