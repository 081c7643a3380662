//! A probe as a picture: confusion matrices of few classes; of many, the classes that gain and lose most between the first two
//! representations, or those recognised least if there is one.

use super::report::ProbeReport;
use super::scores::ProbeScore;
use crate::plot::palette::{GREY, GRID, INK, RULE, Rgb, WHITE, cividis, clip_colour};
use crate::plot::picture::{PictureError, PictureFormat};
use crate::plot::scene::{Area, Scene};
use crate::plot::sheet::{BODY, INNER, MARGIN, Marker, SMALL, TITLE, WIDTH};
use crate::plot::text::{self, Anchor, Font};

/// The most classes of a confusion matrix.
const MATRIX: usize = 30;
/// Representations whose matrices are drawn.
const MATRICES: usize = 2;
/// Width of the column of names.
const NAMES: f64 = 260.0;
const NAME: Font = Font { size: 13.0, bold: false, colour: INK };
/// Side of a matrix's cell at most, and the side from which cells hold their number.
const CELL: f64 = 44.0;
const NUMBERED: f64 = 24.0;
/// Classes that gain, and that lose, in the picture of many classes.
const GAINS: usize = 14;
const LOSSES: usize = 6;
const ROW: f64 = 24.0;
const RADIUS: f64 = 4.5;
/// Every second row.
const BAND: Rgb = [246, 247, 248];

/// Draws the report; the bytes of a picture file.
///
/// # Errors
/// [`PictureError::Draw`] with what the picture encoder says.
pub fn draw(report: &ProbeReport, format: PictureFormat) -> Result<Vec<u8>, PictureError> {
    let mut scene = Scene::new(WIDTH, MARGIN, "linear probe");
    let mut y = MARGIN - 6.0;
    if report.classes <= MATRIX {
        for score in report.results.iter().take(MATRICES) {
            y = matrix(&mut scene, score, y) + MARGIN / 2.0;
        }
    } else {
        y = many(&mut scene, report, y);
    }
    scene.cut(y);
    format.bytes(&scene)
}

fn title(scene: &mut Scene, text: &str, small: &str, y: f64) -> f64 {
    scene.text(&text::shorten(&text::clean(text), TITLE, INNER), [MARGIN, y + 26.0], Anchor::Start, TITLE);
    scene.text(&text::shorten(small, SMALL, INNER), [MARGIN, y + 46.0], Anchor::Start, SMALL);
    y + 60.0
}

/// Draws one matrix from `y` down; returns where it ends.
fn matrix(scene: &mut Scene, score: &ProbeScore, y: f64) -> f64 {
    let [low, high] = score.interval;
    let head = format!("{}: top-1 {:.1} %", score.representation, score.top1);
    let small = format!(
        "95 % interval {low:.1} to {high:.1}. A row is a true class, a column an answer; a cell is the share of the row's videos, percent."
    );
    let y = title(scene, &head, &small, y) + 16.0;
    let classes = score.per_class.len();
    let side = ((INNER - NAMES) / classes as f64).min(CELL);
    let area = Area::new(MARGIN + NAMES, y, side * classes as f64, side * classes as f64);
    let numbers = Font { size: (side * 0.42).clamp(8.0, 12.5), bold: false, colour: GREY };
    for (row, class) in score.per_class.iter().enumerate() {
        let top = y + side * row as f64;
        let label = format!("{} {}", class.class, row + 1);
        let name = Font { size: NAME.size.min(side), ..NAME };
        let label = text::shorten(&text::clean(&label), name, NAMES - 14.0);
        scene.text(&label, [area.x - 8.0, top + side / 2.0 + name.size * 0.35], Anchor::End, name);
        let head = [area.x + side * (row as f64 + 0.5), y - 6.0];
        scene.text(&(row + 1).to_string(), head, Anchor::Middle, numbers);
        for (column, other) in score.per_class.iter().enumerate() {
            let videos = match row == column {
                true => class.right,
                false => {
                    let pair = |pair: &&super::scores::Confusion| {
                        pair.class == class.class && pair.taken_for == other.class
                    };
                    score.confused.iter().find(pair).map_or(0, |pair| pair.videos)
                }
            };
            let share = videos as f64 / class.videos.max(1) as f64;
            let cell = Area::new(area.x + side * column as f64, top, side, side);
            scene.block(cell, if videos == 0 { WHITE } else { cividis(share) });
            if videos > 0 && side >= NUMBERED {
                let colour = if share < 0.6 { WHITE } else { INK };
                let middle = [cell.centre()[0], cell.centre()[1] + numbers.size * 0.36];
                scene.text(
                    &format!("{:.0}", 100.0 * share),
                    middle,
                    Anchor::Middle,
                    Font { colour, ..numbers },
                );
            }
        }
    }
    for line in 0..=classes {
        let at = side * line as f64;
        scene.stroke(&[[area.x, area.y + at], [area.right(), area.y + at]], GRID, 0.6);
        scene.stroke(&[[area.x + at, area.y], [area.x + at, area.bottom()]], GRID, 0.6);
    }
    scene.outline(area, RULE, 1.0);
    area.bottom() + 8.0
}

