//! A scene as a bitmap: plotters rasterises the shapes at up to three times the density, and the result is averaged down.
//!
//! The coordinates of plotters are whole pixels; at three times the density that is a third of a pixel, and edges get nine
//! levels besides its own smoothing. Text is drawn by [`super::text`], because plotters drops the glyphs' side bearings.

use super::palette::{Rgb, WHITE};
use super::scene::{Area, CSS_DPI, Scene, Shape};
use super::text;
use super::text::Font;
use image::RgbImage;
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::imageops::{FilterType, resize, thumbnail};
use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters::style::RGBColor;
use std::sync::Arc;

/// Samples per pixel and axis: fewer where the pixels are small anyway, so that print densities fit in memory.
pub(super) fn samples(scale: f64) -> u32 {
    match scale {
        _ if scale <= 2.5 => 3,
        _ if scale <= 4.5 => 2,
        _ => 1,
    }
}

/// The largest side of a bitmap in pixels, which bounds the memory whatever the density.
pub const LARGEST_SIDE: f64 = 8192.0;

/// Draws `scene` at `scale` pixels per CSS pixel (made smaller where a side would exceed [`LARGEST_SIDE`]).
pub fn rasterise(scene: &Scene, scale: f64) -> RgbImage {
    let scale = scale.min(LARGEST_SIDE / scene.width.max(scene.height));
    let size = |length: f64| (length * scale).round().max(1.0) as u32;
    let (width, height) = (size(scene.width), size(scene.height));
    let samples = samples(scale);
    let (fine_width, fine_height) = (width * samples, height * samples);
    let paper = vec![WHITE[0]; fine_width as usize * fine_height as usize * 3];
    let mut sheet = RgbImage::from_raw(fine_width, fine_height, paper).unwrap_or_default();
    let fine = scale * f64::from(samples);
    let mut scaled = ScaledPictures::new();
    for shape in &scene.shapes {
        paint(&mut sheet, shape, fine, &mut scaled);
    }
    average(&sheet, width, height, samples)
}

/// The scene as a PNG file at `dpi` dots per inch.
///
/// # Errors
/// The encoder's own, which a picture in memory does not cause.
pub fn png(scene: &Scene, dpi: f64) -> Result<Vec<u8>, image::ImageError> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, PngFilter::Adaptive);
    rasterise(scene, dpi / CSS_DPI).write_with_encoder(encoder)?;
    Ok(bytes)
}

/// Mean over each square of `samples` by `samples`.
fn average(sheet: &RgbImage, width: u32, height: u32, samples: u32) -> RgbImage {
    let (n, count) = (samples as usize, samples * samples);
    let row_bytes = width as usize * 3 * n;
    let mut out = Vec::with_capacity(width as usize * height as usize * 3);
    let mut sums = vec![0u32; row_bytes];
    for rows in sheet.as_raw().chunks_exact(row_bytes * n) {
        // Down the columns first, which is one long addition per row.
        sums.fill(0);
        for row in rows.chunks_exact(row_bytes) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += u32::from(*value);
            }
        }
        for cell in sums.chunks_exact(3 * n) {
            for channel in 0..3 {
                let sum: u32 = (0..n).map(|sample| cell[3 * sample + channel]).sum();
                out.push(((sum + count / 2) / count) as u8);
            }
        }
    }
    RgbImage::from_raw(width, height, out).unwrap_or_default()
}

/// Pictures that were scaled before, by address and size, because a figure shows some of them twice.
type ScaledPictures = Vec<(*const RgbImage, (u32, u32), RgbImage)>;

fn paint(sheet: &mut RgbImage, shape: &Shape, scale: f64, scaled: &mut ScaledPictures) {
    match shape {
        Shape::Stroke { points, colour, width } => {
            for pair in points.windows(2) {
                if let Some(corners) = thick_line(pair[0], pair[1], *width) {
                    polygon(sheet, &corners, *colour, scale);
                }
            }
            // Round joints, where two pieces would leave a notch.
            for joint in points.iter().skip(1).take(points.len().saturating_sub(2)) {
                disc(sheet, *joint, width / 2.0, *colour, scale);
            }
        }
        Shape::Polygon { points, fill } => polygon(sheet, points, *fill, scale),
        Shape::Disc { centre, radius, fill } => disc(sheet, *centre, *radius, *fill, scale),
        Shape::Block { area, fill } => block(sheet, *area, *fill, scale),
        Shape::Text { text, at, anchor, font } => {
            let font = Font { size: font.size * scale, ..*font };
            text::draw(sheet, text, at.map(|value| value * scale), *anchor, font);
        }
        Shape::Picture { area, image } => picture(sheet, *area, image, scale, scaled),
    }
}

/// The four corners of a line of some width; none if it has no length.
fn thick_line(a: [f64; 2], b: [f64; 2], width: f64) -> Option<[[f64; 2]; 4]> {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let length = dx.hypot(dy);
    let (nx, ny) = (-dy / length * width / 2.0, dx / length * width / 2.0);
    (length > 0.0).then_some([
        [a[0] + nx, a[1] + ny],
        [b[0] + nx, b[1] + ny],
        [b[0] - nx, b[1] - ny],
        [a[0] - nx, a[1] - ny],
    ])
}

