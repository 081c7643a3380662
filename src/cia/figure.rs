//! The benchmark as a picture: groups as a dot plot, best first, with chance and the means.
//!
//! A panel per data set, a line per group, a dot per representation; groups are sorted by the first representation.
//! Dashed grey is chance, the coloured lines are the representations' means.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Once;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::report::{Outcome, Report};

/// Dark on white and apart for colour-blind eyes (Okabe and Ito's palette, yellow left out).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];

const WIDTH: u32 = 900;
const LINE: u32 = 20;
/// Above a panel's lines: its title. Below: the axis.
const TITLE: u32 = 44;
const AXIS: u32 = 52;
/// The names' column.
const NAMES: i32 = 350;
const RIGHT: i32 = 30;

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
/// [`FigureError::Draw`] with what the drawing library says.
pub fn draw(report: &Report, kind: Kind) -> Result<Vec<u8>, FigureError> {
    register_font();
    let panels = Panel::all(report);
    let size = (WIDTH, panels.iter().map(Panel::height).sum::<u32>().max(LINE));
    match kind {
        Kind::Png => {
            let mut pixels = vec![0; 3 * size.0 as usize * size.1 as usize];
            page(&BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area(), &panels)
                .map_err(|error| FigureError::Draw(error.to_string()))?;
            let mut file = Vec::new();
            PngEncoder::new(&mut file)
                .write_image(&pixels, size.0, size.1, ExtendedColorType::Rgb8)
                .map_err(|error| FigureError::Draw(error.to_string()))?;
            Ok(file)
        }
        Kind::Svg => {
            let mut text = String::new();
            page(&SVGBackend::with_string(&mut text, size).into_drawing_area(), &panels)
                .map_err(|error| FigureError::Draw(error.to_string()))?;
            Ok(text.into_bytes())
        }
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

    fn height(&self) -> u32 {
        TITLE + LINE * (self.order.len() + self.outcomes.len()) as u32 + AXIS
    }

    /// From the worst tens below every dot (chance in view) to 100 and a little.
    fn range(&self) -> Range<f64> {
        let all = self.outcomes.iter().flat_map(|outcome| &outcome.per_group);
        let lowest = all.map(|group| group.accuracy).fold(50.0, f64::min);
        ((lowest - 2.0) / 10.0).floor().max(0.0) * 10.0..102.0
    }

    /// What a group's line says: its verbs and noun, or its id where there are none.
    fn name(&self, group: usize) -> String {
        let group = &self.outcomes[0].per_group[group];
        let verbs = [&group.verb_forward, &group.verb_reverse].map(String::as_str);
        let name = match (verbs, group.noun.as_str()) {
            (["", _] | [_, ""], _) => group.triplet.clone(),
            ([forward, reverse], "") => format!("{forward} / {reverse}"),
            ([forward, reverse], noun) => format!("{forward} / {reverse} · {noun}"),
        };
        shortened(&name)
    }
}

/// At most what fits in the names' column.
fn shortened(name: &str) -> String {
    const MOST: usize = 50;
    if name.chars().count() <= MOST {
        return name.to_owned();
    }
    name.chars().take(MOST - 1).chain(['…']).collect()
}

type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

fn page<B: DrawingBackend>(area: &DrawingArea<B, Shift>, panels: &[Panel]) -> Drawn<B> {
    area.fill(&WHITE)?;
    let mut rest = area.clone();
    for panel in panels {
        let (upper, lower) = rest.split_vertically(panel.height() as i32);
        panel.draw(&upper)?;
        rest = lower;
    }
    area.present()
}

fn font(size: i32, colour: &RGBColor, horizontal: HPos) -> TextStyle<'_> {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(colour);
    style.pos(Pos::new(horizontal, VPos::Center))
}

