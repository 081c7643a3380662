//! The parts that figures share: the sheet's sizes, its header, the strip of frames, the legend.

use super::ClipPaths;
use super::palette::{GREY, Half, INK, RULE, Rgb};
use super::scene::{Area, Scene};
use super::text;
use super::text::{Anchor, Font};
use image::RgbImage;
use std::sync::Arc;

/// Width of a figure in CSS pixels.
pub const WIDTH: f64 = 900.0;
/// The white margin around it.
pub const MARGIN: f64 = 32.0;
/// Width inside the margins.
pub const INNER: f64 = WIDTH - 2.0 * MARGIN;
/// Frames in a strip, as in the authors' figure.
pub const STRIP: usize = 8;

/// A sheet's title.
pub const TITLE: Font = Font { size: 23.0, bold: true, colour: INK };
/// A panel's title under the title of a sheet.
pub const SUBTITLE: Font = Font { size: 16.0, bold: true, colour: INK };
/// Ordinary text.
pub const BODY: Font = Font { size: 14.0, bold: false, colour: INK };
/// Captions, ticks.
pub const SMALL: Font = Font { size: 12.5, bold: false, colour: GREY };
const GAP: f64 = 6.0;

/// A new sheet with its title (at most two lines) and one line of small print; returns where the content begins.
pub fn header(title: &str, caption: &str) -> (Scene, f64) {
    let mut scene = Scene::new(WIDTH, 100.0, title);
    let mut y = MARGIN - 6.0;
    y = heading(&mut scene, title, y) + 11.0;
    scene.text(&text::shorten(caption, SMALL, INNER), [MARGIN, y], Anchor::Start, SMALL);
    (scene, y + 18.0)
}

/// Draws a title of at most two lines from `y` down; returns where it ends.
pub fn heading(scene: &mut Scene, title: &str, mut y: f64) -> f64 {
    for line in text::wrap(title, TITLE, INNER, 2) {
        y += 26.0;
        scene.text(&line, [MARGIN, y], Anchor::Start, TITLE);
        y += 4.0;
    }
    y + 6.0
}

/// Which frames a strip of at most `count` shows of `frames`: `trunc(linspace(0, frames - 1, count))`.
pub fn strip_frames(frames: usize, count: usize) -> Vec<usize> {
    if frames <= count || count < 2 {
        return (0..frames).take(count.max(1)).collect();
    }
    (0..count).map(|tile| tile * (frames - 1) / (count - 1)).collect()
}

/// Time of a frame in `0..=1`.
pub fn time(frame: usize, frames: usize) -> f64 {
    if frames < 2 { 0.0 } else { frame as f64 / (frames - 1) as f64 }
}

/// A frame of a clip, ready to be shown in several places.
pub fn picture(clip: &ClipPaths, frame: usize) -> Option<Arc<RgbImage>> {
    clip.frames.get(frame).map(|image| Arc::new(image.clone()))
}

/// Width over height of a clip's frames.
pub fn aspect(clip: &ClipPaths) -> f64 {
    clip.frames
        .first()
        .map_or(1.0, |frame| f64::from(frame.width().max(1)) / f64::from(frame.height().max(1)))
}

/// Draws a strip of frames in `room`, aligned as `place` says. Below each frame are a bar in the colour of its time and its
/// number. Returns the height of the strip (0 if the clip has no pictures).
pub fn strip(
    scene: &mut Scene,
    clip: &ClipPaths,
    room: Area,
    place: Anchor,
    colour: impl Fn(f64) -> Rgb,
) -> f64 {
    const BELOW: f64 = 22.0;
    if clip.frames.is_empty() {
        return 0.0;
    }
    let frames = strip_frames(clip.len(), STRIP);
    let count = frames.len() as f64;
    let tile =
        Area::new(0.0, 0.0, (room.w - GAP * (count - 1.0)) / count, room.h - BELOW).fitted(aspect(clip));
    let width = tile.w * count + GAP * (count - 1.0);
    let mut x = match place {
        Anchor::Start => room.x,
        Anchor::Middle => room.x + (room.w - width) / 2.0,
        Anchor::End => room.right() - width,
    };
    for frame in frames {
        let area = Area::new(x, room.y, tile.w, tile.h);
        if let Some(image) = picture(clip, frame) {
            scene.picture(&image, area);
        }
        scene.block(Area::new(x, area.bottom() + 2.0, tile.w, 4.0), colour(time(frame, clip.len())));
        let number = Font { size: 11.0, ..SMALL };
        scene.text(
            &(frame + 1).to_string(),
            [x + tile.w / 2.0, area.bottom() + 19.0],
            Anchor::Middle,
            number,
        );
        x += tile.w + GAP;
    }
    tile.h + BELOW
}

