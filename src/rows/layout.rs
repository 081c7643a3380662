//! Checks every row of an output before a byte of it is written.
//!
//! So a row that does not fit (a non-finite value, another shape) leaves the output as it was, and a format's writer gets only
//! rows that fit.

use std::path::PathBuf;

use crate::files::{FileError, display_path};
use crate::rows::{Dims, Part, Row};

/// The parts of an output and the shapes they have.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) parts: Vec<Part>,
    /// The columns of the list that the rows have too (`--keep`).
    pub(crate) kept_columns: Vec<String>,
    dims: Dims,
    /// What holds one shape for all clips, for messages; `None` where each row may have its own.
    one_shape: Option<&'static str>,
    /// Where `T` differs between clips: the first clip that has rows, and its `T`.
    first: Option<(PathBuf, usize)>,
}

impl Layout {
    pub(crate) fn new(parts: Vec<Part>, dims: Dims, one_shape: Option<&'static str>) -> Self {
        Self { parts, kept_columns: vec![], dims, one_shape, first: None }
    }

    /// The layout of rows that have these columns of the list too.
    #[must_use]
    pub(crate) fn keeping(self, kept_columns: &[String]) -> Self {
        Self { kept_columns: kept_columns.to_vec(), ..self }
    }

    /// Whether the rows say how many different key frames they are made of.
    pub(crate) fn key_frames(&self) -> bool {
        self.dims.key_frames
    }

    /// The shape of a part in one row; before the first row of a run whose `T` is open, `T` counts as 0.
    pub(crate) fn shape(&self, part: Part) -> Vec<usize> {
        part.shape(self.frames().unwrap_or(0), self.dims)
    }

    /// The number of values of a part in one row.
    pub(crate) fn len(&self, part: Part) -> usize {
        self.shape(part).iter().product()
    }

    fn frames(&self) -> Option<usize> {
        self.dims.frames.or(self.first.as_ref().map(|(_, frames)| *frames))
    }

    /// Checks a row and, if it is the first, takes its `T` as everyone's.
    ///
    /// # Errors
    /// `Row`, with both shapes and the remedy; the path is put in front by whoever reports the video.
    pub(crate) fn check(&mut self, row: &Row) -> Result<(), FileError> {
        let per_frame = self.parts.iter().find(|p| p.per_frame());
        if let (Some(part), Some(frames), Some(format)) = (per_frame, self.frames(), self.one_shape)
            && frames != row.frames
        {
            return Err(FileError::Row(self.other_shape(row, *part, frames, format)));
        }
        for &part in &self.parts {
            let values = row.values(part);
            let shape = part.shape(row.frames, self.dims);
            if values.len() != shape.iter().product::<usize>() {
                return Err(FileError::Row(format!(
                    "the part {part} has {} values where its shape {shape:?} needs another number",
                    values.len()
                )));
            }
            if let Some(at) = values.iter().position(|v| !v.is_finite()) {
                return Err(FileError::Row(format!(
                    "value {at} of the part {part} is {}, not a finite number; check the weights",
                    values[at]
                )));
            }
        }
        if self.first.is_none() {
            self.first = Some((row.clip.path.clone(), row.frames));
        }
        Ok(())
    }

    /// [`check`](Self::check) for all rows of one input: if one is refused, none counts.
    ///
    /// # Errors
    /// `Row`, of the first that does not fit.
    pub(crate) fn check_all(&mut self, rows: &[Row]) -> Result<(), FileError> {
        let first = self.first.clone();
        rows.iter().try_for_each(|row| self.check(row)).inspect_err(|_| self.first = first)
    }

    fn other_shape(&self, row: &Row, part: Part, frames: usize, format: &str) -> String {
        let here = part.shape(row.frames, self.dims);
        let there = part.shape(frames, self.dims);
        let whose = match &self.first {
            Some((path, _)) => format!("in {}", display_path(path)),
            None => "asked for".to_string(),
        };
        format!(
            "the part {part} is {here:?} here and {there:?} {whose}, and {format} holds one shape for all clips; \
             write .jsonl, fix the number with --frames N, or leave out the parts with a row per frame \
             (reconstructed, frames)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Format;
    use crate::rows::testing::{DIMS, row};

    fn open(parts: &[Part], format: Format) -> Layout {
        Layout::new(parts.to_vec(), Dims { frames: None, ..DIMS }, format.one_shape())
    }

    #[test]
    fn another_number_of_frames_is_refused_with_both_shapes_and_a_remedy() {
        for format in [Format::NPY, Format::NPZ, Format::SAFETENSORS, Format::PARQUET] {
            let mut layout = open(&[Part::Frames], format);
            layout.check(&row(0, 3, &[Part::Frames])).unwrap();
            let text = layout.check(&row(1, 5, &[Part::Frames])).unwrap_err().to_string();
            for piece in ["clip 0", "[5, 4]", "[3, 4]", ".jsonl", "--frames"] {
                assert!(text.contains(piece), "{piece} in {text}");
            }
        }
    }

    #[test]
    fn clips_of_any_length_fit_where_no_part_depends_on_it_or_lines_hold_any_shape() {
        let mut layout = open(&[Part::Concat], Format::NPY);
        layout.check(&row(0, 3, &[Part::Concat])).unwrap();
        layout.check(&row(1, 5, &[Part::Concat])).unwrap();
        let mut layout = open(&[Part::Frames], Format::JSONL);
        layout.check(&row(0, 3, &[Part::Frames])).unwrap();
        layout.check(&row(1, 5, &[Part::Frames])).unwrap();
    }

    #[test]
    fn a_refused_row_does_not_fix_the_shape() {
        let mut layout = open(&[Part::Frames], Format::NPY);
        let mut bad = row(0, 5, &[Part::Frames]);
        bad.parts[0].1[7] = f32::NAN;
        let text = layout.check(&bad).unwrap_err().to_string();
        assert!(text.contains("value 7 of the part frames is NaN"), "{text}");
        layout.check(&row(1, 3, &[Part::Frames])).unwrap();
    }

    #[test]
    fn a_row_without_the_part_is_refused() {
        let mut layout = open(&[Part::Concat, Part::Static], Format::NPZ);
        assert!(layout.check(&row(0, 3, &[Part::Concat])).is_err());
    }
}
