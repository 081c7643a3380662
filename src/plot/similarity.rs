//! The figure `similarity`: cosine similarity of every two frames, for the features and the reconstruction, on one scale.

use super::error::DrawError;
use super::figure::{Figure, FigureDraw};
use super::measures::similarity as cosines;
use super::palette::{Half, RULE, cividis};
use super::plane::nice_step;
use super::scene::{Area, Scene};
use super::sheet::{BODY, INNER, MARGIN, SMALL, header, strip, strip_frames};
use super::text::{Anchor, Font};
use super::{ClipPaths, Drawing};

/// The figure of the command line.
pub static FIGURE: Figure = Figure {
    name: "similarity",
    about: "How alike the frames are, each with each",
    one_clip: true,
    draw: FigureDraw::Still(from_drawing),
    text: None,
};

fn from_drawing(drawing: &Drawing<'_>) -> Result<Scene, DrawError> {
    Ok(similarity(drawing.only(FIGURE.name)?, &drawing.title(), &drawing.look.halves))
}

/// Draws the matrices of one clip, `halves` of it, under `title`.
pub fn similarity(clip: &ClipPaths, title: &str, halves: &[Half]) -> Scene {
    let caption = format!("{} frames, cosine similarity of every frame with every other", clip.len());
    let (mut scene, mut y) = header(title, &caption);
    let room = Area::new(MARGIN, y, INNER, 150.0);
    let half = halves.first().copied().unwrap_or(Half::Features);
    let taken = strip(&mut scene, clip, room, Anchor::Middle, |time| half.colour(time));
    y += if taken > 0.0 { taken + 38.0 } else { 24.0 };

    let matrices: Vec<Vec<f64>> = halves
        .iter()
        .map(|half| cosines(if *half == Half::Features { &clip.features } else { &clip.reconstructed }))
        .collect();
    let least = matrices.iter().flatten().copied().fold(1.0, f64::min);
    // The scale runs from a round number below the least to 1, and is never so short that it would show rounding noise.
    let low = ((least * 20.0 + 1e-9).floor() / 20.0).clamp(-1.0, 0.95);
    let share = |value: f64| (value - low) / (1.0 - low);

    let (bar, gap, axis) = (86.0, 30.0, 30.0);
    let side = ((INNER - bar - gap - 2.0 * axis) / 2.0).floor();
    let used = (side + axis) * halves.len() as f64 + gap * (halves.len() as f64 - 1.0) + bar;
    let mut x = MARGIN + (INNER - used) / 2.0 + axis;
    for (half, matrix) in halves.iter().zip(&matrices) {
        let area = Area::new(x, y, side, side);
        scene.text(half.label(), [x + side / 2.0, y - 11.0], Anchor::Middle, Font { bold: true, ..BODY });
        heatmap(&mut scene, matrix, clip.len(), area, &share);
        scene.text("frame", [x + side / 2.0, y + side + 36.0], Anchor::Middle, SMALL);
        x += side + axis + gap;
    }
    colour_bar(&mut scene, Area::new(x - axis, y, 18.0, side), low);
    scene.cut(y + side + 46.0 + MARGIN / 2.0);
    scene
}

fn heatmap(scene: &mut Scene, matrix: &[f64], frames: usize, area: Area, share: &dyn Fn(f64) -> f64) {
    let cell = area.w / frames as f64;
    for (index, value) in matrix.iter().enumerate() {
        let (row, column) = (index / frames, index % frames);
        let place = Area::new(area.x + cell * column as f64, area.y + cell * row as f64, cell, cell);
        scene.block(place, cividis(share(*value)));
    }
    scene.outline(area, RULE, 1.0);
    for frame in strip_frames(frames, 6) {
        let along = (frame as f64 + 0.5) * cell;
        let number = (frame + 1).to_string();
        scene.text(&number, [area.x + along, area.bottom() + 17.0], Anchor::Middle, SMALL);
        scene.text(&number, [area.x - 7.0, area.y + along + 4.5], Anchor::End, SMALL);
    }
}

fn colour_bar(scene: &mut Scene, area: Area, low: f64) {
    const PIECES: usize = 120;
    let piece = area.h / PIECES as f64;
    for step in 0..PIECES {
        let y = area.bottom() - piece * (step + 1) as f64;
        scene.block(Area::new(area.x, y, area.w, piece), cividis(step as f64 / (PIECES - 1) as f64));
    }
    scene.outline(area, RULE, 1.0);
    let step = nice_step((1.0 - low) / 5.0);
    for tick in 0..=((1.0 - low) / step + 1e-9) as usize {
        let value = 1.0 - step * tick as f64;
        let y = area.bottom() - area.h * (value - low) / (1.0 - low);
        scene.text(&format!("{value:.2}"), [area.right() + 8.0, y + 4.5], Anchor::Start, SMALL);
    }
}
