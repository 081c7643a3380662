//! A small software rasteriser: paints antialiased, textured polygons in perspective.
//!
//! Coordinates are those of the unit square, x to the right and y down, for every size in pixels. Coverage is exact along x
//! and sampled four times along y, by the even-odd rule, so a polygon may be concave or cross itself.

use super::camera::Camera;
use super::geometry::Point;
use super::texture::{LinearRgb, Texture};

/// Sub-scanlines per row.
const ROWS: usize = 4;

/// A projective map of the plane, as a row-major 3 x 3 matrix.
#[derive(Clone, Copy)]
pub struct Homography([f32; 9]);

impl Homography {
    /// Picture to texture for a shape moved to `centre`, scaled by `scale` and turned by `angle` radians
    /// (clockwise on the screen): the inverse of that motion.
    pub fn similarity(centre: Point, scale: f32, angle: f32) -> Self {
        let (sin, cos) = angle.sin_cos();
        let (a, b) = (cos / scale, sin / scale);
        Self([a, b, -(a * centre.0 + b * centre.1), -b, a, b * centre.0 - a * centre.1, 0.0, 0.0, 1.0])
    }

    /// Picture to texture for the unit square seen as this quadrilateral (corners in the order (0,0), (1,0),
    /// (1,1), (0,1)): the inverse of Heckbert's square-to-quadrilateral map (1989, section 2.2.3).
    pub fn quad(corners: [Point; 4]) -> Self {
        let [(x0, y0), (x1, y1), (x2, y2), (x3, y3)] = corners;
        let (dx1, dx2, sx) = (x1 - x2, x3 - x2, x0 - x1 + x2 - x3);
        let (dy1, dy2, sy) = (y1 - y2, y3 - y2, y0 - y1 + y2 - y3);
        let det = dx1 * dy2 - dx2 * dy1;
        // A quadrilateral seen edge-on covers no pixel, so any map serves.
        let det = if det.abs() < 1e-9 { 1e-9 } else { det };
        let (g, h) = ((sx * dy2 - dx2 * sy) / det, (dx1 * sy - sx * dy1) / det);
        let (a, b, c) = (x1 - x0 + g * x1, x3 - x0 + h * x3, x0);
        let (d, e, f) = (y1 - y0 + g * y1, y3 - y0 + h * y3, y0);
        // The adjugate is the inverse up to a factor, which does not change a projective map.
        Self([
            e - f * h,
            c * h - b,
            b * f - c * e,
            f * g - d,
            a - c * g,
            c * d - a * f,
            d * h - e * g,
            b * g - a * h,
            a * e - b * d,
        ])
    }

    fn apply(&self, (x, y): Point) -> Point {
        let m = &self.0;
        let w = m[6] * x + m[7] * y + m[8];
        let w = if w.abs() < 1e-9 { 1e-9 } else { w };
        ((m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w)
    }
}

/// What a polygon is filled with.
#[derive(Clone, Copy)]
pub struct Paint<'a> {
    /// The colours.
    pub texture: &'a Texture,
    /// From the picture to the texture.
    pub projection: Homography,
    /// Tiles per unit of the texture's plane.
    pub tiles: f32,
    /// Factor of the brightness.
    pub shade: f32,
}

impl Paint<'_> {
    fn at(&self, point: Point) -> LinearRgb {
        let (u, v) = self.projection.apply(point);
        self.texture.sample(u * self.tiles, v * self.tiles).map(|c| c * self.shade)
    }
}

/// A square picture being drawn.
pub struct Canvas {
    size: usize,
    pixels: Vec<LinearRgb>,
    /// How the scene is seen; as it is if absent.
    pub camera: Option<Camera>,
    /// The shadow of every polygon: how far it is shifted, and the share of the light that it takes.
    pub shadow: Option<(Point, f32)>,
}

impl Canvas {
    /// A black picture of `size` x `size` pixels.
    pub fn new(size: usize) -> Self {
        Self { size, pixels: vec![[0.0; 3]; size * size], camera: None, shadow: None }
    }

    /// Paints every pixel.
    pub fn cover(&mut self, paint: Paint) {
        let step = 1.0 / self.size as f32;
        for (i, pixel) in self.pixels.iter_mut().enumerate() {
            let point =
                ((i % self.size) as f32 * step + step / 2.0, (i / self.size) as f32 * step + step / 2.0);
            *pixel = paint.at(self.camera.map_or(point, |camera| camera.scene(point)));
        }
    }

    /// Paints the inside of a polygon, and its shadow before it.
    pub fn fill(&mut self, polygon: &[Point], paint: Paint) {
        let camera = self.camera;
        let seen: Vec<Point>;
        let polygon = match camera {
            Some(camera) => {
                seen = polygon.iter().map(|&point| camera.picture(point)).collect();
                &seen
            }
            None => polygon,
        };
        if let Some(((right, down), share)) = self.shadow {
            let shifted: Vec<Point> = polygon.iter().map(|p| (p.0 + right, p.1 + down)).collect();
            self.blend(&shifted, |_, pixel| pixel.map(|c| c * (1.0 - share)));
        }
        self.blend(polygon, |point, _| paint.at(camera.map_or(point, |camera| camera.scene(point))));
    }

    /// Multiplies every pixel by the light at its point of the picture.
    pub fn light(&mut self, light: impl Fn(Point) -> f32) {
        let size = self.size as f32;
        for (i, pixel) in self.pixels.iter_mut().enumerate() {
            let (x, y) = (i % self.size, i / self.size);
            let factor = light(((x as f32 + 0.5) / size, (y as f32 + 0.5) / size));
            *pixel = pixel.map(|c| c * factor);
        }
    }

