//! Outlines: closed polygons around the origin, about one unit in radius.

use std::f32::consts::{FRAC_PI_2, TAU};

use super::geometry::Point;

/// The outline of this noun; a disc for a noun that has none.
pub fn outline(noun: &str) -> Vec<Point> {
    match noun {
        "block" => vec![(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)],
        "star" => star(),
        "cross" => cross(),
        "leaf" => polar(48, |angle| 0.35 + 0.65 * angle.cos().abs().powf(1.5)),
        "heart" => heart(),
        "arrow" => arrow(),
        "spoon" => spoon(),
        "key" => key(),
        "bottle" => bottle(),
        _ => polar(48, |_| 0.9),
    }
}

/// A quadrilateral with these left, top, right and bottom edges, corners clockwise from the top left.
pub fn rectangle(left: f32, top: f32, right: f32, bottom: f32) -> [Point; 4] {
    [(left, top), (right, top), (right, bottom), (left, bottom)]
}

/// The outline turned by `angle` radians (clockwise on the screen), scaled, and moved to `centre`.
pub fn place(outline: &[Point], centre: Point, scale: f32, angle: f32) -> Vec<Point> {
    let (sin, cos) = angle.sin_cos();
    outline
        .iter()
        .map(|&(x, y)| (centre.0 + scale * (cos * x - sin * y), centre.1 + scale * (sin * x + cos * y)))
        .collect()
}

fn polar(corners: usize, radius: impl Fn(f32) -> f32) -> Vec<Point> {
    (0..corners)
        .map(|i| {
            let angle = TAU * i as f32 / corners as f32 - FRAC_PI_2;
            (radius(angle) * angle.cos(), radius(angle) * angle.sin())
        })
        .collect()
}

fn star() -> Vec<Point> {
    (0..10)
        .map(|i| {
            let (angle, r) = (TAU * i as f32 / 10.0 - FRAC_PI_2, if i % 2 == 0 { 1.1 } else { 0.5 });
            (r * angle.cos(), r * angle.sin())
        })
        .collect()
}

fn cross() -> Vec<Point> {
    let (a, b) = (0.33, 1.0);
    let quarter = [(-a, -b), (a, -b), (a, -a)];
    (0..4).flat_map(|turn| place(&quarter, (0.0, 0.0), 1.0, turn as f32 * FRAC_PI_2)).collect()
}

fn heart() -> Vec<Point> {
    // The usual heart curve in sixteenths, upside down because y points down.
    (0..48)
        .map(|i| {
            let t = TAU * i as f32 / 48.0;
            let y = 13.0 * t.cos() - 5.0 * (2.0 * t).cos() - 2.0 * (3.0 * t).cos() - (4.0 * t).cos();
            (t.sin().powi(3), -y / 16.0)
        })
        .collect()
}

/// Half an outline given from top to bottom on the right side, mirrored to the left.
fn mirrored(right: &[Point]) -> Vec<Point> {
    right.iter().copied().chain(right.iter().rev().map(|&(x, y)| (-x, y))).collect()
}

fn arrow() -> Vec<Point> {
    mirrored(&[(0.0, -1.1), (0.55, -0.35), (0.2, -0.35), (0.2, 0.9)])
}

fn spoon() -> Vec<Point> {
    let bowl = (0..=10).map(|i| {
        let angle = std::f32::consts::PI * 0.93 * i as f32 / 10.0;
        (0.42 * angle.sin(), -0.6 - 0.5 * angle.cos())
    });
    mirrored(&bowl.chain([(0.13, 1.0)]).collect::<Vec<_>>())
}

fn key() -> Vec<Point> {
    let bow = (0..=10).map(|i| {
        let angle = std::f32::consts::PI * 0.9 * i as f32 / 10.0;
        (0.45 * angle.sin(), -0.65 - 0.45 * angle.cos())
    });
    let mut outline: Vec<Point> = bow.collect();
    outline.extend([
        (0.14, 0.4),
        (0.55, 0.4),
        (0.55, 0.6),
        (0.14, 0.6),
        (0.14, 0.75),
        (0.5, 0.75),
        (0.5, 0.95),
    ]);
    outline.extend([(-0.14, 0.95), (-0.14, -0.22), (-0.4, -0.45), (-0.45, -0.7), (-0.3, -1.0)]);
    outline
}

fn bottle() -> Vec<Point> {
    mirrored(&[(0.16, -1.1), (0.16, -0.55), (0.42, -0.2), (0.42, 0.95)])
}