fn ink(colour: Rgb) -> RGBColor {
    RGBColor(colour[0], colour[1], colour[2])
}

fn whole(point: [f64; 2], scale: f64) -> (i32, i32) {
    ((point[0] * scale).round() as i32, (point[1] * scale).round() as i32)
}

/// Runs one call of the rasteriser; drawing into memory cannot fail.
fn with_backend(sheet: &mut RgbImage, draw: impl FnOnce(&mut BitMapBackend<'_>)) {
    let size = sheet.dimensions();
    draw(&mut BitMapBackend::with_buffer(sheet, size));
}

fn polygon(sheet: &mut RgbImage, points: &[[f64; 2]], fill: Rgb, scale: f64) {
    let points: Vec<(i32, i32)> = points.iter().map(|point| whole(*point, scale)).collect();
    with_backend(sheet, |backend| {
        let _ = backend.fill_polygon(points, &ink(fill));
    });
}

fn disc(sheet: &mut RgbImage, centre: [f64; 2], radius: f64, fill: Rgb, scale: f64) {
    let radius = (radius * scale).round() as u32;
    with_backend(sheet, |backend| {
        let _ = backend.draw_circle(whole(centre, scale), radius, &ink(fill), true);
    });
}

fn block(sheet: &mut RgbImage, area: Area, fill: Rgb, scale: f64) {
    let (x0, y0) = whole([area.x, area.y], scale);
    let (x1, y1) = whole([area.right(), area.bottom()], scale);
    let clip = |value: i32, most: u32| value.clamp(0, most as i32) as u32;
    let (x0, x1) = (clip(x0, sheet.width()), clip(x1.max(x0 + 1), sheet.width()));
    let (y0, y1) = (clip(y0, sheet.height()), clip(y1.max(y0 + 1), sheet.height()));
    let row = fill.repeat((x1 - x0) as usize);
    let width = sheet.width() as usize;
    for y in y0 as usize..y1 as usize {
        let start = (y * width + x0 as usize) * 3;
        sheet.as_mut()[start..start + row.len()].copy_from_slice(&row);
    }
}

fn picture(sheet: &mut RgbImage, area: Area, image: &Arc<RgbImage>, scale: f64, scaled: &mut ScaledPictures) {
    let side = |length: f64| (length * scale).round().clamp(1.0, 3.0 * LARGEST_SIDE) as u32;
    let size = (side(area.w), side(area.h));
    let key = Arc::as_ptr(image);
    if !scaled.iter().any(|(of, at, _)| *of == key && *at == size) {
        // The box filter of `thumbnail` is good and fast for large reductions; the triangle filter is for the others.
        let reduced = if image.width() > 2 * size.0 && image.height() > 2 * size.1 {
            thumbnail(image.as_ref(), size.0, size.1)
        } else {
            resize(image.as_ref(), size.0, size.1, FilterType::Triangle)
        };
        scaled.push((key, size, reduced));
    }
    if let Some((_, _, reduced)) = scaled.iter().find(|(of, at, _)| *of == key && *at == size) {
        let (x, y) = whole([area.x, area.y], scale);
        image::imageops::replace(sheet, reduced, i64::from(x), i64::from(y));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_land_where_they_belong_at_any_density() {
        let mut scene = Scene::new(20.0, 10.0, "");
        scene.block(Area::new(0.0, 0.0, 10.0, 10.0), [200, 0, 0]);
        scene.disc([15.0, 5.0], 3.0, [0, 0, 200], [0, 0, 200], 0.0);
        scene.stroke(&[[10.0, 9.0], [20.0, 9.0]], [0, 200, 0], 2.0);
        for scale in [1.0, 2.5] {
            let image = rasterise(&scene, scale);
            assert_eq!(image.dimensions(), ((20.0 * scale) as u32, (10.0 * scale) as u32));
            let at = |x: f64, y: f64| image.get_pixel((x * scale) as u32, (y * scale) as u32).0;
            assert_eq!(at(4.0, 4.0), [200, 0, 0]);
            assert_eq!(at(15.0, 5.0), [0, 0, 200]);
            assert_eq!(at(15.0, 8.9), [0, 200, 0]);
            assert_eq!(at(11.0, 1.0), WHITE);
        }
    }

    #[test]
    fn a_huge_density_is_capped() {
        let image = rasterise(&Scene::new(20.0, 1.0, ""), 1e9);
        assert_eq!(image.width(), LARGEST_SIDE as u32);
    }

    #[test]
    fn shapes_outside_the_sheet_are_clipped() {
        let mut scene = Scene::new(8.0, 8.0, "");
        scene.block(Area::new(-50.0, -50.0, 20.0, 20.0), [0; 3]);
        scene.disc([-10.0, 4.0], 3.0, [0; 3], [0; 3], 1.0);
        scene.picture(&Arc::new(RgbImage::new(4, 4)), Area::new(100.0, -30.0, 10.0, 10.0));
        assert!(rasterise(&scene, 1.0).pixels().all(|pixel| pixel.0 == WHITE));
    }
}