impl Panel<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let (text, grey) = (RGBColor(40, 40, 40), RGBColor(225, 225, 225));
        let title = format!("{}: accuracy per group, percent", self.outcomes[0].dataset);
        area.draw(&Text::new(title, (16, 22), font(18, &text, HPos::Left)))?;

        let range = self.range();
        let (left, right) = (NAMES, WIDTH as i32 - RIGHT);
        let x = |value: f64| {
            let share = (value - range.start) / (range.end - range.start);
            left + (share * f64::from(right - left)).round() as i32
        };
        let legend = TITLE as i32;
        let top = legend + (LINE as usize * self.outcomes.len()) as i32;
        let y = |line: usize| top + (LINE as i32) * line as i32 + LINE as i32 / 2;
        let bottom = top + (LINE as usize * self.order.len()) as i32;
        let line = |points: Vec<(i32, i32)>, style: ShapeStyle| PathElement::new(points, style);

        for tick in (range.start as i32..=100).step_by(10) {
            let at = x(f64::from(tick));
            area.draw(&line(vec![(at, top), (at, bottom)], grey.into()))?;
            area.draw(&Text::new(tick.to_string(), (at, bottom + 12), font(13, &text, HPos::Center)))?;
        }
        let chance = x(50.0);
        for from in (top..bottom).step_by(8) {
            let dash = vec![(chance, from), (chance, (from + 4).min(bottom))];
            area.draw(&line(dash, RGBColor(110, 110, 110).stroke_width(1)))?;
        }
        let label = ("chance", (chance, bottom + 30));
        area.draw(&Text::new(label.0, label.1, font(12, &RGBColor(110, 110, 110), HPos::Center)))?;

        for (place, &group) in self.order.iter().enumerate() {
            let at = y(place);
            area.draw(&Text::new(self.name(group), (left - 12, at), font(13, &text, HPos::Right)))?;
            area.draw(&line(vec![(left, at), (right, at)], grey.into()))?;
        }
        // The first representation last, so that its dots lie on top.
        for (number, outcome) in self.outcomes.iter().enumerate().rev() {
            let colour = COLOURS[number % COLOURS.len()];
            let mean = x(outcome.accuracy);
            area.draw(&line(vec![(mean, top), (mean, bottom)], colour.mix(0.8).stroke_width(2)))?;
            for (place, &group) in self.order.iter().enumerate() {
                if let Some(score) = outcome.per_group.get(group) {
                    area.draw(&Circle::new((x(score.accuracy), y(place)), 5, colour.filled()))?;
                }
            }
            let (at, named) = (
                legend + (LINE as i32) * number as i32 + LINE as i32 / 2,
                format!(
                    "{} ({}): mean {:.1} [{:.1}, {:.1}]",
                    outcome.representation,
                    outcome.width,
                    outcome.accuracy,
                    outcome.interval[0],
                    outcome.interval[1]
                ),
            );
            area.draw(&Circle::new((left + 6, at - 2), 5, colour.filled()))?;
            area.draw(&Text::new(named, (left + 20, at - 2), font(13, &text, HPos::Left)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn both_formats_are_drawn() {
        let text = String::from_utf8(draw(&sample(), Kind::Svg).unwrap()).unwrap();
        // Two panels: three representations' dots over two groups each, and their three legends.
        assert_eq!(text.matches("<circle").count(), 3 * 2 + 3);
        assert!(text.contains("open / close · door_&amp;_box") && text.contains("chance"));
        let png = draw(&sample(), Kind::Png).unwrap();
        let picture = image::load_from_memory(&png).unwrap().to_rgb8();
        let blue = image::Rgb([0, 114, 178]);
        assert!(picture.pixels().filter(|pixel| **pixel == blue).count() > 200, "the dots are there");
        let error = Kind::of(Path::new("cia.pdf")).unwrap_err().to_string();
        assert_eq!(error, "cia.pdf: a figure is written as .png or .svg");
    }

    #[test]
    fn groups_are_sorted_and_long_names_shortened() {
        let mut report = sample();
        report.results[0].per_group[0].accuracy = 10.0;
        let panels = Panel::all(&report);
        assert_eq!(panels.len(), 2);
        assert_eq!(panels[0].order, [1, 0]);
        assert_eq!(panels[0].range(), 0.0..102.0);
        assert_eq!(shortened(&"x".repeat(60)).chars().count(), 50);
    }
}