/// How a point of a path is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// A disc.
    Disc,
    /// A square on its side.
    Square,
    /// A square on its corner.
    Diamond,
    /// A triangle.
    Triangle,
}

impl Marker {
    /// The marker of a half in a figure of one clip.
    pub fn of(half: Half) -> Self {
        if half == Half::Features { Self::Disc } else { Self::Square }
    }

    /// The marker of a clip in a comparison.
    pub fn of_clip(clip: usize) -> Self {
        [Self::Disc, Self::Square, Self::Diamond, Self::Triangle][clip % 4]
    }

    /// Draws it around `centre`, about as large as a disc of that radius.
    pub fn draw(self, scene: &mut Scene, centre: [f64; 2], radius: f64, fill: Rgb, rim: Rgb) {
        let rim_width = (radius / 5.0).clamp(0.6, 1.2);
        let corners = |offsets: &[[f64; 2]], size: f64| -> Vec<[f64; 2]> {
            offsets.iter().map(|[x, y]| [centre[0] + x * size, centre[1] + y * size]).collect()
        };
        let offsets: &[[f64; 2]] = match self {
            Marker::Disc => return scene.disc(centre, radius, fill, rim, rim_width),
            Marker::Square => &[[-0.88, -0.88], [0.88, -0.88], [0.88, 0.88], [-0.88, 0.88]],
            Marker::Diamond => &[[0.0, -1.25], [1.25, 0.0], [0.0, 1.25], [-1.25, 0.0]],
            Marker::Triangle => &[[0.0, -1.25], [1.15, 0.85], [-1.15, 0.85]],
        };
        scene.polygon(&corners(offsets, radius + rim_width * 1.2), rim);
        scene.polygon(&corners(offsets, radius), fill);
    }
}

/// An entry of a legend: some marks, then words.
pub struct Entry {
    /// The marks' fill colours, left to right.
    pub fills: Vec<Rgb>,
    /// Their rim.
    pub rim: Rgb,
    /// Their shape.
    pub marker: Marker,
    /// The words.
    pub label: String,
}

impl Entry {
    /// A half's entry: five marks from its first colour to its last.
    pub fn half(half: Half) -> Self {
        Self {
            fills: (0..5).map(|step| half.colour(f64::from(step) / 4.0)).collect(),
            rim: half.colour(0.0),
            marker: Marker::of(half),
            label: half.label().to_string(),
        }
    }
}

/// Draws a legend in one centred row (several if they do not fit), and returns the y below it.
pub fn legend(scene: &mut Scene, entries: &[Entry], y: f64) -> f64 {
    const STEP: f64 = 17.0;
    const BETWEEN: f64 = 34.0;
    let marks = |entry: &Entry| STEP * (entry.fills.len() as f64 - 1.0) + 22.0;
    let width = |entry: &Entry| marks(entry) + text::width(&entry.label, BODY);
    let mut rows: Vec<Vec<&Entry>> = vec![vec![]];
    let mut used = 0.0;
    for entry in entries {
        if used > 0.0 && used + BETWEEN + width(entry) > INNER {
            rows.push(vec![]);
            used = 0.0;
        }
        used += width(entry) + if used > 0.0 { BETWEEN } else { 0.0 };
        if let Some(row) = rows.last_mut() {
            row.push(entry);
        }
    }
    let mut y = y;
    for row in rows {
        let total: f64 =
            row.iter().map(|entry| width(entry)).sum::<f64>() + BETWEEN * (row.len().max(1) - 1) as f64;
        let mut x = (WIDTH - total) / 2.0;
        y += 22.0;
        for entry in row {
            let last = x + 6.0 + STEP * (entry.fills.len() as f64 - 1.0);
            if entry.fills.len() > 1 {
                scene.stroke(&[[x + 6.0, y - 5.0], [last, y - 5.0]], RULE, 1.6);
            }
            for (step, fill) in entry.fills.iter().enumerate() {
                entry.marker.draw(scene, [x + 6.0 + STEP * step as f64, y - 5.0], 5.0, *fill, entry.rim);
            }
            scene.text(&entry.label, [x + marks(entry), y], Anchor::Start, BODY);
            x += width(entry) + BETWEEN;
        }
    }
    y + 8.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_take_the_authors_frames() {
        assert_eq!(strip_frames(16, 8), [0, 2, 4, 6, 8, 10, 12, 15]);
        assert_eq!(strip_frames(64, 8), [0, 9, 18, 27, 36, 45, 54, 63]);
        assert_eq!(strip_frames(2, 8), [0, 1]);
        assert_eq!(strip_frames(8, 8).len(), 8);
    }
}
