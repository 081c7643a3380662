//! The camera of the rich style.

use super::draw::Draw;

/// A camera's position: a picture shifted by `pan` (in picture sides), enlarged by `zoom` and turned by `roll` radians.
#[derive(Clone, Copy, Debug)]
pub struct Camera {
    /// The shift of the scene.
    pub pan: (f32, f32),
    /// Factor of all lengths.
    pub zoom: f32,
    /// Clockwise on the screen.
    pub roll: f32,
}

impl Camera {
    /// A position near the one without a camera.
    pub fn random(draw: &mut Draw) -> Self {
        let pan = (draw.range(-0.05, 0.05), draw.range(-0.05, 0.05));
        Self { pan, zoom: draw.range(0.92, 1.1), roll: draw.range(-0.05, 0.05) }
    }

    /// The position at `time` (0 to 1) on the way from the first to the second.
    pub fn on_the_way(ends: [Self; 2], time: f32) -> Self {
        let way = |part: fn(Self) -> f32| {
            let [from, to] = ends.map(part);
            from + (to - from) * time
        };
        Self { pan: (way(|c| c.pan.0), way(|c| c.pan.1)), zoom: way(|c| c.zoom), roll: way(|c| c.roll) }
    }

    /// Where a point of the scene appears in the picture. The scene turns and grows about the picture's middle.
    pub fn picture(&self, (x, y): (f32, f32)) -> (f32, f32) {
        let (sin, cos) = self.roll.sin_cos();
        let (x, y) = (x - 0.5, y - 0.5);
        (
            0.5 + self.pan.0 + self.zoom * (cos * x - sin * y),
            0.5 + self.pan.1 + self.zoom * (sin * x + cos * y),
        )
    }

    /// The point of the scene that appears at a point of the picture: the inverse of [`Self::picture`].
    pub fn scene(&self, (x, y): (f32, f32)) -> (f32, f32) {
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
