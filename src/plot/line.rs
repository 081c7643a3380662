//! The figure `line`: how far each frame is from the line's decoding, and how curved the three paths are.

use super::axes::FrameAxes;
use super::error::DrawError;
use super::figure::{Figure, FigureDraw};
use super::measures::{Curvature, Measures, measure};
use super::palette::{Half, INK, Rgb, mix};
use super::scene::{Area, Scene};
use super::sheet::{BODY, INNER, MARGIN, Marker, SMALL, header, strip, time};
use super::text::{Anchor, Font};
use super::{ClipPaths, Drawing};
use crate::files::display_text;

const PIXELS: Rgb = [90, 90, 90];

/// The figure of the command line.
pub static FIGURE: Figure = Figure {
    name: "line",
    about: "How far each frame is from the line, and how curved the paths are",
    one_clip: true,
    draw: FigureDraw::Still(from_drawing),
    text: Some(table),
};

fn from_drawing(drawing: &Drawing<'_>) -> Result<Scene, DrawError> {
    let clip = drawing.only(FIGURE.name)?;
    Ok(line(clip, &drawing.title(), &measure(clip)))
}

/// The means of the measures as lines of text.
fn table(clip: &ClipPaths) -> String {
    let none = || if is_still(clip) { STILL.into() } else { "none".into() };
    let degrees = |mean: Option<f64>| mean.map_or_else(none, |mean| format!("{mean:.1} degrees"));
    let Measures { title, distance, curvature, .. } = measure(clip);
    let mean = distance.iter().sum::<f64>() / distance.len() as f64;
    let pixels = curvature
        .pixels
        .map_or_else(|| "unknown: a file of features has no pixels".into(), |curve| degrees(curve.mean));
    format!(
        "{}\n  distance from the line's decoding, mean  {mean:.3}\n  curvature of the pixels                  {}\n  \
         curvature of the frame features          {}\n  curvature of the reconstruction          {}\n",
        display_text(&title),
        pixels,
        degrees(curvature.features.mean),
        degrees(curvature.reconstruction.mean)
    )
}

/// What stands for the curvature of a clip whose frames are all the same.
const STILL: &str = "none: there is no motion";

/// Whether all frames are the same, so that the line has no direction that the clip gives it.
fn is_still(clip: &ClipPaths) -> bool {
    let mut rows = clip.features.rows();
    let first = rows.next();
    rows.all(|row| Some(row) == first)
}

/// Draws the measures of one clip under `title`.
pub fn line(clip: &ClipPaths, title: &str, measures: &Measures) -> Scene {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let relative: Vec<f64> = measures.relative_distance.iter().flatten().copied().collect();
    let caption = format!(
        "{} frames, on average {:.2} from the line's decoding ({:.0} % of the feature's length)",
        clip.len(),
        mean(&measures.distance),
        100.0 * mean(&relative)
    );
    let caption =
        if is_still(clip) { caption + "; there is no motion: the frames are all the same" } else { caption };
    let (mut scene, mut y) = header(title, &caption);
    let room = Area::new(MARGIN, y, INNER, 150.0);
    let taken = strip(&mut scene, clip, room, Anchor::Middle, |time| Half::Features.colour(time));
    y += if taken > 0.0 { taken + 16.0 } else { 0.0 };

    let bold = Font { bold: true, ..BODY };
    y += 12.0;
    scene.text("Distance of each frame's feature from the line's decoding", [MARGIN, y], Anchor::Start, bold);
    let area = Area::new(MARGIN + 44.0, y + 18.0, INNER - 44.0, 190.0);
    let most = measures.distance.iter().copied().fold(0.0, f64::max);
    let axes = FrameAxes::draw(&mut scene, area, clip.len(), most, None);
    // Without gaps where they would be less than a pixel wide: they would only make the bars pale.
    let thick = if axes.slot() < 5.0 { axes.slot() } else { (axes.slot() * 0.62).min(40.0) };
    for (frame, distance) in measures.distance.iter().enumerate() {
        let top = axes.y(*distance);
        let bar = Area::new(axes.x(frame) - thick / 2.0, top, thick, area.bottom() - top);
        scene.block(bar, Half::Features.colour(time(frame, clip.len())));
    }
    y = area.bottom() + 58.0;

    scene.text("Curvature: angle between successive steps, in degrees", [MARGIN, y], Anchor::Start, bold);
    let area = Area::new(MARGIN + 44.0, y + 18.0, INNER - 44.0 - 196.0, 220.0);
    let axes = FrameAxes::draw(&mut scene, area, clip.len(), 180.0, Some(45.0));
    let curves = [
        ("pixels", measures.curvature.pixels.as_ref(), PIXELS, Marker::Triangle),
        ("frame features", Some(&measures.curvature.features), Half::Features.colour(0.4), Marker::Disc),
        (
            "reconstruction",
            Some(&measures.curvature.reconstruction),
            Half::Reconstruction.colour(0.4),
            Marker::Square,
        ),
    ];
    let missing = match is_still(clip) {
        _ if clip.len() < 3 => "none: it takes 3 frames",
        true => STILL,
        false => "none: frames repeat",
    };
    let mut key = area.y + 18.0;
    for (name, curve, colour, marker) in curves {
        let Some(curve) = curve else { continue };
        draw_curve(&mut scene, &axes, curve, colour, marker);
        let x = area.right() + 24.0;
        marker.draw(&mut scene, [x, key - 5.0], 5.0, colour, mix(colour, [0, 0, 0], 0.5));
        scene.text(name, [x + 14.0, key], Anchor::Start, BODY);
        let mean = curve.mean.map_or_else(|| missing.to_string(), |mean| format!("mean {mean:.1}°"));
        scene.text(
            &mean,
            [x + 14.0, key + 18.0],
            Anchor::Start,
            Font { colour: INK, bold: curve.mean.is_some(), ..SMALL },
        );
        key += 52.0;
    }
    scene.text("frame", [area.x + area.w / 2.0, area.bottom() + 36.0], Anchor::Middle, SMALL);
    scene.cut(area.bottom() + 44.0 + MARGIN / 2.0);
    scene
}

/// Draws a curve of angles. An angle belongs to the frame between its two steps; a missing angle leaves a gap.
fn draw_curve(scene: &mut Scene, axes: &FrameAxes, curve: &Curvature, colour: Rgb, marker: Marker) {
    let place = |step: usize| {
        curve.angles.get(step).copied().flatten().map(|angle| [axes.x(step + 1), axes.y(angle)])
    };
    for step in 1..curve.angles.len() {
        if let (Some(from), Some(to)) = (place(step - 1), place(step)) {
            scene.stroke(&[from, to], colour, 2.0);
        }
    }
    let radius = (axes.slot() * 0.22).clamp(2.2, 5.0);
    for point in (0..curve.angles.len()).filter_map(place) {
        marker.draw(scene, point, radius, colour, mix(colour, [0, 0, 0], 0.5));
    }
}
