//! The benchmark as a picture: groups as a dot plot, best first, with chance and the means.
//!
//! Each data set has a panel, each group a row, each representation a marker. Groups are sorted by the accuracy of the
//! first representation. The markers of a row are drawn one below the other, since many accuracies are equal. The dashed
//! grey line is chance, the coloured lines are the means of the representations.

use super::report::{BenchmarkReport, RepresentationScore};
use crate::plot::palette::{GREY, GRID, INK, RULE, Rgb, clip_colour};
use crate::plot::picture::{PictureError, PictureFormat};
use crate::plot::scene::{Area, Scene};
use crate::plot::sheet::{BODY, INNER, MARGIN, Marker, SMALL, SUBTITLE, TITLE, WIDTH, heading};
use crate::plot::text::{self, Anchor, Font};

/// Width of the column of names.
const NAMES: f64 = 300.0;
const NAME: Font = Font { size: 13.0, bold: false, colour: INK };
/// Height per marker in a row, and the height that a row has besides.
const STEP: f64 = 9.5;
const PADDING: f64 = 9.0;
const RADIUS: f64 = 3.6;
/// Every second row.
const BAND: Rgb = [246, 247, 248];

/// Draws the report; the bytes of a picture file.
///
/// # Errors
/// [`PictureError::Draw`] with what the picture encoder says.
pub fn draw(report: &BenchmarkReport, format: PictureFormat) -> Result<Vec<u8>, PictureError> {
    let mut scene = Scene::new(WIDTH, MARGIN, "accuracy per group");
    let mut y = MARGIN - 6.0;
    if let Some(title) = &report.title {
        y = heading(&mut scene, title, y);
    }
    for panel in Panel::all(report) {
        y = panel.draw(&mut scene, y, panel_title(report)) + MARGIN / 2.0;
    }
    scene.cut(y);
    format.bytes(&scene)
}

/// The font of a panel's title: that of a title, unless the sheet has one of its own.
pub(super) fn panel_title(report: &BenchmarkReport) -> Font {
    if report.title.is_some() { SUBTITLE } else { TITLE }
}

/// One data set.
struct Panel<'a> {
    outcomes: Vec<&'a RepresentationScore>,
    /// Indices into `per_group`, sorted by the first representation's accuracy, best first.
    order: Vec<usize>,
}

impl<'a> Panel<'a> {
    fn all(report: &'a BenchmarkReport) -> Vec<Self> {
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

    /// Where the axis begins: at a multiple of ten below every marker and below chance.
    fn low(&self) -> f64 {
        let all = self.outcomes.iter().flat_map(|outcome| &outcome.per_group);
        let lowest = all.map(|group| group.accuracy).fold(50.0, f64::min);
        ((lowest - 2.0) / 10.0).floor().max(0.0) * 10.0
    }

    /// The label of a group's row: its verbs and noun, or its id if it has no verbs.
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
    fn draw(&self, scene: &mut Scene, mut y: f64, font: Font) -> f64 {
        y += 26.0;
        let title = format!("{}: accuracy per group, percent", self.outcomes[0].dataset);
        let title = text::shorten(&text::clean(&title), font, INNER);
        scene.text(&title, [MARGIN, y], Anchor::Start, font);
        y = self.legend(scene, y + 12.0) + 16.0;

        let row = STEP * self.outcomes.len() as f64 + PADDING;
        let area = Area::new(MARGIN + NAMES, y, INNER - NAMES, row * self.order.len() as f64);
        let low = self.low();
        // The outermost markers must not overlap the edge.
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
        scene.dashed([x(50.0), area.y], [x(50.0), area.bottom()], GREY, 1.4);
        scene.text("chance", [x(50.0), area.bottom() + 34.0], Anchor::Middle, SMALL);
        // The first representation is drawn last, so that its mean is on top.
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

    /// Draws one line per representation: its marker, name and mean; returns the y below.
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
        let text = String::from_utf8(draw(&sample(), PictureFormat::Svg).unwrap()).unwrap();
        // Two panels, each with the first representation's discs over two groups and in the legend, rim and fill.
        assert_eq!(text.matches("<circle").count(), 2 * 3 * 2);
        assert!(text.contains("open / close · door_&amp;_box") && text.contains("chance"));
        assert!(text.contains(">lift, 768 numbers<") && text.contains(">static, 768 numbers<"));
        let png = draw(&sample(), PictureFormat::Png).unwrap();
        let picture = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(picture.width(), 1350);
        let blue = image::Rgb([0, 114, 178]);
        assert!(picture.pixels().filter(|pixel| **pixel == blue).count() > 200, "the marks are there");
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
        let drawn = String::from_utf8(draw(&report, PictureFormat::Svg).unwrap()).unwrap();
        assert!(drawn.contains("x…<") && !drawn.contains(&"x".repeat(90)));
    }
}
