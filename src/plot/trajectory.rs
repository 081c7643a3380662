//! The figure `trajectory`, after the authors': a strip of frames, and the two paths of one clip in the plane.

use super::error::DrawError;
use super::figure::{Figure, FigureDraw};
use super::palette::{Half, INK, RULE, WHITE};
use super::plane::{Plane, draw_half, ink_of, marker_radius, place_near};
use super::scene::{Area, Scene};
use super::sheet::{Entry, INNER, MARGIN, SMALL, WIDTH, aspect, header, legend, picture, strip};
use super::text::{Anchor, Font};
use super::{ClipPaths, Drawing, PlanePaths, Projection};

/// A reconstruction that is smaller than this share of the panel gets an inset that shows it enlarged.
const SMALL_SHARE: f64 = 0.1;

/// The figure of the command line.
pub static FIGURE: Figure = Figure {
    name: "trajectory",
    about: "The paths of one clip, with its frames",
    one_clip: true,
    draw: FigureDraw::Still(from_drawing),
    text: None,
};

fn from_drawing(drawing: &Drawing<'_>) -> Result<Scene, DrawError> {
    let clip = drawing.only(FIGURE.name)?;
    let projection = drawing.projection(drawing.method())?;
    Ok(trajectory(clip, &drawing.title(), &projection, &drawing.look.halves))
}

/// Draws one clip's paths, `halves` of them, under `title`.
pub fn trajectory(clip: &ClipPaths, title: &str, projection: &Projection, halves: &[Half]) -> Scene {
    let caption = format!("{} frames, {}", clip.len(), projection.caption());
    let (mut scene, mut y) = header(title, &caption);
    let room = Area::new(MARGIN, y, INNER, 172.0);
    let half = halves.first().copied().unwrap_or(Half::Features);
    let taken = strip(&mut scene, clip, room, Anchor::Middle, |time| half.colour(time));
    y += if taken > 0.0 { taken + 14.0 } else { 0.0 };
    let area = Area::new(MARGIN, y, INNER, 470.0);
    if let Some(paths) = projection.clips.first() {
        paths_panel(&mut scene, clip, paths, halves, area);
    }
    let entries: Vec<Entry> = halves.iter().map(|half| Entry::half(*half)).collect();
    let bottom = legend(&mut scene, &entries, area.bottom() + 6.0) + 14.0;
    scene.text("dark to light in time", [WIDTH / 2.0, bottom], Anchor::Middle, SMALL);
    scene.cut(bottom + 2.0 + MARGIN / 2.0);
    scene
}

fn paths_panel(scene: &mut Scene, clip: &ClipPaths, paths: &PlanePaths, halves: &[Half], area: Area) {
    let padding = if clip.frames.is_empty() { 36.0 } else { 62.0 };
    let points = halves.iter().flat_map(|half| paths.half(*half));
    let plane = Plane::fit(area, points, padding);
    plane.draw(scene);
    let drawn: Vec<Vec<[f64; 2]>> = halves.iter().map(|half| plane.path(paths.half(*half))).collect();
    let mut ink: Vec<[f64; 2]> = drawn.iter().flat_map(|path| ink_of(path)).collect();
    let mut taken = Vec::new();
    inset(scene, paths, halves, &plane, &mut taken, &mut ink);
    if let Some(path) = drawn.first() {
        ends(scene, clip, path, halves[0], &area, &mut taken, &ink);
    }
    for (half, path) in halves.iter().zip(&drawn) {
        draw_half(scene, path, clip.len(), *half);
    }
}

