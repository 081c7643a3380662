//! The camera of the rich style.

use super::draw::Draw;
use super::geometry::{Point, between, point_between};

/// How a camera shows the scene: shifted by `pan` (in sides of the picture), enlarged by `zoom`, and turned by `roll` radians.
#[derive(Clone, Copy, Debug)]
pub struct Camera {
    /// The shift of the scene.
    pub pan: Point,
    /// Factor of all lengths.
    pub zoom: f32,
    /// Clockwise on the screen.
    pub roll: f32,
}

impl Camera {
    /// A camera that shows the scene a little shifted, enlarged and turned.
    pub fn random(draw: &mut Draw) -> Self {
        let pan = (draw.range(-0.05, 0.05), draw.range(-0.05, 0.05));
        Self { pan, zoom: draw.range(0.92, 1.1), roll: draw.range(-0.05, 0.05) }
    }

    /// The camera at `time` (0 to 1) on the way from the first to the second.
    pub fn on_the_way(ends: [Self; 2], time: f32) -> Self {
        Self {
            pan: point_between(ends.map(|camera| camera.pan), time),
            zoom: between(ends.map(|camera| camera.zoom), time),
            roll: between(ends.map(|camera| camera.roll), time),
        }
    }

    /// Where a point of the scene appears in the picture. The scene turns and grows about the picture's middle.
    pub fn picture(&self, (x, y): Point) -> Point {
        let (sin, cos) = self.roll.sin_cos();
        let (x, y) = (x - 0.5, y - 0.5);
        (
            0.5 + self.pan.0 + self.zoom * (cos * x - sin * y),
            0.5 + self.pan.1 + self.zoom * (sin * x + cos * y),
        )
    }

    /// The point of the scene that appears at a point of the picture: the inverse of [`Self::picture`].
    pub fn scene(&self, (x, y): Point) -> Point {
        let (sin, cos) = self.roll.sin_cos();
        let (x, y) = ((x - 0.5 - self.pan.0) / self.zoom, (y - 0.5 - self.pan.1) / self.zoom);
        (0.5 + cos * x + sin * y, 0.5 - sin * x + cos * y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_finds_the_point_that_it_shows() {
        let camera = Camera { pan: (0.03, -0.02), zoom: 1.1, roll: 0.2 };
        let (x, y) = camera.scene(camera.picture((0.3, 0.8)));
        assert!((x - 0.3).abs() < 1e-5 && (y - 0.8).abs() < 1e-5, "{x} {y}");
    }
}
