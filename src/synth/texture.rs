//! Textures: tiles of two colours in a random pattern, which repeat without a seam.
//!
//! A tile is computed once per clip and sampled for every frame, which makes drawing fast.

use serde::Serialize;

use super::draw::Draw;

/// RGB in `0.0..=255.0`, blended without gamma.
pub type LinearRgb = [f32; 3];

/// Side of a tile in texels.
const SIDE: usize = 128;

/// How far the brightness of objects and backgrounds differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Contrast {
    /// Objects are always lighter than what is behind them
    Salient,
    /// Objects and backgrounds have the same colours; only a trained frame encoder tells them apart
    Hard,
}

/// What a surface belongs to, which decides its brightness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// The wall or table behind everything.
    Background,
    /// Objects that stand still: a box, a frame, a container.
    Fixture,
    /// The object that moves.
    Object,
}

/// A colour of random hue whose luma (BT.601) lies in the range of its surface.
fn colour(draw: &mut Draw, surface: Surface, contrast: Contrast) -> LinearRgb {
    let (low, high) = match (contrast, surface) {
        (Contrast::Salient, Surface::Background) => (18.0, 80.0),
        (Contrast::Salient, Surface::Fixture) => (95.0, 130.0),
        (Contrast::Salient, Surface::Object) => (170.0, 240.0),
        (Contrast::Hard, _) => (40.0, 215.0),
    };
    let luma = draw.range(low, high);
    let mut rgb = [draw.range(-45.0, 45.0), draw.range(-45.0, 45.0), draw.range(-45.0, 45.0)];
    let tint = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
    rgb.iter_mut().for_each(|v| *v = (*v - tint + luma).clamp(0.0, 255.0));
    rgb
}

/// A repeating square of colour.
pub struct Texture {
    texels: Vec<LinearRgb>,
}

impl Texture {
    /// A random pattern of random colours.
    pub fn random(draw: &mut Draw, surface: Surface, contrast: Contrast) -> Self {
        let (dark, light) = (colour(draw, surface, contrast), colour(draw, surface, contrast));
        let pattern = draw.below(5);
        // Whole numbers of periods per tile, so that the tile has no seam.
        let (a, b) = (2 + draw.below(5), 1 + draw.below(5));
        let phase = draw.range(0.0, 1.0);
        let coarse = Lattice::random(draw, 4, 5);
        let fine = Lattice::random(draw, 24, 16);
        let texels = (0..SIDE * SIDE)
            .map(|i| {
                let (u, v) = ((i % SIDE) as f32 / SIDE as f32, (i / SIDE) as f32 / SIDE as f32);
                let wave = |periods: usize, at: f32| {
                    0.5 + 0.5 * (std::f32::consts::TAU * (periods as f32 * at + phase)).sin()
                };
                let sharp = |x: f32| ((x - 0.5) * 4.0 + 0.5).clamp(0.0, 1.0);
                let blend = match pattern {
                    0 => sharp(wave(1, a as f32 * u + b as f32 * v)),
                    1 => sharp(wave(a, u)) * 0.5 + sharp(wave(a, v)) * 0.5,
                    2 => sharp(wave(a, u) * wave(a, v) * 1.6),
                    3 => wave(a, v),
                    _ => coarse.at(u, v),
                };
                let grain = (fine.at(u, v) - 0.5) * 24.0;
                std::array::from_fn(|c| (dark[c] + (light[c] - dark[c]) * blend + grain).clamp(0.0, 255.0))
            })
            .collect();
        Self { texels }
    }

    /// The colour at `(u, v)`, bilinear; the tile covers the unit square and repeats.
    pub fn sample(&self, u: f32, v: f32) -> LinearRgb {
        let split = |x: f32| {
            let x = (x - x.floor()) * SIDE as f32;
            let low = (x as usize).min(SIDE - 1);
            (low, (low + 1) % SIDE, x - low as f32)
        };
        let ((x0, x1, fx), (y0, y1, fy)) = (split(u), split(v));
        let [p, q, r, s] = [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| self.texels[y * SIDE + x]);
        std::array::from_fn(|c| {
            let (top, bottom) = (p[c] + (q[c] - p[c]) * fx, r[c] + (s[c] - r[c]) * fx);
            top + (bottom - top) * fy
        })
    }
}

/// Value noise: random values on a repeating grid, smoothly interpolated.
struct Lattice {
    cells: usize,
    heights: Vec<f32>,
}

impl Lattice {
    /// With `least` cells per side, or up to `spread - 1` more.
    fn random(draw: &mut Draw, least: usize, spread: usize) -> Self {
        let cells = least + draw.below(spread);
        Self { cells, heights: (0..cells * cells).map(|_| draw.unit()).collect() }
    }

    fn at(&self, u: f32, v: f32) -> f32 {
        let split = |x: f32| {
            let x = x * self.cells as f32;
            let low = x as usize % self.cells;
            let f = x - x.floor();
            (low, (low + 1) % self.cells, f * f * (3.0 - 2.0 * f))
        };
        let ((x0, x1, fx), (y0, y1, fy)) = (split(u), split(v));
        let h = |x: usize, y: usize| self.heights[y * self.cells + x];
        let (top, bottom) =
            (h(x0, y0) + (h(x1, y0) - h(x0, y0)) * fx, h(x0, y1) + (h(x1, y1) - h(x0, y1)) * fx);
        top + (bottom - top) * fy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salient_object_is_lighter_than_any_background() {
        let mut draw = Draw::named("textures");
        let mut luma = |surface| {
            let texture = Texture::random(&mut draw, surface, Contrast::Salient);
            let sum = texture.texels.iter().map(|t| 0.299 * t[0] + 0.587 * t[1] + 0.114 * t[2]).sum::<f32>();
            sum / texture.texels.len() as f32
        };
        for _ in 0..20 {
            assert!(luma(Surface::Object) > luma(Surface::Fixture) + 20.0);
            assert!(luma(Surface::Fixture) > luma(Surface::Background));
        }
    }

    #[test]
    fn a_texture_has_no_seam() {
        let mut draw = Draw::named("seam");
        let texture = Texture::random(&mut draw, Surface::Object, Contrast::Hard);
        let (before, after) = (texture.sample(0.99999, 0.3), texture.sample(1.00001, 0.3));
        assert!(before.iter().zip(after).all(|(a, b)| (a - b).abs() < 1.0));
    }
}
