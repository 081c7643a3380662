//! Rigid objects that move: up, left, nearer, or clockwise.

use super::draw::Draw;
use super::geometry::{Point, between, point_between};
use super::raster::{Canvas, Homography, Paint};
use super::shapes::{outline, place};
use super::texture::{Contrast, Surface, Texture};

/// A motion in a clip, from its beginning (0) to its end (1).
pub trait Motion: Send + Sync {
    /// Paints the motion at `progress`.
    fn paint(&self, canvas: &mut Canvas, progress: f32);
}

/// A textured outline.
pub struct Body {
    outline: Vec<Point>,
    texture: Texture,
}

impl Body {
    /// The outline of this noun with a texture of its own.
    pub fn random(draw: &mut Draw, noun: &str, contrast: Contrast) -> Self {
        Self { outline: outline(noun), texture: Texture::random(draw, Surface::Object, contrast) }
    }

    /// Paints the body at `centre`, scaled and turned by `angle` radians together with its texture.
    pub fn paint(&self, canvas: &mut Canvas, centre: Point, scale: f32, angle: f32) {
        let projection = Homography::similarity(centre, scale, angle);
        let paint = Paint { texture: &self.texture, projection, tiles: 0.4, shade: 1.0 };
        canvas.fill(&place(&self.outline, centre, scale, angle), paint);
    }
}

/// A rigid body, and its place, size and angle at the beginning and at the end.
pub struct Rigid {
    body: Body,
    centre: [Point; 2],
    scale: [f32; 2],
    angle: [f32; 2],
}

impl Rigid {
    /// From below to above.
    pub fn up(draw: &mut Draw, noun: &str, contrast: Contrast) -> Self {
        let (x, y) = (draw.range(0.25, 0.75), draw.range(0.45, 0.55));
        let reach = draw.range(0.2, 0.28);
        Self::slide(draw, noun, contrast, [(x, y + reach), (x, y - reach)])
    }

    /// From the right to the left.
    pub fn left(draw: &mut Draw, noun: &str, contrast: Contrast) -> Self {
        let (x, y) = (draw.range(0.45, 0.55), draw.range(0.25, 0.75));
        let reach = draw.range(0.2, 0.28);
        Self::slide(draw, noun, contrast, [(x + reach, y), (x - reach, y)])
    }

    fn slide(draw: &mut Draw, noun: &str, contrast: Contrast, centre: [Point; 2]) -> Self {
        let (scale, angle) = (draw.range(0.12, 0.19), draw.range(-0.3, 0.3));
        let body = Body::random(draw, noun, contrast);
        Self { body, centre, scale: [scale; 2], angle: [angle; 2] }
    }

    /// From far to near.
    pub fn nearer(draw: &mut Draw, noun: &str, contrast: Contrast) -> Self {
        let centre = (draw.range(0.4, 0.6), draw.range(0.4, 0.6));
        let (far, near) = (draw.range(0.07, 0.12), draw.range(0.3, 0.42));
        let angle = draw.range(-0.3, 0.3);
        let body = Body::random(draw, noun, contrast);
        Self { body, centre: [centre; 2], scale: [far, near], angle: [angle; 2] }
    }

    /// Clockwise through the upright position. The beginning is always on the left of it and the end on the right: between
    /// random angles no linear probe could read the direction of a turn.
    pub fn clockwise(draw: &mut Draw, noun: &str, contrast: Contrast) -> Self {
        let centre = (draw.range(0.4, 0.6), draw.range(0.4, 0.6));
        let scale = draw.range(0.26, 0.36);
        let angle = [-draw.range(0.8, 1.3), draw.range(0.8, 1.3)];
        let body = Body::random(draw, noun, contrast);
        Self { body, centre: [centre; 2], scale: [scale; 2], angle }
    }
}

impl Motion for Rigid {
    fn paint(&self, canvas: &mut Canvas, progress: f32) {
        let centre = point_between(self.centre, progress);
        self.body.paint(canvas, centre, between(self.scale, progress), between(self.angle, progress));
    }
}
