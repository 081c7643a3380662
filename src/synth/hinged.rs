//! Things on a hinge: a door, a lid, a sheet folded over.

use std::f32::consts::PI;

use super::draw::Draw;
use super::geometry::{Point, between};
use super::motions::Motion;
use super::raster::{Canvas, Homography, Paint};
use super::shapes::{place, rectangle};
use super::texture::{Contrast, Surface, Texture};

/// How much larger the free edge of a panel becomes when it points at the viewer.
const PERSPECTIVE: f32 = 0.35;

/// Fills a quadrilateral, one tile of texture over its area.
fn fill(canvas: &mut Canvas, corners: [Point; 4], texture: &Texture, shade: f32) {
    canvas.fill(&corners, Paint { texture, projection: Homography::quad(corners), tiles: 1.0, shade });
}

/// A panel on a hinge, seen from the front. At angle 0 it lies on the wall to the right of the hinge. `along` is its extent
/// along the hinge, `width` across it.
fn panel(hinge: f32, width: f32, along: [f32; 2], angle: f32, upright: bool) -> [Point; 4] {
    let grown = 1.0 + PERSPECTIVE * angle.sin();
    let middle = (along[0] + along[1]) / 2.0;
    let free = hinge + width * angle.cos() * grown;
    let ends = along.map(|end| middle + (end - middle) * grown);
    let corners = [(hinge, along[0]), (free, ends[0]), (free, ends[1]), (hinge, along[1])];
    if upright { corners } else { corners.map(|(across, along)| (along, across)) }
}

/// A door in a wall: when it opens, the background behind it is seen.
pub struct Door {
    frame: [Point; 4],
    hinge: f32,
    width: f32,
    along: [f32; 2],
    swing: [f32; 2],
    panel: Texture,
    around: Texture,
    behind: Texture,
}

impl Door {
    /// A door that opens; the noun decides its proportions and the side of its hinge.
    pub fn random(draw: &mut Draw, noun: &str, contrast: Contrast) -> Self {
        let (aspect, side) = match noun {
            "cupboard" => (1.2, -1.0),
            "window" => (0.9, 1.0),
            "hatch" => (0.8, -1.0),
            _ => (1.7, 1.0),
        };
        let width = draw.range(0.3, 0.38);
        let height = (width * aspect).min(0.62);
        let (x, y) = (draw.range(0.42, 0.58), draw.range(0.44, 0.56));
        let (left, right) = (x - width / 2.0, x + width / 2.0);
        let along = [y - height / 2.0, y + height / 2.0];
        Self {
            frame: rectangle(left - 0.03, along[0] - 0.03, right + 0.03, along[1] + 0.03),
            hinge: if side > 0.0 { left } else { right },
            width: width * side,
            along,
            swing: [draw.range(0.0, 0.12), draw.range(1.25, 1.75)],
            panel: Texture::random(draw, Surface::Object, contrast),
            around: Texture::random(draw, Surface::Fixture, contrast),
            behind: Texture::random(draw, Surface::Background, contrast),
        }
    }
}

impl Motion for Door {
    fn paint(&self, canvas: &mut Canvas, progress: f32) {
        fill(canvas, self.frame, &self.around, 1.0);
        let inside = rectangle(self.hinge, self.along[0], self.hinge + self.width, self.along[1]);
        fill(canvas, inside, &self.behind, 0.5);
        let angle = between(self.swing, progress);
        fill(canvas, panel(self.hinge, self.width, self.along, angle, true), &self.panel, 1.0);
    }
}

/// A box seen from the side whose lid turns up about a corner.
pub struct Lid {
    body: [Point; 4],
    hinge: Point,
    lid: [Point; 4],
    side: f32,
    swing: [f32; 2],
    box_texture: Texture,
    lid_texture: Texture,
}

impl Lid {
    /// A lid that opens; the noun decides its proportions and the end of its hinge.
    pub fn random(draw: &mut Draw, noun: &str, contrast: Contrast) -> Self {
        let (aspect, side) = match noun {
            "chest" => (0.6, -1.0),
            "bin" => (1.1, 1.0),
            "case" => (0.4, -1.0),
            _ => (0.8, 1.0),
        };
        let width = draw.range(0.34, 0.44);
        let (x, top) = (draw.range(0.44, 0.56), draw.range(0.5, 0.56));
        let height = (width * aspect).min(0.4);
        let thick = draw.range(0.06, 0.09);
        Self {
            body: rectangle(x - width / 2.0, top, x + width / 2.0, top + height),
            hinge: (x - side * width / 2.0, top),
            lid: rectangle(0.0, -thick, width * 1.04, 0.0),
            side,
            swing: [draw.range(0.0, 0.1), draw.range(1.2, 1.7)],
            box_texture: Texture::random(draw, Surface::Fixture, contrast),
            lid_texture: Texture::random(draw, Surface::Object, contrast),
        }
    }
}

impl Motion for Lid {
    fn paint(&self, canvas: &mut Canvas, progress: f32) {
        fill(canvas, self.body, &self.box_texture, 1.0);
        // A lid to the right of its hinge turns counterclockwise to open.
        let turned = place(&self.lid, (0.0, 0.0), 1.0, -between(self.swing, progress));
        let corners =
            std::array::from_fn(|i| (self.hinge.0 + self.side * turned[i].0, self.hinge.1 + turned[i].1));
        fill(canvas, corners, &self.lid_texture, 1.0);
    }
}

/// A sheet: one half folds over the other and shows its back.
pub struct Sheet {
    crease: f32,
    half: f32,
    along: [f32; 2],
    swing: [f32; 2],
    upright: bool,
    front: Texture,
    back: Texture,
}

impl Sheet {
    /// A sheet that folds; the noun decides its proportions and the direction of the crease.
    pub fn random(draw: &mut Draw, noun: &str, contrast: Contrast) -> Self {
        let (aspect, upright) = match noun {
            "cloth" => (1.0, false),
            "map" => (0.7, true),
            "towel" => (1.5, false),
            _ => (1.3, true),
        };
        let half = draw.range(0.22, 0.28);
        let length = (2.0 * half * aspect).min(0.58);
        let middle = draw.range(0.45, 0.55);
        Self {
            crease: draw.range(0.45, 0.53),
            half,
            along: [middle - length / 2.0, middle + length / 2.0],
            swing: [draw.range(0.0, 0.2), PI - draw.range(0.05, 0.25)],
            upright,
            front: Texture::random(draw, Surface::Object, contrast),
            back: Texture::random(draw, Surface::Object, contrast),
        }
    }
}

impl Motion for Sheet {
    fn paint(&self, canvas: &mut Canvas, progress: f32) {
        fill(canvas, panel(self.crease, -self.half, self.along, 0.0, self.upright), &self.front, 1.0);
        let angle = between(self.swing, progress);
        // Beyond a right angle the back is seen, and it is in shade.
        let (texture, shade) = if angle < PI / 2.0 { (&self.front, 1.0) } else { (&self.back, 0.85) };
        fill(canvas, panel(self.crease, self.half, self.along, angle, self.upright), texture, shade);
    }
}