/// The classes to show of many, as numbers, and what is said of them.
fn shown(results: &[ProbeScore]) -> (Vec<usize>, String) {
    let accuracy = |score: &ProbeScore, class: usize| score.per_class[class].accuracy;
    let [first, rest @ ..] = results else { return (vec![], String::new()) };
    let mut scored: Vec<(usize, f64)> = (0..first.per_class.len())
        .filter_map(|class| {
            let from = accuracy(first, class)?;
            Some((class, rest.first().map_or(Some(from), |second| Some(accuracy(second, class)? - from))?))
        })
        .collect();
    scored.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some(second) = rest.first() else {
        let classes = scored.into_iter().take(GAINS + LOSSES).map(|(class, _)| class).collect();
        return (classes, format!("{}: the classes recognised least", first.representation));
    };
    let mut classes: Vec<usize> =
        scored.iter().rev().take(GAINS).filter(|(_, gain)| *gain > 0.0).map(|(class, _)| *class).collect();
    let losses: Vec<usize> =
        scored.iter().take(LOSSES).filter(|(_, gain)| *gain < 0.0).map(|(class, _)| *class).collect();
    classes.extend(losses.into_iter().rev());
    let title = format!(
        "From {} to {}: the classes that gain and lose most",
        first.representation, second.representation
    );
    (classes, title)
}

/// Draws accuracies per class as dots; returns where it ends.
fn many(scene: &mut Scene, report: &ProbeReport, y: f64) -> f64 {
    let results = &report.results[..report.results.len().min(MATRICES)];
    let (classes, head) = shown(results);
    let mut y = title(scene, &head, "Accuracy of a class, percent of its videos.", y) + 12.0;
    for (number, score) in results.iter().enumerate() {
        Marker::of_clip(number).draw(scene, [MARGIN + 6.0, y - 5.0], RADIUS, clip_colour(number), INK);
        let line = format!("{}, {} numbers: top-1 {:.1} %", score.representation, score.width, score.top1);
        scene.text(&text::shorten(&text::clean(&line), BODY, INNER), [MARGIN + 20.0, y], Anchor::Start, BODY);
        y += 20.0;
    }
    let area = Area::new(MARGIN + NAMES, y, INNER - NAMES, ROW * classes.len() as f64);
    let x = |value: f64| area.x + 8.0 + value / 100.0 * (area.w - 16.0);
    for row in (0..classes.len()).step_by(2) {
        scene.block(Area::new(MARGIN, y + ROW * row as f64, INNER, ROW), BAND);
    }
    for tick in (0..=100).step_by(20) {
        let at = x(f64::from(tick));
        scene.stroke(&[[at, area.y], [at, area.bottom()]], GRID, 1.0);
        scene.text(&tick.to_string(), [at, area.bottom() + 18.0], Anchor::Middle, SMALL);
    }
    for (row, &class) in classes.iter().enumerate() {
        let middle = y + ROW * (row as f64 + 0.5);
        let name = text::shorten(&text::clean(&results[0].per_class[class].class), NAME, NAMES - 20.0);
        scene.text(&name, [area.x - 12.0, middle + 4.5], Anchor::End, NAME);
        let places: Vec<f64> =
            results.iter().filter_map(|score| score.per_class[class].accuracy).map(x).collect();
        if let &[from, to] = places.as_slice() {
            scene.stroke(&[[from, middle], [to, middle]], GREY, 1.6);
        }
        for (number, place) in places.into_iter().enumerate() {
            Marker::of_clip(number).draw(scene, [place, middle], RADIUS, clip_colour(number), INK);
        }
    }
    scene.outline(area, RULE, 1.0);
    area.bottom() + 38.0
}

#[cfg(test)]
mod tests {
    use super::super::scores::ClassScore;
    use super::*;

    fn report(classes: usize, representations: usize) -> ProbeReport {
        let score = |number: usize| ProbeScore {
            representation: format!("r{number}"),
            width: 8,
            chosen: vec![1.0],
            videos: classes * 10,
            top1: 50.0,
            interval: [40.0, 60.0],
            top5: None,
            class_mean: 50.0,
            per_class: (0..classes)
                .map(|class| {
                    let right = (class * 7 + number * 3) % 11;
                    ClassScore {
                        class: format!("c{class}"),
                        videos: 10,
                        right,
                        accuracy: Some(10.0 * right as f64),
                    }
                })
                .collect(),
            confused: vec![],
        };
        let results = (0..representations).map(score).collect();
        ProbeReport { classes, results, ..ProbeReport::default() }
    }

    #[test]
    fn few_classes_are_matrices_and_many_are_dots() {
        let svg =
            |report: &ProbeReport| String::from_utf8(draw(report, PictureFormat::Svg).unwrap()).unwrap();
        let few = svg(&report(5, 2));
        assert!(few.contains("r0: top-1 50.0 %") && few.contains("r1: top-1") && few.contains(">c4 5<"));
        let many = svg(&report(101, 2));
        assert!(many.contains("From r0 to r1: the classes that gain and lose most"));
        assert!(svg(&report(101, 1)).contains("r0: the classes recognised least"));
    }

    #[test]
    fn the_largest_gains_come_first_and_the_largest_losses_last() {
        let (classes, _) = shown(&report(101, 2).results);
        let gain = |class: usize| {
            let right = |number: usize| ((class * 7 + number * 3) % 11) as f64;
            right(1) - right(0)
        };
        assert_eq!(classes.len(), GAINS + LOSSES);
        assert!(classes.windows(2).all(|pair| gain(pair[0]) >= gain(pair[1])));
        assert!(gain(classes[0]) > 0.0 && gain(classes[GAINS + LOSSES - 1]) < 0.0);
    }
}