/// Draws an enlarged view of a reconstruction that is too small to read beside the features.
fn inset(
    scene: &mut Scene,
    paths: &PlanePaths,
    halves: &[Half],
    plane: &Plane,
    taken: &mut Vec<Area>,
    ink: &mut Vec<[f64; 2]>,
) {
    let half = Half::Reconstruction;
    if halves.len() < 2 || !halves.contains(&half) {
        return;
    }
    let points = paths.half(half);
    let path = plane.path(points);
    let Some(bounds) = bounds(&path) else { return };
    let extent = bounds.w.max(bounds.h);
    if extent < 1e-6 || extent > SMALL_SHARE * plane.area.h {
        return;
    }
    let around = bounds.grown(marker_radius(points.len()) + 5.0);
    taken.push(around);
    let bounds = plane.area.grown(-12.0);
    let Some(box_area) = place_near(around.centre(), (176.0, 176.0), &bounds, taken, ink) else { return };
    for (from, to) in nearest_corners(&around, &box_area) {
        scene.stroke(&[from, to], RULE, 1.0);
        ink.extend(ink_of(&[from, to]));
    }
    scene.outline(around, RULE, 1.0);
    scene.block(box_area, WHITE);
    scene.outline(box_area, RULE, 1.0);
    let view = Area::new(box_area.x, box_area.y + 18.0, box_area.w, box_area.h - 18.0);
    let close = Plane::fit(view, points, 18.0);
    draw_half(scene, &close.path(points), points.len(), half);
    let factor = close.scale / plane.scale;
    let label = format!(
        "{}, {}×",
        half.label(),
        if factor < 9.5 { (factor * 10.0).round() / 10.0 } else { factor.round() }
    );
    let font = Font { size: 11.5, colour: INK, ..SMALL };
    scene.text(&label, [box_area.x + box_area.w / 2.0, box_area.y + 16.0], Anchor::Middle, font);
    taken.push(box_area);
}

/// Draws pictures of the first and the last frame beside the path's ends.
fn ends(
    scene: &mut Scene,
    clip: &ClipPaths,
    path: &[[f64; 2]],
    half: Half,
    panel: &Area,
    taken: &mut Vec<Area>,
    ink: &[[f64; 2]],
) {
    let size = Area::new(0.0, 0.0, 104.0, 84.0).fitted(aspect(clip));
    let last = path.len() - 1;
    for (frame, name) in [(0, "first"), (last, "last")] {
        let Some(image) = picture(clip, frame) else { continue };
        let whole = (size.w + 6.0, size.h + 20.0);
        let Some(area) = place_near(path[frame], whole, &panel.grown(-6.0), taken, ink) else { continue };
        let colour = half.colour(super::sheet::time(frame, clip.len()));
        let edge = [path[frame][0].clamp(area.x, area.right()), path[frame][1].clamp(area.y, area.bottom())];
        scene.stroke(&[path[frame], edge], colour, 1.2);
        scene.block(area, WHITE);
        scene.outline(area, colour, 1.6);
        scene.picture(&image, Area::new(area.x + 3.0, area.y + 3.0, size.w, size.h));
        let font = Font { size: 11.5, colour: INK, ..SMALL };
        scene.text(name, [area.x + area.w / 2.0, area.bottom() - 5.0], Anchor::Middle, font);
        taken.push(area);
    }
}

fn bounds(path: &[[f64; 2]]) -> Option<Area> {
    let first = path.first()?;
    let mut low = *first;
    let mut high = *first;
    for point in path {
        for axis in 0..2 {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    Some(Area::new(low[0], low[1], high[0] - low[0], high[1] - low[1]))
}

/// Two lines between the corners of two areas that cross neither area.
fn nearest_corners(from: &Area, to: &Area) -> [([f64; 2], [f64; 2]); 2] {
    let (a, b) = (from.centre(), to.centre());
    let corner = |area: &Area, right: bool, low: bool| {
        [if right { area.right() } else { area.x }, if low { area.bottom() } else { area.y }]
    };
    // The two corners on the diagonal across the direction from one middle to the other.
    let falling = (b[0] - a[0]) * (b[1] - a[1]) > 0.0;
    [(false, falling), (true, !falling)]
        .map(|(right, low)| (corner(from, right, low), corner(to, right, low)))
}
