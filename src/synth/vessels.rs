//! Vessels: a liquid that rises in a glass, and an object that is put into a box.

use super::draw::Draw;
use super::geometry::{Point, between};
use super::motions::{Body, Motion};
use super::raster::{Canvas, Homography, Paint};
use super::shapes::rectangle;
use super::texture::{Contrast, Surface, Texture};

/// Fills a polygon with a texture that does not move, three tiles per picture side.
fn still(canvas: &mut Canvas, polygon: &[Point], texture: &Texture, shade: f32) {
    let projection = Homography::similarity((0.0, 0.0), 1.0, 0.0);
    canvas.fill(polygon, Paint { texture, projection, tiles: 3.0, shade });
}

/// A glass with a liquid whose level rises.
pub struct Level {
    centre: f32,
    top: f32,
    bottom: f32,
    /// Half width at the bottom and at the top.
    half: [f32; 2],
    rim: f32,
    tilt: f32,
    level: [f32; 2],
    wall: Texture,
    inside: Texture,
    liquid: Texture,
}

impl Level {
    /// A level that rises; the noun decides the shape of the glass.
    pub fn random(draw: &mut Draw, noun: &str, contrast: Contrast) -> Self {
        let (narrow, wide) = match noun {
            "juice" => (0.1, 0.2),
            "sand" => (0.22, 0.22),
            "milk" => (0.2, 0.13),
            _ => (0.15, 0.15),
        };
        let grown = draw.range(0.95, 1.2);
        let middle = draw.range(0.46, 0.54);
        let height = draw.range(0.5, 0.64);
        Self {
            centre: draw.range(0.38, 0.62),
            top: middle - height / 2.0,
            bottom: middle + height / 2.0,
            half: [narrow * grown, wide * grown],
            rim: draw.range(0.02, 0.035),
            tilt: draw.range(-0.012, 0.012),
            level: [draw.range(0.04, 0.14), draw.range(0.78, 0.94)],
            wall: Texture::random(draw, Surface::Fixture, contrast),
            inside: Texture::random(draw, Surface::Background, contrast),
            liquid: Texture::random(draw, Surface::Object, contrast),
        }
    }

    /// The inside of the glass from the bottom up to `level` (0 to 1), larger by `rim` at the sides and at the bottom.
    fn body(&self, level: f32, rim: f32, tilt: f32) -> [Point; 4] {
        let y = self.bottom + (self.top - self.bottom) * level;
        let half = between(self.half, level);
        [
            (self.centre - half - rim, y - tilt),
            (self.centre + half + rim, y + tilt),
            (self.centre + self.half[0] + rim, self.bottom + rim),
            (self.centre - self.half[0] - rim, self.bottom + rim),
        ]
    }
}

impl Motion for Level {
    fn paint(&self, canvas: &mut Canvas, progress: f32) {
        still(canvas, &self.body(1.0, self.rim, 0.0), &self.wall, 1.0);
        still(canvas, &self.body(1.0, 0.0, 0.0), &self.inside, 0.6);
        still(canvas, &self.body(between(self.level, progress), 0.0, self.tilt), &self.liquid, 1.0);
    }
}

/// An object that moves over the rim of a box and down behind its front.
pub struct Inside {
    body: Body,
    scale: f32,
    angle: f32,
    start: Point,
    above: Point,
    rest: Point,
    back: [Point; 4],
    front: [Point; 4],
    back_texture: Texture,
    front_texture: Texture,
}

impl Inside {
    /// An object that is put in, from a random side.
    pub fn random(draw: &mut Draw, noun: &str, contrast: Contrast) -> Self {
        let scale = draw.range(0.1, 0.13);
        let x = draw.range(0.42, 0.58);
        let half = draw.range(0.19, 0.25);
        let rim = draw.range(0.58, 0.64);
        let depth = draw.range(0.26, 0.3);
        let side = draw.sign();
        Self {
            body: Body::random(draw, noun, contrast),
            scale,
            angle: draw.range(-0.3, 0.3),
            start: (x + side * draw.range(0.2, 0.3), draw.range(0.12, 0.2)),
            above: (x, rim - draw.range(0.26, 0.32)),
            rest: (x, rim + 0.16),
            back: rectangle(x - half, rim - 0.05, x + half, rim + 0.02),
            front: rectangle(x - half - 0.01, rim, x + half + 0.01, rim + depth + 0.04),
            back_texture: Texture::random(draw, Surface::Background, contrast),
            front_texture: Texture::random(draw, Surface::Fixture, contrast),
        }
    }
}

impl Motion for Inside {
    fn paint(&self, canvas: &mut Canvas, progress: f32) {
        still(canvas, &self.back, &self.back_texture, 0.6);
        // A quadratic curve: from the side, over the rim, down.
        let along = |a: f32, b: f32, c: f32| {
            between([between([a, b], progress), between([b, c], progress)], progress)
        };
        let centre =
            (along(self.start.0, self.above.0, self.rest.0), along(self.start.1, self.above.1, self.rest.1));
        self.body.paint(canvas, centre, self.scale, self.angle);
        still(canvas, &self.front, &self.front_texture, 1.0);
    }
}
