//! The animation: the clip plays on the left while its paths grow on the right, as on the authors' page.
//!
//! Pictures are handed on one by one, so that only a few are in memory at once.

use super::palette::{Half, INK, RULE};
use super::plane::{Plane, draw_half, marker_radius};
use super::raster::{rasterise, samples};
use super::scene::{Area, Scene};
use super::sheet::{Entry, MARGIN, SMALL, aspect, legend, time};
use super::text;
use super::text::{Anchor, Font};
use super::{ClipPaths, Projection};
use image::RgbImage;
use image::imageops::{FilterType, resize, thumbnail};
use rayon::prelude::*;
use std::sync::Arc;

const WIDTH: f64 = super::sheet::WIDTH;
const HEIGHT: f64 = 512.0;
const SIDE: f64 = 400.0;
/// How long the paths take to grow, in seconds; it takes longer if the clip has more frames than pictures fit in that time.
const GROWING: f64 = 4.0;
/// How long the last picture is shown, in seconds.
const HOLD: f64 = 1.6;

/// One picture of the animation and how long it is shown.
#[derive(Debug)]
pub struct AnimationPicture {
    /// The picture; all have the same size, and both sides are even.
    pub image: RgbImage,
    /// How long it is shown, in seconds.
    pub seconds: f64,
}

/// The animation of one clip, ready to be drawn picture by picture.
pub struct Animation<'a> {
    clip: &'a ClipPaths,
    title: String,
    projection: Projection,
    halves: Vec<Half>,
    pictures: Vec<Arc<RgbImage>>,
    scale: f64,
}

impl<'a> Animation<'a> {
    /// Prepares the animation at `scale` pixels per CSS pixel.
    pub fn new(
        clip: &'a ClipPaths,
        title: &str,
        projection: &Projection,
        halves: &[Half],
        scale: f64,
    ) -> Self {
        let scale = scale.clamp(0.2, 4.0);
        let fine = scale * f64::from(samples(scale));
        let most = (SIDE * fine) as u32;
        let area = Area::new(0.0, 0.0, SIDE, SIDE).fitted(aspect(clip));
        let size = |length: f64| (length * fine).round().max(1.0) as u32;
        // Frames are scaled once here, not again for every picture of the animation.
        let fitted = |image: &RgbImage| {
            let (w, h) = (size(area.w), size(area.h));
            let large = image.width().max(image.height()) > 2 * most;
            Arc::new(if large { thumbnail(image, w, h) } else { resize(image, w, h, FilterType::Triangle) })
        };
        let pictures = clip.frames.par_iter().map(fitted).collect();
        Self {
            clip,
            title: title.to_string(),
            projection: projection.clone(),
            halves: halves.to_vec(),
            pictures,
            scale,
        }
    }

    /// The clip's frames at the size at which they are drawn.
    pub fn pictures(&self) -> &[Arc<RgbImage>] {
        &self.pictures
    }

    /// Draws all pictures at about `rate` per second and hands them to `sink` in order.
    ///
    /// # Errors
    /// The first error of `sink`.
    pub fn draw<E>(
        &self,
        rate: f64,
        mut sink: impl FnMut(AnimationPicture) -> Result<(), E>,
    ) -> Result<(), E> {
        let steps = self.clip.len() - 1;
        // A whole number of pictures per step, so that every frame has a picture of its own.
        let between = (GROWING * rate / steps as f64).round().max(1.0) as usize;
        let count = steps * between + 1;
        let seconds = 1.0 / rate;
        let pictures: Vec<usize> = (0..count).collect();
        for chunk in pictures.chunks(8) {
            let drawn: Vec<RgbImage> =
                chunk.par_iter().map(|number| self.picture(*number as f64 / between as f64)).collect();
            for (number, image) in chunk.iter().zip(drawn) {
                let seconds = if *number + 1 == count { HOLD } else { seconds };
                sink(AnimationPicture { image, seconds })?;
            }
        }
        Ok(())
    }

    /// The picture at `progress` in `0..=T - 1`, as pixels.
    fn picture(&self, progress: f64) -> RgbImage {
        let image = rasterise(&self.scene(progress), self.scale);
        let (w, h) = (image.width() & !1, image.height() & !1);
        if image.dimensions() == (w, h) {
            image
        } else {
            image::imageops::crop_imm(&image, 0, 0, w, h).to_image()
        }
    }

    /// The picture at `progress` in `0..=T - 1`, as shapes.
    pub(super) fn scene(&self, progress: f64) -> Scene {
        let mut scene = Scene::new(WIDTH, HEIGHT, &self.title);
        let font = Font { size: 20.0, bold: true, colour: INK };
        let title = text::shorten(&text::clean(&self.title), font, WIDTH - 2.0 * MARGIN);
        scene.text(&title, [MARGIN, 38.0], Anchor::Start, font);
        let frame = (progress + 1e-9) as usize;
        let left = Area::new(MARGIN, 56.0, SIDE, SIDE);
        let room = if let Some(picture) = self.pictures.get(frame) {
            let area = left.fitted(aspect(self.clip));
            scene.picture(picture, area);
            let colour = self.halves.first().map_or(RULE, |half| half.colour(time(frame, self.clip.len())));
            scene.outline(area, colour, 3.0);
            Area::new(WIDTH - MARGIN - SIDE, 56.0, SIDE, SIDE)
        } else {
            Area::new(MARGIN, 56.0, WIDTH - 2.0 * MARGIN, SIDE)
        };
        self.paths(&mut scene, room, progress);
        let entries: Vec<Entry> = self.halves.iter().map(|half| Entry::half(*half)).collect();
        legend(&mut scene, &entries, 56.0 + SIDE + 8.0);
        let counter = format!("{} / {}", frame + 1, self.clip.len());
        scene.text(&counter, [WIDTH - MARGIN, HEIGHT - 26.0], Anchor::End, SMALL);
        scene
    }

    /// Draws each path up to `progress`; the last step may be drawn in part.
    fn paths(&self, scene: &mut Scene, room: Area, progress: f64) {
        let Some(paths) = self.projection.clips.first() else { return };
        let plane = Plane::fit(room, self.halves.iter().flat_map(|half| paths.half(*half)), 26.0);
        plane.draw(scene);
        let frame = (progress + 1e-9) as usize;
        let part = progress - frame as f64;
        for half in &self.halves {
            let whole = plane.path(paths.half(*half));
            if part > 1e-6
                && let (Some(from), Some(to)) = (whole.get(frame), whole.get(frame + 1))
            {
                let head = [from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part];
                scene.stroke(&[*from, head], half.colour(time(frame, self.clip.len())), 2.0);
            }
            draw_half(scene, &whole[..=frame.min(whole.len() - 1)], self.clip.len(), *half);
            if let Some(now) = whole.get(frame) {
                scene.ring(*now, marker_radius(self.clip.len()) + 4.0, half.colour(0.0), 1.8);
            }
        }
    }
}
