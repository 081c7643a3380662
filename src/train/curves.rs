//! A run's log as a picture: the losses by epoch, and the probe's accuracy where there is one.
//!
//! Drawn with the shapes of [`crate::plot`], like every other figure.

use super::LogRecord;
use crate::plot::axes::{FrameAxes, round_numbers};
use crate::plot::palette::{INK, clip_colour};
use crate::plot::picture::{PictureError, PictureFormat};
use crate::plot::scene::{Area, Scene};
use crate::plot::sheet::{BODY, Entry, INNER, MARGIN, Marker, SMALL, header, legend};
use crate::plot::text::{Anchor, Font};

/// Height of the panels.
const HEIGHT: f64 = 280.0;
/// Room for the numbers of the vertical axis.
const NUMBERS: f64 = 56.0;
/// Between the two panels.
const BETWEEN: f64 = 36.0;
/// What the curves are called, in the order of their colours and markers.
const NAMES: [&str; 3] = ["training loss", "validation loss", "linear probe, %"];

/// Points of one curve: epoch (from 1), value.
type Curve = Vec<(u64, f64)>;

/// Draws the epochs of a log; the bytes of a picture file.
///
/// # Errors
/// If the log has no epoch, or the picture encoder fails.
pub fn draw(log: &[LogRecord], format: PictureFormat) -> Result<Vec<u8>, PictureError> {
    let curves = curves(log);
    let Some(&(epochs, _)) = curves[0].last() else {
        return Err(PictureError::Draw("the log has no finished epoch yet".into()));
    };
    let drawn = (0..NAMES.len()).filter(|&number| !curves[number].is_empty());
    let last = drawn.clone().map(|number| {
        let value = curves[number].last().map_or(f64::NAN, |point| point.1);
        if number == 2 {
            format!("linear probe {value:.1} %")
        } else {
            format!("{} {value:.5}", NAMES[number])
        }
    });
    let caption = format!("after epoch {epochs}: {}", last.collect::<Vec<_>>().join(", "));
    let (mut scene, y) = header("Training curves", &caption);
    let entries = drawn.map(|number| Entry {
        fills: vec![clip_colour(number)],
        rim: INK,
        marker: Marker::of_clip(number),
        label: NAMES[number].to_owned(),
    });
    let y = legend(&mut scene, &entries.collect::<Vec<_>>(), y) + 14.0;
    let panels = if curves[2].is_empty() { 1.0 } else { 2.0 };
    let width = (INNER - BETWEEN * (panels - 1.0)) / panels;
    let area = |number: f64| {
        Area::new(MARGIN + (width + BETWEEN) * number + NUMBERS, y + 14.0, width - NUMBERS, HEIGHT)
    };
    let highest = curves[..2].iter().flatten().map(|point| point.1).fold(0.0, f64::max);
    let losses = Panel { title: "loss", area: area(0.0), most: highest, step: None };
    losses.draw(&mut scene, epochs, &curves, 0..2);
    if !curves[2].is_empty() {
        let probe = Panel { title: "accuracy, %", area: area(1.0), most: 100.0, step: Some(10.0) };
        probe.draw(&mut scene, epochs, &curves, 2..3);
    }
    scene.cut(y + 14.0 + HEIGHT + 44.0 + MARGIN / 2.0);
    format.bytes(&scene)
}

/// The curves of [`NAMES`]; one that was not measured is empty.
fn curves(log: &[LogRecord]) -> [Curve; 3] {
    let mut curves = [Curve::new(), Curve::new(), Curve::new()];
    for record in log {
        let LogRecord::Epoch { epoch, train, validation, probe, .. } = record else { continue };
        curves[0].push((*epoch, train.total));
        curves[1].extend(validation.as_ref().map(|loss| (*epoch, loss.total)));
        curves[2].extend(probe.map(|percent| (*epoch, percent)));
    }
    curves
}

/// A panel of curves over epochs.
struct Panel<'a> {
    title: &'a str,
    area: Area,
    /// The largest value that must have room.
    most: f64,
    /// Between two numbers of the vertical axis; by default a round number.
    step: Option<f64>,
}

impl Panel<'_> {
    /// Draws the axes and the curves of these numbers.
    fn draw(&self, scene: &mut Scene, epochs: u64, curves: &[Curve; 3], numbers: std::ops::Range<usize>) {
        let area = self.area;
        scene.text(self.title, [area.x, area.y - 10.0], Anchor::Start, Font { bold: true, ..BODY });
        let epochs = epochs as usize;
        let axes = FrameAxes::numbered(scene, area, (epochs, &round_numbers(epochs)), self.most, self.step);
        scene.text("epoch", [area.x + area.w / 2.0, area.bottom() + 36.0], Anchor::Middle, SMALL);
        let radius = (axes.slot() * 0.22).clamp(1.6, 4.0);
        for number in numbers {
            let at = |&(epoch, value): &(u64, f64)| [axes.x(epoch.saturating_sub(1) as usize), axes.y(value)];
            let points: Vec<[f64; 2]> = curves[number].iter().map(at).collect();
            if points.len() > 1 {
                scene.stroke(&points, clip_colour(number), 2.0);
            }
            for &point in &points {
                Marker::of_clip(number).draw(scene, point, radius, clip_colour(number), INK);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::LossValues;

    fn epoch(epoch: u64, probe: Option<f64>) -> LogRecord {
        let loss = |total| LossValues { total, reconstruction: total, orthogonality: 0.0 };
        LogRecord::Epoch {
            epoch,
            step: epoch * 10,
            train: loss(1.0 / epoch as f64),
            validation: Some(loss(1.2 / epoch as f64)),
            probe,
            lr: 1e-4,
            seconds: 1.0,
        }
    }

    #[test]
    fn a_log_becomes_a_picture_of_either_format() {
        let log: Vec<LogRecord> = (1..5).map(|e| epoch(e, Some(50.0 + e as f64))).collect();
        assert!(draw(&log, PictureFormat::Png).unwrap().starts_with(b"\x89PNG"));
        let svg = String::from_utf8(draw(&log, PictureFormat::Svg).unwrap()).unwrap();
        assert!(svg.contains("linear probe") && svg.contains("validation loss"), "{svg}");
        let svg = String::from_utf8(draw(&[epoch(1, None)], PictureFormat::Svg).unwrap()).unwrap();
        assert!(!svg.contains("linear probe"), "{svg}");
    }

    #[test]
    fn a_log_without_an_epoch_is_an_error() {
        let error = draw(&[], PictureFormat::Png).unwrap_err();
        assert!(error.to_string().contains("no finished epoch"));
    }
}
