//! An animation as GIF: all pictures share one palette, and each picture stores only what changed.
//!
//! The `gif` crate is used directly, because the encoder of `image` clears the canvas between pictures, so that each one is
//! stored whole, and chooses a palette for each picture, in which the few pixels of a path get no colour of their own. Here
//! the figure's own colours have fixed entries in the palette, and the clip's frames share the others.

use super::animation::{Animation, AnimationPicture};
use super::palette::{GREY, GRID, Half, INK, RULE, Rgb, WHITE, mix};
use color_quant::NeuQuant;
use gif::{DisposalMethod, Encoder, Frame, Repeat};
use image::RgbImage;
use std::collections::HashMap;

/// Pictures per second.
const RATE: f64 = 10.0;
/// Differences of up to this much per channel are not stored.
const UNSEEN: u8 = 2;
/// About this many pixels of the clip are given to the quantiser, which chooses the colours.
const LEARNED_PIXELS: usize = 60_000;

/// The animation as a GIF that repeats for ever.
///
/// # Errors
/// The encoder's: a picture larger than 65,535 pixels a side, no memory.
pub fn gif(animation: &Animation<'_>) -> Result<Vec<u8>, gif::EncodingError> {
    let mut palette = Palette::new(animation);
    let colours = palette.colours.concat();
    let mut bytes = Vec::new();
    let mut target = Some(&mut bytes);
    let mut encoder: Option<Encoder<&mut Vec<u8>>> = None;
    let mut shown: Option<RgbImage> = None;
    animation.draw(RATE, |AnimationPicture { image, seconds }| {
        if let Some(bytes) = target.take() {
            let mut started = Encoder::new(bytes, side(image.width()), side(image.height()), &colours)?;
            started.set_repeat(Repeat::Infinite)?;
            encoder = Some(started);
        }
        let mut frame = changed(shown.as_ref(), &image, &mut palette);
        frame.delay = (seconds * 100.0).round() as u16;
        remember(&mut shown, image);
        encoder.as_mut().map_or(Ok(()), |encoder| encoder.write_frame(&frame))
    })?;
    drop(encoder);
    Ok(bytes)
}

fn side(length: u32) -> u16 {
    length.min(u32::from(u16::MAX)) as u16
}

/// Updates what is on the screen after this picture. A difference that was not stored stays a difference to the next picture,
/// so that a slow fade is drawn in the end.
fn remember(shown: &mut Option<RgbImage>, image: RgbImage) {
    match shown {
        Some(shown) => {
            for (old, now) in shown.pixels_mut().zip(image.pixels()).filter(|(old, now)| differ(old, now)) {
                *old = *now;
            }
        }
        None => *shown = Some(image),
    }
}

/// Whether the difference between two colours is stored.
fn differ(a: &image::Rgb<u8>, b: &image::Rgb<u8>) -> bool {
    a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > UNSEEN)
}

/// The part of `now` that differs from `shown`: its bounding box, transparent where nothing changed.
fn changed(shown: Option<&RgbImage>, now: &RgbImage, palette: &mut Palette) -> Frame<'static> {
    let differs =
        |x: u32, y: u32| shown.is_none_or(|shown| differ(shown.get_pixel(x, y), now.get_pixel(x, y)));
    let (mut low, mut high) = ((u32::MAX, u32::MAX), (0, 0));
    for (x, y, _) in now.enumerate_pixels().filter(|(x, y, _)| differs(*x, *y)) {
        low = (low.0.min(x), low.1.min(y));
        high = (high.0.max(x), high.1.max(y));
    }
    if low.0 > high.0 {
        (low, high) = ((0, 0), (0, 0));
    }
    let mut indices = Vec::new();
    for y in low.1..=high.1 {
        for x in low.0..=high.0 {
            let index = if differs(x, y) { palette.index(now.get_pixel(x, y).0) } else { TRANSPARENT };
            indices.push(index);
        }
    }
    Frame {
        left: side(low.0),
        top: side(low.1),
        width: side(high.0 - low.0 + 1),
        height: side(high.1 - low.1 + 1),
        transparent: Some(TRANSPARENT),
        dispose: DisposalMethod::Keep,
        buffer: indices.into(),
        ..Frame::default()
    }
}

/// The palette's entry for pixels that stay as they are.
const TRANSPARENT: u8 = 0;

/// At most 256 colours, and the nearest of them for each colour that was looked up.
struct Palette {
    colours: Vec<Rgb>,
    known: HashMap<Rgb, u8>,
}

