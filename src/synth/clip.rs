//! One clip: a motion before a background, as frames.
//!
//! A clip of the reverse class has the frames of a forward clip in reversed order. Everything else (the background, the pan,
//! the brightness, the speed, the pauses) has the same random distribution in both classes. So whatever does not depend on
//! the order of the frames has the same distribution in both classes too.

use serde::Serialize;

use super::draw::Draw;
use super::geometry::{between, point_between};
use super::kinds::PairKind;
use super::motions::Motion;
use super::raster::{Canvas, Homography, Paint};
use super::room::Room;
use super::shapes::{outline, place};
use super::texture::{Contrast, Surface, Texture};

/// Frames per clip. Sampling 16 of 31 takes every second frame, the same ones in either order of the frames. With 30 or 32,
/// the truncated indices would be nearer to the beginning, and the average frame would show the direction.
pub const FRAMES: usize = 31;

/// Frames per second.
pub const FPS: i32 = 15;

/// What is around the motion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// A flat background with a few shapes
    Plain,
    /// A lit room with furniture and shadows, seen by a camera that moves
    Rich,
}

/// One clip: its random numbers are drawn, its pixels not yet.
pub struct SynthClip {
    motion: Box<dyn Motion>,
    /// What replaces the background and the clutter in the rich style.
    room: Option<Room>,
    background: Texture,
    background_tiles: f32,
    background_angle: f32,
    clutter: Vec<(Vec<(f32, f32)>, Texture)>,
    pan: [(f32, f32); 2],
    gain: [f32; 2],
    pause: [f32; 2],
    ease: f32,
    reverse: bool,
}

impl SynthClip {
    /// Draws the random numbers of everything in the clip.
    pub fn random(
        draw: &mut Draw,
        kind: &PairKind,
        noun: &str,
        contrast: Contrast,
        style: Style,
        reverse: bool,
    ) -> Self {
        let motion = kind.make(draw, noun, contrast);
        let background = Texture::random(draw, Surface::Background, contrast);
        let background_tiles = draw.range(0.8, 2.0);
        let background_angle = draw.range(-0.6, 0.6);
        let clutter = (0..draw.below(4))
            .map(|_| {
                let centre = (draw.unit(), draw.unit());
                let shape = ["ball", "block", "leaf"][draw.below(3)];
                let polygon = place(&outline(shape), centre, draw.range(0.04, 0.12), draw.range(0.0, 6.0));
                (polygon, Texture::random(draw, Surface::Background, contrast))
            })
            .collect();
        let mut corner = || (draw.range(-0.02, 0.02), draw.range(-0.02, 0.02));
        let pan = [corner(), corner()];
        let gain = [draw.range(0.94, 1.06), draw.range(0.94, 1.06)];
        let pause = [draw.range(0.0, 0.15), draw.range(0.0, 0.15)];
        let ease = draw.unit();
        let room = (style == Style::Rich).then(|| Room::random(draw, contrast));
        Self {
            motion,
            room,
            background,
            background_tiles,
            background_angle,
            clutter,
            pan,
            gain,
            pause,
            ease,
            reverse,
        }
    }

    /// Frame `index` as `size` x `size` RGB bytes.
    pub fn frame(&self, index: usize, size: usize) -> Vec<u8> {
        let index = if self.reverse { FRAMES - 1 - index } else { index };
        let time = index as f32 / (FRAMES - 1) as f32;
        let mut canvas = match &self.room {
            Some(room) => room.canvas(size, time),
            None => self.plain_canvas(size, time),
        };
        self.motion.paint(&mut canvas, self.progress(time));
        if let Some(room) = &self.room {
            room.light(&mut canvas);
        }
        canvas.to_rgb8(between(self.gain, time))
    }

    /// The background and the clutter of the plain style.
    fn plain_canvas(&self, size: usize, time: f32) -> Canvas {
        let mut canvas = Canvas::new(size);
        let pan = point_between(self.pan, time);
        canvas.cover(Paint {
            texture: &self.background,
            projection: Homography::similarity(pan, 1.0, self.background_angle),
            tiles: self.background_tiles,
            shade: 1.0,
        });
        for (polygon, texture) in &self.clutter {
            let moved: Vec<_> = polygon.iter().map(|p| (p.0 + pan.0, p.1 + pan.1)).collect();
            let projection = Homography::similarity(pan, 1.0, 0.0);
            canvas.fill(&moved, Paint { texture, projection, tiles: 3.0, shade: 1.0 });
        }
        canvas
    }

    /// Every frame, in order.
    pub fn frames(&self, size: usize) -> impl Iterator<Item = Vec<u8>> + '_ {
        (0..FRAMES).map(move |index| self.frame(index, size))
    }

    /// How far the motion is at `time` (0 to 1): a pause, then a speed between constant and eased, then a pause.
    fn progress(&self, time: f32) -> f32 {
        let [before, after] = self.pause;
        let t = ((time - before) / (1.0 - before - after)).clamp(0.0, 1.0);
        between([t, t * t * (3.0 - 2.0 * t)], self.ease)
    }
}
