//! Several clips in one projection, or one and its mirror in time: opposite actions trace opposite paths.
//!
//! There is one panel per kind of path. Where two paths run over the same points (a clip and its mirror have the same
//! frames), the later clip is drawn thinner on top of the earlier one, so that both stay visible.

use super::error::DrawError;
use super::figure::{Figure, FigureDraw};
use super::palette::{Half, INK, clip_colour, clip_colour_at, mix};
use super::plane::{PathLook, Plane, draw_path, marker_radius, rim_colour};
use super::scene::{Area, Scene};
use super::sheet::{BODY, INNER, MARGIN, Marker, SMALL, WIDTH, header, strip};
use super::text;
use super::text::{Anchor, Font};
use super::{ClipPaths, Drawing, DrawnClip, Projection};

/// The figure of the command line.
pub static FIGURE: Figure = Figure {
    name: "compare",
    about: "The paths of several clips in one projection",
    one_clip: false,
    draw: FigureDraw::Still(from_drawing),
    text: None,
};

fn from_drawing(drawing: &Drawing<'_>) -> Result<Scene, DrawError> {
    let projection = drawing.projection(drawing.method())?;
    Ok(compare(&named(drawing.clips), &drawing.title(), &projection, &drawing.look.halves))
}

/// The clips with their names. A clip and its own mirror are named by their directions, since the title is the clip's.
fn named(clips: &[DrawnClip]) -> Vec<Compared<'_>> {
    let pair = matches!(clips, [clip, mirror] if !clip.mirror && mirror.mirror);
    clips
        .iter()
        .map(|clip| {
            let name = match (pair, clip.mirror) {
                (true, false) => "forward",
                (true, true) => "mirrored in time",
                (false, _) => clip.paths.title.as_str(),
            };
            Compared { name, clip: &clip.paths }
        })
        .collect()
}

/// A clip of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// Its name in the figure.
    pub name: &'a str,
    /// Its paths.
    pub clip: &'a ClipPaths,
}

/// Draws all clips, `halves` of each, under `title`.
pub fn compare(clips: &[Compared<'_>], title: &str, projection: &Projection, halves: &[Half]) -> Scene {
    let (mut scene, mut y) = header(title, &projection.caption());
    for (number, Compared { name, clip }) in clips.iter().enumerate() {
        let font = Font { bold: true, colour: mix(clip_colour(number), [0, 0, 0], 0.25), size: 13.0 };
        let side = 190.0;
        let marker = Marker::of_clip(number);
        let fill = clip_colour(number);
        let pictures = !clip.frames.is_empty();
        let mut line_y = y + if pictures { 26.0 } else { 14.0 };
        marker.draw(&mut scene, [MARGIN + 8.0, line_y - 5.0], 6.0, fill, INK);
        let room = if pictures { side - 28.0 } else { INNER - 24.0 };
        for line in text::wrap(name, font, room, if pictures { 3 } else { 1 }) {
            scene.text(&line, [MARGIN + 24.0, line_y], Anchor::Start, font);
            line_y += 17.0;
        }
        let tiles = Area::new(MARGIN + side, y, INNER - side, 92.0);
        let taken = strip(&mut scene, clip, tiles, Anchor::Start, |time| clip_colour_at(number, time));
        y += (taken + 8.0).max(line_y - y + 2.0);
    }
    y += 24.0;
    let gap = 22.0;
    let count = halves.len().max(1) as f64;
    let width = (INNER - gap * (count - 1.0)) / count;
    let height = width.min(440.0);
    let mut scale = None;
    for (column, half) in halves.iter().enumerate() {
        let area = Area::new(MARGIN + (width + gap) * column as f64, y, width, height);
        let drawn = panel(&mut scene, clips, projection, *half, area);
        // The label of a panel says if its scale differs from the first panel's.
        let larger = scale.zip(drawn).map(|(first, drawn): (f64, f64)| drawn / first);
        scale = scale.or(drawn);
        let label = match larger {
            _ if drawn.is_none() => format!("{}: standing still", half.label()),
            Some(factor) if factor > 1.2 => format!("{}, drawn {}× larger", half.label(), rounded(factor)),
            Some(factor) if factor < 1.0 / 1.2 => {
                format!("{}, drawn {}× smaller", half.label(), rounded(1.0 / factor))
            }
            _ => half.label().to_string(),
        };
        let font = Font { bold: true, ..BODY };
        scene.text(&label, [area.x + area.w / 2.0, y - 9.0], Anchor::Middle, font);
    }
    let note = "dark to light in time, the first frame ringed";
    let bottom = y + height + 10.0;
    scene.text(note, [WIDTH / 2.0, bottom + 12.0], Anchor::Middle, SMALL);
    scene.cut(bottom + 14.0 + MARGIN / 2.0);
    scene
}

/// A factor, with one decimal below 10.
fn rounded(factor: f64) -> String {
    if factor < 9.95 { format!("{factor:.1}") } else { format!("{factor:.0}") }
}

/// Draws one kind of path of all clips; returns the panel's scale, or none if nothing in it moves.
fn panel(
    scene: &mut Scene,
    clips: &[Compared<'_>],
    projection: &Projection,
    half: Half,
    area: Area,
) -> Option<f64> {
    let plane = Plane::fit(area, projection.clips.iter().flat_map(|paths| paths.half(half)), 30.0);
    plane.draw(scene);
    let count = clips.len();
    for (number, (Compared { clip, .. }, paths)) in clips.iter().zip(&projection.clips).enumerate() {
        let path = plane.path(paths.half(half));
        let slim = if count > 1 { number as f64 / (count - 1) as f64 } else { 0.0 };
        let radius = marker_radius(clip.len().max(21)) * (1.3 - 0.55 * slim);
        let colour = |time| clip_colour_at(number, time);
        let look = PathLook {
            colour: &colour,
            rim: &|time| rim_colour(&colour, clip.len(), time),
            marker: Marker::of_clip(number),
            radius,
            width: 4.0 - 2.4 * slim,
        };
        if let Some(first) = path.first() {
            scene.ring(*first, radius + 4.5, clip_colour_at(number, 0.0), 1.8);
        }
        draw_path(scene, &path, clip.len(), &look);
    }
    plane.moves.then_some(plane.scale)
}