impl Palette {
    fn new(animation: &Animation<'_>) -> Self {
        let mut colours = vec![[0; 3], WHITE, INK, GREY, RULE, GRID];
        colours
            .extend([INK, GREY].into_iter().flat_map(|ink| [0.3, 0.6].map(|share| mix(ink, WHITE, share))));
        for half in [Half::Features, Half::Reconstruction] {
            for step in 0..12 {
                let colour = half.colour(f64::from(step) / 11.0);
                // The colour mixed with the paper is for smooth edges.
                colours.extend([colour, mix(colour, WHITE, 0.5)]);
            }
        }
        let pixels: usize = animation.pictures().iter().map(|image| image.pixels().len()).sum();
        let samples: Vec<u8> = animation
            .pictures()
            .iter()
            .flat_map(|image| image.pixels())
            .step_by((pixels / LEARNED_PIXELS).max(1))
            .flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2], 255])
            .collect();
        if !samples.is_empty() {
            let learned = NeuQuant::new(1, 256 - colours.len(), &samples).color_map_rgb();
            colours.extend_from_slice(learned.as_chunks().0);
        }
        Self { colours, known: HashMap::new() }
    }

    fn index(&mut self, colour: Rgb) -> u8 {
        let colours = &self.colours;
        *self.known.entry(colour).or_insert_with(|| {
            let apart = |other: &Rgb| -> u32 {
                colour.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
            };
            let nearest = (1..colours.len()).min_by_key(|index| apart(&colours[*index]));
            nearest.unwrap_or(1) as u8
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::samples::made_up;
    use crate::plot::{ClipPaths, Method, Projection, ProjectionSettings, project};

    fn clip() -> (ClipPaths, Projection) {
        let clip = made_up("Anything", 5, (64, 48));
        let settings = ProjectionSettings { method: Method::Pca, ..Default::default() };
        let projection = project(std::slice::from_ref(&clip), settings).unwrap();
        (clip, projection)
    }

    #[test]
    fn only_what_changed_is_written_and_in_its_colour() {
        let (clip, projection) = clip();
        let mut palette = Palette::new(&Animation::new(&clip, "", &projection, &[Half::Features], 0.3));
        assert!(palette.colours.len() <= 256);
        let before = RgbImage::from_pixel(20, 10, image::Rgb([9, 9, 9]));
        let mut now = before.clone();
        let red = Half::Features.colour(0.0);
        now.put_pixel(4, 3, image::Rgb(red));
        now.put_pixel(7, 5, image::Rgb(red));
        let frame = changed(Some(&before), &now, &mut palette);
        assert_eq!((frame.left, frame.top, frame.width, frame.height), (4, 3, 4, 3));
        assert_eq!(palette.colours[usize::from(frame.buffer[0])], red);
        assert_eq!(frame.buffer[1], TRANSPARENT);
        let same = changed(Some(&before), &before, &mut palette);
        assert_eq!((same.width, same.height), (1, 1));
    }

    #[test]
    fn a_slow_fade_is_drawn() {
        let (clip, projection) = clip();
        let mut palette = Palette::new(&Animation::new(&clip, "", &projection, &[Half::Features], 0.3));
        let (mut shown, mut screen) = (None, 0);
        for level in (0..60).step_by(usize::from(UNSEEN)) {
            let image = RgbImage::from_pixel(1, 1, image::Rgb([level; 3]));
            if changed(shown.as_ref(), &image, &mut palette).buffer[0] != TRANSPARENT {
                screen = level;
            }
            remember(&mut shown, image);
            assert!(level.abs_diff(screen) <= UNSEEN, "{screen} where {level} was meant");
        }
    }

    #[test]
    fn a_decoder_sees_every_picture_and_the_clips_length() {
        let (clip, projection) = clip();
        let animation = Animation::new(&clip, "Anything", &projection, &[Half::Features], 0.3);
        let bytes = gif(&animation).unwrap();
        let mut reader = gif::DecodeOptions::new().read_info(bytes.as_slice()).unwrap();
        assert_eq!((reader.width(), reader.height()), (270, 154));
        let (mut count, mut hundredths) = (0, 0);
        while let Some(frame) = reader.read_next_frame().unwrap() {
            count += 1;
            hundredths += u32::from(frame.delay);
        }
        assert_eq!((count, hundredths), (41, 40 * 10 + 160));
    }
}
