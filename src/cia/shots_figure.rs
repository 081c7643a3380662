//! Accuracy against the number of training videos per class, as a picture: a panel per data set, a curve per representation.
//!
//! The last point of a curve is the accuracy with all training videos. The thin bars are 95 % intervals over groups.

use super::figure::panel_title;
use super::report::{BenchmarkReport, RepresentationScore};
use crate::plot::palette::{GREY, GRID, INK, RULE, WHITE, clip_colour, mix};
use crate::plot::picture::{PictureError, PictureFormat};
use crate::plot::scene::{Area, Scene};
use crate::plot::sheet::{BODY, Entry, INNER, MARGIN, Marker, SMALL, WIDTH, heading, legend};
use crate::plot::text::{self, Anchor, Font};

/// Height of a panel.
const HEIGHT: f64 = 300.0;
/// Room for the numbers of the vertical axis.
const NUMBERS: f64 = 40.0;

/// A point of a curve: which tick it stands on, its accuracy and its interval.
type Point = (usize, f64, [f64; 2]);

/// Draws the curves of a report; the bytes of a picture file.
///
/// # Errors
/// If the report has no curve, or the picture encoder fails.
pub fn draw(report: &BenchmarkReport, format: PictureFormat) -> Result<Vec<u8>, PictureError> {
    let mut scene = Scene::new(WIDTH, MARGIN, "accuracy against training videos per class");
    let mut y = MARGIN - 6.0;
    if let Some(title) = &report.title {
        y = heading(&mut scene, title, y);
    }
    let mut datasets: Vec<&str> = report.results.iter().map(|outcome| outcome.dataset.as_str()).collect();
    datasets.dedup();
    for dataset in datasets {
        let outcomes: Vec<_> = report.results.iter().filter(|outcome| outcome.dataset == dataset).collect();
        y = panel(&mut scene, (dataset, panel_title(report)), &outcomes, y)
            .ok_or_else(|| PictureError::Draw("no curve was measured".into()))?;
    }
    scene.cut(y);
    format.bytes(&scene)
}

