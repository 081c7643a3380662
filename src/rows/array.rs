//! An array of a file: in memory, or as the place of its values in the file.

use std::fs::File;
use std::path::Path;

use crate::files::{FileError, display_text};
use crate::rows::Part;

/// The name of the array of an `.npy`, which itself has none.
pub(crate) const UNNAMED: &str = "array";

/// One array, a row per video.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The part's name, or what a foreign file calls it; `array` from an `.npy`.
    pub name: String,
    /// `(B, ...)`.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub data: Vec<f32>,
}

impl Array {
    /// `B`.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// The number of values of one row.
    pub fn width(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// The values of a row, all axes in one; empty beyond the last.
    pub fn row(&self, at: usize) -> &[f32] {
        let width = self.width();
        self.data.get(at * width..(at + 1) * width).unwrap_or(&[])
    }
}

/// What a format gives: arrays, and ids if it carries them itself.
pub(crate) struct Raw {
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) arrays: Vec<Array>,
}

/// Where the values of an array of one file are.
#[derive(Debug)]
pub enum Values {
    /// In memory, row-major.
    Memory(Vec<f32>),
    /// Little-endian f32, row-major, from this byte of the file on; not aligned. All of them are there.
    File(File, u64),
}

/// Some rows of an array: those of one file.
#[derive(Debug)]
pub struct Stretch {
    /// How many rows.
    pub rows: usize,
    /// Their values.
    pub values: Values,
}

/// An array, a row per video, in one file or in several one after the other.
#[derive(Debug)]
pub struct Lying {
    /// The part's name, or what a foreign file calls it; `array` from an `.npy`.
    pub name: String,
    /// The shape of one row.
    pub shape: Vec<usize>,
    /// The files' rows in their order.
    pub stretches: Vec<Stretch>,
}

/// An array of a file with where its values begin.
pub(crate) struct Place {
    pub(crate) name: String,
    /// `(B, ...)`.
    pub(crate) shape: Vec<usize>,
    pub(crate) offset: u64,
}

/// The places of a file's arrays, and the ids it has itself.
pub(crate) type Places = (Vec<Place>, Option<Vec<String>>);

pub(crate) fn names(arrays: &[Array]) -> String {
    let names: Vec<String> = arrays.iter().map(|a| display_text(&a.name)).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

pub(crate) fn missing(path: &Path, name: &str, arrays: &[Array]) -> FileError {
    FileError::read(path, format!("it has no array '{name}'; it has {}", names(arrays)))
}

/// The part a column stands for; other columns keep their name.
pub(crate) fn part_name(column: &str) -> &str {
    if column == Part::Frames.column() { Part::Frames.name() } else { column }
}
