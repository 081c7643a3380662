//! A frame kept as a picture, reduced so that many frames of a large video fit in memory.

use image::RgbImage;
use image::imageops::thumbnail;

use crate::video::RgbFrame;

/// A frame as a picture whose sides are at most `longest` pixels.
pub(super) fn picture(frame: &RgbFrame<'_>, longest: u32) -> RgbImage {
    let whole =
        RgbImage::from_raw(frame.width as u32, frame.height as u32, frame.to_vec()).unwrap_or_default();
    let side = whole.width().max(whole.height());
    if side <= longest {
        return whole;
    }
    let reduced = |length: u32| (length * longest / side).max(1);
    thumbnail(&whole, reduced(whole.width()), reduced(whole.height()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pictures_are_reduced_in_proportion_and_small_ones_are_kept() {
        let bytes = vec![7; 40 * 20 * 3];
        let frame = RgbFrame::new(40, 20, 120, &bytes);
        assert_eq!(picture(&frame, 10).dimensions(), (10, 5));
        assert_eq!(picture(&frame, 40).dimensions(), (40, 20));
        assert_eq!(picture(&frame, 1).dimensions(), (1, 1));
    }
}
