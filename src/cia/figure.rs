//! The benchmark as a picture: groups as a dot plot, best first, with chance and the means.
//!
//! A panel per data set, a row per group, a mark per representation; groups are sorted by the first representation.
//! A row's marks stand a little below each other, since many scores are equal. Dashed grey is chance, the coloured lines
//! are the representations' means. Drawn with the shapes of [`crate::plot`], whose text has its kerning and whose
//! bitmaps are sharp on any screen.

use std::path::{Path, PathBuf};
use std::sync::Once;

use plotters::style::FontStyle;

use super::report::{Outcome, Report};
use crate::plot::palette::{GREY, GRID, INK, RULE, Rgb, clip_colour};
use crate::plot::scene::{Area, Scene};
use crate::plot::sheet::{BODY, INNER, MARGIN, Marker, SMALL, TITLE, WIDTH};
use crate::plot::text::{Anchor, Font};
use crate::plot::{raster, svg, text};

/// Width of the column of names.
const NAMES: f64 = 300.0;
const NAME: Font = Font { size: 13.0, bold: false, colour: INK };
/// Height that each mark has to itself in a row, and what a row has besides.
const STEP: f64 = 9.5;
const PADDING: f64 = 9.0;
const RADIUS: f64 = 3.6;
/// Of the PNG: sharp on most screens.
const DPI: f64 = 144.0;
/// Every second row.
const BAND: Rgb = [246, 247, 248];

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// The extension stands for no picture.
    #[error("{0}: a figure is written as .png or .svg")]
    Extension(PathBuf),
    /// Drawing failed.
    #[error("the figure cannot be drawn: {0}")]
    Draw(String),
}

/// The picture formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pixels.
    Png,
    /// Lines.
    Svg,
}

impl Kind {
    /// The format of a file name.
    ///
    /// # Errors
    /// [`FigureError::Extension`] for another extension.
    pub fn of(path: &Path) -> Result<Self, FigureError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("png") => Ok(Self::Png),
            Some("svg") => Ok(Self::Svg),
            _ => Err(FigureError::Extension(path.to_owned())),
        }
    }
}

/// Draws the report; the bytes of a picture file.
///
/// # Errors
/// [`FigureError::Draw`] with what the picture encoder says.
pub fn draw(report: &Report, kind: Kind) -> Result<Vec<u8>, FigureError> {
    let mut scene = Scene::new(WIDTH, MARGIN, "accuracy per group");
    let mut y = MARGIN - 6.0;
    for panel in Panel::all(report) {
        y = panel.draw(&mut scene, y) + MARGIN / 2.0;
    }
    scene.cut(y);
    let failed = |error: image::ImageError| FigureError::Draw(error.to_string());
    match kind {
        Kind::Png => raster::png(&scene, DPI).map_err(failed),
        Kind::Svg => Ok(svg::svg(&scene).map_err(failed)?.into_bytes()),
    }
}

/// The font comes with the program: a bare machine has none.
pub(crate) fn register_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It fails only on bytes that are no font; these are one.
        let _ = plotters::style::register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
    });
}

/// One data set.
struct Panel<'a> {
    outcomes: Vec<&'a Outcome>,
    /// Places in `per_group`, best group of the first representation first.
    order: Vec<usize>,
}

impl<'a> Panel<'a> {
    fn all(report: &'a Report) -> Vec<Self> {
        let mut panels: Vec<Self> = Vec::new();
        for outcome in &report.results {
            match panels.iter_mut().find(|panel| panel.outcomes[0].dataset == outcome.dataset) {
                Some(panel) => panel.outcomes.push(outcome),
                None => {
                    let groups = &outcome.per_group;
                    let mut order: Vec<usize> = (0..groups.len()).collect();
                    order.sort_by(|&a, &b| groups[b].accuracy.total_cmp(&groups[a].accuracy));
                    panels.push(Self { outcomes: vec![outcome], order });
                }
            }
        }
        panels
    }

    /// Where the axis begins: at the tens below every mark, with chance in view.
    fn low(&self) -> f64 {
        let all = self.outcomes.iter().flat_map(|outcome| &outcome.per_group);
        let lowest = all.map(|group| group.accuracy).fold(50.0, f64::min);
        ((lowest - 2.0) / 10.0).floor().max(0.0) * 10.0
    }

    /// What a group's row says: its verbs and noun, or its id where there are none.
    fn name(&self, group: usize) -> String {
        let group = &self.outcomes[0].per_group[group];
        let verbs = [&group.verb_forward, &group.verb_reverse].map(String::as_str);
        match (verbs, group.noun.as_str()) {
            (["", _] | [_, ""], _) => group.triplet.clone(),
            ([forward, reverse], "") => format!("{forward} / {reverse}"),
            ([forward, reverse], noun) => format!("{forward} / {reverse} · {noun}"),
        }
    }

