//! A run's log as a picture: losses by epoch, and the probe's accuracy where there is one.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::Record;
use crate::cia::figure::{FigureError, Kind, register_font};

const SIZE: (u32, u32) = (900, 420);
const TRAIN: RGBColor = RGBColor(0, 114, 178);
const VALIDATION: RGBColor = RGBColor(213, 94, 0);
const PROBE: RGBColor = RGBColor(0, 158, 115);

/// Points of one curve: epoch, value.
type Curve = Vec<(f64, f64)>;

/// Draws the epochs of a log; the bytes of a picture file.
///
/// # Errors
/// If the log has no epoch, or the drawing library fails.
pub fn draw(log: &[Record], kind: Kind) -> Result<Vec<u8>, FigureError> {
    let curves = Curves::of(log);
    if curves.train.is_empty() {
        return Err(FigureError::Draw("the log has no finished epoch yet".into()));
    }
    register_font();
    let failed = |error: String| FigureError::Draw(error);
    match kind {
        Kind::Png => {
            let mut pixels = vec![0; 3 * SIZE.0 as usize * SIZE.1 as usize];
            page(&BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area(), &curves)
                .map_err(|error| failed(error.to_string()))?;
            let mut file = Vec::new();
            PngEncoder::new(&mut file)
                .write_image(&pixels, SIZE.0, SIZE.1, ExtendedColorType::Rgb8)
                .map_err(|error| failed(error.to_string()))?;
            Ok(file)
        }
        Kind::Svg => {
            let mut text = String::new();
            page(&SVGBackend::with_string(&mut text, SIZE).into_drawing_area(), &curves)
                .map_err(|error| failed(error.to_string()))?;
            Ok(text.into_bytes())
        }
    }
}

#[derive(Debug, Default, PartialEq)]
struct Curves {
    train: Curve,
    validation: Curve,
    probe: Curve,
}

impl Curves {
    fn of(log: &[Record]) -> Self {
        let mut curves = Self::default();
        for record in log {
            let Record::Epoch { epoch, train, validation, probe, .. } = record else { continue };
            let at = *epoch as f64;
            curves.train.push((at, train.total));
            curves.validation.extend(validation.as_ref().map(|loss| (at, loss.total)));
            curves.probe.extend(probe.map(|percent| (at, percent)));
        }
        curves
    }
}

type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

fn page<B: DrawingBackend>(area: &DrawingArea<B, Shift>, curves: &Curves) -> Drawn<B> {
    area.fill(&WHITE)?;
    let losses =
        [("training loss", &curves.train, TRAIN), ("validation loss", &curves.validation, VALIDATION)];
    if curves.probe.is_empty() {
        panel(area, &losses, None)?;
    } else {
        let (left, right) = area.split_horizontally(SIZE.0 / 2);
        panel(&left, &losses, None)?;
        panel(&right, &[("linear probe, %", &curves.probe, PROBE)], Some(0.0..100.0))?;
    }
    area.present()
}

fn panel<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    curves: &[(&str, &Curve, RGBColor)],
    range: Option<std::ops::Range<f64>>,
) -> Drawn<B> {
    let points = || curves.iter().flat_map(|(_, curve, _)| curve.iter());
    let last = points().map(|p| p.0).fold(1.0, f64::max);
    let top = points().map(|p| p.1).fold(0.0, f64::max) * 1.05;
    let range = range.unwrap_or(0.0..top.max(f64::MIN_POSITIVE));
    let mut chart = ChartBuilder::on(area)
        .margin(18)
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..last, range)?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .x_labels((last as usize + 1).min(10))
        .x_label_formatter(&|epoch| if epoch.fract() == 0.0 { format!("{epoch:.0}") } else { String::new() })
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()?;
    for (name, curve, colour) in curves.iter().filter(|(_, curve, _)| !curve.is_empty()) {
        let colour = *colour;
        chart
            .draw_series(LineSeries::new(curve.iter().copied(), colour.stroke_width(2)).point_size(2))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 13))
        .draw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::LossValues;

    fn epoch(epoch: u64, probe: Option<f64>) -> Record {
        let loss = |total| LossValues { total, reconstruction: total, orthogonality: 0.0 };
        Record::Epoch {
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
    fn a_log_becomes_a_picture_of_either_kind() {
        let log: Vec<Record> = (1..5).map(|e| epoch(e, Some(50.0 + e as f64))).collect();
        assert!(draw(&log, Kind::Png).unwrap().starts_with(b"\x89PNG"));
        let svg = String::from_utf8(draw(&log, Kind::Svg).unwrap()).unwrap();
        assert!(svg.contains("linear probe") && svg.contains("validation loss"), "{svg}");
        let svg = String::from_utf8(draw(&[epoch(1, None)], Kind::Svg).unwrap()).unwrap();
        assert!(!svg.contains("linear probe"), "{svg}");
    }

    #[test]
    fn a_log_without_an_epoch_is_told() {
        assert!(draw(&[], Kind::Png).unwrap_err().to_string().contains("no finished epoch"));
    }
}