/// Draws the curves of one data set from `y` down; returns where the panel ends, or nothing if there is no curve.
fn panel(
    scene: &mut Scene,
    (dataset, font): (&str, Font),
    outcomes: &[&RepresentationScore],
    mut y: f64,
) -> Option<f64> {
    let mut ticks: Vec<String> =
        outcomes.first()?.shots.iter().map(|point| point.shots.to_string()).collect();
    if ticks.is_empty() {
        return None;
    }
    ticks.push("all".to_owned());
    let curves: Vec<Vec<Point>> = outcomes.iter().map(|outcome| curve(outcome)).collect();

    y += 26.0;
    let title = format!("{dataset}: accuracy, percent, against training videos per class");
    scene.text(&text::shorten(&text::clean(&title), font, INNER), [MARGIN, y], Anchor::Start, font);
    let entries = outcomes.iter().enumerate().map(|(number, outcome)| Entry {
        fills: vec![clip_colour(number)],
        rim: INK,
        marker: Marker::of_clip(number),
        label: text::shorten(
            &text::clean(&format!("{}, {} numbers", outcome.representation, outcome.width)),
            BODY,
            INNER / 2.0,
        ),
    });
    y = legend(scene, &entries.collect::<Vec<_>>(), y + 4.0) + 18.0;

    let area = Area::new(MARGIN + NUMBERS, y, INNER - NUMBERS, HEIGHT);
    let lowest = curves.iter().flatten().map(|(_, value, [low, _])| value.min(*low)).fold(50.0, f64::min);
    let low = ((lowest - 1.0) / 10.0).floor().max(0.0) * 10.0;
    let at = |value: f64| area.bottom() - (value - low) / (100.0 - low) * area.h;
    let slot = area.w / ticks.len() as f64;
    for tick in (low as i32..=100).step_by(10) {
        let y = at(f64::from(tick));
        scene.stroke(&[[area.x, y], [area.right(), y]], GRID, 1.0);
        scene.text(&tick.to_string(), [area.x - 8.0, y + 4.5], Anchor::End, SMALL);
    }
    scene.dashed([area.x, at(50.0)], [area.right(), at(50.0)], GREY, 1.4);
    scene.text("chance", [area.x + 4.0, at(50.0) - 6.0], Anchor::Start, SMALL);
    for (number, tick) in ticks.iter().enumerate() {
        let x = area.x + (number as f64 + 0.5) * slot;
        scene.text(tick, [x, area.bottom() + 18.0], Anchor::Middle, SMALL);
    }
    let name = "training videos per class";
    scene.text(name, [area.x + area.w / 2.0, area.bottom() + 36.0], Anchor::Middle, SMALL);
    scene.stroke(&[[area.x, area.bottom()], [area.right(), area.bottom()]], RULE, 1.2);

    // Each curve is moved sideways a little, so that equal points stay apart.
    let step = (slot * 0.5 / curves.len() as f64).min(12.0);
    let x = |number: usize, tick: usize| {
        area.x + (tick as f64 + 0.5) * slot + step * (number as f64 - (curves.len() - 1) as f64 / 2.0)
    };
    // The first representation is drawn last, so that it is on top.
    for (number, curve) in curves.iter().enumerate().rev() {
        let colour = clip_colour(number);
        for &(tick, _, [from, to]) in curve {
            let x = x(number, tick);
            scene.stroke(&[[x, at(from)], [x, at(to)]], mix(colour, WHITE, 0.45), 1.4);
        }
        let points: Vec<[f64; 2]> =
            curve.iter().map(|&(tick, value, _)| [x(number, tick), at(value)]).collect();
        if points.len() > 1 {
            scene.stroke(&points, colour, 2.0);
        }
        points.iter().for_each(|&point| Marker::of_clip(number).draw(scene, point, 4.2, colour, INK));
    }
    Some(area.bottom() + 44.0 + MARGIN / 2.0)
}

/// The measured points of a representation.
fn curve(outcome: &RepresentationScore) -> Vec<Point> {
    let few = outcome.shots.iter().enumerate().filter_map(|(tick, point)| {
        let accuracy = point.accuracy?;
        Some((tick, accuracy, point.interval.unwrap_or([accuracy; 2])))
    });
    few.chain([(outcome.shots.len(), outcome.accuracy, outcome.interval)]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::super::shots::ShotPoint;
    use super::*;

    #[test]
    fn every_representation_has_a_curve_that_ends_with_all_videos() {
        let mut report = sample();
        report.results.retain(|outcome| outcome.dataset == "a");
        let point = |shots, accuracy| ShotPoint { shots, groups: 2, accuracy, interval: None };
        report.results[0].shots = vec![point(2, Some(60.0)), point(4, Some(65.0))];
        report.results[1].shots = vec![point(2, Some(45.0)), point(4, None)];
        assert_eq!(curve(&report.results[1]).iter().map(|point| point.0).collect::<Vec<_>>(), [0, 2]);
        let text = String::from_utf8(draw(&report, PictureFormat::Svg).unwrap()).unwrap();
        for piece in [">2<", ">4<", ">all<", ">lift, 768 numbers<", ">static, 768 numbers<", "chance"] {
            assert!(text.contains(piece), "{piece}");
        }
        // The discs of the first curve's three points and of the legend, rim and fill.
        assert_eq!(text.matches("<circle").count(), 4 * 2);
        assert!(draw(&report, PictureFormat::Png).unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn without_shots_there_is_nothing_to_draw() {
        let mut report = sample();
        report.results.iter_mut().for_each(|outcome| outcome.shots.clear());
        assert!(draw(&report, PictureFormat::Svg).unwrap_err().to_string().contains("no curve"));
    }
}