    /// Replaces the inside of a polygon of the picture by a colour that may depend on the one that is there.
    fn blend(&mut self, polygon: &[Point], colour: impl Fn(Point, LinearRgb) -> LinearRgb) {
        let size = self.size as f32;
        let top = polygon.iter().map(|p| p.1).fold(f32::INFINITY, f32::min) * size;
        let bottom = polygon.iter().map(|p| p.1).fold(f32::NEG_INFINITY, f32::max) * size;
        let rows = (top.floor().max(0.0) as usize)..(bottom.ceil().clamp(0.0, size) as usize);
        let mut coverage = vec![0.0f32; self.size];
        let mut crossings = Vec::new();
        for row in rows {
            coverage.fill(0.0);
            for sub in 0..ROWS {
                let y = (row as f32 + (sub as f32 + 0.5) / ROWS as f32) / size;
                crossings.clear();
                for (i, &(x0, y0)) in polygon.iter().enumerate() {
                    let (x1, y1) = polygon[(i + 1) % polygon.len()];
                    if (y0 <= y) != (y1 <= y) {
                        crossings.push((x0 + (x1 - x0) * (y - y0) / (y1 - y0)) * size);
                    }
                }
                crossings.sort_by(f32::total_cmp);
                for span in crossings.chunks_exact(2) {
                    add_span(&mut coverage, span[0].clamp(0.0, size), span[1].clamp(0.0, size));
                }
            }
            let line = &mut self.pixels[row * self.size..][..self.size];
            for (x, (pixel, &covered)) in line.iter_mut().zip(&coverage).enumerate() {
                if covered > 0.0 {
                    let colour = colour(((x as f32 + 0.5) / size, (row as f32 + 0.5) / size), *pixel);
                    let alpha = (covered / ROWS as f32).min(1.0);
                    for c in 0..3 {
                        pixel[c] += (colour[c] - pixel[c]) * alpha;
                    }
                }
            }
        }
    }

    /// The picture as RGB bytes, row-major, every value times `gain`.
    pub fn to_rgb8(&self, gain: f32) -> Vec<u8> {
        self.pixels.iter().flatten().map(|v| (v * gain + 0.5).clamp(0.0, 255.0) as u8).collect()
    }
}

/// Adds the share of each pixel that `left..right` covers.
fn add_span(coverage: &mut [f32], left: f32, right: f32) {
    let (first, last) = (left as usize, (right as usize).min(coverage.len() - 1));
    if right <= left {
        return;
    }
    if first == last {
        coverage[first] += right - left;
        return;
    }
    coverage[first] += first as f32 + 1.0 - left;
    coverage[first + 1..last].iter_mut().for_each(|c| *c += 1.0);
    coverage[last] += right - last as f32;
}

#[cfg(test)]
mod tests {
    use super::super::draw::Draw;
    use super::super::texture::{Contrast, Surface};
    use super::*;

    fn area(polygon: &[Point]) -> f32 {
        let texture = Texture::random(&mut Draw::named("area"), Surface::Object, Contrast::Salient);
        let mut canvas = Canvas::new(64);
        let white = Paint {
            texture: &texture,
            projection: Homography::similarity((0.0, 0.0), 1.0, 0.0),
            tiles: 1.0,
            shade: 1e6,
        };
        canvas.fill(polygon, white);
        canvas.pixels.iter().map(|p| (p[1] / 255.0).min(1.0)).fold(0.0, |a, b| a + b) / (64.0 * 64.0)
    }

    #[test]
    fn coverage_reaches_the_edges_and_stays_inside() {
        assert!((area(&[(-1.0, -1.0), (2.0, -1.0), (2.0, 2.0), (-1.0, 2.0)]) - 1.0).abs() < 1e-5);
        assert_eq!(area(&[(1.5, 0.0), (2.0, 0.0), (2.0, 1.0)]), 0.0);
    }

    #[test]
    fn partly_covered_pixels_are_partly_painted() {
        let mut coverage = [0.0; 4];
        add_span(&mut coverage, 0.25, 2.5);
        assert_eq!(coverage, [0.75, 1.0, 0.5, 0.0]);
        add_span(&mut coverage, 3.25, 4.0);
        assert_eq!(coverage[3], 0.75);
    }

    #[test]
    fn a_quad_maps_its_corners_to_the_unit_square() {
        let corners = [(0.2, 0.1), (0.7, 0.2), (0.8, 0.9), (0.1, 0.6)];
        let map = Homography::quad(corners);
        for (corner, want) in corners.into_iter().zip([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]) {
            let (u, v) = map.apply(corner);
            assert!((u - want.0).abs() < 1e-4 && (v - want.1).abs() < 1e-4, "{u} {v}");
        }
    }

    #[test]
    fn a_similarity_undoes_its_motion() {
        let (angle, scale) = (0.7f32, 0.3);
        let (sin, cos) = angle.sin_cos();
        let place = |(x, y): Point| (0.4 + scale * (cos * x - sin * y), 0.6 + scale * (sin * x + cos * y));
        let (u, v) = Homography::similarity((0.4, 0.6), scale, angle).apply(place((0.9, -0.2)));
        assert!((u - 0.9).abs() < 1e-5 && (v + 0.2).abs() < 1e-5);
    }
}
