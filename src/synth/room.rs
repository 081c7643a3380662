//! The rich style: a lit room with furniture around the motion, seen by a camera that moves.
//!
//! Everything here has the same random distribution in both classes of a pair, and its two ends in time are drawn
//! alike. So it does not tell the direction of time.

use super::camera::Camera;
use super::draw::Draw;
use super::geometry::{Point, point_between};
use super::raster::{Canvas, Homography, Paint};
use super::shapes::{outline, place, rectangle};
use super::texture::{Contrast, Surface, Texture};

/// Light that falls in from one side and fades towards the picture's edges.
struct Light {
    /// The brightness at the left and right, and at the top and bottom edge, beside 1 in the middle.
    slope: Point,
    /// How much of the brightness the corners lose.
    fade: f32,
}

impl Light {
    fn random(draw: &mut Draw) -> Self {
        Self { slope: (draw.range(-0.3, 0.3), draw.range(-0.3, 0.3)), fade: draw.range(0.0, 0.5) }
    }

    /// The factor of the brightness at a point of the picture.
    fn at(&self, (x, y): Point) -> f32 {
        let (x, y) = (2.0 * x - 1.0, 2.0 * y - 1.0);
        (1.0 + self.slope.0 * x + self.slope.1 * y) * (1.0 - self.fade * (x * x + y * y) / 2.0)
    }
}

/// A piece of furniture, or a picture on the wall: an outline, and another inside it.
struct Piece {
    outer: (Vec<Point>, Texture),
    inner: Option<(Vec<Point>, Texture)>,
}

impl Piece {
    fn random(draw: &mut Draw, contrast: Contrast) -> Self {
        // Where the motion is, in the middle, furniture is behind it.
        let centre = (draw.range(-0.05, 1.05), draw.range(0.05, 1.0));
        let outer = match draw.below(4) {
            0 => place(&outline("ball"), centre, draw.range(0.04, 0.15), 0.0),
            1 => place(&outline("leaf"), centre, draw.range(0.05, 0.16), draw.range(0.0, 6.0)),
            _ => {
                let (half_width, half_height) = (draw.range(0.03, 0.2), draw.range(0.03, 0.25));
                let (x, y) = centre;
                rectangle(x - half_width, y - half_height, x + half_width, y + half_height).to_vec()
            }
        };
        let inner = (draw.below(2) == 0).then(|| {
            let factor = draw.range(0.5, 0.9);
            let towards = |corner: &Point| point_between([centre, *corner], factor);
            let texture = Texture::random(draw, Surface::Background, contrast);
            (outer.iter().map(towards).collect(), texture)
        });
        Self { outer: (outer, Texture::random(draw, Surface::Background, contrast)), inner }
    }
}

/// What is around a motion.
pub struct Room {
    wall: Texture,
    floor: Texture,
    /// Where the wall meets the floor, from the picture's top.
    horizon: f32,
    tiles: f32,
    furniture: Vec<Piece>,
    light: Light,
    /// Where the shadow of a thing falls, and how dark it is.
    shadow: (Point, f32),
    camera: [Camera; 2],
}

impl Room {
    /// Draws the random numbers of a room.
    pub fn random(draw: &mut Draw, contrast: Contrast) -> Self {
        Self {
            wall: Texture::random(draw, Surface::Background, contrast),
            floor: Texture::random(draw, Surface::Background, contrast),
            horizon: draw.range(0.55, 1.0),
            tiles: draw.range(0.8, 3.0),
            furniture: (0..2 + draw.below(6)).map(|_| Piece::random(draw, contrast)).collect(),
            light: Light::random(draw),
            shadow: ((draw.range(-0.03, 0.03), draw.range(0.0, 0.03)), draw.range(0.1, 0.5)),
            camera: [Camera::random(draw), Camera::random(draw)],
        }
    }

    /// The empty room at `time` (0 to 1) on a new canvas, on which the motion is to be painted.
    pub fn canvas(&self, size: usize, time: f32) -> Canvas {
        let mut canvas = Canvas::new(size);
        canvas.camera = Some(Camera::on_the_way(self.camera, time));
        let upright = Homography::similarity((0.0, 0.0), 1.0, 0.0);
        let paint = |texture, tiles| Paint { texture, projection: upright, tiles, shade: 1.0 };
        canvas.cover(paint(&self.wall, self.tiles));
        let floor = rectangle(-1.0, self.horizon, 2.0, 2.0);
        // The floor is seen in perspective: a strip of it that is twice as wide below.
        let seen = [(-1.0, self.horizon), (2.0, self.horizon), (3.5, 1.6), (-2.5, 1.6)];
        let projection = Homography::quad(seen);
        canvas.fill(&floor, Paint { texture: &self.floor, projection, tiles: 2.0 * self.tiles, shade: 1.0 });
        canvas.shadow = Some(self.shadow);
        for piece in &self.furniture {
            canvas.fill(&piece.outer.0, paint(&piece.outer.1, 3.0));
            if let Some((polygon, texture)) = &piece.inner {
                canvas.fill(polygon, paint(texture, 3.0));
            }
        }
        canvas
    }

    /// Lights the picture when everything is painted.
    pub fn light(&self, canvas: &mut Canvas) {
        canvas.light(|point| self.light.at(point));
    }
}