    /// Draws the panel from `y` down; returns where it ends.
    fn draw(&self, scene: &mut Scene, mut y: f64) -> f64 {
        y += 26.0;
        let title = format!("{}: accuracy per group, percent", self.outcomes[0].dataset);
        let title = text::shorten(&text::clean(&title), TITLE, INNER);
        scene.text(&title, [MARGIN, y], Anchor::Start, TITLE);
        y = self.legend(scene, y + 12.0) + 16.0;

        let row = STEP * self.outcomes.len() as f64 + PADDING;
        let area = Area::new(MARGIN + NAMES, y, INNER - NAMES, row * self.order.len() as f64);
        let low = self.low();
        // The outermost marks must not stand on the edge.
        let x = |value: f64| area.x + 8.0 + (value - low) / (100.0 - low) * (area.w - 16.0);
        for (place, &group) in self.order.iter().enumerate() {
            let top = y + row * place as f64;
            if place % 2 == 0 {
                scene.block(Area::new(MARGIN, top, INNER, row), BAND);
            }
            let lines = text::wrap(&self.name(group), NAME, NAMES - 20.0, if row < 36.0 { 1 } else { 2 });
            let mut base = top + row / 2.0 + 4.5 - 8.0 * (lines.len().max(1) - 1) as f64;
            for line in lines {
                scene.text(&line, [area.x - 12.0, base], Anchor::End, NAME);
                base += 16.0;
            }
        }
        for tick in (low as i32..=100).step_by(10) {
            let at = x(f64::from(tick));
            scene.stroke(&[[at, area.y], [at, area.bottom()]], GRID, 1.0);
            scene.text(&tick.to_string(), [at, area.bottom() + 18.0], Anchor::Middle, SMALL);
        }
        let mut dash = area.y;
        while dash < area.bottom() {
            scene.stroke(&[[x(50.0), dash], [x(50.0), (dash + 5.0).min(area.bottom())]], GREY, 1.4);
            dash += 9.0;
        }
        scene.text("chance", [x(50.0), area.bottom() + 34.0], Anchor::Middle, SMALL);
        // The first representation last, so that its mean lies on top.
        for (number, outcome) in self.outcomes.iter().enumerate().rev() {
            let mean = x(outcome.accuracy);
            scene.stroke(&[[mean, area.y], [mean, area.bottom()]], clip_colour(number), 2.0);
        }
        scene.outline(area, RULE, 1.0);
        for (number, outcome) in self.outcomes.iter().enumerate() {
            for (place, &group) in self.order.iter().enumerate() {
                if let Some(score) = outcome.per_group.get(group) {
                    let at = y + row * place as f64 + (PADDING + STEP) / 2.0 + STEP * number as f64;
                    mark(scene, number, [x(score.accuracy), at]);
                }
            }
        }
        area.bottom() + 38.0
    }

    /// What the marks mean, a line each, with the means; returns the y below.
    fn legend(&self, scene: &mut Scene, mut y: f64) -> f64 {
        for (number, outcome) in self.outcomes.iter().enumerate() {
            y += 20.0;
            mark(scene, number, [MARGIN + 6.0, y - 5.0]);
            let [low, high] = outcome.interval;
            let name = format!("{}, {} numbers", outcome.representation, outcome.width);
            let name = text::shorten(&text::clean(&name), BODY, NAMES - 20.0);
            scene.text(&name, [MARGIN + 20.0, y], Anchor::Start, BODY);
            let mean = format!("mean {:.1}, 95 % interval {low:.1} to {high:.1}", outcome.accuracy);
            scene.text(&mean, [MARGIN + NAMES + 8.0, y], Anchor::Start, BODY);
        }
        y
    }
}

fn mark(scene: &mut Scene, number: usize, at: [f64; 2]) {
    Marker::of_clip(number).draw(scene, at, RADIUS, clip_colour(number), INK);
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn both_formats_are_drawn() {
        let text = String::from_utf8(draw(&sample(), Kind::Svg).unwrap()).unwrap();
        // Two panels, each with the first representation's discs over two groups and in the legend, rim and fill.
        assert_eq!(text.matches("<circle").count(), 2 * 3 * 2);
        assert!(text.contains("open / close · door_&amp;_box") && text.contains("chance"));
        assert!(text.contains(">lift, 768 numbers<") && text.contains(">static, 768 numbers<"));
        let png = draw(&sample(), Kind::Png).unwrap();
        let picture = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(picture.width(), 1350);
        let blue = image::Rgb([0, 114, 178]);
        assert!(picture.pixels().filter(|pixel| **pixel == blue).count() > 200, "the marks are there");
        let error = Kind::of(Path::new("cia.pdf")).unwrap_err().to_string();
        assert_eq!(error, "cia.pdf: a figure is written as .png or .svg");
    }

    #[test]
    fn groups_are_sorted_and_long_names_shortened() {
        let mut report = sample();
        report.results[0].per_group[0].accuracy = 10.0;
        report.results[0].per_group[1].noun = "x".repeat(90);
        let panels = Panel::all(&report);
        assert_eq!(panels.len(), 2);
        assert_eq!(panels[0].order, [1, 0]);
        assert_eq!(panels[0].low(), 0.0);
        let drawn = String::from_utf8(draw(&report, Kind::Svg).unwrap()).unwrap();
        assert!(drawn.contains("x…<") && !drawn.contains(&"x".repeat(90)));
    }
}
